//! Stable digests and identities. SHA-1 by way of version 5 UUIDs (RFC 9562 §5.5); nothing here is a secret.

use serde_json::Value;
use uuid::Uuid;

use crate::Key;

/// The name space of Herald's digests. Never changes: uids are made in it.
const SPACE: Uuid =
    Uuid::from_bytes([0x6b, 0xa7, 0xb8, 0x10, 0x9d, 0xad, 0x51, 0xd1, 0x80, 0xb4, 0x68, 0x65, 0x72, 0x61, 0x6c, 0x64]);

/// The uid of an object: the same on every host and after every restart.
pub(crate) fn uid(kind: &str, key: &Key) -> String {
    // No part can contain a NUL, so no two objects have one text.
    Uuid::new_v5(&SPACE, format!("{kind}\0{}\0{}", key.namespace, key.name).as_bytes()).to_string()
}

/// A digest of any bytes.
pub(crate) fn bytes(bytes: &[u8]) -> u128 {
    Uuid::new_v5(&SPACE, bytes).as_u128()
}

/// A digest of a tree. Equal trees have equal digests: serde_json keeps keys in order.
pub(crate) fn value(value: &Value) -> u128 {
    bytes(value.to_string().as_bytes())
}

/// A digest of a file: of its name within the directory and its content.
pub(crate) fn file(path: &str, content: &[u8]) -> u128 {
    let mut text = Vec::with_capacity(path.len() + 1 + content.len());
    text.extend_from_slice(path.as_bytes());
    text.push(0);
    text.extend_from_slice(content);
    bytes(&text)
}
