//! What a claim does to the answers that follow it, and what the agent is told.

use lb_common::{
    abi::{Entry, Key4, Role, SLOTS},
    event::{BUDGET, Budget, Event, Kind, WINDOW_LOG2, flag},
    host::{Maps, Packet, golden},
    outcome::{Done, Outcome, Pass},
    respond::respond,
};

fn frame(name: &str) -> Vec<u8> {
    golden::table().into_iter().find(|golden| golden.name == name).expect("a golden frame").input
}

fn outcome(name: &str, maps: &Maps) -> Outcome {
    respond(&mut Packet::new(frame(name)), maps)
}

fn held_entry(maps: &Maps) -> Entry {
    maps.vips4[&(1, golden::HELD4)]
}

fn events(maps: &Maps) -> Vec<Event> {
    maps.events.take()
}

#[test]
fn a_claim_ends_the_answers_of_its_address_alone() {
    let maps = golden::maps();
    assert_eq!(outcome("arp-broadcast", &maps), Ok(Done::ArpAnswered));

    assert_eq!(outcome("arp-claim-in-request-form", &maps), Err(Pass::ArpClaimYielded));

    assert_eq!(outcome("arp-broadcast", &maps), Ok(Done::ArpYielded));
    assert_eq!(outcome("arp-unicast", &maps), Ok(Done::ArpYielded));
    assert_eq!(outcome("ns-multicast", &maps), Ok(Done::NsAnswered));
    assert_eq!(outcome("arp-one-tag", &maps), Ok(Done::ArpAnswered), "on another segment it is another address");
}

#[test]
fn an_advertisement_ends_the_answers_too() {
    let maps = golden::maps();

    assert_eq!(outcome("na-claim", &maps), Err(Pass::NaClaimYielded));

    for name in ["ns-multicast", "ns-unicast", "ns-dad"] {
        assert_eq!(outcome(name, &maps), Ok(Done::NsYielded), "{name}");
    }
}

#[test]
fn it_is_yielded_once_and_told_each_time() {
    let maps = golden::maps();

    let outcomes = [(); 3].map(|()| outcome("arp-claim-in-reply-form", &maps));

    assert_eq!(outcomes, [Err(Pass::ArpClaimYielded), Err(Pass::ArpClaim), Err(Pass::ArpClaim)]);
    let flags: Vec<u8> = events(&maps).iter().map(|event| event.flags & flag::YIELDED).collect();
    assert_eq!(flags, [flag::YIELDED, 0, 0]);
}

#[test]
fn only_a_higher_generation_answers_again() {
    let mut maps = golden::maps();
    let key = Key4 { segment: 1, address: golden::HELD4 };
    let before = held_entry(&maps);
    assert_eq!(outcome("arp-claim-in-request-form", &maps), Err(Pass::ArpClaimYielded));

    // An agent that was asleep writes once more what it wrote before.
    maps.insert4(key, before);
    assert_eq!(outcome("arp-broadcast", &maps), Ok(Done::ArpYielded));

    maps.insert4(key, Entry { generation: before.generation + 1, ..before });
    assert_eq!(outcome("arp-broadcast", &maps), Ok(Done::ArpAnswered));
}

/// A CPU that judged a claim by an entry of the past must not undo what another CPU noted since.
#[test]
fn a_late_note_of_an_old_generation_changes_nothing() {
    use lb_common::tables::Tables as _;
    let maps = golden::maps();
    let slot = held_entry(&maps).slot;

    assert!(maps.note_yield(slot, 7));
    assert!(!maps.note_yield(slot, 6));
    assert!(!maps.note_yield(slot, 7));

    assert_eq!(maps.yielded(slot), 7);
}

#[test]
fn an_entry_whose_yield_could_not_be_noted_does_not_answer() {
    let mut maps = golden::maps();
    let entry = Entry { slot: SLOTS, ..held_entry(&maps) };
    maps.insert4(Key4 { segment: 1, address: golden::HELD4 }, entry);

    assert_eq!(outcome("arp-broadcast", &maps), Ok(Done::ArpYielded));
}

#[test]
fn what_was_claimed_just_now_stands_until_its_moment_and_not_longer() {
    let mut maps = golden::maps();
    let entry = Entry { keep_until: 5_250_000_000, ..held_entry(&maps) };
    maps.insert4(Key4 { segment: 1, address: golden::HELD4 }, entry);

    maps.now = 5_249;
    assert_eq!(outcome("arp-claim-in-request-form", &maps), Err(Pass::ArpClaimKept));
    assert_eq!(outcome("arp-broadcast", &maps), Ok(Done::ArpAnswered));

    maps.now = 5_250;
    assert_eq!(outcome("arp-claim-in-request-form", &maps), Err(Pass::ArpClaimYielded));
}

/// The holder it was taken from announces what it holds until it has heard of it, whatever its hardware address.
#[test]
fn what_was_taken_from_a_living_holder_stands_against_any_claim_until_its_moment() {
    let mut maps = golden::maps();
    maps.segments.values_mut().for_each(|segment| segment.mac = [0xfe; 6]);
    let claim = "arp-claim-in-request-form";
    let entry = Entry { keep_until: 5_250_000_000, ..held_entry(&maps) };
    for (firm, expected) in [(0, Pass::ArpClaimYielded), (1, Pass::ArpClaimKept)] {
        let mut maps = maps.clone();
        maps.insert4(Key4 { segment: 1, address: golden::HELD4 }, Entry { firm, ..entry });
        maps.now = 5_249;
        assert_eq!(outcome(claim, &maps), Err(expected), "firm: {firm}");
    }

    maps.insert4(Key4 { segment: 1, address: golden::HELD4 }, Entry { firm: 1, ..entry });
    maps.now = 5_250;
    assert_eq!(outcome(claim, &maps), Err(Pass::ArpClaimYielded));
}

