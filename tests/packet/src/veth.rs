//! Two namespaces joined by a veth: `node` carries the program, `peer` sends frames and reads what comes back.
//!
//! Everything goes with the guard: the namespaces have no names and live no longer than the file descriptors that
//! hold them, and the pair dies with them.

use std::{
    fs::File,
    os::fd::AsRawFd,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, ensure};
use aya::{
    Ebpf,
    programs::{LinkOrder, TcAttachType, XdpMode, tc},
};
use lb_common::{abi::name, eth::Mac};
use nix::sched::{CloneFlags, setns, unshare};

use crate::{
    kernel::{Kernel, classifier, xdp},
    need,
    tap::Tap,
};

/// How long an answer may take; a frame that is not answered costs this much.
const PATIENCE: Duration = Duration::from_millis(50);
const INTERFACE: &str = "eth0";
const PEER_MAC: &str = "02:00:00:00:00:02";

/// How the program is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attach {
    /// In the driver.
    Native,
    /// On socket buffers.
    Generic,
    /// On tc ingress, by a tcx link.
    Tcx,
    /// On tc ingress, as a filter of the clsact qdisc.
    Clsact,
}

/// The pair alone, up and without addresses.
pub struct Pair {
    node: File,
    peer: File,
    /// The index of the node's end in its namespace.
    pub node_ifindex: u32,
    /// The index of the peer's end in its namespace.
    pub peer_ifindex: u32,
}

impl Pair {
    /// The name of either end in its namespace.
    pub const INTERFACE: &'static str = INTERFACE;

    /// Makes both namespaces and the pair.
    pub fn new(node_mac: Mac) -> Result<Self> {
        let (node, peer) = (namespace()?, namespace()?);
        let mac = node_mac.map(|byte| format!("{byte:02x}")).join(":");
        let peer_path = format!("/proc/{}/fd/{}", std::process::id(), peer.as_raw_fd());
        let node_ifindex = inside(&node, || {
            ip(&format!(
                "link add {INTERFACE} address {mac} type veth peer name {INTERFACE} address {PEER_MAC} netns {peer_path}"
            ))?;
            up_and_quiet()
        })?;
        let peer_ifindex = inside(&peer, up_and_quiet)?;
        Ok(Self { node, peer, node_ifindex, peer_ifindex })
    }

    /// Runs `work` in the node's namespace.
    pub fn in_node<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        inside(&self.node, work)
    }

    /// Runs `work` in the peer's namespace.
    pub fn in_peer<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        inside(&self.peer, work)
    }
}

/// The pair with someone to talk at the peer's end.
pub struct Veth {
    pair: Pair,
    tap: Tap,
    node_mac: Mac,
    /// The pass program at the peer's end, without which a veth drops what the other end sends by `XDP_TX`.
    _pass: Ebpf,
}

impl Veth {
    /// Makes the pair and opens a socket at the peer's end.
    pub fn new(node_mac: Mac) -> Result<Self> {
        let pair = Pair::new(node_mac)?;
        let (tap, pass) = pair.in_peer(|| Ok((Tap::open(INTERFACE)?, attach_pass()?)))?;
        Ok(Self { pair, tap, node_mac, _pass: pass })
    }

    /// The index of the node's end in its namespace.
    pub fn node_ifindex(&self) -> u32 {
        self.pair.node_ifindex
    }

    /// Attaches the responder to the node's end; it stays for as long as `kernel` lives.
    pub fn attach(&self, kernel: &mut Kernel, attach: Attach) -> Result<()> {
        let attach_tc = |kernel: &mut Kernel, options| -> Result<()> {
            classifier(&mut kernel.ebpf)?.attach_with_options(INTERFACE, TcAttachType::Ingress, options)?;
            Ok(())
        };
        self.pair.in_node(|| match attach {
            Attach::Native => attach_xdp(kernel, XdpMode::Driver),
            Attach::Generic => attach_xdp(kernel, XdpMode::Skb),
            Attach::Tcx => attach_tc(kernel, tc::TcAttachOptions::TcxOrder(LinkOrder::first())),
            Attach::Clsact => {
                tc::qdisc_add_clsact(INTERFACE)?;
                attach_tc(kernel, tc::TcAttachOptions::Netlink(tc::NlOptions::default()))
            }
        })
    }

