//! The pod runner: what stands in for kubelet on a lab node. Its README section says what it does and what not.
//!
//! One thread for each node, in the node's network namespace: the sockets of its client and of its probes, and the
//! processes that it starts, belong to the node. Under the node's identity it may do what the Node authorizer lets a
//! kubelet do, and no more.
//!
//! Invariant: when a `Runner` is dropped, or its process dies, the containers of its node die too.

mod backoff;
mod container;
mod env;
mod keeper;
mod life;
mod probe;
mod sandbox;
mod status;
mod support;
mod volumes;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs,
    net::{Ipv4Addr, Ipv6Addr},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    thread::JoinHandle,
};

use anyhow::Context as _;
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client,
    runtime::{
        WatchStreamExt as _,
        watcher::{self, Event, watcher},
    },
};
use lb_tests::lab::Namespace;
use tokio::sync::{oneshot, watch};

pub use self::backoff::BackOff;
use crate::{
    access::{Access, runtime},
    net::PodRanges,
    programs,
};

/// Why a Pod or a container cannot run yet; what its status says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
struct Unready(String);

/// What an image is here: files of the machine, and no registry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Image {
    /// Files and folders of this machine, and where the container sees them (read-only).
    pub files: Vec<(PathBuf, PathBuf)>,
    /// What runs when the Pod names no command.
    pub entrypoint: Vec<String>,
    /// Whether the machine's programs and libraries are part of it. Without, only a static program runs.
    pub libraries: bool,
}

impl Image {
    /// One program of this machine at the container's root, with the libraries that it is linked with.
    pub fn program(file: &Path) -> Self {
        let at = Path::new("/").join(file.file_name().unwrap_or_default());
        let entrypoint = vec![at.to_string_lossy().into_owned()];
        Self { files: vec![(file.to_owned(), at)], entrypoint, libraries: true }
    }
}

/// Which images there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Images(BTreeMap<String, Image>);

impl Default for Images {
    /// `lab/page`: the HTTP server behind Services. `lab/shell`: the machine's programs.
    fn default() -> Self {
        let shell = Image { entrypoint: vec!["/bin/sh".to_owned()], libraries: true, ..Image::default() };
        let page = Image::program(&programs::own("page"));
        Self(BTreeMap::from([("lab/page".to_owned(), page), ("lab/shell".to_owned(), shell)]))
    }
}

impl Images {
    /// With one more, under the name that Pods say.
    #[must_use]
    pub fn with(mut self, name: &str, image: Image) -> Self {
        self.0.insert(name.to_owned(), image);
        self
    }

    fn get(&self, name: &str) -> Option<&Image> {
        self.0.get(name)
    }
}

/// A node and what its runner knows.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) name: String,
    /// The lab's id.
    pub(crate) lab: String,
    pub(crate) v4: Ipv4Addr,
    pub(crate) v6: Ipv6Addr,
    pub(crate) ranges: PodRanges,
    pub(crate) labels: BTreeMap<String, String>,
    /// What of the node is a file.
    pub(crate) dir: PathBuf,
    /// What stands for `/sys/fs/bpf`.
    pub(crate) bpffs: PathBuf,
    pub(crate) logs: PathBuf,
    pub(crate) images: Images,
    pub(crate) back_off: BackOff,
    pub(crate) api_server: (String, u16),
    /// Numbers of pods that run.
    pub(crate) numbers: Mutex<BTreeSet<u8>>,
}

impl Node {
    fn take_number(&self) -> Option<u8> {
        let mut taken = self.numbers.lock().unwrap_or_else(PoisonError::into_inner);
        let free = (2..=254).find(|number| !taken.contains(number))?;
        taken.insert(free);
        Some(free)
    }

    fn give_number_back(&self, number: u8) {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner).remove(&number);
    }

    /// What stands for the node's root directory.
    fn host_dir(&self) -> PathBuf {
        self.dir.join("host")
    }

    /// Short, and unique among the node's pods.
    fn key(&self, pod: &Pod) -> String {
        pod.metadata.uid.as_deref().unwrap_or_default().chars().take(8).collect()
    }

    fn pod_dir(&self, pod: &Pod) -> PathBuf {
        self.dir.join("pods").join(pod.metadata.uid.as_deref().unwrap_or_default())
    }

    fn log(&self, pod: &Pod, container: &str) -> PathBuf {
        let of = |name: &Option<String>| name.clone().unwrap_or_default();
        self.logs.join(format!("{}_{}_{container}.log", of(&pod.metadata.namespace), of(&pod.metadata.name)))
    }

    /// Removes the files of a Pod that has ended.
    fn clear(&self, pod: &Pod) -> anyhow::Result<()> {
        let dir = self.pod_dir(pod);
        match fs::remove_dir_all(&dir) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("remove {}", dir.display()))
            }
            _ => Ok(()),
        }
    }

    #[cfg(test)]
    fn for_tests() -> Self {
        Self {
            name: "node-1".to_owned(),
            lab: "lab".to_owned(),
            v4: Ipv4Addr::LOCALHOST,
            v6: Ipv6Addr::LOCALHOST,
            ranges: PodRanges::of(1),
            labels: BTreeMap::new(),
            dir: PathBuf::from("/lab/nodes/node-1"),
            bpffs: PathBuf::from("/bpf/node-1"),
            logs: PathBuf::from("/lab/logs"),
            images: Images::default(),
            back_off: BackOff::default(),
            api_server: (String::new(), 0),
            numbers: Mutex::default(),
        }
    }
}

