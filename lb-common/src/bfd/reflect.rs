//! The S-BFD reflector (RFC 7880 §7.2, RFC 7881): answers a probe for our discriminator on its own frame.
//!
//! Stateless. What an initiator learns is that this node's driver and this program run, and what
//! [`crate::abi::Reflector`] and the lease say: Up, or AdminDown ("take it from me").
//!
//! Checksums are not verified but carried: every swap leaves both sums as they are, and what changes is put into the UDP
//! checksum by difference, so a probe that came damaged goes back as damaged, and its sender drops it.
//!
//! Two reflectors cannot keep a packet going: what is reflected has D=1 and a source port other than 7784, what goes out
//! has D=0 and is sent to that source port.
//!
//! Spec: RFC 7880 §7.2.2 (fields), RFC 7881 §3 and §5 (ports, TTL), RFC 1624 (checksum).

use super::{
    AUTHENTICATION, CONTROL_PLANE_INDEPENDENT, DEMAND, Diagnostic, FINAL, LENGTH, MULTIPOINT, POLL, SBFD_PORT, State,
    TTL, VERSION,
    datagram::{
        DATAGRAM, Fault, IP4, IP6, Ip, LENGTH_FIELD, Word, complement, judge_addresses, judge_ip4, judge_ip6, pair,
        swap_ip4, swap_ip6, turn, words, words_mut,
    },
};
use crate::{
    abi::Segment,
    csum::Sum,
    frame::Frame,
    outcome::{Done, Outcome, Pass},
    tables::{Standing, Tables},
};

/// What a reply says in Required Min RX Interval: more often than this (microseconds) nobody need probe.
pub const MIN_RX: u32 = 1_000;

const PORT: [u8; 2] = SBFD_PORT.to_be_bytes();
/// The diagnostic's bits in the first byte (RFC 5880 §4.1).
const DIAGNOSTIC: u8 = 0x1f;

/// Judges the IPv4 packet at `payload` and reflects it if it is a probe for our discriminator.
#[inline(always)]
pub fn respond4<F: Frame, T: Tables>(frame: &mut F, tables: &T, segment: &Segment, payload: usize) -> Outcome {
    judge_addresses(frame, segment).map_err(refusal)?;
    judge_ttl(judge_ip4(frame, payload).map_err(refusal)?)?;
    let probe = Probe::parse(frame, payload + IP4)?;
    let reply = probe.reply(tables)?;
    probe.note(tables, segment);
    swap_ip4(frame, payload).ok_or(Pass::Access)?;
    reply.write(frame, segment, payload + IP4)
}

/// Judges the IPv6 packet at `payload` and reflects it if it is a probe for our discriminator.
#[inline(always)]
pub fn respond6<F: Frame, T: Tables>(frame: &mut F, tables: &T, segment: &Segment, payload: usize) -> Outcome {
    judge_addresses(frame, segment).map_err(refusal)?;
    judge_ttl(judge_ip6(frame, payload).map_err(refusal)?)?;
    let probe = Probe::parse(frame, payload + IP6)?;
    if probe.checksum == [0, 0] {
        return Err(Pass::SbfdChecksum); // RFC 8200 §8.1: no UDP over IPv6 without a checksum
    }
    let reply = probe.reply(tables)?;
    probe.note(tables, segment);
    swap_ip6(frame, payload).ok_or(Pass::Access)?;
    reply.write(frame, segment, payload + IP6)
}

#[inline(always)]
const fn refusal(fault: Fault) -> Pass {
    match fault {
        Fault::Short => Pass::SbfdShort,
        Fault::IpVersion => Pass::SbfdIpVersion,
        Fault::Options => Pass::SbfdOptions,
        Fault::Fragment => Pass::SbfdFragment,
        Fault::Length => Pass::SbfdLength,
        Fault::Address => Pass::SbfdAddress,
        Fault::OwnFrame => Pass::OwnFrame,
        Fault::Destination => Pass::SbfdDestination,
        Fault::Sender => Pass::SbfdSender,
    }
}

/// RFC 7881 §5.
#[inline(always)]
fn judge_ttl(ip: Ip) -> Result<(), Pass> {
    if ip.ttl == TTL { Ok(()) } else { Err(Pass::SbfdTtl) }
}

/// The datagram of an initiator that passed the checks on it alone.
struct Probe {
    source_port: [u8; 2],
    checksum: [u8; 2],
    head: Word,
    my_discriminator: Word,
    your_discriminator: Word,
    min_rx: Word,
    min_echo_rx: Word,
}

