//! What another controller leaves behind when it is stopped: Services with addresses, annotations and conditions.
//!
//! Written as the controllers themselves write (metallb.md section 2, deckhouse.md sections 3 to 6), in an order of
//! addresses that Herald would not choose.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::{core::v1::Service, discovery::v1::EndpointSlice};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

const AT_ONCE: usize = 16;
/// Nodes that have Pods of the Services.
const NODES: usize = 3;

/// One Service as it is left.
#[derive(Debug, Clone)]
pub(crate) struct Left {
    pub(crate) name: String,
    pub(crate) addresses: Vec<IpAddr>,
    annotations: Vec<(&'static str, String)>,
    spec: Value,
    conditions: Value,
}

impl Left {
    fn new(name: String, addresses: Vec<IpAddr>) -> Self {
        Self { name, addresses, annotations: Vec::new(), spec: json!({}), conditions: json!([]) }
    }

    fn with(mut self, annotation: &'static str, value: impl Into<String>) -> Self {
        self.annotations.push((annotation, value.into()));
        self
    }

    fn spec(mut self, field: &str, value: Value) -> Self {
        self.spec[field] = value;
        self
    }

    fn service(&self) -> anyhow::Result<Service> {
        let mut spec = json!({ "type": "LoadBalancer", "ports": [{ "name": "http", "port": 80 }] });
        for (field, value) in self.spec.as_object().into_iter().flatten() {
            spec[field] = value.clone();
        }
        let annotations: serde_json::Map<_, _> =
            self.annotations.iter().map(|(name, value)| ((*name).to_owned(), value.clone().into())).collect();
        Ok(serde_json::from_value(json!({
            "metadata": { "name": self.name, "annotations": annotations },
            "spec": spec,
        }))?)
    }

    fn status(&self) -> Value {
        let ingress: Vec<Value> = self.addresses.iter().map(|address| json!({ "ip": address })).collect();
        json!({ "status": { "loadBalancer": { "ingress": ingress }, "conditions": self.conditions } })
    }

