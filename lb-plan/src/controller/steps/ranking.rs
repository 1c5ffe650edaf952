//! Who is ranked with whom, and what comes of it.
//!
//! The addresses of one index that are from one pool are one group, of the Service that decides about them, and groups
//! with the same nodes are ranked together whatever pool they are from: the bound is on what a node carries of all.
//!
//! Of a shared address all who share it have a say: it is advertised if it is for one of them, and answered if one of
//! them has an endpoint. `externalTrafficPolicy: Local` narrows to the nodes with endpoints of those who say so, unless
//! that leaves nobody and another Service is there to be answered.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use lb_api::Terms;

use crate::controller::{
    allocate::{Allocation, Fate, Hold, Home},
    choice::{Claimant, Standing},
    cluster::{Cluster, NodeSet, PoolId, Reach},
    inventory::{Inventory, Vip},
    rank::{Group, rank_beside},
    sharing::is_local,
};

/// The rankings of all groups.
#[derive(Debug, Default)]
pub(in crate::controller) struct Rankings {
    groups: HashMap<Name, Ranked>,
    pub(in crate::controller) domains: Vec<Domain>,
    /// Whether a group that is not listed might have to move.
    pub(in crate::controller) is_crowded: bool,
}

/// What is ranked together.
#[derive(Debug)]
pub(in crate::controller) struct Domain {
    pub(in crate::controller) nodes: NodeSet,
    /// How many of them may be primary.
    pub(in crate::controller) active: usize,
    /// By group: the Service, the primary as a position among all nodes, and whether it was kept.
    pub(in crate::controller) groups: Vec<(usize, usize, bool)>,
}

/// The Service that decides, the index, and what the addresses are from.
type Name = (usize, u32, Home);

#[derive(Debug)]
pub(super) struct Ranked {
    pub(super) key: String,
    pub(super) nodes: Vec<String>,
    pub(super) interfaces: Vec<String>,
    pub(super) terms: Terms,
}

/// A group in the making.
struct Draft<'a> {
    holds: Vec<&'a Hold>,
    /// VirtualIPs that exist.
    members: Vec<usize>,
}

/// Reaches that were looked up, and node sets by number.
struct Reaches<'c, 'a> {
    cluster: &'c Cluster<'a>,
    known: HashMap<(Option<PoolId>, Vec<usize>), (Reach, usize)>,
    sets: HashMap<NodeSet, usize>,
}

impl Rankings {
    pub(in crate::controller) fn of(
        cluster: &Cluster<'_>,
        claimants: &[Claimant<'_>],
        inventory: &Inventory<'_>,
        allocation: &Allocation,
    ) -> Self {
        let drafts = drafts(allocation);
        let mut reaches = Reaches { cluster, known: HashMap::new(), sets: HashMap::new() };
        // By number of the node set: the names and groups that are ranked together, in the order of the Services.
        let mut domains: BTreeMap<usize, (NodeSet, Vec<Name>, Vec<Group>)> = BTreeMap::new();
        let mut rankings = Self::default();
        for (name, draft) in drafts {
            let Some(claimant) = claimants.get(name.0) else { continue };
            let (nodes, number, interfaces, terms) = reaches.of(name.2, claimant, &draft, claimants);
            let group = group(name, claimant, &draft, inventory);
            let ranked = Ranked { key: group.key.clone(), nodes: Vec::new(), interfaces, terms };
            rankings.groups.insert(name, ranked);
            let (_, names, groups) = domains.entry(number).or_insert_with(|| (nodes, Vec::new(), Vec::new()));
            names.push(name);
            groups.push(group);
        }
        for (nodes, names, groups) in domains.into_values() {
            let candidates = cluster.nodes.candidates(&nodes);
            let others = cluster.rest.map(|rest| rest.others(&nodes)).unwrap_or_default();
            let result = rank_beside(&others, &candidates, &groups);
            rankings.is_crowded |= result.is_crowded;
            let mut domain = Domain { nodes, active: result.active, groups: Vec::new() };
            for ((name, order), kept) in names.into_iter().zip(result.rankings).zip(result.kept) {
                let primary = order.first().and_then(|&node| domain.nodes.get(node));
                domain.groups.extend(primary.map(|&(node, _)| (name.0, node, kept)));
                let order = order.iter().filter_map(|&node| candidates.get(node));
                if let Some(ranked) = rankings.groups.get_mut(&name) {
                    ranked.nodes = order.map(|candidate| candidate.name.clone()).collect();
                }
            }
            rankings.domains.push(domain);
        }
        rankings
    }

    /// The ranking of an address.
    pub(super) fn of_hold(&self, hold: &Hold) -> Option<&Ranked> {
        let (service, slot) = hold.owner()?;
        self.groups.get(&(service, slot.index, hold.home))
    }
}

/// Every address whose ranking is decided, by group; IPv4 first in each.
fn drafts(allocation: &Allocation) -> BTreeMap<Name, Draft<'_>> {
    let mut drafts: BTreeMap<Name, Draft<'_>> = BTreeMap::new();
    let kept = allocation.fates.iter().enumerate().filter_map(|(position, fate)| match fate {
        Fate::Bound(hold) => Some((Some(position), hold)),
        Fate::Untouched | Fate::Released(_) => None,
    });
    let made = allocation.fresh.iter().map(|fresh| (None, &fresh.hold));
    let mut all: Vec<_> = kept.chain(made).collect();
    all.sort_by_key(|(_, hold)| hold.owner().map(|(_, slot)| slot.family));
    for (position, hold) in all {
        let Some((service, slot)) = hold.owner().filter(|_| hold.home != Home::Recorded) else { continue };
        let draft = drafts
            .entry((service, slot.index, hold.home))
            .or_insert_with(|| Draft { holds: Vec::new(), members: Vec::new() });
        draft.holds.push(hold);
        draft.members.extend(position);
    }
    drafts
}

