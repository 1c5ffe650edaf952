//! The lab: one Ethernet segment with nodes, clients and routers on it, made of network namespaces.
//!
//! ```text
//!  node-1   node-2   node-3    client-1   router-1      control (no link: the controller's)
//!   eth0     eth0     eth0       eth0       eth0
//!    |        |        |          |          |
//!  node-1   node-2   node-3   client-1   router-1       ports, each with a pass program
//!  +------------------ br0 ------------------------+    switch
//! ```
//!
//! Addresses: node *n* 192.0.2.(10+n) and 2001:db8:2::(10+n), clients from 201, routers from 251, all of one /24 and
//! one /64; so an address of the pool (100 to 150) is on-link for a client, and only ARP or NDP finds it.
//!
//! Labs stand side by side. A lab and everything in it goes with its value, on a panic too; what a killed owner leaves
//! is removed by [`sweep`], which every new lab runs first.

mod link;
mod netns;
mod owner;
mod ports;
mod process;

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::{Path, PathBuf},
};

use anyhow::Context as _;

pub use netns::Namespace;
pub use owner::sweep;
pub use process::Process;

use crate::{mac::Mac, need::workspace};

/// The interface of every station on the segment.
pub const INTERFACE: &str = "eth0";

/// What a lab consists of.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Nodes that may hold addresses.
    pub nodes: u8,
    /// Stations that ask for them.
    pub clients: u8,
    /// Stations that forward.
    pub routers: u8,
    /// Whether the switch filters multicast by who joined (MLD snooping).
    pub snooping: bool,
}

impl Default for Shape {
    fn default() -> Self {
        Self { nodes: 1, clients: 1, routers: 0, snooping: false }
    }
}

/// What a station is on the segment for. Its number is the hardware address' and the host address' base.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Node = 10,
    Client = 200,
    Router = 250,
}

/// One station on the segment.
#[derive(Debug, Clone)]
pub struct Host {
    /// Its name in the lab: `node-1`.
    pub name: String,
    /// Where it lives.
    pub netns: Namespace,
    /// The hardware address of its interface.
    pub mac: Mac,
    /// Its own IPv4 address.
    pub v4: Ipv4Addr,
    /// Its own IPv6 address.
    pub v6: Ipv6Addr,
}

/// A lab that stands.
#[derive(Debug)]
pub struct Lab {
    /// Nodes from `node-1`.
    pub nodes: Vec<Host>,
    /// Clients from `client-1`.
    pub clients: Vec<Host>,
    /// Routers from `router-1`.
    pub routers: Vec<Host>,
    /// A namespace without any link, for the controller.
    pub control: Namespace,
    /// The switch's namespace.
    pub switch: Namespace,
    ports: Option<ports::PassPrograms>,
    owner: owner::Owner,
}

impl Lab {
    /// Sweeps what dead labs left, then builds a new one.
    pub fn new(shape: Shape) -> anyhow::Result<Self> {
        sweep()?;
        let owner = owner::Owner::register()?;
        let id = owner.id().to_owned();
        Self::build(shape, owner).inspect_err(|_| report(owner::remove(&id)))
    }

    fn build(shape: Shape, owner: owner::Owner) -> anyhow::Result<Self> {
        let stations = stations(shape);
        let names: Vec<_> = stations.iter().map(|(_, name, _)| name.as_str()).collect();
        link::create(owner.id(), &names)?;
        let open = |name: &str| Namespace::open(&link::netns_name(owner.id(), name));
        let (mut nodes, mut clients, mut routers) = (Vec::new(), Vec::new(), Vec::new());
        for (kind, name, number) in &stations {
            let host = host(*kind, name, *number, open(name)?);
            link::quiet(&host.netns)?;
            match kind {
                Kind::Node => nodes.push(host),
                Kind::Client => clients.push(host),
                Kind::Router => routers.push(host),
            }
        }
        let lab =
            Self { nodes, clients, routers, control: open("control")?, switch: open("switch")?, ports: None, owner };
        link::connect(&lab, shape.snooping)?;
        Ok(lab)
    }

    /// The id that everything of this lab carries in its name.
    pub fn id(&self) -> &str {
        self.owner.id()
    }

    /// A folder for files; it goes with the lab.
    pub fn dir(&self) -> PathBuf {
        owner::dir(self.id())
    }

    /// The folder for the pins of a node's agent, on bpffs; it goes with the lab. Mounts bpffs if need be.
    pub fn bpffs(&self, node: &Host) -> anyhow::Result<PathBuf> {
        link::mount_bpffs(Path::new(owner::BPFFS))?;
        let parent = owner::pins(self.id());
        fs::create_dir_all(&parent).with_context(|| format!("create {}", parent.display()))?;
        Ok(parent.join(&node.name))
    }

    /// The client that most tests ask from.
    pub fn client(&self) -> &Host {
        self.clients.first().expect("this lab was built with a client")
    }

    /// The node with this hardware address.
    pub fn node_of(&self, mac: Mac) -> Option<&Host> {
        self.nodes.iter().find(|node| node.mac == mac)
    }

    /// Puts addresses on `lo` of every node, as kube-proxy in IPVS mode or a node-local server would.
    pub fn put_on_lo(&self, addresses: &[IpAddr]) -> anyhow::Result<()> {
        self.nodes.iter().try_for_each(|node| link::put_on_lo(&node.netns, addresses))
    }

    /// Attaches the pass program to the switch's ports: a frame that a node sends from XDP is delivered only to a
    /// veth that has a program of its own.
    pub fn attach_pass(&mut self) -> anyhow::Result<()> {
        let object = crate::herald::objects().join("lab.o");
        let ports: Vec<_> = self.hosts().map(|host| host.name.clone()).collect();
        self.ports = Some(ports::PassPrograms::attach(&self.switch, &object, &ports)?);
        Ok(())
    }

    /// Removes everything of a lab by its id alone, for a program that cannot wait for the value's end.
    pub fn remove(id: &str) -> anyhow::Result<()> {
        owner::remove(id)
    }

    /// Every station.
    pub fn hosts(&self) -> impl Iterator<Item = &Host> {
        self.nodes.iter().chain(&self.clients).chain(&self.routers)
    }

    /// The manifests that the demo and the suites start from.
    pub fn examples() -> PathBuf {
        workspace().join("deploy/examples")
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.ports = None;
        report(owner::remove(self.owner.id()));
    }
}

fn stations(shape: Shape) -> Vec<(Kind, String, u8)> {
    let of = |kind, what: &'static str, count| (1..=count).map(move |n| (kind, format!("{what}-{n}"), n));
    of(Kind::Node, "node", shape.nodes)
        .chain(of(Kind::Client, "client", shape.clients))
        .chain(of(Kind::Router, "router", shape.routers))
        .collect()
}

fn host(kind: Kind, name: &str, number: u8, netns: Namespace) -> Host {
    let last = kind as u8 + number;
    Host {
        name: name.to_owned(),
        netns,
        mac: Mac([0x02, 0x48, 0x4c, 0, 0, last]),
        v4: Ipv4Addr::new(192, 0, 2, last),
        // The number reads the same in both families: 2001:db8:2::11 is 192.0.2.11.
        v6: format!("2001:db8:2::{last}").parse().expect("a decimal number is a group of an address"),
    }
}

/// A drop cannot fail; the next sweep tries again.
fn report(removed: anyhow::Result<()>) {
    if let Err(error) = removed {
        tracing::warn!("{error:#}");
    }
}
