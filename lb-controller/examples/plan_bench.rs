//! How long a plan of many Services takes: from nothing, and when everything is as it should be.
//!
//! `cargo run --release -p lb-controller --example plan_bench -- 10000` prints one line of JSON.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use k8s_openapi::{
    api::core::v1::{Node, Service, ServiceSpec},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use lb_api::{MetalLoadBalancerClass, MetalLoadBalancerClassSpec, names::annotation};
use lb_plan::controller::{Action, Plan, Snapshot, plan};

const NODES: usize = 100;
const COUNT: usize = 3;

#[expect(clippy::print_stdout, reason = "the figures are the output")]
fn main() {
    let services = std::env::args().nth(1).and_then(|number| number.parse().ok()).unwrap_or(10_000);
    let mut snapshot = cluster(services);
    let (first, first_plan) = timed(&snapshot);
    apply(&mut snapshot, &first_plan);
    let (statuses, status_plan) = timed(&snapshot);
    apply(&mut snapshot, &status_plan);
    let (steady, steady_plan) = timed(&snapshot);
    snapshot.nodes.pop();
    let (node_gone, moved) = timed(&snapshot);
    println!(
        "{}",
        serde_json::json!({
            "services": services,
            "nodes": NODES,
            "addresses": snapshot.virtual_ips.len(),
            "plan_ms": millis(first),
            "plan_steps": first_plan.steps.len(),
            "statuses_ms": millis(statuses),
            "steady_ms": millis(steady),
            "steady_steps": steady_plan.steps.len(),
            "node_gone_ms": millis(node_gone),
            "node_gone_steps": moved.steps.len(),
        })
    );
}

fn timed(snapshot: &Snapshot) -> (Duration, Plan) {
    let started = Instant::now();
    let plan = plan(snapshot);
    (started.elapsed(), plan)
}

fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e4).round() / 10.0
}

/// Dual-stack Services with three addresses of each family.
fn cluster(services: usize) -> Snapshot {
    let class = MetalLoadBalancerClass {
        metadata: named("main", None),
        spec: MetalLoadBalancerClassSpec {
            address_pool: vec!["10.0.0.0/8".into(), "2001:db8::/64".into()],
            is_default: true,
            ..MetalLoadBalancerClassSpec::default()
        },
        status: None,
    };
    let node = |number| Node { metadata: named(&format!("node-{number}"), None), ..Node::default() };
    Snapshot {
        services: (0..services).map(|number| Arc::new(service(number))).collect(),
        nodes: (0..NODES).map(|number| Arc::new(node(number))).collect(),
        classes: vec![Arc::new(class)],
        quarantine: Duration::from_secs(60),
        ..Snapshot::default()
    }
}

fn service(number: usize) -> Service {
    let mut metadata = named(&format!("web-{number}"), Some("default"));
    metadata.annotations = Some([(annotation::IP_COUNT.to_owned(), COUNT.to_string())].into());
    let spec = ServiceSpec {
        type_: Some("LoadBalancer".into()),
        ip_families: Some(vec!["IPv4".into(), "IPv6".into()]),
        ip_family_policy: Some("RequireDualStack".into()),
        ..ServiceSpec::default()
    };
    Service { metadata, spec: Some(spec), status: None }
}

fn named(name: &str, namespace: Option<&str>) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        namespace: namespace.map(str::to_owned),
        uid: Some(format!("uid-{name}")),
        resource_version: Some("1".into()),
        ..ObjectMeta::default()
    }
}

/// Creations and statuses, which is all that a first plan has.
fn apply(snapshot: &mut Snapshot, plan: &Plan) {
    for step in &plan.steps {
        match &step.action {
            Action::Create(vip) => snapshot.virtual_ips.push(Arc::new((**vip).clone())),
            Action::WriteStatus(written) => {
                let same = |service: &&mut Arc<Service>| service.metadata.uid == written.metadata.uid;
                // Statuses come in the order of the plan, not of the list.
                if let Some(service) = snapshot.services.iter_mut().find(same) {
                    *service = Arc::new((**written).clone());
                }
            }
            Action::Update(_)
            | Action::Delete(_)
            | Action::CreateEvent(_)
            | Action::DeleteEvent(_)
            | Action::WritePoolStatus(_)
            | Action::CreateState(_)
            | Action::WriteState(_)
            | Action::Annotate(_) => {}
        }
    }
}
