//! The control plane: etcd, the API server, the controllers and the scheduler, as processes in the lab's control
//! namespace, which gets a link to the lab's segment.
//!
//! Invariant: what [`Plane::start`] returns answers requests; a process that ends before is an error with its log.

mod launch;

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use k8s_openapi::api::core::v1::{ConfigMap, ServiceAccount};
use kube::{Api, Client};
use lb_tests::lab::{Lab, Process};

use self::launch::Launch;
use crate::{
    access::Access,
    credentials::{Credentials, Identity},
    kubectl::Kubectl,
    logs, net,
};

/// The API server's address on the segment.
pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 5);
/// The same in IPv6; the number reads the same in both families, as the lab's nodes have it.
pub const ADDRESS_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 5);
/// The API server's port.
pub const PORT: u16 = 6443;
/// The Service `kubernetes`: the first address of the IPv4 range.
pub const SERVICE: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 1);
const SERVICE_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x96, 0, 0, 0, 0, 0, 1);
/// What a certificate of an API server carries in every cluster.
const NAMES: [&str; 4] =
    ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"];

/// On two idle cores everything stands after 4 s; a machine that builds at the same time takes several times that.
const START: Duration = Duration::from_secs(90);
const PAUSE: Duration = Duration::from_millis(50);

/// What a control plane consists of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PlaneShape {
    /// Whether Deployments, DaemonSets and endpoints are acted on and Pods are bound to nodes.
    pub controllers: bool,
    /// Whether every write is recorded, with who made it.
    pub audit: bool,
    /// Who has a token besides the administrator, the control plane's own programs and the nodes.
    pub identities: Vec<Identity>,
}

/// A control plane that answers. It ends with the value.
#[derive(Debug)]
pub struct Plane {
    // They end in this order: who depends on another goes first.
    controllers: Vec<Process>,
    api_server: Process,
    etcd: Process,
    launch: Launch,
    admin: Access,
    /// Whether the test came to its end.
    is_done: bool,
}

impl Plane {
    /// Starts a control plane for a lab and waits until it answers.
    pub fn start(lab: &Lab, shape: PlaneShape) -> anyhow::Result<Self> {
        let folder = lab.dir().join("plane");
        fs::create_dir_all(folder.join("logs")).with_context(|| format!("create {}", folder.display()))?;
        net::connect_control(lab)?;
        let credentials = credentials(lab, &shape, &folder)?;
        let admin = Access::new(&lab.control, &credentials.kubeconfig("admin"));
        let with_controllers = shape.controllers;
        let launch = Launch { control: lab.control.clone(), folder, credentials, audit: shape.audit };
        let (etcd, api_server) = (launch.etcd()?, launch.api_server()?);
        let mut plane = Self { controllers: Vec::new(), api_server, etcd, launch, admin, is_done: false };
        plane.wait_until_ready()?;
        if with_controllers {
            plane.controllers = plane.launch.controllers()?;
            plane.wait_for_controllers()?;
        }
        Ok(plane)
    }

    /// The administrator's way to the API server.
    pub fn admin(&self) -> &Access {
        &self.admin
    }

    /// The way of an identity that the shape named, or of a node.
    pub fn access(&self, identity: &str) -> Access {
        Access::new(&self.launch.control, &self.launch.credentials.kubeconfig(identity))
    }

    /// The certificate of who signed the API server's, in PEM.
    pub fn ca(&self) -> PathBuf {
        self.launch.credentials.file("ca.crt")
    }

    /// The administrator's `kubectl`.
    pub fn kubectl(&self) -> Kubectl {
        Kubectl::new(&self.admin, &self.launch.folder.join("kubectl"))
    }

    /// `kubectl` of an identity that the shape named.
    pub fn kubectl_of(&self, identity: &str) -> Kubectl {
        Kubectl::new(&self.access(identity), &self.launch.folder.join("kubectl"))
    }

