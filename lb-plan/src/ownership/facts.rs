//! Snapshots: this node's links, the other nodes, and the addresses. Each is compared with what was known, and only
//! what differs is judged anew.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

use lb_api::virtual_ip::Phase;

use super::{
    input::{Address, Link, Node},
    judge,
    machine::{Machine, TAKEN_UP},
    output::{Loss, Output},
    place::{Hold, Place, State, Terms},
    timers::Timer,
    world::{LinkState, ME, NodeIx, PlaceIx},
};
use crate::agent::{EntryKey, Mac, SegmentId};

impl Machine {
    /// This node's stations, one for each segment. A link that is running when it is first seen at the start counts as
    /// heard: nobody saw its carrier come up.
    pub fn set_links(&mut self, now: Duration, links: impl IntoIterator<Item = Link>) {
        let starts = self.world.segments_mut().next().is_none();
        let mut left: BTreeSet<SegmentId> = self.world.segments_mut().map(|(id, _)| id).collect();
        for link in links {
            left.remove(&link.segment);
            self.set_link(now, link, starts);
        }
        for segment in left {
            self.set_link(now, Link { segment, mac: Mac::default(), running: false }, false);
        }
    }

    /// The segments on which this node cannot know who else stands there. What is held there stays held until it is
    /// claimed, and nothing is taken.
    pub fn set_blind(&mut self, blind: &BTreeSet<SegmentId>) {
        let mut changed = Vec::new();
        for (id, segment) in self.world.segments_mut() {
            let is = blind.contains(&id);
            if std::mem::replace(&mut segment.blind, is) != is {
                changed.push(id);
            }
        }
        changed.into_iter().for_each(|id| self.segment_dirty(id));
    }

    fn set_link(&mut self, now: Duration, link: Link, starts: bool) {
        let quiet = LinkState::Quiet { until: now + self.world.timing.quiet_link };
        let segment = self.world.segment_or_new(link.segment);
        let was = (segment.link, segment.mac);
        segment.mac = link.mac;
        segment.link = match segment.link {
            _ if !link.running => LinkState::Down,
            LinkState::Down if starts => LinkState::Usable,
            LinkState::Down => quiet,
            running @ (LinkState::Quiet { .. } | LinkState::Usable) => running,
        };
        let other_mac = was.1 != link.mac;
        if was.0 != segment.link {
            self.segment_dirty(link.segment);
        } else if other_mac && link.running {
            let held = self.held_on(link.segment);
            for ix in held {
                self.with_place(now, ix, |context, place| context.announce_series(place));
            }
        }
    }

    pub(super) fn held_on(&self, id: SegmentId) -> Vec<PlaceIx> {
        let held = |place: &Place| place.key.segment == id && place.hold().is_some();
        self.places.iter().filter(|(_, place)| held(place)).map(|(ix, _)| ix).collect()
    }

