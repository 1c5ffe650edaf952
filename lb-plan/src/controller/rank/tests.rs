//! The invariants of ranking, over random clusters and their changes.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

fn node(number: usize) -> Candidate {
    Candidate { name: format!("node-{number}"), zone: None, cordoned: false, score: 0 }
}

fn nodes(count: usize) -> Vec<Candidate> {
    (0..count).map(node).collect()
}

/// One group per index of each Service.
fn groups(sizes: &[usize]) -> Vec<Group> {
    let of = |(service, &size): (usize, &usize)| {
        (0..size).map(move |index| Group { service, key: format!("default/web-{service}#{index}"), current: None })
    };
    sizes.iter().enumerate().flat_map(of).collect()
}

/// The groups with the primaries that a ranking gave them.
fn settled(candidates: &[Candidate], groups: &[Group]) -> Vec<Group> {
    let primaries = primaries(candidates, groups);
    groups.iter().zip(primaries).map(|(group, current)| Group { current: Some(current), ..group.clone() }).collect()
}

fn primaries(candidates: &[Candidate], groups: &[Group]) -> Vec<String> {
    let name = |ranking: &Vec<usize>| candidates[ranking[0]].name.clone();
    rank(candidates, groups).iter().map(name).collect()
}

fn loads(candidates: &[Candidate], primaries: &[String]) -> BTreeMap<String, usize> {
    let mut loads: BTreeMap<String, usize> = candidates.iter().map(|node| (node.name.clone(), 0)).collect();
    for primary in primaries {
        *loads.get_mut(primary).expect("a candidate") += 1;
    }
    loads
}

fn moved(before: &[Group], after: &[String]) -> usize {
    before.iter().zip(after).filter(|(before, after)| before.current.as_ref() != Some(after)).count()
}

/// What must hold of every ranking, whatever came before.
fn check(candidates: &[Candidate], groups: &[Group]) {
    let rankings = rank(candidates, groups);
    assert_eq!(rankings.len(), groups.len(), "total");
    for ranking in &rankings {
        assert_eq!(ranking.len(), candidates.len().min(MAX_NODES), "every candidate, up to the limit");
        assert_eq!(ranking.iter().collect::<BTreeSet<_>>().len(), ranking.len(), "each node once");
        let cordoned: Vec<bool> = ranking.iter().map(|&node| candidates[node].cordoned).collect();
        assert!(cordoned.is_sorted(), "cordoned nodes last");
    }
    assert_eq!(rankings, rank(candidates, groups), "deterministic");
    let kept = settled(candidates, groups);
    assert_eq!(rankings, rank(candidates, &kept), "ranking again changes nothing");
    check_spread(candidates, &kept);
    check_bound(candidates, &kept);
}

fn active(candidates: &[Candidate]) -> usize {
    match candidates.iter().filter(|node| !node.cordoned).count() {
        0 => candidates.len(),
        uncordoned => uncordoned,
    }
}

/// No node carries more of a Service than its share, so with enough nodes all are distinct.
fn check_spread(candidates: &[Candidate], settled: &[Group]) {
    let mut per_node: BTreeMap<(usize, &String), usize> = BTreeMap::new();
    let mut sizes: BTreeMap<usize, usize> = BTreeMap::new();
    for group in settled {
        *per_node.entry((group.service, group.current.as_ref().expect("settled"))).or_default() += 1;
        *sizes.entry(group.service).or_default() += 1;
    }
    for ((service, node), count) in per_node {
        assert!(count <= sizes[&service].div_ceil(active(candidates)), "service {service} on {node}: {count}");
    }
}

/// A node over the bound carries as many groups that spreading leaves no other place.
fn check_bound(candidates: &[Candidate], settled: &[Group]) {
    let primaries: Vec<String> = settled.iter().filter_map(|group| group.current.clone()).collect();
    let loads = loads(candidates, &primaries);
    let bound = (settled.len() * 5).div_ceil(active(candidates) * 4);
    let siblings = |service: usize, node: &str| {
        settled.iter().filter(|group| group.service == service && group.current.as_deref() == Some(node)).count()
    };
    let free: Vec<&Candidate> = candidates.iter().filter(|node| !node.cordoned && loads[&node.name] < bound).collect();
    for (node, &load) in loads.iter().filter(|&(_, &load)| load > bound) {
        let pinned = settled
            .iter()
            .filter(|group| group.current.as_ref() == Some(node))
            .filter(|group| {
                let others = siblings(group.service, node) - 1;
                !free.iter().any(|place| siblings(group.service, &place.name) <= others)
            })
            .count();
        assert!(pinned >= load - bound, "{node} carries {load}, bound {bound}, {pinned} pinned");
    }
}

