//! Never clear in doubt: what an agent does about an address whose VirtualIP it does not see.

use std::fs;

use nix::sys::signal::Signal;

use crate::node::{BOTH, Node, in_namespace, node_with_two_addresses, state};

const FILE: &str = "manifests/.herald/objects/virtualips/_/192.0.2.100.yaml";

fn held(node: &Node) -> bool {
    node.until("the agent has seen everything", || state()["passes"].as_u64() > Some(1));
    state()["holds"] == serde_json::json!(BOTH) && state()["entries"] == 2
}

#[test]
fn agent_that_starts_while_a_file_does_not_parse_goes_on_answering() {
    in_namespace(|| {
        let mut node = node_with_two_addresses();
        node.start_holding(&[], &BOTH);
        node.end(Signal::SIGKILL);
        fs::write(node.directory.path().join(FILE), "spec: [").expect("written");

        node.start(&[]);

        assert!(held(&node), "{}", state());
        assert_eq!(state()["announcing"], 0, "the answer was interrupted");
    });
}

#[test]
fn agent_that_starts_without_any_virtual_ip_goes_on_answering_for_now() {
    in_namespace(|| {
        let mut node = node_with_two_addresses();
        node.start_holding(&[], &BOTH);
        node.end(Signal::SIGTERM);
        fs::remove_dir_all(node.directory.path().join("manifests/.herald")).expect("removed");

        node.start(&[]);

        assert!(held(&node), "{}", state());
    });
}

#[test]
fn virtual_ip_that_disappears_goes_on_being_answered_and_a_released_one_does_not() {
    in_namespace(|| {
        let mut node = node_with_two_addresses();
        node.start_holding(&[], &BOTH);
        let file = node.directory.path().join(FILE);
        let text = fs::read_to_string(&file).expect("readable");

        fs::remove_file(&file).expect("removed");
        node.virtual_ip("192.0.2.101", "192.0.2.101", "me");
        node.until("the edit is seen", || state()["entries"] == 3);
        let three = serde_json::json!(["192.0.2.100", "192.0.2.101", "2001:db8:2::100"]);
        node.until("the new one is held as well", || state()["holds"] == three);

        let released = text.replace("spec:", "spec:\n  phase: Released\n  releasedAt: \"2026-01-01T00:00:00Z\"");
        fs::write(&file, released.replace("nodes: [me, other]", "nodes: []")).expect("written");
        node.until("it is let go", || state()["holds"] == serde_json::json!(["192.0.2.101", "2001:db8:2::100"]));
        fs::remove_file(&file).expect("removed");
        node.until("nothing of it is kept", || state()["entries"] == 2);
    });
}
