//! What we send, read by another codec: the same routes, and the same octets when it writes them again.
//!
//! The other codec counts attributes of 256 octets and more wrongly when it writes, so they stay below.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
    time::Instant,
};

use lb_bgp::{
    Action, Asn, Community, Event, LargeCommunity, NextHops, PathAttributes, Peer, PeerAs, PeerConfig, Prefix,
    RestartTime, RouterId, Routes,
};
use netgauze_bgp_pkt::{
    BgpMessage,
    capabilities::BgpCapability,
    path_attribute::{AsPath, MpReach, MpUnreach, PathAttribute, PathAttributeValue},
    update::BgpUpdateMessage,
    wire::deserializer::BgpParsingContext,
};
use netgauze_parse_utils::{WritablePdu, reader::SliceReader, traits::ParseFromWithOneInput};
use proptest::prelude::*;

/// One prefix as the other codec sees it: next hop, AS_PATH, and what its owner chose.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Seen {
    next_hop: Option<IpAddr>,
    as_path: Vec<u32>,
    chosen: PathAttributes,
}

#[derive(Debug, Default)]
struct Other {
    routes: BTreeMap<Prefix, Seen>,
    ends: usize,
}

fn prefix(address: impl Into<IpAddr>, length: u8) -> Prefix {
    Prefix::new(address.into(), length).expect("a prefix")
}

impl Other {
    /// Reads a message, and writes it again.
    fn read(&mut self, octets: &[u8], four_octet_as: bool) {
        let mut context = BgpParsingContext::asn2_default();
        context.set_asn4(four_octet_as);
        let message = BgpMessage::parse(&mut SliceReader::new(octets), &mut context).expect("it reads our message");
        let mut again = Vec::new();
        message.write(&mut again).expect("it writes the message again");
        assert_eq!(again, octets);
        if let BgpMessage::Update(update) = message {
            self.update(&update);
        }
    }

    fn update(&mut self, update: &BgpUpdateMessage) {
        self.ends += usize::from(update.end_of_rib().is_some());
        for gone in update.withdraw_routes() {
            let net = gone.network().address();
            self.routes.remove(&prefix(net.addr(), net.prefix_len())).expect("it was announced");
        }
        let (mut seen, mut announced) = (Seen::default(), Vec::new());
        for net in update.nlri().iter().map(|route| route.network().address()) {
            announced.push(prefix(net.addr(), net.prefix_len()));
        }
        for attribute in update.path_attributes() {
            self.attribute(attribute, &mut seen, &mut announced);
        }
        self.routes.extend(announced.into_iter().map(|prefix| (prefix, seen.clone())));
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "every attribute that we never send")]
    fn attribute(&mut self, attribute: &PathAttribute, seen: &mut Seen, announced: &mut Vec<Prefix>) {
        match attribute.value() {
            PathAttributeValue::Origin(origin) => assert_eq!(u8::from(*origin), 0),
            PathAttributeValue::AsPath(AsPath::As4PathSegments(segments)) => {
                seen.as_path = segments.iter().flat_map(|segment| segment.as_numbers().to_vec()).collect();
            }
            PathAttributeValue::AsPath(AsPath::As2PathSegments(segments)) => {
                let numbers = segments.iter().flat_map(|segment| segment.as_numbers().to_vec());
                seen.as_path = numbers.map(u32::from).collect();
            }
            PathAttributeValue::NextHop(next_hop) => seen.next_hop = Some(IpAddr::V4(next_hop.next_hop())),
            PathAttributeValue::MultiExitDiscriminator(med) => seen.chosen.med = Some(med.metric()),
            PathAttributeValue::LocalPreference(local) => seen.chosen.local_pref = Some(local.metric()),
            PathAttributeValue::Communities(list) => {
                let list = list.communities().iter();
                seen.chosen.communities = list.map(|community| Community::from_bits(community.value())).collect();
            }
            PathAttributeValue::LargeCommunities(list) => {
                let large = list.communities().iter().map(|large| LargeCommunity {
                    global: large.global_admin(),
                    local1: large.local_data1(),
                    local2: large.local_data2(),
                });
                seen.chosen.large_communities = large.collect();
            }
            PathAttributeValue::MpReach(MpReach::Ipv6Unicast { next_hop_global, nlri, .. }) => {
                seen.next_hop = Some(IpAddr::V6(*next_hop_global));
                let nets = nlri.iter().map(|route| route.network().address());
                announced.extend(nets.map(|net| prefix(net.addr(), net.prefix_len())));
            }
            PathAttributeValue::MpReach(MpReach::Ipv4Unicast { next_hop, nlri, .. }) => {
                seen.next_hop = Some(*next_hop);
                let nets = nlri.iter().map(|route| route.network().address());
                announced.extend(nets.map(|net| prefix(net.addr(), net.prefix_len())));
            }
            PathAttributeValue::MpUnreach(MpUnreach::Ipv6Unicast { nlri }) => {
                for net in nlri.iter().map(|route| route.network().address()) {
                    self.routes.remove(&prefix(net.addr(), net.prefix_len())).expect("it was announced");
                }
            }
            PathAttributeValue::MpUnreach(MpUnreach::Ipv4Unicast { nlri }) => {
                for net in nlri.iter().map(|route| route.network().address()) {
                    self.routes.remove(&prefix(net.addr(), net.prefix_len())).expect("it was announced");
                }
            }
            other => panic!("we never send {other:?}"),
        }
    }
}