fn sizes() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(1_usize..6, 1..40)
}

proptest! {
    #[test]
    fn every_ranking_is_total_distinct_bounded_and_a_fixed_point(sizes in sizes(), count in 1_usize..14, cordoned in any::<u16>()) {
        let mut candidates = nodes(count);
        for (position, node) in candidates.iter_mut().enumerate() {
            node.cordoned = cordoned >> position & 1 == 1;
        }
        check(&candidates, &groups(&sizes));
    }

    #[test]
    fn a_new_service_moves_nobody(sizes in sizes(), count in 1_usize..14, size in 1_usize..8) {
        let candidates = nodes(count);
        let before = settled(&candidates, &groups(&sizes));
        let mut more = sizes;
        more.push(size);
        let mut after = groups(&more);
        for (group, old) in after.iter_mut().zip(&before) {
            group.current.clone_from(&old.current);
        }
        check(&candidates, &after);
        prop_assert_eq!(moved(&before, &primaries(&candidates, &after)[..before.len()]), 0);
    }

    #[test]
    fn a_node_that_leaves_moves_its_own_and_no_more_than_a_tenth_beyond(sizes in sizes(), count in 2_usize..14, gone in 0_usize..14) {
        let candidates = nodes(count);
        let before = settled(&candidates, &groups(&sizes));
        let mut rest = candidates.clone();
        let gone = rest.remove(gone % count);
        check(&rest, &before);
        let own = before.iter().filter(|group| group.current.as_ref() == Some(&gone.name)).count();
        let moved = moved(&before, &primaries(&rest, &before));
        prop_assert!(moved <= own + before.len().div_ceil(10), "moved {}, its own {}", moved, own);
    }

    #[test]
    fn a_node_that_joins_moves_at_most_its_share_and_a_tenth(sizes in sizes(), count in 1_usize..14) {
        let candidates = nodes(count);
        let before = settled(&candidates, &groups(&sizes));
        let more = nodes(count + 1);
        check(&more, &before);
        let moved = moved(&before, &primaries(&more, &before));
        let share = before.len().div_ceil(count + 1);
        prop_assert!(moved <= share + before.len().div_ceil(10), "moved {}, share {}", moved, share);
    }

    #[test]
    fn any_history_of_nodes_ends_in_a_good_ranking(sizes in sizes(), steps in prop::collection::vec((0_usize..10, any::<bool>()), 1..12)) {
        let mut present: BTreeSet<usize> = (0..5).collect();
        let mut state = groups(&sizes);
        for (number, cordoned) in steps {
            if !present.remove(&number) || present.is_empty() {
                present.insert(number);
            }
            let candidates: Vec<Candidate> = present
                .iter()
                .map(|&other| Candidate { cordoned: cordoned && other == number, ..node(other) })
                .collect();
            check(&candidates, &state);
            state = settled(&candidates, &state);
        }
    }
}

#[test]
fn three_addresses_stand_on_three_nodes() {
    let primaries = primaries(&nodes(3), &groups(&[3]));
    assert_eq!(primaries.iter().collect::<BTreeSet<_>>().len(), 3);
}

#[test]
fn three_addresses_on_six_nodes_stand_in_three_zones() {
    let zone = |number: usize| Some(format!("zone-{}", number % 3));
    let candidates: Vec<Candidate> = (0..6).map(|number| Candidate { zone: zone(number), ..node(number) }).collect();
    for service in 0..50 {
        let groups: Vec<Group> = (0..3)
            .map(|index| Group { service: 0, key: format!("default/web-{service}#{index}"), current: None })
            .collect();
        let zones: BTreeSet<_> =
            rank(&candidates, &groups).iter().map(|ranking| &candidates[ranking[0]].zone).collect();
        assert_eq!(zones.len(), 3, "web-{service}");
    }
}

#[test]
fn a_dead_nodes_addresses_spread_over_the_others() {
    let candidates = nodes(5);
    let rankings = rank(&candidates, &groups(&[1; 1000]));
    let mut next: BTreeMap<usize, usize> = BTreeMap::new();
    for ranking in rankings.iter().filter(|ranking| ranking[0] == 0) {
        *next.entry(ranking[1]).or_default() += 1;
    }
    // About 200 in four shares: 50 each, standard deviation 6.
    assert!(next.len() == 4 && next.values().all(|&count| (25..75).contains(&count)), "{next:?}");
}

#[test]
fn without_candidates_nobody_is_ranked() {
    assert_eq!(rank(&[], &groups(&[2])), [Vec::<usize>::new(), Vec::new()]);
}
