//! The kernel program as the one who stands in for this thread: what it is told of each session, and what it says it has
//! heard.
//!
//! A session that is Up is in the program's map ([`BfdSession`]), with the moment until which the next packet of this thread
//! is to be expected. Past it the program answers the peer (`lb_common::bfd::stand_in`): while the thread is late, stopped,
//! or gone with its process, for as long as the lease holds. What the program notes in return is the only ground on which it
//! is promised (bit C): it has just met a packet of the peer, and could have answered it.
//!
//! Without the maps nothing is promised and the sessions are as they are without a program.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    num::NonZeroU32,
    path::Path as FilePath,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use aya::maps::{Array, HashMap, Map, MapData, MapError};
use lb_common::{
    abi::{BfdSession, BfdWord, MAX_BFD, name},
    bfd::Packet,
    lease::{LATCH, Latch, Nanos},
};

use crate::{clock, xdp::pins::Pins};

/// How long sessions of the process before stay in the program's care if nobody asks for them: as long as a router keeps the
/// routes of a BGP session that restarts, at most.
const UNCLAIMED: Duration = Duration::from_secs(30);

/// The program, if it can be reached.
#[derive(Default)]
pub(super) struct StandIn {
    maps: Option<Maps>,
    /// The epoch of the lease.
    epoch: u16,
    /// What stands in the program's map of this process's sessions.
    told: BTreeMap<NonZeroU32, Told>,
    /// The same of the process before, until its sessions are taken up.
    before: BTreeMap<NonZeroU32, BfdSession>,
    /// When the rest of them is given up.
    unclaimed_until: Option<Instant>,
    /// Something failed and was said.
    failed: bool,
}

struct Maps {
    sessions: HashMap<MapData, [u8; 4], BfdSession>,
    moments: Array<MapData, u64>,
    lease: Array<MapData, u64>,
}

struct Told {
    session: BfdSession,
    /// What the program noted before is of another session.
    since: Nanos,
}

/// A session as the program needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wanted {
    /// What was sent last.
    pub(super) sent: Packet,
    pub(super) peer: IpAddr,
    pub(super) local: IpAddr,
    pub(super) source_port: u16,
    pub(super) port: u16,
    pub(super) least_ttl: u8,
}

impl Wanted {
    fn session(&self, slot: u32, epoch: u16) -> BfdSession {
        let packet = Packet {
            poll: false,
            finish: false,
            control_plane_independent: true,
            // Who loops echo packets back is the thread.
            required_min_echo_rx: 0,
            ..self.sent
        };
        BfdSession {
            peer: mapped(self.peer),
            local: mapped(self.local),
            packet: packet.to_bytes(),
            source_port: self.source_port.to_be_bytes(),
            port: self.port.to_be_bytes(),
            slot,
            epoch,
            least_ttl: self.least_ttl,
            pad: 0,
        }
    }
}

impl StandIn {
    /// Reaches for the program's maps under a BPF file system, and for what the process before left in them.
    pub(super) fn open(bpffs: Option<&FilePath>) -> Self {
        let Some(bpffs) = bpffs else { return Self::default() };
        match Self::try_open(&Pins::at(bpffs)) {
            Ok(stand_in) => stand_in,
            Err(error) => {
                tracing::warn!(
                    "{error:#}: no BFD session will outlast this process for longer than its detection time"
                );
                Self::default()
            }
        }
    }

    fn try_open(pins: &Pins) -> anyhow::Result<Self> {
        let open = |name: &str| {
            let path = pins.map(name);
            MapData::from_pin(&path).with_context(|| format!("open the map {}", path.display()))
        };
        let maps = Maps {
            sessions: Map::HashMap(open(name::BFD_SESSIONS)?).try_into()?,
            moments: Map::Array(open(name::BFD_MOMENTS)?).try_into()?,
            lease: Map::Array(open(name::LEASE)?).try_into()?,
        };
        let left: Result<BTreeMap<_, _>, MapError> =
            maps.sessions.iter().map(|item| item.map(|(key, session)| (u32::from_be_bytes(key), session))).collect();
        let left = left.context("read the BFD sessions of the process before")?;
        let before = left.into_iter().filter_map(|(key, session)| Some((NonZeroU32::new(key)?, session))).collect();
        Ok(Self { maps: Some(maps), before, unclaimed_until: Some(Instant::now() + UNCLAIMED), ..Self::default() })
    }

    /// Looks at the lease, once per turn of the thread. Gives up what nobody has asked for.
    pub(super) fn begin_turn(&mut self, now: Instant) {
        let Some(maps) = &self.maps else { return };
        if let Ok(word) = maps.lease.get(&LATCH, 0) {
            self.epoch = Latch(word).epoch();
        }
        if self.unclaimed_until.is_some_and(|until| until <= now) {
            self.unclaimed_until = None;
            self.give_up(|_| true);
        }
    }

