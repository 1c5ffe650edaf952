//! GoBGP: both families on one session, attributes, and a wrong AS.

use lb_agent::bgp::{Authentication, Password};
use lb_bgp::PathAttributes;
use lb_tests::wait;
use lb_tests_bgp::{
    gobgp::GoBgp,
    stage::{LIMIT, Node, OURS, THEIRS, communities, lab, session, with},
};
use serde_json::{Value, json};

fn config(neighbours: &[(&str, u32, &str)]) -> String {
    let mut text = format!("[global.config]\nas = {THEIRS}\nrouter-id = \"192.0.2.251\"\n");
    for (address, peer_as, password) in neighbours {
        text += &format!(
            "[[neighbors]]\n[neighbors.config]\nneighbor-address = \"{address}\"\npeer-as = {peer_as}\nauth-password = \
             \"{password}\"\n[neighbors.transport.config]\npassive-mode = true\n"
        );
        for family in ["ipv4-unicast", "ipv6-unicast"] {
            text += &format!("[[neighbors.afi-safis]]\n[neighbors.afi-safis.config]\nafi-safi-name = \"{family}\"\n");
        }
    }
    text
}

#[test]
fn gobgp_knows_what_it_is_told_and_another_as_stays_down() -> anyhow::Result<()> {
    let Some(lab) = lab(1, 1)? else { return Ok(()) };
    let (node, router) = (&lab.nodes[0], &lab.routers[0]);
    let (v4, v6) = (node.v4.to_string(), node.v6.to_string());
    let gobgp = GoBgp::start(&lab, router, &config(&[(&v4, OURS, "secret"), (&v6, 64_999, "")]))?;
    let mut speaker = Node::start(node)?;
    let mut signed = session(node, router.v4.into(), THEIRS);
    signed.endpoint.authentication = Authentication::Md5(Password::new("secret")?);
    let attributes = PathAttributes {
        communities: communities(&["64512:100"]),
        large_communities: communities(&["64512:1:2"]),
        ..PathAttributes::default()
    };
    let told = with(["203.0.113.7/32", "2001:db8:7::7/128"], attributes);
    speaker.tell("right", signed, told.clone());
    speaker.tell("wrong", session(node, router.v6.into(), THEIRS), told);
    speaker.wait_told("right")?;
    speaker.wait_reason("wrong", "bad peer AS (2/2)")?;

    for (family, prefix, hop) in [("ipv4", "203.0.113.7/32", &v4), ("ipv6", "2001:db8:7::7/128", &v6)] {
        let paths = wait::for_some(LIMIT, format!("{prefix} at the router"), || {
            let rib = gobgp.json(&["global", "rib", "-a", family]).ok()?;
            rib.get(prefix).and_then(Value::as_array).cloned()
        })?;
        assert_eq!(paths.len(), 1, "{paths:?}");
        let attributes = paths[0]["attrs"].as_array().cloned().unwrap_or_default();
        let of = |kind: u8| attributes.iter().find(|attribute| attribute["type"] == kind).cloned().unwrap_or_default();
        assert_eq!(of(8)["communities"], json!([64_512_u32 << 16 | 100]), "{prefix}");
        assert_eq!(of(32)["value"], json!([{"ASN": 64_512, "LocalData1": 1, "LocalData2": 2}]), "{prefix}");
        assert_eq!(of(2)["as_paths"][0]["asns"], json!([OURS]), "{prefix}");
        let next_hop = if family == "ipv4" { of(3)["nexthop"].clone() } else { of(14)["nexthop"].clone() };
        assert_eq!(next_hop, json!(hop), "{prefix}");
    }
    Ok(())
}
