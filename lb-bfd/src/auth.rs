//! Authentication of control packets (RFC 5880 §6.7): the section that is sent, and whether one received is right.
//!
//! Must not: choose keys or remember packets beyond the last sequence number. MD5 and SHA1 are what the RFC has.
//!
//! ```text
//! simple password   | 1    | 3+n | key | password …
//! MD5 (meticulous)  | 2, 3 | 24  | key | 0 | sequence number | digest, 16 bytes
//! SHA1 (meticulous) | 4, 5 | 28  | key | 0 | sequence number | hash, 20 bytes
//! ```

use std::fmt;

use lb_common::bfd::{Control, LENGTH, Packet};
use md5::{Digest, Md5};
use sha1::Sha1;

#[cfg(test)]
mod tests;

/// Where the digest begins in its section.
const DIGEST: usize = 8;

/// How packets are authenticated (§4.1 Auth Type).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Method {
    /// The password itself.
    SimplePassword = 1,
    /// MD5; the sequence number moves when the contents do.
    KeyedMd5 = 2,
    /// MD5; every packet has its own sequence number.
    MeticulousMd5 = 3,
    /// SHA1; the sequence number moves when the contents do.
    KeyedSha1 = 4,
    /// SHA1; every packet has its own sequence number.
    MeticulousSha1 = 5,
}

impl Method {
    /// The most bytes a key can have (§4.2 to §4.4).
    const fn longest_key(self) -> usize {
        match self {
            Self::SimplePassword | Self::KeyedMd5 | Self::MeticulousMd5 => 16,
            Self::KeyedSha1 | Self::MeticulousSha1 => 20,
        }
    }

    const fn is_meticulous(self) -> bool {
        matches!(self, Self::MeticulousMd5 | Self::MeticulousSha1)
    }
}

/// A key and its number. Its secret is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    /// What packets name it by.
    pub id: u8,
    /// Any bytes.
    pub secret: Vec<u8>,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.id)
    }
}

/// Why keys cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// There is none.
    #[error("authentication needs a key")]
    None,
    /// A key has no bytes, or too many for the method.
    #[error("key {id} has {length} bytes, and {method:?} takes 1 to {}", .method.longest_key())]
    Length {
        /// Which key.
        id: u8,
        /// How long it is.
        length: usize,
        /// What it is for.
        method: Method,
    },
}

/// The method and its keys: the first is sent, all are taken, so that keys can be changed one side at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    method: Method,
    keys: Vec<Key>,
}

impl Keys {
    /// Checks the keys' lengths.
    pub fn new(method: Method, keys: Vec<Key>) -> Result<Self, KeyError> {
        let fits = |key: &&Key| !(1..=method.longest_key()).contains(&key.secret.len());
        if let Some(key) = keys.iter().find(fits) {
            return Err(KeyError::Length { id: key.id, length: key.secret.len(), method });
        }
        if keys.is_empty() {
            return Err(KeyError::None);
        }
        Ok(Self { method, keys })
    }
}

/// Why a received packet is not authentic: the checks of §6.7.2 to §6.7.4, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum NotAuthentic {
    /// A is set, and no authentication is in use.
    #[error("authenticated, and no authentication is in use")]
    Unexpected,
    /// A is clear, or the section is of another type.
    #[error("not authenticated by the method in use")]
    Method,
    /// Nobody knows the key.
    #[error("unknown key {0}")]
    Key(u8),
    /// The section's length is not that of its type.
    #[error("the authentication section's length is wrong")]
    Length,
    /// Replayed, or far ahead.
    #[error("sequence number {0} is outside the window")]
    Sequence(u32),
    /// The password, digest or hash is another.
    #[error("the digest does not match")]
    Digest,
}

/// The authentication state of a session (§6.8.1).
#[derive(Debug, Clone)]
pub(crate) struct Authenticator {
    keys: Keys,
    /// bfd.XmitAuthSeq.
    sent: u32,
    /// bfd.RcvAuthSeq, if bfd.AuthSeqKnown.
    received: Option<u32>,
}

impl Authenticator {
    /// `first` ought to be random.
    pub(crate) const fn new(keys: Keys, first: u32) -> Self {
        Self { keys, sent: first, received: None }
    }

