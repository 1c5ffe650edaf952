//! Transmission (RFC 5880 §6.8.7): whether a packet is due, and what stands in it.

use std::time::Instant;

use lb_common::bfd::{Packet, State};

use super::{Neighbour, Pace, Role, SLOW, Session, span};

impl Session {
    /// The packet that is due, if one is. Call until `None`.
    pub fn poll_transmit(&mut self, now: Instant) -> Option<Vec<u8>> {
        let contents = self.contents();
        if self.final_due {
            self.final_due = false;
            return Some(self.emit(Packet { finish: true, ..contents }));
        }
        if self.config.role == Role::Passive && self.neighbour.is_none() {
            return None; // §6.8.7
        }
        let is_news = self.sent != Some(contents);
        let is_due = self.is_periodic() && self.next.0 <= now;
        if !is_news && !is_due {
            return None;
        }
        let interval = self.transmit_interval().unwrap_or(span(SLOW));
        self.sent_at = now;
        self.next = (now + self.jitter.apply(interval, self.config.timers.detect_mult.get()), interval);
        Some(self.emit(Packet { poll: self.negotiation.is_polling(), ..contents }))
    }

    /// §6.8.7: whether periodic packets are sent at all.
    pub(super) fn is_periodic(&self) -> bool {
        if self.transmit_interval().is_none() {
            return false;
        }
        match &self.neighbour {
            None => self.config.role == Role::Active,
            Some(_) if self.negotiation.is_polling() => true,
            Some(Neighbour { packet, .. }) => !(packet.demand && self.state == State::Up && packet.state == State::Up),
        }
    }

    /// §6.8.7: every field but P and F.
    fn contents(&self) -> Packet {
        let Pace { desired_min_tx, required_min_rx } = self.negotiation.advertised();
        Packet {
            diagnostic: self.diagnostic,
            state: self.state,
            poll: false,
            finish: false,
            control_plane_independent: self.config.control_plane_independent,
            demand: false,
            detect_mult: self.config.timers.detect_mult.get(),
            my_discriminator: self.config.local.get(),
            your_discriminator: self.neighbour.map_or(0, |neighbour| neighbour.packet.my_discriminator),
            desired_min_tx,
            required_min_rx,
            required_min_echo_rx: self.config.timers.required_min_echo_rx,
        }
    }

    fn emit(&mut self, packet: Packet) -> Vec<u8> {
        let contents = Packet { poll: false, finish: false, ..packet };
        let is_news = self.sent.replace(contents) != Some(contents);
        match &mut self.authenticator {
            None => packet.to_bytes().to_vec(),
            Some(authenticator) => authenticator.sign(&packet, is_news),
        }
    }
}
