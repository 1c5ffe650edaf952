//! A look over all files now and then, beside the store's thread: it finds what watching lost.
//!
//! Asking the kernel about 15,000 files takes some 70 ms, and a change must not wait that long. So a thread of its own
//! walks the tree and tells in small slices what it saw, with a pause after each, for there may be few cores; the
//! store's thread compares them with what it knows ([`super::tree::Tree`]) and judges anew only what differs.

use std::{
    fs, io,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use super::{
    layout::Place,
    tree::{DEPTH, Identity, Inode, inode},
};

/// Files in a slice.
const SLICE: usize = 64;
/// After each slice: who looks twice a minute is in no hurry.
const PAUSE: Duration = Duration::from_millis(1);

/// What a look tells, in this order: for each folder its files, and at last the end.
#[derive(Debug)]
pub(crate) enum Glimpse {
    /// A directory that is there.
    Folder(PathBuf, Inode),
    /// Files as they were a moment ago.
    Files(Vec<(PathBuf, Identity)>),
    /// There is nothing more. `whole` is false if the root could not be read: then nothing is known to be gone.
    End { whole: bool },
}

/// Walks the tree under `root`. Paths are relative to it. Ends early when `tell` says that nobody listens.
pub(crate) fn walk(root: &Path, place: &dyn Fn(&Path, bool) -> Place, tell: &dyn Fn(Glimpse) -> bool) {
    let mut walk = Walk { root, place, tell, slice: Vec::with_capacity(SLICE), heard: true };
    let whole = walk.folder(Path::new(""), 0).is_ok();
    walk.hand_over();
    walk.say(Glimpse::End { whole });
}

struct Walk<'a> {
    root: &'a Path,
    place: &'a dyn Fn(&Path, bool) -> Place,
    tell: &'a dyn Fn(Glimpse) -> bool,
    slice: Vec<(PathBuf, Identity)>,
    heard: bool,
}

