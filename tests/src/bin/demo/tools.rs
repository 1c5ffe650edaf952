//! The system's own tools, run on the client: arping, ndisc6, curl.

use std::{net::IpAddr, process::Command};

use anyhow::{Context as _, bail, ensure};
use lb_tests::{
    lab::{Host, INTERFACE},
    mac::Mac,
};

/// The hardware addresses that the tool of the address' family reports: one per answer.
pub(crate) fn resolve(client: &Host, address: IpAddr) -> anyhow::Result<Vec<Mac>> {
    let text = address.to_string();
    match address {
        IpAddr::V4(_) => {
            // Broadcast throughout: a second holder would answer too.
            let output =
                run(client.netns.command("arping").args(["-b", "-c", "2", "-w", "3", "-I", INTERFACE, &text]))?;
            macs_of_arping(&output)
        }
        IpAddr::V6(_) => {
            // -m: wait for more than one answer, for the same reason.
            let output = run(client.netns.command("ndisc6").args(["-m", "-w", "500", &text, INTERFACE]))?;
            macs_of_ndisc6(&output)
        }
    }
}

/// What the Service answers on this address.
pub(crate) fn page(client: &Host, address: IpAddr) -> anyhow::Result<String> {
    let url = match address {
        IpAddr::V4(v4) => format!("http://{v4}/"),
        IpAddr::V6(v6) => format!("http://[{v6}]/"),
    };
    run(client.netns.command("ip").args(["neigh", "flush", "dev", INTERFACE]))?;
    let page = run(client.netns.command("curl").args(["-sS", "--noproxy", "*", "--max-time", "5", &url]))?;
    Ok(page.trim().to_owned())
}

fn run(command: &mut Command) -> anyhow::Result<String> {
    let output = command.output().with_context(|| format!("start {:?}", command.get_program()))?;
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        bail!("{:?}: {}{stdout}", command.get_program(), String::from_utf8_lossy(&output.stderr));
    }
    Ok(stdout)
}

/// `Unicast reply from 192.0.2.100 [02:48:4C:00:00:0B]  0.630ms`
fn macs_of_arping(output: &str) -> anyhow::Result<Vec<Mac>> {
    let replies = output.lines().filter(|line| line.contains(" reply from "));
    let macs = replies.filter_map(|line| line.split_once('[')?.1.split_once(']'));
    let macs: Result<Vec<_>, _> = macs.map(|(mac, _)| mac.parse::<Mac>()).collect();
    non_empty(macs.context("read arping's output")?, output)
}

/// `Target link-layer address: 02:48:4C:00:00:0B`
fn macs_of_ndisc6(output: &str) -> anyhow::Result<Vec<Mac>> {
    let lines = output.lines().filter_map(|line| line.split_once("link-layer address: "));
    let macs: Result<Vec<_>, _> = lines.map(|(_, mac)| mac.trim().parse::<Mac>()).collect();
    non_empty(macs.context("read ndisc6's output")?, output)
}

fn non_empty(macs: Vec<Mac>, output: &str) -> anyhow::Result<Vec<Mac>> {
    ensure!(!macs.is_empty(), "no answer: {output}");
    Ok(macs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answers_of_both_tools_are_read() {
        let arping = "ARPING 192.0.2.100 from 192.0.2.201 eth0\n\
                      Unicast reply from 192.0.2.100 [02:48:4C:00:00:0B]  0.630ms\n\
                      Sent 1 probes (1 broadcast(s))\nReceived 1 response(s)\n";
        let ndisc6 = "Soliciting 2001:db8:2::100 (2001:db8:2::100) on eth0...\n\
                      Target link-layer address: 02:48:4C:00:00:0B\n from 2001:db8:2::100\n";
        let mac = Mac([2, 0x48, 0x4c, 0, 0, 0x0b]);
        assert_eq!(macs_of_arping(arping).unwrap(), [mac]);
        assert_eq!(macs_of_ndisc6(ndisc6).unwrap(), [mac]);
        assert!(macs_of_arping("Received 0 response(s)\n").is_err());
    }
}
