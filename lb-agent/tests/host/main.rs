//! The real binary in a network namespace of its own: what it changes on the host, what outlives it, and that
//! `cleanup` puts everything back, with and without its record.
//!
//! Needs root, a kernel with XDP on veth, and a BPF file system; skips and says so without root.

#![expect(clippy::print_stderr, reason = "a skip and a failed teardown are told to whoever runs the tests")]

mod doubt;
mod links;
mod node;
mod sightings;
mod tc;

use std::{
    fs,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use node::{
    BOTH, addresses, arp_announce, in_device_filter, in_namespace, ip, joined, node_with_two_addresses, state,
    xdp_attached,
};

#[test]
fn what_a_killed_agent_leaves_is_taken_up_and_cleanup_puts_everything_back() {
    in_namespace(|| {
        let before = (arp_announce(), addresses());
        let mut node = node_with_two_addresses();
        node.start_holding(&[], &BOTH);
        assert_eq!(state()["entries"], 2);
        node.until("the announcements end", || state()["announcing"] == 0);
        node.until("the group is joined", || joined() && in_device_filter());
        assert_eq!(arp_announce(), "2");

        node.end(Signal::SIGKILL);
        assert!(joined() && in_device_filter() && xdp_attached(), "what must outlive the agent is gone");
        node.start(&[]);
        assert_eq!(state()["holds"], serde_json::json!(BOTH), "at once: they were answered all the time");
        assert_eq!(state()["lease"]["epoch"], 1, "a restart within the lease keeps the epoch");
        assert_eq!(state()["announcing"], 0, "nothing was newly taken");

        node.end(Signal::SIGTERM);
        assert!(xdp_attached(), "a hand-over leaves the program");
        node.cleanup();
        assert_eq!((arp_announce(), addresses()), before);
        assert!(!joined() && !in_device_filter() && !xdp_attached() && !node.bpffs.exists());
    });
}

#[test]
fn cleanup_without_its_record_undoes_what_it_can_recognise() {
    in_namespace(|| {
        let before = addresses();
        let mut node = node_with_two_addresses();
        node.start(&[]);
        node.until("the group is joined", joined);
        node.end(Signal::SIGKILL);
        fs::remove_file(node.directory.path().join("run/undo.json")).expect("there was a record");

        node.cleanup();

        assert_eq!(addresses(), before);
        assert!(!joined() && !xdp_attached() && !node.bpffs.exists());
    });
}

#[test]
fn release_leaves_nothing_and_takes_the_name_out_of_the_status() {
    in_namespace(|| {
        let before = (arp_announce(), addresses());
        let mut node = node_with_two_addresses();
        node.start(&["--on-term", "release"]);
        let status = node.directory.path().join("manifests/.herald/status.me/virtualips/_/192.0.2.100.yaml");
        node.until("the holder names itself", || fs::read_to_string(&status).is_ok_and(|text| text.contains("holder")));

        node.end(Signal::SIGTERM);

        assert_eq!((arp_announce(), addresses()), before);
        assert!(!xdp_attached() && !node.bpffs.exists());
        let left = fs::read_to_string(&status).unwrap_or_default();
        assert!(!left.contains("holder"), "{left}");
    });
}

#[test]
fn lease_that_ran_out_starts_a_new_epoch() {
    in_namespace(|| {
        let mut node = node_with_two_addresses();
        node.start_holding(&["--lease", "2s"], &BOTH);
        let agent = Pid::from_raw(i32::try_from(node.agent.as_ref().expect("running").id()).expect("a pid"));
        kill(agent, Signal::SIGSTOP).expect("stopped");
        let stopped = Instant::now();
        // Past the lease by the clock that counts; nothing else tells from outside.
        node.until("the lease has run out", || stopped.elapsed() > Duration::from_millis(2_500));
        kill(agent, Signal::SIGCONT).expect("continued");

        node.until("the lease is held in a new epoch", || {
            let lease = &state()["lease"];
            lease["epoch"] == 2 && lease["state"] == "Held"
        });
        node.until("the addresses are held again", || state()["holds"] == serde_json::json!(BOTH));
    });
}

#[test]
fn interface_that_is_made_again_is_attached_again() {
    in_namespace(|| {
        let mut node = node_with_two_addresses();
        node.start(&[]);
        ip("link delete eth0");
        ip("link add eth0 type veth peer name peer0");
        ip("link set eth0 up");
        ip("link set peer0 up");

        node.until("attached to the new interface", xdp_attached);
        node.until("ready", || state()["ready"] == true && state()["problems"] == serde_json::json!([]));
        assert_eq!(arp_announce(), "2");
    });
}
