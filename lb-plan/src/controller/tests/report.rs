//! What users and their tools are told: counters, the ConfigurationState, Events, the annotation
//! (metallb.md sections 1.1, 1.9, 3.8 and 7.4).

use lb_api::metallb::{ConfigurationResult, IPAddressPoolStatus};

use super::world::{World, annotate, dual, pairs, ports};

fn world() -> World {
    let mut world = World::with(3, &[]);
    world.classes.clear();
    world.pool("a", &["192.0.2.0/30", "2001:db8::/126"], |_| {});
    world.advertise("all", |_| {});
    world
}

fn counters(world: &World, pool: &str) -> (i64, i64, i64, i64) {
    let status = world.pools[&("metallb-system".to_owned(), pool.to_owned())].status.expect("it is counted");
    (status.assigned_ipv4, status.available_ipv4, status.assigned_ipv6, status.available_ipv6)
}

/// MetalLB's "Pool status DUALSTACK".
#[test]
fn a_pools_status_counts_what_is_assigned_and_left() {
    let mut world = world();
    world.settle();
    assert_eq!(counters(&world, "a"), (0, 4, 0, 4));
    world.service("web", |service| dual(service, "RequireDualStack"));
    world.settle();
    assert_eq!(counters(&world, "a"), (1, 3, 1, 3));
    world.pool("a", &["192.0.2.0/29", "2001:db8::/125"], |_| {});
    world.settle();
    assert_eq!(counters(&world, "a"), (1, 7, 1, 7));
    // A manual edit is reverted.
    world.pool("a", &["192.0.2.0/29", "2001:db8::/125"], |pool| {
        pool.status = Some(IPAddressPoolStatus { assigned_ipv4: 5, ..IPAddressPoolStatus::default() });
    });
    world.settle();
    assert_eq!(counters(&world, "a"), (1, 7, 1, 7));
    world.delete_service("web");
    world.settle();
    assert_eq!(counters(&world, "a"), (0, 8, 0, 8));
}

#[test]
fn a_shared_address_counts_once() {
    let mut world = world();
    for (name, port) in [("a", 80), ("b", 81), ("c", 82)] {
        world.service(name, |service| {
            annotate(service, "metallb.io/allow-shared-ip", "key");
            ports(service, &[("TCP", port)]);
        });
    }
    world.settle();
    assert_eq!(counters(&world, "a"), (1, 3, 0, 4));
}

fn state(world: &World) -> (Option<ConfigurationResult>, String, String) {
    let state = &world.states[&("metallb-system".to_owned(), "controller".to_owned())];
    assert_eq!(state.metadata.labels, Some(pairs(&[("metallb.io/component-type", "controller")])));
    let status = state.status.clone().expect("it is judged");
    assert_eq!(status.conditions.len(), 1);
    assert_eq!(status.conditions[0].type_, "poolReconcilerValid");
    (status.result, status.error_summary, status.conditions[0].reason.clone())
}

#[test]
fn the_configuration_state_says_what_is_wrong_and_moves_only_with_it() {
    let mut world = world();
    world.settle();
    assert_eq!(state(&world), (Some(ConfigurationResult::Valid), String::new(), "Reconciled".into()));
    let before = world.states.clone();
    world.now = world.now.checked_add(jiff::SignedDuration::from_secs(60)).expect("in range");
    world.service("web", |_| {});
    world.settle();
    assert_eq!(world.states, before);

    world.pool("b", &["192.0.2.2/31", "x"], |_| {});
    world.settle();
    let (result, summary, reason) = state(&world);
    assert_eq!((result, reason.as_str()), (Some(ConfigurationResult::Invalid), "ConfigurationError"));
    assert!(summary.contains("IPAddressPool `b`: spec.addresses[1]: `x` is neither a CIDR block"), "{summary}");
    assert!(
        summary.contains(
            "IPAddressPool `b`: spec.addresses: 192.0.2.2-192.0.2.3 overlaps with already defined CIDR \
             192.0.2.0-192.0.2.3 of IPAddressPool `a`: each address is given once"
        ),
        "{summary}"
    );
    // It is on the very object as well, and the other one works.
    assert!(world.told("overlaps with already defined CIDR"));
    world.service("api", |_| {});
    world.settle();
    assert_eq!(world.shown("api").len(), 1);
    // Deleted, it comes back.
    world.states.clear();
    world.remove_pool("b");
    world.settle();
    assert_eq!(state(&world).0, Some(ConfigurationResult::Valid));
}

#[test]
fn without_metallbs_pools_nothing_is_reported_in_metallbs_way() {
    let mut world = World::with(3, &["192.0.2.0/30"]);
    world.service("web", |_| {});
    world.settle();
    assert!(world.states.is_empty());
}

#[test]
fn an_assignment_is_told_once() {
    let mut world = world();
    world.service("web", |service| dual(service, "PreferDualStack"));
    world.settle();
    assert_eq!(world.notes(), ["Assigned IP [\"192.0.2.0\" \"2001:db8::\"]"]);
    assert_eq!(world.reasons(), ["IPAllocated"]);
    world.now = world.now.checked_add(jiff::SignedDuration::from_secs(3700)).expect("in range");
    world.settle();
    assert!(world.events.is_empty(), "an hour later it is forgotten and not told again");
}

