//! Random and mutated streams, cut at any octet: no panic, no memory beyond a bound, and the speaker goes on.
//!
//! `HERALD_BGP_MESSAGES` messages (100,000), from the seed `HERALD_SEED` (1). The fuzzer (`tests/fuzz`) goes on from here.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use lb_bgp::{Action, Asn, ConnId, Event, Peer, PeerAs, PeerConfig, PeerState, Prefix, RestartTime, RouterId, Routes};

/// What one speaker may ever hold: its routes, a window of output, and the parts of the largest message.
const MEMORY: usize = 12 << 20;

/// The system's allocator, counted.
struct Counted;

static HELD: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is handed on unchanged; counting touches two integers only.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let held = HELD.fetch_add(layout.size(), Relaxed) + layout.size();
        MOST.fetch_max(held, Relaxed);
        // SAFETY: the caller's promise about `layout` is the one that the system's allocator asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Relaxed);
        // SAFETY: `at` came from `alloc` above with the same layout.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counted = Counted;

/// Numbers from a seed (xorshift64*).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// Below `end`.
    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() >> 33).unwrap_or(0) % end.max(1)
    }

    fn octet(&mut self) -> u8 {
        self.next().to_be_bytes()[0]
    }

    /// One time in `n`.
    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(19 + body.len()).unwrap_or(u16::MAX);
    [&[0xFF; 16][..], &length.to_be_bytes(), &[kind], body].concat()
}

/// An OPEN of AS 64513 with what most routers offer.
fn open() -> Vec<u8> {
    let capabilities = [
        &[1, 4, 0, 1, 0, 1][..],
        &[1, 4, 0, 2, 0, 1],
        &[2, 0],
        &[5, 6, 0, 1, 0, 1, 0, 2],
        &[6, 0],
        &[64, 10, 0x40, 120, 0, 1, 1, 0x80, 0, 2, 1, 0x80],
        &[65, 4, 0, 0, 0xFC, 1],
        &[69, 4, 0, 1, 1, 3],
        &[70, 0],
        &[71, 7, 0, 1, 1, 0x80, 0, 0, 60],
        &[73, 5, 4, b'n', b'o', b'd', b'e'],
    ]
    .concat();
    let length = u8::try_from(capabilities.len()).unwrap_or(u8::MAX);
    message(1, &[&[4, 0xFC, 1, 0, 90, 192, 0, 2, 2, length + 2, 2, length][..], &capabilities].concat())
}

