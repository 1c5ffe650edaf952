//! What each path under a store's directory is.
//!
//! ```text
//! **/*.yaml **/*.yml **/*.json                          users' manifests, never written by Herald
//! .herald/objects/<plural>/<namespace or _>/<name>.yaml  objects that Herald made, one per file
//! .herald/status/<plural>/<namespace or _>/<name>.yaml   statuses that the controller wrote
//! .herald/status.<node>/...                              statuses that the agent of a node wrote
//! .herald/generations                                    generations of users' objects (see `record`)
//! ```
//! Every other path that has a part beginning with `.` is left alone: the inside of a mounted ConfigMap (`..data`),
//! version control, editors' files.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{Key, directory::Writer};

/// The folder of everything Herald writes.
pub(crate) const HERALD: &str = ".herald";
/// The record of generations.
pub(crate) const RECORDS: &str = ".herald/generations";

/// What a path is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// A directory to look into.
    Folder,
    /// A user's manifest.
    Manifest,
    /// An object that Herald made: its plural and its key.
    Object(String, Key),
    /// A status: its writer, the object's plural and its key.
    Status(String, String, Key),
    /// The record of generations.
    Records,
    /// None of the store's business.
    Foreign,
}

/// What `path`, relative to the store's directory, is. Of Herald's own folders only those of kinds that are `followed`
/// are looked into.
pub(crate) fn place(path: &Path, is_dir: bool, followed: impl Fn(&str) -> bool) -> Place {
    let Some(parts) = path.components().map(|part| part.as_os_str().to_str()).collect::<Option<Vec<_>>>() else {
        return Place::Foreign;
    };
    let place = match parts.as_slice() {
        [HERALD, inside @ ..] => own(inside, followed),
        parts if parts.iter().any(|part| part.starts_with('.')) => None,
        _ if is_dir => Some(Place::Folder),
        _ => is_manifest(path).then_some(Place::Manifest),
    };
    place.filter(|place| is_dir == (*place == Place::Folder)).unwrap_or(Place::Foreign)
}

fn own(parts: &[&str], followed: impl Fn(&str) -> bool) -> Option<Place> {
    let Some((&first, rest)) = parts.split_first() else { return Some(Place::Folder) };
    if first == "generations" {
        return rest.is_empty().then_some(Place::Records);
    }
    let writer = match first {
        "objects" => None,
        "status" => Some(""),
        other => Some(other.strip_prefix("status.")?),
    };
    match *rest {
        [] => Some(Place::Folder),
        [plural] | [plural, _] => followed(plural).then_some(Place::Folder),
        [plural, namespace, file] if followed(plural) && !file.starts_with('.') => {
            let namespace = if namespace == "_" { "" } else { namespace };
            let key = Key::new(namespace, file.strip_suffix(".yaml")?);
            Some(match writer {
                None => Place::Object(plural.into(), key),
                Some(writer) => Place::Status(writer.into(), plural.into(), key),
            })
        }
        _ => None,
    }
}

fn is_manifest(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml" || extension == "json")
}

/// Where the objects and the statuses of a kind may be. Not all of Herald's own files: an agent follows a dozen kinds,
/// and thousands of objects are of one.
pub(crate) fn folders(root: &Path, plural: &str) -> Vec<PathBuf> {
    let herald = Path::new(HERALD);
    match fs::read_dir(root.join(herald)) {
        Ok(entries) => {
            let folders = entries.filter_map(Result::ok).filter(|entry| entry.path().is_dir());
            folders.map(|entry| herald.join(entry.file_name()).join(plural)).collect()
        }
        // What looks there finds out why, and what of it is in doubt.
        Err(_) => vec![herald.to_owned()],
    }
}

/// Where an object of Herald's is kept.
pub(crate) fn object(plural: &str, key: &Key) -> PathBuf {
    file("objects", plural, key)
}

/// The folder of a writer's statuses; `None` for a reader.
pub(crate) fn status_folder(writer: &Writer) -> Option<String> {
    match writer {
        Writer::Controller => Some("status".into()),
        Writer::Agent(node) => Some(format!("status.{node}")),
        Writer::None => None,
    }
}

/// Where a writer keeps the status of an object.
pub(crate) fn status(folder: &str, plural: &str, key: &Key) -> PathBuf {
    file(folder, plural, key)
}

fn file(folder: &str, plural: &str, key: &Key) -> PathBuf {
    let namespace = if key.namespace.is_empty() { "_" } else { &key.namespace };
    [HERALD, folder, plural, namespace, &format!("{}.yaml", key.name)].iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(path: &str) -> Place {
        place(Path::new(path), false, |plural| plural == "virtualips")
    }

    fn key(namespace: &str, name: &str) -> Key {
        Key::new(namespace, name)
    }

    #[test]
    fn manifests_are_found_by_extension_and_hidden_ones_are_not() {
        for path in ["a.yaml", "b/c/d.yml", "x.json"] {
            assert_eq!(of(path), Place::Manifest, "{path}");
        }
        for path in ["a.yaml~", ".a.yaml", "..data/a.yaml", ".git/a.yaml", "README", ".herald/x.yaml"] {
            assert_eq!(of(path), Place::Foreign, "{path}");
        }
    }

    #[test]
    fn what_herald_writes_is_found_again() {
        let name = key("", "192.0.2.1");
        let path = object("virtualips", &name);
        assert_eq!(place(&path, false, |_| true), Place::Object("virtualips".into(), name.clone()));
        assert_eq!(place(&path, false, |_| false), Place::Foreign);
        let folder = status_folder(&Writer::Agent("a.example".into())).expect("writes");
        let path = status(&folder, "services", &key("default", "web"));
        let want = Place::Status("a.example".into(), "services".into(), key("default", "web"));
        assert_eq!(place(&path, false, |_| true), want);
        assert_eq!(of(".herald/objects/virtualips/_/.tmp-controller-1-1"), Place::Foreign);
        assert_eq!(of(RECORDS), Place::Records);
    }

    #[test]
    fn folders_of_kinds_that_nobody_follows_are_not_looked_into() {
        let folder = |path: &str| place(Path::new(path), true, |plural| plural == "virtualips");
        assert_eq!(folder(""), Place::Folder);
        assert_eq!(folder(".herald/objects/virtualips/_"), Place::Folder);
        assert_eq!(folder(".herald/objects/services"), Place::Foreign);
        assert_eq!(folder(".git"), Place::Foreign);
        assert_eq!(folder("deep/er"), Place::Folder);
    }
}
