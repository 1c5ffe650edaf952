//! Communities as text, and the next hop for each mix of families.

use super::*;

#[test]
fn communities_are_read_and_shown() {
    let plain: Community = "64512:100".parse().unwrap();
    assert_eq!((plain.bits(), plain.to_string()), (0xFC00_0064, "64512:100".into()));
    assert_eq!("65535:0".parse(), Ok(Community::GRACEFUL_SHUTDOWN)); // RFC 8326 §3
    let large: LargeCommunity = "4200000000:0:4294967295".parse().unwrap();
    assert_eq!(large, LargeCommunity { global: 4_200_000_000, local1: 0, local2: u32::MAX });
    assert_eq!(large.to_string(), "4200000000:0:4294967295");
}

#[test]
fn what_is_no_community_is_refused_with_what_would_be_right() {
    for text in ["", "1", "1:", ":1", "65536:1", "1:65536", "+1:2", "-1:2", "1:2:3", "a:b", "1: 2"] {
        let error = text.parse::<Community>().expect_err(text);
        assert!(error.to_string().contains("64512:100"), "{error}");
    }
    for text in ["1:2", "1:2:3:4", "1:2:4294967296", "1::2", "+1:2:3"] {
        let error = text.parse::<LargeCommunity>().expect_err(text);
        assert!(error.to_string().contains("64512:1:2"), "{error}");
    }
}

#[test]
fn the_next_hop_is_the_sessions_own_address_unless_the_family_differs() {
    let v4: Ipv4Addr = "192.0.2.1".parse().unwrap();
    let v6: Ipv6Addr = "2001:db8::1".parse().unwrap();
    let link: Ipv6Addr = "fe80::1".parse().unwrap();
    let none = NextHops::default();
    let set = NextHops { v4: Some("198.51.100.1".parse().unwrap()), v6: Some(v6), link_local: None };

    assert_eq!(none.choose(Family::V4, v4.into(), false), Some(NextHop::V4(v4)));
    assert_eq!(none.choose(Family::V6, v6.into(), false), Some(NextHop::V6 { global: v6, link_local: None }));
    // One session for both families, over either transport.
    assert_eq!(none.choose(Family::V6, v4.into(), false), None);
    assert_eq!(set.choose(Family::V6, v4.into(), false), Some(NextHop::V6 { global: v6, link_local: None }));
    assert_eq!(none.choose(Family::V4, v6.into(), false), None);
    assert_eq!(set.choose(Family::V4, v6.into(), true), set.v4.map(NextHop::V4));
    // RFC 8950, on a link with and without a global address.
    assert_eq!(none.choose(Family::V4, v6.into(), true), Some(NextHop::V6 { global: v6, link_local: None }));
    assert_eq!(none.choose(Family::V4, link.into(), true), Some(NextHop::V6 { global: link, link_local: Some(link) }));
    assert_eq!(set.choose(Family::V6, link.into(), true), Some(NextHop::V6 { global: v6, link_local: Some(link) }));
}
