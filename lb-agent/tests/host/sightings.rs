//! What the agent hears of others who speak for its addresses.

use std::process::Command;

use nix::sys::signal::Signal;

use crate::node::{Node, get, in_namespace, ip};

/// Announces `address` out of `interface`, as an ordinary host does.
fn announce(interface: &str, address: &str) {
    let arguments = ["-A", "-c", "1", "-I", interface, "-s", address, address];
    // It waits for answers to nothing; what it sent is what matters.
    Command::new("arping").args(arguments).output().expect("iputils-arping is installed");
}

/// The sum of a metric's series whose labels contain `label`.
fn metric(name: &str, label: &str) -> u64 {
    let text = get("/metrics").expect("the agent serves its metrics");
    let series = text.lines().filter(|line| line.starts_with(name) && line.contains(label));
    series.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}

fn strangers() -> u64 {
    metric("herald_agent_events_total", "stranger")
}

#[test]
fn a_stranger_that_announces_our_address_is_told_and_an_agent_that_was_away_reads_it_later() {
    in_namespace(|| {
        let mut node = Node::new();
        node.virtual_ip("192.0.2.100", "192.0.2.100", "me");
        node.start_holding(&[], &["192.0.2.100"]);
        ip("address add 192.0.2.100/32 dev peer0");

        announce("peer0", "192.0.2.100");
        node.until("the agent is told", || strangers() >= 1);

        node.end(Signal::SIGKILL);
        announce("peer0", "192.0.2.100");
        node.start(&[]);
        node.until("what came meanwhile is read by the successor", || strangers() >= 1);
        assert_eq!(metric("herald_agent_events_lost_total", ""), 0);
    });
}

/// Two interfaces on one segment: what one announces, the other hears, and it is no stranger's.
#[test]
fn announcements_of_our_other_interface_are_our_own() {
    in_namespace(|| {
        ip("link add eth1 type veth peer name peer1");
        ip("link add peers type bridge");
        for port in ["peer0", "peer1"] {
            ip(&format!("link set {port} master peers"));
        }
        ip("address add 192.0.2.2/24 dev eth1");
        for link in ["peers", "eth1", "peer1"] {
            ip(&format!("link set {link} up"));
        }
        let mut node = Node::new();
        node.start(&[]);

        node.virtual_ip("192.0.2.100", "192.0.2.100", "me");

        let own = || metric("herald_agent_frames_total", "\"own_frame\"");
        node.until("the second interface hears the first", || own() >= 2);
        assert_eq!((strangers(), metric("herald_agent_frames_total", "\"arp_sighting\"")), (0, 0));
    });
}
