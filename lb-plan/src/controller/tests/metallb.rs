//! MetalLB's pools: who gets which address, family by family; MetalLB's own scenarios with their pools
//! (metallb.md sections 3.4, 3.6 and 10.6).

use k8s_openapi::{api::core::v1::Service, apimachinery::pkg::apis::meta::v1::LabelSelector};
use lb_api::metallb::ServiceAllocation;

use super::world::{World, annotate, dual, pairs};

const POOL: &str = "metallb.io/address-pool";
const IPS: &str = "metallb.io/loadBalancerIPs";

fn selector(labels: &[(&str, &str)]) -> LabelSelector {
    LabelSelector { match_labels: Some(pairs(labels)), ..LabelSelector::default() }
}

fn allocation(priority: i64, namespaces: &[&str], services: &[(&str, &str)]) -> Option<ServiceAllocation> {
    let service_selectors = if services.is_empty() { Vec::new() } else { vec![selector(services)] };
    Some(ServiceAllocation {
        priority: Some(priority),
        namespaces: namespaces.iter().map(ToString::to_string).collect(),
        namespace_selectors: Vec::new(),
        service_selectors,
    })
}

/// Three nodes, and an advertisement of every pool.
fn world() -> World {
    let mut world = World::with(3, &[]);
    world.classes.clear();
    world.advertise("all", |_| {});
    world
}

/// The pools of MetalLB's `TestControllerMutation`.
fn mutation() -> World {
    let mut world = world();
    world.pool("pool1", &["1.2.3.0/31"], |_| {});
    world.pool("pool2", &["3.4.5.6/32"], |pool| pool.spec.auto_assign = false);
    world.pool("pool3", &["1000::/127"], |_| {});
    world.pool("pool4", &["2000::1/128"], |pool| pool.spec.auto_assign = false);
    world.pool("pool5", &["1.2.4.0/31", "1001::/127"], |_| {});
    world.pool("pool6", &["7.8.9.0/31"], |pool| pool.spec.service_allocation = allocation(10, &["ns1"], &[]));
    world.pool("pool7", &["10.11.12.0/31"], |pool| pool.spec.service_allocation = allocation(11, &["ns1"], &[]));
    world.pool("pool9", &["16.17.18.0/31"], |pool| pool.spec.service_allocation = allocation(0, &["ns2"], &[]));
    world.pool("pool8", &["13.14.15.0/31"], |pool| {
        pool.spec.service_allocation = allocation(9, &[], &[("team", "metallb")]);
    });
    world.pool("pool10", &["19.20.21.0/31"], |pool| {
        pool.spec.service_allocation = allocation(8, &[], &[("team", "metallb")]);
    });
    world.pool("pool11", &["22.23.24.0/31"], |pool| {
        pool.spec.service_allocation = allocation(8, &["ns1"], &[("team", "red")]);
    });
    world.pool("pool12", &["25.26.27.0/31"], |pool| {
        pool.spec.service_allocation = allocation(5, &["ns1"], &[("team", "red")]);
    });
    world
}

fn family(service: &mut Service, family: &str) {
    service.spec.get_or_insert_default().ip_families = Some(vec![family.into()]);
}

