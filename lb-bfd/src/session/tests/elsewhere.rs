//! What somebody who stands in for the session has heard, and what the session promises of that (bit C).

use super::*;

#[test]
fn what_was_heard_elsewhere_counts_as_heard_and_no_longer() {
    let mut lab = Lab::settled();
    let heard = lab.now + ms(2_000);
    lab.now += ms(2_300);

    lab.session.heard_elsewhere(heard);
    lab.session.handle_timeout(lab.now);

    assert_eq!(lab.session.state(), State::Up);
    assert_eq!(lab.session.expiry(), Some(heard + ms(900)));
    lab.session.heard_elsewhere(heard - ms(1_000));
    assert_eq!(lab.session.expiry(), Some(heard + ms(900)), "what is older changes nothing");
    lab.run(ms(600) - Duration::from_nanos(1));
    assert_eq!(lab.session.state(), State::Up);
    lab.run(ms(1));
    assert_eq!((lab.session.state(), lab.session.diagnostic()), (State::Down, Diagnostic::DETECTION_TIME_EXPIRED));
}

#[test]
fn a_session_that_is_not_up_was_heard_by_nobody_else() {
    let mut lab = Lab::in_state(State::Init);
    lab.session.heard_elsewhere(lab.now + ms(10_000));
    lab.run(ms(10_000));
    assert_eq!(lab.session.state(), State::Down);
}

/// §6.8.7: a packet goes out at once when its contents have changed; no poll follows, C being no interval (§6.8.3).
#[test]
fn bit_c_is_told_at_once_and_without_a_poll() {
    let mut lab = Lab::settled();
    let c = |packets: Vec<Packet>| -> Vec<(bool, bool)> {
        packets.iter().map(|packet| (packet.control_plane_independent, packet.poll)).collect()
    };

    lab.session.set_control_plane_independent(true);
    assert_eq!(c(lab.sent()), [(true, false)]);
    assert_eq!(lab.sent(), []);
    lab.session.set_control_plane_independent(false);
    assert_eq!(c(lab.sent()), [(false, false)]);
}