    /// bfd.AuthSeqKnown = 0: nothing was received for twice the detection time.
    pub(crate) const fn forget(&mut self) {
        self.received = None;
    }

    /// The packet with its section. `changed`: its contents are not those of the last one.
    pub(crate) fn sign(&mut self, packet: &Packet, changed: bool) -> Vec<u8> {
        let method = self.keys.method;
        let Some(key) = self.keys.keys.first() else { return packet.to_bytes().to_vec() };
        if method.is_meticulous() || changed {
            self.sent = self.sent.wrapping_add(1);
        }
        let length = section_length(method, key);
        let mut bytes = packet.to_bytes_before(length).to_vec();
        bytes.extend([method as u8, length, key.id]);
        if method == Method::SimplePassword {
            bytes.extend(&key.secret);
            return bytes;
        }
        bytes.push(0);
        bytes.extend(self.sent.to_be_bytes());
        let digest = digest(method, &bytes, key);
        bytes.extend(digest);
        bytes
    }

    /// Judges a received packet.
    ///
    /// The RFC notes the first sequence number before it looks at the digest; here only an authentic packet is believed,
    /// so that a forged one cannot shut out its like.
    pub(crate) fn verify(&mut self, control: &Control<'_>) -> Result<(), NotAuthentic> {
        let method = self.keys.method;
        let section = control.authentication.ok_or(NotAuthentic::Method)?;
        let &[kind, length, id, ref rest @ ..] = section else { return Err(NotAuthentic::Method) };
        if kind != method as u8 {
            return Err(NotAuthentic::Method);
        }
        let key = self.keys.keys.iter().find(|key| key.id == id).ok_or(NotAuthentic::Key(id))?;
        if length != section_length(method, key) || section.len() < usize::from(length) {
            return Err(NotAuthentic::Length);
        }
        if method == Method::SimplePassword {
            let password = rest.get(..key.secret.len()).ok_or(NotAuthentic::Length)?;
            return if is_same(password, &key.secret) { Ok(()) } else { Err(NotAuthentic::Digest) };
        }
        let &[_, s0, s1, s2, s3, ref claimed @ ..] = rest else { return Err(NotAuthentic::Length) };
        let sequence = u32::from_be_bytes([s0, s1, s2, s3]);
        if !self.is_in_window(sequence, control.packet.detect_mult) {
            return Err(NotAuthentic::Sequence(sequence));
        }
        let head = control.bytes.get(..LENGTH + DIGEST).ok_or(NotAuthentic::Length)?;
        let right = digest(method, head, key);
        let claimed = claimed.get(..right.len()).ok_or(NotAuthentic::Length)?;
        if control.bytes.len() != LENGTH + usize::from(length) || !is_same(claimed, &right) {
            return Err(NotAuthentic::Digest);
        }
        self.received = Some(sequence);
        Ok(())
    }

    /// §6.7.3: from the last (meticulous: the next) to 3 × Detect Mult further, around 2³².
    fn is_in_window(&self, sequence: u32, detect_mult: u8) -> bool {
        let Some(last) = self.received else { return true };
        let ahead = sequence.wrapping_sub(last);
        let least = u32::from(self.keys.method.is_meticulous());
        (least..=3 * u32::from(detect_mult)).contains(&ahead)
    }
}

/// §4.2 to §4.4 Auth Len.
fn section_length(method: Method, key: &Key) -> u8 {
    match method {
        Method::SimplePassword => u8::try_from(3 + key.secret.len()).unwrap_or(u8::MAX),
        Method::KeyedMd5 | Method::MeticulousMd5 => 24,
        Method::KeyedSha1 | Method::MeticulousSha1 => 28,
    }
}

/// Over the packet up to the digest's place, and the key, padded with zeros, in that place.
fn digest(method: Method, head: &[u8], key: &Key) -> Vec<u8> {
    let mut padded = key.secret.clone();
    padded.resize(method.longest_key(), 0);
    match method {
        Method::SimplePassword => padded,
        Method::KeyedMd5 | Method::MeticulousMd5 => {
            Md5::new().chain_update(head).chain_update(&padded).finalize().to_vec()
        }
        Method::KeyedSha1 | Method::MeticulousSha1 => {
            Sha1::new().chain_update(head).chain_update(&padded).finalize().to_vec()
        }
    }
}

/// Without telling by its time where the first difference is.
fn is_same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}
