//! Unmodified clients beside the asker: a UDP flow, a TCP stream and new connections for each family, through the holder
//! to a server behind it. The nodes forward and translate nothing.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use anyhow::ensure;
use lb_tests::{
    flow::{Backend, Flow, Kind},
    lab::{Host, INTERFACE, Lab},
};
use serde::{Deserialize, Serialize};

/// The addresses of runs as prefixes: 192.0.2.32 to 159, and 2001:db8:2::100/120.
const V4: [&str; 3] = ["192.0.2.32/27", "192.0.2.64/26", "192.0.2.128/27"];
const V6: &str = "2001:db8:2::100/120";

/// What came of one flow.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Flowed {
    /// Datagrams, bytes or connections.
    pub(crate) asked: usize,
    pub(crate) answered: usize,
    /// The longest time between two answers, in microseconds.
    pub(crate) gap_us: u64,
    /// The stream was reset or closed.
    pub(crate) broken: bool,
}

/// The flows of a run, by name: `udp-v4`.
pub(crate) type All = BTreeMap<String, Flowed>;

/// The server, and the flows to it.
pub(crate) struct Flows {
    running: Vec<(String, Flow)>,
    _backends: Vec<Backend>,
}

/// Lets every node forward to the server, and the server take what is for the addresses of runs.
pub(crate) fn connect(lab: &Lab) -> anyhow::Result<()> {
    let server = server(lab);
    for node in &lab.nodes {
        for (setting, value) in [
            ("ipv4/ip_forward", "1"),
            ("ipv6/conf/all/forwarding", "1"),
            // The way through the node is longer than it must be, and it has to stay so.
            ("ipv4/conf/all/send_redirects", "0"),
            ("ipv4/conf/eth0/send_redirects", "0"),
        ] {
            node.netns.set_sysctl(setting, value)?;
        }
        V4.iter().try_for_each(|prefix| ip(node, &["route", "add", prefix, "via", &server.v4.to_string()]))?;
        ip(node, &["-6", "route", "add", V6, "via", &server.v6.to_string()])?;
    }
    // Local, and not answered for: that is the nodes' work.
    server.netns.set_sysctl("ipv4/conf/all/arp_ignore", "1")?;
    // A socket may be bound to an IPv6 address of a local prefix only so.
    server.netns.set_sysctl("ipv6/ip_nonlocal_bind", "1")?;
    V4.iter().try_for_each(|prefix| ip(server, &["route", "add", "local", prefix, "dev", "lo"]))?;
    ip(server, &["-6", "route", "add", "local", V6, "dev", "lo"])?;
    for setting in
        ["ipv4/conf/all/accept_redirects", "ipv4/conf/eth0/accept_redirects", "ipv6/conf/eth0/accept_redirects"]
    {
        lab.client().netns.set_sysctl(&setting.replace("eth0", INTERFACE), "0")?;
    }
    Ok(())
}

impl Flows {
    /// Starts every kind of flow to every address.
    pub(crate) fn start(lab: &Lab, addresses: &[IpAddr]) -> anyhow::Result<Self> {
        let backends =
            addresses.iter().map(|address| Backend::start(&server(lab).netns, *address)).collect::<Result<_, _>>()?;
        let mut running = Vec::new();
        for address in addresses {
            let family = if address.is_ipv4() { "v4" } else { "v6" };
            for (kind, name) in [(Kind::Udp, "udp"), (Kind::Tcp, "tcp"), (Kind::Connect, "connect")] {
                running.push((format!("{name}-{family}"), Flow::start(&lab.client().netns, *address, kind)?));
            }
        }
        Ok(Self { running, _backends: backends })
    }

    /// Ends them.
    pub(crate) fn finish(self) -> anyhow::Result<All> {
        let mut all = All::new();
        for (name, flow) in self.running {
            let flowed = flow.finish()?;
            let gap_us = u64::try_from(flowed.gap.min(Duration::from_secs(3600)).as_micros())?;
            let (asked, answered) = (flowed.asked, flowed.answered);
            all.insert(name, Flowed { asked, answered, gap_us, broken: flowed.broken });
        }
        Ok(all)
    }
}

/// The last client of the lab.
fn server(lab: &Lab) -> &Host {
    lab.clients.last().expect("the lab was built with two clients")
}

fn ip(host: &Host, arguments: &[&str]) -> anyhow::Result<()> {
    let output = host.netns.command("ip").args(arguments).output()?;
    ensure!(output.status.success(), "ip {arguments:?} on {}: {}", host.name, String::from_utf8_lossy(&output.stderr));
    Ok(())
}
