//! Which nodes may hold an address, best first.
//!
//! The unit is a *group*: the IPv4 and the IPv6 address of one index of one Service, which stay together. Groups with
//! the same candidates are ranked together, each with one *primary* and standbys.
//!
//! * A primary is chosen by rendezvous hash among the best nodes in this order: those that carry the fewest groups of
//!   the same Service, those that are liked most, those below the mean load, those below the bound ceil(1.25 × mean),
//!   those in zones that carry the fewest groups of the Service.
//! * The current primary is an input. It moves only when its node is not a candidate any more or is cordoned, when the
//!   node carries more than ceil(groups / nodes) groups of the Service, when it is liked less than as many other nodes as
//!   the Service has groups, or when the node is over the bound. Then the groups that were served last move first, and
//!   only to nodes below the bound that carry fewer of the Service and are liked no less.
//!   A group that spreading leaves no such place stays, and its node may exceed the bound by it; it never makes another
//!   Service's group move. So a new Service moves nobody.
//! * Standbys follow, those that are liked most first, then in rendezvous order, so a dead node's addresses spread over the others; a node that joins or
//!   leaves changes nothing else in the order. Cordoned nodes come last, they are never left out.
//!
//! Must not: know what an address is, or read anything but its arguments.
//!
//! Nodes and groups are positions in the two arguments; every vector below has the length of one of them, so indexing
//! with a position cannot fail.

use std::collections::HashMap;

use lb_api::virtual_ip::MAX_NODES;

pub(crate) mod hash;

/// A node that may hold addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Candidate {
    /// Its name.
    pub name: String,
    /// Its zone; nodes without one are in no zone.
    pub zone: Option<String>,
    /// Whether it takes no new work (`spec.unschedulable`).
    pub cordoned: bool,
    /// How much it is liked (`preferredNodeSelectors`); 0 if nothing is said.
    pub score: u32,
}

/// What is ranked as one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The Service, as a number that grows with its age order: groups come sorted by it, oldest first.
    pub service: usize,
    /// What is hashed.
    pub key: String,
    /// The primary it has.
    pub current: Option<String>,
}

/// Groups that are not listed: they stay where they are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Others {
    /// How many there are.
    pub(super) groups: usize,
    /// How many have each candidate as their primary; empty if there are none.
    pub(super) load: Vec<usize>,
}

/// What comes of ranking.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Ranked {
    /// By group, as [`rank`] gives it.
    pub(super) rankings: Vec<Vec<usize>>,
    /// By group: whether its primary was kept, whatever others do.
    pub(super) kept: Vec<bool>,
    /// Candidates that may be primary.
    pub(super) active: usize,
    /// Whether a node is over the bound, so that [`Others`] might have to move.
    pub(super) is_crowded: bool,
}

/// The ranking of each group, as positions in `candidates`; at most [`MAX_NODES`]. Empty without candidates.
pub fn rank(candidates: &[Candidate], groups: &[Group]) -> Vec<Vec<usize>> {
    rank_beside(&Others::default(), candidates, groups).rankings
}

/// The same where there are others. Unless it is crowded, the result is what ranking all of them together gives.
pub(super) fn rank_beside(others: &Others, candidates: &[Candidate], groups: &[Group]) -> Ranked {
    if candidates.is_empty() {
        let none = vec![Vec::new(); groups.len()];
        return Ranked { rankings: none, kept: vec![true; groups.len()], ..Ranked::default() };
    }
    let mut placement = Placement::new(others, candidates, groups);
    placement.keep();
    let kept = placement.primary.clone();
    placement.place_the_rest();
    let is_crowded = others.groups > 0 && is_over(placement.bound(), &placement.load);
    placement.relieve();
    let kept = kept.iter().zip(&placement.primary).map(|(kept, primary)| kept == primary).collect();
    Ranked { rankings: placement.rankings(), kept, active: placement.active.len(), is_crowded }
}

/// Whether any node carries more than the bound of so many groups on so many nodes that may be primary.
pub(super) fn is_over_bound(groups: usize, active: usize, load: impl IntoIterator<Item = usize>) -> bool {
    active > 0 && load.into_iter().any(|load| load > bound(groups, active))
}

fn is_over(bound: usize, load: &[usize]) -> bool {
    load.iter().any(|&load| load > bound)
}

