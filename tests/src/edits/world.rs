//! The model: what the users' files say, and what follows from them.
//!
//! Rules that keep it exact. In one batch, which the controller may see edit by edit or all at once, a file is edited
//! at most once. A class that is gone or broken freezes its Services: they may be deleted and nothing else, and no
//! Service is made that would depend on it. At most one class at a time is so.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    class::{Class, Health},
    yaml::{self, BROKEN},
};
use crate::random::Random;

/// The default class. It is broken now and then, never gone.
pub(super) const INGRESS: &str = "ingress";
/// The class by annotation. Its pool changes, and it goes and comes back.
pub(super) const EDGE: &str = "edge";
/// Names of Services.
const SERVICES: usize = 8;
const NODES: usize = 4;
const MAX_COUNT: usize = 4;
/// Edits that are thought of for one batch.
const ATTEMPTS: usize = 100;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Families {
    V4,
    V6,
    Both,
}

#[derive(Debug, Clone)]
pub(super) struct Service {
    /// Of each family.
    pub(super) count: usize,
    pub(super) families: Families,
    /// The class it asks for now. The one it is bound to was chosen when it was made, and stays.
    pub(super) annotation: Option<&'static str>,
    pub(super) class: &'static str,
    /// Its file does not parse: what was last read counts.
    pub(super) broken: bool,
}

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct NodeState {
    pub(super) cordoned: bool,
    pub(super) excluded: bool,
}

/// One edit of one file; no text: it is removed.
#[derive(Debug)]
pub(super) struct Edit {
    pub(super) what: String,
    pub(super) file: String,
    pub(super) text: Option<String>,
}

/// What was edited since it was last quiet.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pub(super) nodes: bool,
    /// Something became readable that was not, or the other way round.
    pub(super) readability: bool,
    /// Services that were made again or deleted: nothing that they had is theirs any more.
    pub(super) renewed: BTreeSet<String>,
}

#[derive(Debug)]
pub(super) struct World {
    pub(super) services: BTreeMap<String, Service>,
    pub(super) classes: BTreeMap<&'static str, Class>,
    pub(super) nodes: BTreeMap<String, NodeState>,
    changes: Changes,
    /// Files edited in the current batch.
    edited: BTreeSet<String>,
    /// The current batch changed a class.
    class_edited: bool,
}

impl World {
    pub(super) fn new() -> Self {
        let class = |default, span, prefix| Class { default, span, prefix, health: Health::Fine };
        Self {
            services: BTreeMap::new(),
            classes: [
                (INGRESS, class(true, (100, 150), ("192.0.2.", "2001:db8:2::"))),
                (EDGE, class(false, (0, 31), ("198.51.100.", "2001:db8:51::"))),
            ]
            .into(),
            nodes: (1..=NODES).map(|number| (format!("node-{number}"), NodeState::default())).collect(),
            changes: Changes::default(),
            edited: BTreeSet::new(),
            class_edited: false,
        }
    }

    /// The files to start with.
    pub(super) fn files(&self) -> Vec<(String, String)> {
        let classes = self.classes.iter().map(|(name, class)| (format!("class-{name}.yaml"), yaml::class(name, class)));
        let nodes = self.nodes.iter().map(|(name, state)| (format!("{name}.yaml"), yaml::node(name, *state)));
        classes.chain(nodes).collect()
    }

    pub(super) fn take_changes(&mut self) -> Changes {
        std::mem::take(&mut self.changes)
    }

    /// Up to `size` edits, at most one of each file. Every third batch only adds: nothing goes, no node changes, so
    /// nobody may move.
    pub(super) fn batch(&mut self, random: &mut Random, size: usize) -> Vec<Edit> {
        self.edited.clear();
        self.class_edited = false;
        let grow = random.once_in(3);
        let mut edits = Vec::new();
        // What may still be edited can run out.
        for _ in 0..ATTEMPTS {
            let edit = match random.below(10) {
                _ if grow => self.grow(random),
                0 => self.edit_class(random),
                1 => self.edit_node(random),
                _ => self.edit_service(random),
            };
            if let Some(edit) = edit {
                self.edited.insert(edit.file.clone());
                edits.push(edit);
            }
            if edits.len() == size {
                break;
            }
        }
        edits
    }

    /// Removes every Service; its files.
    pub(super) fn delete_all(&mut self) -> Vec<String> {
        let names: Vec<_> = std::mem::take(&mut self.services).into_keys().collect();
        self.changes.renewed.extend(names.iter().cloned());
        names.into_iter().map(|name| format!("{name}.yaml")).collect()
    }

