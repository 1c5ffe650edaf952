//! The store contract on a real API server: the same cases that the directory passes.
#![allow(unreachable_pub, reason = "the suite is a module of several test crates")]

#[path = "../../../lb-store/tests/contract/suite.rs"]
mod suite;

use std::path::PathBuf;

use k8s_openapi::api::core::v1::Service;
use kube::{
    Api, Client,
    api::{DeleteParams, ListParams, Patch, PatchParams},
};
use lb_api::{MetalLoadBalancerClass, MetalLoadBalancerClassSpec, VirtualIP};
use lb_store::{Place, Store, Writer};
use lb_tests::{
    lab::{Lab, Shape},
    need,
};
use lb_tests_kube::{Plane, PlaneShape, programs};

const NO_STATIONS: Shape = Shape { nodes: 0, clients: 0, routers: 0, snooping: false };

/// An API server, emptied for each case.
struct Server {
    client: Client,
    kubeconfig: PathBuf,
}

impl Server {
    async fn emptied(client: &Client, kubeconfig: PathBuf) -> anyhow::Result<Self> {
        let (all, how) = (ListParams::default(), DeleteParams::default());
        Api::<VirtualIP>::all(client.clone()).delete_collection(&how, &all).await?;
        Api::<MetalLoadBalancerClass>::all(client.clone()).delete_collection(&how, &all).await?;
        let services = Api::<Service>::namespaced(client.clone(), "default");
        for service in services.list(&all).await? {
            let name = service.metadata.name.unwrap_or_default();
            if name != "kubernetes" {
                services.delete(&name, &how).await?;
            }
        }
        Ok(Self { client: client.clone(), kubeconfig })
    }

    fn open(&self) -> Store {
        Store::open(&Place::Kubeconfig(self.kubeconfig.clone()), Writer::Controller).expect("the kubeconfig is good")
    }
}

impl suite::Backend for Server {
    fn controller(&self) -> Store {
        self.open()
    }

    fn agent(&self, _node: &str) -> Store {
        self.open()
    }

    async fn apply(&self, name: &str, port: u16) {
        let services = Api::<Service>::namespaced(self.client.clone(), "default");
        let patch = Patch::Apply(suite::service(name, port));
        services.patch(name, &PatchParams::apply("user").force(), &patch).await.expect("applied");
    }

    async fn withdraw(&self, name: &str) {
        let services = Api::<Service>::namespaced(self.client.clone(), "default");
        services.delete(name, &DeleteParams::default()).await.expect("was applied");
    }

    async fn apply_class(&self, name: &str, pool: &str) {
        let spec = MetalLoadBalancerClassSpec { address_pool: vec![pool.into()], ..Default::default() };
        let patch = Patch::Apply(MetalLoadBalancerClass::new(name, spec));
        let classes = Api::<MetalLoadBalancerClass>::all(self.client.clone());
        classes.patch(name, &PatchParams::apply("user").force(), &patch).await.expect("applied");
    }
}

macro_rules! one_after_the_other {
    ($($name:ident,)*) => {
        /// One control plane serves all cases.
        async fn all(client: &Client, kubeconfig: PathBuf) -> anyhow::Result<()> {
            $(
                eprintln!("case {}", stringify!($name));
                suite::$name(Server::emptied(client, kubeconfig.clone()).await?).await;
            )*
            Ok(())
        }
    };
}

suite::cases!(one_after_the_other);

#[test]
fn an_api_server_keeps_the_contract() -> anyhow::Result<()> {
    if !need::met(&programs::needs()) {
        return Ok(());
    }
    let lab = Lab::new(NO_STATIONS)?;
    let plane = Plane::start(&lab, PlaneShape::default())?;
    let crds = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../deploy/crds");
    plane.kubectl().run(&["apply", "--server-side", "-f", &crds.to_string_lossy()])?;
    plane.kubectl().run(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=30s"])?;
    let kubeconfig = plane.admin().kubeconfig().to_owned();
    plane.admin().run(async |client| all(&client, kubeconfig).await)?;
    plane.done();
    Ok(())
}
