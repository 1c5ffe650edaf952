//! The generations of users' objects: their files carry none, so the controller records them in a file of its own.
//!
//! One line per change, appended; the last line about an object counts. A line that a kill cut short is not ended and
//! is ignored. The record also remembers when an object was first seen, and in which file: after a start with a file
//! that does not parse, that says which objects it may still hold.

use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Key, directory::write::Pen};

/// Beyond this many lines for one object on average, the record is written anew when it is opened.
const LINES_PER_OBJECT: usize = 4;

/// An object of a kind.
pub(crate) type Id = (String, Key);

/// What is recorded of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    /// The digest of its spec.
    pub(crate) spec: u128,
    /// How many specs it has had.
    pub(crate) generation: i64,
    /// When it was first seen.
    pub(crate) created: Timestamp,
    /// The file it stands in.
    pub(crate) file: PathBuf,
}

/// One line of the file.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    kind: String,
    namespace: String,
    name: String,
    /// Absent once the object is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<(String, i64, Timestamp, PathBuf)>,
}

/// The record, as far as it was read.
#[derive(Debug, Default)]
pub(crate) struct Records {
    objects: BTreeMap<Id, Record>,
    /// How much of the file was read.
    offset: usize,
    /// Lines to append.
    pending: String,
}

impl Records {
    /// Reads the record. A missing one is empty.
    pub(crate) fn read(path: &Path) -> io::Result<Self> {
        let mut records = Self::default();
        records.follow(path)?;
        Ok(records)
    }

