//! What the store's thread knows: files, who claims which object, statuses, records, and the caches made of them.
//!
//! Files are read one by one ([`State::read_next`]); followers are shown the result when none is left to read. The
//! first file in path order owns an object, and Herald's own files come before users'.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::{Path, PathBuf},
    sync::{Arc, RwLock},
};

use tokio::sync::watch;

use super::{
    Writer,
    cache::{Cache, Overlay, TypedCache},
    few::Few,
    layout::{self, Place, RECORDS},
    reader::Id,
    record::Records,
    tree::Tree,
    write::Pen,
};
use crate::{
    Key, Object, Rejection,
    kind::{self, Kind},
};

/// A file that may own an object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Source {
    /// Herald's own files come first.
    pub(crate) by_user: bool,
    pub(crate) path: Arc<Path>,
}

/// A file as last read.
#[derive(Debug, Default)]
pub(crate) struct File {
    /// Of path and content.
    pub(crate) digest: u128,
    /// Its objects, good now or good last, by line.
    pub(crate) objects: Few<Id, u32>,
    /// What is wrong with it; nothing with most.
    pub(crate) trouble: Option<Box<Trouble>>,
}

/// What of a file cannot be used.
#[derive(Debug, Default)]
pub(crate) struct Trouble {
    /// Objects it may hold that nobody has seen since the start.
    pub(crate) doubts: BTreeSet<Id>,
    pub(crate) rejections: Vec<Rejection>,
}

impl File {
    pub(crate) fn trouble(&mut self) -> &mut Trouble {
        self.trouble.get_or_insert_default()
    }

    pub(crate) fn into_doubts(self) -> BTreeSet<Id> {
        self.trouble.map(|trouble| trouble.doubts).unwrap_or_default()
    }
}

impl Trouble {
    pub(crate) fn is_empty(&self) -> bool {
        self.rejections.is_empty() && self.doubts.is_empty()
    }
}

/// What followers of the store share with its thread.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) digest: RwLock<Arc<str>>,
    pub(crate) rejections: watch::Sender<Arc<Vec<Rejection>>>,
}

/// See the module.
pub(crate) struct State {
    pub(crate) root: PathBuf,
    pub(crate) writer: Writer,
    pub(crate) pen: Pen,
    pub(crate) tree: Tree,
    pub(crate) kinds: Vec<Kind>,
    /// By kind; `None` while nobody follows it.
    pub(crate) caches: Vec<Option<Box<dyn Cache>>>,
    pub(crate) files: BTreeMap<Arc<Path>, File>,
    /// The files with rejections or doubts: few, and asked for with every listing.
    pub(crate) troubled: BTreeSet<Arc<Path>>,
    pub(crate) owners: HashMap<Id, Few<Source, ()>>,
    pub(crate) statuses: HashMap<Id, Few<Arc<Path>, Overlay>>,
    pub(crate) records: Records,
    /// Files to read, and whether to read them even if they have not changed.
    pub(crate) unread: BTreeMap<PathBuf, bool>,
    /// Files that were too fresh to be read, to be tried again.
    pub(crate) fresh: BTreeMap<PathBuf, bool>,
    /// Objects that have gone, whose status is still there.
    pub(crate) gone: BTreeSet<Id>,
    /// The sum (exclusive or) of the digests of users' files.
    pub(crate) digest: u128,
    /// The first look is complete.
    pub(crate) synced: bool,
    /// Something changed that followers have not been shown.
    pub(crate) stale: bool,
    pub(crate) shown: Arc<Shown>,
}

impl State {
    pub(crate) fn new(root: PathBuf, writer: Writer, tree: Tree, records: Records, shown: Arc<Shown>) -> Self {
        let kinds = kind::known();
        let caches = kinds.iter().map(|_| None).collect();
        Self {
            pen: Pen::new(&writer),
            root,
            writer,
            tree,
            kinds,
            caches,
            files: BTreeMap::new(),
            troubled: BTreeSet::new(),
            owners: HashMap::new(),
            statuses: HashMap::new(),
            records,
            unread: BTreeMap::new(),
            fresh: BTreeMap::new(),
            gone: BTreeSet::new(),
            digest: 0,
            synced: false,
            stale: true,
            shown,
        }
    }

    /// Looks over a directory and gives the files to read.
    pub(crate) fn scan(&mut self, folder: &Path) -> Vec<(PathBuf, super::settle::Sign)> {
        let Self { tree, kinds, caches, .. } = self;
        tree.scan(folder, &|path, is_dir| place(kinds, caches, path, is_dir))
    }

    pub(crate) fn notices(&self, event: &notify::Event) -> Vec<super::tree::Notice> {
        self.tree.notices(event, &|path, is_dir| place(&self.kinds, &self.caches, path, is_dir))
    }

    pub(crate) fn place(&self, path: &Path) -> Place {
        place(&self.kinds, &self.caches, path, false)
    }

    /// What each path is as things stand: for a look that outlives this moment.
    pub(crate) fn places(&self) -> impl Fn(&Path, bool) -> Place + Send + use<> {
        let kinds = self.kinds.iter().zip(&self.caches);
        let followed: Vec<_> =
            kinds.filter(|(_, cache)| cache.is_some()).map(|(kind, _)| kind.plural.clone()).collect();
        move |path, is_dir| layout::place(path, is_dir, |plural| followed.iter().any(|known| *known == plural))
    }

