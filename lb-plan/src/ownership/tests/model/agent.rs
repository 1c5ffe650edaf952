//! An agent: the machine and the loop around it, as [`crate::ownership`] says it is driven.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use super::{
    super::*,
    kernel::Kernel,
    segment::{Frame, LEASE, WARM_UP, name},
};
use crate::ownership::rules::Rules;

/// Between two passes with nothing to do: the lease is renewed with each.
const PASS: Duration = Duration::from_millis(400);
/// A session's interval.
const INTERVAL: Duration = Duration::from_millis(50);
/// After this much silence a node is Down.
const DETECTION: Duration = Duration::from_millis(150);
/// When the copies of a series go out.
const SERIES: [u64; 5] = [0, 20, 60, 200, 1_300];

/// What waits for the agent's next turn.
#[derive(Debug, Clone, Copy)]
pub(super) enum Event {
    Sighting { address: u8, mac: Mac, says: Says, at: Duration },
    Link(bool),
}

/// One agent process.
#[derive(Debug, Clone)]
pub(super) struct Agent {
    pub(super) me: usize,
    pub(super) machine: Machine,
    pub(super) stopped: bool,
    pub(super) inbox: VecDeque<Event>,
    epoch: u16,
    copies: Vec<(Duration, u8)>,
    next_pass: Duration,
    watched: BTreeMap<usize, Session>,
    /// When a frame arrived last.
    pub(super) heard_at: Duration,
    /// Nothing may be taken before.
    pub(super) warm_at: Duration,
}

/// An S-BFD session, by what is true and since when.
#[derive(Debug, Clone, Copy)]
struct Session {
    reading: Reading,
    truth: Option<Reflect>,
    since: Duration,
}

impl Session {
    /// What the initiator will read, and when, if all stays as it is.
    fn will_be(&self) -> Option<(Duration, Reading)> {
        match (self.truth, self.reading) {
            (Some(Reflect::Up), Reading::Up) | (Some(Reflect::AdminDown), Reading::AdminDown) => None,
            (Some(Reflect::Up), _) => Some((self.since + INTERVAL, Reading::Up)),
            (Some(Reflect::AdminDown), _) => Some((self.since + INTERVAL, Reading::AdminDown)),
            (None, Reading::Unknown { in_grace: true }) => {
                Some((self.since + DETECTION, Reading::Unknown { in_grace: false }))
            }
            (None, Reading::Up | Reading::AdminDown) => Some((self.since + DETECTION, Reading::Down)),
            (None, Reading::Down | Reading::Unknown { in_grace: false }) => None,
        }
    }
}

impl Agent {
    /// Starts an agent of node `me`, which takes up the table that it finds if the lease still stands.
    pub(super) fn start(now: Duration, me: usize, nodes: usize, link: bool, kernel: &mut Kernel, rules: Rules) -> Self {
        let mut machine = Machine::with_rules(name(me), super::segment::timing(), rules);
        machine.set_links(now, [Link { segment: SEGMENT, mac: mac(name(me)), running: link }]);
        for other in (0..nodes).filter(|other| *other != me) {
            machine.world.number(name(other));
        }
        let macs: Vec<(usize, [(SegmentId, Mac); 1])> =
            (0..nodes).map(|node| (node, [(SEGMENT, mac(name(node)))])).collect();
        let others = macs.iter().filter(|(node, _)| *node != me);
        machine.set_nodes(now, others.map(|(node, macs)| Node { name: name(*node), ready: true, macs }));
        machine.skip_generations(kernel.highest_generation());
        let mut agent = Self {
            me,
            machine,
            stopped: false,
            inbox: VecDeque::new(),
            epoch: kernel.epoch,
            copies: Vec::new(),
            next_pass: now,
            watched: BTreeMap::new(),
            heard_at: Duration::ZERO,
            warm_at: now,
        };
        if kernel.is_held(now) {
            agent.machine.handle(now, Input::Health(healthy()));
            agent.machine.handle(now, Input::Lease(true));
            for (address, generation) in kernel.standing(now) {
                agent.machine.take_up(now, key(address), generation);
            }
        } else {
            agent.start_over(now, kernel);
        }
        agent
    }

    /// A new epoch, and a warm-up.
    fn start_over(&mut self, now: Duration, kernel: &mut Kernel) {
        self.warm_at = now + WARM_UP;
        self.machine.handle(now, Input::Lease(false));
        self.machine.handle(now, Input::Health(Health { hold_down_until: self.warm_at, ..healthy() }));
        self.epoch = kernel.epoch + 1;
        self.copies.clear();
        kernel.clear();
        kernel.renew(now, self.epoch, now + LEASE);
        self.machine.handle(now, Input::Lease(true));
        kernel.set_reflect(Reflect::AdminDown);
    }

    pub(super) fn rank(&mut self, now: Duration, address: u8, ranking: &[usize], released: bool, conflict: Conflict) {
        let nodes: Vec<String> = ranking.iter().map(|node| name(*node).to_owned()).collect();
        let phase = if released { Phase::Released } else { Phase::Bound };
        let failback = Failback::AtOnce;
        let address =
            Address { address: key(address).address, phase, nodes: &nodes, segments: &[SEGMENT], failback, conflict };
        self.machine.set_address(now, address);
    }

    /// What the wire says of each watched node now: silence, or what it reflects.
    pub(super) fn observe(&mut self, now: Duration, truth: impl Fn(usize) -> Option<Reflect>) {
        for (node, session) in &mut self.watched {
            let truth = truth(*node);
            if truth != session.truth {
                // Silence is counted while attended: a stopped agent begins anew.
                (session.truth, session.since) = (truth, now);
            }
            if self.stopped {
                session.since = now;
            }
        }
    }

