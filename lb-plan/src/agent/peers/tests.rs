//! Where other nodes stand, from what their agents publish.

use lb_api::{LoadBalancerNodeSpec, LoadBalancerNodeStatus};

use super::*;
use crate::agent::{Config, Kind};

const MAC: Mac = [2, 0, 0, 0, 0, 1];

fn link(index: u32, addresses: &[&str]) -> Link {
    Link {
        index,
        name: format!("eth{index}"),
        mac: Some([2, 0, 0, 0, 0, u8::try_from(index).expect("small")]),
        speaks_arp: true,
        up: true,
        carrier: true,
        kind: Kind::Plain,
        master: None,
        addresses: addresses.iter().map(|text| text.parse().expect("a network")).collect(),
    }
}

fn interface(index: u32, mac: &str, carrier: bool, addresses: &[&str]) -> Interface {
    Interface {
        name: format!("ens{index}"),
        index,
        mac: mac.into(),
        addresses: addresses.iter().map(ToString::to_string).collect(),
        carrier,
        ..Interface::default()
    }
}

fn node(name: &str, interfaces: Vec<Interface>) -> LoadBalancerNode {
    let mut node = LoadBalancerNode::new(name, LoadBalancerNodeSpec {});
    node.status = Some(LoadBalancerNodeStatus { discriminator: 7, interfaces, ..LoadBalancerNodeStatus::default() });
    node
}

