//! The hash that ranking rests on. Its values are part of the format: with other values every address would move on an
//! upgrade, so they are pinned by a test and come from no library.

/// A hash of a name: FNV-1a, 64 bits, then mixed.
pub(crate) fn of(text: &str) -> u64 {
    let fnv = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    mix(fnv)
}

/// How much the owner of `key` likes `node` (rendezvous hashing): the highest wins. Both are results of [`of`].
pub(super) fn weight(key: u64, node: u64) -> u64 {
    mix(key ^ node.rotate_left(32))
}

/// The finalizer of SplitMix64: every input bit reaches every output bit. FNV alone leaves names that differ in their
/// last letter in nearly the same order.
fn mix(mut value: u64) -> u64 {
    value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_what_they_were_in_every_release() {
        assert_eq!(mix(0), 0xe220_a839_7b1d_cdaf); // the first output of SplitMix64 seeded with 0
        assert_eq!(of(""), 0xc381_7c01_6ba4_ff30);
        assert_eq!(weight(of("default/web#0"), of("node-1")), 0x89c1_464f_6fb9_0cf5);
        assert_eq!(weight(of("default/web#0"), of("node-2")), 0xf3eb_d6a2_b1d4_6078);
    }

    #[test]
    fn each_node_is_first_for_its_share() {
        let nodes: Vec<u64> = (0..10).map(|node| of(&format!("node-{node}"))).collect();
        let mut first = [0_u32; 10];
        for key in 0..10_000 {
            let key = of(&format!("default/web-{key}#0"));
            let best = (0..10).max_by_key(|&node| weight(key, nodes[node])).expect("ten nodes");
            first[best] += 1;
        }
        // The standard deviation is 30; five of them would be 150.
        assert!(first.iter().all(|&count| (850..1150).contains(&count)), "{first:?}");
    }
}
