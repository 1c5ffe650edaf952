//! What is planned of a part is what is planned of the whole.

use std::{collections::BTreeMap, sync::Arc};

use proptest::prelude::*;

use super::{
    histories, pool_histories,
    world::{Name, World, annotate},
};
use crate::controller::{Change, Changes, Plan, Planner};

/// A planner that sees a world change.
#[derive(Debug)]
struct Follower {
    planner: Planner,
    seen: Option<World>,
    /// How many plans were of a part.
    near: usize,
    whole: usize,
}

impl Follower {
    fn new() -> Self {
        Self { planner: Planner::default(), seen: None, near: 0, whole: 0 }
    }

    fn plan(&mut self, world: &World) -> Plan {
        let changes = self.seen.as_ref().and_then(|seen| changes(seen, world));
        self.seen = Some(world.clone());
        let near = changes.and_then(|changes| self.planner.near(changes, world.now));
        match near {
            Some(plan) => {
                self.near += 1;
                plan
            }
            None => {
                self.whole += 1;
                self.planner.whole(world.snapshot())
            }
        }
    }

    /// Plans, and compares with the plan of the whole.
    fn check(&mut self, world: &World) -> Plan {
        let (plan, whole) = (self.plan(world), world.plan());
        assert_eq!(plan.steps, whole.steps, "{self:#?}");
        assert_eq!(plan.figures, whole.figures);
        // To plan too soon is no mistake.
        assert!(whole.deadline.is_none_or(|whole| plan.deadline.is_some_and(|deadline| deadline <= whole)));
        plan
    }

    fn settle(&mut self, world: &mut World) {
        for _ in 0..8 {
            let plan = self.check(world);
            if plan.steps.is_empty() {
                return;
            }
            plan.steps.iter().for_each(|step| world.apply(&step.action));
        }
        panic!("still not settled: {:#?}", self.check(world).steps);
    }
}

/// `None` if there are others.
fn changes(before: &World, now: &World) -> Option<Changes> {
    let others = [
        same(&before.nodes, &now.nodes),
        same(&before.classes, &now.classes),
        same(&before.advertisements, &now.advertisements),
        same(&before.namespaces, &now.namespaces),
        before.configuration == now.configuration,
        before.bgp == now.bgp,
    ];
    others.into_iter().all(|same| same).then(|| Changes {
        services: of(&before.services, &now.services),
        virtual_ips: of(&before.vips, &now.vips),
        endpoint_slices: of(&before.slices, &now.slices),
        events: of(&before.events, &now.events),
        ip_address_pools: of(&before.pools, &now.pools),
        configuration_states: of(&before.states, &now.states),
    })
}

fn same<K>(before: &BTreeMap<Name, Arc<K>>, now: &BTreeMap<Name, Arc<K>>) -> bool {
    of(before, now).is_empty()
}

fn of<K>(before: &BTreeMap<Name, Arc<K>>, now: &BTreeMap<Name, Arc<K>>) -> Vec<Change<K>> {
    let gone = before.iter().filter(|(name, _)| !now.contains_key(*name));
    let gone = gone.map(|(_, object)| Change { before: Some(Arc::clone(object)), now: None });
    let set = now.iter().filter_map(|(name, object)| {
        let before = before.get(name).cloned();
        let is_new = before.as_ref().is_none_or(|before| !Arc::ptr_eq(before, object));
        is_new.then(|| Change { before, now: Some(Arc::clone(object)) })
    });
    gone.chain(set).collect()
}

/// A pass that is cut short and refused in parts; the same controller goes on.
type Fate = (Option<usize>, std::collections::BTreeSet<usize>);

fn fate() -> impl Strategy<Value = Fate> {
    (prop::option::of(0_usize..6), prop::collection::btree_set(0_usize..8, 0..3))
}

fn follow<E>(mut world: World, history: Vec<(E, Fate)>, make: impl Fn(&E, &mut World)) {
    let mut follower = Follower::new();
    follower.settle(&mut world);
    for (edit, (applied, refused)) in history {
        make(&edit, &mut world);
        let plan = follower.check(&world);
        let mut is_whole = applied.is_none_or(|applied| applied >= plan.steps.len());
        for (number, step) in plan.steps.iter().enumerate().take(applied.unwrap_or(usize::MAX)) {
            match refused.contains(&number) {
                true => is_whole = false,
                false => world.apply(&step.action),
            }
        }
        if !is_whole {
            // What was planned has not come about: the controller plans the whole.
            follower.seen = None;
        }
        follower.settle(&mut world);
    }
}

fn start_with_classes() -> World {
    let mut world = World::new();
    for number in 0..3 {
        world.node(number, |_| {});
    }
    world.class(&histories::class_name(0), histories::POOLS[0], true);
    world.class(&histories::class_name(1), histories::POOLS[1], false);
    world
}

proptest! {
    #[test]
    fn of_classes_a_part_is_planned_as_the_whole(history in prop::collection::vec((histories::edit(), fate()), 1..24)) {
        follow(start_with_classes(), history, histories::Edit::make);
    }

    #[test]
    fn of_pools_a_part_is_planned_as_the_whole(
        history in prop::collection::vec((pool_histories::edit(), fate()), 1..24)
    ) {
        follow(pool_histories::start(), history, pool_histories::Edit::make);
    }
}

#[test]
fn service_that_asks_for_an_address_is_reached_when_that_becomes_free() {
    use histories::Edit::{Count, Delete, Request, Service};
    let whole = || (None, std::collections::BTreeSet::new());
    let cut_short = (Some(1), std::collections::BTreeSet::new());
    let history = vec![
        (Count { number: 3, count: 1 }, whole()),
        (Service { number: 2, count: 2, dual: 0, class: 2 }, whole()),
        (Request { number: 2, last: vec![0] }, whole()),
        (Delete(3), cut_short),
    ];
    follow(start_with_classes(), history, histories::Edit::make);
}

/// Else the tests above would compare wholes.
#[test]
fn one_service_among_many_is_planned_alone() {
    let mut world = World::with(5, &["192.0.2.0/24"]);
    for number in 0..100 {
        world.count(&format!("web-{number}"), "1");
    }
    let mut follower = Follower::new();
    follower.settle(&mut world);
    let whole = follower.whole;
    for number in 0..40 {
        match number % 4 {
            0 => world.count(&format!("new-{number}"), "2"),
            1 => world.delete_service(&format!("web-{number}")),
            2 => world.service(&format!("web-{number}"), |service| annotate(service, "team", "red")),
            _ => world.endpoints(&format!("web-{number}"), &[("node-1", true, true)]),
        }
        if number % 4 == 3 {
            world.slices.clear();
        }
        follower.settle(&mut world);
    }
    assert_eq!(follower.whole, whole, "{} of a part", follower.near);
}
