//! The record of what the agent changed on the host: written before the change, read by `cleanup`.
//!
//! `<run-dir>/undo.json`. What is in it may not have happened yet; undoing that is harmless. The directory is on a
//! tmpfs, so the record goes with the settings when the machine restarts.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    net::Ipv6Addr,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

/// What to put back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Record {
    /// `arp_announce` as it was, by interface name.
    pub(crate) arp_announce: BTreeMap<String, u8>,
    /// The names in `arp_announce` by kernel index: an interface may be renamed, and keeps its setting.
    pub(crate) names: BTreeMap<u32, String>,
    /// Groups that were joined, by kernel index.
    pub(crate) groups: BTreeMap<u32, BTreeSet<Ipv6Addr>>,
    /// Interfaces that were made to pass every multicast frame.
    pub(crate) all_multicast: BTreeSet<u32>,
}

/// The record and its file.
#[derive(Debug)]
pub(crate) struct Undo {
    path: PathBuf,
    saved: Record,
    pub(crate) record: Record,
}

/// Why the record cannot be used. Without a record nothing may be changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UndoError {
    #[error("read the undo record {path}")]
    Read { path: PathBuf, source: io::Error },
    #[error("the undo record {path} is damaged: move it away, then `lb-agent cleanup` undoes what it can recognise")]
    Damaged { path: PathBuf, source: serde_json::Error },
    #[error("write the undo record {path}")]
    Write { path: PathBuf, source: io::Error },
}

impl Record {
    /// Gives settings the names that their interfaces have now. Two may have exchanged their names.
    pub(crate) fn follow_names<'a>(&mut self, links: impl Iterator<Item = (u32, &'a str)>) {
        let mut moved = Vec::new();
        for (index, now) in links {
            if let Some(then) = self.names.get(&index).filter(|then| *then != now).cloned() {
                self.names.insert(index, now.to_owned());
                moved.extend(self.arp_announce.remove(&then).map(|before| (now.to_owned(), before)));
            }
        }
        self.arp_announce.extend(moved);
    }
}

impl Undo {
    /// Reads what an earlier agent left.
    pub(crate) fn load(run_dir: &Path) -> Result<Self, UndoError> {
        let path = run_dir.join("undo.json");
        let record = match fs::read(&path) {
            Ok(bytes) => {
                serde_json::from_slice(&bytes).map_err(|source| UndoError::Damaged { path: path.clone(), source })?
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Record::default(),
            Err(source) => return Err(UndoError::Read { path, source }),
        };
        Ok(Self { path, saved: Record::clone(&record), record })
    }

    /// Makes the file equal the record, atomically. To be called before the change itself.
    pub(crate) fn save(&mut self) -> Result<(), UndoError> {
        if self.saved == self.record {
            return Ok(());
        }
        let failed = |source| UndoError::Write { path: self.path.clone(), source };
        let bytes = serde_json::to_vec(&self.record).map_err(io::Error::other).map_err(failed)?;
        let temporary = self.path.with_extension("json.new");
        fs::write(&temporary, bytes).map_err(failed)?;
        fs::rename(&temporary, &self.path).map_err(failed)?;
        self.saved.clone_from(&self.record);
        Ok(())
    }

    /// Everything is undone.
    pub(crate) fn remove(self) -> Result<(), UndoError> {
        match fs::remove_file(&self.path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(UndoError::Write { path: self.path, source })
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn record_survives_the_process_and_goes_with_remove() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut undo = Undo::load(dir.path()).expect("no record is an empty one");
        undo.record.arp_announce.insert("eth0".to_owned(), 0);
        undo.record.groups.entry(2).or_default().insert("ff02::1:ff00:1".parse().expect("an address"));
        undo.save().expect("written");

        let again = Undo::load(dir.path()).expect("read");
        assert_eq!(again.record, undo.record);
        again.remove().expect("removed");
        assert_eq!(Undo::load(dir.path()).expect("read").record, Record::default());
    }

    #[test]
    fn settings_follow_interfaces_that_exchange_their_names() {
        let name = |index, name: &str| (index, name.to_owned());
        let mut record = Record {
            arp_announce: BTreeMap::from([("eth0".to_owned(), 0), ("eth1".to_owned(), 1)]),
            names: BTreeMap::from([name(2, "eth0"), name(3, "eth1")]),
            ..Record::default()
        };

        record.follow_names([(2, "eth1"), (3, "eth0"), (4, "eth2")].into_iter());

        assert_eq!(record.arp_announce, BTreeMap::from([("eth0".to_owned(), 1), ("eth1".to_owned(), 0)]));
        assert_eq!(record.names, BTreeMap::from([name(2, "eth1"), name(3, "eth0")]));
    }

    #[test]
    fn damaged_record_is_an_error_that_says_what_to_do() {
        let dir = tempfile::tempdir().expect("a directory");
        fs::write(dir.path().join("undo.json"), "{").expect("written");

        let error = Undo::load(dir.path()).expect_err("damaged");
        assert!(error.to_string().contains("move it away"), "{error}");
    }
}
