//! Adj-RIB-Out: what one peer was told, brought up to what it should know.
//!
//! Must not: keep a queue of messages. The difference between told and wanted is computed when there is room to send it,
//! so a peer that does not read costs nothing, and a route that changed back is never sent.
//! Invariant: `told` is what the peer knows once everything handed to the output has reached it.
//! Spec: RFC 4271 §3.2 and §9.2, RFC 4724 §2 (End-of-RIB), RFC 2918 and RFC 7313 (refresh).

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use crate::{
    output::Output,
    route::{PathAttributes, Routes, Untellable},
    types::{Family, PerFamily, Prefix},
    wire::{self, Demarcation},
};

mod export;
mod pack;
#[cfg(test)]
mod tests;

pub(crate) use self::export::Export;

/// So many different attributes are made ready at once: about a window of messages. More would be thrown away when the
/// output is full, time and again.
const GROUPS: usize = 1024;

/// What is known about a prefix that the peer was told.
#[derive(Debug, Clone)]
enum Told {
    /// The peer knows it with these attributes.
    With(Arc<PathAttributes>),
    /// The peer knows it and asked to be told again.
    Again,
}

/// Where a family's refresh stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Refresh {
    #[default]
    No,
    Asked,
    /// `again`: asked once more before the end.
    Running {
        again: bool,
    },
}

#[derive(Debug, Clone, Copy, Default)]
struct Progress {
    /// End-of-RIB was sent: the initial routes are complete.
    complete: bool,
    refresh: Refresh,
}

/// One session's Adj-RIB-Out.
#[derive(Debug, Default)]
pub(crate) struct AdjRibOut {
    told: BTreeMap<Prefix, Told>,
    progress: PerFamily<Progress>,
    /// Told and wanted were found equal, and nothing has changed since.
    settled: bool,
    untellable: BTreeMap<Untellable, u64>,
}

/// Prefixes to be announced with one set of attributes.
#[derive(Debug)]
struct Group {
    /// Octets for prefixes in one message.
    room: usize,
    prefixes: Vec<Prefix>,
}

/// The difference between told and wanted.
#[derive(Debug, Default)]
struct Changes {
    withdraw: PerFamily<Vec<Prefix>>,
    announce: BTreeMap<(Family, Arc<PathAttributes>), Group>,
    untellable: BTreeMap<Untellable, u64>,
    /// Something is missing for there were too many groups.
    more: bool,
}

impl AdjRibOut {
    /// The wanted routes, or how they are told, may have changed.
    pub(crate) const fn unsettle(&mut self) {
        self.settled = false;
    }

    /// The peer asks for a family's routes once more (RFC 2918 §4).
    pub(crate) fn refresh(&mut self, family: Family) {
        let refresh = &mut self.progress.get_mut(family).refresh;
        *refresh = match *refresh {
            Refresh::No | Refresh::Asked => Refresh::Asked,
            Refresh::Running { .. } => Refresh::Running { again: true },
        };
        self.settled = false;
    }

    /// How many prefixes the peer knows from us.
    pub(crate) fn told(&self) -> u64 {
        u64::try_from(self.told.len()).unwrap_or(u64::MAX)
    }

    /// How many wanted routes cannot be told, by reason.
    pub(crate) const fn untellable(&self) -> &BTreeMap<Untellable, u64> {
        &self.untellable
    }

    /// Whether the peer was told everything.
    pub(crate) const fn is_settled(&self) -> bool {
        self.settled
    }

    /// Hands messages to `output` until the peer knows `wanted` or the output is full. Returns how many UPDATEs.
    pub(crate) fn fill(&mut self, export: &Export, wanted: &Routes, output: &mut Output) -> u64 {
        if self.settled || output.is_full() {
            return 0;
        }
        self.begin_refreshes(export, output);
        let changes = self.changes(export, wanted);
        self.untellable.clone_from(&changes.untellable);
        let mut sent = 0;
        for family in Family::ALL {
            if !self.withdraw(export, family, changes.withdraw.get(family), output, &mut sent) {
                return sent;
            }
        }
        for ((family, attributes), group) in &changes.announce {
            if !self.announce(export, *family, attributes, group, output, &mut sent) {
                return sent;
            }
        }
        if !changes.more {
            self.finish(export, output, &mut sent);
        }
        sent
    }

