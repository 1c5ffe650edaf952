//! What changes on the host for what is recorded, wanted and observed.

use lb_api::node::AttachMode;
use lb_plan::agent::{Kind, Link};

use super::*;

fn group(last: u16) -> Ipv6Addr {
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00, last)
}

fn observed(joined: &[u16], all_multicast: bool) -> BTreeMap<u32, Observed> {
    let link = Link {
        index: 2,
        name: "eth0".to_owned(),
        mac: Some([2, 0, 0, 0, 0, 1]),
        speaks_arp: true,
        up: true,
        carrier: true,
        kind: Kind::Plain,
        master: None,
        addresses: Vec::new(),
    };
    let joined = joined.iter().map(|last| group(*last)).collect();
    BTreeMap::from([(2, Observed { link, xdp: AttachMode::None, all_multicast, joined })])
}

fn wanted(joined: &[u16], all_multicast: bool) -> Wanted {
    let groups = Groups { joined: joined.iter().map(|last| group(*last)).collect(), all_multicast };
    Wanted { arp_announce: BTreeSet::new(), groups: BTreeMap::from([(2, groups)]) }
}

fn recorded(groups: &[u16], all_multicast: bool) -> Record {
    Record {
        groups: BTreeMap::from([(2, groups.iter().map(|last| group(*last)).collect())]),
        all_multicast: if all_multicast { BTreeSet::from([2]) } else { BTreeSet::new() },
        ..Record::default()
    }
}

#[test]
fn missing_groups_are_joined_and_joined_ones_are_left_alone() {
    let steps = steps(&Record::default(), &wanted(&[1, 2], false), &observed(&[1], false));

    assert_eq!(steps, [Step::Join(2, group(2))]);
}

#[test]
fn only_our_own_groups_are_left() {
    let steps = steps(&recorded(&[1], false), &wanted(&[], false), &observed(&[1, 9], false));

    assert_eq!(steps, [Step::Leave(2, group(1))]);
}

#[test]
fn allmulticast_that_was_set_before_us_is_not_ours_to_clear() {
    assert_eq!(steps(&Record::default(), &wanted(&[], true), &observed(&[], true)), []);
    assert_eq!(steps(&Record::default(), &wanted(&[], false), &observed(&[], true)), []);
    assert_eq!(steps(&recorded(&[], true), &wanted(&[], false), &observed(&[], true)), [Step::AllMulticast(2, false)]);
}

#[test]
fn interface_that_fails_comes_last_and_keeps_its_order() {
    let mut steps =
        vec![Step::Join(2, group(1)), Step::Join(2, group(2)), Step::Join(3, group(1)), Step::Leave(4, group(1))];

    failing_last(&mut steps, &BTreeSet::from([2]));

    let expected =
        [Step::Join(3, group(1)), Step::Leave(4, group(1)), Step::Join(2, group(1)), Step::Join(2, group(2))];
    assert_eq!(steps, expected);
}

#[test]
fn interface_that_is_gone_is_not_touched() {
    assert_eq!(steps(&recorded(&[1], false), &wanted(&[2], true), &BTreeMap::new()), []);
}

#[test]
fn a_change_is_recorded_before_it_is_made_and_forgotten_after_it_is_taken_back() {
    let mut record = Record::default();
    for step in [Step::Join(2, group(1)), Step::AllMulticast(2, true)] {
        note(&mut record, &step);
        forget(&mut record, &step);
    }
    assert_eq!(record, recorded(&[1], true));

    for step in [Step::Leave(2, group(1)), Step::AllMulticast(2, false)] {
        note(&mut record, &step);
        forget(&mut record, &step);
    }
    assert_eq!(record, recorded(&[], false));
}