type Case = (&'static str, fn(&mut Service), &'static [&'static str], Option<&'static str>);

/// What comes of a Service in namespace `default`: the addresses, and a part of what the user is told.
const CASES: [Case; 21] = [
    ("simple", |_| {}, &["1.2.3.0"], None),
    ("simple IPv6", |service| family(service, "IPv6"), &["1000::"], None),
    ("specific address by field", |service| field(service, "1.2.3.1"), &["1.2.3.1"], None),
    ("specific address by annotation", |service| annotate(service, IPS, "1.2.3.1"), &["1.2.3.1"], None),
    (
        "by both",
        |service| {
            field(service, "1.2.3.1");
            annotate(service, IPS, "1.2.3.1");
        },
        &[],
        Some("spec.loadBalancerIP: is set, and metallb.io/loadBalancerIPs as well"),
    ),
    ("unreadable field", |service| field(service, "1.2.3"), &[], Some("invalid requested IP `1.2.3`")),
    ("unreadable annotation", |service| annotate(service, IPS, "x"), &[], Some("invalid requested IP `x`")),
    (
        "address and another pool",
        |service| {
            annotate(service, IPS, "1.2.3.1");
            annotate(service, POOL, "pool2");
        },
        &[],
        Some("1.2.3.1 cannot be given: it is in IPAddressPool `pool1`, and the Service asks for IPAddressPool `pool2`"),
    ),
    (
        "two of one family",
        |service| annotate(service, IPS, "1.2.3.0,1.2.3.1"),
        &[],
        Some("2 addresses of one family are asked for, and the Service has 1: raise lb.herald.dev/ip-count"),
    ),
    (
        "address outside",
        |service| annotate(service, IPS, "9.9.9.9"),
        &[],
        Some("9.9.9.9 cannot be given: no IPAddressPool contains it"),
    ),
    ("pool that does not assign", |service| annotate(service, POOL, "pool2"), &["3.4.5.6"], None),
    ("address that is not assigned", |service| annotate(service, IPS, "3.4.5.6"), &["3.4.5.6"], None),
    ("unknown pool", |service| annotate(service, POOL, "pool99"), &[], Some("unknown pool `pool99`")),
    (
        "pool for others",
        |service| annotate(service, POOL, "pool6"),
        &[],
        Some("IPAddressPool `pool6` is not compatible with the Service"),
    ),
    (
        "wrong family",
        |service| annotate(service, IPS, "1000::"),
        &[],
        Some("asks for IPv6, and the Service has no IPv6 clusterIP"),
    ),
    (
        "pool of the other family",
        |service| annotate(service, POOL, "pool3"),
        &[],
        Some("no available IPs in pool `pool3` for IPv4"),
    ),
    ("dual stack", |service| dual(service, "RequireDualStack"), &["1.2.4.0", "1001::"], None),
    ("dual stack, preferred", |service| dual(service, "PreferDualStack"), &["1.2.4.0", "1001::"], None),
    (
        "dual stack, IPv6 first",
        |service| {
            dual(service, "RequireDualStack");
            service.spec.get_or_insert_default().ip_families = Some(vec!["IPv6".into(), "IPv4".into()]);
        },
        &["1001::", "1.2.4.0"],
        None,
    ),
    (
        "dual stack, one address asked for",
        |service| {
            dual(service, "PreferDualStack");
            annotate(service, IPS, "1.2.4.1");
        },
        &[],
        Some("a dual-stack Service asks for as many IPv4 as IPv6 addresses, or for none"),
    ),
    (
        "dual stack, both asked for",
        |service| {
            dual(service, "PreferDualStack");
            annotate(service, IPS, "1001::1,1.2.4.1");
        },
        &["1.2.4.1", "1001::1"],
        None,
    ),
];

fn field(service: &mut Service, address: &str) {
    service.spec.get_or_insert_default().load_balancer_ip = Some(address.into());
}

#[test]
fn metallbs_cases() {
    for (case, edit, addresses, told) in CASES {
        let mut world = mutation();
        world.service("web", edit);
        world.settle();

        assert_eq!(world.shown("web"), addresses, "{case}");
        match told {
            Some(part) => assert!(world.told(part), "{case}: {:#?}", world.notes()),
            None => assert!(world.told("Assigned IP") && world.warnings().is_empty(), "{case}: {:#?}", world.notes()),
        }
    }
}

#[test]
fn pinned_pools_come_first_by_priority() {
    for (namespace, labels, address) in [
        ("ns1", &[][..], "7.8.9.0"),
        ("ns2", &[], "16.17.18.0"),
        ("ns3", &[("team", "metallb")], "19.20.21.0"),
        ("ns1", &[("team", "red")], "25.26.27.0"),
    ] {
        let mut world = mutation();
        world.service_in(namespace, "web", |service| service.metadata.labels = Some(pairs(labels)));
        world.settle();
        assert_eq!(world.shown_in(namespace, "web"), [address], "{namespace} {labels:?}");
    }
    // An exhausted one falls through to the next, then to those for everybody.
    let mut world = mutation();
    for number in 0..6 {
        world.service_in("ns1", &format!("web-{number}"), |_| {});
        world.settle();
    }
    let shown: Vec<String> = (0..6).flat_map(|number| world.shown_in("ns1", &format!("web-{number}"))).collect();
    assert_eq!(shown, ["7.8.9.0", "7.8.9.1", "10.11.12.0", "10.11.12.1", "1.2.3.0", "1.2.3.1"]);
}

#[test]
fn a_pinned_pool_wins_over_a_dual_one_for_who_prefers_two_families() {
    let mut world = mutation();
    world.service_in("ns1", "web", |service| dual(service, "PreferDualStack"));
    world.settle();
    assert_eq!(world.shown_in("ns1", "web"), ["7.8.9.0"]);
}

#[test]
fn namespaces_are_selected_by_label_and_a_selector_without_match_widens_nothing() {
    let mut world = world();
    world.namespace("red", &[("team", "red")]);
    world.pool("a", &["192.0.2.0/30"], |pool| {
        let namespace_selectors = vec![selector(&[("team", "red")])];
        pool.spec.service_allocation = Some(ServiceAllocation { namespace_selectors, ..ServiceAllocation::default() });
    });
    world.service_in("red", "web", |_| {});
    world.service_in("blue", "web", |service| annotate(service, POOL, "a"));
    world.settle();
    assert_eq!(world.shown_in("red", "web"), ["192.0.2.0"]);
    assert_eq!(world.shown_in("blue", "web"), Vec::<String>::new());
    assert!(world.told("IPAddressPool `a` is not compatible with the Service"));

    world.namespace("red", &[]);
    world.settle();
    assert_eq!(world.shown_in("red", "web"), Vec::<String>::new());
    // Unless the namespace cannot be read: then nobody knows.
    world.namespace("red", &[("team", "red")]);
    world.settle();
    world.namespaces.clear();
    world.doubts.namespaces.insert("", "red");
    world.settle();
    assert_eq!(world.shown_in("red", "web"), ["192.0.2.0"]);
}

#[test]
fn a_pool_that_is_full_and_one_that_assigns_nothing_are_told() {
    let mut world = world();
    world.pool("a", &["192.0.2.0/32"], |pool| pool.spec.avoid_buggy_ips = true);
    world.service("web", |_| {});
    world.settle();
    assert!(world.told("no available IPs: no IPv4 address is left in any IPAddressPool that the Service may use"));
    assert_eq!(world.warnings(), ["AllocationFailed"]);

    world.pool("a", &["192.0.2.0/24"], |pool| pool.spec.auto_assign = false);
    world.events.clear();
    world.settle();
    assert!(world.told("no available IPs: no IPAddressPool with autoAssign is for this Service"));
}

#[test]
fn addresses_that_some_devices_take_for_broadcasts_are_avoided() {
    let mut world = world();
    world.pool("a", &["192.0.2.254-192.0.3.1"], |pool| pool.spec.avoid_buggy_ips = true);
    for name in ["a", "b", "c"] {
        world.service(name, |_| {});
    }
    world.service("d", |service| annotate(service, IPS, "192.0.3.0"));
    world.settle();
    assert_eq!([world.shown("a"), world.shown("b")], [["192.0.2.254"], ["192.0.3.1"]]);
    assert_eq!(world.shown("c"), Vec::<String>::new());
    assert!(world.told("192.0.3.0 cannot be given: no IPAddressPool contains it"));
}

#[test]
fn several_addresses_from_pools_grow_and_shrink() {
    let mut world = world();
    world.pool("a", &["192.0.2.0/31", "2001:db8::/127"], |_| {});
    world.pool("b", &["198.51.100.0/30", "2001:db8:1::/126"], |_| {});
    world.service("web", |service| dual(service, "RequireDualStack"));
    world.count("web", "3");
    world.settle();
    let three = ["192.0.2.0", "2001:db8::", "192.0.2.1", "2001:db8::1", "198.51.100.0", "2001:db8:1::"];
    assert_eq!(world.shown("web"), three);
    let primaries: std::collections::BTreeSet<String> = three.iter().map(|address| world.primary(address)).collect();
    assert_eq!(primaries.len(), 3);

    world.count("web", "1");
    world.settle();
    assert_eq!(world.shown("web"), three[..2]);
    world.count("web", "auto");
    world.settle();
    assert_eq!(world.shown("web"), three);
}

/// metallb.md section 3.6.
#[test]
fn families_and_policies() {
    let mut world = world();
    world.pool("v4", &["192.0.2.0/30"], |_| {});
    world.pool("v6", &["2001:db8::/126"], |_| {});
    world.service("prefers", |service| dual(service, "PreferDualStack"));
    world.service("requires", |service| dual(service, "RequireDualStack"));
    world.service("one", |service| {
        service.spec.get_or_insert_default().ip_family_policy = Some("RequireDualStack".into())
    });
    world.settle();
    assert_eq!(world.shown("prefers"), ["192.0.2.0"]);
    assert_eq!((world.shown("requires"), world.shown("one")), (vec![], vec![]));
    assert!(world.told("RequireDualStack needs two clusterIPs and the Service has one"));
    assert!(world.told("no available IPs: no IPAddressPool that the Service may use has IPv4 and IPv6 left"));

    // Another dual pool changes nothing for who has one; its own pool that gains the family does.
    world.pool("both", &["198.51.100.0/30", "2001:db8:1::/126"], |_| {});
    world.settle();
    assert_eq!(world.shown("prefers"), ["192.0.2.0"]);
    assert_eq!(world.shown("requires"), ["198.51.100.0", "2001:db8:1::"]);
    world.pool("v4", &["192.0.2.0/30", "2001:db8:2::/126"], |_| {});
    world.settle();
    assert_eq!(world.shown("prefers"), ["192.0.2.0", "2001:db8:2::"]);

    // Required, and the pool has one family: given up, and back when it is preferred.
    world.remove_pool("both");
    world.pool("v4", &["192.0.2.0/30"], |_| {});
    world.settle();
    assert_eq!(world.shown("prefers"), ["192.0.2.0"]);
    world.service("prefers", |service| dual(service, "RequireDualStack"));
    world.settle();
    assert_eq!(world.shown("prefers"), Vec::<String>::new());
    world.service("prefers", |service| dual(service, "PreferDualStack"));
    world.settle();
    assert_eq!(world.shown("prefers"), ["192.0.2.0"]);
}

/// metallb.md section 3.7.
#[test]
fn pools_that_change_under_use() {
    let mut world = world();
    world.pool("a", &["192.0.2.0/30"], |_| {});
    world.pool("spare", &["198.51.100.0/30"], |_| {});
    world.service("web", |_| {});
    world.service("api", |_| {});
    world.settle();
    assert_eq!((world.shown("web"), world.shown("api")), (vec!["192.0.2.1".into()], vec!["192.0.2.0".into()]));

    // No longer by itself: who has one keeps it.
    world.pool("a", &["192.0.2.0/30"], |pool| pool.spec.auto_assign = false);
    world.settle();
    assert_eq!(world.shown("web"), ["192.0.2.1"]);
    // Renamed: the address stays, and says where it is from now.
    world.remove_pool("a");
    world.pool("renamed", &["192.0.2.0/30"], |_| {});
    world.settle();
    assert_eq!(world.shown("web"), ["192.0.2.1"]);
    assert_eq!(world.vip("192.0.2.1").map(|vip| vip.spec.pool.as_str()), Some("metallb-system/renamed"));
    // An entry that cannot be read: nobody loses anything.
    world.pool("renamed", &["192.0.2.x/30"], |_| {});
    world.settle();
    assert_eq!(world.shown("web"), ["192.0.2.1"]);
    // Shrunk: cleared and given another, and told.
    world.pool("renamed", &["192.0.2.0/32"], |_| {});
    world.settle();
    assert_eq!((world.shown("web"), world.shown("api")), (vec!["198.51.100.0".into()], vec!["192.0.2.0".into()]));
    assert!(world.told("192.0.2.1 is taken away: it is not in any IPAddressPool that the Service may use any more"));
    assert!(world.reasons().contains(&"ClearAssignment".to_owned()));
    // Deleted: back to where its former address still waits for it. The last one: nothing is cleared.
    world.remove_pool("spare");
    world.pool("renamed", &["192.0.2.0/30"], |_| {});
    world.settle();
    assert_eq!(world.shown("web"), ["192.0.2.1"]);
    world.remove_pool("renamed");
    world.settle();
    assert_eq!(world.shown("web"), ["192.0.2.1"]);
    // In doubt, as good as there.
    world.pool("other", &["203.0.113.0/30"], |_| {});
    world.doubts.ip_address_pools.insert("metallb-system", "renamed");
    world.settle();
    assert_eq!(world.shown("web"), ["192.0.2.1"]);
}

#[test]
fn another_pool_by_annotation_moves_the_service() {
    let mut world = mutation();
    world.service("web", |_| {});
    world.settle();
    assert_eq!(world.shown("web"), ["1.2.3.0"]);
    world.service("web", |service| annotate(service, "metallb.universe.tf/address-pool", "pool2"));
    world.settle();
    assert_eq!(world.shown("web"), ["3.4.5.6"]);
    assert!(world.told("metallb.universe.tf/address-pool]: the prefix is deprecated: write metallb.io/address-pool"));
    // A slip of the pen moves nothing.
    world.service("web", |service| annotate(service, "metallb.universe.tf/address-pool", "pool22"));
    world.settle();
    assert_eq!(world.shown("web"), ["3.4.5.6"]);
}

#[test]
fn a_former_owner_and_the_full_pool() {
    let mut world = world();
    world.pool("a", &["192.0.2.0/31"], |_| {});
    world.service("web", |_| {});
    world.settle();
    world.delete_service("web");
    world.settle();
    world.service("api", |_| {});
    world.settle();
    assert_eq!(world.shown("api"), ["192.0.2.1"]);
    world.service("web", |_| {});
    world.settle();
    assert_eq!(world.shown("web"), ["192.0.2.0"]);
    world.delete_service("web");
    world.settle();
    world.service("late", |_| {});
    world.settle();
    assert_eq!(world.shown("late"), ["192.0.2.0"]);
}

#[test]
fn classes_come_before_pools_and_what_asks_for_pools_before_a_default_class() {
    let mut world = mutation();
    world.service("first", |_| {});
    world.settle();
    assert_eq!(world.shown("first"), ["1.2.3.0"]);
    world.class("main", &["192.0.2.0/28"], true);
    world.service("second", |_| {});
    world.service("third", |service| annotate(service, POOL, "pool1"));
    world.service("fourth", |service| field(service, "3.4.5.6"));
    world.settle();
    // Who has an address keeps it although there is a default now.
    assert_eq!(world.shown("first"), ["1.2.3.0"]);
    assert_eq!(world.shown("second"), ["192.0.2.0"]);
    assert_eq!(world.shown("third"), ["1.2.3.1"]);
    assert_eq!(world.shown("fourth"), ["3.4.5.6"]);
}

#[test]
fn lb_class_says_whose_a_service_is() {
    let class = |name: Option<&'static str>| {
        move |service: &mut Service| {
            service.spec.get_or_insert_default().load_balancer_class = name.map(str::to_owned);
        }
    };
    for (flag, by_spec, served) in [
        (None, None, true),
        (None, Some("example.com/other"), false),
        (Some("example.com/herald"), None, false),
        (Some("example.com/herald"), Some("example.com/herald"), true),
        (Some("example.com/herald"), Some("example.com/other"), false),
    ] {
        let mut world = mutation();
        world.configuration.lb_class = flag.map(str::to_owned);
        world.service("web", class(by_spec));
        world.settle();
        assert_eq!(!world.shown("web").is_empty(), served, "{flag:?} {by_spec:?}");
    }
}

#[test]
fn beside_metallb_its_objects_are_nobodys_business() {
    let mut world = mutation();
    world.configuration.reads_metallb = false;
    world.service("web", |_| {});
    world.show("web", &["1.2.3.0"]);
    world.advertise("all", |object| object.spec.ip_address_pools = vec!["none".into()]);

    assert_eq!(world.plan().steps, []);
}
