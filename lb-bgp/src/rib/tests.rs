//! What a peer that reads everything ends up knowing, and how many octets it takes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;
use crate::{
    output::WINDOW,
    route::{Community, LargeCommunity, NextHop},
    types::{Asn, Families},
};

mod reader;

use self::reader::Reader;

fn export() -> Export {
    Export {
        local_as: Asn::new(64512).unwrap(),
        internal: false,
        families: Families::BOTH,
        next_hops: PerFamily {
            v4: Some(NextHop::V4(Ipv4Addr::new(192, 0, 2, 1))),
            v6: Some(NextHop::V6 { global: Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1), link_local: None }),
        },
        four_octet_as: true,
        extended_message: false,
        enhanced_refresh: true,
        draining: false,
    }
}

fn host(bits: u32) -> Prefix {
    Prefix::host(IpAddr::V4(Ipv4Addr::from_bits(bits)))
}

fn host6(bits: u128) -> Prefix {
    Prefix::host(IpAddr::V6(Ipv6Addr::from_bits(bits)))
}

fn plain() -> Arc<PathAttributes> {
    Arc::default()
}

fn tagged(tag: u32) -> Arc<PathAttributes> {
    Arc::new(PathAttributes { communities: [Community::from_bits(tag)].into(), ..PathAttributes::default() })
}

/// A RIB, its output, and a peer that reads it.
#[derive(Debug, Default)]
struct Run {
    rib: AdjRibOut,
    output: Output,
    peer: Reader,
    updates: u64,
}

impl Run {
    /// Tells everything. Returns the octets.
    fn settle(&mut self, export: &Export, wanted: &Routes) -> Vec<u8> {
        self.rib.unsettle();
        let mut octets = Vec::new();
        while !self.rib.is_settled() || !self.output.is_empty() {
            self.updates += self.rib.fill(export, wanted, &mut self.output);
            octets.extend_from_slice(self.output.pending());
            self.output.advance(usize::MAX);
        }
        self.peer.read(&octets);
        octets
    }
}

#[test]
fn routes_of_equal_attributes_share_a_message() {
    let wanted: Routes = (0..100).map(|host| (self::host(host), plain())).collect();
    let mut run = Run::default();
    run.settle(&export(), &wanted);
    assert_eq!(run.updates, 3); // and two marks
    assert_eq!(run.peer.prefixes(), wanted.keys().copied().collect());
    // Equal attributes need not be one object.
    let wanted: Routes = (200..300).map(|host| (self::host(host), plain())).collect();
    run.settle(&export(), &wanted);
    assert_eq!(run.updates, 5); // one withdraws, one announces
}

#[test]
fn what_did_not_change_sends_nothing() {
    let wanted: Routes = (0..1000).map(|host| (self::host(host), tagged(host % 7))).collect();
    let mut run = Run::default();
    run.settle(&export(), &wanted);
    let again: Routes = (0..1000).map(|host| (self::host(host), tagged(host % 7))).collect();
    assert_eq!(run.settle(&export(), &again), []);
    // LOCAL_PREF is not told to an external peer, so a change of it is none.
    let preferred = |host| Arc::new(PathAttributes { local_pref: Some(300), ..(*tagged(host % 7)).clone() });
    let again: Routes = (0..1000).map(|host| (self::host(host), preferred(host))).collect();
    assert_eq!(run.settle(&export(), &again), []);
    // To an internal one it is, and unset is 100.
    let internal = Export { internal: true, ..export() };
    let mut run = Run::default();
    run.settle(&internal, &wanted);
    let hundred = |host| Arc::new(PathAttributes { local_pref: Some(100), ..(*tagged(host % 7)).clone() });
    assert_eq!(run.settle(&internal, &(0..1000).map(|host| (self::host(host), hundred(host))).collect()), []);
    run.settle(&internal, &again);
    assert_eq!(run.updates, 7 + 2 + 7);
}

#[test]
fn messages_are_filled_to_their_limit() {
    let wanted: Routes = (0..10_000).map(|host| (self::host(host), plain())).collect();
    let mut run = Run::default();
    run.settle(&export(), &wanted);
    assert_eq!(run.peer.prefixes().len(), 10_000);
    assert!(run.peer.longest <= 4096 && run.peer.longest > 4085, "{}", run.peer.longest);
    assert!(run.updates <= 10_000 * 5 / 4040 + 3, "{}", run.updates);
    // RFC 8654, if the peer knows it.
    let (mut run, extended) = (Run::default(), Export { extended_message: true, ..export() });
    run.settle(&extended, &wanted);
    assert!(run.peer.longest > 50_000 && run.updates == 3);
    // IPv6, and the withdrawal of everything.
    let wanted: Routes = (0..1000).map(|host| (host6(host), plain())).collect();
    let mut run = Run::default();
    run.settle(&export(), &wanted);
    run.settle(&export(), &Routes::new());
    assert!(run.peer.prefixes().is_empty());
    assert!(run.peer.longest <= 4096 && run.peer.longest > 4075, "{}", run.peer.longest);
}

