//! The schedule of one address, and what many addresses do to it.

use super::*;

fn target(number: u32) -> Target {
    Target { ifindex: 1, address: IpAddr::from(number.to_be_bytes()) }
}

/// Runs the schedule to its end, waking exactly when it asks to: (when, what).
fn run(schedule: &mut Schedule, start: Duration) -> Vec<(Duration, Target)> {
    let mut sent = Vec::new();
    let mut now = start;
    while let Some(next) = schedule.next() {
        now = now.max(next);
        let due = schedule.poll(now);
        assert!(!due.is_empty() || schedule.next().is_none_or(|next| next > now), "woken for nothing at {now:?}");
        sent.extend(due.into_iter().map(|target| (now, target)));
    }
    sent
}

#[test]
fn one_address_is_announced_at_the_times_of_the_design() {
    let mut schedule = Schedule::default();
    let start = Duration::from_secs(100);
    schedule.start(target(1));

    let at: Vec<u128> = run(&mut schedule, start).iter().map(|(at, _)| (*at - start).as_millis()).collect();

    assert_eq!(at, [0, 20, 60, 200, 1_300, 2_400, 3_500, 4_600]);
    assert!(schedule.is_empty());
}

#[test]
fn first_copies_of_all_go_before_any_repeat_within_the_rates() {
    let mut schedule = Schedule::default();
    let start = Duration::from_secs(100);
    (0..5_000).for_each(|number| schedule.start(target(number)));

    let sent = run(&mut schedule, start);

    let (firsts, repeats) = sent.split_at(5_000);
    let distinct: BTreeSet<Target> = firsts.iter().map(|(_, target)| *target).collect();
    assert_eq!(distinct.len(), 5_000, "a repeat went before a first copy");
    let lasted = firsts[4_999].0 - start;
    assert!(lasted >= Duration::from_millis(465) && lasted <= Duration::from_millis(501), "{lasted:?}");
    for window in repeats.windows(1_012) {
        assert!(window[1_011].0 - window[0].0 >= Duration::from_secs(1), "more than the rate and one burst");
    }
    let repeated: BTreeSet<Target> = repeats.iter().map(|(_, target)| *target).collect();
    assert_eq!(repeated.len(), 5_000, "each address is repeated at least once");
}

#[test]
fn thousand_addresses_are_announced_within_100_ms_by_a_sender_that_is_late_by_20_ms_each_time() {
    let mut schedule = Schedule::default();
    let start = Duration::from_secs(100);
    (0..1_000).for_each(|number| schedule.start(target(number)));

    let rounds: Vec<usize> =
        (0..5).map(|round| schedule.poll(start + Duration::from_millis(round * 20)).len()).collect();

    assert_eq!(rounds, [300, 200, 200, 200, 110]);
}

#[test]
fn an_address_that_is_hushed_keeps_its_first_copy_alone() {
    let mut schedule = Schedule::default();
    let start = Duration::from_secs(1);
    schedule.start(target(1));
    assert_eq!(schedule.poll(start), [target(1)]);
    schedule.start(target(2));

    [1, 2].into_iter().for_each(|number| schedule.hush(target(number)));

    let sent: Vec<Target> = run(&mut schedule, start).into_iter().map(|(_, target)| target).collect();
    assert_eq!(sent, [target(2)]);
    assert!(schedule.is_empty());
}

#[test]
fn an_address_that_is_let_go_is_not_announced_any_more() {
    let mut schedule = Schedule::default();
    let start = Duration::from_secs(1);
    schedule.start(target(1));
    schedule.start(target(2));
    assert_eq!(schedule.poll(start), [target(1), target(2)]);

    schedule.stop(target(1));

    assert!(run(&mut schedule, start).iter().all(|(_, sent)| *sent == target(2)));
}

#[test]
fn a_target_that_starts_again_begins_at_its_first_copy() {
    let mut schedule = Schedule::default();
    let start = Duration::from_secs(1);
    schedule.start(target(1));
    assert_eq!(schedule.poll(start), [target(1)]);
    let again = start + Duration::from_millis(30);

    schedule.start(target(1));

    let at: Vec<u128> = run(&mut schedule, again).iter().map(|(at, _)| (*at - again).as_millis()).collect();
    assert_eq!(at, [0, 20, 60, 200, 1_300, 2_400, 3_500, 4_600]);
}

#[test]
fn retain_ends_what_waits_and_what_repeats() {
    let mut schedule = Schedule::default();
    schedule.start(target(1));
    schedule.poll(Duration::from_secs(1));
    schedule.start(target(2));

    schedule.retain(|_| false);

    assert_eq!((schedule.next(), schedule.len()), (None, 0));
}

#[test]
fn refresh_is_one_copy_at_the_rate_of_repeats_and_none_beside_a_series() {
    let mut schedule = Schedule::default();
    let start = Duration::from_secs(100);
    (0..2_000).for_each(|number| schedule.once(target(number)));
    schedule.once(target(0));
    schedule.start(target(1));

    let sent = run(&mut schedule, start);

    assert_eq!(sent.iter().filter(|(_, sent)| *sent == target(0)).count(), 1);
    assert_eq!(sent.iter().filter(|(_, sent)| *sent == target(1)).count(), 8, "its series, and nothing else");
    let within = sent.iter().filter(|(at, _)| *at < start + Duration::from_secs(1)).count();
    assert!((900..=1_020).contains(&within), "{within} in the first second");
    assert!(schedule.is_empty());
}

#[test]
fn refresh_of_what_is_not_held_any_more_is_not_sent() {
    let mut schedule = Schedule::default();
    schedule.once(target(1));
    schedule.once(target(2));
    schedule.stop(target(1));

    assert_eq!(schedule.poll(Duration::from_secs(100)), [target(2)]);
}