    /// Reads what was appended since, and gives the objects that it is about.
    pub(crate) fn follow(&mut self, path: &Path) -> io::Result<Vec<Id>> {
        let bytes = match fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            bytes => bytes?,
        };
        // A damaged line is ignored like any other that does not parse.
        let text = String::from_utf8_lossy(&bytes);
        // A shorter file was written anew.
        if text.len() < self.offset || !text.is_char_boundary(self.offset) {
            self.offset = 0;
        }
        let whole = text.rfind('\n').map_or(self.offset, |end| (end + 1).max(self.offset));
        let mut touched = Vec::new();
        for line in text[self.offset..whole].lines() {
            match serde_json::from_str(line) {
                Ok(line) => touched.extend(self.apply(line)),
                Err(error) => tracing::warn!(path = %path.display(), %error, "ignore a line of the record"),
            }
        }
        self.offset = whole;
        Ok(touched)
    }

    fn apply(&mut self, line: Line) -> Option<Id> {
        let id = (line.kind, Key::new(line.namespace, line.name));
        let record = line.state.and_then(|(spec, generation, created, file)| {
            let spec = u128::from_str_radix(&spec, 16).ok()?;
            Some(Record { spec, generation, created, file })
        });
        let changed = self.objects.get(&id) != record.as_ref();
        match record {
            Some(record) => self.objects.insert(id.clone(), record),
            None => self.objects.remove(&id),
        };
        changed.then_some(id)
    }

    /// Notes that an object has this spec in this file, and gives its record.
    pub(crate) fn note(&mut self, id: Id, spec: u128, file: &Path, now: Timestamp) -> Record {
        let record = match self.objects.get(&id) {
            Some(old) => {
                let generation = old.generation + i64::from(old.spec != spec);
                Record { spec, generation, created: old.created, file: file.to_owned() }
            }
            None => Record { spec, generation: 1, created: now, file: file.to_owned() },
        };
        if self.objects.get(&id) != Some(&record) {
            self.append(&id, Some(&record));
            self.objects.insert(id, record.clone());
        }
        record
    }

    /// Notes that an object is gone.
    pub(crate) fn forget(&mut self, id: &Id) {
        if self.objects.remove(id).is_some() {
            self.append(id, None);
        }
    }

    /// The objects last seen in `file`.
    pub(crate) fn in_file<'a>(&'a self, file: &'a Path) -> impl Iterator<Item = &'a Id> {
        self.objects.iter().filter(move |(_, record)| record.file == file).map(|(id, _)| id)
    }

    /// All objects.
    pub(crate) fn ids(&self) -> impl Iterator<Item = &Id> {
        self.objects.keys()
    }

    fn append(&mut self, (kind, key): &Id, record: Option<&Record>) {
        let line = Line {
            kind: kind.clone(),
            namespace: key.namespace.clone(),
            name: key.name.clone(),
            state: record.map(|record| {
                (format!("{:032x}", record.spec), record.generation, record.created, record.file.clone())
            }),
        };
        let line = serde_json::to_string(&line).expect("text and numbers have a JSON form");
        self.pending.push_str(&line);
        self.pending.push('\n');
    }

    /// Drops what was noted and must not be written: a reader's.
    pub(crate) fn discard(&mut self) {
        self.pending.clear();
    }

    /// Appends what was noted. What could not be written is tried again next time.
    pub(crate) fn flush(&mut self, path: &Path) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let mut file = OpenOptions::new().create(true).append(true).open(path)?;
        file.write_all(self.pending.as_bytes())?;
        self.offset += self.pending.len();
        self.pending.clear();
        Ok(())
    }

    /// Writes the record anew, without what is history, if that is most of it or if its end was cut short.
    pub(crate) fn compact(&mut self, path: &Path, pen: &Pen) -> io::Result<()> {
        let bytes = match fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            bytes => bytes?,
        };
        let text = String::from_utf8_lossy(&bytes);
        if text.ends_with('\n') && text.lines().count() <= LINES_PER_OBJECT * self.objects.len().max(64) {
            return Ok(());
        }
        let objects = std::mem::take(&mut self.objects);
        for (id, record) in &objects {
            self.append(id, Some(record));
        }
        self.objects = objects;
        pen.replace(path, &std::mem::take(&mut self.pending))?;
        self.offset = usize::try_from(fs::metadata(path)?.len()).unwrap_or(usize::MAX);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::Writer;

    fn id(name: &str) -> Id {
        ("Service".into(), Key::new("default", name))
    }

    #[test]
    fn generations_count_specs_and_survive() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let (path, file, now) = (dir.path().join("r"), Path::new("a.yaml"), Timestamp::UNIX_EPOCH);
        let mut records = Records::read(&path).expect("empty");
        assert_eq!(records.note(id("a"), 1, file, now).generation, 1);
        assert_eq!(records.note(id("a"), 1, file, now).generation, 1);
        assert_eq!(records.note(id("a"), 2, file, now).generation, 2);
        records.note(id("b"), 1, file, now);
        records.forget(&id("b"));
        records.flush(&path).expect("written");

        let mut again = Records::read(&path).expect("there");
        assert_eq!(again.ids().collect::<Vec<_>>(), [&id("a")]);
        assert_eq!(again.note(id("a"), 1, file, now).generation, 3);
        assert_eq!(again.in_file(file).count(), 1);
    }

    #[test]
    fn a_line_cut_short_is_ignored_and_swept() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let (path, file, now) = (dir.path().join("r"), Path::new("a.yaml"), Timestamp::UNIX_EPOCH);
        let mut records = Records::default();
        records.note(id("a"), 1, file, now);
        records.flush(&path).expect("written");
        let whole = fs::read_to_string(&path).expect("there");
        fs::write(&path, format!("{whole}{}", &whole[..20])).expect("written");

        let mut again = Records::read(&path).expect("there");
        assert_eq!(again.ids().count(), 1);
        again.compact(&path, &Pen::new(&Writer::Controller)).expect("written");
        assert_eq!(fs::read_to_string(&path).expect("there"), whole);
        again.note(id("b"), 1, file, now);
        again.flush(&path).expect("written");
        assert_eq!(Records::read(&path).expect("there").ids().count(), 2);
    }

    #[test]
    fn a_reader_follows_the_writer() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let (path, file, now) = (dir.path().join("r"), Path::new("a.yaml"), Timestamp::UNIX_EPOCH);
        let (mut writer, mut reader) = (Records::default(), Records::default());
        for spec in 1..4 {
            writer.note(id("a"), spec, file, now);
            writer.flush(&path).expect("written");
            assert_eq!(reader.follow(&path).expect("there"), [id("a")]);
        }
        assert_eq!(reader.note(id("a"), 3, file, now).generation, 3);
    }
}