/// The bound on the groups of one primary: ceil(1.25 × mean).
fn bound(groups: usize, nodes: usize) -> usize {
    (groups * 5).div_ceil(nodes * 4)
}

/// The groups on their way to a primary.
struct Placement<'a> {
    groups: &'a [Group],
    /// These, and those that are not listed.
    total: usize,
    /// Hashes, by candidate.
    nodes: Vec<u64>,
    /// Hashes, by group.
    keys: Vec<u64>,
    /// Zone numbers, by candidate; without a zone each node is one of its own.
    zones: Vec<usize>,
    /// By candidate.
    scores: Vec<u32>,
    /// The scores of the active, the highest first; empty if all are the same.
    best_scores: Vec<u32>,
    /// Positions of the candidates that may be primary: the uncordoned, or all if every one is cordoned.
    active: Vec<usize>,
    positions: HashMap<&'a str, usize>,
    /// By group.
    primary: Vec<Option<usize>>,
    /// Groups per candidate.
    load: Vec<usize>,
    /// Groups per Service and candidate.
    siblings: HashMap<(usize, usize), usize>,
    /// Groups per Service and zone.
    in_zone: HashMap<(usize, usize), usize>,
    /// Groups per Service.
    size: HashMap<usize, usize>,
}

impl<'a> Placement<'a> {
    fn new(others: &Others, candidates: &'a [Candidate], groups: &'a [Group]) -> Self {
        let mut active: Vec<usize> = (0..candidates.len()).filter(|&node| !is_cordoned(candidates, node)).collect();
        if active.is_empty() {
            active = (0..candidates.len()).collect();
        }
        let score = |&node: &usize| candidates.get(node).map_or(0, |candidate| candidate.score);
        let mut best_scores: Vec<u32> = active.iter().map(score).collect();
        best_scores.sort_unstable_by(|a, b| b.cmp(a));
        if best_scores.first() == best_scores.last() {
            best_scores.clear();
        }
        let mut size = HashMap::new();
        for group in groups {
            *size.entry(group.service).or_insert(0) += 1;
        }
        Self {
            groups,
            total: groups.len() + others.groups,
            nodes: candidates.iter().map(|candidate| hash::of(&candidate.name)).collect(),
            keys: groups.iter().map(|group| hash::of(&group.key)).collect(),
            zones: zones(candidates),
            scores: candidates.iter().map(|candidate| candidate.score).collect(),
            best_scores,
            positions: active
                .iter()
                .filter_map(|&node| candidates.get(node).map(|candidate| (candidate.name.as_str(), node)))
                .collect(),
            active,
            primary: vec![None; groups.len()],
            load: (0..candidates.len()).map(|node| others.load.get(node).copied().unwrap_or(0)).collect(),
            siblings: HashMap::new(),
            in_zone: HashMap::new(),
            size,
        }
    }

    /// Groups stay where they are if their node still may and does not carry more of the Service than its share.
    fn keep(&mut self) {
        for group in 0..self.groups.len() {
            let node = self.groups[group].current.as_deref().and_then(|name| self.positions.get(name)).copied();
            if let Some(node) = node
                && self.siblings_on(group, node) < self.share(group)
                && self.is_liked_enough(group, node)
            {
                self.put(group, node);
            }
        }
    }

    /// Whether the node is among the best for as many groups as the Service has.
    fn is_liked_enough(&self, group: usize, node: usize) -> bool {
        let size = self.size.get(&self.groups[group].service).copied().unwrap_or(1);
        let last = self.best_scores.get(size.saturating_sub(1)).or(self.best_scores.last());
        last.is_none_or(|&last| self.scores[node] >= last)
    }

    fn place_the_rest(&mut self) {
        for group in 0..self.groups.len() {
            if self.primary[group].is_none() {
                let node = self.best(group);
                self.put(group, node);
            }
        }
    }

    /// Takes groups from nodes over the bound. Every move fills a place below the bound, so it ends.
    fn relieve(&mut self) {
        let bound = self.bound();
        let mut by_node: HashMap<usize, Vec<usize>> = HashMap::new();
        for group in (0..self.groups.len()).rev() {
            if let Some(node) = self.primary[group].filter(|&node| self.load[node] > bound) {
                by_node.entry(node).or_default().push(group);
            }
        }
        for node in self.active.clone() {
            let youngest_first = by_node.remove(&node).unwrap_or_default();
            let mut excess = self.load[node].saturating_sub(bound);
            for group in youngest_first {
                if excess == 0 {
                    break;
                }
                // One that cannot move accounts for its own part of the excess: nobody moves in its stead.
                excess -= 1;
                if let Some(better) = self.relief(group, node, bound) {
                    self.take(group, node);
                    self.put(group, better);
                }
            }
        }
    }