/// Good messages, which most of the stream is made of.
fn seeds() -> Vec<Vec<u8>> {
    let attributes = [
        &[0x40, 1, 1, 0][..],
        &[0x40, 2, 10, 2, 2, 0, 0, 0xFC, 1, 0, 0, 0xFC, 2],
        &[0x40, 3, 4, 192, 0, 2, 2],
        &[0x80, 4, 4, 0, 0, 0, 7],
        &[0x40, 6, 0],
        &[0xC0, 7, 8, 0, 0, 0xFC, 1, 192, 0, 2, 2],
        &[0xC0, 8, 8, 0xFC, 1, 0, 1, 0xFF, 0xFF, 0xFF, 1],
        &[0x80, 9, 4, 192, 0, 2, 9],
        &[0x80, 10, 4, 192, 0, 2, 9],
        &[0xC0, 16, 8, 0, 2, 0xFC, 1, 0, 0, 0, 1],
        &[0xC0, 32, 12, 0, 0, 0xFC, 1, 0, 0, 0, 1, 0, 0, 0, 2],
        &[0xC0, 35, 4, 0, 0, 0xFC, 1],
        &[0xE0, 99, 3, 1, 2, 3],
    ]
    .concat();
    let reach = |afi: u8, safi: u8, nlri: &[u8]| {
        let next_hop = [0x20, 1, 0xD, 0xB8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];
        let value = [&[0, afi, safi, 16][..], &next_hop, &[0], nlri].concat();
        [&[0x80, 14, u8::try_from(value.len()).unwrap_or(u8::MAX)][..], &value].concat()
    };
    let label_and_route = [112, 0, 1, 1, 0, 0, 0xFC, 1, 0, 0, 0, 1, 10, 0, 0];
    let vpn = [&[0x80, 14, 32, 0, 1, 128, 12, 0, 0, 0, 0, 0, 0, 0, 0, 192, 0, 2, 2, 0][..], &label_and_route].concat();
    let update = |withdrawn: &[u8], attributes: &[u8], nlri: &[u8]| {
        let length = |octets: &[u8]| u16::try_from(octets.len()).unwrap_or(u16::MAX).to_be_bytes();
        message(2, &[&length(withdrawn)[..], withdrawn, &length(attributes), attributes, nlri].concat())
    };
    let v6 = [0x30, 0x20, 1, 0xD, 0xB8, 0, 1, 0x80, 0x20, 1, 0xD, 0xB8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];
    let many: Vec<u8> =
        (0..9000_u16).flat_map(|host| [vec![32, 10, 0], host.to_be_bytes().to_vec()].concat()).collect();
    vec![
        message(4, &[]),
        update(&[], &attributes, &[24, 198, 51, 100, 0, 32, 203, 0, 113, 7]),
        update(&[24, 198, 51, 100], &[], &[]),
        update(&[], &[attributes.clone(), reach(2, 1, &v6)].concat(), &[]),
        update(&[], &[attributes.clone(), reach(1, 1, &[32, 10, 0, 0, 1])].concat(), &[]),
        update(&[], &[attributes.clone(), vpn].concat(), &[]),
        update(&[], &[attributes.clone(), vec![0x80, 14, 11, 0, 1, 133, 0, 0, 5, 1, 24, 10, 0, 0]].concat(), &[]),
        update(&[], &[0x80, 15, 10, 0, 2, 1, 0x30, 0x20, 1, 0xD, 0xB8, 0, 1], &[]),
        update(&[], &[], &[]),
        update(&[], &[0x80, 15, 3, 0, 2, 1], &[]),
        update(&[], &attributes, &many),
        // The most prefixes that a message holds: each is one octet.
        update(&[], &attributes, &vec![0; 65_000]),
        open(),
        message(5, &[0, 1, 0, 1]),
        message(5, &[0, 2, 1, 1]),
        message(3, &[6, 2, 3, b'b', b'y', b'e']),
        message(3, &[4, 0]),
    ]
}

/// Changes some octets; the length is made right again nineteen times in twenty.
fn mutate(random: &mut Random, mut octets: Vec<u8>) -> Vec<u8> {
    for _ in 0..random.below(4) {
        let at = if random.one_in(8) { random.below(octets.len()) } else { 19 + random.below(octets.len() - 18) };
        let at = at.min(octets.len().saturating_sub(1));
        match random.below(6) {
            0 => octets.truncate(at.max(19)),
            1 => octets.insert(at, random.octet()),
            2 if octets.len() > 20 => drop(octets.remove(at)),
            3 => octets[at] ^= 1 << random.below(8),
            4 => octets[at] = [0, 1, 0x7F, 0x80, 0xFF][random.below(5)],
            _ => octets[at] = random.octet(),
        }
        if octets.len() < 20 {
            break;
        }
    }
    if !random.one_in(20) && octets.len() >= 19 {
        let length = u16::try_from(octets.len()).unwrap_or(u16::MAX).to_be_bytes();
        octets[16..18].copy_from_slice(&length);
    }
    octets
}

struct Speaker {
    peer: Peer,
    now: Instant,
    conn: Option<ConnId>,
    up: u64,
}

impl Speaker {
    fn new() -> Self {
        let asn = |number| Asn::new(number).expect("an AS number");
        let id = RouterId::new(Ipv4Addr::new(192, 0, 2, 1)).expect("an identifier");
        let mut config = PeerConfig::new(asn(64512), PeerAs::Exactly(asn(64513)), id);
        config.graceful_restart = Some(RestartTime::MAX);
        config.extended_next_hop = true;
        let now = Instant::now();
        let mut peer = Peer::new(now, config, false, 1).expect("a good configuration");
        let prefix = |host: u32| Prefix::host(Ipv4Addr::from_bits(0x0A00_0000 + host).into());
        let routes: Routes = (0..50).map(|host| (prefix(host), Arc::default())).collect();
        peer.set_routes(Arc::new(routes));
        Self { peer, now, conn: None, up: 0 }
    }

