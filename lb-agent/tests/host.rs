//! The real binary in a network namespace of its own: what it changes on the host, what outlives it, and that
//! `cleanup` puts everything back, with and without its record.
//!
//! Needs root, a kernel with XDP on veth, and a BPF file system; skips and says so without root.

#![expect(clippy::print_stderr, reason = "a skip and a failed teardown are told to whoever runs the tests")]

use std::{
    collections::BTreeSet,
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sched::{CloneFlags, unshare},
    sys::signal::{Signal, kill},
    unistd::{Pid, getuid},
};

const LIMIT: Duration = Duration::from_secs(20);
const GROUP: &str = "ff0200000000000000000001ff000100";

/// Runs `test` on a thread with a network namespace of its own; the namespace goes with the last process in it.
fn in_namespace(test: fn()) {
    if !getuid().is_root() {
        let require = std::env::var_os("HERALD_REQUIRE").is_some_and(|value| value == "all");
        assert!(!require, "HERALD_REQUIRE=all: this test needs root");
        eprintln!("skipped: needs root for network namespaces and BPF");
        return;
    }
    let thread = thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace");
        ip("link set lo up");
        ip("link add eth0 type veth peer name peer0");
        ip("address add 192.0.2.1/24 dev eth0");
        ip("link set eth0 up");
        ip("link set peer0 up");
        test();
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

fn ip(arguments: &str) {
    let status = Command::new("ip").args(arguments.split(' ')).status().expect("ip is installed");
    assert!(status.success(), "ip {arguments}");
}

/// An agent's places, removed at the end whatever happened.
struct Node {
    directory: tempfile::TempDir,
    bpffs: PathBuf,
    agent: Option<Child>,
}

impl Node {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let directory = tempfile::tempdir().expect("a directory");
        fs::create_dir_all(directory.path().join("manifests/.herald/objects/virtualips/_")).expect("a directory");
        let bpffs = PathBuf::from(format!("/sys/fs/bpf/herald-test-{}-{number}", std::process::id()));
        Self { directory, bpffs, agent: None }
    }

    fn virtual_ip(&self, name: &str, address: &str, nodes: &str) {
        let text = format!(
            "apiVersion: lb.herald.dev/v1alpha1\nkind: VirtualIP\nmetadata:\n  name: \"{name}\"\nspec:\n  \
             address: \"{address}\"\n  pool: test\n  nodes: [{nodes}]\n  rankingKey: key\n"
        );
        let folder = self.directory.path().join("manifests/.herald/objects/virtualips/_");
        fs::write(folder.join(format!("{name}.yaml")), text).expect("written");
    }

    fn command(&self, subcommand: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lb-agent"));
        command.arg(subcommand).arg("--bpffs").arg(&self.bpffs).arg("--run-dir").arg(self.directory.path().join("run"));
        command
    }

    fn start(&mut self, more: &[&str]) {
        let mut command = self.command("run");
        command.arg("--manifests").arg(self.directory.path().join("manifests")).args(["--node", "me"]);
        command.args(["--exclude-interfaces", "lo,peer*"]).args(more);
        self.agent = Some(command.stderr(Stdio::inherit()).spawn().expect("started"));
        self.until("the agent is ready", || get("/readyz").is_some_and(|text| text.ends_with("ok\n")));
    }

    fn end(&mut self, signal: Signal) {
        let mut agent = self.agent.take().expect("running");
        let pid = Pid::from_raw(i32::try_from(agent.id()).expect("a pid"));
        kill(pid, signal).expect("signalled");
        agent.wait().expect("ended");
    }

    fn cleanup(&self) {
        assert!(self.command("cleanup").status().expect("started").success(), "cleanup failed");
    }

    fn until(&self, what: &str, mut condition: impl FnMut() -> bool) {
        let limit = Instant::now() + LIMIT;
        while !condition() {
            assert!(Instant::now() < limit, "not within {LIMIT:?}: {what}; state: {:?}", get("/state"));
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(mut agent) = self.agent.take() {
            agent.kill().and_then(|()| agent.wait()).map_or_else(|error| eprintln!("kill: {error}"), drop);
        }
        if self.bpffs.exists() {
            self.command("cleanup").status().map_or_else(|error| eprintln!("cleanup: {error}"), drop);
        }
    }
}

/// The answer's head and body, from the agent in this thread's namespace.
fn get(path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", 7480)).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: agent\r\nConnection: close\r\n\r\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    Some(text)
}

fn state() -> serde_json::Value {
    let text = get("/state").expect("the agent serves its state");
    let (_, body) = text.split_once("\r\n\r\n").expect("a body");
    serde_json::from_str(body).expect("JSON")
}

fn arp_announce() -> String {
    // Under /proc/sys/net is the calling thread's namespace.
    let text = fs::read_to_string("/proc/sys/net/ipv4/conf/eth0/arp_announce");
    text.expect("readable").trim().to_owned()
}

fn joined() -> bool {
    fs::read_to_string("/proc/thread-self/net/igmp6").expect("readable").contains(GROUP)
}

fn in_device_filter() -> bool {
    fs::read_to_string("/proc/thread-self/net/dev_mcast").expect("readable").contains("3333ff000100")
}

fn xdp_attached() -> bool {
    let output = Command::new("ip").args(["link", "show", "eth0"]).output().expect("ip is installed");
    String::from_utf8_lossy(&output.stdout).contains("xdp")
}

fn addresses() -> BTreeSet<String> {
    let output = Command::new("ip").args(["-o", "address", "show", "eth0"]).output().expect("ip is installed");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().filter_map(|line| line.split_whitespace().nth(3)).map(str::to_owned).collect()
}

fn node_with_two_addresses() -> Node {
    let node = Node::new();
    node.virtual_ip("192.0.2.100", "192.0.2.100", "me, other");
    node.virtual_ip("2001-0db8-0002-0000-0000-0000-0000-0100", "2001:db8:2::100", "other, me");
    node
}

#[test]
fn what_a_killed_agent_leaves_is_taken_up_and_cleanup_puts_everything_back() {
    in_namespace(|| {
        let before = (arp_announce(), addresses());
        let mut node = node_with_two_addresses();
        node.start(&[]);
        assert_eq!(state()["holds"], serde_json::json!(["192.0.2.100"]));
        assert_eq!(state()["entries"], 2);
        node.until("the group of an address we only stand by for is joined", || joined() && in_device_filter());
        assert_eq!(arp_announce(), "2");

        node.end(Signal::SIGKILL);
        assert!(joined() && in_device_filter() && xdp_attached(), "what must outlive the agent is gone");
        node.start(&[]);
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
        node.start(&["--lease", "2s"]);
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
        assert_eq!(state()["holds"], serde_json::json!(["192.0.2.100"]));
    });
}

#[test]
fn mode_changes_with_a_restart_and_the_reason_is_kept() {
    in_namespace(|| {
        let mut node = node_with_two_addresses();
        node.start(&[]);
        assert_eq!(state()["interfaces"][0]["attach"]["mode"], "Native");
        node.end(Signal::SIGTERM);

        node.start(&["--mode", "generic"]);

        assert_eq!(state()["interfaces"][0]["attach"]["mode"], "Generic");
        assert_eq!(state()["interfaces"][0]["attach"]["reason"], "forced by --mode generic");
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
