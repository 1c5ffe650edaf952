//! One Pod from its binding to its removal: network, volumes, containers, status, end.
//!
//! Level-triggered: the status is made anew from what the containers do and is written when it differs from what was
//! written last. A write that fails is tried again until it succeeds or the Pod is gone.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodStatus};
use kube::{
    Api, Client,
    api::{DeleteParams, Patch, PatchParams, Preconditions},
};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep, sleep_until},
};

use super::{
    Node, Unready,
    container::{Life as Container, Parts, RETRY},
    env::{self, Facts},
    sandbox::Sandbox,
    status::{self, Addresses, State, View},
    support, volumes,
};

/// Tokens and configuration are written anew this often: a fifth of the shortest life that a token can have.
const REFRESH: Duration = Duration::from_secs(120);

/// A Pod that is bound to the runner's node.
pub(super) struct Life {
    node: Arc<Node>,
    client: Client,
    /// The Pod as the API server has it; closed when it is gone there.
    pod: watch::Receiver<Pod>,
    views: Vec<View>,
    addresses: Addresses,
    started: Timestamp,
    written: Option<PodStatus>,
    /// Whether the last write failed.
    behind: bool,
}

/// What a Pod has while it runs.
struct Up {
    sandbox: Option<Sandbox>,
    parts: Arc<Parts>,
}

impl Life {
    pub(super) fn new(node: Arc<Node>, client: Client, pod: watch::Receiver<Pod>) -> Self {
        let containers = pod.borrow().spec.as_ref().map_or(0, |spec| spec.containers.len());
        Self {
            node,
            client,
            pod,
            views: vec![View::new(); containers],
            addresses: Addresses::default(),
            started: Timestamp::now(),
            written: None,
            behind: false,
        }
    }

    /// Runs the Pod to its end.
    pub(super) async fn live(mut self) {
        self.addresses.host = vec![self.node.v4.into(), self.node.v6.into()];
        let unsupported = support::unsupported(&self.pod.borrow());
        if let Some(field) = unsupported {
            let message = format!("the pod runner does not do {field}");
            return self.refuse("Unsupported", &message).await;
        }
        let key = self.node.key(&self.pod.borrow());
        let Some(up) = self.bring_up(&key).await else { return self.remove().await };
        self.run(&up).await;
        if let Some(sandbox) = up.sandbox {
            sandbox.remove(&self.node);
        }
        self.remove().await;
    }

    /// A Pod that will never run: its status says why until it is deleted.
    async fn refuse(mut self, reason: &'static str, message: &str) {
        for view in &mut self.views {
            view.state = State::Waiting { reason, message: Some(message.to_owned()) };
        }
        while grace(&self.pod.borrow()).is_none() {
            self.write().await;
            tokio::select! {
                changed = self.pod.changed() => if changed.is_err() { return },
                () = sleep(RETRY), if self.behind => {}
            }
        }
        self.remove().await;
    }

    /// Network and volumes; `None` when the Pod is deleted before it has them.
    async fn bring_up(&mut self, key: &str) -> Option<Up> {
        let pod = self.pod.borrow().clone();
        let spec = pod.spec.clone().unwrap_or_default();
        let own_network = spec.host_network != Some(true);
        let sandbox = loop {
            if !own_network {
                self.addresses.pod = self.addresses.host.clone();
                break None;
            }
            match Sandbox::make(&self.node, key) {
                Ok(sandbox) => {
                    self.addresses.pod = vec![sandbox.v4.into(), sandbox.v6.into()];
                    break Some(sandbox);
                }
                Err(error) => self.wait_creating(&format!("{error:#}")).await?,
            }
        };
        loop {
            match self.parts(&pod, sandbox.as_ref()).await {
                Ok(parts) => return Some(Up { sandbox, parts: Arc::new(parts) }),
                Err(Unready(why)) => {
                    if self.wait_creating(&why).await.is_none() {
                        if let Some(sandbox) = sandbox {
                            sandbox.remove(&self.node);
                        }
                        return None;
                    }
                }
            }
        }
    }

    async fn parts(&self, pod: &Pod, sandbox: Option<&Sandbox>) -> Result<Parts, Unready> {
        let name = pod.metadata.name.clone().unwrap_or_default();
        let mut facts = Facts {
            pod_ips: self.addresses.pod.clone(),
            host_ips: self.addresses.host.clone(),
            hostname: if sandbox.is_some() { name } else { self.node.name.clone() },
            api_server: self.node.api_server.clone(),
            maps: std::collections::BTreeMap::new(),
        };
        let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
        for (kind, name, optional) in containers.flat_map(env::wanted) {
            if let Some(map) = volumes::read(&self.client, pod, kind, &name, optional).await? {
                facts.maps.insert((kind, name), map);
            }
        }
        let volumes = volumes::prepare(&self.client, &self.node, pod, &facts).await?;
        let netns = sandbox.map(Sandbox::file);
        Ok(Parts { node: Arc::clone(&self.node), pod: pod.clone(), volumes, facts, netns })
    }

