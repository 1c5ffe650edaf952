//! The files under a store's directory: finding those that changed, by watching and by looking.
//!
//! Watching (inotify, one watch per directory) is fast and may lose events; a look over everything now and then
//! ([`super::look`]) finds what was lost. Both only name paths: what a file holds is for the reader. Symbolic links are followed, so the files
//! of a mounted ConfigMap are found where they appear, and noticed when `..data` is turned to another version.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    io,
    ops::Bound,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode, ModifyKind, RenameMode},
};

use crate::directory::{layout::Place, settle::Sign};

/// Deeper nesting than this is a loop of symbolic links.
pub(crate) const DEPTH: usize = 32;

/// Which directory a path leads to: device and inode.
pub(crate) type Inode = (u64, u64);

/// Which version of a file was seen: a digest of device, inode, size and times, for a store keeps thousands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity(u64);

impl Identity {
    pub(crate) fn of(metadata: &fs::Metadata) -> Self {
        let mut hasher = DefaultHasher::new();
        inode(metadata).hash(&mut hasher);
        let (modified, changed) =
            ((metadata.mtime(), metadata.mtime_nsec()), (metadata.ctime(), metadata.ctime_nsec()));
        (metadata.size(), modified, changed).hash(&mut hasher);
        Self(hasher.finish())
    }
}

/// Which file or directory a path leads to.
pub(crate) fn inode(metadata: &fs::Metadata) -> Inode {
    (metadata.dev(), metadata.ino())
}

/// A file as last seen.
#[derive(Debug, Clone, Copy)]
struct Known {
    identity: Identity,
    /// The look that saw it last.
    look: u32,
}

/// What an event asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Notice {
    /// This file, with what was seen of it.
    File(PathBuf, Sign),
    /// A look over this directory.
    Scan(PathBuf),
}

/// What is known of the files. Paths are relative to the root.
pub(crate) struct Tree {
    root: PathBuf,
    watcher: Option<RecommendedWatcher>,
    folders: BTreeMap<PathBuf, Inode>,
    files: BTreeMap<Arc<Path>, Known>,
    /// Some directory is not watched.
    blind: bool,
    /// Counts the looks beside the store's thread ([`super::look`]).
    look: u32,
    /// What the look under way has seen of the folders.
    seen_folders: BTreeSet<PathBuf>,
}

impl Tree {
    pub(crate) fn new(root: PathBuf, watcher: RecommendedWatcher) -> Self {
        let (folders, files) = (BTreeMap::new(), BTreeMap::new());
        Self { root, watcher: Some(watcher), folders, files, blind: false, look: 0, seen_folders: BTreeSet::new() }
    }

    /// One that finds changes by looking only.
    #[cfg(test)]
    pub(crate) fn unwatched(root: PathBuf) -> Self {
        let (folders, files) = (BTreeMap::new(), BTreeMap::new());
        Self { root, watcher: None, folders, files, blind: true, look: 0, seen_folders: BTreeSet::new() }
    }

    /// Whether changes in some directory are found by looking only.
    pub(crate) fn is_blind(&self) -> bool {
        self.blind
    }

    /// Looks over `folder` and below, and gives the files that are new, changed or gone since the last look.
    pub(crate) fn scan(&mut self, folder: &Path, place: &dyn Fn(&Path, bool) -> Place) -> Vec<(PathBuf, Sign)> {
        let mut look = Look { found: Vec::new(), seen: BTreeSet::new(), in_doubt: Vec::new() };
        self.look(folder, 0, place, &mut look);
        let Look { mut found, seen, in_doubt } = look;
        let gone =
            |path: &&Arc<Path>| !seen.contains(&***path) && !in_doubt.iter().any(|folder| path.starts_with(folder));
        let from_there = self.files.range::<Path, _>((Bound::Included(folder), Bound::Unbounded)).map(|(path, _)| path);
        let vanished: Vec<_> = from_there.take_while(|path| path.starts_with(folder)).filter(gone).cloned().collect();
        for path in vanished {
            self.files.remove(&path);
            found.push((path.to_path_buf(), Sign::Gone));
        }
        self.folders.retain(|path, _| {
            !path.starts_with(folder) || seen.contains(path) || in_doubt.iter().any(|folder| path.starts_with(folder))
        });
        found
    }

