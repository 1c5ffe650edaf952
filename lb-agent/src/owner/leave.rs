//! What becomes of addresses whose VirtualIP is not listed any more: the listing's doubt, given to the pure machine.

use std::{sync::Arc, time::Duration};

use lb_api::VirtualIP;
use lb_plan::agent::{Presence, Table as _, leave};
use lb_store::{Key, Listing, Set};

use super::Owner;

impl Owner {
    /// Makes `listing` the one that counts, takes up what it does not list any more, and lets go what is over.
    /// The objects whose spec is new or other than before, and whether more may have changed than these: then all count
    /// anew. A status decides nothing here: an agent that writes thousands must not plan anew for each.
    pub(super) fn take_listing(
        &mut self,
        now: Duration,
        listing: Arc<Listing<VirtualIP>>,
    ) -> (Vec<Arc<VirtualIP>>, bool) {
        let before = self.seen.listing.replace(Arc::clone(&listing));
        let Some(before) = before else {
            self.judge_leaving(now);
            return (Vec::new(), true);
        };
        let mut set = Vec::new();
        let mut removed = false;
        if !Arc::ptr_eq(&before, &listing) {
            let changes = listing.since(&before);
            let is_other = |set: &Set<VirtualIP>| set.before.as_ref().is_none_or(|old| old.spec != set.now.spec);
            let others: Vec<Set<VirtualIP>> = changes.set.into_iter().filter(is_other).collect();
            removed = !changes.removed.is_empty() || others.iter().any(|set| self.concerns_others(set));
            set = others.into_iter().map(|set| set.now).collect();
            for object in changes.removed {
                tracing::info!(
                    virtual_ip = object.metadata.name,
                    phase = ?object.spec.phase,
                    "not listed any more; unless it was released, it counts for another {:?}",
                    leave::GRACE
                );
                self.seen.leaving.add(object);
            }
        }
        let over = self.judge_leaving(now);
        (set, removed || over)
    }

    /// Whether a change may be about more than one entry: the object is on other segments or has another address than
    /// before, or it is new and its address is known already, perhaps as that of another object.
    fn concerns_others(&self, set: &Set<VirtualIP>) -> bool {
        let now = &set.now.spec;
        match &set.before {
            Some(before) => before.spec.address != now.address || before.spec.interfaces != now.interfaces,
            None => now.address.parse().is_ok_and(|address| self.tables.knows(address)),
        }
    }

    /// Takes up, once, what an earlier agent left in the table, and what of it nobody lists: its file may not parse just
    /// now. Whether this was the time.
    pub(super) fn take_standing(&mut self, now: Duration) -> bool {
        if std::mem::replace(&mut self.seen.took_standing, true) {
            return false;
        }
        self.take_up(now);
        for object in leave::standing(&self.args.node, &self.seen.topology, self.tables.entries()) {
            self.seen.leaving.add(Arc::new(object));
        }
        self.judge_leaving(now);
        for object in self.seen.leaving.objects() {
            tracing::warn!(
                virtual_ip = object.metadata.name,
                "an earlier agent knew it, but it is not listed: it counts while it is in doubt, and then for {:?}",
                leave::GRACE
            );
        }
        true
    }

    fn judge_leaving(&mut self, now: Duration) -> bool {
        let Some(listing) = &self.seen.listing else { return false };
        self.seen.leaving.judge(now, |name| {
            let key = Key::cluster_scoped(name);
            if listing.objects.contains_key(&key) {
                Presence::Listed
            } else if listing.is_gone(&key) {
                Presence::Gone
            } else {
                Presence::Doubtful
            }
        })
    }
}
