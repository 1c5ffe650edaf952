//! What comes of a message, and the end of a session.

use crate::status::Down;

/// What came of one message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// No whole message is left.
    Waiting,
    /// A message was taken.
    Took,
    /// The peer's OPEN was taken: time to look for a collision.
    Opened,
    /// The session is up.
    Established,
    /// The session is over.
    Over(Over),
}

/// The end of a session.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Over {
    pub(crate) down: Down,
    /// To be written before the connection is closed.
    pub(crate) last_words: Vec<u8>,
}

impl Over {
    /// With what the NOTIFICATION was about.
    pub(super) fn because(mut self, text: String) -> Self {
        if let Down::Sent { why, .. } = &mut self.down {
            *why = Some(text);
        }
        self
    }
}