    /// Until there is a connection: waits and connects. Most connections become sessions.
    fn connect(&mut self, random: &mut Random) -> ConnId {
        for _ in 0..100 {
            self.act();
            if let Some(conn) = self.conn {
                return conn;
            }
            self.now = self.now.max(self.peer.poll_timeout().expect("it tries again"));
            self.peer.handle(self.now, Event::Timer);
            let connect = std::iter::from_fn(|| self.peer.poll_action()).find_map(|action| match action {
                Action::Connect(conn) => Some(conn),
                Action::Close { .. } | Action::Up(_) | Action::Down(_) | Action::Failed(_) => None,
            });
            let Some(conn) = connect else { continue };
            self.conn = Some(conn);
            self.peer.handle(self.now, Event::Connected { conn, local: Ipv4Addr::new(192, 0, 2, 1).into() });
            if !random.one_in(10) {
                self.read(conn, &open());
                self.read(conn, &message(4, &[]));
            }
        }
        panic!("it does not connect any more: {:?}", self.peer.status());
    }

    fn read(&mut self, conn: ConnId, octets: &[u8]) {
        self.peer.handle(self.now, Event::Received { conn, octets });
    }

    fn act(&mut self) {
        while let Some(action) = self.peer.poll_action() {
            match action {
                Action::Close { conn, last_words } => {
                    assert!(last_words.len() < 70_000);
                    self.conn = self.conn.filter(|of| *of != conn);
                }
                Action::Up(_) => self.up += 1,
                Action::Connect(_) | Action::Down(_) | Action::Failed(_) => {}
            }
        }
    }
}

#[test]
fn no_stream_makes_it_panic_or_grow() {
    let (messages, seed) = (setting("HERALD_BGP_MESSAGES", 100_000), setting("HERALD_SEED", 1));
    let (mut random, seeds) = (Random(seed.max(1)), seeds());
    let before = HELD.load(Relaxed);
    let mut speaker = Speaker::new();
    for _ in 0..messages {
        let conn = speaker.connect(&mut random);
        // Refreshes, NOTIFICATIONs and the largest messages are rarer.
        let some = if random.one_in(50) { seeds.len() } else { seeds.len() - 7 };
        let seed = random.below(some);
        let stream = match random.below(20) {
            0 => (0..random.below(200)).map(|_| random.octet()).collect(),
            1..10 => seeds[seed].clone(),
            _ => mutate(&mut random, seeds[seed].clone()),
        };
        let mut rest = &stream[..];
        while !rest.is_empty() {
            let most = if random.one_in(3) { rest.len() } else { rest.len().min(40) };
            let (piece, later) = rest.split_at(1 + random.below(most));
            speaker.read(conn, piece);
            rest = later;
        }
        // Sometimes it is read, sometimes not.
        let pending = speaker.peer.output(speaker.now, conn).len();
        assert!(pending < 64 * 1024 + 65_535 + 4096, "{pending} octets wait to be written");
        if random.one_in(3) {
            let count = 1 + random.below(pending);
            speaker.peer.handle(speaker.now, Event::Written { conn, count });
        }
        speaker.now += Duration::from_millis(u64::try_from(random.below(2000)).unwrap_or(0));
        speaker.peer.handle(speaker.now, Event::Timer);
        speaker.act();
        let held = MOST.load(Relaxed).saturating_sub(before);
        assert!(held < MEMORY, "{held} octets were held at once");
    }
    let status = speaker.peer.status();
    println!("{} sessions, most held {} octets, {:?}", speaker.up, MOST.load(Relaxed) - before, status.counters);
    // The streams reach where they should: sessions that are up, and UPDATEs of every fate.
    let counters = status.counters;
    assert!(speaker.up > messages / 50, "{} sessions", speaker.up);
    assert!(counters.received.update > messages / 20, "{counters:?}");
    assert!(counters.treated_as_withdraw > 0 && counters.discarded > 0 && counters.sent.notification > 0);
    assert_ne!(status.state, PeerState::Stopped);
}

#[test]
fn the_messages_that_are_mutated_are_good() {
    let (mut random, seeds) = (Random(1), seeds());
    for (at, seed) in seeds.iter().enumerate().take(seeds.len() - 7) {
        let mut speaker = Speaker::new();
        while speaker.peer.status().state != PeerState::Established {
            speaker.conn = None;
            speaker.connect(&mut random);
        }
        let conn = speaker.conn.expect("a connection");
        speaker.read(conn, seed);
        let status = speaker.peer.status();
        assert_eq!(
            (status.state, status.last_malformed),
            (PeerState::Established, None),
            "{at}: {:?}",
            status.last_down
        );
    }
}