    fn edit_service(&mut self, random: &mut Random) -> Option<Edit> {
        let name = format!("svc-{}", random.below(SERVICES));
        let file = format!("{name}.yaml");
        if self.edited.contains(&file) {
            return None;
        }
        let Some(service) = self.services.get(&name) else { return self.create(name, file, random) };
        if random.once_in(4) {
            self.services.remove(&name);
            self.changes.renewed.insert(name.clone());
            return Some(Edit { what: format!("{name} is deleted"), file, text: None });
        }
        // A class that changes under a Service that changes: the order decides, and a batch has none.
        if self.classes[service.class].health != Health::Fine || self.class_edited {
            return None;
        }
        let service = self.services.get_mut(&name)?;
        let what = match random.below(4) {
            0 if !service.broken => {
                service.broken = true;
                self.changes.readability = true;
                return Some(Edit { what: format!("{name} is broken"), file, text: Some(BROKEN.to_owned()) });
            }
            1 => {
                service.annotation = if service.annotation.is_none() { Some(EDGE) } else { None };
                format!("{name} asks for class {:?}, bound to {}", service.annotation, service.class)
            }
            _ => {
                let before = std::mem::replace(&mut service.count, random.below(MAX_COUNT) + 1);
                format!("{name} goes from {before} to {}", service.count)
            }
        };
        self.changes.readability |= std::mem::replace(&mut service.broken, false);
        Some(Edit { what, file, text: Some(yaml::service(&name, service)) })
    }

    /// A new Service, or one that asks for more.
    fn grow(&mut self, random: &mut Random) -> Option<Edit> {
        let name = format!("svc-{}", random.below(SERVICES));
        let file = format!("{name}.yaml");
        if self.edited.contains(&file) {
            return None;
        }
        let Some(service) = self.services.get_mut(&name) else { return self.create(name, file, random) };
        if service.broken || service.count == MAX_COUNT || self.classes[service.class].health != Health::Fine {
            return None;
        }
        service.count += 1;
        let what = format!("{name} grows to {}", service.count);
        Some(Edit { what, file, text: Some(yaml::service(&name, service)) })
    }

    fn create(&mut self, name: String, file: String, random: &mut Random) -> Option<Edit> {
        let annotation = if random.once_in(3) { Some(EDGE) } else { None };
        let class = match annotation.map(|class| self.classes[class].health) {
            None => INGRESS,
            Some(Health::Fine) => EDGE,
            // Told as a problem on the Service; the default class is used.
            Some(Health::Gone) => INGRESS,
            Some(Health::Broken) => return None,
        };
        if self.classes[class].health != Health::Fine || self.class_edited {
            return None;
        }
        let families = *random.pick(&[Families::V4, Families::V6, Families::Both])?;
        let service = Service { count: random.below(MAX_COUNT) + 1, families, annotation, class, broken: false };
        let what = format!("{name} is made: {} of {families:?} from {class}, asks for {annotation:?}", service.count);
        let text = Some(yaml::service(&name, &service));
        self.changes.renewed.insert(name.clone());
        self.services.insert(name, service);
        Some(Edit { what, file, text })
    }

    /// One class edit in a batch, and only as its first edit: what depends on the class is judged after it.
    fn edit_class(&mut self, random: &mut Random) -> Option<Edit> {
        if self.class_edited || !self.edited.is_empty() {
            return None;
        }
        let name = if random.once_in(3) { INGRESS } else { EDGE };
        let others_fine = self.classes.iter().all(|(other, class)| *other == name || class.health == Health::Fine);
        let readable = self.services.values().all(|service| service.class != name || !service.broken);
        let class = self.classes.get_mut(name)?;
        let what = match (class.health, random.below(3)) {
            (Health::Broken | Health::Gone, _) => {
                class.health = Health::Fine;
                format!("class {name} is back")
            }
            (Health::Fine, 0) if others_fine && name == EDGE => {
                class.health = Health::Gone;
                format!("class {name} is deleted")
            }
            (Health::Fine, 1) if others_fine => {
                class.health = Health::Broken;
                format!("class {name} is broken")
            }
            // A broken Service cannot follow its pool.
            (Health::Fine, _) if name == EDGE && readable => {
                class.span = if class.span.0 == 0 { (16, 47) } else { (0, 31) };
                format!("class {name} moves its pool to {:?}", class.span)
            }
            (Health::Fine, _) => return None,
        };
        let text = match class.health {
            Health::Fine => Some(yaml::class(name, class)),
            Health::Broken => Some(BROKEN.to_owned()),
            Health::Gone => None,
        };
        self.class_edited = true;
        self.changes.readability = true;
        Some(Edit { what, file: format!("class-{name}.yaml"), text })
    }

    fn edit_node(&mut self, random: &mut Random) -> Option<Edit> {
        let name = format!("node-{}", random.below(NODES) + 1);
        let file = format!("{name}.yaml");
        if self.edited.contains(&file) {
            return None;
        }
        let excluded = self.nodes.values().filter(|state| state.excluded).count();
        let state = self.nodes.get_mut(&name)?;
        // Two nodes at least stay eligible.
        if random.once_in(2) && (state.excluded || excluded + 2 < NODES) {
            state.excluded = !state.excluded;
        } else {
            state.cordoned = !state.cordoned;
        }
        self.changes.nodes = true;
        let text = Some(yaml::node(&name, *state));
        Some(Edit { what: format!("{name} is {state:?}"), file, text })
    }
}