    /// Says what is missing, and waits a moment; `None` when the Pod is deleted meanwhile.
    async fn wait_creating(&mut self, why: &str) -> Option<()> {
        for view in &mut self.views {
            view.state = State::Waiting { reason: "ContainerCreating", message: Some(why.to_owned()) };
        }
        self.write().await;
        let end = Instant::now() + RETRY;
        loop {
            if grace(&self.pod.borrow()).is_some() {
                return None;
            }
            tokio::select! {
                () = sleep_until(end) => return Some(()),
                changed = self.pod.changed() => changed.ok()?,
            }
        }
    }

    /// The containers' lives, until the last is over.
    async fn run(&mut self, up: &Up) {
        let (stop, stopping) = watch::channel(None);
        let (tell, mut told) = mpsc::unbounded_channel();
        let containers = up.parts.pod.spec.iter().flat_map(|spec| spec.containers.clone());
        for (index, container) in containers.enumerate() {
            let life = Container {
                parts: Arc::clone(&up.parts),
                container,
                index,
                views: tell.clone(),
                stop: stopping.clone(),
                view: View::new(),
            };
            drop(tokio::spawn(life.live()));
        }
        drop(tell);
        let mut refresh = Instant::now() + REFRESH;
        let (mut over, mut gone) = (false, false);
        loop {
            let asked = if gone { Some(Duration::ZERO) } else { grace(&self.pod.borrow()) };
            if let Some(grace) = asked {
                stop.send_if_modified(|stop| {
                    let shorter = stop.is_none_or(|stop| grace < stop);
                    if shorter {
                        *stop = Some(grace);
                    }
                    shorter
                });
                if over {
                    return;
                }
            }
            self.write().await;
            tokio::select! {
                view = told.recv(), if !over => match view {
                    Some((index, view)) => if let Some(place) = self.views.get_mut(index) { *place = view },
                    None => over = true,
                },
                changed = self.pod.changed(), if !gone => gone = changed.is_err(),
                () = sleep(RETRY), if self.behind && !gone => {}
                () = sleep_until(refresh), if !gone => {
                    refresh = Instant::now() + REFRESH;
                    let pod = self.pod.borrow().clone();
                    if let Err(Unready(why)) = volumes::prepare(&self.client, &self.node, &pod, &up.parts.facts).await {
                        tracing::warn!("{}: {why}", self.node.name);
                    }
                }
            }
        }
    }

    /// Writes the status if it is not what was written last.
    async fn write(&mut self) {
        let pod = self.pod.borrow().clone();
        let status = status::status(&pod, &self.views, &self.addresses, self.started, Timestamp::now());
        if self.written.as_ref().is_some_and(|written| is_same(written, &status)) {
            return;
        }
        match self.patch(&pod, &status).await {
            Ok(()) => (self.written, self.behind) = (Some(status), false),
            Err(kube::Error::Api(answer)) if matches!(answer.code, 404 | 409) => self.behind = false,
            Err(error) => {
                tracing::debug!("{}: status of a Pod: {error}", self.node.name);
                self.behind = true;
            }
        }
    }

    /// Lists in it are merged by their keys, so that what others wrote stays.
    async fn patch(&self, pod: &Pod, status: &PodStatus) -> kube::Result<()> {
        // A Pod of the same name may have taken its place: the patch is for this one only.
        let patch = serde_json::json!({ "metadata": { "uid": pod.metadata.uid }, "status": status });
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        self.api(pod).patch_status(name, &PatchParams::default(), &Patch::Strategic(patch)).await.map(drop)
    }

    /// Tells how it ended, and lets the Pod go: what kubelet does last.
    async fn remove(mut self) {
        let pod = self.pod.borrow().clone();
        if let Err(error) = self.node.clear(&pod) {
            tracing::warn!("{error:#}");
        }
        let name = pod.metadata.name.clone().unwrap_or_default();
        let only = Preconditions { uid: pod.metadata.uid.clone(), ..Preconditions::default() };
        let now = DeleteParams { grace_period_seconds: Some(0), preconditions: Some(only), ..DeleteParams::default() };
        loop {
            self.write().await;
            match self.api(&pod).delete(&name, &now).await {
                Ok(_) => return,
                Err(kube::Error::Api(answer)) if matches!(answer.code, 404 | 409) => return,
                Err(error) => tracing::debug!("{}: delete {name}: {error}", self.node.name),
            }
            sleep(RETRY).await;
        }
    }

    fn api(&self, pod: &Pod) -> Api<Pod> {
        Api::namespaced(self.client.clone(), pod.metadata.namespace.as_deref().unwrap_or_default())
    }
}

/// How long the Pod may take to end, if it is to.
fn grace(pod: &Pod) -> Option<Duration> {
    pod.metadata.deletion_timestamp.as_ref()?;
    let seconds = pod.metadata.deletion_grace_period_seconds.unwrap_or(0);
    Some(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
}

/// Whether nothing changed but the time of a condition that did not change.
fn is_same(a: &PodStatus, b: &PodStatus) -> bool {
    let timeless = |status: &PodStatus| {
        let mut status = status.clone();
        for condition in status.conditions.iter_mut().flatten() {
            condition.last_transition_time = None;
        }
        status
    };
    timeless(a) == timeless(b)
}