/// A session of ours over a transport of either family, and the messages it sends.
struct Session {
    peer: Peer,
    now: Instant,
    conn: lb_bgp::ConnId,
}

fn asn(number: u32) -> Asn {
    Asn::new(number).expect("an AS number")
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(19 + body.len()).expect("a message");
    [&[0xFF; 16][..], &length.to_be_bytes(), &[kind], body].concat()
}

impl Session {
    /// The peer is in `peer_as`, below 65536, and knows both families, IPv6 next hops and, if asked, large AS numbers.
    fn new(local_as: u32, peer_as: u16, local: IpAddr, four_octet_as: bool) -> Self {
        let now = Instant::now();
        let id = RouterId::new(Ipv4Addr::new(192, 0, 2, 1)).expect("an identifier");
        let mut config = PeerConfig::new(asn(local_as), PeerAs::Exactly(asn(peer_as.into())), id);
        config.extended_next_hop = true;
        config.graceful_restart = Some(RestartTime::MAX);
        config.next_hops = NextHops { v6: Some(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)), ..NextHops::default() };
        let mut peer = Peer::new(now, config, true, 7).expect("a good configuration");
        peer.handle(now, Event::Timer);
        let Some(Action::Connect(conn)) = peer.poll_action() else { panic!("no connection asked for") };
        peer.handle(now, Event::Connected { conn, local });
        let mut capabilities = vec![1, 4, 0, 1, 0, 1, 1, 4, 0, 2, 0, 1, 5, 6, 0, 1, 0, 1, 0, 2];
        if four_octet_as {
            capabilities.extend([65, 4, 0, 0]);
            capabilities.extend(peer_as.to_be_bytes());
        }
        let length = u8::try_from(capabilities.len()).expect("a parameter");
        let [high, low] = peer_as.to_be_bytes();
        let open = [&[4, high, low, 0, 90, 192, 0, 2, 2, length + 2, 2, length][..], &capabilities].concat();
        peer.handle(now, Event::Received { conn, octets: &message(1, &open) });
        peer.handle(now, Event::Received { conn, octets: &message(4, &[]) });
        Self { peer, now, conn }
    }

    /// The messages that are sent until nothing is left to send.
    fn messages(&mut self) -> Vec<Vec<u8>> {
        let mut messages = Vec::new();
        loop {
            let mut octets = self.peer.output(self.now, self.conn);
            let count = octets.len();
            if count == 0 {
                return messages;
            }
            while let Some(length) = octets.get(16..18) {
                let (message, rest) = octets.split_at(usize::from(u16::from_be_bytes([length[0], length[1]])));
                messages.push(message.to_vec());
                octets = rest;
            }
            self.peer.handle(self.now, Event::Written { conn: self.conn, count });
        }
    }
}

