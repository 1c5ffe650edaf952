//! A session that goes on in another process: the one that had it ended without a word, and its neighbour noticed nothing.
//!
//! What is said must be what was said: another discriminator is another session to the neighbour, which then takes this one
//! down (RFC 5880 §6.8.6); other intervals are agreed by a poll sequence, as ever (§6.5).

use std::time::Instant;

use lb_common::bfd::{Packet, State};

use super::{Config, Negotiation, Neighbour, Pace, Session};

impl Session {
    /// What another process needs to go on: the last packet that was sent. `None` unless the session is Up and nothing is
    /// under way. Sequence numbers of authentication are not handed on.
    #[must_use]
    pub fn resumable(&self) -> Option<Packet> {
        let may = self.state == State::Up && self.authenticator.is_none() && !self.negotiation.is_polling();
        self.sent.filter(|sent| may && sent.state == State::Up)
    }

    /// Whether a packet is one that `sent` was said to: its sender still is Up, and with this very session.
    #[must_use]
    pub fn answers(sent: &Packet, heard: &Packet) -> bool {
        heard.your_discriminator == sent.my_discriminator
            && heard.my_discriminator == sent.your_discriminator
            && heard.state == State::Up
    }

    /// A session that is Up, because it was when `sent` was sent and its neighbour is heard to be. The packet itself is
    /// handed over next. `config` has the discriminator that `sent` names.
    #[must_use]
    pub fn resume(config: Config, now: Instant, sent: Packet, heard: Packet) -> Self {
        let mut session = Self::new(config, now);
        session.state = State::Up;
        session.diagnostic = sent.diagnostic;
        session.neighbour = Some(Neighbour { packet: Packet { poll: false, finish: false, ..heard }, heard: now });
        session.negotiation =
            Negotiation::new(Pace { desired_min_tx: sent.desired_min_tx, required_min_rx: sent.required_min_rx });
        session.settle();
        session
    }
}
