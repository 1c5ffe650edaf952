//! Messages on their way to the socket, in bounds.
//!
//! Must not: grow with what the peer does not read. Routes are taken only while there is room; everything else that is
//! sent is small and sent rarely.
//! Invariant: the kept octets begin with a message, so the end of the message being written can be found.

use crate::frame::HEADER;

#[cfg(test)]
mod tests;

/// Above this many octets no route is added.
pub(crate) const WINDOW: usize = 64 * 1024;

/// What is not written yet, from the begin of the message being written.
#[derive(Debug, Default)]
pub(crate) struct Output {
    octets: Vec<u8>,
    written: usize,
}

impl Output {
    /// Adds a message.
    pub(crate) fn push(&mut self, message: &[u8]) {
        self.octets.extend_from_slice(message);
    }

    /// What to write next.
    pub(crate) fn pending(&self) -> &[u8] {
        self.octets.get(self.written..).unwrap_or_default()
    }

    /// `count` octets of [`Self::pending`] were written.
    pub(crate) fn advance(&mut self, count: usize) {
        self.written = self.written.saturating_add(count).min(self.octets.len());
        if self.written == self.octets.len() {
            // Not `clear`: an idle session keeps no buffer.
            *self = Self::default();
        }
    }

    /// Nothing is left to write.
    pub(crate) fn is_empty(&self) -> bool {
        self.pending().is_empty()
    }

    /// Routes have to wait.
    pub(crate) fn is_full(&self) -> bool {
        self.pending().len() >= WINDOW
    }

    /// The rest of the message being written, then `last`: messages in between are dropped, for the session is over.
    pub(crate) fn last_words(&mut self, last: &[u8]) -> Vec<u8> {
        let end = self.end_of_begun();
        let mut words = self.octets.get(self.written..end).unwrap_or_default().to_vec();
        words.extend_from_slice(last);
        *self = Self::default();
        words
    }

    /// Where the message that is partly written ends; the written part's end if none is.
    fn end_of_begun(&self) -> usize {
        let mut end = 0;
        while end < self.written {
            let length = match self.octets.get(end..).and_then(|rest| rest.first_chunk::<HEADER>()) {
                Some([.., high, low, _type]) => usize::from(u16::from_be_bytes([*high, *low])),
                None => return self.octets.len(),
            };
            end += length.max(HEADER);
        }
        end
    }
}
