//! Random histories: edits, restarts with a part of the steps applied, writes that are refused.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use lb_api::names::annotation;
use proptest::prelude::*;

use super::{
    quiet::check,
    world::{World, annotate, dual, family},
};

pub(super) const POOLS: [&[&str]; 4] = [
    &["192.0.2.0/28", "2001:db8::/124"],
    &["192.0.2.4-192.0.2.9", "2001:db8::4-2001:db8::9"],
    &["192.0.2.0/28"],
    &["192.0.2.1-192.0.2.3", "broken"],
];

#[derive(Debug, Clone)]
pub(super) enum Edit {
    Service { number: usize, count: u32, dual: usize, class: usize },
    Count { number: usize, count: u32 },
    Request { number: usize, last: Vec<u8> },
    Foreign(usize),
    Delete(usize),
    Node { number: usize, kind: usize },
    RemoveNode(usize),
    Pool { class: usize, pool: usize },
    RemoveClass(usize),
    RemoveVip(usize),
    Wait(i64),
}

/// How far the controller gets after an edit before it is killed, and which of its writes are refused.
#[derive(Debug, Clone)]
struct Fate {
    applied: Option<usize>,
    refused: BTreeSet<usize>,
}

pub(super) fn edit() -> impl Strategy<Value = Edit> {
    let (service, class) = (0_usize..5, 0_usize..2);
    prop_oneof![
        4 => (service.clone(), 1_u32..6, 0_usize..3, 0_usize..3)
            .prop_map(|(number, count, dual, class)| Edit::Service { number, count, dual, class }),
        4 => (service.clone(), 1_u32..6).prop_map(|(number, count)| Edit::Count { number, count }),
        2 => (service.clone(), prop::collection::vec(0_u8..16, 0..4)).prop_map(|(number, last)| Edit::Request { number, last }),
        1 => service.clone().prop_map(Edit::Foreign),
        3 => service.prop_map(Edit::Delete),
        3 => (0_usize..5, 0_usize..3).prop_map(|(number, kind)| Edit::Node { number, kind }),
        2 => (0_usize..5).prop_map(Edit::RemoveNode),
        3 => (class.clone(), 0_usize..POOLS.len()).prop_map(|(class, pool)| Edit::Pool { class, pool }),
        1 => class.prop_map(Edit::RemoveClass),
        1 => (0_usize..16).prop_map(Edit::RemoveVip),
        2 => prop_oneof![Just(1_i64), Just(61), Just(3700)].prop_map(Edit::Wait),
    ]
}

fn fate() -> impl Strategy<Value = Fate> {
    (prop::option::of(0_usize..6), prop::collection::btree_set(0_usize..8, 0..3))
        .prop_map(|(applied, refused)| Fate { applied, refused })
}

fn service_name(number: usize) -> String {
    format!("web-{number}")
}

pub(super) fn class_name(number: usize) -> String {
    format!("class-{number}")
}

impl Edit {
    pub(super) fn make(&self, world: &mut World) {
        match self {
            Self::Service { number, count, dual: policy, class } => {
                world.service(&service_name(*number), |service| {
                    service.spec.get_or_insert_default().load_balancer_class = None;
                    match policy {
                        1 => dual(service, "PreferDualStack"),
                        2 => dual(service, "RequireDualStack"),
                        _ => {}
                    }
                    if *class < 2 {
                        annotate(service, annotation::DECKHOUSE_CLASS, &class_name(*class));
                    }
                });
                world.count(&service_name(*number), &count.to_string());
            }
            Self::Count { number, count } => world.count(&service_name(*number), &count.to_string()),
            Self::Request { number, last } => {
                let list: Vec<String> = last.iter().map(|last| format!("192.0.2.{last}")).collect();
                world.service(&service_name(*number), |service| {
                    annotate(service, annotation::DECKHOUSE_IPS, &list.join(","));
                });
            }
            Self::Foreign(number) => world.service(&service_name(*number), |service| {
                service.spec.get_or_insert_default().load_balancer_class = Some("foreign".into());
            }),
            Self::Delete(number) => world.delete_service(&service_name(*number)),
            Self::Node { number, kind } => world.node(*number, |node| match kind {
                1 => node.spec.get_or_insert_default().unschedulable = Some(true),
                2 => {
                    let label = lb_api::names::label::EXCLUDE.to_owned();
                    node.metadata.labels.get_or_insert_default().insert(label, String::new());
                }
                _ => {}
            }),
            Self::RemoveNode(number) => {
                world.nodes.remove(&(String::new(), format!("node-{number}")));
            }
            Self::Pool { class, pool } => world.class(&class_name(*class), POOLS[*pool], *class == 0),
            Self::RemoveClass(class) => {
                world.classes.remove(&(String::new(), class_name(*class)));
            }
            Self::RemoveVip(number) => {
                let name = world.vips.keys().nth(*number).cloned();
                name.and_then(|name| world.vips.remove(&name));
            }
            Self::Wait(seconds) => {
                world.now = world.now.checked_add(SignedDuration::from_secs(*seconds)).expect("in range");
            }
        }
    }