#[test]
fn every_prefix_is_told_however_long_it_is() {
    // Messages that end exactly at the limit, or an octet before it.
    for length in (8..=128_u8).step_by(8) {
        let prefix = |bits: u128| Prefix::new(IpAddr::V6(Ipv6Addr::from_bits(bits.reverse_bits())), length).unwrap();
        let wanted: Routes = (0..5000).map(|bits| (prefix(bits), plain())).collect();
        let mut run = Run::default();
        run.settle(&export(), &wanted);
        assert_eq!(run.peer.prefixes().len(), wanted.len(), "/{length}");
        assert!(run.peer.longest <= 4096);
        run.settle(&export(), &Routes::new());
        assert_eq!(run.peer.prefixes().len(), 0, "/{length}");
    }
}

#[test]
fn a_change_of_any_attribute_is_told() {
    let with = |change: fn(&mut PathAttributes)| {
        let mut attributes = PathAttributes::default();
        change(&mut attributes);
        let wanted: Routes = [(host(1), Arc::new(attributes))].into();
        let (mut run, internal) = (Run::default(), Export { internal: true, ..export() });
        run.settle(&internal, &[(host(1), plain())].into());
        let there = run.settle(&internal, &wanted);
        let back = run.settle(&internal, &[(host(1), plain())].into());
        (reader::kinds(&there), reader::kinds(&back))
    };
    let told = (vec![(2, 0)], vec![(2, 0)]);
    assert_eq!(with(|attributes| attributes.med = Some(1)), told);
    assert_eq!(with(|attributes| attributes.local_pref = Some(1)), told);
    assert_eq!(with(|attributes| attributes.communities = [Community::NO_EXPORT].into()), told);
    let large = |attributes: &mut PathAttributes| {
        attributes.large_communities = [LargeCommunity { global: 1, local1: 2, local2: 3 }].into();
    };
    assert_eq!(with(large), told);
}

#[test]
fn a_peer_that_does_not_read_costs_a_window() {
    let mut wanted: Routes = (0..20_000).map(|host| (self::host(host), tagged(host))).collect();
    let mut run = Run::default();
    for round in 0..100 {
        wanted.insert(host(19_999), tagged(1_000_000 + round));
        run.rib.unsettle();
        run.updates += run.rib.fill(&export(), &wanted, &mut run.output);
        assert!(run.output.pending().len() < WINDOW + 4096);
    }
    // The last route changed a hundred times, and is told once.
    let octets = run.settle(&export(), &wanted);
    assert_eq!(run.peer.prefixes().len(), 20_000);
    assert_eq!(run.updates, 20_000 + 2);
    assert!(octets.len() < 20_000 * 70);
}

#[test]
fn a_refresh_tells_a_family_again_between_its_marks() {
    let wanted: Routes = (0..10).map(|bits| (host(bits), plain())).chain([(host6(1), plain())]).collect();
    let mut run = Run::default();
    run.settle(&export(), &wanted);
    run.rib.refresh(Family::V4);
    run.rib.refresh(Family::V4); // twice before an answer: one answer
    let octets = run.settle(&export(), &wanted);
    assert_eq!(reader::kinds(&octets), [(5, 1), (2, 0), (5, 2)]);
    // Without RFC 7313 there are no marks.
    run.rib.refresh(Family::V6);
    let octets = run.settle(&Export { enhanced_refresh: false, ..export() }, &wanted);
    assert_eq!(reader::kinds(&octets), [(2, 0)]);
}

#[test]
fn a_refresh_waits_for_the_end_of_the_initial_routes() {
    // RFC 7313 §4.
    let wanted: Routes = (0..10).map(|bits| (host(bits), plain())).collect();
    let mut run = Run::default();
    run.rib.refresh(Family::V4);
    let octets = run.settle(&export(), &wanted);
    assert_eq!(reader::kinds(&octets), [(2, 0), (2, 0), (2, 0), (5, 1), (2, 0), (5, 2)]);
}

#[test]
fn a_prefix_that_goes_during_a_refresh_is_withdrawn() {
    let wanted: Routes = (0..10).map(|bits| (host(bits), plain())).collect();
    let mut run = Run::default();
    run.settle(&export(), &wanted);
    run.rib.refresh(Family::V4);
    run.settle(&export(), &[(host(3), plain())].into());
    assert_eq!(run.peer.prefixes(), [host(3)].into());
}

#[test]
fn draining_tells_every_route_as_the_last_choice() {
    let wanted: Routes = (0..10).map(|bits| (host(bits), tagged(bits % 2))).collect();
    for internal in [false, true] {
        let (mut run, mut export) = (Run::default(), Export { internal, ..export() });
        run.settle(&export, &wanted);
        export.draining = true;
        run.settle(&export, &wanted);
        let graceful_shutdown = [0xFF, 0xFF, 0, 0]; // RFC 8326 §3
        assert_eq!(run.peer.with(&graceful_shutdown), wanted.keys().copied().collect());
        if internal {
            let local_pref_0 = [0x40, 5, 4, 0, 0, 0, 0];
            assert_eq!(run.peer.with(&local_pref_0), wanted.keys().copied().collect());
        }
        assert_eq!(run.settle(&export, &wanted), []);
        export.draining = false;
        run.settle(&export, &wanted);
        assert!(run.peer.with(&graceful_shutdown).is_empty());
    }
}

