//! A folder of manifests as a user and Herald's programs share it.
//!
//! Users' files are written as an editor does: a new file that replaces the old one. What Herald wrote is read through
//! the store, as the programs read it.

use std::{
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context as _;
use jiff::Timestamp;
use k8s_openapi::{
    api::{core::v1::Service, events::v1::Event},
    apimachinery::pkg::apis::meta::v1::Time,
};
use lb_api::{
    LoadBalancerNode, VirtualIP, VirtualIPSpec, VirtualIPStatus,
    virtual_ip::{Phase, name_of},
};
use lb_store::{Directory, Key, Listing, Preconditions, Reflector, Store, Writer};
use tokio::runtime::Runtime;

/// The folder.
#[derive(Debug, Clone)]
pub struct Manifests {
    dir: PathBuf,
}

impl Manifests {
    /// A new, empty folder.
    pub fn new(dir: PathBuf) -> anyhow::Result<Self> {
        fs::create_dir_all(&dir).with_context(|| format!("create {}", dir.display()))?;
        Ok(Self { dir })
    }

    /// A new folder with a copy of every manifest in `from`.
    pub fn copy_of(from: &Path, dir: PathBuf) -> anyhow::Result<Self> {
        let manifests = Self::new(dir)?;
        for entry in fs::read_dir(from).with_context(|| format!("list {}", from.display()))? {
            let path = entry?.path();
            let Some(name) = path.file_name().filter(|_| path.extension().is_some_and(|end| end == "yaml")) else {
                continue;
            };
            fs::copy(&path, manifests.dir.join(name)).with_context(|| format!("copy {}", path.display()))?;
        }
        Ok(manifests)
    }

    /// Where it is.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Writes a user's file, all of it at once.
    pub fn write(&self, file: &str, text: &str) -> anyhow::Result<()> {
        let path = self.dir.join(file);
        // A name that is no manifest's, so that a reader never sees half of it.
        let temporary = path.with_extension("new");
        fs::write(&temporary, text).with_context(|| format!("write {}", temporary.display()))?;
        fs::rename(&temporary, &path).with_context(|| format!("write {}", path.display()))
    }

    /// Removes a user's file.
    pub fn remove(&self, file: &str) -> anyhow::Result<()> {
        fs::remove_file(self.dir.join(file)).with_context(|| format!("remove {file}"))
    }

    /// Reads the folder from now on.
    pub fn observe(&self) -> anyhow::Result<Observer> {
        let store = Store::Directory(Directory::open(&self.dir, Writer::None)?);
        Ok(Observer {
            services: store.reflect(),
            virtual_ips: store.reflect(),
            nodes: store.reflect(),
            events: store.reflect(),
            runtime: runtime()?,
            store,
        })
    }

    /// Takes the controller's place as the writer of VirtualIPs, for tests of agents alone.
    pub fn stand_in(&self) -> anyhow::Result<StandIn> {
        let store = Store::Directory(Directory::open(&self.dir, Writer::Controller)?);
        Ok(StandIn { store, runtime: runtime()? })
    }
}

/// A reader of the folder.
#[derive(Debug)]
pub struct Observer {
    store: Store,
    services: Reflector<Service>,
    virtual_ips: Reflector<VirtualIP>,
    nodes: Reflector<LoadBalancerNode>,
    events: Reflector<Event>,
    runtime: Runtime,
}

impl Observer {
    /// Waits until everything that is on disk now has been read.
    pub fn catch_up(&self) -> anyhow::Result<()> {
        self.runtime.block_on(self.store.catch_up()).context("read the manifests")
    }

    /// The digest of the users' files as last read.
    pub fn digest(&self) -> Arc<str> {
        self.store.digest()
    }

    /// All Services.
    pub fn services(&self) -> Arc<Listing<Service>> {
        self.services.current()
    }

    /// All VirtualIPs.
    pub fn virtual_ips(&self) -> Arc<Listing<VirtualIP>> {
        self.virtual_ips.current()
    }

    /// All LoadBalancerNodes.
    pub fn nodes(&self) -> Arc<Listing<LoadBalancerNode>> {
        self.nodes.current()
    }

    /// The addresses in a Service's status, in their order.
    pub fn addresses(&self, namespace: &str, name: &str) -> Vec<IpAddr> {
        let key = Key::new(namespace, name);
        self.services().objects.get(&key).map(|service| addresses_of(service)).unwrap_or_default()
    }

    /// Whether the node that is ranked first for an address says that it holds it.
    pub fn is_at_home(&self, address: IpAddr) -> bool {
        let key = Key::cluster_scoped(name_of(address));
        let listing = self.virtual_ips();
        let first = listing.objects.get(&key).and_then(|object| object.spec.nodes.first());
        first.is_some() && self.holder(address).as_ref() == first
    }

    /// The status of an address.
    pub fn status(&self, address: IpAddr) -> Option<VirtualIPStatus> {
        let key = Key::cluster_scoped(name_of(address));
        self.virtual_ips().objects.get(&key)?.status.clone()
    }

    /// What a node says of itself.
    pub fn node(&self, name: &str) -> Option<LoadBalancerNode> {
        let key = Key::cluster_scoped(name);
        self.nodes().objects.get(&key).map(|node| LoadBalancerNode::clone(node))
    }

    /// The notes of all events with a reason.
    pub fn notes(&self, reason: &str) -> Vec<String> {
        let listing = self.events.current();
        let told = listing.objects.values().filter(|event| event.reason.as_deref() == Some(reason));
        told.filter_map(|event| event.note.clone()).collect()
    }

    /// The node that says it holds an address.
    pub fn holder(&self, address: IpAddr) -> Option<String> {
        let key = Key::cluster_scoped(name_of(address));
        self.virtual_ips().objects.get(&key)?.status.as_ref()?.holder.clone()
    }
}

/// The addresses in a Service's status, in their order.
pub fn addresses_of(service: &Service) -> Vec<IpAddr> {
    let status = service.status.as_ref().and_then(|status| status.load_balancer.as_ref());
    let ingress = status.and_then(|balancer| balancer.ingress.as_deref()).unwrap_or_default();
    ingress.iter().filter_map(|ingress| ingress.ip.as_deref()?.parse().ok()).collect()
}

/// The writer of VirtualIPs in a test without a controller.
#[derive(Debug)]
pub struct StandIn {
    store: Store,
    runtime: Runtime,
}

impl StandIn {
    /// Creates an address that these nodes may hold, best first.
    pub fn create(&self, address: IpAddr, nodes: &[&str]) -> anyhow::Result<()> {
        let spec = VirtualIPSpec {
            address: address.to_string(),
            pool: "test".to_owned(),
            nodes: nodes.iter().map(|&node| node.to_owned()).collect(),
            ranking_key: address.to_string(),
            ..VirtualIPSpec::default()
        };
        let vip = VirtualIP::new(&name_of(address), spec);
        self.runtime.block_on(self.store.create(&vip)).with_context(|| format!("create VirtualIP {address}"))?;
        Ok(())
    }

    /// Ranks other nodes for an address, or the same in another order.
    pub fn rank(&self, address: IpAddr, nodes: &[&str]) -> anyhow::Result<()> {
        let failed = || format!("rank nodes for VirtualIP {address}");
        let mut object = self.get(address).with_context(failed)?;
        object.spec.nodes = nodes.iter().map(|&node| node.to_owned()).collect();
        self.runtime.block_on(self.store.update(&object)).with_context(failed)?;
        Ok(())
    }

    /// Releases an address: every node that sees it lets it go.
    pub fn release(&self, address: IpAddr) -> anyhow::Result<()> {
        let failed = || format!("release VirtualIP {address}");
        let mut object = self.get(address).with_context(failed)?;
        object.spec.phase = Phase::Released;
        object.spec.released_at = Some(Time(Timestamp::now()));
        self.runtime.block_on(self.store.update(&object)).with_context(failed)?;
        Ok(())
    }

    /// Takes an address's object away. An agent that has not seen it released keeps the address for a minute.
    pub fn delete(&self, address: IpAddr) -> anyhow::Result<()> {
        let failed = || format!("delete VirtualIP {address}");
        let object = self.get(address).with_context(failed)?;
        let (key, judged) = (Key::cluster_scoped(name_of(address)), Preconditions::of(&object));
        self.runtime.block_on(self.store.delete::<VirtualIP>(&key, &judged)).with_context(failed)?;
        Ok(())
    }

    /// Changes the spec of an address.
    pub fn edit(&self, address: IpAddr, edit: impl FnOnce(&mut VirtualIPSpec)) -> anyhow::Result<()> {
        let failed = || format!("change VirtualIP {address}");
        let mut object = self.get(address).with_context(failed)?;
        edit(&mut object.spec);
        self.runtime.block_on(self.store.update(&object)).with_context(failed)?;
        Ok(())
    }

    /// Deletes a LoadBalancerNode, as somebody does by hand.
    pub fn forget_node(&self, name: &str) -> anyhow::Result<()> {
        let failed = || format!("delete LoadBalancerNode {name}");
        let key = Key::cluster_scoped(name);
        let found: Option<LoadBalancerNode> = self.runtime.block_on(self.store.get(&key)).with_context(failed)?;
        let object = found.context("it does not exist").with_context(failed)?;
        self.runtime
            .block_on(self.store.delete::<LoadBalancerNode>(&key, &Preconditions::of(&object)))
            .with_context(failed)?;
        Ok(())
    }

    fn get(&self, address: IpAddr) -> anyhow::Result<VirtualIP> {
        let key = Key::cluster_scoped(name_of(address));
        self.runtime.block_on(self.store.get(&key))?.context("it does not exist")
    }
}

/// The store needs some runtime's waiting, and no I/O of it.
fn runtime() -> anyhow::Result<Runtime> {
    tokio::runtime::Builder::new_current_thread().build().context("make a runtime")
}
