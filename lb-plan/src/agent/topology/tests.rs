//! Link stacks as nodes have them.

use super::*;

fn link(index: u32, name: &str, addresses: &[&str]) -> Link {
    Link {
        index,
        name: name.to_owned(),
        mac: Some([2, 0, 0, 0, 0, u8::try_from(index).expect("small")]),
        speaks_arp: true,
        up: true,
        carrier: true,
        kind: Kind::Plain,
        master: None,
        addresses: addresses.iter().map(|text| text.parse().expect("an address with prefix length")).collect(),
    }
}

fn topology(links: &[Link]) -> Topology {
    Topology::of(links, &Config::default())
}

fn key(ifindex: u32, outer: u16) -> SegmentKey {
    SegmentKey { ifindex, outer, inner: 0 }
}

#[test]
fn plain_interface_is_its_own_segment_and_attach_point() {
    let topology = topology(&[link(2, "eth0", &["192.0.2.1/24", "fe80::1/64"])]);

    assert_eq!(topology.attach, BTreeMap::from([(2, true)]));
    assert_eq!(
        topology.segments,
        BTreeMap::from([(key(2, 0), Segment { id: 2, mac: [2, 0, 0, 0, 0, 2], role: Role::Holds })])
    );
    assert_eq!(topology.stations[0].link_local, Some("fe80::1".parse().expect("an address")));
}

#[test]
fn excluded_names_and_links_without_arp_are_left_alone() {
    let tunnel = Link { speaks_arp: false, ..link(3, "wg0", &[]) };

    assert_eq!(topology(&[link(2, "veth0", &[]), tunnel, link(4, "docker0", &[])]), Topology::default());
}

#[test]
fn vlan_arrives_tagged_at_the_device_below() {
    let vlan = Link { kind: Kind::Vlan { lower: 2, id: 100 }, ..link(5, "eth0.100", &["198.51.100.1/24"]) };
    let topology = topology(&[link(2, "eth0", &["192.0.2.1/24"]), vlan]);

    assert_eq!(topology.attach, BTreeMap::from([(2, true)]));
    assert_eq!(topology.segments.get(&key(2, 100)).map(|segment| segment.id), Some(5));
    assert_eq!(topology.segments.get(&key(2, 0)).map(|segment| segment.id), Some(2));
}

#[test]
fn vlan_in_vlan_has_two_tags_and_a_third_is_no_station() {
    let vlan = |index, lower, id| Link { kind: Kind::Vlan { lower, id }, ..link(index, &format!("v{id}"), &[]) };
    let topology = topology(&[link(2, "eth0", &[]), vlan(3, 2, 10), vlan(4, 3, 20), vlan(5, 4, 30)]);

    let double = SegmentKey { ifindex: 2, outer: 10, inner: 20 };
    assert_eq!(topology.segments.get(&double).map(|segment| segment.id), Some(4));
    assert!(topology.stations.iter().all(|station| station.index != 5));
}

#[test]
fn slaves_of_a_bond_share_its_segment_and_its_mac() {
    let slave = |index, name| Link { master: Some(4), ..link(index, name, &[]) };
    let bond = Link { kind: Kind::Bond, ..link(4, "bond0", &["192.0.2.1/24"]) };
    let topology = topology(&[slave(2, "eth0"), slave(3, "eth1"), bond]);

    assert_eq!(topology.attach, BTreeMap::from([(4, true)]));
    let expected = Segment { id: 4, mac: [2, 0, 0, 0, 0, 4], role: Role::Holds };
    assert_eq!(topology.segments, BTreeMap::from([2, 3, 4].map(|index| (key(index, 0), expected))));
}

#[test]
fn bridge_is_served_at_its_ports_but_not_at_excluded_ones() {
    let port = |index, name| Link { master: Some(4), ..link(index, name, &[]) };
    let bridge = Link { kind: Kind::Bridge, ..link(4, "br0", &["192.0.2.1/24"]) };
    let topology = topology(&[port(2, "eth0"), port(3, "veth9"), bridge]);

    assert_eq!(topology.attach, BTreeMap::from([(2, true)]));
    assert_eq!(topology.segments.get(&key(2, 0)).map(|segment| (segment.id, segment.mac[5])), Some((4, 4)));
}

#[test]
fn interface_in_a_vrf_keeps_its_own_segment() {
    let vrf = Link { kind: Kind::Vrf, speaks_arp: false, ..link(9, "blue", &[]) };
    let enslaved = Link { master: Some(9), ..link(2, "eth0", &["192.0.2.1/24"]) };

    assert_eq!(topology(&[vrf, enslaved]).attach, BTreeMap::from([(2, true)]));
}

#[test]
fn of_two_interfaces_on_one_network_one_answers_and_carrier_decides() {
    let first = link(2, "eth0", &["192.0.2.1/24", "fe80::1/64"]);
    let second = link(3, "eth1", &["192.0.2.2/24", "fe80::2/64"]);
    let roles = |links: &[Link]| -> Vec<(u32, Role)> {
        topology(links).stations.iter().map(|station| (station.segment, station.role)).collect()
    };

    assert_eq!(roles(&[first.clone(), second.clone()]), [(2, Role::Holds), (2, Role::Suppresses)]);
    let both = topology(&[first.clone(), second.clone(), link(4, "eth2", &["198.51.100.1/24"])]);
    let mac = |last| [2, 0, 0, 0, 0, last];
    assert_eq!(both.own_addresses(), BTreeSet::from([(2, mac(2)), (2, mac(3))]), "eth2 hears nobody of ours");
    let cut = Link { carrier: false, ..first };
    assert_eq!(roles(&[cut, second]), [(2, Role::Suppresses), (2, Role::Holds)]);
}

#[test]
fn link_local_networks_and_host_routes_join_nobody() {
    let links = [link(2, "eth0", &["fe80::1/64", "192.0.2.9/32"]), link(3, "eth1", &["fe80::2/64", "192.0.2.9/32"])];

    assert_eq!(topology(&links).segment_ids(), BTreeSet::from([2, 3]));
}

#[test]
fn a_link_that_is_down_keeps_the_program_but_is_not_newly_attached() {
    let down = Link { up: false, carrier: false, ..link(2, "eth0", &[]) };

    assert_eq!(topology(&[down]).attach, BTreeMap::from([(2, false)]));
}
