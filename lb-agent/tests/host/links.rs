//! Links that change, or refuse, under a running agent.

use std::{collections::BTreeSet, fs, process::Command};

use nix::sys::signal::Signal;

use crate::node::{Node, in_device_filter, in_namespace, ip, joined, node_with_two_addresses, state};

fn setting(name: &str) -> String {
    let text = fs::read_to_string(format!("/proc/sys/net/ipv4/conf/{name}/arp_announce"));
    text.expect("readable").trim().to_owned()
}

/// Solicited-node groups of interface `name`.
fn groups(name: &str) -> usize {
    let text = fs::read_to_string("/proc/thread-self/net/igmp6").expect("readable");
    let mut found = BTreeSet::new();
    for line in text.lines() {
        let mut words = line.split_whitespace().skip(1);
        found.extend(
            words.next().filter(|word| *word == name).and(words.next()).filter(|word| word.contains("0001ff01")),
        );
    }
    found.len()
}

#[test]
fn interface_that_is_renamed_gets_its_setting_back() {
    in_namespace(|| {
        let mut node = node_with_two_addresses();
        let before = setting("eth0");
        node.start(&[]);
        node.until("the setting is made", || setting("eth0") == "2");
        ip("link set eth0 down");
        ip("link set eth0 name lan0");
        ip("link set lan0 up");
        node.until("the new name is seen", || state()["interfaces"][0]["name"] == "lan0" && state()["ready"] == true);

        node.end(Signal::SIGTERM);
        ip("link set lan0 down");
        ip("link set lan0 name lan1");
        ip("link set lan1 up");
        node.cleanup();

        assert_eq!(setting("lan1"), before);
    });
}

#[test]
fn interface_without_ipv6_is_reported_and_stops_no_other() {
    in_namespace(|| {
        ip("link add eth1 type veth peer name peer1");
        ip("address add 198.51.100.1/24 dev eth1");
        ip("link set eth1 up");
        ip("link set peer1 up");
        fs::write("/proc/sys/net/ipv6/conf/eth0/disable_ipv6", "1").expect("written");
        let mut node = Node::new();
        for last in 1..=50 {
            let name = format!("2001-0db8-0000-0000-0000-0000-0001-{last:04}");
            node.virtual_ip(&name, &format!("2001:db8::1:{last}"), "me");
        }
        node.start(&[]);

        node.until("the other interface has its groups", || groups("eth1") == 50);

        let reported = || state()["problems"].to_string().contains("join ff02::1:ff");
        node.until("the failure is reported", reported);
        node.until("everything is announced", || state()["announcing"] == 0);
        let (passes, began) = (state()["passes"].as_u64(), std::time::Instant::now());
        node.until("3 s have passed", || began.elapsed().as_secs() >= 3);
        assert!(reported(), "{}", state());
        let more = state()["passes"].as_u64().zip(passes).map(|(now, then)| now - then);
        // Nobody answers this node, so it listens ten times a second, and each address on each segment has its own timers.
        assert!(more < Some(400), "{more:?} passes in 3 s: it never comes to rest");
    });
}

#[test]
fn groups_stand_and_nothing_is_wrong_after_an_interface_was_down() {
    in_namespace(|| {
        let mut node = node_with_two_addresses();
        node.start(&[]);
        node.until("the group is joined", joined);
        ip("link set eth0 down");
        node.until("the agent sees it", || state()["interfaces"][0]["carrier"] == false);
        ip("link set eth0 up");
        node.until("the agent sees it again", || state()["interfaces"][0]["carrier"] == true);

        // The kernel takes the addresses away with the link and keeps the memberships.
        let seen = state()["passes"].as_u64();
        node.until("the groups were tried again", || state()["passes"].as_u64() > seen.map(|passes| passes + 3));
        assert_eq!(state()["problems"], serde_json::json!([]));
        assert!(joined() && in_device_filter());
    });
}

/// Who answers for `address`, asked from `interface`: one hardware address for each answer to two requests.
fn answers(interface: &str, address: &str) -> Vec<String> {
    let arguments = ["-c", "2", "-w", "2", "-I", interface, "-s", "192.0.2.9", address];
    let output = Command::new("arping").args(arguments).output().expect("iputils-arping is installed");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let macs = text.lines().filter_map(|line| line.split_once('[')?.1.split_once(']'));
    macs.map(|(mac, _)| mac.to_lowercase()).collect()
}

/// The program is on both and both see every request; the role of each decides. By tc, whose answers a veth passes on
/// without a program at its other end.
#[test]
fn of_two_interfaces_on_one_segment_one_answers_and_the_other_takes_over_with_the_link() {
    in_namespace(|| {
        let macs = ["02:00:00:00:00:0a", "02:00:00:00:00:0b"];
        ip("link set eth0 address 02:00:00:00:00:0a");
        ip("link add eth1 address 02:00:00:00:00:0b type veth peer name peer1");
        ip("link add peera type veth peer name peerb");
        ip("link add peers type bridge");
        ip("address add 192.0.2.2/24 dev eth1");
        ip("address add 192.0.2.9/32 dev peera");
        for port in ["peer0", "peer1", "peerb"] {
            ip(&format!("link set {port} master peers"));
        }
        for link in ["peers", "eth1", "peer1", "peera", "peerb"] {
            ip(&format!("link set {link} up"));
        }
        let mut node = Node::new();
        node.virtual_ip("192.0.2.100", "192.0.2.100", "me");
        node.start(&["--mode", "tc"]);
        node.until("the address is held", || state()["holds"] == serde_json::json!(["192.0.2.100"]));

        assert_eq!(answers("peera", "192.0.2.100"), [macs[0], macs[0]], "one answer to each request");

        ip("link set peer0 down");
        node.until("the agent sees it", || state()["interfaces"][0]["carrier"] == false);
        node.until("the other one has the role", || answers("peera", "192.0.2.100") == [macs[1], macs[1]]);
    });
}