#[test]
fn the_second_family_that_cannot_be_had_is_told() {
    let mut world = world();
    world.pool("a", &["192.0.2.0/30", "2001:db8::/128"], |_| {});
    world.service("first", |service| dual(service, "PreferDualStack"));
    world.settle();
    world.service("second", |service| dual(service, "PreferDualStack"));
    world.settle();
    assert_eq!(world.shown("second"), ["192.0.2.1"]);
    assert!(world.reasons().contains(&"AdditionalAssignFailed".to_owned()));
    assert!(world.told("no IPv6 address is left in IPAddressPool `a` beside the one it has"));
    assert!(world.warnings().is_empty());
    // It is added as soon as there is one; the first stays.
    world.delete_service("first");
    world.settle();
    assert_eq!(world.shown("second"), ["192.0.2.1", "2001:db8::"]);
    assert!(world.told("Assigned IP [\"2001:db8::\"]"));
}

#[test]
fn each_reason_is_metallbs() {
    type Edit = fn(&mut k8s_openapi::api::core::v1::Service);
    let cases: [(Edit, &str); 5] = [
        (|service| annotate(service, "metallb.io/address-pool", "none"), "AllocationFailed"),
        (|service| annotate(service, "metallb.io/loadBalancerIPs", "x"), "LoadBalancerFailed"),
        (|service| annotate(service, "metallb.io/loadBalancerIPs", "9.9.9.9"), "AllocationFailed"),
        (
            |service| service.spec.get_or_insert_default().ip_family_policy = Some("RequireDualStack".into()),
            "not enough clusterips",
        ),
        (|service| annotate(service, "metallb.universe.tf/allow-shared-ip", "key"), "deprecatedAnnotation"),
    ];
    for (edit, reason) in cases {
        let mut world = world();
        world.service("web", edit);
        world.settle();
        assert_eq!(world.warnings(), [reason]);
    }
}

#[test]
fn what_stands_in_another_namespace_is_not_read_and_hears_of_it() {
    let mut world = world();
    world.configuration.namespace = "lb".into();
    world.service("web", |_| {});
    world.settle();
    assert!(world.vips.is_empty());
    assert_eq!(world.warnings(), ["NotRead", "NotRead"]);
    assert!(world.told("metadata.namespace: is not read here: make it in namespace `lb`"));
    // Deckhouse makes pools of its own classes.
    world.events.clear();
    world.configuration.namespace = "metallb-system".into();
    world.pool("a", &["192.0.2.0/30"], |pool| pool.metadata.labels = Some(pairs(&[("heritage", "deckhouse")])));
    world.configuration.namespace = "lb".into();
    world.settle();
    assert_eq!(world.warnings(), ["NotRead"]);
}

#[test]
fn an_advertisement_hears_what_is_wrong_with_it() {
    let mut world = world();
    world.advertise("all", |object| object.spec.ip_address_pools = vec!["a".into(), "a".into(), "b".into()]);
    world.settle();
    let mut notes = world.notes();
    notes.sort();
    assert_eq!(
        notes,
        [
            "spec.ipAddressPools[1]: duplicate pool `a`: each stands once",
            "spec.ipAddressPools[2]: there is no IPAddressPool `b` in namespace metallb-system",
        ]
    );
}

#[test]
fn the_pool_is_written_on_the_service_where_that_is_possible() {
    let written = |world: &World| {
        let service = &world.services[&("default".to_owned(), "web".to_owned())];
        service.metadata.annotations.clone().unwrap_or_default().remove("metallb.io/ip-allocated-from-pool")
    };
    let mut world = world();
    world.service("web", |_| {});
    world.settle();
    assert_eq!(written(&world), None);
    world.configuration.annotates = true;
    world.settle();
    assert_eq!(written(&world).as_deref(), Some("a"));
    world.remove_pool("a");
    world.pool("b", &["192.0.2.0/30"], |_| {});
    world.settle();
    assert_eq!(written(&world).as_deref(), Some("b"));
    world.service("web", |service| service.spec.get_or_insert_default().type_ = Some("ClusterIP".into()));
    world.settle();
    assert_eq!((written(&world), world.shown("web")), (None, vec![]));
}

#[test]
fn address_and_pool_are_one_write_to_the_service() {
    use crate::controller::Action;
    let mut world = world();
    world.configuration.annotates = true;
    world.service("web", |_| {});
    let mut writes = Vec::new();
    for _ in 0..4 {
        for step in world.plan().steps {
            world.apply(&step.action);
            if matches!(step.action, Action::WriteStatus(_) | Action::Annotate(_)) {
                writes.push(step.action);
            }
        }
    }
    assert_eq!(world.plan().steps, []);
    let [Action::WriteStatus(service)] = &writes[..] else { panic!("{writes:#?}") };
    let annotations = service.metadata.annotations.clone().unwrap_or_default();
    assert_eq!(annotations.get("metallb.io/ip-allocated-from-pool").map(String::as_str), Some("a"));
}

#[test]
fn metallbs_wishes_are_not_read_with_a_class_and_that_is_told() {
    let mut world = World::with(3, &["192.0.2.0/28"]);
    world.service("web", |service| {
        annotate(service, "metallb.io/address-pool", "a");
        service.spec.get_or_insert_default().load_balancer_ip = Some("192.0.2.9".into());
    });
    world.settle();
    assert_eq!(world.shown("web"), ["192.0.2.0"]);
    assert!(
        world.told("metadata.annotations[metallb.io/address-pool]: is not read, because the Service has class `main`")
    );
    assert!(world.told(
        "spec.loadBalancerIP: is not read, because the Service has class `main`: write \
         network.deckhouse.io/load-balancer-ips instead"
    ));
}