impl Walk<'_> {
    fn folder(&mut self, folder: &Path, depth: usize) -> io::Result<()> {
        let path = self.root.join(folder);
        let inode = inode(&fs::metadata(&path)?);
        let entries = fs::read_dir(&path)?;
        self.say(Glimpse::Folder(folder.to_owned(), inode));
        for entry in entries.filter_map(Result::ok) {
            if !self.heard {
                break;
            }
            let child = folder.join(entry.file_name());
            // Following links; one that leads nowhere is not there.
            let Ok(metadata) = fs::metadata(entry.path()) else { continue };
            match (self.place)(&child, metadata.is_dir()) {
                Place::Foreign => {}
                Place::Folder if depth < DEPTH => {
                    // What is under a folder that cannot be read is asked for, file by file, by who compares.
                    if let Err(error) = self.folder(&child, depth + 1) {
                        tracing::debug!(path = %child.display(), %error, "look into a directory");
                    }
                }
                Place::Folder => {}
                Place::Manifest | Place::Object(..) | Place::Status(..) | Place::Records => {
                    self.slice.push((child, Identity::of(&metadata)));
                    if self.slice.len() == SLICE {
                        self.hand_over();
                        thread::sleep(PAUSE);
                    }
                }
            }
        }
        Ok(())
    }

    fn hand_over(&mut self) {
        let slice = std::mem::replace(&mut self.slice, Vec::with_capacity(SLICE));
        self.say(Glimpse::Files(slice));
    }

    fn say(&mut self, glimpse: Glimpse) {
        self.heard = self.heard && (self.tell)(glimpse);
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, collections::BTreeMap};

    use super::*;
    use crate::directory::{layout, settle::Sign, tree::Tree};

    fn place(path: &Path, is_dir: bool) -> Place {
        layout::place(path, is_dir, |plural| plural == "virtualips")
    }

    /// A tree that knows everything under `root`.
    fn known(root: &Path) -> Tree {
        let mut tree = Tree::unwatched(root.to_owned());
        tree.scan(Path::new(""), &place);
        tree
    }

    /// What a look finds: signs by path, and the folders to scan. `between` runs when the walk is over and nothing of
    /// it has been compared.
    fn look(root: &Path, tree: &mut Tree, between: impl FnOnce(&mut Tree)) -> (BTreeMap<String, Sign>, Vec<PathBuf>) {
        let told = RefCell::new(Vec::new());
        tree.begin_look();
        walk(root, &place, &|glimpse| {
            told.borrow_mut().push(glimpse);
            true
        });
        between(tree);
        let (mut found, mut scans) = (Vec::new(), Vec::new());
        for glimpse in told.into_inner() {
            match glimpse {
                Glimpse::Folder(folder, inode) => {
                    scans.extend(tree.saw_folder(folder.clone(), inode).then_some(folder))
                }
                Glimpse::Files(files) => found.extend(tree.saw_files(files)),
                Glimpse::End { whole: true } => {
                    let (gone, folders) = tree.end_look();
                    found.extend(gone);
                    scans.extend(folders);
                }
                Glimpse::End { whole: false } => {}
            }
        }
        let found = found.into_iter().map(|(path, sign)| (path.display().to_string(), sign)).collect();
        (found, scans.into_iter().filter(|folder| !folder.as_os_str().is_empty()).collect())
    }

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a directory");
        fs::create_dir(folder.path().join("sub")).expect("a folder");
        for number in 0..3 * SLICE {
            fs::write(folder.path().join(format!("sub/{number}.yaml")), "kind: A").expect("a file");
        }
        folder
    }

    #[test]
    fn look_finds_nothing_where_nothing_changed() {
        let folder = folder();
        let mut tree = known(folder.path());

        for _ in 0..2 {
            let (found, _) = look(folder.path(), &mut tree, |_| {});
            assert_eq!(found, BTreeMap::new());
        }
    }

    #[test]
    fn look_finds_what_was_changed_added_and_deleted() {
        let folder = folder();
        let mut tree = known(folder.path());
        fs::write(folder.path().join("sub/1.yaml"), "kind: Another").expect("a file");
        fs::write(folder.path().join("new.yaml"), "kind: B").expect("a file");
        fs::remove_file(folder.path().join("sub/2.yaml")).expect("to delete a file");

        let (found, _) = look(folder.path(), &mut tree, |_| {});

        let expected =
            [("sub/1.yaml", Sign::Complete), ("new.yaml", Sign::Complete), ("sub/2.yaml", Sign::Gone)].into_iter();
        assert_eq!(found, expected.map(|(path, sign)| (path.to_owned(), sign)).collect());
        assert_eq!(look(folder.path(), &mut tree, |_| {}).0, BTreeMap::new());
    }

    #[test]
    fn file_that_came_during_the_look_is_not_gone_and_one_that_went_is_not_there() {
        let folder = folder();
        let mut tree = known(folder.path());
        let (came, went) = (folder.path().join("came.yaml"), folder.path().join("sub/3.yaml"));

        let (found, _) = look(folder.path(), &mut tree, |tree| {
            fs::write(&came, "kind: B").expect("a file");
            tree.note(Path::new("came.yaml"));
            fs::remove_file(&went).expect("to delete a file");
            tree.note(Path::new("sub/3.yaml"));
        });

        assert_eq!(found, BTreeMap::new());
    }

    #[test]
    fn new_folder_is_to_be_scanned() {
        let folder = folder();
        let mut tree = known(folder.path());
        // Folders are known by their watch, so a tree without one asks for a scan of each that is there.
        fs::create_dir(folder.path().join("later")).expect("a folder");

        let (_, scans) = look(folder.path(), &mut tree, |_| {});

        assert!(scans.contains(&PathBuf::from("later")), "{scans:?}");
    }

    #[test]
    fn root_that_cannot_be_read_deletes_nothing() {
        let folder = folder();
        let mut tree = known(folder.path());
        let moved = folder.path().with_extension("moved");
        fs::rename(folder.path(), &moved).expect("to move the root");

        let (found, scans) = look(folder.path(), &mut tree, |_| {});

        fs::rename(&moved, folder.path()).expect("to move the root back");
        assert_eq!((found, scans), (BTreeMap::new(), Vec::new()));
    }
}
