//! Herald takes over from MetalLB and from Deckhouse, and goes again: no address moves, in either direction.
//!
//! In the order of operations that docs/migration.md gives. What the other controller leaves is `left`; it is not run
//! itself. Whoever comes after Herald is a responder in user space on the nodes.

mod left;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::Duration,
};

use anyhow::{Context as _, ensure};
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Service;
use kube::{
    Api,
    api::{ListParams, WatchEvent, WatchParams},
};
use lb_api::{VirtualIP, virtual_ip::name_of};
use lb_tests::{
    asker::ask_once,
    lab::{INTERFACE, Shape},
    mac::Mac,
    need,
    responder::Responder,
    wait,
};
use lb_tests_kube::{Cluster, ClusterShape, ProxyMode, install, programs};
use left::Left;

/// Hundreds of addresses, in a debug build on a busy machine.
const LIMIT: Duration = Duration::from_secs(120);
/// Whoever comes after Herald: no node's own.
const OTHER: Mac = Mac([2, 0x99, 0, 0, 0, 1]);
/// The CRDs of Herald's own group.
const OWN_CRDS: [&str; 2] = ["virtualips.lb.herald.dev", "loadbalancernodes.lb.herald.dev"];

type Shown = BTreeMap<String, Vec<IpAddr>>;

struct Site {
    cluster: Cluster,
    left: Vec<Left>,
    /// The resource version after which only Herald writes.
    since: String,
}