fn met(links: &[Link], nodes: &[LoadBalancerNode]) -> Vec<Peer> {
    let topology = Topology::of(links, &Config::default());
    let by_index = links.iter().map(|link| (link.index, link)).collect();
    peers("me", &topology, &by_index, nodes.iter())
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

#[test]
fn node_stands_where_it_shares_an_on_link_network_whatever_its_interface_is_called() {
    let links = [link(2, &["192.0.2.1/24", "2001:db8::1/64"]), link(3, &["198.51.100.1/24"])];
    let other = node("b", vec![interface(9, "02:00:00:00:00:01", true, &["192.0.2.2/24", "2001:db8::2/64"])]);

    let peers = met(&links, &[other]);

    let expected = Peer {
        name: "b".into(),
        discriminator: NonZeroU32::new(7),
        macs: vec![(2, MAC)],
        paths: [(2, Path { ifindex: 2, ours: ip("192.0.2.1"), theirs: ip("192.0.2.2") })].into(),
    };
    assert_eq!(peers, [expected]);
}

#[test]
fn without_a_common_ipv4_network_the_way_is_ipv6() {
    let links = [link(2, &["192.0.2.1/24", "2001:db8::1/64"])];
    let other = node("b", vec![interface(2, "02:00:00:00:00:01", true, &["10.0.0.2/24", "2001:db8::2/64"])]);

    let peers = met(&links, &[other]);

    assert_eq!(peers[0].paths[&2], Path { ifindex: 2, ours: ip("2001:db8::1"), theirs: ip("2001:db8::2") });
}

#[test]
fn link_local_addresses_and_host_routes_put_nobody_on_a_segment() {
    let links = [link(2, &["192.0.2.1/32", "fe80::1/64"])];
    let other = node("b", vec![interface(2, "02:00:00:00:00:01", true, &["192.0.2.1/32", "fe80::2/64"])]);

    let peers = met(&links, &[other]);

    assert_eq!((peers[0].macs.len(), peers[0].paths.len()), (0, 0));
}

#[test]
fn of_two_interfaces_on_a_segment_the_one_that_runs_comes_first_and_both_are_known() {
    let links = [link(2, &["192.0.2.1/24"])];
    let down = interface(2, "02:00:00:00:00:0a", false, &["192.0.2.2/24"]);
    let up = interface(3, "02:00:00:00:00:0b", true, &["192.0.2.3/24"]);

    let peers = met(&links, &[node("b", vec![down, up])]);

    assert_eq!(peers[0].macs, [(2, [2, 0, 0, 0, 0, 0xb]), (2, [2, 0, 0, 0, 0, 0xa])]);
    assert_eq!(peers[0].paths[&2].theirs, ip("192.0.2.3"));
}

#[test]
fn this_node_itself_and_one_that_has_told_nothing_are_no_peers() {
    let links = [link(2, &["192.0.2.1/24"])];
    let me = node("me", vec![interface(2, "02:00:00:00:00:02", true, &["192.0.2.1/24"])]);

    assert_eq!(met(&links, &[me, LoadBalancerNode::new("b", LoadBalancerNodeSpec {})]), []);
}

#[test]
fn what_cannot_be_read_costs_itself_only() {
    let links = [link(2, &["192.0.2.1/24"])];
    let odd = interface(2, "02:00:00:00:00", true, &["192.0.2.2/24"]);
    let half = interface(3, "02:00:00:00:00:01", true, &["nonsense", "192.0.2.3/24"]);

    let peers = met(&links, &[node("b", vec![odd, half])]);

    assert_eq!(peers[0].macs, [(2, MAC)]);
    assert_eq!(peers[0].paths[&2].theirs, ip("192.0.2.3"));
}

#[test]
fn discriminator_is_fnv_1a_of_the_name() {
    // Test vector of the algorithm's authors for 32 bits: "foobar".
    assert_eq!(discriminator("foobar").get(), 0xbf9c_f968);
    assert_ne!(discriminator("node-1"), discriminator("node-2"));
}

/// Who counts after these listings: seconds, and who is listed.
fn counting(lives: bool, listings: &[(u64, &[&str])]) -> Vec<String> {
    let mut acquaintances = Acquaintances::default();
    for (now, names) in listings {
        let listed: Vec<Arc<LoadBalancerNode>> = names.iter().map(|name| Arc::new(node(name, Vec::new()))).collect();
        acquaintances.meet(Duration::from_secs(*now), listed.iter(), |_| lives);
    }
    acquaintances.nodes().filter_map(|node| node.metadata.name.clone()).collect()
}

#[test]
fn a_node_whose_object_is_gone_counts_for_a_minute_and_as_long_as_it_lives() {
    assert_eq!(counting(false, &[(0, &["a", "b"]), (1, &["a"]), (60, &["a"])]), ["a", "b"]);
    assert_eq!(counting(false, &[(0, &["a", "b"]), (1, &["a"]), (61, &["a"])]), ["a"]);
    assert_eq!(counting(true, &[(0, &["a", "b"]), (1, &["a"]), (600, &["a"])]), ["a", "b"]);
    // Its minute begins anew with each time that it goes.
    assert_eq!(counting(false, &[(0, &["b"]), (1, &[]), (50, &["b"]), (55, &[]), (70, &[])]), ["b"]);
}

#[test]
fn an_object_that_was_made_anew_and_says_nothing_yet_takes_nothing_away() {
    let told = Arc::new(node("b", vec![interface(2, "02:00:00:00:00:01", true, &["192.0.2.2/24"])]));
    let bare = Arc::new(LoadBalancerNode::new("b", LoadBalancerNodeSpec {}));
    let mut acquaintances = Acquaintances::default();

    assert!(acquaintances.meet(Duration::ZERO, std::iter::once(&told), |_| false));
    assert!(!acquaintances.meet(Duration::from_secs(1), std::iter::once(&bare), |_| false));

    assert!(acquaintances.nodes().all(|node| node.status.is_some()));
    assert!(acquaintances.has_missing());
}

#[test]
fn what_is_listed_as_before_is_no_change() {
    let told = Arc::new(node("b", Vec::new()));
    let mut acquaintances = Acquaintances::default();

    assert!(acquaintances.meet(Duration::ZERO, std::iter::once(&told), |_| false));
    assert!(!acquaintances.meet(Duration::from_secs(9), std::iter::once(&told), |_| false));
    assert!(!acquaintances.has_missing());
}

#[test]
fn neighbours_are_the_next_that_live_and_the_dead_between_them() {
    let names = ["a", "c", "d", "e"];
    let path = Path { ifindex: 2, ours: ip("192.0.2.1"), theirs: ip("192.0.2.2") };
    let peer = |name: &str| Peer {
        name: name.into(),
        discriminator: None,
        macs: Vec::new(),
        paths: BTreeMap::from([(2, path)]),
    };
    let peers = names.map(peer);
    let of = |me: &str, down: &[&str]| {
        let found = neighbours(me, &peers, 2, 2, |name| down.contains(&name));
        found.into_iter().map(|peer| peer.name.clone()).collect::<Vec<_>>()
    };

    assert_eq!(of("b", &[]), ["c", "d"]);
    assert_eq!(of("e2", &[]), ["a", "c"], "round about");
    assert_eq!(of("b", &["c"]), ["c", "d", "e"]);
    assert_eq!(of("b", &["c", "d", "e", "a"]), ["c", "d", "e", "a"], "each once");
    assert_eq!(neighbours("b", &peers, 3, 2, |_| false), Vec::<&Peer>::new(), "not on this segment");
}

#[test]
fn node_that_never_answered_counts_as_alive_only_in_a_cold_start_or_if_it_cannot_be_asked() {
    let links = [link(2, &["192.0.2.1/24"])];
    let asked = &met(&links, &[node("b", vec![interface(9, "02:00:00:00:00:01", true, &["192.0.2.2/24"])])])[0];
    assert!(asked.counts_unseen(true));
    assert!(!asked.counts_unseen(false), "it may have lost its power");

    let nameless = Peer { discriminator: None, ..asked.clone() };
    let elsewhere = Peer { paths: BTreeMap::new(), ..asked.clone() };
    assert!(nameless.counts_unseen(false) && elsewhere.counts_unseen(false));
}

#[test]
fn segment_that_lost_its_on_link_addresses_is_blind_and_keeps_its_nodes() {
    let other = node("b", vec![interface(9, "02:00:00:00:00:01", true, &["192.0.2.2/24", "198.51.100.2/24"])]);
    let before = met(&[link(2, &["192.0.2.1/24"]), link(3, &["198.51.100.1/24"])], std::slice::from_ref(&other));

    // A lapsed lease leaves the link-local address.
    let links = [link(2, &["fe80::1/64"]), link(3, &["198.51.100.1/24"])];
    let topology = Topology::of(&links, &Config::default());
    let blind = blind(&topology, &links.iter().map(|link| (link.index, link)).collect());
    assert_eq!(blind, [2].into());
    let mut after = met(&links, &[other]);
    assert_eq!(after[0].macs, [(3, MAC)]);
    remember(&mut after, &before, &blind);

    after[0].macs.sort_unstable();
    assert_eq!(after[0].macs, [(2, MAC), (3, MAC)]);
    assert_eq!(after[0].paths, before[0].paths);
}