impl Reaches<'_, '_> {
    /// The nodes of a group, the number of that set of nodes, and the interfaces.
    fn of(
        &mut self,
        home: Home,
        owner: &Claimant<'_>,
        draft: &Draft<'_>,
        claimants: &[Claimant<'_>],
    ) -> (NodeSet, usize, Vec<String>, Terms) {
        let holders = draft.holds.iter().flat_map(|hold| hold.holders.iter().map(|holder| holder.service));
        let holders: BTreeSet<usize> = holders.collect();
        let holders: Vec<&Claimant<'_>> = holders.into_iter().filter_map(|holder| claimants.get(holder)).collect();
        let pool = match (home, owner.standing) {
            (Home::Pool(pool), _) | (Home::Adopted, Standing::Class(pool)) => Some(pool),
            (Home::Adopted | Home::Recorded, _) => None,
        };
        let labels: Vec<_> = holders.iter().map(|claimant| claimant.labels).collect();
        let advertisements = self.cluster.advertisements(pool, &labels);
        let (reach, number) = self.look_up(pool, advertisements);
        match self.narrowed(&reach.nodes, &holders) {
            None => (reach.nodes, number, reach.interfaces, reach.terms),
            Some(nodes) => {
                let number = self.number(&nodes);
                (nodes, number, reach.interfaces, reach.terms)
            }
        }
    }

    fn look_up(&mut self, pool: Option<PoolId>, advertisements: Vec<usize>) -> (Reach, usize) {
        if let Some(known) = self.known.get(&(pool, advertisements.clone())) {
            return known.clone();
        }
        let reach = self.cluster.reach(pool, &advertisements);
        let number = self.number(&reach.nodes);
        self.known.insert((pool, advertisements), (reach.clone(), number));
        (reach, number)
    }

    fn number(&mut self, nodes: &NodeSet) -> usize {
        let next = self.sets.len();
        match self.sets.get(nodes) {
            Some(&number) => number,
            None => {
                self.sets.insert(nodes.clone(), next);
                next
            }
        }
    }

    /// What endpoints leave of the nodes; `None`: all of them.
    fn narrowed(&self, nodes: &NodeSet, holders: &[&Claimant<'_>]) -> Option<NodeSet> {
        let mut local: Option<BTreeSet<usize>> = None;
        let (mut somebody, mut anybody) = (false, false);
        for claimant in holders {
            let serving = self.cluster.endpoints.of(claimant.namespace, claimant.name)?;
            somebody |= serving.is_anywhere();
            match is_local(claimant.service) {
                true => local
                    .get_or_insert_default()
                    .extend(serving.nodes().filter_map(|name| self.cluster.nodes.position(name))),
                false => anybody |= serving.is_anywhere(),
            }
        }
        if !somebody {
            return Some(NodeSet::new());
        }
        let local = local?;
        let left: NodeSet = nodes.iter().copied().filter(|(node, _)| local.contains(node)).collect();
        if left.is_empty() && anybody { None } else { Some(left) }
    }
}

/// The key is the first address's own, so that it outlives the Service it was made for. The current primary counts
/// only if it was this Service's.
fn group((service, index, _): Name, claimant: &Claimant<'_>, draft: &Draft<'_>, inventory: &Inventory<'_>) -> Group {
    let members: Vec<&Vip<'_>> = draft.members.iter().filter_map(|&position| inventory.vips.get(position)).collect();
    let ours = members.iter().find(|vip| {
        let named =
            |claim: &lb_api::virtual_ip::Claim| claim.namespace == claimant.namespace && claim.name == claimant.name;
        vip.claims().iter().any(named)
    });
    let key = members.first().map(|vip| vip.object.spec.ranking_key.clone()).filter(|key| !key.is_empty());
    Group {
        service,
        key: key.unwrap_or_else(|| format!("{}/{}#{index}", claimant.namespace, claimant.name)),
        current: ours.and_then(|vip| vip.object.spec.nodes.first().cloned()),
    }
}
