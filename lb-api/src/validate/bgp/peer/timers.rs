//! The timers of a session. BGP counts whole seconds; fractions are cut off, as in MetalLB.

use std::time::Duration;

use super::{Findings, text};
use crate::{metallb::BGPPeerSpec, validate::parse_duration};

/// What is unset is the speaker's choice.
#[derive(Debug, Default)]
pub(super) struct Timers {
    pub(super) hold_time: Option<Duration>,
    pub(super) keepalive: Option<Duration>,
    pub(super) connect_retry: Option<Duration>,
}

const HOLD: &str = "spec.holdTime";
const KEEPALIVE: &str = "spec.keepaliveTime";
const CONNECT: &str = "spec.connectTime";

pub(super) fn read(found: &mut Findings, spec: &BGPPeerSpec) -> Timers {
    let hold = duration(found, HOLD, spec.hold_time.as_ref());
    let keepalive = duration(found, KEEPALIVE, spec.keepalive_time.as_ref());
    let connect_retry = duration(found, CONNECT, spec.connect_time.as_ref());
    if let Some(connect) = connect_retry
        && (connect.subsec_nanos() != 0 || !(1..=65_535).contains(&connect.as_secs()))
    {
        found.wrong(CONNECT, "connect time should be between 1 seconds to 65535, a whole number of seconds");
    }
    // A keepalive time alone says the hold time, as in MetalLB.
    let field = if hold.is_some() { HOLD } else { KEEPALIVE };
    let hold = hold.or_else(|| keepalive.map(|keepalive| keepalive.saturating_mul(3)));
    if let Some(hold) = hold {
        check_hold(found, field, hold);
        if keepalive.is_some_and(|keepalive| keepalive > hold) {
            found.wrong(KEEPALIVE, "invalid keepaliveTime: must be lower than holdTime; a third of it is usual");
        }
    }
    let hold_time = hold.map(whole);
    // FRR: never more than a third of the hold time, else the peer gives up in between. 0 leaves it to the speaker.
    let third = hold_time.map_or(0, |hold| hold.as_secs() / 3);
    let keepalive = keepalive.map(|keepalive| keepalive.as_secs().min(third)).filter(|&seconds| seconds > 0);
    Timers { hold_time, keepalive: keepalive.map(Duration::from_secs), connect_retry }
}

fn duration(found: &mut Findings, field: &str, written: Option<&String>) -> Option<Duration> {
    let written = text(written)?;
    let duration = parse_duration(&written);
    if duration.is_none() {
        found.wrong(field, format!("`{written}` is not a duration: write it as `90s` or `1m30s`"));
    }
    duration
}

/// RFC 4271 §4.2: 0, or 3 s to 65535 s.
fn check_hold(found: &mut Findings, field: &str, hold: Duration) {
    if hold.is_zero() || (3..=65_535).contains(&hold.as_secs()) {
        return;
    }
    let message = match field {
        HOLD => format!("invalid hold time {hold:?}: must be 0 or >=3s, and at most 65535s"),
        _ => format!("makes a hold time of {hold:?}, three times as long: must be 0 or >=3s, and at most 65535s"),
    };
    found.wrong(field, message);
}

const fn whole(duration: Duration) -> Duration {
    Duration::from_secs(duration.as_secs())
}