    /// What went wrong is in these logs; a control plane that is dropped without this word keeps them.
    pub fn done(mut self) {
        self.is_done = true;
    }

    /// Where each program's log is.
    pub fn logs(&self) -> PathBuf {
        self.launch.folder.join("logs")
    }

    /// What was written by whom, one JSON object a line, if the shape asked for it.
    pub fn audit_log(&self) -> PathBuf {
        self.launch.audit_log()
    }

    /// etcd, to stop it for a while or to end it.
    pub fn etcd(&mut self) -> &mut Process {
        &mut self.etcd
    }

    /// The API server, to stop it for a while or to end it.
    pub fn api_server(&mut self) -> &mut Process {
        &mut self.api_server
    }

    /// Ends the API server as a crash would, starts it again and waits until it answers.
    pub fn restart_api_server(&mut self) -> anyhow::Result<()> {
        self.api_server.kill()?;
        self.start_api_server()
    }

    /// Starts an API server that was ended, and waits until it answers.
    pub fn start_api_server(&mut self) -> anyhow::Result<()> {
        self.api_server = self.launch.api_server()?;
        self.wait_until_ready()
    }

    /// Says itself that all its parts are.
    fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        let admin = self.admin.clone();
        self.wait_for("the API server to be ready", || {
            admin.run(async |client| Ok(client.request_text(http::Request::get("/readyz").body(Vec::new())?).await?))
        })
    }

    /// The controllers are at work when they have made what every namespace gets from them.
    fn wait_for_controllers(&mut self) -> anyhow::Result<()> {
        let admin = self.admin.clone();
        self.wait_for("the controllers to be at work", || admin.run(async |client| controllers_work(client).await))?;
        let control = self.launch.control.clone();
        let scheduler = (Ipv4Addr::LOCALHOST, launch::SCHEDULER_PORT).into();
        self.wait_for("the scheduler to listen", || net::connects(&control, scheduler))
    }

    /// Waits for a condition while every program has to run.
    fn wait_for<T>(&mut self, what: &str, mut condition: impl FnMut() -> anyhow::Result<T>) -> anyhow::Result<()> {
        let end = Instant::now() + START;
        loop {
            match condition() {
                Ok(_) => return Ok(()),
                Err(error) if Instant::now() >= end => {
                    return Err(error).context(format!("waited {START:?} for {what}\n{}", self.api_server.log_tail()));
                }
                Err(_) => {}
            }
            for process in [&mut self.etcd, &mut self.api_server].into_iter().chain(&mut self.controllers) {
                process.must_run()?;
            }
            std::thread::sleep(PAUSE);
        }
    }
}

impl Drop for Plane {
    fn drop(&mut self) {
        if !self.is_done {
            logs::keep(&self.logs());
        }
    }
}

fn credentials(lab: &Lab, shape: &PlaneShape, folder: &Path) -> anyhow::Result<Credentials> {
    let components = [
        Identity::admin(),
        Identity::component("controller-manager", "system:kube-controller-manager"),
        Identity::component("scheduler", "system:kube-scheduler"),
        Identity::component("proxy", "system:kube-proxy"),
    ];
    let nodes = lab.nodes.iter().map(|node| Identity::node(&node.name));
    let identities: Vec<_> = components.into_iter().chain(nodes).chain(shape.identities.iter().cloned()).collect();
    let addresses: [IpAddr; 5] =
        [ADDRESS.into(), ADDRESS_V6.into(), SERVICE.into(), SERVICE_V6.into(), Ipv4Addr::LOCALHOST.into()];
    let server = format!("https://{ADDRESS}:{PORT}");
    Credentials::make(&folder.join("credentials"), &server, &NAMES, &addresses, &identities)
}

async fn controllers_work(client: Client) -> anyhow::Result<()> {
    Api::<ServiceAccount>::namespaced(client.clone(), "default").get("default").await?;
    Api::<ConfigMap>::namespaced(client, "default").get("kube-root-ca.crt").await?;
    Ok(())
}
