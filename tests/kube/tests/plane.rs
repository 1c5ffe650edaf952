//! The control plane by itself: it comes up, keeps what it is given, and knows who asks.

use std::{collections::BTreeMap, fs};

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, api::PostParams};
use lb_tests::{
    lab::{Lab, Shape},
    need,
};
use lb_tests_kube::{Identity, Plane, PlaneShape, programs};

const NO_STATIONS: Shape = Shape { nodes: 0, clients: 0, routers: 0, snooping: false };

#[test]
fn what_is_created_is_there_after_the_api_server_was_killed() -> anyhow::Result<()> {
    if !need::met(&programs::needs()) {
        return Ok(());
    }
    let lab = Lab::new(NO_STATIONS)?;
    let mut plane = Plane::start(&lab, PlaneShape::default())?;
    let mut made = ConfigMap { data: Some(BTreeMap::from([("a".to_owned(), "b".to_owned())])), ..ConfigMap::default() };
    made.metadata.name = Some("made".to_owned());

    let created = plane.admin().run(async |client| {
        let api: Api<ConfigMap> = Api::namespaced(client, "default");
        Ok(api.create(&PostParams::default(), &made).await?)
    })?;
    plane.restart_api_server()?;
    let read = plane.admin().run(async |client| {
        let api: Api<ConfigMap> = Api::namespaced(client, "default");
        Ok(api.get("made").await?)
    })?;

    assert_eq!((read.metadata.uid, read.data), (created.metadata.uid, made.data));
    plane.done();
    Ok(())
}

#[test]
fn who_has_no_role_is_refused_and_every_write_is_recorded_with_its_writer() -> anyhow::Result<()> {
    if !need::met(&programs::needs()) {
        return Ok(());
    }
    let lab = Lab::new(NO_STATIONS)?;
    let shape = PlaneShape { audit: true, identities: vec![Identity::user("nobody")], ..PlaneShape::default() };
    let plane = Plane::start(&lab, shape)?;
    let create = |name: &'static str| {
        let create = ["create", "configmap", name, "--from-literal", "a=b"];
        (plane.kubectl().run(&create), plane.kubectl_of("nobody").run(&create))
    };

    let (by_admin, by_nobody) = create("words");

    by_admin?;
    let refusal = by_nobody.expect_err("nobody has no role").to_string();
    assert!(refusal.contains("User \"nobody\" cannot create resource \"configmaps\""), "{refusal}");
    let log = fs::read_to_string(plane.audit_log())?;
    let entries: Vec<serde_json::Value> = log.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let of_words = entries.iter().filter(|entry| entry["objectRef"]["resource"] == "configmaps");
    let codes: Vec<_> = of_words
        .filter(|entry| entry["user"]["username"] == "admin" || entry["user"]["username"] == "nobody")
        .map(|entry| (entry["user"]["username"].as_str(), entry["responseStatus"]["code"].as_u64()))
        .collect();
    assert_eq!(codes, [(Some("admin"), Some(201)), (Some("nobody"), Some(403))]);
    plane.done();
    Ok(())
}
