//! What a change costs others: nothing. `cargo xtask bench bgp` measures how long one takes.

use std::time::Duration;

use lb_tests::wait;
use lb_tests_bgp::scene::{self, LIMIT, Scene, Setting};

/// Services beside the scene's own, which has one prefix of each family.
const SERVICES: u64 = 20;
const CHANGES: u64 = 10;

#[test]
fn a_change_of_one_service_is_one_update_and_one_of_a_peer_leaves_the_others_up() -> anyhow::Result<()> {
    let Some(scene) = Scene::start(&Setting::of(1))? else { return Ok(()) };
    let node = scene.own_v4()[0].clone();
    let told = |wanted: u64| {
        wait::for_ok(LIMIT, format!("{wanted} prefixes at the router"), || match scene.frr.received(&node) {
            Ok(received) if received == wanted => Ok(()),
            other => Err(format!("{other:?}")),
        })
    };
    scene.manifests.write("many.yaml", &many(None))?;
    told(SERVICES + 2)?;
    let updates = || -> anyhow::Result<u64> {
        Ok(scene.frr.neighbour(&node)?["messageStats"]["updatesRecv"].as_u64().unwrap_or_default())
    };
    let before = updates()?;
    for number in 0..CHANGES {
        scene.manifests.write("many.yaml", &many(Some(number)))?;
        told(SERVICES + 1)?;
        scene.manifests.write("many.yaml", &many(None))?;
        told(SERVICES + 2)?;
    }
    assert_eq!(updates()? - before, 2 * CHANGES, "one for each withdrawal, one for each return");

    for more in ["", "  holdTime: 30s\n"] {
        scene
            .manifests
            .write("other.yaml", &scene::peer("other", 64_999, more).replace("192.0.2.251", "192.0.2.99"))?;
        let shown = wait::for_some(LIMIT, "the other peer to be tried", || {
            let state = scene.agents[0].state().ok()?;
            state["bgp"]["sessions"].as_array().filter(|sessions| sessions.len() == 2).map(Vec::len)
        })?;
        assert_eq!(shown, 2);
    }
    wait::observe(Duration::from_millis(500));
    let session = scene.frr.neighbour(&node)?;
    assert_eq!((&session["bgpState"], &session["connectionsDropped"]), (&"Established".into(), &0.into()));
    assert_eq!(updates()? - before, 2 * CHANGES);
    Ok(())
}

/// Many Services with an endpoint each; one of them has none that serves.
fn many(silent: Option<u64>) -> String {
    let mut text = POOL.to_owned();
    for number in 0..SERVICES {
        let name = format!("many-{number}");
        text += "---\n";
        text += &SERVICE.replace("NAME", &name);
        text += "---\n";
        text += &scene::slice(silent != Some(number)).replace("web-1", &format!("{name}-1")).replace("web", &name);
    }
    text
}

const POOL: &str = "apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {name: many, namespace: metallb-system}
spec: {addresses: [203.0.113.64/26]}
---
apiVersion: metallb.io/v1beta1
kind: BGPAdvertisement
metadata: {name: many, namespace: metallb-system}
spec: {ipAddressPools: [many]}
";

const SERVICE: &str = "apiVersion: v1
kind: Service
metadata:
  name: NAME
  namespace: default
  annotations: {metallb.io/address-pool: many}
spec:
  type: LoadBalancer
  ports: [{port: 80}]
";
