//! Any text as an entry of an address pool: refused or a range in order.
#![no_main]

use lb_api::{MetalLoadBalancerClassSpec, validate::pool_ranges};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|entry: &str| {
    let spec = MetalLoadBalancerClassSpec { address_pool: vec![entry.to_owned()], ..Default::default() };
    let (ranges, problems) = pool_ranges(&spec);
    assert_eq!(ranges.len() + problems.len(), 1, "an entry is a range or a problem");
    for range in ranges {
        assert!(range.first <= range.last && range.first.is_ipv4() == range.last.is_ipv4());
    }
});
