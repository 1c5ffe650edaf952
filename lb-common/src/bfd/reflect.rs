//! The S-BFD reflector (RFC 7880 §7.2, RFC 7881): answers a probe for our discriminator on its own frame.
//!
//! Stateless. What an initiator learns is that this node's driver and this program run, and what
//! [`crate::abi::Reflector`] and the lease say: Up, or AdminDown ("take it from me").
//!
//! The words of 4 bytes that all fields begin on are lent at constant offsets and rewritten in place, as in
//! [`crate::ndp`]. Checksums are not verified but carried: every swap leaves both sums as they are, and what changes is
//! put into the UDP checksum by difference, so a probe that came damaged goes back as damaged, and its sender drops it.
//!
//! Two reflectors cannot keep a packet going: what is reflected has D=1 and a source port other than 7784, what goes out
//! has D=0 and is sent to that source port.
//!
//! Spec: RFC 7880 §7.2.2 (fields), RFC 7881 §3 and §5 (ports, TTL), RFC 1624 (checksum).

use super::{
    AUTHENTICATION, CONTROL_PLANE_INDEPENDENT, DEMAND, Diagnostic, FINAL, LENGTH, MULTIPOINT, POLL, SBFD_PORT, State,
    TTL, VERSION,
};
use crate::{
    abi::Segment,
    csum::Sum,
    eth::{self, Addresses},
    frame::Frame,
    outcome::{Done, Outcome, Pass},
    tables::{Standing, Tables},
};

/// What a reply says in Required Min RX Interval: more often than this (microseconds) nobody need probe.
pub const MIN_RX: u32 = 1_000;

/// Protocol number of UDP.
const UDP: u8 = 17;
/// Bytes of an IPv4 header without options.
const IP4: usize = 20;
/// Bytes of the IPv6 header.
const IP6: usize = 40;
/// Bytes of the UDP header.
const UDP_HEADER: usize = 8;
/// Bytes of the UDP datagram.
const DATAGRAM: usize = UDP_HEADER + LENGTH;
/// UDP's length field.
const LENGTH_FIELD: [u8; 2] = [0, 32];
const PORT: [u8; 2] = SBFD_PORT.to_be_bytes();
/// The diagnostic's bits in the first byte (RFC 5880 §4.1).
const DIAGNOSTIC: u8 = 0x1f;
/// More Fragments, and the offset (RFC 791 §3.1).
const FRAGMENT: u16 = 0x3fff;

type Word = [u8; 4];

const _: () = assert!(u16::from_be_bytes(LENGTH_FIELD) as usize == DATAGRAM);

/// Whether an IPv4 packet is for UDP port 7784: the only question asked of foreign IPv4 traffic.
#[inline(always)]
pub fn is_sbfd4<F: Frame>(frame: &mut F, payload: usize) -> bool {
    let Some(&mut [protocol]) = frame.view::<1>(payload + 9) else { return false };
    if protocol != UDP {
        return false;
    }
    let Some(&mut [first]) = frame.view::<1>(payload) else { return false };
    frame.view::<2>(payload + (first & 0x0f) as usize * 4 + 2).is_some_and(|port| *port == PORT)
}

/// Whether an IPv6 packet is for UDP port 7784.
#[inline(always)]
pub fn is_sbfd6<F: Frame>(frame: &mut F, payload: usize) -> bool {
    let Some(&mut [next_header]) = frame.view::<1>(payload + 6) else { return false };
    next_header == UDP && frame.view::<2>(payload + IP6 + 2).is_some_and(|port| *port == PORT)
}

/// Judges the IPv4 packet at `payload` and reflects it if it is a probe for our discriminator.
#[inline(always)]
pub fn respond4<F: Frame, T: Tables>(frame: &mut F, tables: &T, segment: &Segment, payload: usize) -> Outcome {
    judge_addresses(frame, segment)?;
    judge_ip4(frame, payload)?;
    let probe = Probe::parse(frame, payload + IP4)?;
    let reply = probe.reply(tables)?;
    probe.note(tables, segment);
    swap_ip4(frame, payload).ok_or(Pass::Access)?;
    reply.write(frame, segment, payload + IP4)
}