impl Probe {
    #[inline(always)]
    fn parse<F: Frame>(frame: &mut F, at: usize) -> Result<Self, Pass> {
        let datagram = frame.view::<DATAGRAM>(at).ok_or(Pass::SbfdShort)?;
        let words = *words::<{ DATAGRAM / 4 }>(datagram)?;
        let [[p0, p1, ..], [l0, l1, c0, c1], head, my_discriminator, your_discriminator, _, min_rx, min_echo_rx] =
            words;
        let [first, flags, detect_mult, length] = head;
        if [p0, p1] == PORT {
            return Err(Pass::SbfdSourcePort); // RFC 7881 §3: 7784 is what a reflector sends from
        }
        if [l0, l1] != LENGTH_FIELD || length as usize != LENGTH {
            return Err(Pass::SbfdLength);
        }
        if first >> 5 != VERSION {
            return Err(Pass::SbfdVersion);
        }
        if flags & (AUTHENTICATION | MULTIPOINT) != 0 {
            return Err(Pass::SbfdFlags);
        }
        if flags & DEMAND == 0 {
            return Err(Pass::SbfdResponse); // RFC 7880 §7.2.1: an initiator always sets it
        }
        if detect_mult == 0 {
            return Err(Pass::SbfdDetectMult);
        }
        if my_discriminator == [0; 4] {
            return Err(Pass::SbfdMyDiscriminator);
        }
        Ok(Self {
            source_port: [p0, p1],
            checksum: [c0, c1],
            head,
            my_discriminator,
            your_discriminator,
            min_rx,
            min_echo_rx,
        })
    }

    /// Notes that the initiator hears us, if it says so: its session is Up, or Down because we said AdminDown (RFC 5880
    /// §6.8.6). That is the self-test: frames of a peer reach the program, and what it answers reaches the peer.
    #[inline(always)]
    fn note<T: Tables>(&self, tables: &T, segment: &Segment) {
        let [first, flags, ..] = self.head;
        if flags >> 6 == State::Up as u8 || first & DIAGNOSTIC == Diagnostic::NEIGHBOUR_DOWN.code() {
            tables.note_heard(segment.id);
        }
    }

    /// What to answer, if the probe is for us. The lease is asked only then.
    #[inline(always)]
    fn reply<T: Tables>(&self, tables: &T) -> Result<Reply<'_>, Pass> {
        let reflector = tables.reflector();
        let is_ours = self.your_discriminator == reflector.discriminator().to_be_bytes();
        if !is_ours || reflector.discriminator() == 0 {
            return Err(Pass::SbfdYourDiscriminator);
        }
        let is_up = match Standing::of(tables) {
            Standing::Held(latch) => reflector.is_up_in(latch.epoch()),
            Standing::Lapsed => false,
            Standing::Gone => return Err(Pass::SuppressLimit),
        };
        let (state, diagnostic) =
            if is_up { (State::Up, Diagnostic::NONE) } else { (State::AdminDown, Diagnostic::ADMIN_DOWN) };
        let [_, flags, detect_mult, length] = self.head;
        let finish = if flags & POLL != 0 { FINAL } else { 0 };
        // C says that this reflector outlives its control plane: it is in the driver.
        let flags = (state as u8) << 6 | finish | CONTROL_PLANE_INDEPENDENT;
        let head = [VERSION << 5 | diagnostic.code(), flags, detect_mult, length];
        Ok(Reply { probe: self, head, done: if is_up { Done::SbfdUp } else { Done::SbfdAdminDown } })
    }
}

/// The datagram of the reflector (RFC 7880 §7.2.2).
struct Reply<'a> {
    probe: &'a Probe,
    head: Word,
    done: Done,
}

impl Reply<'_> {
    #[inline(always)]
    fn write<F: Frame>(&self, frame: &mut F, segment: &Segment, at: usize) -> Outcome {
        let probe = self.probe;
        let [c0, c1] = self.checksum();
        let [p0, p1] = PORT;
        let [s0, s1] = probe.source_port;
        let [l0, l1] = LENGTH_FIELD;
        let datagram = frame.view::<DATAGRAM>(at).ok_or(Pass::Access)?;
        let words = words_mut::<{ DATAGRAM / 4 }>(datagram)?;
        let [_, _, _, _, _, desired_min_tx, ..] = *words;
        *words = [
            [p0, p1, s0, s1],
            [l0, l1, c0, c1],
            self.head,
            probe.your_discriminator,
            probe.my_discriminator,
            desired_min_tx,
            MIN_RX.to_be_bytes(),
            [0; 4],
        ];
        turn(frame, segment).ok_or(Pass::Access)?;
        Ok(self.done)
    }

    /// RFC 1624 §3: HC' = ~(~HC + ~m + m'), over the three words that changed. A sender that sent no checksum (0, IPv4
    /// only) gets none; a sum of 0 is sent as ffff (RFC 768).
    #[inline(always)]
    fn checksum(&self) -> [u8; 2] {
        let Probe { checksum: [c0, c1], head, min_rx, min_echo_rx, .. } = *self.probe;
        if [c0, c1] == [0, 0] {
            return [0, 0];
        }
        let sum = Sum::default()
            .plus(pair([!c0, !c1, 0, 0], self.head))
            .plus(pair(complement(head), MIN_RX.to_be_bytes()))
            .plus(pair(complement(min_rx), complement(min_echo_rx)));
        match sum.checksum() {
            [0, 0] => [0xff, 0xff],
            checksum => checksum,
        }
    }
}