    pub(super) fn next(&self) -> Option<Duration> {
        if self.stopped {
            return None;
        }
        let copies = self.copies.iter().map(|(due, _)| *due);
        let sessions = self.watched.values().filter_map(Session::will_be).map(|(due, _)| due);
        let inbox = (!self.inbox.is_empty()).then_some(Duration::ZERO);
        copies.chain(sessions).chain(self.machine.next()).chain(inbox).chain([self.next_pass]).min()
    }

    /// One turn of the loop. The frames that it sends, and what it took.
    pub(super) fn turn(&mut self, now: Duration, kernel: &mut Kernel) -> (Vec<Frame>, Vec<(u8, Why)>) {
        if self.stopped || self.next().is_none_or(|due| due > now) {
            return Default::default();
        }
        while let Some(event) = self.inbox.pop_front() {
            self.event(now, event);
        }
        if now <= self.heard_at + INTERVAL {
            self.machine.handle(now, Input::Heard { segment: SEGMENT });
        }
        self.read_sessions(now);
        if now >= self.next_pass {
            self.next_pass = now + PASS;
            if !kernel.renew(now, self.epoch, now + LEASE) {
                self.start_over(now, kernel);
            }
        }
        let outputs = self.machine.poll(now);
        let (mut frames, takes) = self.apply(now, kernel, outputs);
        frames.extend(self.send_copies(now));
        (frames, takes)
    }

    fn event(&mut self, now: Duration, event: Event) {
        match event {
            Event::Sighting { address, mac, says, at } => {
                self.machine.handle(now, Input::Sighting(Sighting { key: key(address), mac, says, at }));
            }
            Event::Link(running) => {
                self.machine.set_links(now, [Link { segment: SEGMENT, mac: mac(name(self.me)), running }]);
            }
        }
    }

    fn read_sessions(&mut self, now: Duration) {
        for (node, session) in &mut self.watched {
            while let Some((due, reading)) = session.will_be().filter(|(due, _)| *due <= now) {
                session.reading = reading;
                session.since = session.since.max(due - INTERVAL);
                self.machine.handle(now, Input::Session { segment: SEGMENT, node: name(*node), reading });
            }
        }
    }

    fn apply(&mut self, now: Duration, kernel: &mut Kernel, outputs: Vec<Output>) -> (Vec<Frame>, Vec<(u8, Why)>) {
        let mut frames = Vec::new();
        let mut takes = Vec::new();
        for output in outputs {
            match output {
                Output::Answer { key, generation } => {
                    let again = kernel.has_answer(number(key));
                    kernel.set_answer(number(key), generation);
                    let why = self.machine.status(key).and_then(|status| status.holding.ok());
                    takes.extend(why.filter(|_| !again).map(|why| (number(key), why)));
                }
                Output::Suppress { key } | Output::Forget { key } => {
                    kernel.set_suppress(number(key));
                    self.copies.retain(|(_, address)| *address != number(key));
                }
                Output::Announce { key, copies: Copies::Series } => {
                    self.copies.extend(SERIES.map(|after| (now + ms(after), number(key))));
                }
                Output::Announce { key, copies: Copies::One | Copies::Refresh } => self.copies.push((now, number(key))),
                Output::Hush { key } => self.copies.retain(|(_, address)| *address != number(key)),
                Output::Probe { key, to } => frames.push(Frame::Probe { address: number(key), from: self.me, to }),
                Output::Reflect(reflects) => kernel.set_reflect(reflects),
                Output::Watch { node, rate, .. } => self.watch(now, &node, rate.is_some()),
                Output::Changed { .. } | Output::Stranger { .. } => {}
            }
        }
        (frames, takes)
    }

    fn watch(&mut self, now: Duration, node: &str, on: bool) {
        let Some(node) = (0..8).find(|number| name(*number) == node) else { return };
        let new = Session { reading: Reading::Unknown { in_grace: true }, truth: None, since: now };
        if on {
            self.watched.entry(node).or_insert(new);
        } else {
            self.watched.remove(&node);
        }
        // One that has ended says nothing any more.
        let reading = self.watched.get(&node).unwrap_or(&new).reading;
        self.machine.handle(now, Input::Session { segment: SEGMENT, node: name(node), reading });
    }

    fn send_copies(&mut self, now: Duration) -> Vec<Frame> {
        let due: Vec<u8> = self.copies.iter().filter(|(due, _)| *due <= now).map(|(_, address)| *address).collect();
        self.copies.retain(|(at, _)| *at > now);
        let held = due.into_iter().filter(|address| self.machine.answer(key(*address)).is_some());
        let held: Vec<u8> = held.collect();
        held.iter().for_each(|address| self.machine.announced(now, key(*address)));
        held.into_iter().map(|address| Frame::Claim { address, mac: mac(name(self.me)) }).collect()
    }
}

impl Agent {
    /// What later turns depend on.
    pub(super) fn fingerprint(&self) -> String {
        let machine = &self.machine;
        format!(
            "{:?}{:?}{:?}{:?}{:?}{:?}{:?}{:?}",
            machine.world,
            machine.places,
            machine.timers,
            self.stopped,
            self.inbox,
            self.copies,
            self.next_pass,
            self.watched
        )
    }
}

fn number(key: EntryKey) -> u8 {
    match key.address {
        IpAddr::V4(address) => address.octets()[3],
        IpAddr::V6(_) => 0,
    }
}