    /// All other nodes.
    pub fn set_nodes<'a>(&mut self, _now: Duration, nodes: impl IntoIterator<Item = Node<'a>>) {
        let mut macs: BTreeMap<(SegmentId, NodeIx), Mac> = BTreeMap::new();
        let mut ready: BTreeSet<NodeIx> = BTreeSet::new();
        for node in nodes {
            let number = self.world.number(node.name);
            if number == ME {
                continue;
            }
            ready.extend(node.ready.then_some(number));
            macs.extend(node.macs.iter().map(|(segment, mac)| ((*segment, number), *mac)));
        }
        let changed: Vec<NodeIx> = self
            .world
            .nodes_mut()
            .filter_map(|(number, known)| {
                let now_ready = ready.contains(&number);
                (std::mem::replace(&mut known.ready, now_ready) != now_ready).then_some(number)
            })
            .collect();
        let mut dirty: BTreeSet<(SegmentId, NodeIx)> = BTreeSet::new();
        for (id, segment) in self.world.segments_mut() {
            dirty.extend(changed.iter().map(|node| (id, *node)));
            let known = segment.peers.keys().copied();
            let listed = macs.range((id, 0)..=(id, NodeIx::MAX)).map(|((_, node), _)| *node);
            for node in known.chain(listed).collect::<BTreeSet<_>>() {
                let mac = macs.get(&(id, node)).copied();
                if segment.peer(node).mac != mac {
                    segment.peer(node).mac = mac;
                    dirty.insert((id, node));
                }
            }
            segment.by_mac = segment.peers.iter().filter_map(|(node, peer)| Some((peer.mac?, *node))).collect();
        }
        for (id, node) in dirty {
            self.peer_dirty(id, node);
            self.rates.insert((id, node));
        }
    }

    /// All addresses. One that is not among them is let go, and forgotten.
    pub fn set_addresses<'a>(&mut self, now: Duration, addresses: impl IntoIterator<Item = Address<'a>>) {
        let mut left: BTreeSet<EntryKey> = self.places.iter().map(|(_, place)| place.key).collect();
        for address in addresses {
            for segment in address.segments {
                left.remove(&EntryKey { segment: *segment, address: address.address });
            }
            self.upsert(now, address);
        }
        for key in left {
            self.forget(key);
        }
    }

    /// One address that is new, or has changed.
    pub fn set_address(&mut self, now: Duration, address: Address<'_>) {
        let segments: Vec<SegmentId> = self.world.segments_mut().map(|(id, _)| id).collect();
        for segment in segments.into_iter().filter(|segment| !address.segments.contains(segment)) {
            self.forget(EntryKey { segment, address: address.address });
        }
        self.upsert(now, address);
    }

    /// One address that is no more.
    pub fn remove_address(&mut self, address: IpAddr) {
        let segments: Vec<SegmentId> = self.world.segments_mut().map(|(id, _)| id).collect();
        for segment in segments {
            self.forget(EntryKey { segment, address });
        }
    }

    /// An answer entry of an earlier agent that stands, in a lease that never ended: it is held on, without a gap and
    /// without warm-up. To be called after [`super::Input::Lease`] and before the addresses are set, for each entry whose generation is above what the
    /// program noted as yielded.
    pub fn take_up(&mut self, now: Duration, key: EntryKey, generation: u32) {
        self.standing.insert(key, generation);
        self.skip_generations(generation);
        self.world.own.resume(now);
    }

    /// Generations up to this one were used before: they stand in the table, in whatever epoch, or are noted as yielded.
    pub fn skip_generations(&mut self, highest: u32) {
        self.generation = self.generation.max(highest);
    }

    fn upsert(&mut self, now: Duration, address: Address<'_>) {
        let ranking: Arc<[NodeIx]> = address.nodes.iter().map(|name| self.world.number(name)).collect();
        let terms = Terms {
            released: address.phase == Phase::Released,
            ranking,
            failback: address.failback,
            conflict: address.conflict,
        };
        for segment in address.segments {
            let key = EntryKey { segment: *segment, address: address.address };
            match self.places.find(key) {
                Some(ix) => self.change_terms(now, ix, &terms),
                None => self.add_place(now, key, terms.clone()),
            }
        }
    }

    fn add_place(&mut self, now: Duration, key: EntryKey, terms: Terms) {
        let mut place = Place::new(now, key, terms);
        if let Some(generation) = self.standing.remove(&key) {
            place.state = State::Hold(Hold {
                why: TAKEN_UP,
                from: None,
                generation,
                claimed_at: Duration::ZERO,
                claimed: true,
                firm: false,
                refresh_at: now + self.world.timing.verify * 2,
                verify_at: Some(now + self.world.timing.verify),
                contested: false,
                unannounced: false,
                defended_at: None,
            });
        }
        let ix = self.places.add(place);
        self.with_place(now, ix, |context, place| context.watch(place));
        self.dirty.insert(ix);
    }

    fn change_terms(&mut self, now: Duration, ix: PlaceIx, terms: &Terms) {
        if self.places.at(ix).is_some_and(|place| place.terms == *terms) {
            return;
        }
        self.with_place(now, ix, |context, place| {
            let holder = judge::believed_holder(context.world, place);
            let was_below = holder.is_some_and(|holder| place.is_below_me(holder));
            place.terms = terms.clone();
            let is_below = holder.is_some_and(|holder| place.is_below_me(holder));
            // The controller put this node above the holder: that is no failback.
            place.promoted = place.hold().is_none() && ((place.promoted || !was_below) && is_below);
            context.watch(place);
        });
        self.dirty.insert(ix);
    }

    fn forget(&mut self, key: EntryKey) {
        let Some(ix) = self.places.find(key) else { return };
        self.with_place(Duration::ZERO, ix, |context, place| context.unwatch(place));
        let held = self.places.remove(ix).is_some_and(|place| place.hold().is_some());
        self.timers.set(Timer::Place(ix), None);
        self.dirty.remove(&ix);
        if held {
            *self.counters.losses.entry(Loss::Gone).or_default() += 1;
        }
        self.out.push(Output::Forget { key });
    }
}
