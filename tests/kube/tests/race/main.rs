//! Two controllers that are forced to be active at once, on a real API server that is killed and whose etcd stands still
//! in between: no address is given twice, no slot keeps two, none is lost and none leaks.
//!
//! `HERALD_RACE_OPERATIONS` (1,000 unless set) and `HERALD_SEED` say how many operations and which.

mod model;
#[path = "../leader/replica.rs"]
#[allow(dead_code, reason = "each test uses its part")]
mod replica;

use std::{
    collections::BTreeMap,
    env,
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Context as _, bail};
use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use kube::{
    Api, Client,
    api::{DeleteParams, ListParams, Patch, PatchParams},
};
use lb_api::{VirtualIP, names::annotation};
use lb_tests::{
    lab::{Lab, Shape},
    need, wait,
};
use lb_tests_kube::{Plane, PlaneShape};
use model::{Model, Operation, POOLS, Random, Wish};
use replica::{Replica, START};

const NO_STATIONS: Shape = Shape { nodes: 0, clients: 0, routers: 0, snooping: false };
/// After so many operations all must come to rest.
const BATCH: usize = 100;
/// How long that may take on a busy machine, the API server's restart included.
const REST: Duration = Duration::from_secs(180);
/// How long etcd stands still.
const STALL: Duration = Duration::from_secs(4);

#[test]
fn two_controllers_that_both_write_give_no_address_twice_and_lose_none() -> anyhow::Result<()> {
    if !need::met(&replica::needs()) {
        return Ok(());
    }
    let number = |name: &str| env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let operations = usize::try_from(number("HERALD_RACE_OPERATIONS").unwrap_or(1_000))?;
    let clock = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    let seed = number("HERALD_SEED").unwrap_or(clock.as_secs() % 1_000_000);
    race(operations, seed).with_context(|| format!("HERALD_SEED={seed} HERALD_RACE_OPERATIONS={operations}"))
}

#[expect(clippy::print_stderr, reason = "figures for the reader of a long run")]
fn race(operations: usize, seed: u64) -> anyhow::Result<()> {
    let lab = Lab::new(NO_STATIONS)?;
    let mut plane = Plane::start(&lab, PlaneShape::default())?;
    replica::install(&plane, "203.0.113.1-203.0.113.2")?;
    for (name, prefix) in POOLS {
        plane.kubectl().apply(&format!(
            "apiVersion: metallb.io/v1beta1\nkind: IPAddressPool\nmetadata: {{name: {name}, namespace: \
             metallb-system}}\nspec: {{addresses: [{prefix}100-{prefix}149]}}\n"
        ))?;
    }
    let mut controllers = Vec::new();
    for (port, lease) in [(7481, "one"), (7482, "two")] {
        controllers.push(Replica::start(&lab, plane.admin(), port, &["--lease-name", lease, "--quarantine", "1s"])?);
    }
    for controller in &mut controllers {
        controller.wait_for_role("leader", START)?;
    }
    let (mut model, mut random) = (Model::default(), Random(seed));
    let (mut done, mut doubles) = (0, 0);
    let started = Instant::now();
    while done < operations {
        let batch: Vec<Operation> = (0..BATCH.min(operations - done)).map(|_| model.step(&mut random)).collect();
        done += batch.len();
        match random.below(4) {
            0 => {
                plane.api_server().kill()?;
                plane.start_api_server()?;
                doubles += run(&plane, &batch)?;
            }
            1 => {
                let (first, rest) = batch.split_at(batch.len() / 2);
                doubles += run(&plane, first)?;
                plane.etcd().stop()?;
                wait::observe(STALL);
                plane.etcd().cont()?;
                doubles += run(&plane, rest)?;
            }
            2 => {
                let (first, rest) = batch.split_at(batch.len() / 2);
                doubles += run(&plane, first)?;
                // In the middle of what they are doing.
                plane.restart_api_server()?;
                doubles += run(&plane, rest)?;
            }
            _ => doubles += run(&plane, &batch)?,
        }
        rest(&plane, &model).with_context(|| format!("after {done} operations"))?;
        for controller in &mut controllers {
            controller.process().must_run()?;
        }
    }
    eprintln!(
        "{operations} operations in {:?}, seed {seed}; slots seen with two addresses: {doubles}",
        started.elapsed()
    );
    plane.done();
    Ok(())
}

/// Does the operations one after the other, looks after each, and counts slots that have two addresses.
fn run(plane: &Plane, batch: &[Operation]) -> anyhow::Result<usize> {
    plane.admin().run(async |client| {
        let mut doubles = 0;
        for operation in batch {
            let end = Instant::now() + REST;
            // Every operation may be done twice.
            while let Err(error) = apply(&client, operation).await {
                if Instant::now() >= end {
                    bail!("{operation:?}: {error:#}");
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            if let Ok((services, vips)) = look(&client).await {
                model::check_always(&services)?;
                doubles += model::doubles(&vips);
            }
        }
        Ok(doubles)
    })
}

fn rest(plane: &Plane, model: &Model) -> anyhow::Result<()> {
    plane.admin().wait_for(REST, "all to be as the model says", async |client| {
        let (services, vips) = look(client).await?;
        // What may never be is no reason to wait.
        if let Err(error) = model::check_always(&services) {
            return Ok(Some(Err(error)));
        }
        model.check(&services, &vips)?;
        Ok(Some(Ok(())))
    })?
}

async fn look(client: &Client) -> anyhow::Result<(Vec<Service>, Vec<VirtualIP>)> {
    let all = ListParams::default();
    let services = Api::<Service>::namespaced(client.clone(), "default").list(&all).await?.items;
    let vips = Api::<VirtualIP>::all(client.clone()).list(&all).await?.items;
    Ok((services, vips))
}

async fn apply(client: &Client, operation: &Operation) -> anyhow::Result<()> {
    let services = Api::<Service>::namespaced(client.clone(), "default");
    match operation {
        Operation::Create(name, wish) | Operation::Change(name, wish) => {
            let patch = Patch::Apply(service(name, *wish));
            services.patch(name, &PatchParams::apply("user").force(), &patch).await?;
        }
        Operation::Delete(name) => match services.delete(name, &DeleteParams::default()).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.is_not_found() => {}
            Err(error) => return Err(error.into()),
        },
    }
    Ok(())
}

fn service(name: &str, wish: Wish) -> Service {
    let pool = POOLS.get(wish.pool).map(|(name, _)| *name).unwrap_or_default();
    let mut service = Service::default();
    service.metadata.name = Some(name.to_owned());
    service.metadata.annotations = Some(BTreeMap::from([
        (annotation::METALLB_POOL[0].to_owned(), pool.to_owned()),
        (annotation::IP_COUNT.to_owned(), wish.count.to_string()),
    ]));
    let port = ServicePort { port: 80, ..ServicePort::default() };
    service.spec = Some(ServiceSpec {
        type_: Some("LoadBalancer".into()),
        allocate_load_balancer_node_ports: Some(false),
        ports: Some(vec![port]),
        ..ServiceSpec::default()
    });
    service
}
