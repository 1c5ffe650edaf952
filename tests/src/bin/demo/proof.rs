//! The proof for one address: who holds it, who answered, how fast, and what the Service said.
//!
//! "Who answered" comes from the agents' own frame counters, read before and after the question: an answer that no
//! agent counted was given by a kernel.

use std::{collections::BTreeSet, fmt, net::IpAddr, time::Duration};

use anyhow::Context as _;
use lb_api::node::AttachMode;
use lb_tests::{
    asker::ask_once,
    herald::{Agent, Mode},
    lab::INTERFACE,
    mac::Mac,
};

use crate::{stage::Stage, tools};

/// Who gave an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answerer {
    /// The program on this node, attached so.
    Xdp { node: String, mode: AttachMode },
    /// No program counted it.
    Kernel,
    /// More than one node answered.
    Several(Vec<String>),
}

/// What was found for one address.
#[derive(Debug, Clone)]
pub(crate) struct Proof {
    pub(crate) address: IpAddr,
    /// The node that says it holds the address.
    pub(crate) holder: String,
    /// Its hardware address.
    pub(crate) holder_mac: Option<Mac>,
    /// What arping or ndisc6 report, one per answer.
    pub(crate) macs: Vec<Mac>,
    pub(crate) answerer: Answerer,
    /// From the question on the client's wire to the answer on it.
    pub(crate) answer_time: Option<Duration>,
    /// Answers to one question.
    pub(crate) answers: usize,
    /// The node that the Service's page names.
    pub(crate) page: String,
    mode: Mode,
}

/// Proves every address.
pub(crate) fn of_all(stage: &Stage) -> anyhow::Result<Vec<Proof>> {
    stage.addresses.iter().map(|address| of(stage, *address).with_context(|| format!("prove {address}"))).collect()
}

fn of(stage: &Stage, address: IpAddr) -> anyhow::Result<Proof> {
    let client = stage.lab.client();
    let before = counters(stage)?;
    let macs = tools::resolve(client, address)?;
    let after = counters(stage)?;
    let record = ask_once(&client.netns, INTERFACE, vec![address])?;
    let holder = stage.observer.holder(address).context("it has no holder")?;
    Ok(Proof {
        address,
        holder_mac: stage.lab.nodes.iter().find(|node| node.name == holder).map(|node| node.mac),
        holder,
        answerer: answerer(stage, address, &macs, &before, &after)?,
        macs,
        answer_time: record.all().answer_time(50),
        answers: record.all().requests().iter().map(|request| request.replies.len()).sum(),
        page: tools::page(client, address)?,
        mode: stage.mode,
    })
}

impl Proof {
    /// What does not hold.
    pub(crate) fn failures(&self) -> Vec<String> {
        let Self { address, holder, page, answers, .. } = self;
        let mut failures = Vec::new();
        if !self.macs.iter().all(|mac| Some(*mac) == self.holder_mac) {
            failures.push(format!(
                "{address}: answered with {:?}, its holder {holder} has {:?}",
                self.macs, self.holder_mac
            ));
        }
        if *answers != 1 {
            failures.push(format!("{address}: {answers} answers to one question"));
        }
        if !self.answered_as_wanted() {
            failures
                .push(format!("{address}: answered by {}, not by XDP on {holder} ({:?})", self.answerer, self.mode));
        }
        if page != holder {
            failures.push(format!("{address}: the page is of {page:?}, the holder is {holder}"));
        }
        failures
    }

    fn answered_as_wanted(&self) -> bool {
        let Answerer::Xdp { node, mode } = &self.answerer else { return false };
        let wanted = match self.mode {
            Mode::Auto => *mode != AttachMode::None,
            Mode::Native => *mode == AttachMode::Native,
            Mode::Tc => *mode == AttachMode::Tc,
            Mode::Generic => *mode == AttachMode::Generic,
        };
        wanted && *node == self.holder
    }
}

/// For each agent: its node, and its counters of answered frames by family.
type Counters = Vec<(String, [f64; 2])>;

fn counters(stage: &Stage) -> anyhow::Result<Counters> {
    stage.agents.iter().map(|agent| Ok((agent.node().name.clone(), answered(agent)?))).collect()
}

fn answered(agent: &Agent) -> anyhow::Result<[f64; 2]> {
    let metrics = agent.metrics()?;
    let of = |outcome: &str| {
        let found = metrics.sum("herald_agent_frames_total", &[("outcome", outcome)]);
        found.with_context(|| format!("the agent on {} has no counter {outcome}", agent.node().name))
    };
    Ok([of("arp_answered")?, of("ns_answered")?])
}

/// Who sent the answers, if its program counted one: the nodes ask each other too, so that other programs count as well.
fn answerer(
    stage: &Stage,
    address: IpAddr,
    macs: &[Mac],
    before: &Counters,
    after: &Counters,
) -> anyhow::Result<Answerer> {
    let family = usize::from(address.is_ipv6());
    let nodes: BTreeSet<&str> =
        macs.iter().filter_map(|mac| stage.lab.node_of(*mac)).map(|node| node.name.as_str()).collect();
    let counted = |node: &str| {
        before.iter().zip(after).any(|((name, before), (_, after))| name == node && after[family] > before[family])
    };
    let mut nodes = nodes.into_iter();
    match (nodes.next(), nodes.next()) {
        (Some(node), None) if counted(node) => {
            Ok(Answerer::Xdp { mode: attach_mode(stage, node)?, node: node.to_owned() })
        }
        (_, None) => Ok(Answerer::Kernel),
        (first, Some(second)) => {
            Ok(Answerer::Several(first.into_iter().chain([second]).chain(nodes).map(ToOwned::to_owned).collect()))
        }
    }
}

/// As the node's LoadBalancerNode shows it.
fn attach_mode(stage: &Stage, node: &str) -> anyhow::Result<AttachMode> {
    let nodes = stage.observer.nodes();
    let object = nodes.objects.iter().find(|(key, _)| key.name == node).map(|(_, object)| object);
    let status =
        object.and_then(|object| object.status.as_ref()).with_context(|| format!("no LoadBalancerNode {node}"))?;
    let interface = status.interfaces.iter().find(|interface| interface.name == INTERFACE);
    Ok(interface.with_context(|| format!("LoadBalancerNode {node} does not show {INTERFACE}"))?.attach.mode)
}

impl fmt::Display for Answerer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Xdp { node, mode: AttachMode::Tc } => write!(f, "tc on {node}"),
            Self::Xdp { node, mode } => write!(f, "XDP {} on {node}", format!("{mode:?}").to_lowercase()),
            Self::Kernel => f.write_str("kernel"),
            Self::Several(nodes) => write!(f, "several: {}", nodes.join(", ")),
        }
    }
}
