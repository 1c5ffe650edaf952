//! Numbers that are refused, host bits, sets of families.

use proptest::prelude::*;

use super::*;

#[test]
fn zero_is_no_as_number_and_no_router_id() {
    assert_eq!(Asn::new(0), None); // RFC 7607
    assert_eq!(Asn::new(4_200_000_000).map(Asn::get), Some(4_200_000_000));
    assert_eq!(RouterId::new(Ipv4Addr::UNSPECIFIED), None); // RFC 6286 §2.1
}

#[test]
fn a_prefix_keeps_no_host_bits() {
    let prefix = |text: &str, length| Prefix::new(text.parse().unwrap(), length).map(|prefix| prefix.to_string());
    assert_eq!(prefix("192.0.2.77", 24).as_deref(), Some("192.0.2.0/24"));
    assert_eq!(prefix("192.0.2.77", 32).as_deref(), Some("192.0.2.77/32"));
    assert_eq!(prefix("192.0.2.77", 0).as_deref(), Some("0.0.0.0/0"));
    assert_eq!(prefix("192.0.2.77", 33), None);
    assert_eq!(prefix("2001:db8::ff", 124).as_deref(), Some("2001:db8::f0/124"));
    assert_eq!(prefix("2001:db8::ff", 0).as_deref(), Some("::/0"));
    assert_eq!(prefix("2001:db8::ff", 129), None);
}

#[test]
fn families_are_a_set() {
    assert_eq!(Families::BOTH.intersection(Families::only(Family::V6)), Families::only(Family::V6));
    assert!(Families::only(Family::V4).intersection(Families::only(Family::V6)).is_empty());
    assert_eq!(Families::BOTH.iter().collect::<Vec<_>>(), Family::ALL);
}

proptest! {
    #[test]
    fn the_same_block_is_the_same_prefix(bits: u128, host: u128, length in 0_u8..=128) {
        let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
        let other = (bits & mask) | (host & !mask);
        let prefix = |bits| Prefix::new(IpAddr::V6(Ipv6Addr::from_bits(bits)), length).unwrap();
        prop_assert_eq!(prefix(bits), prefix(other));
    }
}
