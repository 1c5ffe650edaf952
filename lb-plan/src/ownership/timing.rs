//! Every interval of the ownership rules, once. Flags and tests shorten them; their relations must stay.

use std::time::Duration;

/// The intervals, by rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// Rule 1: a link that has heard nobody counts after this (spanning tree).
    pub quiet_link: Duration,
    /// Rule 2: between two questions to a silent node.
    pub ask_every: Duration,
    /// Rule 2: how many questions, each of them for every asked address.
    pub ask_count: u8,
    /// Rule 2: how many of its addresses a silent node is asked for.
    pub ask_addresses: usize,
    /// Rule 2: a silent node that answered is asked again after this.
    pub ask_again: Duration,
    /// Rule 3 and 9: between two questions for an address before it is taken.
    pub look_every: Duration,
    /// Rule 3 and 9: how many such questions.
    pub look_count: u8,
    /// Rule 5: two claims within this are simultaneous, and the lower MAC keeps.
    pub tie: Duration,
    /// Rule 5: for how long a claim may wait to be announced and stand against the holder it was taken from.
    pub turn: Duration,
    /// Rule 5: the first hold-down of who gave way to a node below; doubles.
    pub hold_down: Duration,
    /// Rule 5: the longest hold-down.
    pub hold_down_most: Duration,
    /// Rule 5: a hold-down halves with each of these that passes without another loss.
    pub damping: Duration,
    /// Rule 6: who took asks for its own address after this.
    pub verify: Duration,
    /// Rule 6: announcements of a holder that is not first, or has somebody silent above.
    pub refresh_fast: Duration,
    /// Rule 6: announcements of any other holder.
    pub refresh_slow: Duration,
    /// Rule 6: a loop that is later than this asks for all that it holds.
    pub late: Duration,
    /// Rule 6: who has heard no station for this announces nothing again: it could not hear an objection.
    pub deaf: Duration,
    /// Rule 4: who has heard no station for this, when several nodes went silent, takes without announcing.
    pub cut_off: Duration,
    /// Rule 7: standby k audits each address every k of these.
    pub audit_every: Duration,
    /// Rule 7: between two questions of an audit that was not answered.
    pub audit_probe: Duration,
    /// Rule 7: standby k takes after k × this many unanswered questions.
    pub audit_count: u32,
    /// Rule 9: between two announcements against a stranger (RFC 5227 §2.4).
    pub stranger: Duration,
    /// Rule 10: rank × this is waited after the warm-up.
    pub cold_start: Duration,
    /// Rule 10: how long kube-proxy may be unhealthy before the node drains.
    pub proxy_patience: Duration,
    /// Between two questions, while all answers are heard.
    pub question: Duration,
    /// Between two questions after answers were missed, and between two audits.
    pub question_careful: Duration,
    /// How many questions may be asked at once.
    pub question_burst: u32,
    /// For how long questions are asked slowly after answers were missed.
    pub careful: Duration,
    /// The most moves of an address within [`Self::moves_within`] of which the last one is planned: one less than what
    /// fabrics call a duplicate. A take of what nobody answers has no such limit.
    pub moves_most: usize,
    /// The same for a failback, which could wait: there, lost again to a copy that was under way, and there once more.
    pub moves_failback: usize,
    /// The window of both (EVPN: RFC 7432 §15.1).
    pub moves_within: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            quiet_link: Duration::from_secs(35),
            ask_every: Duration::from_millis(10),
            ask_count: 5,
            ask_addresses: 16,
            ask_again: Duration::from_secs(1),
            look_every: Duration::from_millis(20),
            look_count: 3,
            tie: Duration::from_millis(250),
            turn: Duration::from_secs(2),
            hold_down: Duration::from_secs(5),
            hold_down_most: Duration::from_secs(600),
            damping: Duration::from_secs(60),
            verify: Duration::from_millis(300),
            refresh_fast: Duration::from_secs(5),
            refresh_slow: Duration::from_secs(60),
            late: Duration::from_secs(1),
            deaf: Duration::from_secs(3),
            cut_off: Duration::from_millis(150),
            audit_every: Duration::from_secs(5),
            audit_probe: Duration::from_millis(100),
            audit_count: 3,
            stranger: Duration::from_secs(10),
            cold_start: Duration::from_millis(200),
            proxy_patience: Duration::from_secs(5),
            question: Duration::from_micros(100),
            question_careful: Duration::from_millis(2),
            question_burst: 32,
            careful: Duration::from_secs(10),
            moves_most: 4,
            moves_failback: 3,
            moves_within: Duration::from_secs(180),
        }
    }
}

impl Timing {
    /// How long a holder that announces fast is remembered without hearing it.
    pub(super) fn remember(&self) -> Duration {
        self.refresh_fast * 3
    }

    /// `most`, shortened by up to a fifth by `index`: what is due for many addresses is not due at once.
    pub(super) fn spread(most: Duration, index: u32) -> Duration {
        most.saturating_sub(most / 80 * (index % 16))
    }
}
