//! Deckhouse's objects for BGP and nothing of MetalLB's: addresses from its pools, told to the peers of its configuration.

use std::net::IpAddr;

use lb_tests::wait;
use lb_tests_bgp::{
    scene::{self, LIMIT, Scene, Setting},
    stage::{OURS, THEIRS},
};
use serde_json::json;

#[test]
fn a_pool_that_a_configuration_names_is_told_to_its_peers_and_one_that_none_names_is_not() -> anyhow::Result<()> {
    let Some(scene) = Scene::start(&Setting::of(1))? else { return Ok(()) };
    let (own, observer) = (scene.own_v4(), scene.manifests.observe()?);
    for file in ["objects.yaml", "peer.yaml"] {
        scene.manifests.remove(file)?;
    }
    scene.manifests.write("slice.yaml", &(slice("page") + "---\n" + &slice("quiet")))?;
    scene.manifests.write("deckhouse.yaml", &objects("203.0.113.8/30"))?;

    // `avoidBuggyIPs` is false and `autoAssign` as well: the lowest address is for who asks for the pool.
    wait_for_route(&scene, "203.0.113.8/32", &own)?;
    for path in scene.frr.paths("203.0.113.8/32")? {
        assert_eq!(path["community"]["list"], json!(["64512:7"]), "{path}");
    }
    let quiet: IpAddr = "203.0.113.200".parse()?;
    wait::until(LIMIT, "the address of the pool that nobody announces", || {
        observer.catch_up().is_ok() && observer.addresses("default", "quiet") == [quiet]
    })?;

    // The pool moves, the Service with it, and the router hears of both; of the quiet one it never has.
    scene.manifests.write("deckhouse.yaml", &objects("203.0.113.12/30"))?;
    wait_for_route(&scene, "203.0.113.12/32", &own)?;
    wait_for_route(&scene, "203.0.113.8/32", &[])?;
    assert_eq!(scene.next_hops("203.0.113.200/32")?, [""; 0]);

    // Without the configuration nobody is a peer.
    let joined = objects("203.0.113.12/30");
    let (alone, _) = joined.split_once(CONFIGURATION).expect("it is in there");
    scene.manifests.write("deckhouse.yaml", alone)?;
    wait_for_route(&scene, "203.0.113.12/32", &[])
}

fn wait_for_route(scene: &Scene, prefix: &str, wanted: &[String]) -> anyhow::Result<()> {
    wait::for_ok(LIMIT, format!("{prefix} from {wanted:?}"), || match scene.next_hops(prefix) {
        Ok(hops) if hops == wanted => Ok(()),
        other => Err(format!("{other:?}")),
    })?;
    Ok(())
}

fn slice(service: &str) -> String {
    scene::slice(true).replace("web", service)
}

fn objects(pool: &str) -> String {
    let service = |name: &str, pool: &str| SERVICE.replace("NAME", name).replace("POOL", pool);
    let objects =
        OBJECTS.replace("BLOCK", pool).replace("OURS", &OURS.to_string()).replace("THEIRS", &THEIRS.to_string());
    objects + &service("page", "edge") + &service("quiet", "inside") + CONFIGURATION
}

const OBJECTS: &str = "apiVersion: network.deckhouse.io/v1alpha1
kind: MetalLoadBalancerPool
metadata: {name: edge}
spec: {addresses: [BLOCK], autoAssign: false}
---
apiVersion: network.deckhouse.io/v1alpha1
kind: MetalLoadBalancerPool
metadata: {name: inside}
spec: {addresses: [203.0.113.200/32], autoAssign: false}
---
apiVersion: network.deckhouse.io/v1alpha1
kind: MetalLoadBalancerBGPPeer
metadata: {name: core}
spec: {peerAddress: 192.0.2.251, peerASN: THEIRS, myASN: OURS}
---
";

const SERVICE: &str = "apiVersion: v1
kind: Service
metadata:
  name: NAME
  namespace: default
  annotations: {network.deckhouse.io/load-balancer-pool: POOL}
spec:
  type: LoadBalancer
  ports: [{port: 80}]
---
";

const CONFIGURATION: &str = "apiVersion: network.deckhouse.io/v1alpha1
kind: MetalLoadBalancerConfiguration
metadata: {name: main}
spec:
  mode: BGP
  bgp: {peerNames: [core]}
  advertisements: [{poolNames: [edge], bgp: {communities: ['64512:7']}}]
";
