//! Every message, and that what was there before is never refused.

use lb_api::{
    MetalLoadBalancerClassSpec, VirtualIP,
    deckhouse::MetalLoadBalancerPoolSpec,
    metallb::{CommunityAlias, CommunitySpec, IPAddressPoolSpec, L2AdvertisementSpec},
    virtual_ip::{Claim, name_of},
};

use super::*;

const NAMESPACE: &str = "metallb-system";

fn pool(name: &str, addresses: &[&str]) -> IPAddressPool {
    let addresses = addresses.iter().map(ToString::to_string).collect();
    let mut pool = IPAddressPool::new(name, IPAddressPoolSpec { addresses, ..IPAddressPoolSpec::default() });
    pool.metadata.namespace = Some(NAMESPACE.into());
    pool
}

fn class(name: &str, addresses: &[&str], is_default: bool) -> MetalLoadBalancerClass {
    let address_pool = addresses.iter().map(ToString::to_string).collect();
    let spec = MetalLoadBalancerClassSpec { address_pool, is_default, ..MetalLoadBalancerClassSpec::default() };
    MetalLoadBalancerClass::new(name, spec)
}

fn advertisement(name: &str, pools: &[&str]) -> L2Advertisement {
    let ip_address_pools = pools.iter().map(ToString::to_string).collect();
    let spec = L2AdvertisementSpec { ip_address_pools, ..L2AdvertisementSpec::default() };
    let mut object = L2Advertisement::new(name, spec);
    object.metadata.namespace = Some(NAMESPACE.into());
    object
}

fn vip(address: &str, from: &str, service: &str) -> VirtualIP {
    let address: IpAddr = address.parse().expect("test data");
    let mut vip = VirtualIP::new(&name_of(address), Default::default());
    vip.spec.address = address.to_string();
    vip.spec.pool = from.to_owned();
    vip.spec.claims = vec![Claim {
        namespace: "default".into(),
        name: service.into(),
        uid: service.into(),
        index: 0,
        family: Family::of(address),
        sharing: None,
    }];
    vip
}

fn put_pool(pool: IPAddressPool) -> Change {
    Change::Put(Subject::Pool(Box::new(pool)))
}

fn put_class(class: MetalLoadBalancerClass) -> Change {
    Change::Put(Subject::Class(Box::new(class)))
}

/// A pool `one`, a default class `lab`.
fn world() -> Snapshot {
    Snapshot {
        ip_address_pools: vec![Arc::new(pool("one", &["192.0.2.0/25", "2001:db8::/64"]))],
        classes: vec![Arc::new(class("lab", &["198.51.100.10-198.51.100.20"], true))],
        ..Snapshot::default()
    }
}

#[track_caller]
fn refused(snapshot: &Snapshot, change: &Change, wanted: &str) {
    let verdict = judge(snapshot, change);
    assert!(verdict.refused.iter().any(|text| text == wanted), "{:#?}", verdict);
}

#[track_caller]
fn warned(snapshot: &Snapshot, change: &Change, wanted: &str) {
    let verdict = judge(snapshot, change);
    assert_eq!((verdict.refused.as_slice(), verdict.warnings), (&[][..], vec![wanted.to_owned()]));
}

#[track_caller]
fn silent(snapshot: &Snapshot, change: &Change) {
    assert_eq!(judge(snapshot, change), Verdict::default());
}

#[test]
fn what_is_good_passes_without_a_word() {
    let snapshot = world();
    silent(&snapshot, &put_pool(pool("two", &["192.0.2.128/25"])));
    silent(&snapshot, &put_pool(pool("one", &["192.0.2.0/24", "2001:db8::/64"])));
    silent(&snapshot, &put_class(class("other", &["203.0.113.0/24"], false)));
    silent(&snapshot, &Change::Put(Subject::Advertisement(Box::new(advertisement("all", &["one"])))));
    silent(&snapshot, &Change::Delete(Subject::Pool(Box::new(pool("one", &["192.0.2.0/25"])))));
}

#[test]
fn a_pool_that_overlaps_another_is_refused_whichever_comes_first_by_name() {
    for name in ["a", "z"] {
        let verdict = judge(&world(), &put_pool(pool(name, &["192.0.2.100-192.0.2.200"])));
        let [text] = verdict.refused.as_slice() else { panic!("{verdict:#?}") };
        assert!(
            text.starts_with("spec.addresses: ") && text.contains(" overlaps with already defined CIDR "),
            "{text}"
        );
    }
    refused(
        &world(),
        &put_pool(pool("two", &["192.0.2.100-192.0.2.200"])),
        "spec.addresses: 192.0.2.100-192.0.2.200 overlaps with already defined CIDR 192.0.2.0-192.0.2.127 of IPAddressPool \
         `one`: each address is given once",
    );
    refused(
        &world(),
        &put_pool(pool("two", &["198.51.100.0/24"])),
        "spec.addresses: 198.51.100.0-198.51.100.255 overlaps with already defined CIDR 198.51.100.10-198.51.100.20 of class `lab`: \
         each address is given once",
    );
}

