//! The store contract, written over [`Store`]: every back end passes these cases.
//!
//! A back end is what [`Backend`] names. Nothing here knows where objects are kept.

use std::{future::Future, sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use kube::core::ObjectMeta;
use lb_api::{MetalLoadBalancerClass, VirtualIP, VirtualIPSpec, VirtualIPStatus};
use lb_store::{CreateError, DeleteError, Key, Listing, Object, Preconditions, Reflector, Store, UpdateError};

/// Nothing that is waited for takes longer.
const LIMIT: Duration = Duration::from_secs(20);

/// An empty place for one case, with what happens behind a store's back.
pub trait Backend {
    /// The controller's store.
    fn controller(&self) -> Store;
    /// The store of a node's agent.
    fn agent(&self, node: &str) -> Store;
    /// A user applies a LoadBalancer Service of this name and port to the namespace `default`.
    fn apply(&self, name: &str, port: u16) -> impl Future<Output = ()>;
    /// A user deletes it.
    fn withdraw(&self, name: &str) -> impl Future<Output = ()>;
    /// A user applies a MetalLoadBalancerClass with this pool.
    fn apply_class(&self, name: &str, pool: &str) -> impl Future<Output = ()>;
}

/// Hands the names of all cases to a macro.
macro_rules! cases {
    ($each:ident) => {
        $each! {
            a_follower_gets_the_list_and_then_the_changes,
            nothing_is_concluded_before_the_first_list_is_complete,
            of_two_creators_one_wins,
            create_refuses_a_name_that_a_user_has_taken,
            create_refuses_what_would_be_rejected_and_says_all_of_it,
            create_writes_no_status,
            an_update_with_a_stale_version_conflicts,
            what_does_not_exist_is_not_found,
            versions_and_generations_count_what_they_should,
            a_status_with_a_stale_version_conflicts_and_without_one_does_not,
            the_newest_status_counts_whoever_wrote_it,
            a_deletion_needs_the_object_that_was_judged,
            after_sync_listings_show_what_was_written,
            a_restart_finds_the_same_objects,
            the_generation_of_a_users_object_counts_its_specs,
            a_live_look_sees_what_is_there_and_that_nothing_is,
        }
    };
}
pub(crate) use cases;

fn held(holder: &str) -> Option<VirtualIPStatus> {
    Some(VirtualIPStatus { holder: Some(holder.into()), ..VirtualIPStatus::default() })
}

async fn see(addresses: &mut Reflector<VirtualIP>, name: &str, version: &Option<String>) {
    let same = |object: &VirtualIP| object.metadata.resource_version == *version;
    until(addresses, "the version that was written", |listing| {
        listing.objects.get(&key(name)).is_some_and(|object| same(object))
    })
    .await;
}

pub async fn a_follower_gets_the_list_and_then_the_changes(backend: impl Backend) {
    backend.apply("a", 80).await;
    let store = backend.controller();
    let mut services = store.reflect::<Service>();
    services.ready().await.expect("runs");
    assert_eq!(port(&services.current(), "a"), Some(80));

    backend.apply("a", 81).await;
    backend.apply("b", 90).await;
    until(&mut services, "both", |l| port(l, "a") == Some(81) && port(l, "b") == Some(90)).await;
    backend.withdraw("a").await;
    let listing = until(&mut services, "b alone", |l| names(l) == ["b"]).await;
    assert!(listing.is_gone(&service_key("a")));
    assert!(!listing.is_gone(&service_key("b")));
}

pub async fn nothing_is_concluded_before_the_first_list_is_complete(backend: impl Backend) {
    let services = backend.controller().reflect::<Service>();
    let first = services.current();
    assert_eq!(first.is_gone(&service_key("a")), first.synced);
    assert!(!Listing::<Service>::default().is_gone(&service_key("a")));
}

pub async fn of_two_creators_one_wins(backend: impl Backend) {
    let (one, two) = (backend.controller(), backend.agent("node-1"));
    for round in 1..=50 {
        let (mut first, mut second) =
            (virtual_ip(&format!("192.0.2.{round}")), virtual_ip(&format!("192.0.2.{round}")));
        first.spec.pool = "first".into();
        second.spec.pool = "second".into();
        let (a, b) = tokio::join!(one.create(&first), two.create(&second));
        let winner = match (a, b) {
            (Ok(winner), Err(CreateError::AlreadyExists(_))) | (Err(CreateError::AlreadyExists(_)), Ok(winner)) => {
                winner
            }
            other => panic!("not exactly one winner: {other:?}"),
        };
        for store in [&one, &two] {
            let mut addresses = store.reflect::<VirtualIP>();
            see(&mut addresses, &format!("192.0.2.{round}"), &winner.metadata.resource_version).await;
        }
    }
}

pub async fn create_refuses_a_name_that_a_user_has_taken(backend: impl Backend) {
    backend.apply("a", 80).await;
    let store = backend.controller();
    let mut services = store.reflect::<Service>();
    until(&mut services, "a", |l| names(l) == ["a"]).await;
    assert!(matches!(store.create(&service("a", 80)).await, Err(CreateError::AlreadyExists(_))));
}

pub async fn create_refuses_what_would_be_rejected_and_says_all_of_it(backend: impl Backend) {
    let store = backend.controller();
    let mut bad = virtual_ip("192.0.2.1");
    bad.spec.nodes = vec!["node-1".into(), "node-1".into()];
    bad.spec.address = "192.0.2.2".into();
    let Err(CreateError::Invalid { problems, .. }) = store.create(&bad).await else { panic!("was created") };
    let fields: Vec<_> = problems.iter().map(|problem| problem.field.as_str()).collect();
    assert_eq!(fields, ["metadata.name", "spec.nodes[1]"]);
}

pub async fn create_writes_no_status(backend: impl Backend) {
    let store = backend.controller();
    let mut object = virtual_ip("192.0.2.1");
    object.status = held("node-1");
    assert_eq!(store.create(&object).await.expect("free").status, None);
}

pub async fn an_update_with_a_stale_version_conflicts(backend: impl Backend) {
    let store = backend.controller();
    let first = store.create(&virtual_ip("192.0.2.1")).await.expect("free");
    let mut newer = first.clone();
    newer.spec.nodes = vec!["node-2".into()];
    let newer = store.update(&newer).await.expect("fresh");
    assert!(matches!(store.update(&first).await, Err(UpdateError::Conflict(_))));
    let mut unversioned = newer.clone();
    unversioned.metadata.resource_version = None;
    assert!(matches!(store.update(&unversioned).await, Err(UpdateError::Conflict(_))));
    // Back to the old content: still another version.
    let mut back = newer.clone();
    back.spec.nodes = first.spec.nodes.clone();
    store.update(&back).await.expect("fresh");
    assert!(matches!(store.update(&first).await, Err(UpdateError::Conflict(_))));
}

pub async fn what_does_not_exist_is_not_found(backend: impl Backend) {
    let store = backend.controller();
    let object = virtual_ip("192.0.2.1");
    assert!(matches!(store.update(&object).await, Err(UpdateError::NotFound(_))));
    assert!(matches!(store.write_status(&object).await, Err(UpdateError::NotFound(_))));
    let judged = Preconditions { uid: String::new(), resource_version: String::new() };
    let deleted = store.delete::<VirtualIP>(&key("192.0.2.1"), &judged).await;
    assert!(matches!(deleted, Err(DeleteError::NotFound(_))));
}

pub async fn versions_and_generations_count_what_they_should(backend: impl Backend) {
    let store = backend.controller();
    let created = store.create(&virtual_ip("192.0.2.1")).await.expect("free");
    assert_eq!(created.metadata.generation, Some(1));
    assert!(created.metadata.uid.is_some() && created.metadata.creation_timestamp.is_some());

    let mut with_status = created.clone();
    with_status.status = held("node-1");
    with_status.spec.nodes = vec!["node-9".into()];
    let with_status = store.write_status(&with_status).await.expect("fresh");
    assert_eq!(with_status.metadata.generation, Some(1), "a status is no spec");
    assert_eq!(with_status.spec, created.spec, "write_status touches the status only");
    assert_eq!(with_status.status, held("node-1"));
    assert_ne!(with_status.metadata.resource_version, created.metadata.resource_version);

    let mut labelled = with_status.clone();
    labelled.metadata.labels = Some([("a".to_owned(), "b".to_owned())].into());
    labelled.status = held("node-2");
    let labelled = store.update(&labelled).await.expect("fresh");
    assert_eq!(labelled.metadata.generation, Some(1), "a label is no spec");
    assert_eq!(labelled.status, held("node-1"), "update never touches the status");
    assert_ne!(labelled.metadata.resource_version, with_status.metadata.resource_version);

    let mut respecified = labelled.clone();
    respecified.spec.nodes = vec!["node-3".into()];
    let respecified = store.update(&respecified).await.expect("fresh");
    assert_eq!(respecified.metadata.generation, Some(2));
    assert_eq!(respecified.metadata.uid, created.metadata.uid);
    assert_eq!(respecified.metadata.creation_timestamp, created.metadata.creation_timestamp);

    let again = store.update(&respecified).await.expect("fresh");
    assert_eq!(again, respecified, "an update that changes nothing is none");
}

pub async fn a_status_with_a_stale_version_conflicts_and_without_one_does_not(backend: impl Backend) {
    let store = backend.controller();
    let mut stale = store.create(&virtual_ip("192.0.2.1")).await.expect("free");
    stale.status = held("node-1");
    store.write_status(&stale).await.expect("fresh");
    stale.status = held("node-2");
    assert!(matches!(store.write_status(&stale).await, Err(UpdateError::Conflict(_))));
    stale.metadata.resource_version = None;
    let written = store.write_status(&stale).await.expect("unconditional");
    assert_eq!(written.status, held("node-2"));
    let repeated = store.write_status(&written).await.expect("fresh");
    assert_eq!(repeated, written, "writing the same status is no change");
}

pub async fn the_newest_status_counts_whoever_wrote_it(backend: impl Backend) {
    let (controller, one, two) = (backend.controller(), backend.agent("node-1"), backend.agent("node-2"));
    let mut object = controller.create(&virtual_ip("192.0.2.1")).await.expect("free");
    let mut all = Vec::new();
    for store in [&controller, &one, &two] {
        let mut addresses = store.reflect::<VirtualIP>();
        until(&mut addresses, "the address", |l| l.objects.len() == 1).await;
        all.push(addresses);
    }
    for (store, holder) in [(&one, "node-1"), (&two, "node-2"), (&controller, "none"), (&one, "node-1")] {
        object.status = held(holder);
        object = store.write_status(&object).await.expect("the version is the newest");
        for addresses in &mut all {
            see(addresses, "192.0.2.1", &object.metadata.resource_version).await;
            assert_eq!(addresses.current().objects[&key("192.0.2.1")].status, held(holder));
        }
    }
}

pub async fn a_deletion_needs_the_object_that_was_judged(backend: impl Backend) {
    let store = backend.controller();
    let mut addresses = store.reflect::<VirtualIP>();
    let first = store.create(&virtual_ip("192.0.2.1")).await.expect("free");
    let mut newer = first.clone();
    newer.status = held("node-1");
    let newer = store.write_status(&newer).await.expect("fresh");
    let name = key("192.0.2.1");
    let stale = store.delete::<VirtualIP>(&name, &Preconditions::of(&first)).await;
    assert!(matches!(stale, Err(DeleteError::Conflict(_))));
    let other = Preconditions { uid: "another".into(), ..Preconditions::of(&newer) };
    assert!(matches!(store.delete::<VirtualIP>(&name, &other).await, Err(DeleteError::Conflict(_))));
    store.delete::<VirtualIP>(&name, &Preconditions::of(&newer)).await.expect("judged");
    until(&mut addresses, "no address", |l| l.objects.is_empty()).await;
    let again = store.create(&virtual_ip("192.0.2.1")).await.expect("free again");
    assert_eq!(again.status, None, "a new object has no status of its predecessor");
    assert_eq!(again.metadata.generation, Some(1));
}

pub async fn after_sync_listings_show_what_was_written(backend: impl Backend) {
    let store = backend.controller();
    let mut addresses = store.reflect::<VirtualIP>();
    addresses.ready().await.expect("runs");
    for round in 1..=100 {
        store.create(&virtual_ip(&format!("192.0.2.{round}"))).await.expect("free");
        store.sync().await.expect("runs");
        assert_eq!(addresses.current().objects.len(), round);
    }
}

pub async fn a_restart_finds_the_same_objects(backend: impl Backend) {
    backend.apply_class("a", "192.0.2.0/24").await;
    let store = backend.controller();
    let mut classes = store.reflect::<MetalLoadBalancerClass>();
    until(&mut classes, "a", |l| pool(l, "a") == Some("192.0.2.0/24")).await;
    backend.apply_class("a", "192.0.2.0/25").await;
    let before = until(&mut classes, "the edit", |l| pool(l, "a") == Some("192.0.2.0/25")).await;
    let mut address = store.create(&virtual_ip("192.0.2.1")).await.expect("free");
    address.status = held("node-1");
    let address = store.write_status(&address).await.expect("fresh");
    drop((store, classes));

    let store = backend.controller();
    let mut classes = store.reflect::<MetalLoadBalancerClass>();
    let after = until(&mut classes, "a", |l| l.objects.len() == 1).await;
    assert_eq!(after.objects, before.objects);
    assert_eq!(after.objects[&key("a")].metadata.generation, Some(2));
    let mut addresses = store.reflect::<VirtualIP>();
    let found = until(&mut addresses, "the address", |l| l.objects.len() == 1).await;
    assert_eq!(*found.objects[&key("192.0.2.1")], address);
}

pub async fn the_generation_of_a_users_object_counts_its_specs(backend: impl Backend) {
    backend.apply_class("a", "192.0.2.0/24").await;
    let store = backend.controller();
    let mut classes = store.reflect::<MetalLoadBalancerClass>();
    for (range, want) in [("192.0.2.0/24", 1), ("192.0.2.0/25", 2), ("192.0.2.0/24", 3)] {
        backend.apply_class("a", range).await;
        let listing = until(&mut classes, "the edit", |l| pool(l, "a") == Some(range)).await;
        assert_eq!(listing.objects[&key("a")].metadata.generation, Some(want));
    }
}

pub async fn a_live_look_sees_what_is_there_and_that_nothing_is(backend: impl Backend) {
    let store = backend.controller();
    let looked = store.get::<Service>(&service_key("a")).await.expect("can be read");
    assert_eq!(looked, None);
    backend.apply("a", 80).await;
    let looked = store.get::<Service>(&service_key("a")).await.expect("can be read").expect("was applied");
    assert_eq!(looked.metadata.name.as_deref(), Some("a"));
}

/// Waits for a listing that satisfies `condition`.
async fn until<K: Object>(
    reflector: &mut Reflector<K>,
    what: &str,
    condition: impl Fn(&Listing<K>) -> bool,
) -> Arc<Listing<K>> {
    let waiting = async {
        loop {
            let listing = reflector.current();
            if listing.synced && condition(&listing) {
                return listing;
            }
            reflector.changed().await.expect("the store runs");
        }
    };
    match tokio::time::timeout(LIMIT, waiting).await {
        Ok(listing) => listing,
        Err(_) => panic!("waited for: {what}; there is {:#?}", reflector.current()),
    }
}

/// The Services that a user applied: an API server has one of its own.
fn names(listing: &Listing<Service>) -> Vec<&str> {
    listing.objects.keys().map(|key| key.name.as_str()).filter(|name| *name != "kubernetes").collect()
}

fn port(listing: &Listing<Service>, name: &str) -> Option<i32> {
    let service = listing.objects.get(&service_key(name))?;
    service.spec.as_ref()?.ports.as_ref()?.first().map(|port| port.port)
}

fn pool<'a>(listing: &'a Listing<MetalLoadBalancerClass>, name: &str) -> Option<&'a str> {
    listing.objects.get(&key(name))?.spec.address_pool.first().map(String::as_str)
}

/// A LoadBalancer Service in the namespace `default`, as a user would write it.
pub fn service(name: &str, port: u16) -> Service {
    Service {
        metadata: ObjectMeta { name: Some(name.into()), namespace: Some("default".into()), ..ObjectMeta::default() },
        spec: Some(ServiceSpec {
            type_: Some("LoadBalancer".into()),
            ports: Some(vec![ServicePort { port: port.into(), ..ServicePort::default() }]),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

fn service_key(name: &str) -> Key {
    Key::new("default", name)
}

fn virtual_ip(address: &str) -> VirtualIP {
    VirtualIP {
        metadata: ObjectMeta { name: Some(address.into()), ..ObjectMeta::default() },
        spec: VirtualIPSpec {
            address: address.into(),
            pool: "ingress".into(),
            ranking_key: "key".into(),
            nodes: vec!["node-1".into()],
            ..VirtualIPSpec::default()
        },
        status: None,
    }
}

fn key(name: &str) -> Key {
    Key::cluster_scoped(name)
}
