//! One machine and what the others do to it, with the segment played by the test.

use std::{net::IpAddr, time::Duration};

use lb_api::virtual_ip::Phase;

use super::*;
use crate::agent::{EntryKey, Mac, SegmentId};

mod blind;
mod claims;
mod health;
mod many;
mod missed;
mod model;
mod silent;
mod strangers;
mod unanswered;
mod want;

const SEGMENT: SegmentId = 1;

/// `a` has the lowest MAC.
fn mac(node: &str) -> Mac {
    [0x02, 0, 0, 0, 0, node.as_bytes().first().copied().unwrap_or(0)]
}

fn key(last: u8) -> EntryKey {
    EntryKey { segment: SEGMENT, address: IpAddr::from([10, 0, 0, last]) }
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A node under test, ready to hold, on one segment with the nodes `a` to `e`.
struct Node1 {
    machine: Machine,
    now: Duration,
    terms: (Failback, Conflict),
    /// Announcements are not sent yet.
    busy: bool,
}

impl Node1 {
    /// Ready since long ago, told of nothing.
    fn ready(name: &str) -> Self {
        let mut node = Self::cold(name);
        node.input(Input::Health(healthy()));
        node.input(Input::Lease(true));
        node.pass(Duration::from_secs(100));
        node
    }

    /// Knows its links and the others, and nothing of itself.
    fn cold(name: &str) -> Self {
        let mut machine = Machine::new(name, Timing::default());
        let now = Duration::from_secs(1_000);
        machine.set_links(now, [Link { segment: SEGMENT, mac: mac(name), running: true }]);
        let macs: Vec<(&str, [(SegmentId, Mac); 1])> =
            ["a", "b", "c", "d", "e"].into_iter().map(|node| (node, [(SEGMENT, mac(node))])).collect();
        let others = macs.iter().filter(|(node, _)| *node != name);
        machine.set_nodes(now, others.map(|(name, macs)| Node { name, ready: true, macs }));
        Self { machine, now, terms: (Failback::AtOnce, Conflict::Defend), busy: false }
    }

    fn input(&mut self, input: Input<'_>) {
        self.machine.handle(self.now, input);
    }

    fn rank(&mut self, last: u8, nodes: &[&str]) {
        self.address(last, nodes, Phase::Bound);
    }

    fn address(&mut self, last: u8, nodes: &[&str], phase: Phase) {
        let nodes: Vec<String> = nodes.iter().map(ToString::to_string).collect();
        let (failback, conflict) = self.terms;
        let address =
            Address { address: key(last).address, phase, nodes: &nodes, segments: &[SEGMENT], failback, conflict };
        self.machine.set_address(self.now, address);
    }

    fn session(&mut self, node: &str, reading: Reading) {
        self.input(Input::Session { segment: SEGMENT, node, reading });
    }

    fn claim(&mut self, node: &str, last: u8) {
        let yielded = self.machine.answer(key(last));
        self.sight(node, last, Says::Claim { yielded });
    }

    fn sight(&mut self, node: &str, last: u8, says: Says) {
        self.input(Input::Sighting(Sighting { key: key(last), mac: mac(node), says, at: self.now }));
    }

    fn poll(&mut self) -> Vec<Output> {
        self.machine.poll(self.now)
    }

    /// Lets time pass, waking the machine whenever it asks to be. All that it wanted meanwhile.
    fn pass(&mut self, time: Duration) -> Vec<Output> {
        self.pass_answered(time, |_| None)
    }

    /// Like [`Self::pass`], with a segment on which `answer` says who answers a probe.
    fn pass_answered(&mut self, time: Duration, answer: impl Fn(Option<Mac>) -> Option<&'static str>) -> Vec<Output> {
        let end = self.now + time;
        let mut all = Vec::new();
        loop {
            for output in self.machine.poll(self.now) {
                if let Output::Probe { key, to } = &output
                    && let Some(node) = answer(*to)
                {
                    let sighting = Sighting { key: *key, mac: mac(node), says: Says::Answer, at: self.now };
                    self.machine.handle(self.now, Input::Sighting(sighting));
                }
                if let (Output::Announce { key, .. }, false) = (&output, self.busy) {
                    self.machine.announced(self.now, *key);
                }
                all.push(output);
            }
            match self.machine.next() {
                Some(due) if due <= end => self.now = self.now.max(due),
                Some(_) | None => break,
            }
        }
        self.now = end;
        all
    }

    fn holds(&self, last: u8) -> bool {
        self.machine.answer(key(last)).is_some()
    }

    fn holding(&self, last: u8) -> Result<Why, WhyNot> {
        self.machine.status(key(last)).expect("the address is known").holding
    }
}

fn healthy() -> Health {
    Health { proxy: Proxy::Synced, self_test: SelfTest::Passed, hold_down_until: Duration::ZERO }
}

fn probes(outputs: &[Output]) -> Vec<Option<Mac>> {
    let to = |output: &Output| if let Output::Probe { to, .. } = output { Some(*to) } else { None };
    outputs.iter().filter_map(to).collect()
}

fn announcements(outputs: &[Output]) -> usize {
    outputs.iter().filter(|output| matches!(output, Output::Announce { .. })).count()
}
