//! A peer's view, read from octets by the RFCs and not by the codec under test.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use crate::types::{Family, Prefix};

/// Every prefix that was announced and not withdrawn, with its attributes but MP_REACH_NLRI.
#[derive(Debug, Default)]
pub(super) struct Reader {
    routes: BTreeMap<Prefix, Vec<u8>>,
    pub(super) longest: usize,
}

/// Type and, for a refresh, subtype of each message.
pub(super) fn kinds(octets: &[u8]) -> Vec<(u8, u8)> {
    messages(octets).map(|message| (message[18], if message[18] == 5 { message[21] } else { 0 })).collect()
}

impl Reader {
    pub(super) fn read(&mut self, octets: &[u8]) {
        for message in messages(octets) {
            self.longest = self.longest.max(message.len());
            if message[18] == 2 {
                self.update(&message[19..]);
            }
        }
    }

    pub(super) fn prefixes(&self) -> BTreeSet<Prefix> {
        self.routes.keys().copied().collect()
    }

    /// The prefixes with these octets somewhere in their communities or other attributes.
    pub(super) fn with(&self, octets: &[u8]) -> BTreeSet<Prefix> {
        let has = |attributes: &Vec<u8>| attributes.windows(octets.len()).any(|window| window == octets);
        self.routes.iter().filter(|(_, attributes)| has(attributes)).map(|(prefix, _)| *prefix).collect()
    }

    fn update(&mut self, body: &[u8]) {
        let (withdrawn, rest) = counted(body);
        let (attributes, announced) = counted(rest);
        for prefix in prefixes(Family::V4, withdrawn) {
            assert!(self.routes.remove(&prefix).is_some(), "{prefix} was never announced");
        }
        let (mut reach, mut others, mut rest) = (Vec::new(), Vec::new(), attributes);
        while !rest.is_empty() {
            let (flags, kind) = (rest[0], rest[1]);
            let (value, after) = match flags & 0x10 {
                0 => rest[3..].split_at(usize::from(rest[2])),
                _ => counted(&rest[2..]),
            };
            match kind {
                14 => reach = prefixes(family(value), &value[5 + usize::from(value[3])..]),
                15 => prefixes(family(value), &value[3..]).into_iter().for_each(|prefix| {
                    assert!(self.routes.remove(&prefix).is_some(), "{prefix} was never announced");
                }),
                // Of communities the values, of others all: enough to look for either.
                8 => others.extend_from_slice(value),
                _ => others.extend_from_slice(&rest[..rest.len() - after.len()]),
            }
            rest = after;
        }
        for prefix in prefixes(Family::V4, announced).into_iter().chain(reach) {
            self.routes.insert(prefix, others.clone());
        }
    }
}

fn messages(mut octets: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_be_bytes([*octets.get(16)?, octets[17]]));
        let (message, rest) = octets.split_at(length);
        octets = rest;
        Some(message)
    })
}

/// What a length of two octets counts, and what follows.
fn counted(octets: &[u8]) -> (&[u8], &[u8]) {
    octets[2..].split_at(usize::from(u16::from_be_bytes([octets[0], octets[1]])))
}

fn family(value: &[u8]) -> Family {
    match value[..3] {
        [0, 1, 1] => Family::V4,
        [0, 2, 1] => Family::V6,
        _ => panic!("{value:?}"),
    }
}

fn prefixes(family: Family, mut octets: &[u8]) -> Vec<Prefix> {
    let mut prefixes = Vec::new();
    while let Some((length, rest)) = octets.split_first() {
        let (bits, rest) = rest.split_at(usize::from(length.div_ceil(8)));
        let mut address = [0; 16];
        address[..bits.len()].copy_from_slice(bits);
        let address = match family {
            Family::V4 => IpAddr::V4(Ipv4Addr::from(*address.first_chunk::<4>().unwrap())),
            Family::V6 => IpAddr::V6(Ipv6Addr::from(address)),
        };
        prefixes.push(Prefix::new(address, *length).unwrap());
        octets = rest;
    }
    prefixes
}
