//! Stands in for the agent: answers a router's BFD packets (RFC 5880 asynchronous mode) on their own frames while the agent
//! sends none of its own, so that a session outlives the process that made it.
//!
//! Clocked by the router: one packet out for one in, at most as often as it wants them, and each poll at once. It keeps a
//! session Up and does nothing else. What says anything but Up in this very session is the agent's; with no agent there,
//! the session is over, and the next packet of it is not answered.
//!
//! * While the agent's own packets come ([`BfdWord::Until`]) the program only notes that it could answer
//!   ([`BfdWord::Heard`]). By that the agent knows that it may promise it (bit C), and after a pause of its own that the
//!   router was heard meanwhile.
//! * Nothing is answered without the lease, in the session's epoch.
//! * What the router may not rely on is not begun: [`keeps_up`].
//! * Authentication and demand mode are the agent's alone. A UDP checksum is made, not carried: over a veth it may not be
//!   there yet.
//!
//! Two of these cannot keep a packet going: an answer to an answer comes sooner than a packet is wanted, and F asks for none.
//!
//! Spec: RFC 5880 §6.8.6 (reception), §6.8.7 (transmission), §6.8.4 (detection); RFC 5881 §4, §5; RFC 5883 §5.

use super::{
    AUTHENTICATION, DEMAND, FINAL, LENGTH, MULTIPOINT, POLL, State, TTL, VERSION,
    datagram::{
        DATAGRAM, Fault, IP4, IP6, Ip, LENGTH_FIELD, UDP, Word, complement, judge_addresses, judge_ip4, judge_ip6,
        pair, swap_ip4, swap_ip6, turn, words, words_mut,
    },
};
use crate::{
    abi::{BfdSession, BfdWord, Segment},
    csum::Sum,
    frame::Frame,
    lease::Nanos,
    outcome::{Done, Outcome, Pass},
    tables::{Standing, Tables},
};

/// The intervals of one side, as its packets carry them, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Desired Min TX Interval.
    pub desired_min_tx: u32,
    /// Required Min RX Interval.
    pub required_min_rx: u32,
}

impl Pace {
    /// How often this side sends to the other (§6.8.2).
    #[inline(always)]
    const fn interval_to(self, other: Self) -> u64 {
        if self.desired_min_tx > other.required_min_rx {
            self.desired_min_tx as u64
        } else {
            other.required_min_rx as u64
        }
    }
}

/// Whether answers to the neighbour's packets keep us Up at the neighbour, which waits for `detect_mult` of our intervals.
///
/// The agent's last packet is missed one interval of ours later, and what comes next of the neighbour is answered. One of its
/// packets, or of the answers, may be lost.
#[inline(always)]
pub const fn keeps_up(ours: Pace, detect_mult: u8, theirs: Pace) -> bool {
    let interval = ours.interval_to(theirs);
    let beat = theirs.interval_to(ours);
    theirs.required_min_rx != 0 && interval + 2 * beat <= interval * detect_mult as u64
}

/// Judges the IPv4 packet at `payload`, sent to `port`, and answers it if it is of a session that the agent is away from.
#[inline(always)]
pub fn respond4<F: Frame, T: Tables>(
    frame: &mut F,
    tables: &T,
    segment: &Segment,
    payload: usize,
    port: u16,
) -> Outcome {
    judge_addresses(frame, segment).map_err(refusal)?;
    let ip = judge_ip4(frame, payload).map_err(refusal)?;
    let packet = Heard::parse(frame, payload + IP4)?;
    let session = packet.session(tables, &ip, port)?;
    if !packet.is_due(tables, session)? {
        return Ok(Done::BfdSpared);
    }
    swap_ip4(frame, payload).ok_or(Pass::Access)?;
    restore_ttl(frame, payload).ok_or(Pass::Access)?;
    packet.write(frame, session, payload + IP4)?;
    turn(frame, segment).ok_or(Pass::Access)?;
    Ok(Done::BfdAnswered)
}