    /// The index of a kind, which the store learns if it does not know it.
    pub(crate) fn kind<K: Object>(&mut self) -> usize {
        let type_id = std::any::TypeId::of::<K>();
        self.kinds.iter().position(|kind| kind.type_id == type_id).unwrap_or_else(|| {
            self.kinds.push(Kind::of::<K>());
            self.caches.push(None);
            self.reread_all();
            self.kinds.len() - 1
        })
    }

    /// The cache of a kind. The first call makes the store read what it passed over so far.
    pub(crate) fn follow<K: Object>(&mut self) -> Option<&mut TypedCache<K>> {
        let index = self.kind::<K>();
        if self.caches[index].is_none() {
            self.caches[index] = Some((self.kinds[index].cache)());
            self.reread_kind(index);
            self.stale = true;
            for folder in layout::folders(&self.root, &self.kinds[index].plural) {
                for (path, _) in self.scan(&folder) {
                    self.unread.entry(path).or_default();
                }
            }
        }
        self.caches[index].as_mut().and_then(|cache| cache.as_any().downcast_mut())
    }

    /// Documents of a kind that was foreign until now may stand anywhere.
    fn reread_all(&mut self) {
        self.unread.extend(self.files.keys().map(|path| (path.to_path_buf(), true)));
    }

    fn reread_kind(&mut self, index: usize) {
        let owned = self.files.iter().filter(|(_, file)| file.objects.keys().any(|(kind, _)| *kind == index));
        self.unread.extend(owned.map(|(path, _)| (path.to_path_buf(), true)));
    }

    /// Reads one file, if any is left.
    pub(crate) fn read_next(&mut self) -> bool {
        let Some((path, forced)) = self.unread.pop_first() else { return false };
        if self.place(&path) == Place::Manifest && self.is_fresh(&path) {
            self.fresh.insert(path, forced);
        } else {
            self.read(&path, forced);
        }
        true
    }

    fn is_fresh(&self, path: &Path) -> bool {
        let written = std::fs::metadata(self.root.join(path)).and_then(|metadata| metadata.modified());
        // A time in the future is no reason to wait for it.
        written.is_ok_and(|written| written.elapsed().is_ok_and(|age| age < super::settle::FRESH))
    }

    /// Reads a file now.
    pub(crate) fn read(&mut self, path: &Path, forced: bool) {
        self.tree.note(path);
        match self.place(path) {
            Place::Manifest => self.read_manifest(path, true, forced),
            Place::Object(..) => self.read_manifest(path, false, forced),
            Place::Status(writer, plural, key) => self.read_status(path, writer, &plural, key),
            Place::Records => self.read_records(),
            Place::Folder | Place::Foreign => {}
        }
    }

    /// The controller's own record needs no reading: it wrote it.
    fn read_records(&mut self) {
        if self.writer == Writer::Controller {
            return;
        }
        match self.records.follow(&self.root.join(RECORDS)) {
            Ok(touched) => {
                for (kind, key) in touched {
                    let index = self.kinds.iter().position(|known| known.kind == kind);
                    let owner = index.and_then(|index| self.owner(&(index, key)));
                    if let Some(owner) = owner.filter(|owner| owner.by_user) {
                        self.unread.insert(owner.path.to_path_buf(), true);
                    }
                }
            }
            Err(error) => tracing::warn!(%error, "read the record of generations"),
        }
    }

    /// The file that owns an object.
    pub(crate) fn owner(&self, id: &Id) -> Option<&Source> {
        self.owners.get(id).and_then(|owners| owners.keys().next())
    }

    /// The keys of a kind whose objects may exist although no document shows them.
    pub(crate) fn doubtful(&self, index: usize) -> BTreeSet<Key> {
        let doubts = self.troubles().flat_map(|trouble| &trouble.doubts);
        doubts.filter(|id| id.0 == index && !self.owners.contains_key(*id)).map(|id| id.1.clone()).collect()
    }

    /// Whether an object may stand in a document that cannot be used.
    pub(crate) fn is_doubted(&self, id: &Id) -> bool {
        self.troubles().any(|trouble| trouble.doubts.contains(id))
    }

    fn troubles(&self) -> impl Iterator<Item = &Trouble> {
        self.troubled.iter().filter_map(|path| self.files.get(path)?.trouble.as_deref())
    }

    /// Shows followers the present state.
    pub(crate) fn publish(&mut self) {
        let digest: Arc<str> = format!("{:032x}", self.digest).into();
        for index in 0..self.kinds.len() {
            let doubtful = self.doubtful(index);
            if let Some(cache) = &mut self.caches[index] {
                cache.publish(&digest, doubtful);
            }
        }
        let mut rejections: Vec<_> = self.troubles().flat_map(|trouble| &trouble.rejections).cloned().collect();
        rejections.sort();
        self.shown.rejections.send_if_modified(|shown| {
            let differs = **shown != rejections;
            if differs {
                *shown = Arc::new(rejections);
            }
            differs
        });
        // Last: who reads the digest first and a listing then has a listing at least as new.
        *self.shown.digest.write().unwrap_or_else(std::sync::PoisonError::into_inner) = digest;
        self.stale = false;
    }
}

fn place(kinds: &[Kind], caches: &[Option<Box<dyn Cache>>], path: &Path, is_dir: bool) -> Place {
    let followed =
        |plural: &str| kinds.iter().zip(caches).any(|(kind, cache)| cache.is_some() && kind.plural == plural);
    layout::place(path, is_dir, followed)
}