impl Site {
    /// A cluster in which the other controller has been stopped. `group` is whose CRDs are left of it.
    fn start(left: Vec<Left>, group: Option<&str>) -> anyhow::Result<Self> {
        let lab = Shape { nodes: 3, clients: 1, ..Shape::default() };
        let proxy = Some(ProxyMode::Nftables);
        let shape = ClusterShape { lab, proxy, images: install::images()?, ..ClusterShape::default() };
        let mut cluster = Cluster::start(shape)?;
        cluster.lab_mut().attach_pass()?;
        let kubectl = cluster.kubectl();
        if let Some(group) = group {
            for crd in std::fs::read_dir(install::folder("crds"))? {
                let crd = crd?.path();
                if crd.to_string_lossy().contains(group) {
                    kubectl.run(&["create", "--filename", &crd.to_string_lossy()])?;
                }
            }
            kubectl.run(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"])?;
        }
        kubectl.run(&["create", "namespace", "metallb-system"])?;
        cluster.admin().run(async |client| left::make(&client, &left).await)?;
        Ok(Self { cluster, left, since: String::new() })
    }

    /// As docs/install.md says, beside CRDs that may be there.
    fn install(&mut self) -> anyhow::Result<()> {
        self.since = self.version()?;
        let kubectl = self.cluster.kubectl();
        // "AlreadyExists" for those that are there, which stay as they are.
        if let Err(error) = kubectl.run(&["create", "--filename", &install::folder("crds").to_string_lossy()]) {
            ensure!(error.to_string().contains("AlreadyExists"), "{error:#}");
        }
        kubectl.run(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"])?;
        kubectl.apply_kustomization(&install::folder("base"))?;
        // What an agent leaves that was killed passes sooner than after five minutes.
        let set = ["set", "env", "daemonset/herald-agent", "HERALD_SUPPRESS_LIMIT=5s"];
        kubectl.run(&[&["--namespace", install::NAMESPACE][..], &set].concat())?;
        self.cluster.wait_for_herald()
    }

    fn version(&self) -> anyhow::Result<String> {
        self.cluster.admin().run(async |client| {
            let list = Api::<Service>::namespaced(client, "default").list(&ListParams::default()).await?;
            list.metadata.resource_version.context("a list has a version")
        })
    }

    fn wanted(&self) -> Shown {
        self.left.iter().map(|left| (left.name.clone(), left.addresses.clone())).collect()
    }

    fn addresses(&self) -> Vec<IpAddr> {
        self.left.iter().flat_map(|left| left.addresses.clone()).collect::<BTreeSet<_>>().into_iter().collect()
    }

    fn shown(&self) -> anyhow::Result<Shown> {
        self.cluster.admin().run(async |client| {
            let list = Api::<Service>::namespaced(client, "default").list(&ListParams::default()).await?;
            Ok(list.items.iter().filter(|service| name(service) != "kubernetes").map(shown).collect())
        })
    }

    /// Every address has a VirtualIP that all its Services claim, and a node holds it. Gives the holders.
    fn wait_for_holders(&self) -> anyhow::Result<BTreeMap<IpAddr, String>> {
        let mut claims: BTreeMap<String, (IpAddr, BTreeSet<String>)> = BTreeMap::new();
        for left in &self.left {
            for address in &left.addresses {
                let (_, names) = claims.entry(name_of(*address)).or_insert_with(|| (*address, BTreeSet::new()));
                names.insert(left.name.clone());
            }
        }
        self.cluster.admin().wait_for(LIMIT, "every address to be adopted and held", async |client| {
            let list = Api::<VirtualIP>::all(client.clone()).list(&ListParams::default()).await?;
            ensure!(list.items.len() == claims.len(), "{} VirtualIPs of {}", list.items.len(), claims.len());
            let mut holders = BTreeMap::new();
            for vip in &list.items {
                let of = vip.metadata.name.clone().unwrap_or_default();
                let (address, names) = claims.get(&of).with_context(|| format!("{of} is nobody's"))?;
                let claimed: BTreeSet<String> = vip.spec.claims.iter().map(|claim| claim.name.clone()).collect();
                ensure!(claimed == *names, "{of} is claimed by {claimed:?}, shown by {names:?}");
                let holder = vip.status.as_ref().and_then(|status| status.holder.clone());
                holders.insert(*address, holder.with_context(|| format!("{of} is held by nobody"))?);
            }
            Ok(Some(holders))
        })
    }

    /// What the API server has brought of the Services since Herald came: none ever showed anything else.
    fn nothing_ever_moved(&self) -> anyhow::Result<()> {
        let wanted = self.wanted();
        self.cluster.admin().run(async |client| {
            let api = Api::<Service>::namespaced(client, "default");
            let mut events = std::pin::pin!(api.watch(&WatchParams::default().timeout(3), &self.since).await?);
            while let Some(event) = events.next().await {
                match event? {
                    WatchEvent::Modified(service) | WatchEvent::Added(service) | WatchEvent::Deleted(service) => {
                        let (name, addresses) = shown(&service);
                        ensure!(wanted.get(&name) == Some(&addresses), "{name} showed {addresses:?}");
                    }
                    WatchEvent::Bookmark(_) => {}
                    WatchEvent::Error(error) => anyhow::bail!("{error:?}"),
                }
            }
            Ok(())
        })?;
        assert_eq!(self.shown()?, wanted);
        Ok(())
    }

    /// Who answers a client for each address.
    fn answers(&self) -> anyhow::Result<BTreeMap<IpAddr, BTreeSet<Mac>>> {
        let client = &self.cluster.lab().client().netns;
        let record = ask_once(client, INTERFACE, self.addresses())?;
        let macs = |(address, macs): (IpAddr, BTreeMap<Mac, usize>)| (address, macs.into_keys().collect());
        Ok(record.all().holders().into_iter().map(macs).collect())
    }

    fn wait_for_answers(&self, what: &str, of: impl Fn(IpAddr) -> anyhow::Result<Mac>) -> anyhow::Result<()> {
        wait::for_ok(LIMIT, what, || {
            let answers = self.answers()?;
            for address in self.addresses() {
                let expected = BTreeSet::from([of(address)?]);
                let answered = answers.get(&address).cloned().unwrap_or_default();
                ensure!(answered == expected, "{address} is answered by {answered:?}, not {expected:?}");
            }
            Ok(())
        })?;
        Ok(())
    }

    /// The node that says it holds an address is the one that answers, and the only one.
    fn holders_answer(&self) -> anyhow::Result<BTreeMap<IpAddr, String>> {
        let holders = self.wait_for_holders()?;
        self.wait_for_answers("the holders to answer", |address| {
            let holder = holders.get(&address).context("a holder")?;
            Ok(self.cluster.node(holder)?.mac)
        })?;
        Ok(holders)
    }

    /// Another load balancer on the nodes can answer for every address, and nobody else does.
    fn all_is_free(&self) -> anyhow::Result<()> {
        let addresses = self.addresses();
        let share = addresses.len().div_ceil(self.cluster.lab().nodes.len());
        let parts = self.cluster.lab().nodes.iter().zip(addresses.chunks(share));
        let _others: Vec<Responder> =
            parts.map(|(node, part)| Responder::start(node, OTHER, part)).collect::<anyhow::Result<_>>()?;
        self.wait_for_answers("whoever comes after Herald to answer", |_| Ok(OTHER))
    }
}

fn name(service: &Service) -> &str {
    service.metadata.name.as_deref().unwrap_or_default()
}

fn shown(service: &Service) -> (String, Vec<IpAddr>) {
    let balancer = service.status.as_ref().and_then(|status| status.load_balancer.as_ref());
    let ingress = balancer.and_then(|balancer| balancer.ingress.as_ref()).into_iter().flatten();
    (name(service).to_owned(), ingress.filter_map(|entry| entry.ip.as_ref()?.parse().ok()).collect())
}

fn met() -> bool {
    need::met(&[programs::needs(), install::needs()].concat())
}

/// MetalLB's chart takes its CRDs along, and with them every pool: Services are adopted without any, and the pools come
/// back afterwards. Herald then goes as docs/install.md says.
#[test]
fn two_hundred_services_of_metallb_keep_their_addresses_there_and_back() -> anyhow::Result<()> {
    if !met() {
        return Ok(());
    }
    let mut site = Site::start(left::metallb(), None)?;
    assert_eq!(site.left.len(), 200);
    assert_eq!(site.shown()?, site.wanted());

    site.install()?;
    site.cluster.kubectl().apply(left::METALLB_POOLS)?;

    site.holders_answer()?;
    let kubectl = site.cluster.kubectl();
    // What MetalLB's tools ask for.
    wait::for_ok(LIMIT, "a ServiceL2Status of each Service", || {
        let list = kubectl.json(&["--namespace", "metallb-system", "get", "servicel2statuses"])?;
        let said = list["items"].as_array().into_iter().flatten();
        let said: BTreeSet<_> = said.filter_map(|one| one["status"]["serviceName"].as_str()).collect();
        ensure!(said.len() == 200, "{} of 200", said.len());
        Ok(())
    })?;
    let pool = kubectl.json(&["--namespace", "metallb-system", "get", "ipaddresspool", "main"])?;
    assert_eq!((&pool["status"]["assignedIPv4"], &pool["status"]["assignedIPv6"]), (&160.into(), &60.into()), "{pool}");
    site.nothing_ever_moved()?;

    let namespace = ["--namespace", install::NAMESPACE];
    kubectl.run(&[&namespace[..], &["delete", "daemonset", "herald-agent", "--timeout=120s"]].concat())?;
    let base = install::folder("base");
    let all = ["delete", "--ignore-not-found", "--timeout=120s", "--kustomize", &base.to_string_lossy()];
    kubectl.run(&all)?;
    kubectl.run(&[&["delete", "crd"][..], &OWN_CRDS].concat())?;

    site.all_is_free()?;
    site.nothing_ever_moved()?;
    site.cluster.done();
    Ok(())
}

/// Deckhouse leaves its class where it is. Herald is then killed on all nodes in one moment, and nobody cleans up.
#[test]
fn two_hundred_services_of_deckhouse_keep_three_addresses_each_there_and_back() -> anyhow::Result<()> {
    if !met() {
        return Ok(());
    }
    let mut site = Site::start(left::deckhouse(), Some("network.deckhouse.io"))?;
    assert_eq!(site.left.len(), 200);
    site.cluster.kubectl().apply(left::DECKHOUSE_CLASS)?;

    site.install()?;

    let holders = site.holders_answer()?;
    for left in &site.left {
        let nodes: BTreeSet<_> = left.addresses.iter().filter_map(|address| holders.get(address)).collect();
        assert_eq!(nodes.len(), 3, "{} is on {nodes:?}", left.name);
    }
    site.nothing_ever_moved()?;

    for node in ["node-1", "node-2", "node-3"] {
        site.cluster.stop_runner(node)?;
    }

    site.all_is_free()?;
    site.nothing_ever_moved()?;
    site.cluster.done();
    Ok(())
}
