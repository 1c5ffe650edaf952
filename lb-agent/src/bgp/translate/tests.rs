//! From the plan to the speaker: what stays as it was, and what cannot be done.

use std::collections::BTreeSet;

use lb_plan::bgp::{Attributes, Peer};

use super::*;

fn peer(address: &str) -> Peer {
    Peer {
        settings: PeerSettings {
            remote: plan::Remote::Address(address.parse().unwrap()),
            port: 179,
            local_as: 64_512,
            peer_as: plan::PeerAs::Exactly(64_513),
            router_id: None,
            source: None,
            vrf: None,
            hold_time: None,
            keepalive: None,
            connect_retry: None,
            hops: plan::Hops::Direct,
            passive: false,
            graceful_restart: false,
            families: plan::Families { ipv4: true, ipv6: false },
            signing: Signing::Md5,
        },
        password: None,
        bfd: None,
    }
}

fn plan(peer: Peer, prefixes: &[&str]) -> PeerPlan {
    let attributes = Arc::new(Attributes {
        local_pref: Some(7),
        communities: BTreeSet::from([64_512 << 16 | 100]),
        large_communities: BTreeSet::from([[64_512, 1, 2]]),
    });
    let prefixes = prefixes.iter().map(|address| plan::Prefix::new(address.parse().unwrap(), 32));
    let routes = prefixes.map(|prefix| (prefix, Arc::clone(&attributes))).collect();
    PeerPlan { peer: Arc::new(peer), routes: Arc::new(routes) }
}

fn translated(translator: &mut Translator, peers: &[(&str, PeerPlan)]) -> (Wanted, Vec<Problem>) {
    let peers = peers.iter().map(|(name, peer)| ((*name).to_owned(), peer.clone())).collect();
    translator.translate(&Plan { peers, ..Plan::default() }, false)
}

#[test]
fn what_did_not_change_is_the_same_value_and_what_did_is_another_one() {
    let mut translator = Translator::new("node-1".into());
    let (one, two) = (plan(peer("127.0.0.1"), &["192.0.2.1"]), plan(peer("127.0.0.2"), &["192.0.2.1", "192.0.2.2"]));
    let (before, _) = translated(&mut translator, &[("one", one.clone()), ("two", two.clone())]);
    let other = plan(peer("127.0.0.2"), &["192.0.2.1"]);
    let (after, _) = translated(&mut translator, &[("one", one), ("two", other)]);
    let routes = |wanted: &Wanted, name: &str| wanted.peers[name].routes.clone().unwrap();
    assert!(Arc::ptr_eq(&routes(&before, "one"), &routes(&after, "one")));
    assert_eq!((routes(&before, "two").len(), routes(&after, "two").len()), (2, 1));
    assert!(Arc::ptr_eq(&before.peers["two"].session, &after.peers["two"].session));
}

#[test]
fn routes_with_equal_attributes_share_them() {
    let mut translator = Translator::new("node-1".into());
    let (wanted, _) = translated(&mut translator, &[("one", plan(peer("127.0.0.1"), &["192.0.2.1", "192.0.2.2"]))]);
    let routes = wanted.peers["one"].routes.clone().unwrap();
    let attributes: Vec<_> = routes.values().collect();
    assert!(Arc::ptr_eq(attributes[0], attributes[1]));
    assert_eq!(attributes[0].local_pref, Some(7));
    assert_eq!(attributes[0].communities.first().unwrap().to_string(), "64512:100");
    assert_eq!(attributes[0].large_communities.first().unwrap().to_string(), "64512:1:2");
}

#[test]
fn a_bfd_profile_changes_no_session() {
    let mut translator = Translator::new("node-1".into());
    let bfd = |transmit| plan::Bfd {
        profile: "fast".into(),
        settings: plan::BfdSettings {
            receive: Duration::from_millis(50),
            transmit: Duration::from_millis(transmit),
            multiplier: 3,
            echo_transmit: None,
            echo_receive: Duration::ZERO,
            passive: false,
            minimum_ttl: 254,
            authentication: None,
        },
        key: None,
    };
    let with = |transmit| plan(Peer { bfd: Some(bfd(transmit)), ..peer("127.0.0.1") }, &[]);
    let (before, _) = translated(&mut translator, &[("one", with(50))]);
    let (after, _) = translated(&mut translator, &[("one", with(60))]);
    assert_eq!(before.peers["one"].session, after.peers["one"].session);
    let transmit = |wanted: &Wanted| wanted.peers["one"].bfd.as_ref().unwrap().timers.desired_min_tx;
    assert_eq!((transmit(&before), transmit(&after)), (50_000, 60_000));
}

#[test]
fn one_bad_peer_is_named_and_the_others_stay() {
    let mut translator = Translator::new("node-1".into());
    let mut bad = peer("127.0.0.1");
    bad.password = Some(plan::Password::new("x".repeat(81)));
    let (wanted, problems) =
        translated(&mut translator, &[("bad", plan(bad, &[])), ("good", plan(peer("127.0.0.2"), &[]))]);
    assert_eq!(wanted.peers.keys().collect::<Vec<_>>(), ["good"]);
    assert_eq!((problems[0].name.as_str(), problems[0].message.contains("80 octets")), ("bad", true));
}

#[test]
fn a_router_id_is_the_sessions_address_or_made_of_the_name() {
    let translator = Translator::new("node-1".into());
    assert_eq!(translator.router_id(&peer("127.0.0.1").settings).to_string(), "127.0.0.1");
    let given = PeerSettings { router_id: Some(Ipv4Addr::new(10, 10, 10, 1)), ..peer("127.0.0.1").settings };
    assert_eq!(translator.router_id(&given).to_string(), "10.10.10.1");
    let unnumbered = PeerSettings { remote: plan::Remote::Interface("nowhere0".into()), ..peer("127.0.0.1").settings };
    assert_eq!(translator.router_id(&unnumbered).address().octets(), crc32(b"node-1").to_le_bytes());
    assert_eq!(crc32(b"123456789"), 0xcbf4_3926); // the check value of the algorithm
}