fn attributes() -> impl Strategy<Value = Arc<PathAttributes>> {
    let community = any::<u32>().prop_map(Community::from_bits);
    let large = any::<[u32; 3]>().prop_map(|[global, local1, local2]| LargeCommunity { global, local1, local2 });
    (
        any::<Option<u32>>(),
        any::<Option<u32>>(),
        prop::collection::btree_set(community, 0..60),
        prop::collection::btree_set(large, 0..20),
    )
        .prop_map(|(local_pref, med, communities, large_communities)| {
            Arc::new(PathAttributes { local_pref, med, communities, large_communities })
        })
}

/// Unicast prefixes only: the other codec refuses others.
fn any_prefix() -> impl Strategy<Value = Prefix> {
    prop_oneof![
        (0x0100_0000..0xDF00_0000_u32, 8..=32_u8).prop_map(|(bits, length)| prefix(Ipv4Addr::from_bits(bits), length)),
        (any::<u128>(), 8..=128_u8)
            .prop_map(|(bits, length)| prefix(Ipv6Addr::from_bits(bits >> 3 | 0x2000_u128 << 112), length)),
    ]
}

fn routes() -> impl Strategy<Value = Routes> {
    prop::collection::vec(attributes(), 1..5)
        .prop_flat_map(|attributes| prop::collection::btree_map(any_prefix(), prop::sample::select(attributes), 0..60))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn it_reads_the_routes_that_we_tell(
        internal: bool,
        v6_transport: bool,
        four_octet_as: bool,
        large_as: bool,
        sets in prop::collection::vec(routes(), 1..4),
    ) {
        let local_as = if large_as && !internal { 4_200_000_000 } else { 64512 };
        // A large number towards a speaker of two octets makes an attribute that the other codec does not want there.
        let four_octet_as = four_octet_as || local_as > 65_535;
        let peer_as = if internal { 64512 } else { 64513 };
        let v6 = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
        let local: IpAddr = if v6_transport { v6.into() } else { Ipv4Addr::new(192, 0, 2, 1).into() };
        let mut session = Session::new(local_as, peer_as, local, four_octet_as);
        let mut other = Other::default();
        for routes in sets {
            session.peer.set_routes(Arc::new(routes.clone()));
            session.messages().iter().for_each(|message| other.read(message, four_octet_as));
            let expected: BTreeMap<Prefix, Seen> = routes.iter().map(|(prefix, attributes)| {
                let mut chosen = (**attributes).clone();
                chosen.local_pref = internal.then(|| chosen.local_pref.unwrap_or(100));
                let next_hop = Some(if prefix.address().is_ipv6() { v6.into() } else { local });
                let as_path = if internal { vec![] } else { vec![local_as] };
                (*prefix, Seen { next_hop, as_path, chosen })
            }).collect();
            prop_assert_eq!(&other.routes, &expected);
        }
        prop_assert_eq!(other.ends, 2);
    }
}

#[test]
fn it_reads_our_open_and_our_last_words() {
    let mut session = Session::new(4_200_000_000, 64513, Ipv4Addr::new(192, 0, 2, 1).into(), true);
    let messages = session.messages();
    let mut other = Other::default();
    messages.iter().for_each(|message| other.read(message, true));
    let open = BgpMessage::parse(&mut SliceReader::new(&messages[0]), &mut BgpParsingContext::asn2_default());
    let Ok(BgpMessage::Open(open)) = open else { panic!("{open:?}") };
    assert_eq!((open.my_as(), open.my_asn4(), open.hold_time()), (23456, 4_200_000_000, 90));
    let capabilities = open.capabilities();
    let restart = capabilities.iter().find_map(|capability| {
        if let BgpCapability::GracefulRestartCapability(restart) = capability { Some(restart) } else { None }
    });
    let restart = restart.expect("graceful restart");
    assert!(restart.restart() && restart.graceful_notification());
    assert_eq!((restart.time(), restart.address_families().len()), (30, 2));
    assert!(capabilities.contains(&&BgpCapability::ExtendedMessage));
    assert!(capabilities.contains(&&BgpCapability::EnhancedRouteRefresh));

    session.peer.handle(session.now, Event::Stop(lb_bgp::Stop::Shutdown("drained")));
    session.messages().iter().for_each(|message| other.read(message, true));
    let Some(Action::Close { last_words, .. }) =
        std::iter::from_fn(|| session.peer.poll_action()).find(|action| matches!(action, Action::Close { .. }))
    else {
        panic!("not closed");
    };
    other.read(&last_words, true);
}
