//! FRR: zebra, bgpd and bfdd in a namespace, asked by `vtysh`.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::Context as _;
use lb_tests::{
    lab::{Host, Lab, Process},
    wait,
};
use serde_json::Value;

const DAEMONS: &str = "/usr/lib/frr";
const LIMIT: Duration = Duration::from_secs(20);

/// A running router.
#[derive(Debug)]
pub struct Frr {
    dir: PathBuf,
    bgpd: Process,
    bfdd: Process,
    _zebra: Process,
}

impl Frr {
    /// Starts a router whose whole configuration is `config`, and waits until it can be asked.
    pub fn start(lab: &Lab, host: &Host, config: &str) -> anyhow::Result<Self> {
        let dir = lab.dir().join(format!("frr-{}", host.name));
        fs::create_dir_all(&dir).with_context(|| format!("create {}", dir.display()))?;
        // Each daemon reads the lines that it knows and counts the rest as its fault, so each gets its own.
        fs::write(dir.join("zebra.conf"), "")?;
        fs::write(dir.join("bgpd.conf"), format!("frr defaults traditional\n{config}"))?;
        let bfd = config.split_once("\nbfd\n").map_or("", |(_, bfd)| bfd);
        fs::write(dir.join("bfdd.conf"), if bfd.is_empty() { String::new() } else { format!("bfd\n{bfd}") })?;
        fs::write(dir.join("vtysh.conf"), "")?;
        // The daemons give up root, and `vtysh` speaks only with their group.
        crate::read(Command::new("chown").args(["-R", "frr:frr"]).arg(&dir))?;
        let zebra = daemon(&dir, host, "zebra", &[])?;
        wait::until(LIMIT, "zebra's socket", || dir.join("zserv").exists())?;
        let bfdd = daemon(&dir, host, "bfdd", &["--bfdctl".as_ref(), dir.join("bfdd.sock").as_os_str()])?;
        let bgpd = daemon(&dir, host, "bgpd", &[])?;
        let mut frr = Self { dir, bgpd, bfdd, _zebra: zebra };
        let ready = wait::for_ok(LIMIT, "bgpd to answer", || {
            let running = frr.bgpd.must_run();
            running.and_then(|()| frr.json("show bgp summary json")).map(drop).map_err(|error| format!("{error:#}"))
        });
        ready.with_context(|| format!("{}\n{}", frr.bgpd.log_tail(), frr.bfdd.log_tail()))?;
        Ok(frr)
    }

    /// What a `show … json` command says.
    pub fn json(&self, command: &str) -> anyhow::Result<Value> {
        let daemon = if command.starts_with("show bfd") { "bfdd" } else { "bgpd" };
        let text = self.ask(daemon, &[command])?;
        serde_json::from_str(&text).with_context(|| format!("{command}: {text}"))
    }

    /// Gives bgpd commands, one after another.
    pub fn run(&self, commands: &[&str]) -> anyhow::Result<String> {
        self.ask("bgpd", commands)
    }

    /// Of one daemon: another one may be stopped.
    fn ask(&self, daemon: &str, commands: &[&str]) -> anyhow::Result<String> {
        let mut vtysh = Command::new("vtysh");
        vtysh.args(["-d", daemon]);
        vtysh.arg("--vty_socket").arg(&self.dir).arg("--config_dir").arg(&self.dir);
        for command in commands {
            vtysh.args(["-c", command]);
        }
        crate::read(&mut vtysh)
    }

    /// One neighbour, in bgpd's words.
    pub fn neighbour(&self, neighbour: &str) -> anyhow::Result<Value> {
        let all = self.json(&format!("show bgp neighbors {neighbour} json"))?;
        let found = all.as_object().and_then(|all| all.values().next()).cloned();
        found.with_context(|| format!("no neighbour {neighbour}: {all}"))
    }

    /// The state of a session, as `Established`.
    pub fn state(&self, neighbour: &str) -> anyhow::Result<String> {
        Ok(self.neighbour(neighbour)?["bgpState"].as_str().unwrap_or_default().to_owned())
    }

