//! Unit and property tests of the annotations.

use proptest::prelude::*;

use super::*;

fn of(entries: &[(&str, &str)]) -> Request {
    read(&entries.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
}

/// The rows of Deckhouse's parser, but for white space, which is trimmed, and for the problem that each bad one is.
#[test]
fn counts_are_read_as_deckhouse_reads_them() {
    for (value, count, good) in [
        ("3", 3, true),
        (" 3", 3, true),
        ("3 \n", 3, true),
        ("3.0", 1, false),
        ("0", 1, false),
        ("-2", 1, false),
        ("abc", 1, false),
        ("", 1, false),
        ("1000", 1000, true),
        ("+4", 4, true),
        ("4294967296", 1, false),
        ("Auto", 1, false),
    ] {
        let request = of(&[(annotation::DECKHOUSE_IP_COUNT, value)]);
        assert_eq!(request.count, Count::Number(count), "{value:?}");
        assert_eq!(request.problems.is_empty(), good, "{value:?}: {:?}", request.problems);
    }
    assert_eq!(of(&[]).count, Count::Number(1));
    assert_eq!(of(&[(annotation::DECKHOUSE_IP_COUNT, "auto")]).count, Count::Auto);
}

#[test]
fn an_annotation_of_heralds_that_nobody_reads_is_told() {
    let told = |name: &str| of(&[(name, "3")]).problems.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(
        told("lb.herald.dev/ip-cuont"),
        [
            "metadata.annotations[lb.herald.dev/ip-cuont]: is not read on a Service: write lb.herald.dev/ip-count, or leave it out"
        ]
    );
    assert!(told("lb.herald.devices/x").is_empty() && told(annotation::IP_COUNT).is_empty());
}

/// Deckhouse takes each of these for 1, or drops it, in silence (deckhouse.md section 15).
#[test]
fn each_bad_wish_is_one_message() {
    let count = "is not a count: write a whole number of at least 1, or `auto`; 1 is used";
    for (name, value, message) in [
        (annotation::IP_COUNT, "x", format!("`x` {count}")),
        (annotation::DECKHOUSE_IP_COUNT, "0", format!("`0` {count}")),
        (annotation::DECKHOUSE_IP_COUNT, "-2", format!("`-2` {count}")),
        (
            annotation::DECKHOUSE_IPS,
            "192.0.2.1,,192.0.2.2",
            "an entry is empty: separate addresses by one comma".into(),
        ),
        (
            annotation::DECKHOUSE_IPS,
            "192.0.2.300",
            "`192.0.2.300` is not an IP address: write addresses separated by commas".into(),
        ),
        (
            annotation::DECKHOUSE_IPS,
            "192.0.2.1 192.0.2.2",
            "`192.0.2.1 192.0.2.2` is not an IP address: write addresses separated by commas".into(),
        ),
        (
            annotation::DECKHOUSE_IPS,
            "192.0.2.1,::ffff:192.0.2.1",
            "192.0.2.1 is asked for twice: each address can be given once".into(),
        ),
    ] {
        let told: Vec<String> = of(&[(name, value)]).problems.iter().map(ToString::to_string).collect();
        assert_eq!(told, [format!("metadata.annotations[{name}]: {message}")], "{value}");
    }
}

#[test]
fn heralds_own_count_wins_even_when_it_is_bad() {
    let both = |own| of(&[(annotation::DECKHOUSE_IP_COUNT, "3"), (annotation::IP_COUNT, own)]);
    assert_eq!(both("auto").count, Count::Auto);
    assert_eq!(both("x").count, Count::Number(1));
    assert_eq!(both("x").problems[0].field, "metadata.annotations[lb.herald.dev/ip-count]");
}

#[test]
fn addresses_are_sorted_by_family_and_keep_their_order() {
    let request = of(&[(annotation::DECKHOUSE_IPS, " 192.0.2.9,2001:db8::2, 192.0.2.1 ,2001:DB8::1,::ffff:192.0.2.3")]);
    assert_eq!(request.ipv4, [9, 1, 3].map(|last| Ipv4Addr::new(192, 0, 2, last)));
    assert_eq!(request.ipv6, ["2001:db8::2", "2001:db8::1"].map(|text| text.parse::<Ipv6Addr>().expect("address")));
    assert_eq!(request.problems, []);
}

#[test]
fn bad_addresses_are_told_and_the_others_are_honoured() {
    let request = of(&[(annotation::DECKHOUSE_IPS, "192.0.2.1,,192.0.2.300,192.0.2.1,192.0.2.2")]);
    assert_eq!(request.ipv4, [1, 2].map(|last| Ipv4Addr::new(192, 0, 2, last)));
    assert_eq!(request.problems.len(), 3);
    assert_eq!(of(&[(annotation::DECKHOUSE_IPS, " ")]).problems, []);
}

#[test]
fn the_newest_spelling_of_the_sharing_key_wins() {
    let (old, new) = (annotation::DECKHOUSE_ALLOW_SHARED_IP, annotation::DECKHOUSE_SHARED_IP_KEY);
    assert_eq!(of(&[(old, "a")]).sharing_key.as_deref(), Some("a"));
    assert_eq!(of(&[(old, "a"), (new, " b ")]).sharing_key.as_deref(), Some("b"));
    assert_eq!(of(&[(old, "a"), (new, "")]).sharing_key.as_deref(), Some("a"));
    assert_eq!(of(&[(annotation::DECKHOUSE_CLASS, " ingress ")]).class.as_deref(), Some("ingress"));
}

proptest! {
    #[test]
    fn arbitrary_values_never_panic(count in any::<String>(), addresses in any::<String>(), key in any::<String>()) {
        let request = of(&[
            (annotation::IP_COUNT, &count),
            (annotation::DECKHOUSE_IPS, &addresses),
            (annotation::DECKHOUSE_SHARED_IP_KEY, &key),
        ]);
        prop_assert_ne!(request.count, Count::Number(0));
        let wanted = request.ipv4.len() + request.ipv6.len() + request.problems.len();
        prop_assert!(wanted >= usize::from(!addresses.trim().is_empty()));
    }

    #[test]
    fn every_number_is_a_count(number in 1_u32.., sign in "\\+?", space in "[ \t]{0,3}") {
        prop_assert_eq!(parse_count(&format!("{space}{sign}{number}{space}")), Some(Count::Number(number)));
    }
}

#[test]
fn metallbs_annotations_are_read_under_both_prefixes() {
    let request = of(&[
        ("metallb.io/address-pool", " blue "),
        ("metallb.universe.tf/address-pool", "red"),
        ("metallb.universe.tf/loadBalancerIPs", "192.0.2.1 , 2001:db8::1"),
        ("metallb.universe.tf/allow-shared-ip", "key"),
    ]);
    assert_eq!(request.pool.map(|pool| pool.name).as_deref(), Some("blue"));
    assert_eq!(request.sharing_key.as_deref(), Some("key"));
    let asked = request.metallb.expect("asked");
    assert_eq!(
        (asked.ipv4, asked.ipv6),
        (vec![Ipv4Addr::new(192, 0, 2, 1)], vec!["2001:db8::1".parse().expect("valid")])
    );
    assert_eq!(asked.field, "metadata.annotations[metallb.universe.tf/loadBalancerIPs]");
    assert_eq!(
        request.deprecated,
        [
            "metallb.universe.tf/address-pool",
            "metallb.universe.tf/loadBalancerIPs",
            "metallb.universe.tf/allow-shared-ip"
        ]
    );
    // Presence decides, even if it is empty.
    let request = of(&[("metallb.io/loadBalancerIPs", ""), ("metallb.universe.tf/loadBalancerIPs", "192.0.2.1")]);
    assert_eq!(request.metallb, None);
}

#[test]
fn deckhouses_pool_wins_over_metallbs() {
    let asked = |annotations: &[(&str, &str)]| of(annotations).pool.map(|pool| (pool.name, pool.annotation));
    let (own, theirs) = ("network.deckhouse.io/load-balancer-pool", "metallb.universe.tf/address-pool");
    assert_eq!(asked(&[(own, " blue "), (theirs, "red")]), Some(("blue".to_owned(), own)));
    // An empty one is no wish.
    assert_eq!(asked(&[(own, ""), (theirs, "red")]), Some(("red".to_owned(), theirs)));
    assert_eq!(asked(&[(own, " ")]), None);
}

#[test]
fn what_cannot_be_asked_for_is_told_in_the_field_that_asks() {
    let service = |field: Option<&str>, list: Option<&str>| {
        let mut service = Service::default();
        service.spec.get_or_insert_default().load_balancer_ip = field.map(str::to_owned);
        let annotation = |list: &str| [("metallb.io/loadBalancerIPs".to_owned(), list.to_owned())].into();
        service.metadata.annotations = list.map(annotation);
        super::of(&service).metallb.and_then(|asked| asked.problem).map(|problem| problem.to_string())
    };
    assert_eq!(service(Some("192.0.2.1"), None), None);
    assert_eq!(service(None, Some("192.0.2.1")), None);
    for (field, list, message) in [
        (
            Some("192.0.2.1"),
            Some("192.0.2.1"),
            "spec.loadBalancerIP: is set, and metallb.io/loadBalancerIPs as well: ask for addresses in one of them only",
        ),
        (
            Some("here"),
            None,
            "spec.loadBalancerIP: invalid requested IP `here`: write IP addresses separated by commas",
        ),
        (
            None,
            Some("192.0.2.1,here"),
            "metadata.annotations[metallb.io/loadBalancerIPs]: invalid requested IP `here`: write IP addresses separated by commas",
        ),
        (
            None,
            Some("192.0.2.1,192.0.2.1"),
            "metadata.annotations[metallb.io/loadBalancerIPs]: 192.0.2.1 is asked for twice: each address can be given once",
        ),
    ] {
        assert_eq!(service(field, list).as_deref(), Some(message));
    }
}
