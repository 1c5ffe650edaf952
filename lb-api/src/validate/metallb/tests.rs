//! MetalLB's rejections, each with the words that its author sees.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde_json::json;

use super::*;
use crate::metallb::{ConfigurationResult, PreferredNodeSelector};

fn pool(addresses: &[&str]) -> IPAddressPool {
    let addresses = addresses.iter().map(ToString::to_string).collect();
    IPAddressPool::new("a", IPAddressPoolSpec { addresses, auto_assign: true, ..IPAddressPoolSpec::default() })
}

fn told(problems: &[Problem]) -> Vec<String> {
    problems.iter().map(ToString::to_string).collect()
}

#[test]
fn what_metallb_accepts_in_a_pool_is_accepted() {
    for (entry, expected) in [
        ("192.0.2.0/24", "192.0.2.0-192.0.2.255"),
        ("192.0.2.77/24", "192.0.2.0-192.0.2.255"),
        (" 192.0.2.10 - 192.0.2.20 ", "192.0.2.10-192.0.2.20"),
        ("::ffff:192.0.2.0/120", "192.0.2.0-192.0.2.255"),
        ("::ffff:192.0.2.1-::ffff:192.0.2.10", "192.0.2.1-192.0.2.10"),
        ("2001:db8::5/124", "2001:db8::-2001:db8::f"),
        ("192.0.2.1/32", "192.0.2.1"),
    ] {
        let (ranges, problems) = address_pool_ranges(&pool(&[entry]).spec);
        assert_eq!(problems, [], "{entry}");
        assert_eq!(ranges.iter().map(text).collect::<Vec<_>>(), [expected], "{entry}");
    }
}

#[test]
fn a_bad_entry_of_a_pool_is_told_and_the_others_work() {
    for (entry, message) in [
        ("192.0.2.300/24", "spec.addresses[1]: `192.0.2.300` is not an IP address"),
        ("192.0.2.20-192.0.2.10", "spec.addresses[1]: `192.0.2.20-192.0.2.10` is reversed"),
        ("192.0.2.1-2001:db8::1", "spec.addresses[1]: `192.0.2.1-2001:db8::1` mixes IPv4 and IPv6"),
        ("192.0.2.0/40", "spec.addresses[1]: `40` is not a prefix length"),
        ("pool", "spec.addresses[1]: `pool` is neither a CIDR block"),
    ] {
        let object = pool(&["198.51.100.0/24", entry]);
        let told = told(&address_pool(&object));
        assert!(told.len() == 1 && told[0].starts_with(message), "{told:?}");
        assert_eq!(address_pool_ranges(&object.spec).0.len(), 1, "{entry}");
    }
}

#[test]
fn an_empty_pool_and_one_that_overlaps_itself_are_told() {
    let message = "spec.addresses: is empty: the pool needs at least one CIDR block or range";
    assert_eq!(told(&address_pool(&pool(&[]))), [message]);
    assert_eq!(
        told(&address_pool(&pool(&["192.0.2.0/24", "192.0.2.10-192.0.2.20"]))),
        [
            "spec.addresses: 192.0.2.10-192.0.2.20 overlaps with already defined CIDR 192.0.2.0-192.0.2.255 of the same pool"
        ]
    );
}

#[test]
fn duplicates_in_an_allocation_are_told() {
    let mut object = pool(&["192.0.2.0/24"]);
    let twice = vec![LabelSelector::default(), LabelSelector::default()];
    object.spec.service_allocation = Some(ServiceAllocation {
        priority: Some(-1),
        namespaces: vec!["web".into(), "web".into(), "Not_A_Name".into()],
        namespace_selectors: twice.clone(),
        service_selectors: twice,
    });
    let allocation = "spec.serviceAllocation";
    assert_eq!(
        told(&address_pool(&object)),
        [
            format!("{allocation}.namespaces[1]: duplicate namespace `web`: each stands once"),
            format!("{allocation}.namespaces[2]: `Not_A_Name` is not the name of a namespace"),
            format!(
                "{allocation}.namespaceSelectors[1]: duplicate selector: it stands in this list already; each stands once"
            ),
            format!(
                "{allocation}.serviceSelectors[1]: duplicate selector: it stands in this list already; each stands once"
            ),
            format!("{allocation}.priority: is negative: write 1 for first, 0 for last"),
        ]
    );
}

#[test]
fn what_is_wrong_with_an_advertisement_is_told() {
    let mut object = L2Advertisement::default();
    object.spec.ip_address_pools = vec!["a".into(), "a".into()];
    object.spec.interfaces = vec![" ".into()];
    object.spec.node_selectors = vec![LabelSelector::default(), LabelSelector::default()];
    object.spec.preferred_node_selectors =
        vec![PreferredNodeSelector { weight: 101, preference: LabelSelector::default() }];
    assert_eq!(
        told(&l2_advertisement(&object)),
        [
            "spec.ipAddressPools[1]: duplicate pool `a`: each stands once",
            "spec.nodeSelectors[1]: duplicate selector: it stands in this list already; each stands once",
            "spec.interfaces[0]: is empty: write the name of an interface",
            "spec.preferredNodeSelectors[0].weight: 101 is not a weight: write a number from 1 to 100",
        ]
    );
}

#[test]
fn terms_on_a_pool_are_told_where_they_belong() {
    let mut object = IPAddressPool::default();
    object.spec.addresses = vec!["192.0.2.0/24".into()];
    object.metadata.annotations = Some([(l2_annotation::FAILBACK.to_owned(), "never".to_owned())].into());
    assert_eq!(
        told(&address_pool(&object)),
        [
            "metadata.annotations[lb.herald.dev/failback]: is not read on an IPAddressPool: write it on the L2Advertisement that selects the pool"
        ]
    );
    let mut object = L2Advertisement::default();
    object.metadata.annotations = Some([(l2_annotation::CONFLICT.to_owned(), "fight".to_owned())].into());
    assert_eq!(
        told(&l2_advertisement(&object)),
        ["metadata.annotations[lb.herald.dev/conflict]: `fight` is unknown: write `defend` or `retreat`"]
    );
}

#[test]
fn defaults_and_unknown_words_decode() {
    let object: IPAddressPool =
        serde_json::from_value(json!({ "metadata": {}, "spec": { "addresses": ["192.0.2.0/24"] } })).expect("decodes");
    assert!(object.spec.auto_assign && !object.spec.avoid_buggy_ips && object.spec.service_allocation.is_none());
    let word: ConfigurationResult = serde_json::from_value(json!("Doubtful")).expect("decodes");
    assert_eq!(word, ConfigurationResult::Unknown);
}
