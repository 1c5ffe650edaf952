//! The table of compatibility has every field and annotation, and every test that it names exists.

use std::{collections::BTreeSet, fs, path::Path};

use serde_json::Value;

use super::definition;
use crate::names::{annotation, bgp_annotation};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

fn table() -> String {
    fs::read_to_string(format!("{ROOT}/docs/compatibility.md")).expect("is committed")
}

/// Every field below `schema`, but for what belongs to Kubernetes' own types.
fn fields(path: &str, schema: &Value, found: &mut BTreeSet<String>) {
    let items = schema.get("items").unwrap_or(schema);
    for (name, field) in items.get("properties").and_then(Value::as_object).into_iter().flatten() {
        let path = format!("{path}.{name}");
        let is_kubernetes = ["matchLabels", "lastTransitionTime"].iter().any(|known| {
            let inner = field.get("items").unwrap_or(field);
            inner.pointer(&format!("/properties/{known}")).is_some()
        });
        if !is_kubernetes {
            fields(&path, field, found);
        }
        found.insert(path);
    }
}

#[test]
fn every_field_and_annotation_is_in_the_table() {
    let table = table();
    let kinds = [
        "IPAddressPool",
        "L2Advertisement",
        "Community",
        "ConfigurationState",
        "ServiceL2Status",
        "MetalLoadBalancerClass",
        "BGPPeer",
        "BGPAdvertisement",
        "BFDProfile",
        "ServiceBGPStatus",
        "MetalLoadBalancerPool",
        "MetalLoadBalancerBGPPeer",
        "MetalLoadBalancerConfiguration",
    ];
    let mut wanted = BTreeSet::new();
    for kind in kinds {
        let tree = definition(kind);
        for part in ["spec", "status"] {
            let versions = tree["spec"]["versions"].as_array().into_iter().flatten();
            let stored = versions.into_iter().find(|version| version["storage"] == true).expect("one is stored");
            let schema = stored.pointer(&format!("/schema/openAPIV3Schema/properties/{part}"));
            fields(&format!("{kind}.{part}"), schema.expect("every kind has both"), &mut wanted);
        }
    }
    assert!(wanted.len() > 100, "{wanted:?}");
    let pairs = [
        annotation::METALLB_POOL,
        annotation::METALLB_IPS,
        annotation::METALLB_SHARED_IP,
        annotation::METALLB_FROM_POOL,
    ];
    wanted.extend(pairs.iter().flatten().map(|&name| name.to_owned()));
    let names = [
        annotation::IP_COUNT,
        annotation::DECKHOUSE_IP_COUNT,
        annotation::DECKHOUSE_CLASS,
        annotation::DECKHOUSE_POOL,
        annotation::DECKHOUSE_IPS,
        annotation::DECKHOUSE_SHARED_IP_KEY,
        annotation::DECKHOUSE_ALLOW_SHARED_IP,
    ];
    wanted.extend(names.map(str::to_owned));
    let of_bgp = [
        bgp_annotation::PASSIVE,
        bgp_annotation::TTL_SECURITY,
        bgp_annotation::TCP_AO_KEY_ID,
        bgp_annotation::BFD_AUTHENTICATION,
        bgp_annotation::BFD_KEY_ID,
        bgp_annotation::BFD_SECRET,
    ];
    wanted.extend(of_bgp.map(str::to_owned));
    let missing: Vec<&String> = wanted.iter().filter(|name| !table.contains(&format!("| `{name}` |"))).collect();
    assert!(missing.is_empty(), "without a row in docs/compatibility.md: {missing:?}");
}

fn tests_below(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            tests_below(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap_or_default();
            let functions = text.split("#[test]").skip(1).filter_map(|rest| rest.split_once("fn ")?.1.split_once('('));
            found.extend(functions.map(|(name, _)| name.to_owned()));
        }
    }
}

#[test]
fn every_test_that_the_table_names_exists() {
    let mut tests = BTreeSet::new();
    let crates = ["lb-api/src", "lb-plan/src", "lb-controller/src", "lb-controller/tests"];
    let suites = ["tests/tests", "tests/bgp/tests", "tests/kube/tests"];
    for folder in crates.into_iter().chain(suites) {
        tests_below(&Path::new(ROOT).join(folder), &mut tests);
    }
    let table = table();
    let rows = table.lines().filter(|line| line.starts_with("| `"));
    let named: Vec<&str> = rows.map(|row| row.rsplit('`').nth(1).expect("the last column names a test")).collect();
    assert!(named.len() > 60, "{}", named.len());
    let missing: Vec<&&str> = named.iter().filter(|name| !tests.contains(**name)).collect();
    assert!(missing.is_empty(), "named in docs/compatibility.md and nowhere else: {missing:?}");
}