#[test]
fn a_user_that_sets_the_shutdown_community_is_told_once() {
    let shutting =
        Arc::new(PathAttributes { communities: [Community::GRACEFUL_SHUTDOWN].into(), ..plain().as_ref().clone() });
    let wanted: Routes = [(host(1), shutting)].into();
    let mut run = Run::default();
    run.settle(&export(), &wanted);
    assert_eq!(run.settle(&Export { draining: true, ..export() }, &wanted), []);
}

#[test]
fn what_cannot_be_told_is_counted_and_withdrawn() {
    let long = Arc::new(PathAttributes {
        large_communities: (0..400).map(|local1| LargeCommunity { global: 1, local1, local2: 0 }).collect(),
        ..PathAttributes::default()
    });
    let mut wanted: Routes = [(host(1), plain()), (host(2), plain()), (host6(1), plain())].into();
    let export = Export { next_hops: PerFamily { v6: None, ..export().next_hops }, ..export() };
    let mut run = Run::default();
    run.settle(&export, &wanted);
    assert_eq!(run.rib.untellable(), &[(Untellable::NextHop, 1)].into());
    // The peer must not keep what is no longer true.
    wanted.insert(host(1), Arc::clone(&long));
    run.settle(&export, &wanted);
    assert_eq!(run.rib.untellable(), &[(Untellable::NextHop, 1), (Untellable::TooLong, 1)].into());
    assert_eq!(run.peer.prefixes(), [host(2)].into());
    assert_eq!(run.rib.told(), 1);
    wanted.insert(host(1), plain());
    run.settle(&export, &wanted);
    assert_eq!(run.peer.prefixes(), [host(1), host(2)].into());
}

/// A value that stands nowhere else in a message.
fn tag(number: u8) -> u32 {
    0xAABB_CC00 | u32::from(number)
}

#[derive(Debug, Clone)]
enum Change {
    Want(Vec<(u8, u8, bool)>),
    Refresh(bool),
    Drain(bool),
    /// The peer reads so many octets.
    Read(usize),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        4 => prop::collection::vec((0_u8..40, 0_u8..4, any::<bool>()), 0..60).prop_map(Change::Want),
        1 => any::<bool>().prop_map(Change::Refresh),
        1 => any::<bool>().prop_map(Change::Drain),
        4 => (0_usize..300).prop_map(Change::Read),
    ]
}

proptest! {
    /// Whatever changes while however little is read: in the end the peer knows what is wanted, and no more.
    #[test]
    fn the_peer_ends_up_with_the_wanted_routes(changes in prop::collection::vec(change(), 1..40), enhanced: bool) {
        let mut export = Export { enhanced_refresh: enhanced, ..export() };
        let (mut run, mut wanted, mut stream) = (Run::default(), Routes::new(), Vec::new());
        for change in changes {
            match change {
                Change::Want(list) => {
                    wanted = list.iter().map(|(prefix, tag, v6)| match v6 {
                        false => (host(u32::from(*prefix)), tagged(self::tag(*tag))),
                        true => (host6(u128::from(*prefix)), tagged(self::tag(*tag))),
                    }).collect();
                    run.rib.unsettle();
                }
                Change::Refresh(v6) => run.rib.refresh(if v6 { Family::V6 } else { Family::V4 }),
                Change::Drain(draining) => {
                    export.draining = draining;
                    run.rib.unsettle();
                }
                Change::Read(count) => {
                    run.rib.fill(&export, &wanted, &mut run.output);
                    let count = count.min(run.output.pending().len());
                    stream.extend_from_slice(&run.output.pending()[..count]);
                    run.output.advance(count);
                }
            }
        }
        // What is half read is read to its end; then the rest is told.
        stream.extend_from_slice(run.output.pending());
        run.output.advance(usize::MAX);
        run.peer.read(&stream);
        run.settle(&export, &wanted);
        prop_assert_eq!(run.peer.prefixes(), wanted.keys().copied().collect());
        for tag in (0..4).map(tag) {
            let expected = wanted.iter().filter(|(_, attributes)| **attributes == tagged(tag)).map(|(prefix, _)| *prefix);
            prop_assert_eq!(run.peer.with(&tag.to_be_bytes()), expected.collect());
        }
        let drained = run.peer.with(&[0xFF, 0xFF, 0, 0]).len();
        prop_assert_eq!(drained, if export.draining { wanted.len() } else { 0 });
        prop_assert_eq!(run.rib.told(), wanted.len() as u64);
        prop_assert_eq!(run.settle(&export, &wanted), vec![]);
    }
}