    /// The paths of one prefix; empty: the router does not know it.
    pub fn paths(&self, prefix: &str) -> anyhow::Result<Vec<Value>> {
        let family = if prefix.contains(':') { "ipv6" } else { "ipv4" };
        let all = self.json(&format!("show bgp {family} unicast {prefix} json"))?;
        Ok(all["paths"].as_array().cloned().unwrap_or_default())
    }

    /// How many prefixes a neighbour has told, of both families.
    pub fn received(&self, neighbour: &str) -> anyhow::Result<u64> {
        let neighbour = self.neighbour(neighbour)?;
        let families = neighbour["addressFamilyInfo"].as_object().cloned().unwrap_or_default();
        Ok(families.values().filter_map(|family| family["acceptedPrefixCounter"].as_u64()).sum())
    }

    /// BFD's peers, in bfdd's words.
    pub fn bfd(&self) -> anyhow::Result<Vec<Value>> {
        Ok(self.json("show bfd peers json")?.as_array().cloned().unwrap_or_default())
    }

    /// The process that speaks BGP.
    pub fn bgpd(&mut self) -> &mut Process {
        &mut self.bgpd
    }

    /// The process that speaks BFD.
    pub fn bfdd(&mut self) -> &mut Process {
        &mut self.bfdd
    }

    /// bfdd goes before everybody else (SCHED_FIFO), and with a share of real time, which only the root group of processor
    /// time has where groups have shares of it. Whether it could be moved there.
    pub fn as_on_a_router(&self) -> anyhow::Result<bool> {
        let pid = self.bfdd.pid().to_string();
        let moved = fs::write("/sys/fs/cgroup/cgroup.procs", &pid).is_ok();
        crate::read(Command::new("chrt").args(["--all-tasks", "--fifo", "--pid", "50", &pid]))?;
        Ok(moved)
    }

    /// Starts bgpd again, after its end.
    pub fn restart_bgpd(&mut self, host: &Host) -> anyhow::Result<()> {
        self.bgpd = daemon(&self.dir, host, "bgpd", &[])?;
        Ok(())
    }

    /// The end of bgpd's log, for a failure.
    pub fn log_tail(&self) -> String {
        self.bgpd.log_tail()
    }
}

fn daemon(dir: &Path, host: &Host, name: &str, more: &[&OsStr]) -> anyhow::Result<Process> {
    let mut command = host.netns.command(Path::new(DAEMONS).join(name));
    let path = |file: &str| dir.join(file);
    command.arg("--config_file").arg(path(&format!("{name}.conf")));
    command.arg("--pid_file").arg(path(&format!("{name}.pid")));
    command.arg("--socket").arg(path("zserv")).arg("--vty_socket").arg(dir);
    command.args(["--vty_port", "0", "--user", "frr", "--group", "frr", "--log", "stdout"]);
    if name == "bgpd" {
        command.args(["--bgp_port", "179"]);
    }
    command.args(more);
    Process::start(&format!("{name} on {}", host.name), command, &path(&format!("{name}.log")))
}

/// A configuration of bgpd: its AS, and for each neighbour its address, its AS, and more lines about it, in which
/// `NEIGHBOUR` stands for `neighbor <address>`. Both families are active with everyone.
pub fn bgpd(asn: u32, neighbours: &[(&str, u32, &str)]) -> String {
    let mut lines = format!(
        "router bgp {asn}\n no bgp ebgp-requires-policy\n no bgp default ipv4-unicast\n no bgp network import-check\n"
    );
    for (address, peer_as, more) in neighbours {
        lines += &format!(" neighbor {address} remote-as {peer_as}\n neighbor {address} timers connect 1\n");
        lines += &more.replace("NEIGHBOUR", &format!(" neighbor {address}"));
    }
    for family in ["ipv4", "ipv6"] {
        lines += &format!(" address-family {family} unicast\n");
        neighbours.iter().for_each(|(address, ..)| lines += &format!("  neighbor {address} activate\n"));
        lines += " exit-address-family\n";
    }
    lines
}
