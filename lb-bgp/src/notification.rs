//! Why a session ends, in the words of the protocol: NOTIFICATION messages.
//!
//! Must not: decide when one is sent. Received data is the peer's: it is kept in bounds and shown escaped.
//! Spec: RFC 4271 §4.5 and §6, RFC 4486 (Cease), RFC 6608 (state machine), RFC 7313 (route refresh), RFC 8538 (hard
//! reset), RFC 9003 (shutdown communication), RFC 9384 (BFD), RFC 9687 (send hold timer).

use std::fmt;

#[cfg(test)]
mod tests;

/// A shutdown communication that is sent has at most so many octets, as every receiver takes (RFC 9003 §3).
const TEXT_MAX: usize = 128;

/// A NOTIFICATION message: sent, it ends the session; received, the peer has ended it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// Error code (RFC 4271 §4.5).
    pub code: u8,
    /// Error subcode; what it means depends on the code.
    pub subcode: u8,
    /// What the sender has to say about it; what it means depends on both.
    pub data: Vec<u8>,
}

impl Notification {
    /// RFC 4271 §6.1: the marker is not all ones.
    pub const NOT_SYNCHRONIZED: Self = Self::new(1, 1);
    /// RFC 4271 §6.2: the capabilities or parameters cannot be read.
    pub const OPEN_ERROR: Self = Self::new(2, 0);
    /// RFC 4271 §6.2: not the AS that is configured.
    pub const BAD_PEER_AS: Self = Self::new(2, 2);
    /// RFC 4271 §6.2, RFC 6286 §2.2: a router id that is 0, or ours within one AS.
    pub const BAD_ROUTER_ID: Self = Self::new(2, 3);
    /// RFC 4271 §6.2: a hold time of 1 or 2 s.
    pub const BAD_HOLD_TIME: Self = Self::new(2, 6);
    /// RFC 5492 §3: no common address family.
    pub const UNSUPPORTED_CAPABILITY: Self = Self::new(2, 7);
    /// RFC 4271 §6.5.
    pub const HOLD_TIMER_EXPIRED: Self = Self::new(4, 0);
    /// RFC 6608 §3: a message that OpenSent has no use for.
    pub const UNEXPECTED_IN_OPEN_SENT: Self = Self::new(5, 1);
    /// RFC 6608 §3: a message that OpenConfirm has no use for.
    pub const UNEXPECTED_IN_OPEN_CONFIRM: Self = Self::new(5, 2);
    /// RFC 6608 §3: a message that Established has no use for.
    pub const UNEXPECTED_IN_ESTABLISHED: Self = Self::new(5, 3);
    /// RFC 4486 §4: the peer is no longer in the configuration.
    pub const PEER_DECONFIGURED: Self = Self::new(6, 3);
    /// RFC 4486 §4: a connection that nobody wants.
    pub const REJECTED: Self = Self::new(6, 5);
    /// RFC 4486 §4: the peer's configuration was changed.
    pub const CONFIGURATION_CHANGED: Self = Self::new(6, 6);
    /// RFC 4271 §6.8: of two connections with one peer, this one is not used.
    pub const COLLISION: Self = Self::new(6, 7);
    /// RFC 9384 §3.
    pub const BFD_DOWN: Self = Self::new(6, 10);
    /// RFC 9687 §5.
    pub const SEND_HOLD_TIMER_EXPIRED: Self = Self::new(8, 0);

    const fn new(code: u8, subcode: u8) -> Self {
        Self { code, subcode, data: Vec::new() }
    }

    /// With the data that the receiver is told.
    #[must_use]
    pub fn with_data(mut self, data: impl Into<Vec<u8>>) -> Self {
        self.data = data.into();
        self
    }

    /// RFC 4271 §6.1: the length field does not fit the type; it is told back.
    #[must_use]
    pub fn bad_length(length: u16) -> Self {
        Self::new(1, 2).with_data(length.to_be_bytes())
    }

    /// RFC 4271 §6.1: no such message type; it is told back.
    #[must_use]
    pub fn bad_type(kind: u8) -> Self {
        Self::new(1, 3).with_data([kind])
    }

    /// RFC 4486 §4, Administrative Shutdown, with a text for the peer's operator (RFC 9003 §2).
    #[must_use]
    pub fn shutdown(text: &str) -> Self {
        Self::new(6, 2).with_data(communication(text))
    }