/// Judges the IPv6 packet at `payload` and reflects it if it is a probe for our discriminator.
#[inline(always)]
pub fn respond6<F: Frame, T: Tables>(frame: &mut F, tables: &T, segment: &Segment, payload: usize) -> Outcome {
    judge_addresses(frame, segment)?;
    judge_ip6(frame, payload)?;
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
fn judge_addresses<F: Frame>(frame: &mut F, segment: &Segment) -> Result<(), Pass> {
    let addresses = Addresses::parse(frame).ok_or(Pass::SbfdShort)?;
    if addresses.source == segment.mac {
        return Err(Pass::OwnFrame);
    }
    if addresses.destination != segment.mac {
        return Err(Pass::SbfdDestination);
    }
    if !eth::is_station(&addresses.source) {
        return Err(Pass::SbfdSender);
    }
    Ok(())
}

/// No options, no fragment, TTL 255, and room for the datagram and nothing else.
#[inline(always)]
fn judge_ip4<F: Frame>(frame: &mut F, payload: usize) -> Result<(), Pass> {
    let header = frame.view::<IP4>(payload).ok_or(Pass::SbfdShort)?;
    let [[first, _, l0, l1], [_, _, f0, f1], [ttl, ..], source, destination] = *words::<5>(header)?;
    if first >> 4 != 4 {
        return Err(Pass::SbfdIpVersion);
    }
    if first != 0x45 {
        return Err(Pass::SbfdOptions);
    }
    if u16::from_be_bytes([f0, f1]) & FRAGMENT != 0 {
        return Err(Pass::SbfdFragment);
    }
    if u16::from_be_bytes([l0, l1]) as usize != IP4 + DATAGRAM {
        return Err(Pass::SbfdLength);
    }
    if ttl != TTL {
        return Err(Pass::SbfdTtl);
    }
    if !is_host4(source) || !is_host4(destination) {
        return Err(Pass::SbfdAddress);
    }
    Ok(())
}

/// Hop limit 255, and room for the datagram and nothing else. Extension headers never come here.
#[inline(always)]
fn judge_ip6<F: Frame>(frame: &mut F, payload: usize) -> Result<(), Pass> {
    let header = frame.view::<IP6>(payload).ok_or(Pass::SbfdShort)?;
    let [[first, ..], [l0, l1, _, hop_limit], s0, s1, s2, s3, d0, d1, d2, d3] = *words::<10>(header)?;
    if first >> 4 != 6 {
        return Err(Pass::SbfdIpVersion);
    }
    if u16::from_be_bytes([l0, l1]) as usize != DATAGRAM {
        return Err(Pass::SbfdLength);
    }
    if hop_limit != TTL {
        return Err(Pass::SbfdTtl);
    }
    if !is_host6([s0, s1, s2, s3]) || !is_host6([d0, d1, d2, d3]) {
        return Err(Pass::SbfdAddress);
    }
    Ok(())
}

/// Not 0/8, not a group, not reserved, not broadcast (RFC 1122 §3.2.1.3).
#[inline(always)]
fn is_host4([first, ..]: Word) -> bool {
    first != 0 && first < 224
}

/// Neither a group nor unspecified.
#[inline(always)]
fn is_host6([a, b, c, d]: [Word; 4]) -> bool {
    let any = u32::from_ne_bytes(a) | u32::from_ne_bytes(b) | u32::from_ne_bytes(c) | u32::from_ne_bytes(d);
    a[0] != 0xff && any != 0
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
        let asker = Addresses::parse(frame).ok_or(Pass::Access)?.source;
        Addresses { destination: asker, source: segment.mac }.write(frame).ok_or(Pass::Access)?;
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

#[inline(always)]
fn swap_ip4<F: Frame>(frame: &mut F, payload: usize) -> Option<()> {
    let [.., s, d] = words_mut::<5>(frame.view::<IP4>(payload)?).ok()?;
    core::mem::swap(s, d);
    Some(())
}

#[inline(always)]
fn swap_ip6<F: Frame>(frame: &mut F, payload: usize) -> Option<()> {
    let [_, _, s0, s1, s2, s3, d0, d1, d2, d3] = words_mut::<10>(frame.view::<IP6>(payload)?).ok()?;
    core::mem::swap(s0, d0);
    core::mem::swap(s1, d1);
    core::mem::swap(s2, d2);
    core::mem::swap(s3, d3);
    Some(())
}

#[inline(always)]
fn complement(word: Word) -> Word {
    (!u32::from_ne_bytes(word)).to_ne_bytes()
}

#[inline(always)]
fn pair([a, b, c, d]: Word, [e, f, g, h]: Word) -> [u8; 8] {
    [a, b, c, d, e, f, g, h]
}

/// `N` words as they begin.
#[inline(always)]
fn words<const N: usize>(bytes: &[u8]) -> Result<&[Word; N], Pass> {
    bytes.as_chunks().0.first_chunk().ok_or(Pass::Access)
}

/// The same, to be written.
#[inline(always)]
fn words_mut<const N: usize>(bytes: &mut [u8]) -> Result<&mut [Word; N], Pass> {
    bytes.as_chunks_mut().0.first_chunk_mut().ok_or(Pass::Access)
}
