//! An agent is stopped for a while: its addresses must go on being answered, by the same hardware address.

use std::{fmt, net::IpAddr, time::Duration};

use anyhow::Context as _;
use lb_tests::{
    asker::{Asker, Questions},
    lab::INTERFACE,
    wait,
};
use serde::Serialize;

use crate::{proof::Proof, stage::Stage};

/// Well inside the lease of ten seconds.
const STOPPED: Duration = Duration::from_secs(5);

/// What was seen while the agent was stopped.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Frozen {
    node: String,
    holds: Vec<IpAddr>,
    seconds: f64,
    sent: usize,
    unanswered: usize,
    answered_twice: usize,
    /// Addresses that somebody else than their holder answered for.
    elsewhere: Vec<IpAddr>,
}

/// Stops the holder of the first address and asks for all of them.
pub(crate) fn answers_go_on(stage: &mut Stage, proofs: &[Proof]) -> anyhow::Result<Frozen> {
    let node = proofs.first().context("there is no address")?.holder.clone();
    let agent = stage.agent(&node)?;
    agent.stop()?;
    let asker = Asker::start(&stage.lab.client().netns, INTERFACE, Questions::steady(stage.addresses.clone()))?;
    wait::observe(STOPPED);
    let record = asker.finish();
    // First of all it goes on, whatever was seen.
    agent.cont()?;
    let record = record?;
    let holders = record.all().holders();
    let elsewhere = proofs.iter().filter(|proof| {
        let macs = holders.get(&proof.address).map(|macs| macs.keys().copied().collect::<Vec<_>>());
        macs.unwrap_or_default() != proof.holder_mac.into_iter().collect::<Vec<_>>()
    });
    Ok(Frozen {
        holds: proofs.iter().filter(|proof| proof.holder == node).map(|proof| proof.address).collect(),
        node,
        seconds: STOPPED.as_secs_f64(),
        sent: record.all().sent(),
        unanswered: record.all().unanswered(),
        answered_twice: record.all().answered_twice(),
        elsewhere: elsewhere.map(|proof| proof.address).collect(),
    })
}

impl Frozen {
    /// What does not hold.
    pub(crate) fn failures(&self) -> Vec<String> {
        let counts = [(self.unanswered, "unanswered"), (self.answered_twice, "answered twice")];
        let counted = counts.into_iter().filter(|(count, _)| *count > 0);
        let mut failures: Vec<_> = counted
            .map(|(count, what)| format!("{count} requests {what} while the agent on {} was stopped", self.node))
            .collect();
        failures.extend(self.elsewhere.iter().map(|address| format!("{address}: not answered by its holder alone")));
        failures
    }
}

impl fmt::Display for Frozen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { node, holds, seconds, sent, unanswered, .. } = self;
        let holds = holds.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(", ");
        write!(f, "  agent on {node} (holds {holds}) stopped for {seconds} s: {sent} requests, {unanswered} unanswered")
    }
}
