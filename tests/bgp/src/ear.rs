//! A router that only listens: it takes sessions, and notes when each prefix of IPv4 is told or withdrawn.
//!
//! What a router makes of an UPDATE takes it as long as it likes (FRR looks every 50 ms); here the moment counts at which
//! the message has arrived.
//! Spec: RFC 4271 §4 (messages), RFC 6793 (four octets of AS), RFC 4760 §8 (the capability).

use std::{
    collections::BTreeMap,
    io::{self, Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use lb_tests::lab::Host;

/// A prefix as it stands on the wire: address and length.
pub type Heard = (Ipv4Addr, u8);

const OPEN: u8 = 1;
const UPDATE: u8 = 2;
const KEEPALIVE: u8 = 4;
const HEADER: usize = 19;

/// What was heard so far.
#[derive(Debug, Clone, Default)]
pub struct Notes {
    /// Sessions that came up.
    pub sessions: usize,
    /// UPDATEs that told or withdrew something.
    pub updates: usize,
    /// Tellings and withdrawals, one for each prefix in each UPDATE.
    pub changes: usize,
    /// What is told in this moment, or was; when that changed.
    pub prefixes: BTreeMap<Heard, (bool, Instant)>,
}

impl Notes {
    /// How many prefixes are told in this moment.
    pub fn told(&self) -> usize {
        self.prefixes.values().filter(|(told, _)| *told).count()
    }
}

/// The listening router. Its thread ends with the process or with its namespace's last socket.
#[derive(Debug, Clone)]
pub struct Ear {
    notes: Arc<(Mutex<Notes>, Condvar)>,
}

impl Ear {
    /// Listens on port 179 of a router, as the AS `asn`.
    pub fn start(host: &Host, asn: u16) -> anyhow::Result<Self> {
        let address = (host.v4, 179);
        let listener = host.netns.run(|| TcpListener::bind(address))?.with_context(|| format!("bind {address:?}"))?;
        let ear = Self { notes: Arc::default() };
        let (own, id) = (ear.clone(), host.v4);
        std::thread::Builder::new().name("ear".to_owned()).spawn(move || {
            for stream in listener.incoming() {
                // One session at a time; the next one begins when this one has ended, however it did.
                stream.and_then(|stream| own.hear(stream, asn, id)).ok();
            }
        })?;
        Ok(ear)
    }

    /// What was heard so far.
    pub fn notes(&self) -> Notes {
        self.notes.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until the notes have what is looked for.
    pub fn wait<T>(&self, limit: Duration, what: &str, look: impl Fn(&Notes) -> Option<T>) -> anyhow::Result<T> {
        let end = Instant::now() + limit;
        let mut notes = self.notes.0.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(found) = look(&notes) {
                return Ok(found);
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                bail!("waited {limit:?} for {what}: {} sessions, {} prefixes", notes.sessions, notes.told());
            }
            notes = self.notes.1.wait_timeout(notes, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn hear(&self, mut stream: TcpStream, asn: u16, id: Ipv4Addr) -> io::Result<()> {
        stream.set_nodelay(true)?;
        loop {
            let mut header = [0; HEADER];
            stream.read_exact(&mut header)?;
            let length = usize::from(u16::from_be_bytes([header[16], header[17]]));
            let mut body = vec![0; length.saturating_sub(HEADER)];
            stream.read_exact(&mut body)?;
            let at = Instant::now();
            match header[18] {
                OPEN => {
                    stream.write_all(&open(asn, id))?;
                    stream.write_all(&message(KEEPALIVE, &[]))?;
                    self.note(|notes| notes.sessions += 1);
                }
                UPDATE => {
                    let (withdrawn, told) = update(&body);
                    self.note(|notes| {
                        notes.updates += usize::from(!withdrawn.is_empty() || !told.is_empty());
                        notes.changes += withdrawn.len() + told.len();
                        let all = withdrawn.into_iter().map(|prefix| (prefix, false));
                        let all = all.chain(told.into_iter().map(|prefix| (prefix, true)));
                        notes.prefixes.extend(all.map(|(prefix, told)| (prefix, (told, at))));
                    });
                }
                _ => {}
            }
        }
    }

    fn note(&self, change: impl FnOnce(&mut Notes)) {
        change(&mut self.notes.0.lock().unwrap_or_else(PoisonError::into_inner));
        self.notes.1.notify_all();
    }
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(HEADER + body.len()).expect("a short message").to_be_bytes();
    [&[0xff; 16][..], &length, &[kind], body].concat()
}

/// Version 4, no hold time, IPv4 unicast, four octets of AS.
fn open(asn: u16, id: Ipv4Addr) -> Vec<u8> {
    let capabilities = [&[1, 4, 0, 1, 0, 1][..], &[65, 4, 0, 0], &asn.to_be_bytes()].concat();
    let length = u8::try_from(capabilities.len()).expect("a few octets");
    let body = [&[4][..], &asn.to_be_bytes(), &[0, 0], &id.octets(), &[length + 2, 2, length], &capabilities];
    message(OPEN, &body.concat())
}

/// What an UPDATE withdraws and tells.
fn update(body: &[u8]) -> (Vec<Heard>, Vec<Heard>) {
    let part = |at: usize| {
        let length = body.get(at..at + 2).map_or(0, |octets| usize::from(u16::from_be_bytes([octets[0], octets[1]])));
        (at + 2, at + 2 + length)
    };
    let withdrawn = part(0);
    let attributes = part(withdrawn.1);
    let of = |from: usize, to: usize| prefixes(body.get(from..to).unwrap_or_default());
    (of(withdrawn.0, withdrawn.1), of(attributes.1, body.len()))
}

fn prefixes(mut octets: &[u8]) -> Vec<Heard> {
    let mut all = Vec::new();
    while let Some((length, rest)) = octets.split_first() {
        let count = usize::from(length.div_ceil(8)).min(4);
        let Some((address, rest)) = rest.split_at_checked(count) else { break };
        let mut whole = [0; 4];
        whole[..count].copy_from_slice(address);
        all.push((Ipv4Addr::from(whole), *length));
        octets = rest;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_update_is_taken_apart() {
        let body = [0, 5, 32, 203, 0, 113, 7, 0, 3, 0x40, 1, 0, 24, 10, 0, 1, 32, 10, 0, 2, 1];
        let (withdrawn, told) = update(&body);
        assert_eq!(withdrawn, [(Ipv4Addr::new(203, 0, 113, 7), 32)]);
        assert_eq!(told, [(Ipv4Addr::new(10, 0, 1, 0), 24), (Ipv4Addr::new(10, 0, 2, 1), 32)]);
        // End-of-RIB tells nothing.
        assert_eq!(update(&[0, 0, 0, 0]), (Vec::new(), Vec::new()));
    }
}