    /// An endpoint on one of the nodes: without any, nobody answers.
    fn slice(&self, number: usize) -> anyhow::Result<EndpointSlice> {
        let node = format!("node-{}", number % NODES + 1);
        Ok(serde_json::from_value(json!({
            "metadata": {
                "name": format!("{}-1", self.name),
                "labels": { "kubernetes.io/service-name": self.name },
            },
            "addressType": "IPv4",
            "endpoints": [{ "addresses": ["10.244.1.2"], "conditions": { "ready": true }, "nodeName": node }],
            "ports": [{ "name": "http", "port": 8080, "protocol": "TCP" }],
        }))?)
    }
}

fn v4(third: u8, last: usize) -> IpAddr {
    let low = u16::try_from(last).expect("a few hundred");
    let [high, low] = low.to_be_bytes();
    Ipv4Addr::new(10, 130, third + high, low).into()
}

fn v6(last: usize) -> IpAddr {
    let low = u16::try_from(last).expect("a few hundred");
    Ipv6Addr::new(0xfd00, 0x130, 0, 0, 0, 0, 0, low).into()
}

/// The pools and advertisements that the 200 Services of [`metallb`] have their addresses from.
pub(crate) const METALLB_POOLS: &str = "
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: { name: main, namespace: metallb-system }
spec: { addresses: [10.130.0.0/23, 'fd00:130::/112'] }
---
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: { name: reserved, namespace: metallb-system }
spec: { addresses: [10.130.8.0-10.130.8.99], autoAssign: false }
---
apiVersion: metallb.io/v1beta1
kind: L2Advertisement
metadata: { name: all, namespace: metallb-system }
spec: { ipAddressPools: [main, reserved] }
";

const FROM_POOL: &str = "metallb.io/ip-allocated-from-pool";

/// 200 Services of MetalLB's: of either family and of both, shared, requested in all ways, from a pool that assigns
/// nothing by itself.
pub(crate) fn metallb() -> Vec<Left> {
    let single = (0..100).map(|i| {
        // Not the order of names.
        Left::new(format!("plain-{i}"), vec![v4(0, 1 + i * 37 % 100)]).with(FROM_POOL, "main")
    });
    let sixth = (0..20).map(|i| {
        let left = Left::new(format!("sixth-{i}"), vec![v6(1 + i * 7 % 20)]).with(FROM_POOL, "main");
        left.spec("ipFamilies", json!(["IPv6"])).spec("ipFamilyPolicy", json!("SingleStack"))
    });
    let both = (0..40).map(|i| {
        let policy = if i % 2 == 0 { "PreferDualStack" } else { "RequireDualStack" };
        let left = Left::new(format!("both-{i}"), vec![v4(0, 110 + i), v6(200 - i)]).with(FROM_POOL, "main");
        left.spec("ipFamilyPolicy", json!(policy)).spec("ipFamilies", json!(["IPv4", "IPv6"]))
    });
    // Two Services an address; half of them with the older prefix.
    let shared = (0..20).map(|i| {
        let key = if i < 10 { "metallb.universe.tf/allow-shared-ip" } else { "metallb.io/allow-shared-ip" };
        let left = Left::new(format!("shared-{i}"), vec![v4(0, 160 + i / 2)]).with(FROM_POOL, "main");
        let port = if i % 2 == 0 { 80 } else { 443 };
        left.with(key, format!("key-{}", i / 2)).spec("ports", json!([{ "name": "http", "port": port }]))
    });
    let requested = (0..10).map(|i| {
        let address = v4(0, 200 + i);
        let left = Left::new(format!("asked-{i}"), vec![address]).with(FROM_POOL, "main");
        match i % 2 {
            0 => left.with("metallb.universe.tf/loadBalancerIPs", address.to_string()),
            _ => left.spec("loadBalancerIP", json!(address)),
        }
    });
    let reserved = (0..10).map(|i| {
        let left = Left::new(format!("reserved-{i}"), vec![v4(8, 50 - i)]).with(FROM_POOL, "reserved");
        left.with("metallb.io/address-pool", "reserved")
    });
    single.chain(sixth).chain(both).chain(shared).chain(requested).chain(reserved).collect()
}

/// The class that the 200 Services of [`deckhouse`] have their addresses from.
pub(crate) const DECKHOUSE_CLASS: &str = "
apiVersion: network.deckhouse.io/v1alpha1
kind: MetalLoadBalancerClass
metadata: { name: main }
spec: { isDefault: true, type: L2, addressPool: [10.130.16.0/21] }
";

/// 200 Services of Deckhouse's with three addresses each: by the default class and by name, some of them sharing all three.
pub(crate) fn deckhouse() -> Vec<Left> {
    let conditions = json!([
        {
            "type": "network.deckhouse.io/load-balancer-class", "status": "True", "reason": "LoadBalancerClassBound",
            "message": "main", "lastTransitionTime": "2025-01-01T00:00:00Z",
        },
        {
            "type": "AllPublicIPsAssigned", "status": "True", "reason": "AllIPsAssigned",
            "message": "3 of 3 public IPs were assigned", "lastTransitionTime": "2025-01-01T00:00:00Z",
        },
    ]);
    let own = (0..180).map(|i| {
        let addresses = (0..3).map(|index| v4(16, 600 - 3 * i + index)).collect();
        let left = Left::new(format!("three-{i}"), addresses);
        if i % 2 == 0 { left } else { left.with("network.deckhouse.io/metal-load-balancer-class", "main") }
    });
    let shared = (0..20).map(|i| {
        let addresses: Vec<IpAddr> = (0..3).map(|index| v4(16, 700 + 3 * (i / 2) + index)).collect();
        let asked = addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        let port = if i % 2 == 0 { 80 } else { 443 };
        Left::new(format!("shared-{i}"), addresses)
            .with("network.deckhouse.io/load-balancer-ips", asked)
            .with("network.deckhouse.io/load-balancer-shared-ip-key", format!("key-{}", i / 2))
            .spec("ports", json!([{ "name": "http", "port": port }]))
    });
    own.chain(shared)
        .map(|left| left.with("network.deckhouse.io/l2-load-balancer-external-ips-count", "3"))
        .map(|left| Left { conditions: conditions.clone(), ..left })
        .collect()
}

/// Makes the Services as they are left.
pub(crate) async fn make(client: &Client, left: &[Left]) -> anyhow::Result<()> {
    let making = stream::iter(left.iter().enumerate()).map(async |(number, left)| {
        let slices = Api::<EndpointSlice>::namespaced(client.clone(), "default");
        slices.create(&PostParams::default(), &left.slice(number)?).await?;
        let services = Api::<Service>::namespaced(client.clone(), "default");
        services.create(&PostParams::default(), &left.service()?).await?;
        let status = Patch::Merge(left.status());
        services.patch_status(&left.name, &PatchParams::default(), &status).await?;
        anyhow::Ok(())
    });
    making.buffer_unordered(AT_ONCE).try_collect().await
}
