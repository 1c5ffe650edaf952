//! Unit and property tests of the rules.

mod messages;

use std::net::{Ipv4Addr, Ipv6Addr};

use k8s_openapi::{
    api::core::v1::{Service, ServicePort, ServiceSpec},
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time},
};
use proptest::prelude::*;

use super::*;
use crate::{
    class::Layer2,
    node::{Interface, LoadBalancerNodeStatus},
    virtual_ip::{Claim, Family},
};

fn range(first: &str, last: &str) -> AddressRange {
    AddressRange { first: first.parse().expect("address"), last: last.parse().expect("address") }
}

fn fields(problems: &[Problem]) -> Vec<&str> {
    problems.iter().map(|problem| problem.field.as_str()).collect()
}

#[test]
fn entries_of_both_forms_are_read_and_trimmed() {
    for (entry, first, last) in [
        ("192.0.2.0/24", "192.0.2.0", "192.0.2.255"),
        (" 192.0.2.1/32 ", "192.0.2.1", "192.0.2.1"),
        ("0.0.0.0/0", "0.0.0.0", "255.255.255.255"),
        ("192.0.2.100-192.0.2.150", "192.0.2.100", "192.0.2.150"),
        ("192.0.2.100 - 192.0.2.100", "192.0.2.100", "192.0.2.100"),
        ("2001:db8::/120", "2001:db8::", "2001:db8::ff"),
        ("2001:DB8:0:0::1-2001:db8::2", "2001:db8::1", "2001:db8::2"),
    ] {
        assert_eq!(parse_entry(entry), Ok(range(first, last)), "{entry}");
    }
}

#[test]
fn a_bad_entry_says_what_would_be_right() {
    for (entry, advice) in [
        ("", "write a CIDR block"),
        ("192.0.2.1", "192.0.2.1/32"),
        ("192.0.2.1/24", "write `192.0.2.0/24`"),
        ("2001:db8::1/64", "write `2001:db8::/64`"),
        ("192.0.2.0/33", "from 0 to 32"),
        ("192.0.2.0/+24", "from 0 to 32"),
        ("192.0.2.0/", "from 0 to 32"),
        ("2001:db8::/129", "from 0 to 128"),
        ("192.0.2.9-192.0.2.1", "write `192.0.2.1-192.0.2.9`"),
        ("192.0.2.1-2001:db8::1", "one range per family"),
        ("192.0.2.1-", "`` is not an IP address"),
        ("192.0.2.256-192.0.2.257", "`192.0.2.256` is not an IP address"),
        ("::ffff:192.0.2.0/120", "write `192.0.2.0`"),
        ("fe80::1%eth0-fe80::2%eth0", "without `%`"),
        ("pool", "neither a CIDR block"),
    ] {
        let error = parse_entry(entry).expect_err(entry).to_string();
        assert!(error.contains(advice), "{entry}: {error}");
    }
}

#[test]
fn a_class_works_without_its_bad_entries() {
    let spec = MetalLoadBalancerClassSpec {
        address_pool: ["192.0.2.0/30", "bad", "2001:db8::/127"].map(str::to_owned).into(),
        type_: Some("L3".into()),
        l2: Some(Layer2 { interfaces: vec!["eth0".into(), " ".into()] }),
        ..MetalLoadBalancerClassSpec::default()
    };
    let (ranges, problems) = pool_ranges(&spec);
    assert_eq!(ranges, [range("192.0.2.0", "192.0.2.3"), range("2001:db8::", "2001:db8::1")]);
    assert_eq!(fields(&problems), ["spec.addressPool[1]"]);
    let problems = class(&MetalLoadBalancerClass::new("a", spec));
    assert_eq!(fields(&problems), ["spec.addressPool[1]", "spec.type", "spec.l2.interfaces[1]"]);
    assert_eq!(class(&MetalLoadBalancerClass::default()), []);
}

fn virtual_ip_of(address: &str) -> VirtualIP {
    let parsed: IpAddr = address.parse().expect("address");
    let spec = VirtualIPSpec {
        address: address.into(),
        pool: "a".into(),
        ranking_key: "key".into(),
        ..VirtualIPSpec::default()
    };
    VirtualIP::new(&name_of(parsed), spec)
}

#[test]
fn the_name_is_that_of_the_canonical_address() {
    for address in ["192.0.2.1", "2001:db8::1"] {
        assert_eq!(virtual_ip(&virtual_ip_of(address)), []);
    }
    let mut object = virtual_ip_of("2001:DB8::1");
    assert_eq!(fields(&virtual_ip(&object)), ["spec.address"]);
    object = virtual_ip_of("192.0.2.1");
    object.metadata.name = Some("192.0.2.2".into());
    let problems = virtual_ip(&object);
    assert_eq!(fields(&problems), ["metadata.name"]);
    assert!(problems[0].message.contains("write `192.0.2.1`"), "{}", problems[0].message);
    object.spec.address = "here".into();
    assert_eq!(fields(&virtual_ip(&object)), ["spec.address"]);
}