/// Judges the IPv6 packet at `payload`, sent to `port`, and answers it if it is of a session that the agent is away from.
#[inline(always)]
pub fn respond6<F: Frame, T: Tables>(
    frame: &mut F,
    tables: &T,
    segment: &Segment,
    payload: usize,
    port: u16,
) -> Outcome {
    judge_addresses(frame, segment).map_err(refusal)?;
    let ip = judge_ip6(frame, payload).map_err(refusal)?;
    let packet = Heard::parse(frame, payload + IP6)?;
    if packet.checksum == [0, 0] {
        return Err(Pass::BfdMalformed); // RFC 8200 §8.1: no UDP over IPv6 without a checksum
    }
    let session = packet.session(tables, &ip, port)?;
    if !packet.is_due(tables, session)? {
        return Ok(Done::BfdSpared);
    }
    swap_ip6(frame, payload).ok_or(Pass::Access)?;
    let [hop_limit] = frame.view::<1>(payload + 7).ok_or(Pass::Access)?;
    *hop_limit = TTL;
    packet.write(frame, session, payload + IP6)?;
    turn(frame, segment).ok_or(Pass::Access)?;
    Ok(Done::BfdAnswered)
}

#[inline(always)]
const fn refusal(fault: Fault) -> Pass {
    match fault {
        Fault::Short | Fault::IpVersion | Fault::Options | Fault::Fragment | Fault::Length | Fault::Address => {
            Pass::BfdMalformed
        }
        Fault::OwnFrame => Pass::OwnFrame,
        Fault::Destination | Fault::Sender => Pass::BfdStation,
    }
}

/// A packet that passed the checks of §6.8.6 that need no session.
struct Heard {
    checksum: [u8; 2],
    flags: u8,
    my_discriminator: Word,
    your_discriminator: Word,
    pace: Pace,
}

impl Heard {
    #[inline(always)]
    fn parse<F: Frame>(frame: &mut F, at: usize) -> Result<Self, Pass> {
        let datagram = frame.view::<DATAGRAM>(at).ok_or(Pass::BfdMalformed)?;
        let [_, [l0, l1, c0, c1], head, my_discriminator, your_discriminator, min_tx, min_rx, _] =
            *words::<{ DATAGRAM / 4 }>(datagram)?;
        let [first, flags, detect_mult, length] = head;
        if [l0, l1] != LENGTH_FIELD {
            return Err(Pass::BfdMalformed);
        }
        if first >> 5 != VERSION || length as usize != LENGTH || detect_mult == 0 {
            return Err(Pass::BfdPacket);
        }
        if flags & (AUTHENTICATION | MULTIPOINT | DEMAND) != 0 {
            return Err(Pass::BfdPacket);
        }
        let pace = Pace { desired_min_tx: u32::from_be_bytes(min_tx), required_min_rx: u32::from_be_bytes(min_rx) };
        Ok(Self { checksum: [c0, c1], flags, my_discriminator, your_discriminator, pace })
    }

