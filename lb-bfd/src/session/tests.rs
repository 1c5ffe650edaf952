//! A session in virtual time: the neighbour's packets are written by hand here, or by a second session in `pair`.

use super::*;
use crate::auth::{Key, Keys, Method, NotAuthentic};

mod elsewhere;
mod pair;
mod reception;
mod timing;

const LOCAL: NonZeroU32 = NonZeroU32::new(0x0a0a_0a0a).expect("not 0");
const REMOTE: u32 = 0x0b0b_0b0b;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn micros(ms: u32) -> Micros {
    ms * 1_000
}

/// What the neighbour sends in this state: 300 ms × 3, as the defaults are.
fn from_neighbour(state: State) -> Packet {
    Packet {
        diagnostic: Diagnostic::NONE,
        state,
        poll: false,
        finish: false,
        control_plane_independent: false,
        demand: false,
        detect_mult: 3,
        my_discriminator: REMOTE,
        your_discriminator: LOCAL.get(),
        desired_min_tx: micros(300),
        required_min_rx: micros(300),
        required_min_echo_rx: 0,
    }
}

/// One session and its clock.
struct Lab {
    now: Instant,
    session: Session,
}

impl Lab {
    fn with(configure: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::new(LOCAL, 1);
        configure(&mut config);
        let now = Instant::now();
        Self { now, session: Session::new(config, now) }
    }

    fn new() -> Self {
        Self::with(|_| ())
    }

    /// In this state, with everything sent that was due.
    fn in_state(state: State) -> Self {
        Self::with_in_state(state, |_| ())
    }

    fn with_in_state(state: State, configure: impl FnOnce(&mut Config)) -> Self {
        let mut lab = Self::with(configure);
        match state {
            State::AdminDown => lab.session.disable(lab.now),
            State::Down => {}
            State::Init => lab.hear(from_neighbour(State::Down)),
            State::Up => lab.hear(from_neighbour(State::Init)),
        }
        lab.sent();
        assert_eq!(lab.session.state(), state);
        lab
    }

    /// Up, and the poll sequence that comes with it is over.
    fn settled() -> Self {
        Self::settled_with(|_| ())
    }

    fn settled_with(configure: impl FnOnce(&mut Config)) -> Self {
        let mut lab = Self::with_in_state(State::Up, configure);
        lab.hear(Packet { finish: true, ..from_neighbour(State::Up) });
        lab.sent();
        lab
    }

    fn take(&mut self, ttl: u8, payload: &[u8]) -> Result<(), Discard> {
        self.session.handle_packet(self.now, ttl, payload)
    }

    fn hear(&mut self, packet: Packet) {
        self.take(255, &packet.to_bytes()).expect("a valid packet");
    }

    /// All that is due now.
    fn sent(&mut self) -> Vec<Packet> {
        let mut packets = Vec::new();
        while let Some(bytes) = self.session.poll_transmit(self.now) {
            packets.push(Packet::parse(&bytes).expect("what we send is well formed").packet);
            assert!(packets.len() < 10, "it never ends");
        }
        packets
    }

    /// Lets time pass, waking when something is due; all that was sent, with its moment.
    fn run(&mut self, span: Duration) -> Vec<(Instant, Packet)> {
        let end = self.now + span;
        let mut packets = Vec::new();
        loop {
            self.session.handle_timeout(self.now);
            packets.extend(self.sent().into_iter().map(|packet| (self.now, packet)));
            match self.session.poll_timeout() {
                Some(next) if next <= end => self.now = next,
                _ => break,
            }
            assert!(packets.len() < 10_000, "it never ends");
        }
        self.now = end;
        packets
    }

    /// The neighbour says the same thing every `interval`, for `span`; what was sent meanwhile.
    fn run_hearing(&mut self, packet: Packet, interval: Duration, span: Duration) -> Vec<(Instant, Packet)> {
        let end = self.now + span;
        let mut packets = Vec::new();
        while self.now < end {
            self.hear(packet);
            packets.extend(self.run(interval));
        }
        packets
    }

    fn changes(&mut self) -> Vec<(State, State, u8)> {
        std::iter::from_fn(|| self.session.poll_change())
            .map(|change| (change.from, change.to, change.diagnostic.code()))
            .collect()
    }
}

/// The time between packets.
fn gaps(packets: &[(Instant, Packet)]) -> Vec<Duration> {
    packets.windows(2).map(|pair| pair[1].0 - pair[0].0).collect()
}
