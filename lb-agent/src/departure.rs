//! Asks, once, whether a successor will come: this Pod's DaemonSet and this node, as the API server has them now.
//!
//! Must not: take long. Within [`LIMIT`] nobody has answered, and the addresses are handed over. Decides nothing itself:
//! that is [`departure::judge`].

use std::time::Duration;

use k8s_openapi::api::{
    apps::v1::DaemonSet,
    core::v1::{Node, Pod},
};
use lb_plan::agent::{
    Departure,
    departure::{self, Answer},
};
use lb_store::{Key, Object, Store};

use crate::args::{OnTerm, Run};

/// A container is killed 30 s after SIGTERM unless its Pod says otherwise; letting go needs most of that.
const LIMIT: Duration = Duration::from_secs(4);

/// What becomes of the addresses.
pub(crate) async fn decide(store: &Store, args: &Run) -> Departure {
    match args.on_term {
        OnTerm::Handover => Departure::HandOver("--on-term says handover"),
        OnTerm::Release => Departure::LetGo("--on-term says release"),
        OnTerm::Auto => match (store, &args.pod, &args.pod_namespace) {
            (Store::Server(_), Some(pod), Some(namespace)) => ask(store, &args.node, namespace, pod).await,
            _ => Departure::HandOver("there is no DaemonSet to ask for"),
        },
    }
}

/// An object, or why there is none.
enum Read<K> {
    Found(Box<K>),
    Gone,
    Unknown,
}

impl<K> Read<K> {
    fn answer(&self) -> Answer<'_, K> {
        match self {
            Self::Found(object) => Answer::Found(object),
            Self::Gone => Answer::Gone,
            Self::Unknown => Answer::Unknown,
        }
    }
}

async fn ask(store: &Store, node: &str, namespace: &str, pod: &str) -> Departure {
    let node = read::<Node>(store, "", node);
    let daemon_set = async {
        // A Pod that is gone already says nothing about who made it.
        let Read::Found(pod) = read::<Pod>(store, namespace, pod).await else { return Read::Unknown };
        let owners = pod.metadata.owner_references.unwrap_or_default();
        let owner = owners.iter().find(|owner| owner.kind == "DaemonSet" && owner.controller == Some(true));
        match owner {
            Some(owner) => read::<DaemonSet>(store, namespace, &owner.name).await,
            None => Read::Unknown,
        }
    };
    let (node, daemon_set) = tokio::join!(node, daemon_set);
    departure::judge(node.answer(), daemon_set.answer())
}

async fn read<K: Object>(store: &Store, namespace: &str, name: &str) -> Read<K> {
    let key = Key::new(namespace, name);
    match tokio::time::timeout(LIMIT / 2, store.get::<K>(&key)).await {
        Ok(Ok(Some(object))) => Read::Found(Box::new(object)),
        Ok(Ok(None)) => Read::Gone,
        Ok(Err(error)) => {
            tracing::warn!("{:#}", anyhow::Error::new(error));
            Read::Unknown
        }
        Err(_late) => {
            tracing::warn!("{} {key}: no answer within {:?}", K::kind(&()), LIMIT / 2);
            Read::Unknown
        }
    }
}
