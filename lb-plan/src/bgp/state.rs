//! The `ConfigurationState` of one node's speaker, as MetalLB's speakers write it: whether this node can use the objects of
//! BGP that are for it. Pure.
//!
//! What only this node knows is in it as well: a Secret that is missing, of another type, or not to be read. The controller
//! tells the rest on each object; here it is one page for each node. Deckhouse's kinds are not MetalLB's.
//!
//! The owner is the Node, as that of a `ServiceBGPStatus` is.

use std::{collections::BTreeSet, sync::Arc};

use jiff::Timestamp;
use lb_api::{
    BGPPeer, ConfigurationState,
    names::configuration_state::{COMPONENT, NODE, SPEAKER},
};

use super::{Problem, Reporter, Snapshot, statuses::owner};
use crate::configuration_state;

const CONDITION: &str = "configReconcilerValid";

/// MetalLB's kinds that are judged here.
const KINDS: [&str; 4] = ["BGPPeer", "BGPAdvertisement", "BFDProfile", "Community"];

/// One write.
#[derive(Debug, Clone, PartialEq)]
pub enum StateStep {
    /// Without a status: that is the next step, once it is there.
    Create(Box<ConfigurationState>),
    /// Its status.
    Write(Box<ConfigurationState>),
    /// There is nothing to judge any more.
    Delete(Arc<ConfigurationState>),
}

/// What is wrong, one problem a line; `None` where nobody has a BGPPeer of MetalLB: a cluster without BGP pays for nothing.
pub fn summary(snapshot: &Snapshot, problems: &[Problem]) -> Option<String> {
    let stands = |peer: &Arc<BGPPeer>| peer.metadata.namespace.as_ref() == Some(&snapshot.namespace);
    let told = problems.iter().filter(|problem| KINDS.contains(&problem.kind) && !problem.is_superfluous());
    let line =
        |problem: &Problem| format!("{} `{}`: {}: {}", problem.kind, problem.name, problem.field, problem.message);
    let lines: BTreeSet<String> = told.map(line).collect();
    snapshot.peers.iter().any(stands).then(|| lines.into_iter().collect::<Vec<_>>().join("\n"))
}

