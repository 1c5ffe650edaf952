//! Reception (RFC 5880 §6.8.6), in the order of its text.

use std::time::Instant;

use lb_common::bfd::{Control, Malformed, Packet, State};

use super::{Neighbour, Session, Verdict, table};
use crate::auth::NotAuthentic;

/// Why a received packet was discarded (§6.8.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Discard {
    /// RFC 5881 §5, RFC 5883 §5.
    #[error("TTL {got} is below {want}")]
    Ttl {
        /// It arrived with.
        got: u8,
        /// The least accepted.
        want: u8,
    },
    /// It is no packet.
    #[error("malformed: {0}")]
    Malformed(#[from] Malformed),
    /// It is another session's.
    #[error("for discriminator {0:#010x}")]
    YourDiscriminator(u32),
    /// It cannot be believed.
    #[error("not authentic: {0}")]
    NotAuthentic(#[from] NotAuthentic),
}

impl Session {
    /// Takes a packet that arrived with `ttl`. A packet that is discarded changes nothing.
    pub fn handle_packet(&mut self, now: Instant, ttl: u8, payload: &[u8]) -> Result<(), Discard> {
        let packet = self.judge(ttl, payload)?;
        // bfd.RemoteDiscr, RemoteSessionState, RemoteDemandMode, RemoteMinRxInterval; and what detection needs.
        self.neighbour = Some(Neighbour { packet, heard: now });
        if packet.finish {
            self.negotiation.finish();
        }
        if self.state != State::AdminDown {
            self.advance(&packet);
            self.final_due |= packet.poll;
        }
        self.settle();
        if self.authenticator.is_some() {
            self.forget_sequence_at = self.detection_time().map(|time| now + time * 2);
        }
        Ok(())
    }

    fn judge(&mut self, ttl: u8, payload: &[u8]) -> Result<Packet, Discard> {
        let want = self.config.path.min_ttl();
        if ttl < want {
            return Err(Discard::Ttl { got: ttl, want });
        }
        let control = Packet::parse(payload)?;
        let your = control.packet.your_discriminator;
        if your != 0 && your != self.config.local.get() {
            return Err(Discard::YourDiscriminator(your));
        }
        self.authenticate(&control)?;
        Ok(control.packet)
    }

    fn authenticate(&mut self, control: &Control<'_>) -> Result<(), NotAuthentic> {
        match (&mut self.authenticator, control.authentication) {
            (None, None) => Ok(()),
            (None, Some(_)) => Err(NotAuthentic::Unexpected),
            (Some(authenticator), _) => authenticator.verify(control),
        }
    }

    fn advance(&mut self, packet: &Packet) {
        let (to, diagnostic) = table::next(self.state, packet.state);
        let is_withdrawn = packet.state == State::AdminDown;
        if to != self.state {
            // RFC 5882 §3.2: AdminDown is no failure of the path.
            let left_up = if is_withdrawn { Verdict::Unmonitored } else { Verdict::Failed };
            self.enter(to, diagnostic.unwrap_or(self.diagnostic), left_up);
        }
        if is_withdrawn {
            self.past = Verdict::Unmonitored;
        }
    }
}