    /// RFC 4486 §4, Administrative Reset, with a text for the peer's operator (RFC 9003 §2).
    #[must_use]
    pub fn reset(text: &str) -> Self {
        Self::new(6, 4).with_data(communication(text))
    }

    /// Wrapped into a Hard Reset, so that a peer which restarts gracefully on NOTIFICATION drops the routes
    /// (RFC 8538 §3).
    #[must_use]
    pub fn into_hard_reset(self) -> Self {
        let mut data = vec![self.code, self.subcode];
        data.extend(self.data);
        Self::new(6, 9).with_data(data)
    }

    /// The text that came with a shutdown or reset, a Hard Reset's content included (RFC 9003 §2, RFC 8538 §3).
    ///
    /// `None` as well if the text is malformed: then it must not be interpreted (RFC 9003 §4).
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        let data = match (self.code, self.subcode, self.data.as_slice()) {
            (6, 2 | 4, data) => data,
            (6, 9, [6, 2 | 4, data @ ..]) => data,
            _ => return None,
        };
        let (length, text) = data.split_first()?;
        let text = (usize::from(*length) == text.len()).then_some(text)?;
        std::str::from_utf8(text).ok()
    }

    /// What the code and the subcode are called.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match (self.code, self.subcode) {
            (1, 1) => "connection not synchronized",
            (1, 2) => "bad message length",
            (1, 3) => "bad message type",
            (1, _) => "message header error",
            (2, 1) => "unsupported version number",
            (2, 2) => "bad peer AS",
            (2, 3) => "bad BGP identifier",
            (2, 4) => "unsupported optional parameter",
            (2, 5) => "authentication failure",
            (2, 6) => "unacceptable hold time",
            (2, 7) => "unsupported capability",
            (2, 11) => "role mismatch",
            (2, _) => "OPEN message error",
            (3, 1) => "malformed attribute list",
            (3, 2) => "unrecognized well-known attribute",
            (3, 3) => "missing well-known attribute",
            (3, 4) => "attribute flags error",
            (3, 5) => "attribute length error",
            (3, 6) => "invalid ORIGIN",
            (3, 8) => "invalid NEXT_HOP",
            (3, 9) => "optional attribute error",
            (3, 10) => "invalid network field",
            (3, 11) => "malformed AS_PATH",
            (3, _) => "UPDATE message error",
            (4, _) => "hold timer expired",
            (5, 1) => "unexpected message in OpenSent",
            (5, 2) => "unexpected message in OpenConfirm",
            (5, 3) => "unexpected message in Established",
            (5, _) => "state machine error",
            (6, subcode) => cease(subcode),
            (7, 1) => "invalid ROUTE-REFRESH length",
            (7, _) => "ROUTE-REFRESH message error",
            (8, _) => "send hold timer expired",
            _ => "unknown error",
        }
    }
}

const fn cease(subcode: u8) -> &'static str {
    match subcode {
        1 => "cease: maximum number of prefixes reached",
        2 => "cease: administrative shutdown",
        3 => "cease: peer de-configured",
        4 => "cease: administrative reset",
        5 => "cease: connection rejected",
        6 => "cease: other configuration change",
        7 => "cease: connection collision resolution",
        8 => "cease: out of resources",
        9 => "cease: hard reset",
        10 => "cease: BFD down",
        _ => "cease",
    }
}

impl fmt::Display for Notification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}/{})", self.name(), self.code, self.subcode)?;
        if let (6, 9, [code, subcode, ..]) = (self.code, self.subcode, self.data.as_slice()) {
            write!(f, ": {} ({code}/{subcode})", Self::new(*code, *subcode).name())?;
        }
        match self.text() {
            // Escaped: the peer chose the text, and it ends up in logs.
            Some(text) if !text.is_empty() => write!(f, ": \"{}\"", text.escape_debug()),
            Some(_) | None => Ok(()),
        }
    }
}

/// Length octet and text, cut at a character boundary (RFC 9003 §2).
fn communication(text: &str) -> Vec<u8> {
    let text = text.get(..text.floor_char_boundary(TEXT_MAX)).unwrap_or_default();
    // At most 128, so it fits.
    let length = u8::try_from(text.len()).unwrap_or(0);
    [&[length], text.as_bytes()].concat()
}
