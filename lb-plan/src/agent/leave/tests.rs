//! How long an address counts whose VirtualIP is not listed any more.

use proptest::prelude::*;

use super::*;
use crate::agent::{Config, Held, Kind, Link, NodePlan, Snapshot, Topology, plan, testing::FirstRanked};

const NODE: &str = "node-1";

fn topology() -> Topology {
    let link = |index: u32, name: &str, address: &str| Link {
        index,
        name: name.to_owned(),
        mac: Some([2, 0, 0, 0, 0, 1]),
        speaks_arp: true,
        up: true,
        carrier: true,
        kind: Kind::Plain,
        master: None,
        addresses: vec![address.parse().expect("an address with prefix length")],
    };
    Topology::of(&[link(2, "eth0", "192.0.2.1/24"), link(3, "eth1", "198.51.100.1/24")], &Config::default())
}

fn virtual_ip(address: &str, nodes: &[&str]) -> VirtualIP {
    let nodes = nodes.iter().map(ToString::to_string).collect();
    let name = name_of(address.parse().expect("an address"));
    VirtualIP::new(&name, VirtualIPSpec { address: address.to_owned(), nodes, ..VirtualIPSpec::default() })
}

fn plan_of<'a>(topology: &Topology, objects: impl Iterator<Item = &'a VirtualIP>) -> NodePlan {
    let objects: Vec<&VirtualIP> = objects.collect();
    let ownership = FirstRanked::of(NODE, objects.iter().copied());
    plan(Snapshot { node: NODE, topology, ownership: &ownership }, objects.into_iter())
}

fn held(plan: &NodePlan) -> Vec<String> {
    plan.held.iter().map(|Held { address, .. }| address.to_string()).collect()
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn object_that_disappears_counts_for_the_grace_and_no_longer() {
    let mut leaving = Leaving::default();
    leaving.add(Arc::new(virtual_ip("192.0.2.100", &[NODE])));

    assert!(!leaving.judge(seconds(10), |_| Presence::Gone));
    assert_eq!(leaving.next(), Some(seconds(70)));
    assert!(!leaving.judge(seconds(69), |_| Presence::Gone));
    assert_eq!(leaving.objects().count(), 1);

    assert!(leaving.judge(seconds(70), |_| Presence::Gone));
    assert_eq!((leaving.objects().count(), leaving.next()), (0, None));
}

#[test]
fn released_object_is_let_go_at_once() {
    let mut released = virtual_ip("192.0.2.100", &[NODE]);
    released.spec.phase = Phase::Released;
    let mut leaving = Leaving::default();

    leaving.add(Arc::new(released));

    assert_eq!(leaving.objects().count(), 0);
}

#[test]
fn object_that_comes_back_counts_as_it_is_listed() {
    let mut leaving = Leaving::default();
    leaving.add(Arc::new(virtual_ip("192.0.2.100", &[NODE])));

    assert!(leaving.judge(seconds(10), |_| Presence::Listed));

    assert_eq!(leaving.objects().count(), 0);
}

#[test]
fn doubt_has_no_end_and_the_grace_begins_when_it_ends() {
    let mut leaving = Leaving::default();
    leaving.add(Arc::new(virtual_ip("192.0.2.100", &[NODE])));

    assert!(!leaving.judge(seconds(10), |_| Presence::Doubtful));
    assert!(!leaving.judge(seconds(100_000), |_| Presence::Doubtful));
    assert_eq!(leaving.next(), None);

    assert!(!leaving.judge(seconds(100_001), |_| Presence::Gone));
    assert_eq!(leaving.next(), Some(seconds(100_061)));
}

#[test]
fn answer_on_a_segment_without_a_station_is_not_taken_for_an_answer_everywhere() {
    let topology = topology();
    let address = "192.0.2.100".parse().expect("an address");
    let entries =
        [(EntryKey { segment: 2, address }, Action::Suppress), (EntryKey { segment: 99, address }, Action::Answer)];

    let objects = standing(NODE, &topology, entries.into_iter());

    assert!(held(&plan_of(&topology, objects.iter())).is_empty());
}

proptest! {
    /// Whatever was planned, a successor that knows nothing but the table plans the same table.
    #[test]
    fn what_stands_in_the_table_is_planned_again(
        wishes in prop::collection::btree_map(1_u8..=250, (0..3_usize, 0..4_usize), 0..20),
    ) {
        let topology = topology();
        let objects: Vec<VirtualIP> = wishes
            .into_iter()
            .map(|(last, (ranking, interfaces))| {
                let nodes: &[&str] = [&[NODE, "other"][..], &["other", NODE], &["other"]][ranking];
                let address = if last % 2 == 0 { format!("192.0.2.{last}") } else { format!("2001:db8::{last}") };
                let mut object = virtual_ip(&address, nodes);
                let named: &[&str] = [&[][..], &["eth0"], &["eth1"], &["eth0", "eth1"]][interfaces];
                object.spec.interfaces = named.iter().map(ToString::to_string).collect();
                object
            })
            .collect();
        let planned = plan_of(&topology, objects.iter());

        let again = standing(NODE, &topology, planned.entries.iter().copied());

        let replanned = plan_of(&topology, again.iter());
        prop_assert_eq!(&replanned.entries, &planned.entries);
        prop_assert_eq!(held(&replanned), held(&planned));
    }
}
