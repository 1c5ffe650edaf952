//! Makes the namespaces and wires them: `ip` in batches, because one process that does forty things is both quick and
//! the very tool a reader would use to look at the result.

use std::{
    fs,
    io::Write as _,
    net::IpAddr,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use nix::{
    mount::{MsFlags, mount},
    sys::statfs::{BPF_FS_MAGIC, statfs},
};

use super::{Host, INTERFACE, Lab, Namespace};
use crate::wait;

const LINK_UP: Duration = Duration::from_secs(10);

/// The name under `ip netns` of a part of a lab.
pub(super) fn netns_name(id: &str, part: &str) -> String {
    format!("{id}-{part}")
}

/// Creates the namespaces of all stations, of the switch and of the controller.
pub(super) fn create(id: &str, stations: &[&str]) -> anyhow::Result<()> {
    let lines = stations.iter().chain(&["switch", "control"]);
    batch(Command::new("ip"), lines.map(|part| format!("netns add {}", netns_name(id, part))))
}

/// Settings that must stand before a link comes up. Duplicate address detection would cost seconds, router
/// solicitations are noise in a capture, and `rp_filter` is inherited from the machine.
pub(super) fn quiet(netns: &Namespace) -> anyhow::Result<()> {
    for (path, value) in [
        ("ipv6/conf/default/accept_dad", "0"),
        ("ipv6/conf/default/dad_transmits", "0"),
        ("ipv6/conf/default/accept_ra", "0"),
        ("ipv6/conf/default/router_solicitations", "0"),
        ("ipv4/conf/all/rp_filter", "0"),
        ("ipv4/conf/default/rp_filter", "0"),
        ("ipv4/conf/all/arp_announce", "0"),
        ("ipv4/conf/default/arp_announce", "0"),
        ("ipv4/conf/all/arp_ignore", "0"),
        ("ipv4/conf/default/arp_ignore", "0"),
    ] {
        netns.set_sysctl(path, value)?;
    }
    Ok(())
}

/// Connects every station to the bridge and brings everything up.
pub(super) fn connect(lab: &Lab, snooping: bool) -> anyhow::Result<()> {
    let switch = &lab.switch;
    // The switch is a switch: it has no address and speaks no protocol.
    switch.set_sysctl("ipv6/conf/default/disable_ipv6", "1")?;
    let veths = lab.hosts().map(|host| {
        let (node, mac, name) = (host.netns.name(), host.mac, &host.name);
        format!("link add {INTERFACE} netns {node} address {mac} type veth peer name {name} netns {}", switch.name())
    });
    batch(Command::new("ip"), veths)?;

    let snooping = u8::from(snooping);
    let bridge = format!("link add br0 type bridge stp_state 0 forward_delay 0 mcast_snooping {snooping}");
    let ports = lab.hosts().map(|host| format!("link set {} master br0 up", host.name));
    let lines = [bridge].into_iter().chain(ports).chain(["link set br0 up".to_owned()]);
    batch(switch.command("ip"), lines)?;

    for host in lab.hosts() {
        batch(host.netns.command("ip"), host_lines(host))?;
    }
    for client in lab.clients.iter().chain(&lab.routers) {
        // XDP on the other side would see checksums that the sender left to hardware.
        run(client.netns.command("ethtool").args(["-K", INTERFACE, "tx", "off"]))?;
    }
    for router in &lab.routers {
        router.netns.set_sysctl("ipv4/ip_forward", "1")?;
        router.netns.set_sysctl("ipv6/conf/all/forwarding", "1")?;
    }
    batch(lab.control.command("ip"), ["link set lo up".to_owned()])?;
    lab.hosts().try_for_each(wait_until_up)
}

/// Puts addresses on `lo`.
pub(super) fn put_on_lo(netns: &Namespace, addresses: &[IpAddr]) -> anyhow::Result<()> {
    let lines = addresses.iter().map(|address| match address {
        IpAddr::V4(v4) => format!("address add {v4}/32 dev lo"),
        IpAddr::V6(v6) => format!("address add {v6}/128 dev lo nodad"),
    });
    batch(netns.command("ip"), lines)
}

/// Mounts bpffs if it is not there.
pub(super) fn mount_bpffs(at: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(at).with_context(|| format!("create {}", at.display()))?;
    if statfs(at).with_context(|| format!("look at {}", at.display()))?.filesystem_type() == BPF_FS_MAGIC {
        return Ok(());
    }
    mount(Some("bpf"), at, Some("bpf"), MsFlags::empty(), None::<&str>)
        .with_context(|| format!("mount bpffs at {}", at.display()))
}

/// The kernel notices a carrier up to a second late. IPv6 does nothing on a link before that: what says so is that the
/// link-local address exists and is not tentative.
fn wait_until_up(host: &Host) -> anyhow::Result<()> {
    let table = || host.netns.read("/proc/net/if_inet6").unwrap_or_default();
    wait::until(LINK_UP, format!("the link of {} to be up", host.name), || table().lines().any(is_ready_link_local))?;
    Ok(())
}

/// A line of `/proc/net/if_inet6`: address, index, prefix length, scope, flags, name.
fn is_ready_link_local(line: &str) -> bool {
    const TENTATIVE: u8 = 0x40;
    let fields: Vec<_> = line.split_whitespace().collect();
    let [address, _, _, _, flags, INTERFACE] = fields[..] else { return false };
    address.starts_with("fe80") && u8::from_str_radix(flags, 16).is_ok_and(|flags| flags & TENTATIVE == 0)
}

fn host_lines(host: &Host) -> Vec<String> {
    vec![
        "link set lo up".to_owned(),
        format!("address add {}/24 dev {INTERFACE}", host.v4),
        format!("address add {}/64 dev {INTERFACE} nodad", host.v6),
        format!("link set {INTERFACE} up"),
    ]
}

fn batch(mut ip: Command, lines: impl IntoIterator<Item = String>) -> anyhow::Result<()> {
    let input = lines.into_iter().map(|line| line + "\n").collect::<String>();
    ip.args(["-batch", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = ip.spawn().context("start ip")?;
    let mut stdin = child.stdin.take().expect("stdin was asked for");
    // `ip` ends early after an error; its own message is the better one.
    let written = stdin.write_all(input.as_bytes());
    drop(stdin);
    let output = child.wait_with_output().context("wait for ip")?;
    ensure!(output.status.success(), "ip -batch: {}\n{input}", String::from_utf8_lossy(&output.stderr).trim());
    written.context("write to ip")
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let output = command.output().with_context(|| format!("start {:?}", command.get_program()))?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_ready_when_its_own_link_local_address_is() {
        assert!(is_ready_link_local("fe8000000000000000484cfffe00000b 02 40 20 80     eth0"));
        assert!(!is_ready_link_local("fe8000000000000000484cfffe00000b 02 40 20 c0     eth0"));
        assert!(!is_ready_link_local("20010db8000200000000000000000011 02 40 00 80     eth0"));
        assert!(!is_ready_link_local("00000000000000000000000000000001 01 80 10 80       lo"));
    }
}
