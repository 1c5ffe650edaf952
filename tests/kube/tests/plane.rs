//! The control plane by itself: it comes up, keeps what it is given, and knows who asks.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, api::PostParams};
use lb_tests::{
    lab::{Lab, Shape},
    need,
};
use lb_tests_kube::{Plane, PlaneShape, programs};

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
