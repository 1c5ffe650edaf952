//! What one node wants, from VirtualIPs as the controller writes them.

use std::time::Duration;

use lb_api::{VirtualIPSpec, virtual_ip::name_of};

use super::*;
use crate::agent::{
    testing::FirstRanked,
    topology::{Config, Kind, Link},
};

const NODE: &str = "node-1";

fn topology(names: &[(&str, &str)]) -> Topology {
    let links: Vec<Link> = names
        .iter()
        .zip(2_u32..)
        .map(|((name, address), index)| Link {
            index,
            name: (*name).to_owned(),
            mac: Some([2, 0, 0, 0, 0, 1]),
            speaks_arp: true,
            up: true,
            carrier: true,
            kind: Kind::Plain,
            master: None,
            addresses: vec![address.parse().expect("an address with prefix length")],
        })
        .collect();
    Topology::of(&links, &Config::default())
}

fn virtual_ip(address: &str, nodes: &[&str]) -> VirtualIP {
    let name = address.parse().map_or_else(|_| address.to_owned(), name_of);
    let nodes = nodes.iter().map(ToString::to_string).collect();
    VirtualIP::new(&name, VirtualIPSpec { address: address.to_owned(), nodes, ..VirtualIPSpec::default() })
}

fn plan_of(topology: &Topology, virtual_ips: &[VirtualIP]) -> NodePlan {
    plan(Snapshot { node: NODE, topology, ownership: &FirstRanked::of(NODE, virtual_ips.iter()) }, virtual_ips.iter())
}

fn entry(segment: SegmentId, address: &str, action: Action) -> (EntryKey, Action) {
    (EntryKey { segment, address: address.parse().expect("an address") }, action)
}

#[test]
fn first_ranked_answers_and_everything_else_is_suppressed_on_every_segment() {
    let topology = topology(&[("eth0", "192.0.2.1/24"), ("eth1", "198.51.100.1/24")]);
    let plan = plan_of(
        &topology,
        &[
            virtual_ip("192.0.2.100", &[NODE, "node-2"]),
            virtual_ip("192.0.2.101", &["node-2", NODE]),
            virtual_ip("192.0.2.102", &["node-3"]),
        ],
    );

    let mut expected = Vec::new();
    for segment in [2, 3] {
        expected.push(entry(segment, "192.0.2.100", Action::Answer));
        expected.push(entry(segment, "192.0.2.101", Action::Suppress));
        expected.push(entry(segment, "192.0.2.102", Action::Suppress));
    }
    assert_eq!(plan.entries, expected);
    assert_eq!(plan.held.iter().map(|held| held.address.to_string()).collect::<Vec<_>>(), ["192.0.2.100"]);
}

#[test]
fn named_interfaces_answer_and_the_others_suppress() {
    let topology = topology(&[("eth0", "192.0.2.1/24"), ("eth1", "198.51.100.1/24")]);
    let mut restricted = virtual_ip("192.0.2.100", &[NODE]);
    restricted.spec.interfaces = vec!["eth1".to_owned()];

    let plan = plan_of(&topology, &[restricted]);

    assert_eq!(plan.entries, [entry(2, "192.0.2.100", Action::Suppress), entry(3, "192.0.2.100", Action::Answer)]);
}

#[test]
fn holder_without_any_named_interface_holds_nothing_and_says_so() {
    let topology = topology(&[("eth0", "192.0.2.1/24")]);
    let mut restricted = virtual_ip("192.0.2.100", &[NODE]);
    restricted.spec.interfaces = vec!["eth7".to_owned()];

    let plan = plan_of(&topology, &[restricted]);

    assert!(plan.held.is_empty());
    assert_eq!(
        plan.problems.iter().map(ToString::to_string).collect::<Vec<_>>(),
        [
            "VirtualIP 192.0.2.100: spec.interfaces: this node is the first ranked, but has none of the interfaces [\"eth7\"]"
        ]
    );
}

#[test]
fn every_ranked_node_joins_the_solicited_node_group_and_others_do_not() {
    let topology = topology(&[("eth0", "2001:db8:2::1/64")]);
    let plan = plan_of(
        &topology,
        &[
            virtual_ip("2001:db8:2::100", &["node-2", NODE]),
            virtual_ip("2001:db8:2::101", &["node-2"]),
            virtual_ip("192.0.2.1", &[NODE]),
        ],
    );

    let joined: Vec<String> = plan.groups[&2].joined.iter().map(ToString::to_string).collect();
    assert_eq!(joined, ["ff02::1:ff00:100"]);
}

#[test]
fn beyond_the_limit_the_interface_passes_every_group() {
    let topology = topology(&[("eth0", "2001:db8:2::1/64")]);
    let addresses: Vec<VirtualIP> =
        (1..=MAX_GROUPS + 1).map(|number| virtual_ip(&format!("2001:db8:2::{number:x}"), &[NODE])).collect();

    let at_limit = plan_of(&topology, &addresses[..MAX_GROUPS]);
    let beyond = plan_of(&topology, &addresses);

    assert_eq!((at_limit.groups[&2].joined.len(), at_limit.groups[&2].all_multicast), (MAX_GROUPS, false));
    assert_eq!((beyond.groups[&2].joined.len(), beyond.groups[&2].all_multicast), (MAX_GROUPS, true));
}

#[test]
fn a_bad_object_is_named_and_the_others_are_planned() {
    let topology = topology(&[("eth0", "192.0.2.1/24")]);
    let plan = plan_of(&topology, &[virtual_ip("192.0.2.300", &[NODE]), virtual_ip("192.0.2.100", &[NODE])]);

    assert_eq!(plan.entries.len(), 1);
    assert!(plan.problems[0].to_string().starts_with("VirtualIP 192.0.2.300: spec.address: "), "{:?}", plan.problems);
}

#[test]
fn two_objects_of_one_address_are_answered_by_nobody() {
    let topology = topology(&[("eth0", "192.0.2.1/24")]);
    let mapped = virtual_ip("::ffff:192.0.2.100", &["node-2"]);
    let plan = plan_of(&topology, &[virtual_ip("192.0.2.100", &[NODE]), mapped]);

    assert_eq!(plan.entries, [entry(2, "192.0.2.100", Action::Suppress)]);
}

#[test]
fn solicited_node_group_is_the_low_24_bits() {
    // RFC 4291 §2.7.1: 4037::01:800:200e:8c6c has the group ff02::1:ff0e:8c6c.
    let address = "4037::01:800:200e:8c6c".parse().expect("an address");

    assert_eq!(solicited_node(address).to_string(), "ff02::1:ff0e:8c6c");
}

#[test]
fn what_a_virtual_ip_says_of_coming_back_and_of_strangers_reaches_the_machine() {
    let topology = topology(&[("eth0", "192.0.2.1/24")]);
    let segments = Segments::of(&topology, std::iter::empty());
    let mut object = virtual_ip("192.0.2.100", &[NODE]);
    let terms = |object: &VirtualIP| {
        let address = segments.address(object).expect("it has an address");
        (address.failback, address.conflict)
    };
    assert_eq!(terms(&object), (ownership::Failback::AtOnce, ownership::Conflict::Defend));

    object.spec.failback = Some(Failback::After(Duration::from_secs(300)));
    object.spec.conflict = Some(Conflict::Retreat);
    let five_minutes = ownership::Failback::After(Duration::from_secs(300));
    assert_eq!(terms(&object), (five_minutes, ownership::Conflict::Retreat));

    object.spec.failback = Some(Failback::Never);
    assert_eq!(terms(&object).0, ownership::Failback::Never);
}
