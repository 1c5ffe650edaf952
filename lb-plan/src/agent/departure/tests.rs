//! Every row of the decision, and node selection as the Kubernetes API reference defines it.

use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};

use super::*;

fn node(labels: &[(&str, &str)]) -> Node {
    let mut node = Node::default();
    node.metadata.name = Some("node-1".to_owned());
    node.metadata.labels = Some(labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect());
    node
}

/// A DaemonSet whose Pods have `spec`, as YAML would say it in JSON.
fn daemon_set(spec: &str) -> DaemonSet {
    let mut set = DaemonSet::default();
    let spec = serde_json::from_str(spec).expect("a spec of a Pod");
    set.spec.get_or_insert_default().template.spec = Some(spec);
    set
}

fn deleted() -> Option<Time> {
    Some(Time(Timestamp::UNIX_EPOCH))
}

fn lets_go(departure: Departure) -> bool {
    matches!(departure, Departure::LetGo(_))
}

const ANYWHERE: &str = r#"{"containers": []}"#;

#[test]
fn a_pod_that_is_replaced_hands_over() {
    let (node, set) = (node(&[]), daemon_set(ANYWHERE));
    assert!(!lets_go(judge(Answer::Found(&node), Answer::Found(&set))));
}

#[test]
fn who_cannot_ask_hands_over() {
    let (node, set) = (node(&[]), daemon_set(ANYWHERE));
    for (node, set) in [
        (Answer::Unknown, Answer::Unknown),
        (Answer::Found(&node), Answer::Unknown),
        (Answer::Unknown, Answer::Found(&set)),
    ] {
        assert!(!lets_go(judge(node, set)), "{node:?} {set:?}");
    }
}

#[test]
fn a_node_that_leaves_lets_go_whatever_the_daemon_set_is() {
    let mut leaving = node(&[]);
    leaving.metadata.deletion_timestamp = deleted();
    let set = daemon_set(ANYWHERE);
    for node in [Answer::Gone, Answer::Found(&leaving)] {
        for set in [Answer::Found(&set), Answer::Gone, Answer::Unknown] {
            assert!(lets_go(judge(node, set)), "{node:?} {set:?}");
        }
    }
}

#[test]
fn without_the_daemon_set_it_lets_go_whatever_the_node_is() {
    let node = node(&[]);
    let mut leaving = daemon_set(ANYWHERE);
    leaving.metadata.deletion_timestamp = deleted();
    for set in [Answer::Gone, Answer::Found(&leaving)] {
        for node in [Answer::Found(&node), Answer::Unknown] {
            assert!(lets_go(judge(node, set)), "{node:?} {set:?}");
        }
    }
}

#[test]
fn a_node_that_is_selected_no_more_lets_go() {
    let labelled = node(&[("pool", "edge"), ("disks", "4")]);
    let selector = |value: &str| format!(r#"{{"containers": [], "nodeSelector": {{"pool": "{value}"}}}}"#);
    let affinity = |terms: &str| {
        format!(
            r#"{{"containers": [], "affinity": {{"nodeAffinity":
                {{"requiredDuringSchedulingIgnoredDuringExecution": {{"nodeSelectorTerms": [{terms}]}}}}}}}}"#
        )
    };
    let expression = |key: &str, operator: &str, values: &str| {
        affinity(&format!(
            r#"{{"matchExpressions": [{{"key": "{key}", "operator": "{operator}", "values": [{values}]}}]}}"#
        ))
    };
    for (spec, wanted) in [
        (selector("edge"), true),
        (selector("core"), false),
        (expression("pool", "In", r#""core", "edge""#), true),
        (expression("pool", "In", r#""core""#), false),
        (expression("pool", "NotIn", r#""core""#), true),
        (expression("pool", "NotIn", r#""edge""#), false),
        // A label that is not there is in no set.
        (expression("zone", "NotIn", r#""a""#), true),
        (expression("zone", "In", r#""a""#), false),
        (expression("pool", "Exists", ""), true),
        (expression("zone", "Exists", ""), false),
        (expression("pool", "DoesNotExist", ""), false),
        (expression("zone", "DoesNotExist", ""), true),
        (expression("disks", "Gt", r#""3""#), true),
        (expression("disks", "Gt", r#""4""#), false),
        (expression("disks", "Lt", r#""5""#), true),
        (expression("pool", "Lt", r#""5""#), false),
        // Terms are alternatives; an empty one selects nothing.
        (affinity("{}"), false),
        (affinity(r#"{}, {"matchExpressions": [{"key": "pool", "operator": "Exists"}]}"#), true),
        (affinity(r#"{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["node-1"]}]}"#), true),
        (affinity(r#"{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["node-2"]}]}"#), false),
    ] {
        let set = daemon_set(&spec);
        assert_eq!(!lets_go(judge(Answer::Found(&labelled), Answer::Found(&set))), wanted, "{spec}");
    }
}