    /// Gives the node's end both as ordinary addresses.
    pub fn own(&self, v4: [u8; 4], v6: [u8; 16]) -> Result<()> {
        let (v4, v6) = (std::net::Ipv4Addr::from(v4), std::net::Ipv6Addr::from(v6));
        self.pair.in_node(|| {
            std::fs::write(format!("/proc/sys/net/ipv6/conf/{INTERFACE}/disable_ipv6"), "0")?;
            ip(&format!("addr add {v4}/24 dev {INTERFACE}"))?;
            ip(&format!("addr add {v6}/64 dev {INTERFACE} nodad"))
        })
    }

    /// Sends one frame from the peer; the ARP reply or neighbour advertisement that the node sends back, if any.
    pub fn exchange(&self, frame: &[u8]) -> Result<Option<Vec<u8>>> {
        self.tap.drain()?;
        self.tap.send(frame)?;
        let deadline = Instant::now() + PATIENCE;
        while let Some(left) = deadline.checked_duration_since(Instant::now()) {
            let Some(received) = self.tap.receive(left)? else { return Ok(None) };
            if received.get(6..12) == Some(&self.node_mac) && is_answer(&received) {
                return Ok(Some(received));
            }
        }
        Ok(None)
    }
}

/// An ARP reply, a neighbour advertisement, or a datagram from an S-BFD reflector or to a BFD port, behind any tags. Read
/// without our parser.
fn is_answer(frame: &[u8]) -> bool {
    let mut at = 12;
    while matches!(frame.get(at..at + 2), Some([0x81, 0x00] | [0x88, 0xa8])) {
        at += 4;
    }
    match frame.get(at..at + 2) {
        Some([0x08, 0x06]) => frame.get(at + 9) == Some(&2),
        Some([0x08, 0x00]) => is_bfd(frame.get(at + 22..at + 26)),
        Some([0x86, 0xdd]) if frame.get(at + 8) == Some(&17) => is_bfd(frame.get(at + 42..at + 46)),
        Some([0x86, 0xdd]) => frame.get(at + 42) == Some(&136),
        _ => false,
    }
}

/// By the two ports: from 7784, or to 3784 or 4784.
fn is_bfd(ports: Option<&[u8]>) -> bool {
    matches!(ports, Some([0x1e, 0x68, ..] | [.., 0x0e, 0xc8] | [.., 0x12, 0xb0]))
}

/// A new network namespace, held by a file.
fn namespace() -> Result<File> {
    in_thread(|| {
        unshare(CloneFlags::CLONE_NEWNET).context("a new network namespace")?;
        File::open("/proc/thread-self/ns/net").context("holding the namespace")
    })
}

/// Runs `work` in a thread inside a namespace: namespaces belong to threads.
fn inside<T: Send>(namespace: &File, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    in_thread(|| {
        setns(namespace, CloneFlags::CLONE_NEWNET).context("entering a namespace")?;
        work()
    })
}

fn in_thread<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    std::thread::scope(|scope| {
        scope.spawn(work).join().map_err(|_panic| anyhow!("the thread in the namespace panicked"))?
    })
}

/// Brings the interface up without IPv6 (the kernel's own traffic would disturb the counters); its index.
fn up_and_quiet() -> Result<u32> {
    std::fs::write(format!("/proc/sys/net/ipv6/conf/{INTERFACE}/disable_ipv6"), "1")?;
    ip(&format!("link set {INTERFACE} up"))?;
    Ok(nix::net::if_::if_nametoindex(INTERFACE)?)
}

fn ip(arguments: &str) -> Result<()> {
    let status = Command::new("ip").args(arguments.split(' ')).status().context("running ip")?;
    ensure!(status.success(), "ip {arguments}: {status}");
    Ok(())
}

fn attach_xdp(kernel: &mut Kernel, mode: XdpMode) -> Result<()> {
    xdp(&mut kernel.ebpf, name::RESPONDER)?.attach(INTERFACE, mode)?;
    Ok(())
}

fn attach_pass() -> Result<Ebpf> {
    let object = need::object("lab.o").map_err(|missing| anyhow!("{missing:?}"))?;
    let mut ebpf = Ebpf::load_file(object)?;
    let pass = xdp(&mut ebpf, "lab_pass")?;
    pass.load()?;
    pass.attach(INTERFACE, XdpMode::Driver)?;
    Ok(ebpf)
}