/// What a runner does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Duty {
    /// Registers the node and renews its lease.
    Node,
    /// Runs its Pods, too.
    NodeAndPods,
}

/// A runner at work; it ends with the value, and its containers with it.
#[derive(Debug)]
pub(crate) struct Runner {
    node: Arc<Node>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<anyhow::Result<()>>>,
}

impl Runner {
    /// Starts it in the node's namespace, under the node's identity.
    pub(crate) fn start(node: Node, netns: &Namespace, access: Access, duty: Duty) -> anyhow::Result<Self> {
        for dir in [node.host_dir(), node.logs.clone(), node.bpffs.clone()] {
            fs::create_dir_all(&dir).with_context(|| format!("create {}", dir.display()))?;
        }
        let node = Arc::new(node);
        let (stop, stopped) = oneshot::channel();
        let work = {
            let node = Arc::clone(&node);
            move || {
                let runtime = runtime()?;
                runtime.block_on(async {
                    let client = access.client().await?;
                    tokio::select! {
                        () = keeper::keep(&node, client.clone()) => {}
                        () = pods(&node, client.clone(), duty) => {}
                        _ = stopped => {}
                    }
                    anyhow::Ok(())
                })
                // The runtime ends here, and with it every task and every container.
            }
        };
        let thread = netns.spawn(&format!("runner {}", node.name), work).context("start a pod runner")?;
        Ok(Self { node, stop: Some(stop), thread: Some(thread) })
    }

    /// Ends it; its containers die with it, as on a node that lost its power.
    pub(crate) fn stop(&mut self) -> anyhow::Result<()> {
        if let Some(stop) = self.stop.take()
            && stop.send(()).is_err()
        {
            tracing::debug!("the pod runner of {} ended by itself", self.node.name);
        }
        let Some(thread) = self.thread.take() else { return Ok(()) };
        thread.join().unwrap_or_else(|_| Err(anyhow::anyhow!("the pod runner of {} panicked", self.node.name)))
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            tracing::warn!("{error:#}");
        }
    }
}

/// Runs each Pod of the node as a task of its own, until dropped.
async fn pods(node: &Arc<Node>, client: Client, duty: Duty) {
    if duty == Duty::Node {
        return std::future::pending().await;
    }
    let api: Api<Pod> = Api::all(client.clone());
    let config = watcher::Config::default().fields(&format!("spec.nodeName={}", node.name)).timeout(30);
    let mut events = std::pin::pin!(watcher(api, config).default_backoff());
    let mut lives: HashMap<String, watch::Sender<Pod>> = HashMap::new();
    // Those that a list from the start has named.
    let mut listed: Option<BTreeSet<String>> = None;
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Init) => listed = Some(BTreeSet::new()),
            Ok(Event::InitApply(pod) | Event::Apply(pod)) => {
                let uid = pod.metadata.uid.clone().unwrap_or_default();
                listed.iter_mut().for_each(|listed| listed.extend([uid.clone()]));
                take_up(node, &client, &mut lives, uid, pod);
            }
            Ok(Event::Delete(pod)) => drop(lives.remove(pod.metadata.uid.as_deref().unwrap_or_default())),
            Ok(Event::InitDone) => {
                let listed = listed.take().unwrap_or_default();
                lives.retain(|uid, _| listed.contains(uid));
            }
            Err(error) => tracing::debug!("{}: watch Pods: {error}", node.name),
        }
    }
}

/// Tells a Pod's task, or starts it. A Pod that is over for good has none.
fn take_up(node: &Arc<Node>, client: &Client, lives: &mut HashMap<String, watch::Sender<Pod>>, uid: String, pod: Pod) {
    match lives.get(&uid) {
        Some(life) => drop(life.send_replace(pod)),
        None => {
            let (sender, receiver) = watch::channel(pod);
            lives.insert(uid, sender);
            drop(tokio::spawn(life::Life::new(Arc::clone(node), client.clone(), receiver).live()));
        }
    }
}
