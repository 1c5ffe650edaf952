//! Faults with a name: each with its addresses of its own, so that no move of an earlier one counts, and with the order
//! in which the nodes have to answer.

use std::{collections::BTreeMap, fmt, net::IpAddr, time::Duration};

use anyhow::{Context as _, ensure};

use super::{
    account::{Account, Kind, account},
    log::{Bounds, Fault, Node},
    plan::Step,
    stage::{NODES, Stage},
};

/// Addresses of a scene, half of them IPv6.
const ADDRESSES: usize = 8;
/// Questions a second, for each client and family.
const RATE: u32 = 500;
/// Until all is as it was: a hold-down, and the refresh of a holder.
const SETTLE: Duration = Duration::from_secs(8);

/// A scene.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Scene {
    /// Two halves, that come together.
    Division,
    /// The standby does not hear the holder.
    HolderNotHeard,
    /// The holder does not hear the standby.
    HolderDeaf,
    /// The holder is stopped past its lease, and goes on.
    StoppedPastLease,
    /// Two standbys that both are next, one of them by an old ranking, and take in the same moment.
    TwoClaims,
    /// The holder goes by an old ranking, while another node is first.
    StaleHolder,
}

/// What came of a scene.
#[derive(Debug)]
pub struct Played {
    /// Every second of it.
    pub account: Account,
    /// Who answered, for each client and address.
    pub orders: Vec<(usize, IpAddr, Vec<Node>)>,
}

impl fmt::Display for Played {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (kind, what) in [(Kind::Silence, "silent"), (Kind::Overlap, "two")] {
            for (why, (count, most)) in self.account.longest(kind) {
                write!(f, "{what} by {}: {count}, up to {most:.0?}; ", why.word())?;
            }
        }
        // Addresses that went the same way, together.
        let mut ways: BTreeMap<(usize, &[Node]), usize> = BTreeMap::new();
        self.orders.iter().for_each(|(client, _, order)| *ways.entry((*client, order.as_slice())).or_default() += 1);
        for ((client, order), count) in ways {
            let names: Vec<_> = order.iter().map(|node| format!("node-{}", node + 1)).collect();
            write!(f, "client-{} saw {} of {count}; ", client + 1, names.join(" > "))?;
        }
        Ok(())
    }
}

impl Scene {
    /// Plays it on addresses of its own, of which `node` is the first. Fails if a second of it is not accounted for, if
    /// others answered than should, or if there is not one holder in the end.
    pub fn play(self, stage: &mut Stage, node: Node, bounds: &Bounds) -> anyhow::Result<Played> {
        stage.take(ADDRESSES, |_| self.ranking(node))?;
        let steps = self.steps(node, bounds.lease);
        let last = steps.iter().map(|step| step.at + step.lasts).max().unwrap_or_default();
        let seen = stage.perform(&steps, last + SETTLE, RATE)?;
        stage.give_back()?;
        let account = account(&seen.lines, &seen.log, bounds, NODES, &seen.span);
        account.verdict(&seen.log, seen.span.start).with_context(|| format!("{self:?} of node-{}", node + 1))?;
        for line in &seen.lines {
            let (address, client) = (line.address, line.client + 1);
            ensure!(
                line.last_holder().is_some(),
                "{self:?}: {address} has not one holder at client-{client} in the end"
            );
        }
        let orders: Vec<_> = seen.lines.iter().map(|line| (line.client, line.address, line.order())).collect();
        for (client, address, order) in &orders {
            let shown = || format!("{self:?} of node-{}: {address} at client-{}: {order:?}", node + 1, client + 1);
            ensure!(order.first() == Some(&node), "{}: {node} has to be the first", shown());
            ensure!(order.iter().all(|who| self.may_answer(node).contains(who)), "{}: nobody else may", shown());
            ensure!(order.len() > 1 || !self.moves(*client), "{}: it has to move", shown());
        }
        Ok(Played { account, orders })
    }

    /// What happens to addresses of which `node` is the first.
    fn steps(self, node: Node, lease: Duration) -> Vec<Step> {
        let [next, third] = [1, 2].map(|rank| (node + rank) % NODES);
        let step = |at: u64, lasts: Duration, fault| Step { at: Duration::from_secs(at), lasts, fault };
        let long = Duration::from_secs(6);
        match self {
            Self::Division => {
                let mut half = vec![node, third];
                half.sort_unstable();
                vec![step(1, long / 2, Fault::Divided(half))]
            }
            Self::HolderNotHeard => vec![step(1, long, Fault::OneWay(node, next))],
            Self::HolderDeaf => vec![step(1, long, Fault::OneWay(next, node))],
            Self::StoppedPastLease => vec![step(1, lease * 2, Fault::AgentStopped(node))],
            Self::TwoClaims => vec![
                step(1, long + long, Fault::Stale(third)),
                step(2, Duration::ZERO, Fault::Reranked(1)),
                step(4, long, Fault::NodeDies(node)),
            ],
            Self::StaleHolder => {
                vec![step(1, long, Fault::Stale(node)), step(2, Duration::ZERO, Fault::Reranked(0))]
            }
        }
    }

    /// How the addresses are ranked before.
    fn ranking(self, node: Node) -> Vec<Node> {
        let places = match self {
            // From the second place on it is turned: the third node knows itself next, all others the second one.
            Self::TwoClaims => [0, 2, 1, 3, 4],
            Self::Division | Self::HolderNotHeard | Self::HolderDeaf | Self::StoppedPastLease | Self::StaleHolder => {
                [0, 1, 2, 3, 4]
            }
        };
        places.map(|rank| (node + rank) % NODES).to_vec()
    }

    fn may_answer(self, node: Node) -> Vec<Node> {
        let ranks = if self == Self::TwoClaims { 3 } else { 2 };
        (0..ranks).map(|rank| (node + rank) % NODES).collect()
    }

    /// Whether this client has to see another node than the first. The first client is in the holder's half.
    fn moves(self, client: usize) -> bool {
        match self {
            Self::Division => client == 1,
            Self::HolderNotHeard | Self::StoppedPastLease | Self::TwoClaims | Self::StaleHolder => true,
            // The standby takes what the holder still has; who answers first is luck.
            Self::HolderDeaf => false,
        }
    }
}
