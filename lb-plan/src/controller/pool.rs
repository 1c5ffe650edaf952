//! The addresses of a pool as intervals over `u128`, and the lowest of them that nobody has.
//!
//! A pool is whole blocks, `.0` and `.255` included unless it avoids them, as in MetalLB and Deckhouse; its size never
//! matters, because nothing here walks over it address by address but for those that are taken.

use std::{
    collections::HashSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use lb_api::{AddressRange, virtual_ip::Family};

use super::planner::Memory;

/// An address as a number within its family; orders as the address does.
pub(super) type Number = u128;

/// The addresses that somebody has, or that must not be tried.
#[derive(Debug, Default)]
pub(super) struct Taken<'a> {
    own: HashSet<IpAddr>,
    /// What a plan of a part leaves out.
    rest: Option<&'a Memory>,
    /// Whether what Services show counts as well.
    with_shown: bool,
}

impl<'a> Taken<'a> {
    pub(super) fn beside(rest: Option<&'a Memory>, own: impl IntoIterator<Item = IpAddr>) -> Self {
        Self { own: own.into_iter().collect(), rest, with_shown: false }
    }

    pub(super) fn contains(&self, address: &IpAddr) -> bool {
        self.own.contains(address)
            || self.rest.is_some_and(|rest| rest.has(address) || (self.with_shown && rest.is_shown(address)))
    }

    pub(super) fn insert(&mut self, address: IpAddr) {
        self.own.insert(address);
    }

    /// From now on what Services show is taken.
    pub(super) fn add_shown(&mut self, own: impl IntoIterator<Item = IpAddr>) {
        self.own.extend(own);
        self.with_shown = true;
    }
}

/// Disjoint, sorted, merged intervals of one family.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Intervals {
    spans: Vec<(Number, Number)>,
    /// Whether addresses whose last byte is 0 or 255 are not among them (IPv4 only).
    avoids: bool,
}

impl Intervals {
    /// The part of `ranges` that belongs to `family`. Overlaps and neighbours become one.
    pub(super) fn of(ranges: &[AddressRange], family: Family) -> Self {
        let mut raw: Vec<(Number, Number)> = ranges
            .iter()
            .filter(|range| Family::of(range.first) == family)
            .map(|range| (number(range.first), number(range.last)))
            .collect();
        raw.sort_unstable();
        let mut spans: Vec<(Number, Number)> = Vec::with_capacity(raw.len());
        for (first, last) in raw {
            match spans.last_mut() {
                Some(previous) if first <= previous.1.saturating_add(1) => previous.1 = previous.1.max(last),
                _ => spans.push((first, last)),
            }
        }
        Self { spans, avoids: false }
    }

    /// The same without addresses whose last byte is 0 or 255.
    pub(super) fn avoiding(self) -> Self {
        Self { avoids: true, ..self }
    }

    /// Whether there is no address at all.
    pub(super) fn is_empty(&self) -> bool {
        self.size() == 0
    }

    /// Whether `number` is among them.
    pub(super) fn contains(&self, number: Number) -> bool {
        let after = self.spans.partition_point(|span| span.0 <= number);
        let within = after.checked_sub(1).and_then(|index| self.spans.get(index)).is_some_and(|span| number <= span.1);
        within && !self.is_avoided(number)
    }

    /// How many addresses there are, as MetalLB counts them: at most [`i64::MAX`].
    pub(super) fn size(&self) -> i64 {
        let sizes = self.spans.iter().map(|&(first, last)| {
            let avoided = if self.avoids { avoided_to(last) - first.checked_sub(1).map_or(0, avoided_to) } else { 0 };
            (last - first).saturating_add(1).saturating_sub(avoided)
        });
        let total = sizes.fold(0_u128, Number::saturating_add);
        i64::try_from(total).unwrap_or(i64::MAX)
    }

    fn is_avoided(&self, number: Number) -> bool {
        self.avoids && matches!(number & 0xff, 0 | 0xff)
    }
}

/// How many of the numbers from 0 to `last` end in 0 or 255.
fn avoided_to(last: Number) -> Number {
    (last >> 8) * 2 + 1 + Number::from(last & 0xff == 0xff)
}

/// Hands out the addresses of a class and family, lowest first. Nothing becomes free while a plan is made, so the place
/// only moves up.
#[derive(Debug, Default)]
pub(super) struct Cursor {
    span: usize,
    next: Option<Number>,
}

impl Cursor {
    /// The lowest address that is not taken, and takes it. `None`: all are taken.
    pub(super) fn take(&mut self, from: &Intervals, family: Family, taken: &mut Taken<'_>) -> Option<IpAddr> {
        let free = self.peek(from, family, taken)?;
        taken.insert(free);
        Some(free)
    }

    /// The lowest address that is not taken.
    pub(super) fn peek(&mut self, from: &Intervals, family: Family, taken: &Taken<'_>) -> Option<IpAddr> {
        while let Some(&(first, last)) = from.spans.get(self.span) {
            let number = self.next.unwrap_or(first);
            let candidate = address(number, family);
            if !from.is_avoided(number) && !taken.contains(&candidate) {
                return Some(candidate);
            }
            let more = number < last;
            (self.span, self.next) = if more { (self.span, Some(number + 1)) } else { (self.span + 1, None) };
        }
        None
    }
}

