//! How routes are told on one session.
//!
//! Spec: RFC 4271 §5.1.5 (LOCAL_PREF), RFC 8326 §4 (graceful shutdown).

use std::sync::Arc;

use crate::{
    route::{Community, NextHop, PathAttributes, Untellable},
    types::{Asn, Families, Family, PerFamily},
};

/// LOCAL_PREF of a route whose owner sets none: what every router assumes.
const DEFAULT_LOCAL_PREF: u32 = 100;

/// What a session adds to routes, fixed but for draining.
#[derive(Debug, Clone)]
pub(crate) struct Export {
    pub(crate) local_as: Asn,
    pub(crate) internal: bool,
    pub(crate) families: Families,
    pub(crate) next_hops: PerFamily<Option<NextHop>>,
    pub(crate) four_octet_as: bool,
    pub(crate) extended_message: bool,
    pub(crate) enhanced_refresh: bool,
    /// Every route is told as the last choice (RFC 8326).
    pub(crate) draining: bool,
}

impl Export {
    /// The next hop of a family's routes.
    pub(crate) fn next_hop(&self, family: Family) -> Result<NextHop, Untellable> {
        if !self.families.contains(family) {
            return Err(Untellable::Family);
        }
        self.next_hops.get(family).ok_or(Untellable::NextHop)
    }

    /// Whether the family's prefixes stand in the message's own fields, and not in MP attributes.
    pub(crate) const fn in_body(&self, family: Family) -> bool {
        matches!(family, Family::V4) && !matches!(self.next_hops.v4, Some(NextHop::V6 { .. }))
    }

    /// What `attributes` look like to this peer.
    pub(crate) fn told_as(&self, attributes: &Arc<PathAttributes>) -> Arc<PathAttributes> {
        let mut told = PathAttributes { local_pref: self.local_pref(attributes), ..(**attributes).clone() };
        if self.draining {
            told.communities.insert(Community::GRACEFUL_SHUTDOWN);
        }
        if told == **attributes { Arc::clone(attributes) } else { Arc::new(told) }
    }

    /// Whether `told` is what [`Self::told_as`] makes of `wanted`, without making it.
    pub(crate) fn tells(&self, told: &PathAttributes, wanted: &PathAttributes) -> bool {
        let extra = self.draining && !wanted.communities.contains(&Community::GRACEFUL_SHUTDOWN);
        let communities = if extra {
            told.communities.len() == wanted.communities.len() + 1
                && told.communities.contains(&Community::GRACEFUL_SHUTDOWN)
                && wanted.communities.is_subset(&told.communities)
        } else {
            told.communities == wanted.communities
        };
        communities
            && told.local_pref == self.local_pref(wanted)
            && told.med == wanted.med
            && told.large_communities == wanted.large_communities
    }

    /// RFC 4271 §5.1.5: always within the AS, never outside. RFC 8326 §4.2: 0 while draining.
    fn local_pref(&self, wanted: &PathAttributes) -> Option<u32> {
        match (self.internal, self.draining) {
            (false, _) => None,
            (true, true) => Some(0),
            (true, false) => Some(wanted.local_pref.unwrap_or(DEFAULT_LOCAL_PREF)),
        }
    }
}