/// Of two nodes that claim in the same moment, whatever hears what first, one gives way and one stays.
#[test]
fn two_simultaneous_claims_leave_one_holder() {
    let lower = golden::NODE_MAC;
    let higher = golden::OTHER_NODE_MAC;
    let claim_of = |mac: [u8; 6]| {
        let mut frame = frame("arp-claim-just-after-ours-by-a-higher-node");
        frame[6..12].copy_from_slice(&mac);
        frame[22..28].copy_from_slice(&mac);
        frame
    };
    let node = |mac: [u8; 6]| {
        let mut maps = golden::maps();
        for segment in maps.segments.values_mut() {
            segment.mac = mac;
        }
        let key = |mac| lb_common::abi::StationKey { segment: 1, mac, pad: [0; 2] };
        maps.stations.extend([lower, higher].map(|mac| (key(mac), lb_common::abi::Station::Node)));
        maps
    };

    let at_lower = respond(&mut Packet::new(claim_of(higher)), &node(lower));
    let at_higher = respond(&mut Packet::new(claim_of(lower)), &node(higher));

    assert_eq!((at_lower, at_higher), (Err(Pass::ArpClaimKept), Err(Pass::ArpClaimYielded)));
}

/// Two interfaces of one node on one segment: the one that answers decides, by the hardware address that it claimed with.
#[test]
fn the_interface_that_suppresses_leaves_a_fresh_claim_to_the_one_that_answers() {
    let mut maps = golden::maps();
    for segment in maps.segments.values_mut() {
        segment.role = Role::Suppresses as u8;
    }

    assert_eq!(outcome("arp-claim-just-after-ours-by-a-lower-node", &maps), Err(Pass::ArpClaim));
    assert_eq!(outcome("arp-claim-in-request-form", &maps), Err(Pass::ArpClaimYielded), "an older claim gives way");
}

#[test]
fn an_event_says_which_entry_and_whose_frame() {
    let maps = golden::maps();
    let entry = held_entry(&maps);

    assert_eq!(outcome("arp-claim-in-request-form", &maps), Err(Pass::ArpClaimYielded));

    let mut address = [0; 16];
    address[..4].copy_from_slice(&golden::HELD4);
    let expected = Event {
        at: 5_000_000_000,
        address,
        segment: 1,
        ifindex: 0,
        slot: entry.slot,
        generation: entry.generation,
        epoch: golden::EPOCH,
        mac: golden::OTHER_NODE_MAC,
        kind: Kind::Claim as u8,
        family: 4,
        flags: flag::REQUEST | flag::ANNOUNCEMENT | flag::YIELDED,
        pad: [0; 5],
    };
    assert_eq!(events(&maps), [expected]);
}

#[test]
fn a_solicitation_that_the_driver_kept_from_its_answer_is_told() {
    let maps = golden::maps();
    let mut packet = Packet { tailroom: 7, ..Packet::new(frame("ns-dad")) };

    assert_eq!(respond(&mut packet, &maps), Err(Pass::Resize));

    let told: Vec<_> = events(&maps).iter().map(golden::essence).collect();
    assert_eq!(told, [(Kind::Unanswered, flag::REQUEST)]);
}

#[test]
fn a_budget_is_spent_and_comes_back_with_the_next_window() {
    let window = 1 << WINDOW_LOG2;
    let mut budget = Budget::default();

    let taken = (0..BUDGET + 5).filter(|_| budget.take(7 * window + 1)).count();

    assert_eq!((taken as u64, budget.lost), (BUDGET, 5));
    assert!(!budget.take(8 * window - 1));
    assert!(budget.take(8 * window));
    assert_eq!(budget.lost, 6);
}

#[test]
fn a_peer_that_hears_the_reflector_is_noted_and_one_that_does_not_is_not() {
    let heard = |name: &str| {
        let maps = golden::maps();
        let outcome = outcome(name, &maps);
        assert!(outcome.is_ok(), "{name}: {outcome:?}");
        maps.heard.take().into_iter().collect::<Vec<_>>()
    };

    assert_eq!(heard("sbfd4"), [] as [u32; 0]);
    assert_eq!(heard("sbfd4-from-an-initiator-that-is-up"), [1]);
}

/// RFC 5880 §6.8.6: an initiator that hears AdminDown is Down with diagnostic 3. It hears us.
#[test]
fn a_peer_that_hears_admin_down_is_noted_too() {
    const DIAGNOSTIC: usize = 14 + 20 + 8;
    for (diagnostic, noted) in [(3, vec![1]), (1, vec![]), (0, vec![])] {
        let mut probe = frame("sbfd4");
        probe[DIAGNOSTIC] = 1 << 5 | diagnostic;
        let maps = golden::maps();

        assert_eq!(respond(&mut Packet::new(probe), &maps), Ok(Done::SbfdUp));

        assert_eq!(maps.heard.take().into_iter().collect::<Vec<u32>>(), noted, "diagnostic {diagnostic}");
    }
}
