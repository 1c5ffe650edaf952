//! The store contract, written over [`Store`]: every back end passes this suite.
//!
//! A back end is what [`Backend`] names. Nothing here knows where objects are kept.

mod support;

use k8s_openapi::api::core::v1::Service;
use lb_api::{VirtualIP, VirtualIPStatus};
use lb_store::{CreateError, DeleteError, Preconditions, Reflector, Store, UpdateError, Writer};
use support::{key, open, until, virtual_ip};

/// A place for one test, with what a test must do behind a store's back.
struct Backend {
    dir: tempfile::TempDir,
}

impl Backend {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("temporary directory") }
    }

    /// The controller's store.
    fn controller(&self) -> Store {
        open(self.dir.path(), Writer::Controller)
    }

    /// The store of a node's agent.
    fn agent(&self, node: &str) -> Store {
        open(self.dir.path(), Writer::Agent(node.into()))
    }

    /// A user applies a Service.
    fn apply(&self, name: &str, port: u16) {
        support::manifest(self.dir.path(), &format!("{name}.yaml"), &support::service(name, port));
    }

    /// A user deletes a Service.
    fn withdraw(&self, name: &str) {
        std::fs::remove_file(self.dir.path().join(format!("{name}.yaml"))).expect("was applied");
    }
}

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

#[tokio::test]
async fn a_follower_gets_the_list_and_then_the_changes() {
    let backend = Backend::new();
    backend.apply("a", 80);
    let store = backend.controller();
    let mut services = store.reflect::<Service>();
    services.ready().await.expect("runs");
    assert_eq!(support::port(&services.current(), "a"), Some(80));

    backend.apply("a", 81);
    backend.apply("b", 90);
    until(&mut services, "both", |l| support::port(l, "a") == Some(81) && support::port(l, "b") == Some(90)).await;
    backend.withdraw("a");
    let listing = until(&mut services, "b alone", |l| l.objects.len() == 1).await;
    assert!(listing.is_gone(&support::service_key("a")));
    assert!(!listing.is_gone(&support::service_key("b")));
}

#[tokio::test]
async fn nothing_is_concluded_before_the_first_list_is_complete() {
    let listing = lb_store::Listing::<Service>::default();
    assert!(!listing.is_gone(&support::service_key("a")));
}

#[tokio::test]
async fn of_two_creators_one_wins() {
    let backend = Backend::new();
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

#[tokio::test]
async fn create_refuses_a_name_that_a_user_has_taken() {
    let backend = Backend::new();
    backend.apply("a", 80);
    let store = backend.controller();
    let mut services = store.reflect::<Service>();
    let listing = until(&mut services, "a", |l| l.objects.len() == 1).await;
    let service = (**listing.objects.values().next().expect("one")).clone();
    assert!(matches!(store.create(&service).await, Err(CreateError::AlreadyExists(_))));
}

#[tokio::test]
async fn create_refuses_what_would_be_rejected_and_says_all_of_it() {
    let store = Backend::new();
    let store = store.controller();
    let mut bad = virtual_ip("192.0.2.1");
    bad.spec.nodes = vec!["node-1".into(), "node-1".into()];
    bad.spec.address = "192.0.2.2".into();
    let Err(CreateError::Invalid { problems, .. }) = store.create(&bad).await else { panic!("was created") };
    let fields: Vec<_> = problems.iter().map(|problem| problem.field.as_str()).collect();
    assert_eq!(fields, ["metadata.name", "spec.nodes[1]"]);
}

#[tokio::test]
async fn create_writes_no_status() {
    let backend = Backend::new();
    let store = backend.controller();
    let mut object = virtual_ip("192.0.2.1");
    object.status = held("node-1");
    assert_eq!(store.create(&object).await.expect("free").status, None);
}

#[tokio::test]
async fn an_update_with_a_stale_version_conflicts() {
    let backend = Backend::new();
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

#[tokio::test]
async fn what_does_not_exist_is_not_found() {
    let backend = Backend::new();
    let store = backend.controller();
    let object = virtual_ip("192.0.2.1");
    assert!(matches!(store.update(&object).await, Err(UpdateError::NotFound(_))));
    assert!(matches!(store.write_status(&object).await, Err(UpdateError::NotFound(_))));
    let judged = Preconditions { uid: String::new(), resource_version: String::new() };
    let deleted = store.delete::<VirtualIP>(&key("192.0.2.1"), &judged).await;
    assert!(matches!(deleted, Err(DeleteError::NotFound(_))));
}

#[tokio::test]
async fn versions_and_generations_count_what_they_should() {
    let backend = Backend::new();
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

#[tokio::test]
async fn a_status_with_a_stale_version_conflicts_and_without_one_does_not() {
    let backend = Backend::new();
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

#[tokio::test]
async fn the_newest_status_counts_whoever_wrote_it() {
    let backend = Backend::new();
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

#[tokio::test]
async fn a_deletion_needs_the_object_that_was_judged() {
    let backend = Backend::new();
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

#[tokio::test]
async fn after_sync_listings_show_what_was_written() {
    let backend = Backend::new();
    let store = backend.controller();
    let addresses = store.reflect::<VirtualIP>();
    for round in 1..=100 {
        store.create(&virtual_ip(&format!("192.0.2.{round}"))).await.expect("free");
        store.sync().await.expect("runs");
        assert_eq!(addresses.current().objects.len(), round);
    }
}

#[tokio::test]
async fn a_restart_finds_the_same_objects() {
    let backend = Backend::new();
    backend.apply("a", 80);
    let store = backend.controller();
    let mut services = store.reflect::<Service>();
    until(&mut services, "a", |l| support::port(l, "a") == Some(80)).await;
    backend.apply("a", 81);
    let before = until(&mut services, "the edit", |l| support::port(l, "a") == Some(81)).await;
    let mut address = store.create(&virtual_ip("192.0.2.1")).await.expect("free");
    address.status = held("node-1");
    let address = store.write_status(&address).await.expect("fresh");
    drop((store, services));

    let store = backend.controller();
    let mut services = store.reflect::<Service>();
    let after = until(&mut services, "a", |l| l.objects.len() == 1).await;
    assert_eq!(after.objects, before.objects);
    assert_eq!(after.objects[&support::service_key("a")].metadata.generation, Some(2));
    let mut addresses = store.reflect::<VirtualIP>();
    let found = until(&mut addresses, "the address", |l| l.objects.len() == 1).await;
    assert_eq!(*found.objects[&key("192.0.2.1")], address);
}

#[tokio::test]
async fn the_generation_of_a_users_object_counts_its_specs() {
    let backend = Backend::new();
    backend.apply("a", 80);
    let store = backend.controller();
    let mut services = store.reflect::<Service>();
    let generation = |l: &lb_store::Listing<Service>| {
        l.objects.get(&support::service_key("a")).and_then(|service| service.metadata.generation)
    };
    for (port, want) in [(80, 1), (81, 2), (80, 3)] {
        backend.apply("a", port);
        let done = |l: &lb_store::Listing<Service>| support::port(l, "a") == Some(port.into());
        let listing = until(&mut services, "the edit", done).await;
        assert_eq!(generation(&listing), Some(want));
    }
}
