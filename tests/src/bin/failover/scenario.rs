//! What happens to the holder, and what has to come of it.

use std::time::Duration;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// What happens to the node that holds the address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Scenario {
    /// All its processes and its link end at once.
    NodeDeath,
    /// The same with 1,000 addresses on it.
    Thousand,
    /// The same while no object can be read or written: the API server is down.
    ApiDown,
    /// Its cable is pulled.
    LinkCut,
    /// Its agent is killed and not started again: the address moves when the lease has run out, not before.
    AgentKilled,
    /// Its agent is told to let go.
    Drain,
    /// Its agent is killed, and another one takes up the table.
    Upgrade,
    /// It comes back, and takes its address again.
    NodeBack,
    /// It dies, and nobody is there to take over: the run has to say that the address stayed unanswered.
    Control,
}

impl Scenario {
    pub(crate) fn all() -> Vec<Self> {
        Self::value_variants().to_vec()
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::NodeDeath => "node-death",
            Self::Thousand => "thousand",
            Self::ApiDown => "api-down",
            Self::LinkCut => "link-cut",
            Self::AgentKilled => "agent-killed",
            Self::Drain => "drain",
            Self::Upgrade => "upgrade",
            Self::NodeBack => "node-back",
            Self::Control => "control",
        }
    }

    /// The bound on the 99th percentile and on the longest gap.
    pub(crate) fn bounds(self) -> Option<(Duration, Duration)> {
        match self {
            Self::NodeDeath | Self::Thousand | Self::ApiDown | Self::LinkCut => {
                Some((Duration::from_millis(300), Duration::from_millis(500)))
            }
            Self::AgentKilled | Self::Drain | Self::Upgrade | Self::NodeBack | Self::Control => None,
        }
    }

    /// Whether no request may go unanswered.
    pub(crate) fn is_planned(self) -> bool {
        matches!(self, Self::Drain | Self::Upgrade | Self::NodeBack)
    }

    /// Whether the address goes to another node.
    pub(crate) fn moves(self) -> bool {
        !matches!(self, Self::Upgrade | Self::Control)
    }
}