    /// The session that the packet is of: both discriminators, both addresses and the port say so, and it came from near
    /// enough.
    #[inline(always)]
    fn session<'a, T: Tables>(&self, tables: &'a T, ip: &Ip, port: u16) -> Result<&'a BfdSession, Pass> {
        let session = tables.bfd_session(self.your_discriminator).ok_or(Pass::BfdSession)?;
        let [_, _, theirs, ..] = *words::<{ LENGTH / 4 }>(&session.packet)?;
        let is_its = theirs == self.my_discriminator
            && u16::from_be_bytes(session.port) == port
            && same(&session.peer, &ip.source)?
            && same(&session.local, &ip.destination)?;
        if !is_its {
            return Err(Pass::BfdSession);
        }
        if ip.ttl < session.least_ttl {
            return Err(Pass::BfdTtl);
        }
        Ok(session)
    }

    /// Whether an answer is due, which is then noted. `Err`: it is not ours to give.
    #[inline(always)]
    fn is_due<T: Tables>(&self, tables: &T, session: &BfdSession) -> Result<bool, Pass> {
        let now = tables.now();
        let is_away = now > tables.bfd_moment(session.slot, BfdWord::Until);
        if self.flags >> 6 != State::Up as u8 {
            if is_away {
                tables.forget_bfd_session(self.your_discriminator);
            }
            return Err(Pass::BfdState);
        }
        let [[_, _, detect_mult, _], _, _, min_tx, min_rx, _] = *words::<{ LENGTH / 4 }>(&session.packet)?;
        let ours = Pace { desired_min_tx: u32::from_be_bytes(min_tx), required_min_rx: u32::from_be_bytes(min_rx) };
        if !keeps_up(ours, detect_mult, self.pace) {
            return Err(Pass::BfdPace);
        }
        match Standing::of(tables) {
            Standing::Held(latch) if latch.epoch() == session.epoch => {}
            Standing::Held(_) | Standing::Lapsed | Standing::Gone => return Err(Pass::BfdLapsed),
        }
        tables.note_bfd_moment(session.slot, BfdWord::Heard, now);
        if !is_away {
            return Err(Pass::BfdAgent);
        }
        let since = now.saturating_sub(tables.bfd_moment(session.slot, BfdWord::Answered));
        if self.flags & POLL == 0 && since < least_gap(ours.interval_to(self.pace)) {
            return Ok(false);
        }
        tables.note_bfd_moment(session.slot, BfdWord::Answered, now);
        Ok(true)
    }

    /// The datagram that goes back (§6.8.7).
    #[inline(always)]
    fn write<F: Frame>(&self, frame: &mut F, session: &BfdSession, at: usize) -> Result<(), Pass> {
        let [[first, flags, detect_mult, length], rest @ ..] = *words::<{ LENGTH / 4 }>(&session.packet)?;
        let finish = if self.flags & POLL != 0 { FINAL } else { 0 };
        let head = [first, flags | finish, detect_mult, length];
        let [l0, l1] = LENGTH_FIELD;
        let [s0, s1] = session.source_port;
        let [p0, p1] = session.port;
        let [mine, yours, min_tx, min_rx, min_echo_rx] = rest;
        let ports = [s0, s1, p0, p1];
        // RFC 768, RFC 8200 §8.1: addresses, protocol and length, datagram. A mapped address adds ffff, which is nothing in
        // this sum, and the length is below 2^16: one sum is right in both families.
        let sum = addresses_sum(session)?
            .plus(pair([0, 0, 0, UDP], [0, 0, l0, l1]))
            .plus(pair(ports, [l0, l1, 0, 0]))
            .plus(pair(head, mine))
            .plus(pair(yours, min_tx))
            .plus(pair(min_rx, min_echo_rx));
        let [c0, c1] = match sum.checksum() {
            [0, 0] => [0xff, 0xff],
            checksum => checksum,
        };
        let datagram = frame.view::<DATAGRAM>(at).ok_or(Pass::Access)?;
        *words_mut::<{ DATAGRAM / 4 }>(datagram)? =
            [ports, [l0, l1, c0, c1], head, mine, yours, min_tx, min_rx, min_echo_rx];
        Ok(())
    }
}

/// The least time between two answers: the interval less the most that jitter may take off (§6.8.7), in nanoseconds. The
/// interval is in microseconds.
#[inline(always)]
const fn least_gap(interval: u64) -> Nanos {
    interval * 750
}

#[inline(always)]
fn same(bytes: &[u8; 16], address: &[Word; 4]) -> Result<bool, Pass> {
    Ok(words::<4>(bytes)? == address)
}

#[inline(always)]
fn addresses_sum(session: &BfdSession) -> Result<Sum, Pass> {
    let [a, b, c, d] = *words::<4>(&session.peer)?;
    let [e, f, g, h] = *words::<4>(&session.local)?;
    Ok(Sum::default().plus(pair(a, b)).plus(pair(c, d)).plus(pair(e, f)).plus(pair(g, h)))
}

/// Sends it as far as it came from (RFC 5881 §5), and puts the difference into the header's checksum (RFC 1624 §3).
#[inline(always)]
fn restore_ttl<F: Frame>(frame: &mut F, payload: usize) -> Option<()> {
    let [_, _, word, ..] = words_mut::<5>(frame.view::<IP4>(payload)?).ok()?;
    let [ttl, protocol, c0, c1] = *word;
    if ttl == TTL {
        return Some(());
    }
    let sum = Sum::default()
        .plus(pair([!c0, !c1, 0, 0], complement([ttl, protocol, 0xff, 0xff])))
        .plus(pair([TTL, protocol, 0, 0], [0; 4]));
    let [c0, c1] = sum.checksum();
    *word = [TTL, protocol, c0, c1];
    Some(())
}
