//! The network of a Pod that is not the node's: a namespace, a link to the node, and the Pod's addresses.
//!
//! ```text
//!  Pod: eth0 10.244.1.2/32, default via 169.254.1.1 ---- node: veth, 169.254.1.1; route 10.244.1.2 to it
//! ```
//!
//! Invariant: called on the runner's thread, which is in the node's namespace. The namespace's name begins with the
//! lab's id, so that it goes with the lab whatever happens.

use std::{
    net::{Ipv4Addr, Ipv6Addr},
    path::PathBuf,
    process::Command,
};

use anyhow::Context as _;
use lb_tests::lab::Namespace;

use super::Node;
use crate::net::batch;

/// Every node is this to its pods, on a link of its own for each.
const GATEWAY: &str = "169.254.1.1";
const GATEWAY_V6: &str = "fe80::1";
const NETNS_DIR: &str = "/run/netns";

/// A Pod's network; [`remove`](Self::remove) it.
#[derive(Debug)]
pub(super) struct Sandbox {
    netns: String,
    /// Its number among the node's pods.
    number: u8,
    pub(super) v4: Ipv4Addr,
    pub(super) v6: Ipv6Addr,
}

impl Sandbox {
    /// Makes it. `key` is unique among the node's pods and short: it names the link.
    pub(super) fn make(node: &Node, key: &str) -> anyhow::Result<Self> {
        let number = node.take_number().context("the node has no address left for a Pod")?;
        let (v4, v6) = node.ranges.pod(number);
        let sandbox = Self { netns: format!("{}-pod-{key}", node.lab), number, v4, v6 };
        match sandbox.connect(node, key) {
            Ok(()) => Ok(sandbox),
            Err(error) => {
                sandbox.remove(node);
                Err(error)
            }
        }
    }

    /// Where containers enter it.
    pub(super) fn file(&self) -> PathBuf {
        PathBuf::from(NETNS_DIR).join(&self.netns)
    }

    /// Removes it; a failure is told and nothing more: the lab's end removes what is left.
    pub(super) fn remove(&self, node: &Node) {
        if let Err(error) = batch(Command::new("ip"), [format!("netns delete {}", self.netns)]) {
            tracing::warn!("{error:#}");
        }
        node.give_number_back(self.number);
    }

    fn connect(&self, node: &Node, key: &str) -> anyhow::Result<()> {
        let (netns, v4, v6, link) = (&self.netns, self.v4, self.v6, format!("veth{key}"));
        batch(Command::new("ip"), [format!("netns add {netns}")])?;
        let inside = Namespace::open(netns)?;
        for (path, value) in [
            ("ipv6/conf/default/accept_dad", "0"),
            ("ipv6/conf/default/accept_ra", "0"),
            ("ipv6/conf/default/router_solicitations", "0"),
            ("ipv4/conf/all/rp_filter", "0"),
            ("ipv4/conf/default/rp_filter", "0"),
        ] {
            inside.set_sysctl(path, value)?;
        }
        let outside = [
            format!("link add {link} type veth peer name eth0 netns {netns}"),
            format!("address add {GATEWAY}/32 dev {link} scope link"),
            format!("address add {GATEWAY_V6}/64 dev {link} nodad"),
            format!("link set {link} up"),
            // The node speaks to its pods with its own address, or an answer would go to another node's gateway.
            format!("route add {v4}/32 dev {link} src {}", node.v4),
            format!("route add {v6}/128 dev {link}"),
        ];
        batch(Command::new("ip"), outside)?;
        let own = [
            "link set lo up".to_owned(),
            format!("address add {v4}/32 dev eth0"),
            format!("address add {v6}/128 dev eth0 nodad"),
            "link set eth0 up".to_owned(),
            format!("route add {GATEWAY}/32 dev eth0 scope link"),
            format!("route add default via {GATEWAY} dev eth0"),
            format!("route add ::/0 via {GATEWAY_V6} dev eth0"),
        ];
        batch(inside.command("ip"), own)
    }
}
