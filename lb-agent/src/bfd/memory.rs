//! What of BFD the next process goes on with: for each session that is Up, the last packet that was sent, and from where.
//!
//! A file beside the record of host settings, written when it changes, which is when a session comes up or falls. The next
//! process goes on with a session if its peer is heard to be Up with it still (`lb_bfd::session::Session::resume`), and
//! begins anew otherwise; so an old file does no harm. What the kernel program needs to answer meanwhile is not here but in
//! its map ([`super::stand_in`]), which knows nothing of paths.

use std::{collections::BTreeMap, fs, io, net::IpAddr, num::NonZeroU32, path::PathBuf};

use lb_common::bfd::Packet;
use serde::{Deserialize, Serialize};

use super::Path;

const FILE: &str = "bfd.json";

/// The file's contents, as of the process before and as of this one.
#[derive(Debug, Default)]
pub(super) struct Memory {
    file: Option<PathBuf>,
    before: BTreeMap<Path, Kept>,
    now: BTreeMap<Path, Kept>,
}

/// What is kept of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kept {
    /// What was sent last.
    pub(super) sent: Packet,
    /// From which port: RFC 5881 §4 wants the same one for all packets of a session.
    pub(super) source_port: Option<u16>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Record {
    peer: IpAddr,
    local: Option<IpAddr>,
    device: Option<String>,
    multihop: bool,
    /// As RFC 5880 §4.1 has it.
    packet: Vec<u8>,
    #[serde(default)]
    source_port: Option<u16>,
}

impl Memory {
    /// Reads what the process before has left in a directory; without one nothing is kept.
    pub(super) fn open(dir: Option<PathBuf>) -> Self {
        let Some(dir) = dir else { return Self::default() };
        let file = dir.join(FILE);
        let before = match fs::read(&file) {
            Ok(text) => read(&text).unwrap_or_else(|error| {
                tracing::warn!("{}: {error}: every BFD session begins anew", file.display());
                BTreeMap::new()
            }),
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    tracing::warn!("read {}: {error}", file.display());
                }
                BTreeMap::new()
            }
        };
        Self { file: Some(file), before, now: BTreeMap::new() }
    }

    /// What the process before has left of a path; once.
    pub(super) fn take(&mut self, path: &Path) -> Option<Kept> {
        self.before.remove(path)
    }

    /// Whether a session of that discriminator may still be asked for.
    pub(super) fn expects(&self, number: NonZeroU32) -> bool {
        self.before.values().any(|kept| kept.sent.my_discriminator == number.get())
    }

    /// Notes what each session could go on with, and writes it if that is news.
    pub(super) fn note<'a>(&mut self, sessions: impl Iterator<Item = (&'a Path, Option<Kept>)>) {
        let mut is_news = false;
        for (path, kept) in sessions {
            if self.now.get(path) == kept.as_ref() {
                continue;
            }
            is_news = true;
            match kept {
                Some(kept) => self.now.insert(path.clone(), kept),
                None => self.now.remove(path),
            };
        }
        if is_news {
            self.write();
        }
    }

    /// A session that the peer was told the end of.
    pub(super) fn forget(&mut self, path: &Path) {
        if self.now.remove(path).is_some() {
            self.write();
        }
    }

    fn write(&self) {
        let Some(file) = &self.file else { return };
        let record = |(path, kept): (&Path, &Kept)| Record {
            peer: path.peer,
            local: path.local,
            device: path.device.clone(),
            multihop: path.multihop,
            packet: kept.sent.to_bytes().to_vec(),
            source_port: kept.source_port,
        };
        let records: Vec<Record> = self.now.iter().map(record).collect();
        let temporary = file.with_extension("new");
        let written = serde_json::to_vec(&records)
            .map_err(io::Error::from)
            .and_then(|text| fs::write(&temporary, text))
            .and_then(|()| fs::rename(&temporary, file));
        if let Err(error) = written {
            tracing::warn!("write {}: {error}: BFD sessions will not outlive this process", file.display());
        }
    }
}

fn read(text: &[u8]) -> Result<BTreeMap<Path, Kept>, String> {
    let records: Vec<Record> = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    let one = |record: Record| {
        let Record { peer, local, device, multihop, packet, source_port } = record;
        let sent = Packet::parse(&packet).map_err(|error| error.to_string())?.packet;
        Ok((Path { peer, local, device, multihop }, Kept { sent, source_port }))
    };
    records.into_iter().map(one).collect()
}
