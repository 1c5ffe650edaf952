//! The agent works with exactly the capabilities that its DaemonSet names, and each one is needed.
//!
//! Agents are started directly, so that one that ends is seen to end. `setpriv` takes capabilities out of the bounding
//! set, which is what a container runtime does.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use anyhow::{Context as _, ensure};
use lb_tests::{
    herald, http,
    lab::{Host, Lab, Process, Shape},
    need::{self, Need},
    wait,
};
use lb_tests_kube::install;

const START: Duration = Duration::from_secs(60);
const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 7480);

/// What the DaemonSet names.
fn named() -> anyhow::Result<Vec<String>> {
    let file = install::folder("base").join("agent.yaml");
    let text = fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
    ensure!(text.contains("drop: [ALL]"), "the DaemonSet drops all first");
    let line = text.lines().find_map(|line| line.trim().strip_prefix("add: [")?.strip_suffix(']'));
    let names = line.context("the DaemonSet adds capabilities in one line")?.split(", ");
    Ok(names.map(str::to_owned).collect())
}

/// An agent with these capabilities and no others.
fn start(lab: &Lab, node: &Host, capabilities: &[String]) -> anyhow::Result<Process> {
    let folder = lab.dir().join("agent");
    let manifests = folder.join("manifests");
    fs::create_dir_all(&manifests)?;
    let set = capabilities.iter().map(|name| format!(",+{}", name.to_lowercase())).collect::<String>();
    let mut command = node.netns.command("setpriv");
    command.args(["--inh-caps=-all", &format!("--bounding-set=-all{set}")]).arg(herald::program("lb-agent"));
    command.args(["run", "--node", &node.name, "--listen", &LISTEN.to_string(), "--on-term", "release"]);
    command.arg("--manifests").arg(manifests).arg("--run-dir").arg(folder.join("run"));
    command.arg("--bpffs").arg(lab.bpffs(node)?);
    let log: PathBuf = folder.join(format!("log{set}"));
    Process::start(&format!("an agent with {capabilities:?}"), command, &log)
}

#[test]
fn an_agent_works_with_the_named_capabilities_and_with_none_less() -> anyhow::Result<()> {
    if !need::met(&[herald::agent_needs(), vec![Need::Program("setpriv")]].concat()) {
        return Ok(());
    }
    let mut lab = Lab::new(Shape { nodes: 1, ..Shape::default() })?;
    lab.attach_pass()?;
    let node = lab.nodes.first().context("a node")?.clone();
    let named = named()?;
    assert_eq!(named, ["BPF", "NET_ADMIN", "NET_RAW", "PERFMON"], "docs/privileges.md says why each");

    let mut whole = start(&lab, &node, &named)?;
    wait::for_ok(START, "the agent to be ready", || {
        whole.must_run()?;
        http::get(&node.netns, LISTEN, "/readyz")
    })?;
    ensure!(whole.term(START)?.success(), "{}", whole.log_tail());

    // What is said is what the table of docs/privileges.md says.
    for (without, words) in [
        ("BPF", "failed to create map"),
        ("NET_ADMIN", "the BPF_PROG_LOAD syscall returned Operation not permitted"),
        ("NET_RAW", "open the packet socket for announcements"),
        (
            "PERFMON",
            "the kernel's verifier refused the responder: the BPF_PROG_LOAD syscall returned Permission denied",
        ),
    ] {
        let less: Vec<_> = named.iter().filter(|name| *name != without).cloned().collect();
        let mut agent = start(&lab, &node, &less)?;
        let status = agent.wait(START).with_context(|| format!("without {without}"))?;
        ensure!(status.code() == Some(1), "without {without}: {status}");
        ensure!(agent.log().contains(words), "without {without}: {}", agent.log_tail());
    }
    Ok(())
}
