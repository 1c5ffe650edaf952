//! Who wrote what, by the API server's own word.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufRead as _, BufReader, Seek as _, SeekFrom},
    path::PathBuf,
};

use anyhow::Context as _;
use serde_json::Value;

/// Reads an audit log on from where it was read last.
#[derive(Debug)]
pub(crate) struct Audit {
    log: PathBuf,
    read: u64,
}

impl Audit {
    pub(crate) const fn new(log: PathBuf) -> Self {
        Self { log, read: 0 }
    }

    /// What a user wrote since the last call, by verb and resource, refused writes included.
    pub(crate) fn of(&mut self, user: &str) -> anyhow::Result<BTreeMap<String, usize>> {
        let mut file = BufReader::new(File::open(&self.log).with_context(|| format!("open {}", self.log.display()))?);
        file.seek(SeekFrom::Start(self.read))?;
        let mut writes = BTreeMap::new();
        let mut line = Vec::new();
        // The last line may be half written: it is read next time.
        while file.read_until(b'\n', &mut line)? > 0 && line.ends_with(b"\n") {
            self.read += u64::try_from(line.len())?;
            let event: Value = serde_json::from_slice(&line).context("a line of the audit log")?;
            if event["user"]["username"] == user {
                let object = &event["objectRef"];
                let part = object["subresource"].as_str().map(|part| format!("/{part}")).unwrap_or_default();
                let (verb, resource) = (event["verb"].as_str(), object["resource"].as_str());
                let write = format!("{} {}{part}", verb.unwrap_or("?"), resource.unwrap_or("?"));
                *writes.entry(write).or_insert(0) += 1;
            }
            line.clear();
        }
        Ok(writes)
    }
}
