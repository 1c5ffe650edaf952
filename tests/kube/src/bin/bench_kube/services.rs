//! Services, made and taken away many at once.

use std::collections::BTreeMap;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::{
    core::v1::{Service, ServicePort, ServiceSpec},
    discovery::v1::EndpointSlice,
};
use kube::{
    Api, Client,
    api::{ListParams, PostParams},
};
use lb_tests_kube::Access;

/// As many requests as the controller has under way.
pub(crate) const AT_ONCE: usize = 32;
/// Answers of a list come in pages, so that none is cut off.
const PAGE: u32 = 1_000;

/// A Service without node ports, of the Cluster policy, that wants one address; `class` is `spec.loadBalancerClass`.
pub(crate) fn service(name: &str, class: Option<&str>, labels: &[(&str, &str)]) -> Service {
    let mut service = Service::default();
    service.metadata.name = Some(name.to_owned());
    let labels: BTreeMap<_, _> = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    service.metadata.labels = Some(labels).filter(|labels| !labels.is_empty());
    service.spec = Some(ServiceSpec {
        type_: Some("LoadBalancer".into()),
        load_balancer_class: class.map(str::to_owned),
        allocate_load_balancer_node_ports: Some(false),
        ports: Some(vec![ServicePort { port: 80, ..ServicePort::default() }]),
        ..ServiceSpec::default()
    });
    service
}

/// A serving endpoint of the Service on node-1: without one nobody answers.
pub(crate) async fn serve(client: &Client, name: &str) -> anyhow::Result<()> {
    let slice: EndpointSlice = serde_json::from_value(serde_json::json!({
        "metadata": { "name": format!("{name}-1"), "labels": { "kubernetes.io/service-name": name } },
        "addressType": "IPv4",
        "endpoints": [{ "addresses": ["10.244.1.2"], "conditions": { "ready": true }, "nodeName": "node-1" }],
        "ports": [{ "name": "", "port": 8080, "protocol": "TCP" }],
    }))?;
    Api::<EndpointSlice>::namespaced(client.clone(), "default").create(&PostParams::default(), &slice).await?;
    Ok(())
}

/// Makes endpoints for Services of these names.
pub(crate) fn serve_all(access: &Access, names: &[String]) -> anyhow::Result<()> {
    access.run(async |client| {
        let served = stream::iter(names).map(|name| serve(&client, name)).buffer_unordered(AT_ONCE);
        served.try_collect().await
    })
}

/// Makes Services of these names, and gives them as they are then.
pub(crate) fn create(access: &Access, names: &[String], class: Option<&str>) -> anyhow::Result<Vec<Service>> {
    access.run(async |client| {
        let api = Api::<Service>::namespaced(client, "default");
        let params = PostParams::default();
        let services: Vec<Service> = names.iter().map(|name| service(name, class, &[])).collect();
        let created = stream::iter(&services).map(|service| api.create(&params, service)).buffer_unordered(AT_ONCE);
        Ok(created.try_collect().await?)
    })
}

/// How many Services of a prefix show an address.
pub(crate) fn shown(access: &Access, prefix: &str) -> anyhow::Result<usize> {
    access.run(async |client| {
        let services = all(&client).await?;
        let ours = services
            .iter()
            .filter(|service| service.metadata.name.as_deref().is_some_and(|name| name.starts_with(prefix)));
        Ok(ours.filter(|service| address(service).is_some()).count())
    })
}

/// The address that a Service shows.
pub(crate) fn address(service: &Service) -> Option<&str> {
    let balancer = service.status.as_ref()?.load_balancer.as_ref()?;
    balancer.ingress.as_ref()?.first()?.ip.as_deref()
}

async fn all(client: &Client) -> anyhow::Result<Vec<Service>> {
    let api = Api::<Service>::namespaced(client.clone(), "default");
    let (mut all, mut page) = (Vec::new(), ListParams::default().limit(PAGE));
    loop {
        let list = api.list(&page).await?;
        all.extend(list.items);
        page.continue_token = list.metadata.continue_.filter(|token| !token.is_empty());
        if page.continue_token.is_none() {
            return Ok(all);
        }
    }
}
