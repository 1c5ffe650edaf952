//! An agent with its places in a namespace of its own, and what can be seen of it from outside.

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
pub(crate) fn in_namespace(test: fn()) {
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

pub(crate) fn ip(arguments: &str) {
    let status = Command::new("ip").args(arguments.split(' ')).status().expect("ip is installed");
    assert!(status.success(), "ip {arguments}");
}

/// An agent's places, removed at the end whatever happened.
pub(crate) struct Node {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) bpffs: PathBuf,
    pub(crate) agent: Option<Child>,
}

impl Node {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let directory = tempfile::tempdir().expect("a directory");
        fs::create_dir_all(directory.path().join("manifests/.herald/objects/virtualips/_")).expect("a directory");
        let bpffs = PathBuf::from(format!("/sys/fs/bpf/herald-test-{}-{number}", std::process::id()));
        Self { directory, bpffs, agent: None }
    }

    pub(crate) fn virtual_ip(&self, name: &str, address: &str, nodes: &str) {
        let text = format!(
            "apiVersion: lb.herald.dev/v1alpha1\nkind: VirtualIP\nmetadata:\n  name: \"{name}\"\nspec:\n  \
             address: \"{address}\"\n  pool: test\n  nodes: [{nodes}]\n  rankingKey: key\n"
        );
        let folder = self.directory.path().join("manifests/.herald/objects/virtualips/_");
        fs::write(folder.join(format!("{name}.yaml")), text).expect("written");
    }

    pub(crate) fn command(&self, subcommand: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lb-agent"));
        command.arg(subcommand).arg("--bpffs").arg(&self.bpffs).arg("--run-dir").arg(self.directory.path().join("run"));
        command
    }

    pub(crate) fn start(&mut self, more: &[&str]) {
        let mut command = self.command("run");
        command.arg("--manifests").arg(self.directory.path().join("manifests")).args(["--node", "me"]);
        command.args(["--exclude-interfaces", "lo,peer*"]).args(more);
        self.agent = Some(command.stderr(Stdio::inherit()).spawn().expect("started"));
        self.until("the agent is ready", || get("/readyz").is_some_and(|text| text.ends_with("ok\n")));
    }

    /// The same, and waits until it holds exactly these addresses.
    pub(crate) fn start_holding(&mut self, more: &[&str], addresses: &[&str]) {
        self.start(more);
        self.until("the addresses are held", || state()["holds"] == serde_json::json!(addresses));
    }

    pub(crate) fn end(&mut self, signal: Signal) {
        let mut agent = self.agent.take().expect("running");
        let pid = Pid::from_raw(i32::try_from(agent.id()).expect("a pid"));
        kill(pid, signal).expect("signalled");
        agent.wait().expect("ended");
    }

    pub(crate) fn cleanup(&self) {
        assert!(self.command("cleanup").status().expect("started").success(), "cleanup failed");
    }

    pub(crate) fn until(&self, what: &str, mut condition: impl FnMut() -> bool) {
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
pub(crate) fn get(path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", 7480)).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: agent\r\nConnection: close\r\n\r\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    Some(text)
}

pub(crate) fn state() -> serde_json::Value {
    let text = get("/state").expect("the agent serves its state");
    let (_, body) = text.split_once("\r\n\r\n").expect("a body");
    serde_json::from_str(body).expect("JSON")
}

pub(crate) fn arp_announce() -> String {
    // Under /proc/sys/net is the calling thread's namespace.
    let text = fs::read_to_string("/proc/sys/net/ipv4/conf/eth0/arp_announce");
    text.expect("readable").trim().to_owned()
}

pub(crate) fn joined() -> bool {
    fs::read_to_string("/proc/thread-self/net/igmp6").expect("readable").contains(GROUP)
}

pub(crate) fn in_device_filter() -> bool {
    fs::read_to_string("/proc/thread-self/net/dev_mcast").expect("readable").contains("3333ff000100")
}

pub(crate) fn xdp_attached() -> bool {
    let output = Command::new("ip").args(["link", "show", "eth0"]).output().expect("ip is installed");
    String::from_utf8_lossy(&output.stdout).contains("xdp")
}

pub(crate) fn addresses() -> BTreeSet<String> {
    let output = Command::new("ip").args(["-o", "address", "show", "eth0"]).output().expect("ip is installed");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().filter_map(|line| line.split_whitespace().nth(3)).map(str::to_owned).collect()
}

/// What a node with two addresses holds while it is alone: it is the second for one of them, and nobody is the first.
pub(crate) const BOTH: [&str; 2] = ["192.0.2.100", "2001:db8:2::100"];

pub(crate) fn node_with_two_addresses() -> Node {
    let node = Node::new();
    node.virtual_ip("192.0.2.100", "192.0.2.100", "me, other");
    node.virtual_ip("2001-0db8-0002-0000-0000-0000-0000-0100", "2001:db8:2::100", "other, me");
    node
}