#[test]
fn all_that_is_wrong_with_a_virtual_ip_is_told_at_once() {
    let mut object = virtual_ip_of("192.0.2.1");
    object.spec.nodes = (1..=9).map(|number| format!("node-{}", number.min(8))).collect();
    object.spec.claims = vec![
        Claim { uid: "a".into(), ..Claim::default() },
        Claim { uid: "a".into(), family: Family::IPv6, ..Claim::default() },
    ];
    object.spec.ranking_key.clear();
    object.spec.released_at = Some(Time(jiff::Timestamp::UNIX_EPOCH));
    assert_eq!(
        fields(&virtual_ip(&object)),
        [
            "spec.nodes",
            "spec.nodes[8]",
            "spec.claims[1].family",
            "spec.claims[1].uid",
            "spec.rankingKey",
            "spec.releasedAt"
        ]
    );
    object = virtual_ip_of("192.0.2.1");
    object.spec.phase = Phase::Released;
    assert_eq!(fields(&virtual_ip(&object)), ["spec.releasedAt"]);
}

#[test]
fn a_node_lists_each_interface_once() {
    let mut object = LoadBalancerNode::new("node-1", crate::node::LoadBalancerNodeSpec {});
    let interface = Interface { name: "eth0".into(), ..Interface::default() };
    let interfaces = vec![interface.clone(), interface];
    object.status = Some(LoadBalancerNodeStatus { interfaces, ..LoadBalancerNodeStatus::default() });
    assert_eq!(fields(&node(&object)), ["status.interfaces[1].name"]);
    object.metadata.name = Some("Node_1".into());
    object.status = None;
    assert_eq!(fields(&node(&object)), ["metadata.name"]);
}

fn service_of(spec: ServiceSpec) -> Service {
    Service { metadata: ObjectMeta::default(), spec: Some(spec), ..Service::default() }
}

#[test]
fn a_service_that_a_cluster_would_refuse_is_refused() {
    let port = |name: Option<&str>, port| ServicePort { name: name.map(str::to_owned), port, ..ServicePort::default() };
    let good = ServiceSpec { ports: Some(vec![port(None, 80)]), ..ServiceSpec::default() };
    assert_eq!(service(&service_of(good.clone())), []);
    let bad = ServiceSpec {
        type_: Some("Loadbalancer".into()),
        ip_families: Some(vec!["IPv4".into(), "ipv6".into(), "IPv4".into()]),
        ip_family_policy: Some("SingleStack".into()),
        ports: Some(vec![port(None, 0), port(Some("A"), 80), port(Some("b"), 80)]),
        ..good
    };
    assert_eq!(
        fields(&service(&service_of(bad))),
        [
            "spec.type",
            "spec.ipFamilies[1]",
            "spec.ipFamilies[2]",
            "spec.ipFamilyPolicy",
            "spec.ports[0].name",
            "spec.ports[0].port",
            "spec.ports[1].name",
            "spec.ports[2].port"
        ]
    );
    assert_eq!(fields(&service(&service_of(ServiceSpec::default()))), ["spec.ports"]);
}

proptest! {
    #[test]
    fn arbitrary_text_never_panics(text in any::<String>()) {
        drop(parse_entry(&text));
        prop_assert!(!is_label(&text) || is_subdomain(&text));
        prop_assert!(!is_subdomain(&text) || !text.contains(['/', '\0', '_']));
    }

    #[test]
    fn text_that_looks_like_an_entry_never_panics(text in "[0-9a-f:./% -]{0,40}") {
        if let Ok(range) = parse_entry(&text) {
            prop_assert!(range.first <= range.last && range.first.is_ipv4() == range.last.is_ipv4());
        }
    }

    #[test]
    fn ranges_are_read_back(a in any::<u32>(), b in any::<u32>()) {
        let (first, last) = (Ipv4Addr::from(a.min(b)), Ipv4Addr::from(a.max(b)));
        let want = AddressRange { first: first.into(), last: last.into() };
        prop_assert_eq!(parse_entry(&format!("{first}-{last}")), Ok(want));
        prop_assert!(want.contains(first.into()) && want.contains(last.into()));
    }

    #[test]
    fn a_block_is_all_of_its_addresses(address in any::<u128>(), bits in 0_u8..=128, inside in any::<u128>()) {
        let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
        let first = Ipv6Addr::from(address & mask);
        prop_assume!(first.to_ipv4_mapped().is_none());
        let range = parse_entry(&format!("{first}/{bits}")).expect("no host bits");
        prop_assert!(range.contains(Ipv6Addr::from((address & mask) | (inside & !mask)).into()));
        prop_assert_eq!(range.last, IpAddr::from(Ipv6Addr::from(address | !mask)));
    }

    #[test]
    fn names_of_addresses_are_names(address in any::<u128>()) {
        let name = name_of(IpAddr::from(Ipv6Addr::from(address)));
        prop_assert!(is_subdomain(&name));
    }
}