    fn look(&mut self, folder: &Path, depth: usize, place: &dyn Fn(&Path, bool) -> Place, look: &mut Look) {
        let path = self.root.join(folder);
        let entries = fs::metadata(&path).and_then(|metadata| {
            // Watch first: what comes after the look is then an event.
            self.watch(folder, inode(&metadata));
            fs::read_dir(&path)
        });
        let entries = match entries {
            Ok(entries) if depth < DEPTH => entries,
            Ok(_) => return tracing::warn!(path = %path.display(), "ignore a directory that is nested too deeply"),
            // A directory that is not there has no files. The root is different: nobody deletes everything by
            // unmounting a volume.
            Err(error) if error.kind() == io::ErrorKind::NotFound && depth == 0 && !folder.as_os_str().is_empty() => {
                return;
            }
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "keep what was last seen in a directory");
                look.in_doubt.push(folder.to_owned());
                return;
            }
        };
        look.seen.insert(folder.to_owned());
        for entry in entries.filter_map(Result::ok) {
            let child = folder.join(entry.file_name());
            // Following links; one that leads nowhere is not there.
            let Ok(metadata) = fs::metadata(entry.path()) else { continue };
            match place(&child, metadata.is_dir()) {
                Place::Foreign => {}
                Place::Folder => self.look(&child, depth + 1, place, look),
                Place::Manifest | Place::Object(..) | Place::Status(..) | Place::Records => {
                    if self.differs(&child, Identity::of(&metadata)) {
                        look.found.push((child.clone(), Sign::Complete));
                    }
                    look.seen.insert(child);
                }
            }
        }
    }

    /// Remembers which version of a file was seen, and says whether it is another one than before.
    fn differs(&mut self, path: &Path, identity: Identity) -> bool {
        let known = Known { identity, look: self.look };
        match self.files.get_mut(path) {
            Some(before) => std::mem::replace(before, known).identity != identity,
            None => self.files.insert(path.into(), known).is_none(),
        }
    }

    /// The path of a file, in one copy for all who keep it.
    pub(crate) fn shared(&self, path: &Path) -> Arc<Path> {
        self.files.get_key_value(path).map_or_else(|| path.into(), |(path, _)| Arc::clone(path))
    }

    /// Remembers which version of a file is about to be read.
    pub(crate) fn note(&mut self, path: &Path) {
        match fs::metadata(self.root.join(path)) {
            Ok(metadata) => _ = self.differs(path, Identity::of(&metadata)),
            Err(_gone) => _ = self.files.remove(path),
        }
    }

    /// A look beside this thread begins.
    pub(crate) fn begin_look(&mut self) {
        self.look = self.look.wrapping_add(1);
        self.seen_folders.clear();
    }

    /// A look saw a folder: whether it has to be scanned, because it is new or another one.
    pub(crate) fn saw_folder(&mut self, folder: PathBuf, inode: Inode) -> bool {
        let unknown = self.folders.get(&folder) != Some(&inode);
        self.seen_folders.insert(folder);
        unknown
    }

    /// A look saw these files a moment ago. Gives those that differ from what is known, and still do.
    pub(crate) fn saw_files(&mut self, files: Vec<(PathBuf, Identity)>) -> Vec<(PathBuf, Sign)> {
        let mut found = Vec::new();
        for (path, identity) in files {
            match self.files.get_mut(&*path) {
                Some(known) if known.identity == identity => known.look = self.look,
                _ => {
                    // An event may have told more than the look since: the disk has the last word.
                    let Ok(metadata) = fs::metadata(self.root.join(&path)) else { continue };
                    if self.differs(&path, Identity::of(&metadata)) {
                        found.push((path, Sign::Complete));
                    }
                }
            }
        }
        found
    }

    /// A look is over that saw the whole tree: gives the files that are gone, and the folders to scan because they
    /// were not seen.
    pub(crate) fn end_look(&mut self) -> (Vec<(PathBuf, Sign)>, Vec<PathBuf>) {
        let unseen = self.files.iter().filter(|(_, known)| known.look != self.look).map(|(path, _)| Arc::clone(path));
        let gone = |path: &Arc<Path>| {
            // Any other error is a doubt, in which what was last seen stays.
            fs::metadata(self.root.join(path)).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
        };
        let gone: Vec<_> = unseen.filter(gone).collect();
        for path in &gone {
            self.files.remove(path);
        }
        let seen = std::mem::take(&mut self.seen_folders);
        let folders = self.folders.keys().filter(|folder| !seen.contains(*folder)).cloned().collect();
        (gone.into_iter().map(|path| (path.to_path_buf(), Sign::Gone)).collect(), folders)
    }

    fn watch(&mut self, folder: &Path, identity: Inode) {
        if self.folders.get(folder) == Some(&identity) {
            return;
        }
        let Some(watcher) = &mut self.watcher else { return };
        let path = self.root.join(folder);
        if self.folders.insert(folder.to_owned(), identity).is_some()
            && let Err(error) = watcher.unwatch(&path)
        {
            tracing::debug!(path = %path.display(), %error, "stop watching a directory that was replaced");
        }
        if let Err(error) = watcher.watch(&path, RecursiveMode::NonRecursive) {
            self.folders.remove(folder);
            if !self.blind {
                tracing::warn!(path = %path.display(), %error, "cannot watch a directory: look every second instead");
            }
            self.blind = true;
        }
    }

    /// What an event asks for.
    pub(crate) fn notices(&self, event: &Event, place: &dyn Fn(&Path, bool) -> Place) -> Vec<Notice> {
        if event.need_rescan() {
            return vec![Notice::Scan(PathBuf::new())];
        }
        let Some(sign) = sign(event.kind) else { return Vec::new() };
        let relative = event.paths.iter().filter_map(|path| path.strip_prefix(&self.root).ok());
        relative.filter_map(|path| self.notice(path, sign, place)).collect()
    }

    fn notice(&self, path: &Path, sign: Sign, place: &dyn Fn(&Path, bool) -> Place) -> Option<Notice> {
        let is_dir = fs::metadata(self.root.join(path)).is_ok_and(|metadata| metadata.is_dir());
        let hidden = path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(".."));
        if hidden {
            // `..data` of a ConfigMap: every link beside it may lead elsewhere now.
            return path.parent().map(|parent| Notice::Scan(parent.to_owned()));
        }
        if is_dir || self.folders.contains_key(path) {
            let looked_into = self.folders.contains_key(path) || place(path, true) == Place::Folder;
            // A change of an entry is reported for the entry.
            let news = matches!(sign, Sign::Created | Sign::Complete | Sign::Gone);
            return (looked_into && news).then(|| Notice::Scan(path.to_owned()));
        }
        match place(path, false) {
            Place::Foreign | Place::Folder => None,
            Place::Manifest => Some(Notice::File(path.to_owned(), sign)),
            Place::Object(..) | Place::Status(..) | Place::Records => Some(Notice::File(path.to_owned(), Sign::Own)),
        }
    }
}

struct Look {
    found: Vec<(PathBuf, Sign)>,
    seen: BTreeSet<PathBuf>,
    in_doubt: Vec<PathBuf>,
}

#[expect(clippy::wildcard_enum_match_arm, reason = "notify knows many events, of which these matter")]
fn sign(kind: EventKind) -> Option<Sign> {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => Some(Sign::Complete),
        EventKind::Create(_) => Some(Sign::Created),
        EventKind::Modify(ModifyKind::Name(RenameMode::From)) | EventKind::Remove(_) => Some(Sign::Gone),
        EventKind::Modify(ModifyKind::Name(RenameMode::To) | ModifyKind::Metadata(_)) => Some(Sign::Complete),
        EventKind::Modify(ModifyKind::Data(_)) => Some(Sign::Written),
        _ => None,
    }
}
