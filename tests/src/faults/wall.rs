//! What the switch does not forward between two of its ports: nftables in its namespace, replaced as a whole.
//!
//! Loss hits frames between nodes only: what a client asks and hears is the measure, and must not be hit itself.

use std::{fmt::Write as _, io::Write as _, process::Stdio};

use anyhow::{Context as _, ensure};

use super::log::{Fault, Node};
use crate::{lab::Lab, need::Need};

/// What [`raise`] needs.
pub(super) const NEEDS: Need = Need::Program("nft");

/// Lets through everything but what these faults stop.
pub(super) fn raise(lab: &Lab, faults: &[Fault]) -> anyhow::Result<()> {
    let rules = rules(lab.nodes.len(), faults);
    let mut nft = lab.switch.command("nft");
    nft.args(["-f", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = nft.spawn().context("start nft")?;
    let written = child.stdin.take().context("stdin was asked for")?.write_all(rules.as_bytes());
    let output = child.wait_with_output().context("wait for nft")?;
    ensure!(output.status.success(), "nft: {}\n{rules}", String::from_utf8_lossy(&output.stderr).trim());
    written.context("write to nft")
}

/// The rule set. Pure.
fn rules(nodes: usize, faults: &[Fault]) -> String {
    let mut rules = String::from("table bridge herald { }\ndelete table bridge herald\ntable bridge herald {\n");
    rules.push_str("  chain forward {\n    type filter hook forward priority 0; policy accept;\n");
    let mut drop = |from: &str, to: &str, when: &str| {
        writeln!(rules, "    iifname \"{from}\" oifname \"{to}\" {when}drop").expect("a String takes everything");
    };
    for fault in faults {
        match fault {
            Fault::Divided(left) => {
                let (here, there) = halves(nodes, left);
                for (from, to) in here.iter().flat_map(|from| there.iter().map(move |to| (from, to))) {
                    drop(from, to, "");
                    drop(to, from, "");
                }
            }
            Fault::OneWay(from, to) => drop(&port(*from), &port(*to), ""),
            Fault::Loss(percent) => drop("node-*", "node-*", &format!("numgen random mod 100 < {percent} ")),
            Fault::NodeDies(_)
            | Fault::LinkCut(_)
            | Fault::AgentKilled(_)
            | Fault::AgentStopped(_)
            | Fault::Drained(_)
            | Fault::Upgraded(_)
            | Fault::Stale(_)
            | Fault::Reranked(_)
            | Fault::Stalled => {}
        }
    }
    rules.push_str("  }\n}\n");
    rules
}

/// The ports of the two sides: the first client is with `left`, the second one with the others.
fn halves(nodes: usize, left: &[Node]) -> (Vec<String>, Vec<String>) {
    let (here, there): (Vec<Node>, Vec<Node>) = (0..nodes).partition(|node| left.contains(node));
    let side =
        |nodes: Vec<Node>, client: &str| nodes.into_iter().map(port).chain([client.to_owned()]).collect::<Vec<_>>();
    (side(here, "client-1"), side(there, "client-2"))
}

fn port(node: Node) -> String {
    format!("node-{}", node + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_halves_of_a_divided_segment_hear_nothing_of_each_other() {
        let rules = rules(3, &[Fault::Divided(vec![0])]);
        assert_eq!(rules.matches(" drop").count(), 2 * 2 * 3, "{rules}");
        assert!(rules.contains("iifname \"client-2\" oifname \"node-1\" drop"), "{rules}");
        assert!(!rules.contains("iifname \"client-1\" oifname \"node-1\""), "{rules}");
    }

    #[test]
    fn loss_spares_the_clients() {
        let rules = rules(3, &[Fault::Loss(20)]);
        assert!(rules.contains("iifname \"node-*\" oifname \"node-*\" numgen random mod 100 < 20 drop"), "{rules}");
    }
}