/// The address as a number within its family.
pub(super) fn number(address: IpAddr) -> Number {
    match address {
        IpAddr::V4(v4) => Number::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

fn address(number: Number, family: Family) -> IpAddr {
    match family {
        Family::IPv4 => Ipv4Addr::from_bits(u32::try_from(number).expect("made from an IPv4 address")).into(),
        Family::IPv6 => Ipv6Addr::from_bits(number).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(entries: &[&str]) -> Vec<AddressRange> {
        entries.iter().map(|entry| lb_api::validate::parse_entry(entry).expect("test data")).collect()
    }

    fn all(entries: &[&str], family: Family, taken: &[&str]) -> Vec<String> {
        let intervals = Intervals::of(&ranges(entries), family);
        let mut taken = Taken::beside(None, taken.iter().map(|text| text.parse().expect("test data")));
        let mut cursor = Cursor::default();
        std::iter::from_fn(|| cursor.take(&intervals, family, &mut taken)).map(|address| address.to_string()).collect()
    }

    #[test]
    fn a_block_is_all_of_its_addresses_lowest_first() {
        assert_eq!(all(&["192.0.2.0/30"], Family::IPv4, &[]), ["192.0.2.0", "192.0.2.1", "192.0.2.2", "192.0.2.3"]);
    }

    #[test]
    fn overlaps_are_one_and_taken_addresses_are_skipped() {
        let entries = ["192.0.2.4-192.0.2.6", "192.0.2.1-192.0.2.5", "2001:db8::/126"];
        assert_eq!(
            all(&entries, Family::IPv4, &["192.0.2.2", "192.0.2.6"]),
            ["192.0.2.1", "192.0.2.3", "192.0.2.4", "192.0.2.5"]
        );
        assert_eq!(all(&entries, Family::IPv6, &["2001:db8::"]), ["2001:db8::1", "2001:db8::2", "2001:db8::3"]);
    }

    #[test]
    fn the_ends_of_the_number_space_are_addresses() {
        let end = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
        assert_eq!(all(&[end], Family::IPv6, &[]).len(), 2);
        assert_eq!(all(&["255.255.255.254/31", "0.0.0.0/32"], Family::IPv4, &[]).len(), 3);
    }

    /// MetalLB's figures: `TestPoolCount`.
    #[test]
    fn sizes_are_those_that_metallb_counts() {
        let size = |entries: &[&str], family| Intervals::of(&ranges(entries), family).size();
        let avoiding = |entries: &[&str]| Intervals::of(&ranges(entries), Family::IPv4).avoiding().size();
        assert_eq!(size(&["1.2.3.0/24"], Family::IPv4), 256);
        assert_eq!(size(&["1.2.3.0/24", "2.3.4.128/25"], Family::IPv4), 384);
        assert_eq!(avoiding(&["1.2.3.0/24", "2.3.4.128/25"]), 381);
        assert_eq!(avoiding(&["1.2.3.0/31"]), 1);
        assert_eq!(avoiding(&["0.0.0.0/0"]), (1 << 32) - (1 << 25));
        assert_eq!(size(&["1000::4/127"], Family::IPv6), 2);
        assert_eq!(size(&["1000::/64"], Family::IPv6), i64::MAX);
        assert_eq!(size(&["::/0"], Family::IPv6), i64::MAX);
    }

    #[test]
    fn avoided_addresses_are_neither_given_nor_in_the_pool() {
        let intervals = Intervals::of(&ranges(&["192.0.2.254-192.0.3.1"]), Family::IPv4).avoiding();
        let mut taken = Taken::default();
        let mut cursor = Cursor::default();
        let all = std::iter::from_fn(|| cursor.take(&intervals, Family::IPv4, &mut taken));
        assert_eq!(all.map(|address| address.to_string()).collect::<Vec<_>>(), ["192.0.2.254", "192.0.3.1"]);
        let inside = |text: &str| intervals.contains(number(text.parse().expect("test data")));
        assert!(inside("192.0.2.254") && !inside("192.0.2.255") && !inside("192.0.3.0") && inside("192.0.3.1"));
        assert!(Intervals::of(&ranges(&["192.0.2.0/32"]), Family::IPv4).avoiding().is_empty());
    }

    #[test]
    fn containment_is_by_family_and_ends_are_inside() {
        let intervals = Intervals::of(&ranges(&["192.0.2.10-192.0.2.20", "192.0.2.30/32"]), Family::IPv4);
        let inside = |text: &str| intervals.contains(number(text.parse().expect("test data")));
        assert!(inside("192.0.2.10") && inside("192.0.2.20") && inside("192.0.2.30"));
        assert!(!inside("192.0.2.9") && !inside("192.0.2.21") && !inside("192.0.2.31"));
        assert!(Intervals::of(&ranges(&["192.0.2.0/24"]), Family::IPv6).is_empty());
    }
}
