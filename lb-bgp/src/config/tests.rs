//! Ranges, and values that contradict each other.

use std::net::Ipv4Addr;

use super::*;

fn config() -> PeerConfig {
    let asn = |number| Asn::new(number).unwrap();
    PeerConfig::new(asn(64512), PeerAs::Exactly(asn(64513)), RouterId::new(Ipv4Addr::new(192, 0, 2, 1)).unwrap())
}

#[test]
fn hold_and_restart_times_have_their_ranges() {
    let seconds = Duration::from_secs;
    for (duration, ok) in [(0, true), (1, false), (2, false), (3, true), (65_535, true), (65_536, false)] {
        assert_eq!(HoldTime::new(seconds(duration)).is_ok(), ok, "{duration}"); // RFC 4271 §4.2
    }
    assert!(HoldTime::new(Duration::from_millis(3500)).is_err());
    for (duration, ok) in [(0, false), (1, true), (30, true), (31, false)] {
        assert_eq!(RestartTime::new(seconds(duration)).is_ok(), ok, "{duration}");
    }
}

#[test]
fn what_contradicts_itself_is_refused() {
    let with = |change: fn(&mut PeerConfig)| {
        let mut config = config();
        change(&mut config);
        config.check()
    };
    assert_eq!(with(|_| ()), Ok(()));
    assert_eq!(with(|config| config.families = Families::NONE), Err(ConfigError::NoFamily));
    assert_eq!(with(|config| config.local_as = Asn::TRANS), Err(ConfigError::AsTrans));
    assert!(matches!(with(|config| config.connect_retry = Duration::ZERO), Err(ConfigError::ConnectRetry(_))));
    let keepalive = |seconds| {
        let mut config = config();
        config.keepalive = Some(Duration::from_secs(seconds));
        config.check().is_ok()
    };
    assert_eq!([0, 1, 30, 89, 90, 100].map(keepalive), [false, true, true, true, false, false]);
}

#[test]
fn the_peers_as_is_one_or_a_kind() {
    let asn = |number| Asn::new(number).unwrap();
    let allowed = |peer_as: PeerAs| [64512, 64513, 64514].map(|peer| peer_as.allows(asn(64512), asn(peer)));
    assert_eq!(allowed(PeerAs::Exactly(asn(64513))), [false, true, false]);
    assert_eq!(allowed(PeerAs::Internal), [true, false, false]);
    assert_eq!(allowed(PeerAs::External), [false, true, true]);
}