    /// When [`StandIn::begin_turn`] has something to do.
    pub(super) fn next(&self) -> Option<Instant> {
        self.unclaimed_until.filter(|_| !self.before.is_empty())
    }

    /// A session is made for a peer: what the process before had with it is over, but for what may go on.
    pub(super) fn begin(&mut self, peer: IpAddr, port: u16, goes_on: impl Fn(NonZeroU32) -> bool) {
        let (peer, port) = (mapped(peer), port.to_be_bytes());
        self.give_up(|(number, session)| session.peer == peer && session.port == port && !goes_on(number));
    }

    /// The peer's packets are wanted here until `until`, though none is sent: a session of the process before goes on, if
    /// the peer says so.
    pub(super) fn listen(&mut self, number: NonZeroU32, until: Instant) {
        let slot = self.before.get(&number).map(|session| session.slot);
        if let Some(slot) = slot {
            self.set_until(slot, until);
        }
    }

    /// A session as it is after its packet has gone out; the next one follows by `until`. `None`: the program must not
    /// answer for it.
    pub(super) fn tell(&mut self, number: NonZeroU32, wanted: Option<&Wanted>, until: Instant) {
        let Some(wanted) = wanted else { return self.withdraw(number) };
        let standing = self.told.get(&number).map(|told| told.session);
        let Some(slot) =
            standing.or_else(|| self.before.get(&number).copied()).map_or_else(|| self.free(), |is| Some(is.slot))
        else {
            return self.report("every place for a BFD session is taken");
        };
        self.set_until(slot, until);
        let session = wanted.session(slot, self.epoch);
        if standing == Some(session) {
            return;
        }
        let Some(maps) = &mut self.maps else { return };
        if let Err(error) = maps.sessions.insert(number.get().to_be_bytes(), session, 0) {
            self.withdraw(number);
            return self.report(&format!("tell the kernel program of the BFD session with {}: {error}", wanted.peer));
        }
        let is_known = self.before.remove(&number).is_some();
        let since = if is_known { 1 } else { clock::nanos(clock::monotonic()) };
        let since = self.told.get(&number).map_or(since, |told| told.since);
        self.told.insert(number, Told { session, since });
    }

    /// The program must not answer for a session any more, whoever told it to.
    pub(super) fn withdraw(&mut self, number: NonZeroU32) {
        let is_known = self.told.remove(&number).is_some() | self.before.remove(&number).is_some();
        if is_known && let Some(maps) = &mut self.maps {
            // What the program has removed itself is not there.
            drop(maps.sessions.remove(&number.get().to_be_bytes()));
        }
    }

    /// A session is left to the program and to the next process.
    pub(super) fn leave(&mut self, number: NonZeroU32) {
        self.unclaimed_until = None;
        self.before.extend(self.told.remove(&number).map(|told| (number, told.session)));
    }

    /// When the program last heard the peer of a session in a packet that it could have answered, as of `now`.
    pub(super) fn heard(&self, number: NonZeroU32, now: Instant) -> Option<Instant> {
        let maps = self.maps.as_ref()?;
        let told = self.told.get(&number).map(|told| (told.session.slot, told.since));
        let (slot, since) = told.or_else(|| self.before.get(&number).map(|session| (session.slot, 1)))?;
        let heard = maps.moments.get(&BfdWord::Heard.index(slot), 0).ok()?;
        let ago = clock::nanos(clock::monotonic()).saturating_sub(heard);
        // What stands there may be of the session that had the slot before.
        (heard >= since).then(|| now.checked_sub(Duration::from_nanos(ago)))?
    }

    fn give_up(&mut self, is_over: impl Fn((NonZeroU32, &BfdSession)) -> bool) {
        let over: Vec<NonZeroU32> = self
            .before
            .iter()
            .filter(|(number, session)| is_over((**number, session)))
            .map(|(number, _)| *number)
            .collect();
        over.into_iter().for_each(|number| self.withdraw(number));
    }

    fn free(&self) -> Option<u32> {
        let told = self.told.values().map(|told| told.session.slot);
        let used: BTreeSet<u32> = told.chain(self.before.values().map(|session| session.slot)).collect();
        (0..MAX_BFD).find(|slot| !used.contains(slot))
    }

    fn set_until(&mut self, slot: u32, until: Instant) {
        let ahead = clock::monotonic() + until.saturating_duration_since(Instant::now());
        let Some(maps) = &mut self.maps else { return };
        if let Err(error) = maps.moments.set(BfdWord::Until.index(slot), clock::nanos(ahead), 0) {
            self.report(&format!("tell the kernel program when a BFD packet is due: {error}"));
        }
    }

    /// Once: the thread has no time for a log per packet.
    fn report(&mut self, what: &str) {
        if !std::mem::replace(&mut self.failed, true) {
            tracing::warn!("{what}: not every BFD session will outlast this process");
        }
    }
}

fn mapped(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}