#[test]
fn a_pool_of_deckhouses_is_refused_for_what_it_does_to_others_and_warned_of_the_rest() {
    let put = |name: &str, addresses: &[&str]| {
        let addresses = addresses.iter().map(ToString::to_string).collect();
        let spec = MetalLoadBalancerPoolSpec { addresses, auto_assign: true, avoid_buggy_ips: false };
        Change::Put(Subject::DeckhousePool(Box::new(MetalLoadBalancerPool::new(name, spec))))
    };
    silent(&world(), &put("edge", &["203.0.113.0/24"]));
    refused(
        &world(),
        &put("edge", &["192.0.2.100-192.0.2.200"]),
        "spec.addresses: 192.0.2.0-192.0.2.127 overlaps with already defined CIDR 192.0.2.100-192.0.2.200 of \
         MetalLoadBalancerPool `edge`: each address is given once",
    );
    warned(
        &world(),
        &put("edge", &["203.0.113.0/24", "x"]),
        "spec.addresses[1]: `x` is neither a CIDR block (192.0.2.0/24) nor a range (192.0.2.100-192.0.2.150); one address is \
         `x/32` or `x/128`",
    );
    warned(
        &world(),
        &put("one", &["203.0.113.0/24"]),
        "metadata.name: IPAddressPool `one` in namespace metallb-system has the name too, says otherwise, and is used: \
         remove it, or give this pool another name",
    );
    let mut snapshot = world();
    let Change::Put(Subject::DeckhousePool(pool)) = put("edge", &["203.0.113.0/24"]) else { unreachable!() };
    snapshot.bgp.deckhouse.pools = vec![Arc::new(MetalLoadBalancerPool::clone(&pool))];
    snapshot.virtual_ips = vec![Arc::new(vip("203.0.113.1", "metallb-system/edge", "web"))];
    warned(
        &snapshot,
        &Change::Delete(Subject::DeckhousePool(pool)),
        "MetalLoadBalancerPool `edge`: in use and in no pool any more: 203.0.113.1 (default/web): their Services get others, \
         and lose these",
    );
}

#[test]
fn a_class_that_overlaps_a_pool_is_refused() {
    let verdict = judge(&world(), &put_class(class("zoo", &["2001:db8::1-2001:db8::2"], false)));
    let [text] = verdict.refused.as_slice() else { panic!("{verdict:#?}") };
    assert!(text.contains("overlaps with already defined CIDR"), "{text}");
}

#[test]
fn an_overlap_that_was_there_before_stops_no_label() {
    let mut snapshot = world();
    let wrong = pool("two", &["192.0.2.100-192.0.2.200"]);
    snapshot.ip_address_pools.push(Arc::new(wrong.clone()));
    let mut labelled = wrong;
    labelled.metadata.labels = Some([("a".to_owned(), "b".to_owned())].into());
    silent(&snapshot, &put_pool(labelled));
}

#[test]
fn bad_entries_of_a_pool_are_refused_by_field() {
    refused(
        &world(),
        &put_pool(pool("two", &["203.0.113.9-203.0.113.1"])),
        "spec.addresses[0]: `203.0.113.9-203.0.113.1` is reversed: write `203.0.113.1-203.0.113.9`",
    );
    refused(
        &world(),
        &put_pool(pool("two", &[])),
        "spec.addresses: is empty: the pool needs at least one CIDR block or range",
    );
}

#[test]
fn bad_entries_of_a_class_are_a_warning_as_its_schema_accepts_anything() {
    warned(
        &world(),
        &put_class(class("other", &["203.0.113.0/24", "nonsense"], false)),
        "spec.addressPool[1]: `nonsense` is neither a CIDR block (192.0.2.0/24) nor a range \
         (192.0.2.100-192.0.2.150); one address is `nonsense/32` or `nonsense/128`",
    );
}

#[test]
fn a_second_default_class_is_refused_and_one_that_is_it_already_is_not() {
    let second = class("other", &["203.0.113.0/24"], true);
    refused(
        &world(),
        &put_class(second.clone()),
        "spec.isDefault: class `lab` is the default already: set it on one class only",
    );
    let mut snapshot = world();
    snapshot.classes.push(Arc::new(second.clone()));
    silent(&snapshot, &put_class(second));
    silent(&world(), &put_class(class("lab", &["198.51.100.10-198.51.100.20"], true)));
}

#[test]
fn objects_in_another_namespace_are_refused_but_for_those_that_deckhouse_makes() {
    let wanted = "metadata.namespace: resource must be created in metallb-system namespace: no other is read";
    let mut elsewhere = pool("two", &["203.0.113.0/24"]);
    elsewhere.metadata.namespace = Some("default".into());
    refused(&world(), &put_pool(elsewhere.clone()), wanted);
    elsewhere.metadata.labels = Some([("heritage".to_owned(), "deckhouse".to_owned())].into());
    silent(&world(), &put_pool(elsewhere));
    let mut elsewhere = advertisement("all", &[]);
    elsewhere.metadata.namespace = None;
    refused(&world(), &Change::Put(Subject::Advertisement(Box::new(elsewhere))), wanted);
}

