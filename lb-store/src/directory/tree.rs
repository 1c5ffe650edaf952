//! The files under a store's directory: finding those that changed, by watching and by looking.
//!
//! Watching (inotify, one watch per directory) is fast and may lose events; a look over everything now and then finds
//! what was lost. Both only name paths: what a file holds is for the reader. Symbolic links are followed, so the files
//! of a mounted ConfigMap are found where they appear, and noticed when `..data` is turned to another version.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode, ModifyKind, RenameMode},
};

use crate::directory::{layout::Place, settle::Sign};

/// Deeper nesting than this is a loop of symbolic links.
const DEPTH: usize = 32;

/// Which version of a file was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Identity {
    fn of(metadata: &fs::Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
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
    folders: BTreeMap<PathBuf, (u64, u64)>,
    files: BTreeMap<PathBuf, Identity>,
    /// Some directory is not watched.
    blind: bool,
}

impl Tree {
    pub(crate) fn new(root: PathBuf, watcher: RecommendedWatcher) -> Self {
        let (folders, files) = (BTreeMap::new(), BTreeMap::new());
        Self { root, watcher: Some(watcher), folders, files, blind: false }
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
        let gone = |path: &&PathBuf| {
            path.starts_with(folder) && !seen.contains(*path) && !in_doubt.iter().any(|folder| path.starts_with(folder))
        };
        let vanished: Vec<_> = self.files.keys().filter(gone).cloned().collect();
        for path in vanished {
            self.files.remove(&path);
            found.push((path, Sign::Gone));
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
            self.watch(folder, (metadata.dev(), metadata.ino()));
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
                    let identity = Identity::of(&metadata);
                    if self.files.insert(child.clone(), identity) != Some(identity) {
                        look.found.push((child.clone(), Sign::Complete));
                    }
                    look.seen.insert(child);
                }
            }
        }
    }

    /// Remembers which version of a file is about to be read.
    pub(crate) fn note(&mut self, path: &Path) {
        match fs::metadata(self.root.join(path)) {
            Ok(metadata) => self.files.insert(path.to_owned(), Identity::of(&metadata)),
            Err(_gone) => self.files.remove(path),
        };
    }

    fn watch(&mut self, folder: &Path, identity: (u64, u64)) {
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
