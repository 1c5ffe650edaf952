//! Cuts a stream of octets into messages, whatever pieces it comes in.
//!
//! Must not: look beyond the header. A header is judged as soon as it is there, before its body is kept, so what is kept
//! is less than one message of the largest size allowed.
//! Spec: RFC 4271 §4.1 and §6.1, RFC 8654 §4 (OPEN and KEEPALIVE never grow).

use crate::notification::Notification;

#[cfg(test)]
mod tests;

/// Marker, length, type.
pub(crate) const HEADER: usize = 19;
/// The largest message of RFC 4271 §4.1, and of OPEN and KEEPALIVE for ever.
pub(crate) const STANDARD_MAX: u16 = 4096;
/// The largest message of RFC 8654.
pub(crate) const EXTENDED_MAX: u16 = u16::MAX;

/// The types of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Open,
    Update,
    Notification,
    Keepalive,
    /// RFC 2918.
    RouteRefresh,
}

impl Kind {
    /// The type for its octet in the header.
    fn of(octet: u8) -> Option<Self> {
        match octet {
            1 => Some(Self::Open),
            2 => Some(Self::Update),
            3 => Some(Self::Notification),
            4 => Some(Self::Keepalive),
            5 => Some(Self::RouteRefresh),
            _ => None,
        }
    }

    /// The smallest and the largest message of the type (RFC 4271 §6.1), where nothing is larger than `max`.
    const fn lengths(self, max: u16) -> (u16, u16) {
        match self {
            Self::Open => (29, STANDARD_MAX),
            Self::Update | Self::RouteRefresh => (23, max),
            Self::Notification => (21, max),
            Self::Keepalive => (19, 19),
        }
    }
}

/// A whole message: header and body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: Kind,
    pub(crate) octets: Vec<u8>,
}

/// The begun message of one connection.
#[derive(Debug)]
pub(crate) struct Framer {
    begun: Vec<u8>,
    max: u16,
}

impl Framer {
    /// `max`: the largest message that may come in.
    pub(crate) const fn new(max: u16) -> Self {
        Self { begun: Vec::new(), max }
    }

    /// Octets of a message that is not complete.
    #[cfg(test)]
    pub(crate) const fn kept(&self) -> usize {
        self.begun.len()
    }

    /// The next message of `input`, which shrinks by what was used; `None`: used up, more is needed.
    ///
    /// # Errors
    /// RFC 4271 §6.1: the stream is lost and the connection ends with the NOTIFICATION.
    pub(crate) fn next(&mut self, input: &mut &[u8]) -> Result<Option<Frame>, Notification> {
        self.keep(input, HEADER);
        let Some(header) = self.begun.first_chunk() else { return Ok(None) };
        let (kind, length) = judge(header, self.max)?;
        self.keep(input, length);
        if self.begun.len() < length {
            return Ok(None);
        }
        Ok(Some(Frame { kind, octets: std::mem::take(&mut self.begun) }))
    }

    /// Moves octets over until `length` are kept.
    fn keep(&mut self, input: &mut &[u8], length: usize) {
        let missing = length.saturating_sub(self.begun.len()).min(input.len());
        let (now, later) = input.split_at_checked(missing).unwrap_or((input, &[]));
        self.begun.reserve_exact(length.saturating_sub(self.begun.len()));
        self.begun.extend_from_slice(now);
        *input = later;
    }
}

fn judge(header: &[u8; HEADER], max: u16) -> Result<(Kind, usize), Notification> {
    let [marker @ .., high, low, kind] = header;
    let length = u16::from_be_bytes([*high, *low]);
    if *marker != [0xFF; 16] {
        return Err(Notification::NOT_SYNCHRONIZED);
    }
    if usize::from(length) < HEADER || length > max {
        return Err(Notification::bad_length(length));
    }
    let kind = Kind::of(*kind).ok_or_else(|| Notification::bad_type(*kind))?;
    let (least, most) = kind.lengths(max);
    if length < least || length > most {
        return Err(Notification::bad_length(length));
    }
    Ok((kind, usize::from(length)))
}