#[test]
fn an_advertisement_of_a_pool_that_is_not_there_is_a_warning_for_it_may_come() {
    warned(
        &world(),
        &Change::Put(Subject::Advertisement(Box::new(advertisement("all", &["one", "none"])))),
        "spec.ipAddressPools[1]: there is no IPAddressPool `none` in namespace metallb-system",
    );
}

#[test]
fn a_community_that_stands_twice_or_is_none_is_refused() {
    let alias = |name: &str, value: &str| CommunityAlias { name: name.into(), value: value.into() };
    let communities = vec![alias("a", "64512:1"), alias("a", "64512:70000")];
    let mut object = Community::new("all", CommunitySpec { communities });
    object.metadata.namespace = Some(NAMESPACE.into());
    let change = Change::Put(Subject::Community(Box::new(object)));
    refused(&world(), &change, "spec.communities[1].name: duplicate name `a`: each stands once");
    let value = "spec.communities[1].value: invalid community value `64512:70000`: invalid section: write two numbers \
                 from 0 to 65535 as 64512:100";
    refused(&world(), &change, value);
}

#[test]
fn a_pool_in_use_may_shrink_and_go_and_it_is_said_what_becomes_of_its_services() {
    let mut snapshot = world();
    snapshot.ip_address_pools.push(Arc::new(pool("two", &["203.0.113.0/24"])));
    for (number, service) in (1..=5).zip(["a", "b", "c", "d", "e"]) {
        snapshot.virtual_ips.push(Arc::new(vip(&format!("192.0.2.{number}"), "metallb-system/one", service)));
    }
    warned(
        &snapshot,
        &put_pool(pool("one", &["192.0.2.2/31", "192.0.2.4/31"])),
        "IPAddressPool `one`: in use and in no pool any more: 192.0.2.1 (default/a): their Services get others, and \
         lose these",
    );
    warned(
        &snapshot,
        &Change::Delete(Subject::Pool(Box::new(pool("one", &[])))),
        "IPAddressPool `one`: in use and in no pool any more: 192.0.2.1 (default/a), 192.0.2.2 (default/b), 192.0.2.3 \
         (default/c) and 2 more: their Services get others, and lose these",
    );
    snapshot.ip_address_pools.truncate(1);
    warned(
        &snapshot,
        &Change::Delete(Subject::Pool(Box::new(pool("one", &[])))),
        "IPAddressPool `one`: in use and in no pool any more: 192.0.2.1 (default/a), 192.0.2.2 (default/b), 192.0.2.3 \
         (default/c) and 2 more: their Services keep them as long as there is no such pool at all",
    );
}

#[test]
fn a_class_in_use_may_go_and_its_services_keep_what_they_have() {
    let mut snapshot = world();
    snapshot.virtual_ips.push(Arc::new(vip("198.51.100.10", "lab", "a")));
    warned(
        &snapshot,
        &Change::Delete(Subject::Class(Box::new(class("lab", &[], true)))),
        "class `lab`: in use and in no pool any more: 198.51.100.10 (default/a): their Services keep them, and get no \
         new ones while the class is gone",
    );
}

#[test]
fn an_overlap_of_others_is_never_refused() {
    // Two overlap with the third, and with each other: the one that is told of changes as the widest shrinks.
    let mut snapshot = world();
    snapshot.ip_address_pools.push(Arc::new(pool("a", &["203.0.113.0-203.0.113.20"])));
    snapshot.ip_address_pools.push(Arc::new(pool("b", &["203.0.113.5-203.0.113.15"])));
    snapshot.ip_address_pools.push(Arc::new(pool("c", &["203.0.113.10-203.0.113.30"])));
    silent(&snapshot, &put_pool(pool("a", &["203.0.113.0-203.0.113.4"])));
    refused(
        &snapshot,
        &put_pool(pool("a", &["203.0.113.0-203.0.113.20", "203.0.113.30-203.0.113.40"])),
        "spec.addresses: 203.0.113.10-203.0.113.30 overlaps with already defined CIDR 203.0.113.30-203.0.113.40 of \
         IPAddressPool `a`: each address is given once",
    );
}

#[test]
fn beside_metallb_only_classes_are_judged() {
    let mut snapshot = world();
    snapshot.configuration.reads_metallb = false;
    let mut elsewhere = pool("two", &["no-range"]);
    elsewhere.metadata.namespace = Some("default".into());
    assert_eq!(judge(&snapshot, &put_pool(elsewhere)), Verdict::default());
    let object = Community::new("all", CommunitySpec { communities: Vec::new() });
    assert_eq!(judge(&snapshot, &Change::Put(Subject::Community(Box::new(object)))), Verdict::default());
    let change = put_class(class("second", &["203.0.113.0/24"], true));
    assert_eq!(judge(&snapshot, &change).refused.len(), 1);
}