    fn rankings(&self) -> Vec<Vec<usize>> {
        let active: Vec<bool> = (0..self.nodes.len()).map(|node| self.active.contains(&node)).collect();
        (0..self.groups.len()).map(|group| self.ranking(group, &active)).collect()
    }

    fn ranking(&self, group: usize, active: &[bool]) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.nodes.len()).collect();
        order.sort_by_cached_key(|&node| {
            (
                self.primary[group] != Some(node),
                !active[node],
                std::cmp::Reverse(self.scores[node]),
                std::cmp::Reverse(self.weight(group, node)),
                node,
            )
        });
        order.truncate(MAX_NODES);
        order
    }

    /// The best node for a group that has none.
    fn best(&self, group: usize) -> usize {
        let bound = self.bound();
        let mean = self.total.div_ceil(self.active.len());
        let cost = |node: usize| {
            let level = usize::from(self.load[node] >= mean) + usize::from(self.load[node] >= bound);
            let liked = std::cmp::Reverse(self.scores[node]);
            (self.siblings_on(group, node), liked, level, self.siblings_near(group, node))
        };
        let best = self.active.iter().copied().min_by_key(|&node| {
            let (siblings, liked, level, zone) = cost(node);
            (siblings, liked, level, zone, std::cmp::Reverse(self.weight(group, node)), node)
        });
        best.expect("a placement has at least one active node")
    }

    /// Where a group on an overloaded node can go without carrying more of its Service there.
    fn relief(&self, group: usize, from: usize, bound: usize) -> Option<usize> {
        let others = self.siblings_on(group, from).saturating_sub(1);
        self.active
            .iter()
            .copied()
            .filter(|&node| self.load[node] < bound && self.siblings_on(group, node) <= others)
            .filter(|&node| self.scores[node] >= self.scores[from])
            .min_by_key(|&node| (self.siblings_on(group, node), std::cmp::Reverse(self.weight(group, node)), node))
    }

    fn bound(&self) -> usize {
        bound(self.total, self.active.len())
    }

    /// The most groups of this one's Service that one node should carry.
    fn share(&self, group: usize) -> usize {
        self.size.get(&self.groups[group].service).copied().unwrap_or(1).div_ceil(self.active.len())
    }

    fn weight(&self, group: usize, node: usize) -> u64 {
        hash::weight(self.keys[group], self.nodes[node])
    }

    fn siblings_on(&self, group: usize, node: usize) -> usize {
        self.siblings.get(&(self.groups[group].service, node)).copied().unwrap_or(0)
    }

    fn siblings_near(&self, group: usize, node: usize) -> usize {
        self.in_zone.get(&(self.groups[group].service, self.zones[node])).copied().unwrap_or(0)
    }

    fn put(&mut self, group: usize, node: usize) {
        let service = self.groups[group].service;
        self.primary[group] = Some(node);
        self.load[node] += 1;
        *self.siblings.entry((service, node)).or_insert(0) += 1;
        *self.in_zone.entry((service, self.zones[node])).or_insert(0) += 1;
    }

    fn take(&mut self, group: usize, node: usize) {
        let service = self.groups[group].service;
        self.primary[group] = None;
        self.load[node] -= 1;
        for count in [self.siblings.get_mut(&(service, node)), self.in_zone.get_mut(&(service, self.zones[node]))] {
            *count.expect("counted when it was put there") -= 1;
        }
    }
}

fn is_cordoned(candidates: &[Candidate], node: usize) -> bool {
    candidates.get(node).is_some_and(|candidate| candidate.cordoned)
}

/// A number per zone, the same for the same name; a node without a zone gets a number of its own.
fn zones(candidates: &[Candidate]) -> Vec<usize> {
    let mut first_of = HashMap::new();
    let number = |(node, candidate): (usize, &Candidate)| match &candidate.zone {
        Some(zone) => *first_of.entry(zone.clone()).or_insert(node),
        None => node,
    };
    candidates.iter().enumerate().map(number).collect()
}

#[cfg(test)]
mod tests;
