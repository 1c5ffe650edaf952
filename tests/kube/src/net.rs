//! Links and routes that a cluster needs besides the lab's: the control plane's link to the segment, and the way to
//! the pods of each node.
//!
//! ```text
//!  pod 10.244.1.2 -- veth -- node-1 192.0.2.11 --+
//!  pod 10.244.2.2 -- veth -- node-2 192.0.2.12 --+-- the lab's switch -- control 192.0.2.5
//! ```
//!
//! There is no overlay: who wants a pod routes by the address of its node, and the answer finds its way back.

use std::{
    io::Write as _,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use lb_tests::lab::{Host, INTERFACE, Lab, Namespace};

use crate::plane::{ADDRESS, ADDRESS_V6};

/// What pods' addresses are taken from.
pub(crate) const POD_RANGES: &str = "10.244.0.0/16,fd00:244::/56";
/// What ClusterIPs are taken from, by family.
pub(crate) const SERVICE_RANGES: (&str, &str) = ("10.96.0.0/16", "fd00:96::/108");
/// The switch's end of the control plane's link.
const PORT: &str = "control";
const CONNECT: Duration = Duration::from_secs(1);

/// The ranges of one node's pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PodRanges(u8);

impl PodRanges {
    /// Of the node with this number, from 1.
    pub(crate) const fn of(number: u8) -> Self {
        Self(number)
    }

    pub(crate) fn v4(self) -> String {
        format!("10.244.{}.0/24", self.0)
    }

    pub(crate) fn v6(self) -> String {
        format!("fd00:244:0:{:x}::/64", self.0)
    }

    /// The addresses of a pod by its number on the node, from 2.
    pub(crate) fn pod(self, number: u8) -> (Ipv4Addr, Ipv6Addr) {
        let (node, pod) = (u16::from(self.0), u16::from(number));
        (Ipv4Addr::new(10, 244, self.0, number), Ipv6Addr::new(0xfd00, 0x244, 0, node, 0, 0, 0, pod))
    }
}

/// Nodes of a lab with their pods' ranges.
pub(crate) fn nodes(lab: &Lab) -> impl Iterator<Item = (&Host, PodRanges)> {
    lab.nodes.iter().zip((1..).map(PodRanges::of))
}

/// Gives the control namespace a link to the segment, with the API server's addresses on it, and a way to all pods.
pub(crate) fn connect_control(lab: &Lab) -> anyhow::Result<()> {
    let (control, switch) = (&lab.control, &lab.switch);
    for (path, value) in [
        ("ipv6/conf/default/accept_dad", "0"),
        ("ipv6/conf/default/accept_ra", "0"),
        ("ipv6/conf/default/router_solicitations", "0"),
        ("ipv4/conf/all/rp_filter", "0"),
        ("ipv4/conf/default/rp_filter", "0"),
    ] {
        control.set_sysctl(path, value)?;
    }
    let (inside, outside) = (control.name(), switch.name());
    let link = format!("link add {INTERFACE} netns {inside} type veth peer name {PORT} netns {outside}");
    batch(Command::new("ip"), [link])?;
    batch(switch.command("ip"), [format!("link set {PORT} master br0 up")])?;
    let own = [
        format!("address add {ADDRESS}/24 dev {INTERFACE}"),
        format!("address add {ADDRESS_V6}/64 dev {INTERFACE} nodad"),
        format!("link set {INTERFACE} up"),
    ];
    batch(control.command("ip"), own.into_iter().chain(nodes(lab).flat_map(routes)))
}

/// Lets a node forward, and tells it the way to the other nodes' pods.
pub(crate) fn connect_node(lab: &Lab, node: &Host) -> anyhow::Result<()> {
    node.netns.set_sysctl("ipv4/ip_forward", "1")?;
    node.netns.set_sysctl("ipv6/conf/all/forwarding", "1")?;
    // kube-proxy rewrites what goes to a ClusterIP, but only what the kernel has a route for gets that far.
    let services = [
        format!("route add {} dev {INTERFACE}", SERVICE_RANGES.0),
        format!("route add {} dev {INTERFACE}", SERVICE_RANGES.1),
    ];
    let others = nodes(lab).filter(|(other, _)| other.name != node.name);
    batch(node.netns.command("ip"), services.into_iter().chain(others.flat_map(routes)))
}

fn routes((node, ranges): (&Host, PodRanges)) -> [String; 2] {
    [
        format!("route add {} via {} dev {INTERFACE}", ranges.v4(), node.v4),
        format!("route add {} via {} dev {INTERFACE}", ranges.v6(), node.v6),
    ]
}

/// Whether somebody listens.
pub(crate) fn connects(from: &Namespace, to: SocketAddr) -> anyhow::Result<()> {
    let connected = from.run(|| TcpStream::connect_timeout(&to, CONNECT))?;
    connected.map(drop).with_context(|| format!("connect to {to} in {}", from.name()))
}

/// Runs many lines of `ip` as one process.
pub(crate) fn batch(mut ip: Command, lines: impl IntoIterator<Item = String>) -> anyhow::Result<()> {
    let input = lines.into_iter().map(|line| line + "\n").collect::<String>();
    ip.args(["-batch", "-"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = ip.spawn().context("start ip")?;
    let mut stdin = child.stdin.take().context("ip was started with a pipe")?;
    // `ip` ends early after an error; its own message is the better one.
    let written = stdin.write_all(input.as_bytes());
    drop(stdin);
    let output = child.wait_with_output().context("wait for ip")?;
    ensure!(output.status.success(), "ip -batch: {}\n{input}", String::from_utf8_lossy(&output.stderr).trim());
    written.context("write to ip")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_is_in_its_nodes_range() {
        let ranges = PodRanges::of(3);
        assert_eq!((ranges.v4().as_str(), ranges.v6().as_str()), ("10.244.3.0/24", "fd00:244:0:3::/64"));
        let (v4, v6) = ranges.pod(2);
        assert_eq!((v4.to_string().as_str(), v6.to_string().as_str()), ("10.244.3.2", "fd00:244:0:3::2"));
    }
}