    fn begin_refreshes(&mut self, export: &Export, output: &mut Output) {
        for family in Family::ALL {
            let progress = self.progress.get_mut(family);
            // RFC 7313 §4: no refresh begins before the initial routes are complete.
            if progress.refresh != Refresh::Asked || !progress.complete {
                continue;
            }
            progress.refresh = Refresh::Running { again: false };
            if export.enhanced_refresh {
                output.push(&wire::demarcation(family, Demarcation::Begin));
            }
            let told = self.told.iter_mut().filter(|(prefix, _)| prefix.family() == family);
            told.for_each(|(_, told)| *told = Told::Again);
        }
    }

    fn changes(&self, export: &Export, wanted: &Routes) -> Changes {
        let mut changes = Changes::default();
        let mut told = self.told.iter().peekable();
        // Attributes are shared by many routes: each is made ready once.
        let mut ready: HashMap<(Family, *const PathAttributes), Result<pack::Ready, Untellable>> = HashMap::new();
        for (prefix, attributes) in wanted {
            while let Some((gone, _)) = told.next_if(|(told, _)| *told < prefix) {
                changes.withdraw.get_mut(gone.family()).push(*gone);
            }
            let known = told.next_if(|(told, _)| *told == prefix).map(|(_, told)| told);
            if matches!(known, Some(Told::With(with)) if export.tells(with, attributes)) {
                continue;
            }
            let key = (prefix.family(), Arc::as_ptr(attributes));
            if changes.announce.len() >= GROUPS && !ready.contains_key(&key) {
                changes.more = true;
                continue;
            }
            let ready = ready.entry(key).or_insert_with(|| pack::ready(export, prefix.family(), attributes));
            match ready {
                Ok(ready) => {
                    let group = changes.announce.entry((prefix.family(), Arc::clone(&ready.told)));
                    let group = group.or_insert_with(|| Group { room: ready.room, prefixes: Vec::new() });
                    group.prefixes.push(*prefix);
                }
                Err(why) => {
                    *changes.untellable.entry(*why).or_default() += 1;
                    if known.is_some() {
                        changes.withdraw.get_mut(prefix.family()).push(*prefix);
                    }
                }
            }
        }
        for (gone, _) in told {
            changes.withdraw.get_mut(gone.family()).push(*gone);
        }
        changes
    }

    /// `false`: the output is full.
    fn withdraw(
        &mut self,
        export: &Export,
        family: Family,
        prefixes: &[Prefix],
        output: &mut Output,
        sent: &mut u64,
    ) -> bool {
        for some in pack::chunks(prefixes, pack::withdraw_room(export)) {
            if output.is_full() {
                return false;
            }
            // It cannot fail: there are no attributes, and the prefixes were counted.
            let Ok(message) = wire::withdraw(export, family, some) else { continue };
            output.push(&message);
            *sent += 1;
            for prefix in some {
                self.told.remove(prefix);
            }
        }
        true
    }

    /// `false`: the output is full.
    fn announce(
        &mut self,
        export: &Export,
        family: Family,
        attributes: &Arc<PathAttributes>,
        group: &Group,
        output: &mut Output,
        sent: &mut u64,
    ) -> bool {
        for some in pack::chunks(&group.prefixes, group.room) {
            if output.is_full() {
                return false;
            }
            let Ok(message) = wire::announce(export, family, attributes, some) else { continue };
            output.push(&message);
            *sent += 1;
            for prefix in some {
                self.told.insert(*prefix, Told::With(Arc::clone(attributes)));
            }
        }
        true
    }

    /// Everything was told: marks the end of the initial routes and of refreshes.
    fn finish(&mut self, export: &Export, output: &mut Output, sent: &mut u64) {
        self.settled = true;
        for family in export.families.iter() {
            let progress = self.progress.get_mut(family);
            if !progress.complete {
                progress.complete = true;
                if let Ok(message) = wire::end_of_rib(export, family) {
                    output.push(&message);
                    *sent += 1;
                }
            }
            if let Refresh::Running { again } = progress.refresh {
                progress.refresh = if again { Refresh::Asked } else { Refresh::No };
                if export.enhanced_refresh {
                    output.push(&wire::demarcation(family, Demarcation::End));
                }
            }
            self.settled &= progress.refresh == Refresh::No;
        }
    }
}
