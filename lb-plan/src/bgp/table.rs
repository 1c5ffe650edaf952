//! The routes of every peer, kept up to date prefix by prefix.
//!
//! A prefix is there as long as one Service yields it. What a peer is told of it is the union of what the advertisements
//! say that yield it and are for that peer: their communities together, and one LOCAL_PREF. Several Services that yield a
//! prefix through one advertisement change nothing, so most changes touch no route.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use super::{
    Attributes, Prefix, Problem, Routes,
    configuration::{Advertisement, AdvertisementId, Configuration},
};

/// Two advertisements that want different LOCAL_PREFs for one prefix at one peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Contest {
    used: AdvertisementId,
    other: AdvertisementId,
}

/// The yields of all Services, and what they make for each peer.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// How many Services yield a prefix through an advertisement.
    yields: BTreeMap<Prefix, BTreeMap<AdvertisementId, u32>>,
    /// What several advertisements say together: equal sets share one value.
    merged: HashMap<Vec<AdvertisementId>, Arc<Attributes>>,
    routes: BTreeMap<String, Arc<Routes>>,
    contests: BTreeMap<Prefix, BTreeSet<Contest>>,
    dirty: BTreeSet<Prefix>,
}

impl Table {
    /// Takes a Service's yields away.
    pub(super) fn remove(&mut self, yields: &[(Prefix, AdvertisementId)]) {
        for (prefix, id) in yields {
            let Some(counts) = self.yields.get_mut(prefix) else { continue };
            let Some(count) = counts.get_mut(id) else { continue };
            *count -= 1;
            if *count == 0 {
                counts.remove(id);
                self.dirty.insert(*prefix);
            }
            if counts.is_empty() {
                self.yields.remove(prefix);
            }
        }
    }

    /// Adds a Service's yields.
    pub(super) fn add(&mut self, yields: &[(Prefix, AdvertisementId)]) {
        for (prefix, id) in yields {
            let count = self.yields.entry(*prefix).or_default().entry(*id).or_default();
            *count += 1;
            if *count == 1 {
                self.dirty.insert(*prefix);
            }
        }
    }

    /// Brings the routes up to date with the yields; whether other LOCAL_PREFs than before contradict each other.
    pub(super) fn settle(&mut self, configuration: &Configuration) -> bool {
        let dirty = std::mem::take(&mut self.dirty);
        let mut contests: BTreeMap<Prefix, BTreeSet<Contest>> = BTreeMap::new();
        for (name, peer) in &configuration.peers {
            let routes = self.routes.entry(name.clone()).or_default();
            for prefix in &dirty {
                let ids = match self.yields.get(prefix) {
                    Some(counts) if peer.settings.families.have(prefix.address()) => told(configuration, counts, name),
                    Some(_) | None => Vec::new(),
                };
                for contest in contested(configuration, &ids) {
                    contests.entry(*prefix).or_default().insert(contest);
                }
                let wanted = (!ids.is_empty()).then(|| merge(&mut self.merged, configuration, ids));
                if routes.get(prefix) == wanted.as_ref() {
                    continue;
                }
                let routes = Arc::make_mut(routes);
                match wanted {
                    Some(attributes) => drop(routes.insert(*prefix, attributes)),
                    None => drop(routes.remove(prefix)),
                }
            }
        }
        let mut differs = false;
        for prefix in dirty {
            let now = contests.remove(&prefix);
            differs |= self.contests.get(&prefix) != now.as_ref();
            match now {
                Some(now) => drop(self.contests.insert(prefix, now)),
                None => drop(self.contests.remove(&prefix)),
            }
        }
        differs
    }

    /// The routes of a peer.
    pub(super) fn routes(&self, peer: &str) -> Arc<Routes> {
        self.routes.get(peer).cloned().unwrap_or_default()
    }

    /// Keeps the older value wherever it is equal, so that nobody looks at it again.
    pub(super) fn keep(&mut self, older: &Self) {
        for (peer, routes) in &mut self.routes {
            if let Some(known) = older.routes.get(peer).filter(|known| *known == routes) {
                *routes = Arc::clone(known);
            }
        }
    }

    /// Advertisements that want another LOCAL_PREF for a prefix than the one that is used. Of those of one pool
    /// MetalLB's rule has left one.
    pub(super) fn problems(&self, configuration: &Configuration) -> BTreeSet<Problem> {
        let contests: BTreeSet<Contest> = self.contests.values().flatten().copied().collect();
        let tell = |contest: Contest| {
            let (used, other) =
                configuration.advertisement(contest.used).zip(configuration.advertisement(contest.other))?;
            let preference = |one: &Advertisement| one.attributes.local_pref.unwrap_or_default();
            let message = format!(
                "{} is for a prefix that {} announces with {}, which is used: write one local \
                 preference for both",
                preference(other),
                used.origin.title(),
                preference(used),
            );
            Some(other.origin.problem("spec.localPref", message))
        };
        contests.into_iter().filter_map(tell).collect()
    }
}

/// Who wants another LOCAL_PREF than the highest one.
fn contested(configuration: &Configuration, ids: &[AdvertisementId]) -> Vec<Contest> {
    let preference = |id: &AdvertisementId| configuration.advertisement(*id).and_then(|one| one.attributes.local_pref);
    let Some(&used) = ids.iter().max_by_key(|id| preference(id)) else { return Vec::new() };
    let others = ids.iter().filter(|id| preference(id) != preference(&used));
    others.map(|&other| Contest { used, other }).collect()
}

fn told(configuration: &Configuration, counts: &BTreeMap<AdvertisementId, u32>, peer: &str) -> Vec<AdvertisementId> {
    let is_told = |id: &AdvertisementId| configuration.advertisement(*id).is_some_and(|one| one.is_told(peer));
    counts.keys().copied().filter(is_told).collect()
}

/// The communities of all, and the highest LOCAL_PREF.
fn merge(
    merged: &mut HashMap<Vec<AdvertisementId>, Arc<Attributes>>,
    configuration: &Configuration,
    ids: Vec<AdvertisementId>,
) -> Arc<Attributes> {
    if let Some(known) = merged.get(&ids) {
        return Arc::clone(known);
    }
    let mut attributes = Attributes::default();
    for one in ids.iter().filter_map(|&id| configuration.advertisement(id)).map(|one| &one.attributes) {
        attributes.local_pref = attributes.local_pref.max(one.local_pref);
        attributes.communities.extend(&one.communities);
        attributes.large_communities.extend(&one.large_communities);
    }
    let attributes = Arc::new(attributes);
    merged.insert(ids, Arc::clone(&attributes));
    attributes
}