/// The write that makes the object of this node say that. `known` may hold other nodes' too.
pub fn state(
    reporter: Reporter<'_>,
    summary: Option<&str>,
    known: &[Arc<ConfigurationState>],
    now: Timestamp,
) -> Option<StateStep> {
    let name = format!("{SPEAKER}{}", reporter.node);
    let own = known.iter().find(|state| {
        let metadata = &state.metadata;
        metadata.name.as_ref() == Some(&name)
            && metadata.namespace.as_deref() == Some(reporter.namespace)
            && metadata.deletion_timestamp.is_none()
    });
    match (own, summary) {
        (None, None) => None,
        (Some(own), None) => Some(StateStep::Delete(Arc::clone(own))),
        (None, Some(_)) => {
            // Without an owner it would outlive its node.
            let owner = reporter.object.and_then(owner)?;
            let labels = [(COMPONENT, "speaker"), (NODE, reporter.node)];
            let mut object = configuration_state::new(reporter.namespace, &name, &labels);
            object.metadata.owner_references = Some(vec![owner]);
            Some(StateStep::Create(Box::new(object)))
        }
        (Some(own), Some(summary)) => {
            configuration_state::judged(own, CONDITION, summary, now).map(|object| StateStep::Write(Box::new(object)))
        }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Node;
    use lb_api::metallb::{BGPPeerSpec, ConfigurationResult};

    use super::*;

    fn node() -> Node {
        let mut node = Node::default();
        (node.metadata.name, node.metadata.uid) = (Some("iris".into()), Some("7".into()));
        node
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).expect("in range")
    }

    /// Carries out the steps as an API server would; how many writes it took.
    fn settle(summary: Option<&str>, known: &mut Vec<Arc<ConfigurationState>>, now: Timestamp) -> usize {
        let node = node();
        let reporter = Reporter { node: "iris", object: Some(&node), namespace: "metallb-system" };
        let mut writes = 0;
        while let Some(step) = state(reporter, summary, known, now) {
            writes += 1;
            assert!(writes < 4, "{step:#?}");
            let (StateStep::Create(object) | StateStep::Write(object)) = step else {
                known.clear();
                continue;
            };
            *known = vec![Arc::new(*object)];
        }
        writes
    }

    #[test]
    fn a_speakers_state_is_made_judged_and_moves_only_with_the_judgement() {
        let mut known = Vec::new();
        assert_eq!(settle(None, &mut known, at(1)), 0, "no BGP, no object");
        assert_eq!(settle(Some(""), &mut known, at(1)), 2);
        let metadata = &known[0].metadata;
        assert_eq!(metadata.name.as_deref(), Some("speaker-iris"));
        let labels: Vec<_> =
            metadata.labels.iter().flatten().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(labels, [("metallb.io/component-type", "speaker"), ("metallb.io/node-name", "iris")]);
        assert_eq!(metadata.owner_references.as_ref().map(|owners| owners[0].kind.as_str()), Some("Node"));
        assert_eq!(settle(Some(""), &mut known, at(2)), 0);
        assert_eq!(settle(Some("BGPPeer `tor`: x"), &mut known, at(3)), 1);
        assert_eq!(settle(Some("BGPPeer `tor`: x"), &mut known, at(4)), 0);

        let status = known[0].status.clone().expect("it is judged");
        assert_eq!(
            (status.result, status.error_summary.as_str()),
            (Some(ConfigurationResult::Invalid), "BGPPeer `tor`: x")
        );
        let condition = &status.conditions[0];
        assert_eq!(
            (condition.type_.as_str(), condition.status.as_str(), condition.reason.as_str()),
            ("configReconcilerValid", "False", "ConfigurationError")
        );
        assert_eq!(condition.last_transition_time.0, at(3));

        known.clear();
        assert_eq!(settle(Some(""), &mut known, at(5)), 2, "deleted, it comes back");
        assert_eq!((settle(None, &mut known, at(6)), known.len()), (1, 0), "nothing to judge any more");
    }

    #[test]
    fn what_metallbs_speaker_on_this_node_has_left_is_taken_up_and_others_are_not_touched() {
        let theirs = configuration_state::new("metallb-system", "speaker-rose", &[]);
        let own = configuration_state::new("metallb-system", "speaker-iris", &[]);
        let node = node();
        let reporter = Reporter { node: "iris", object: Some(&node), namespace: "metallb-system" };
        let step = |known: &[Arc<ConfigurationState>], summary| state(reporter, summary, known, at(1));
        assert!(matches!(step(&[Arc::new(theirs.clone())], Some("")), Some(StateStep::Create(_))));
        assert_eq!(step(&[Arc::new(theirs.clone())], None), None);
        let Some(StateStep::Write(object)) = step(&[Arc::new(theirs), Arc::new(own)], Some("")) else { panic!() };
        assert_eq!(object.metadata.name.as_deref(), Some("speaker-iris"));
        // Nobody is there to own it: it would never go.
        let alone = Reporter { object: None, ..reporter };
        assert_eq!(state(alone, Some(""), &[], at(1)), None);
    }

    #[test]
    fn a_speaker_judges_what_is_metallbs_and_not_what_is_merely_superfluous() {
        let problem = |kind, field: &str| Problem {
            kind,
            name: "a".into(),
            field: field.into(),
            message: "is wrong".into(),
            may_pass: false,
        };
        let problems = [
            problem("BGPPeer", "spec.peerAddress"),
            problem("BGPPeer", "spec.disableMP"),
            problem("BFDProfile", "spec.echoInterval"),
            problem("MetalLoadBalancerBGPPeer", "spec.peerAddress"),
            problem("Service", "metadata.labels"),
        ];
        let mut peer = BGPPeer::new("a", BGPPeerSpec::default());
        peer.metadata.namespace = Some("metallb-system".into());
        let mut snapshot = Snapshot { namespace: "metallb-system".into(), ..Snapshot::default() };
        assert_eq!(summary(&snapshot, &problems), None);
        snapshot.peers.push(Arc::new(peer));
        assert_eq!(
            summary(&snapshot, &problems).as_deref(),
            Some("BFDProfile `a`: spec.echoInterval: is wrong\nBGPPeer `a`: spec.peerAddress: is wrong")
        );
        snapshot.namespace = "elsewhere".into();
        assert_eq!(summary(&snapshot, &problems), None);
    }
}
