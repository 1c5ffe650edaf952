//! Controllers on an API server, in the control plane's namespace.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::Context as _;
use lb_tests::{
    herald::program,
    http,
    lab::{Lab, Namespace, Process},
    need::Need,
    wait,
};
use lb_tests_kube::{Access, Plane};
use serde_json::Value;

/// A debug build on a busy machine.
pub(crate) const START: Duration = Duration::from_secs(60);

/// What a test with controllers needs besides a control plane.
pub(crate) fn needs() -> Vec<Need> {
    let mut needs = lb_tests_kube::programs::needs();
    needs.push(Need::File(program("lb-controller"), "cargo build -p lb-controller"));
    needs
}

/// A controller.
pub(crate) struct Replica {
    process: Process,
    namespace: Namespace,
    listen: SocketAddr,
}

impl Replica {
    /// Starts one that listens on a port of its own, under somebody's identity.
    pub(crate) fn start(lab: &Lab, access: &Access, port: u16, args: &[&str]) -> anyhow::Result<Self> {
        let listen = SocketAddr::from(([127, 0, 0, 1], port));
        let mut command = lab.control.command(program("lb-controller"));
        command.arg("--kubeconfig").arg(access.kubeconfig()).args(["--listen", &listen.to_string()]).args(args);
        let log = lab.dir().join("plane/logs").join(format!("lb-controller-{port}.log"));
        let process = Process::start("lb-controller", command, &log)?;
        Ok(Self { process, namespace: lab.control.clone(), listen })
    }

    pub(crate) fn state(&self) -> anyhow::Result<Value> {
        let text = http::get(&self.namespace, self.listen, "/state")?;
        serde_json::from_str(&text).context("the controller's /state")
    }

    pub(crate) fn get(&self, path: &str) -> anyhow::Result<String> {
        http::get(&self.namespace, self.listen, path)
    }

    pub(crate) fn role(&self) -> anyhow::Result<String> {
        Ok(self.state()?["role"].as_str().unwrap_or_default().to_owned())
    }

    /// Waits until it says that it has this role, and has read everything.
    pub(crate) fn wait_for_role(&mut self, role: &str, limit: Duration) -> anyhow::Result<()> {
        let waited = wait::for_ok(limit, format!("a replica to be {role}"), || {
            self.process.must_run().map_err(|error| format!("{error:#}"))?;
            let state = self.state().map_err(|error| format!("{error:#}"))?;
            if state["role"] == role && state["synced"] == true { Ok(()) } else { Err(state.to_string()) }
        });
        waited.with_context(|| self.process.log_tail())
    }

    pub(crate) fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}

/// The CRDs of `deploy/`, two Nodes, and a pool that is announced.
pub(crate) fn install(plane: &Plane, pool: &str) -> anyhow::Result<()> {
    let crds = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../deploy/crds");
    let kubectl = plane.kubectl();
    kubectl.run(&["apply", "--server-side", "-f", &crds.to_string_lossy()])?;
    kubectl.run(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"])?;
    kubectl.run(&["create", "namespace", "metallb-system"])?;
    kubectl.apply(
        "apiVersion: v1\nkind: Node\nmetadata: {name: node-1}\n---\napiVersion: v1\nkind: Node\nmetadata: {name: \
         node-2}\n",
    )?;
    kubectl.apply(&format!(
        "apiVersion: metallb.io/v1beta1\nkind: IPAddressPool\nmetadata: {{name: pool, namespace: metallb-system}}\nspec: \
         {{addresses: [{pool}]}}\n---\napiVersion: metallb.io/v1beta1\nkind: L2Advertisement\nmetadata: {{name: all, \
         namespace: metallb-system}}\n",
    ))?;
    Ok(())
}

/// A LoadBalancer Service without node ports.
pub(crate) fn service(name: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec:\n  type: LoadBalancer\n  \
         allocateLoadBalancerNodePorts: false\n  ports: [{{port: 80}}]\n"
    )
}

/// Waits until a Service shows an address, and gives it.
pub(crate) fn address_of(plane: &Plane, name: &str, limit: Duration) -> anyhow::Result<String> {
    use k8s_openapi::api::core::v1::Service;
    plane.admin().wait_for(limit, &format!("{name} to have an address"), async |client| {
        let service = kube::Api::<Service>::namespaced(client.clone(), "default").get(name).await?;
        let status = service.status.and_then(|status| status.load_balancer);
        Ok(status.and_then(|status| status.ingress).and_then(|ingress| ingress.into_iter().find_map(|one| one.ip)))
    })
}