    /// The Service that the edit is about; `None` if it is about more than one.
    fn about(&self) -> Option<String> {
        match self {
            Self::Service { number, .. }
            | Self::Count { number, .. }
            | Self::Request { number, .. }
            | Self::Foreign(number)
            | Self::Delete(number) => Some(service_name(*number)),
            Self::Node { .. } | Self::RemoveNode(_) | Self::Wait(_) => Some(String::new()),
            Self::Pool { .. } | Self::RemoveClass(_) | Self::RemoveVip(_) => None,
        }
    }
}

/// Addresses of Services that the edit was not about stay.
fn check_unmoved(before: &World, after: &World, about: &str) {
    for (name, held) in before.bound() {
        let there = after.services.contains_key(&("default".to_owned(), name.clone()));
        if name == about || !there {
            continue;
        }
        let now: BTreeSet<_> = after.bound().remove(&name).into_iter().flatten().collect();
        for (claim, address) in held {
            // A Service whose own request was waiting for this address may exchange one of its own for it.
            let asks = after.services[&("default".to_owned(), name.clone())]
                .metadata
                .annotations
                .as_ref()
                .is_some_and(|all| all.contains_key(annotation::DECKHOUSE_IPS));
            assert!(asks || now.contains(&(claim.clone(), address)), "{name} lost {address} ({:?})", family(&address));
        }
    }
}

proptest! {
    #[test]
    fn whenever_it_is_quiet_no_address_is_doubled_leaked_or_moved(history in prop::collection::vec((edit(), fate()), 1..24)) {
        let mut world = World::new();
        for number in 0..3 {
            world.node(number, |_| {});
        }
        world.class(&class_name(0), POOLS[0], true);
        world.class(&class_name(1), POOLS[1], false);
        for (edit, fate) in history {
            let before = world.clone();
            edit.make(&mut world);
            // A pass that is cut short and refused in parts; then a new controller.
            for (number, step) in world.plan().steps.iter().enumerate().take(fate.applied.unwrap_or(usize::MAX)) {
                if !fate.refused.contains(&number) {
                    world.apply(&step.action);
                }
            }
            world.settle();
            check(&world);
            if let Some(about) = edit.about() {
                check_unmoved(&before, &world, &about);
            }
        }
    }

    /// Where a controller is killed makes no difference to who has which address; where there are too few, to how many are
    /// given in all: who gets the last ones depends on what was given back first. Rankings depend on the rankings before them, and so
    /// on which of two plans made them.
    #[test]
    fn a_kill_between_any_two_steps_ends_the_same(edits in prop::collection::vec(edit(), 1..12), last in edit(), cut in 0_usize..12) {
        let mut world = World::new();
        for number in 0..3 {
            world.node(number, |_| {});
        }
        world.class(&class_name(0), POOLS[0], true);
        world.class(&class_name(1), POOLS[1], false);
        for edit in edits {
            edit.make(&mut world);
            world.settle();
        }
        last.make(&mut world);
        let mut killed = world.clone();
        for step in world.plan().steps.iter().take(cut) {
            killed.apply(&step.action);
        }
        world.settle();
        killed.settle();
        let figures = world.plan().figures;
        if figures.assigned == figures.wanted {
            prop_assert_eq!(world.bound(), killed.bound());
        } else {
            let given = |world: &World| world.bound().values().map(|has| has.len()).sum::<usize>();
            prop_assert_eq!(given(&world), given(&killed));
        }
    }
}
