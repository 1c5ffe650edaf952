//! The published CRDs on a real API server: it accepts them, and its rules are those of the Rust validation.

use std::path::PathBuf;

use anyhow::ensure;
use kube::{Api, api::PostParams};
use lb_api::{
    VirtualIP, validate,
    virtual_ip::{Claim, Family, MAX_NODES, Phase},
};
use lb_tests::{
    lab::{Lab, Shape},
    need,
};
use lb_tests_kube::{Plane, PlaneShape, programs};

const NO_STATIONS: Shape = Shape { nodes: 0, clients: 0, routers: 0, snooping: false };

/// Who refuses an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refused {
    Nobody,
    Both,
    /// CEL cannot say it; why stands beside the case.
    OnlyHere,
}

type Case = (&'static str, Refused, fn(&mut VirtualIP));

fn good() -> VirtualIP {
    let mut vip = VirtualIP::new("192.0.2.1", Default::default());
    vip.spec.address = "192.0.2.1".into();
    vip.spec.ranking_key = "key".into();
    vip.spec.nodes = vec!["node-1".into(), "node-2".into()];
    vip.spec.claims = vec![claim("a")];
    vip
}

fn claim(uid: &str) -> Claim {
    Claim {
        namespace: "default".into(),
        name: "web".into(),
        uid: uid.into(),
        index: 0,
        family: Family::IPv4,
        sharing: None,
    }
}

fn named(vip: &mut VirtualIP, address: &str, name: &str) {
    vip.spec.address = address.into();
    vip.metadata.name = Some(name.into());
}

const CASES: &[Case] = &[
    ("as it should be", Refused::Nobody, |_| {}),
    ("IPv6", Refused::Nobody, |vip| {
        named(vip, "2001:db8::1", "2001-0db8-0000-0000-0000-0000-0000-0001");
        vip.spec.claims.clear();
    }),
    ("no address", Refused::Both, |vip| vip.spec.address = String::new()),
    ("a name for an address", Refused::Both, |vip| vip.spec.address = "example.org".into()),
    ("a block", Refused::Both, |vip| vip.spec.address = "192.0.2.0/24".into()),
    ("not canonical", Refused::Both, |vip| {
        named(vip, "2001:db8:0::1", "2001-0db8-0000-0000-0000-0000-0000-0001");
        vip.spec.claims.clear();
    }),
    ("a zone", Refused::Both, |vip| {
        named(vip, "fe80::1%eth0", "fe80-0000-0000-0000-0000-0000-0000-0001");
        vip.spec.claims.clear();
    }),
    ("IPv4-mapped", Refused::Both, |vip| vip.spec.address = "::ffff:192.0.2.1".into()),
    // A CEL rule cannot compute eight groups of four digits.
    ("another name", Refused::OnlyHere, |vip| vip.metadata.name = Some("192.0.2.2".into())),
    ("released without its time", Refused::Both, |vip| vip.spec.phase = Phase::Released),
    ("bound with a time of release", Refused::Both, |vip| {
        vip.spec.released_at = serde_json::from_str("\"2026-11-24T00:00:00Z\"").ok();
    }),
    ("released", Refused::Nobody, |vip| {
        vip.spec.phase = Phase::Released;
        vip.spec.released_at = serde_json::from_str("\"2026-11-24T00:00:00Z\"").ok();
    }),
    ("no ranking key", Refused::Both, |vip| vip.spec.ranking_key = String::new()),
    ("a node twice", Refused::Both, |vip| vip.spec.nodes = vec!["node-1".into(), "node-1".into()]),
    ("as many nodes as may be", Refused::Nobody, |vip| {
        vip.spec.nodes = (0..MAX_NODES).map(|number| format!("node-{number}")).collect();
    }),
    ("too many nodes", Refused::Both, |vip| {
        vip.spec.nodes = (0..=MAX_NODES).map(|number| format!("node-{number}")).collect();
    }),
    // A name is checked where it is looked up: there is no Node of this one.
    ("a node that cannot be", Refused::OnlyHere, |vip| vip.spec.nodes = vec!["Node 1".into()]),
    ("a claim twice", Refused::Both, |vip| vip.spec.claims = vec![claim("a"), claim("a")]),
    ("two claims", Refused::Nobody, |vip| vip.spec.claims = vec![claim("a"), claim("b")]),
    // A rule over every claim would cost more than an API server allows for lists without a limit.
    ("a claim of the other family", Refused::OnlyHere, |vip| {
        for claim in &mut vip.spec.claims {
            claim.family = Family::IPv6;
        }
    }),
    ("an interface without a name", Refused::Both, |vip| vip.spec.interfaces = vec![String::new()]),
];

#[test]
fn an_api_server_accepts_the_crds_and_refuses_what_the_validation_refuses() -> anyhow::Result<()> {
    if !need::met(&programs::needs()) {
        return Ok(());
    }
    let lab = Lab::new(NO_STATIONS)?;
    let plane = Plane::start(&lab, PlaneShape::default())?;
    let crds = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../deploy/crds");
    let kubectl = plane.kubectl();
    kubectl.run(&["apply", "--server-side", "-f", &crds.to_string_lossy()])?;
    kubectl.run(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"])?;
    kubectl.run(&["wait", "--for=condition=NamesAccepted", "crd", "--all", "--timeout=60s"])?;
    // A schema with a mistake is stored, and says so in a condition.
    let definitions = kubectl.json(&["get", "crd"])?;
    for definition in definitions["items"].as_array().into_iter().flatten() {
        let conditions = definition["status"]["conditions"].as_array().into_iter().flatten();
        let bad: Vec<_> = conditions.filter(|one| one["type"] == "NonStructuralSchema").collect();
        ensure!(bad.is_empty(), "{}: {bad:?}", definition["metadata"]["name"]);
    }

    let mut wrong = Vec::new();
    for (what, expected, amend) in CASES {
        let mut vip = good();
        amend(&mut vip);
        let here = !validate::virtual_ip(&vip).is_empty();
        let there = plane.admin().run(async |client| {
            let dry = PostParams { dry_run: true, ..PostParams::default() };
            match Api::<VirtualIP>::all(client).create(&dry, &vip).await {
                Ok(_) => Ok(None),
                Err(kube::Error::Api(status)) if status.code == 422 => Ok(Some(status.message)),
                Err(error) => Err(error.into()),
            }
        })?;
        let found = match (here, there.is_some()) {
            (false, false) => Refused::Nobody,
            (true, true) => Refused::Both,
            (true, false) => Refused::OnlyHere,
            (false, true) => anyhow::bail!("{what}: only the API server refuses it: {there:?}"),
        };
        if found != *expected {
            wrong.push(format!("{what}: {found:?}, expected {expected:?}: {there:?}"));
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    plane.done();
    Ok(())
}
