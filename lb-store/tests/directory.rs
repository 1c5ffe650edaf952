//! What the directory back end promises beyond the contract: what becomes of files.

mod support;

use std::{
    fs,
    os::unix::fs::symlink,
    time::{Duration, Instant},
};

use k8s_openapi::api::core::v1::{Namespace, Node, Service};
use lb_api::{MetalLoadBalancerClass, VirtualIP};
use lb_store::{CreateError, Directory, Effect, OpenError, Writer};
use support::{key, manifest, open, port, rejections, service, service_key, until, virtual_ip};

fn directory() -> tempfile::TempDir {
    tempfile::tempdir().expect("temporary directory")
}

#[tokio::test]
async fn one_bad_document_keeps_its_last_good_object_and_stops_no_other() {
    let dir = directory();
    let text = |a: &str, b: u16| format!("{}---\n{}", service("a", 80).replace("80", a), service("b", b));
    manifest(dir.path(), "web.yaml", &text("80", 90));
    let store = open(dir.path(), Writer::Controller);
    let mut services = store.reflect::<Service>();
    until(&mut services, "both", |l| l.objects.len() == 2).await;

    manifest(dir.path(), "web.yaml", &text("eighty", 91));
    let listing = until(&mut services, "the good half", |l| port(l, "b") == Some(91)).await;
    assert_eq!(port(&listing, "a"), Some(80), "the last good state");
    let rejected = rejections(&store, |all| all.len() == 1).await;
    let rejection = &rejected[0];
    assert_eq!((rejection.file.to_str(), rejection.line), (Some("web.yaml"), 8));
    assert_eq!(rejection.field, "spec.ports[0].port");
    assert_eq!(rejection.object.as_deref(), Some("default/a"));
    assert_eq!(rejection.effect, Effect::LastGood);

    manifest(dir.path(), "web.yaml", &text("82", 91));
    until(&mut services, "the repair", |l| port(l, "a") == Some(82)).await;
    rejections(&store, <[_]>::is_empty).await;
}

#[tokio::test]
async fn a_file_that_is_no_yaml_at_all_deletes_nothing() {
    let dir = directory();
    manifest(dir.path(), "web.yaml", &format!("{}---\n{}", service("a", 80), service("b", 90)));
    let store = open(dir.path(), Writer::Controller);
    let mut services = store.reflect::<Service>();
    until(&mut services, "both", |l| l.objects.len() == 2).await;
    for garbage in ["}{", "a: [", "\tx", "just a text", "- a\n- b"] {
        manifest(dir.path(), "web.yaml", garbage);
        let rejected = rejections(&store, |all| all.len() == 1).await;
        assert_eq!(rejected[0].effect, Effect::LastGood, "{garbage:?}");
        store.sync().await.expect("runs");
        assert_eq!(services.current().objects.len(), 2, "{garbage:?}");
        manifest(dir.path(), "web.yaml", &format!("{}---\n{}", service("a", 80), service("b", 90)));
        rejections(&store, <[_]>::is_empty).await;
    }
    fs::write(dir.path().join("web.yaml"), [0xff, 0xfe, 0x00]).expect("written");
    rejections(&store, |all| all.len() == 1 && all[0].message.contains("UTF-8")).await;
    assert_eq!(services.current().objects.len(), 2);
    manifest(dir.path(), "web.yaml", "");
    until(&mut services, "an empty file has no objects", |l| l.objects.is_empty()).await;
}

#[tokio::test]
async fn after_a_start_with_a_bad_file_its_objects_are_in_doubt() {
    let dir = directory();
    manifest(dir.path(), "a.yaml", &service("a", 80));
    manifest(dir.path(), "b.yaml", &service("b", 80));
    let store = open(dir.path(), Writer::Controller);
    until(&mut store.reflect::<Service>(), "both", |l| l.objects.len() == 2).await;
    drop(store);
    manifest(dir.path(), "a.yaml", "broken: [");
    fs::remove_file(dir.path().join("b.yaml")).expect("was there");
    let store = open(dir.path(), Writer::Controller);
    let listing = until(&mut store.reflect::<Service>(), "the first listing", |_| true).await;
    assert!(!listing.is_gone(&service_key("a")), "its file does not parse");
    assert!(listing.is_gone(&service_key("b")), "its file is gone");
    assert_eq!(rejections(&store, |all| all.len() == 1).await[0].effect, Effect::Unused);
}

#[tokio::test]
async fn of_two_files_with_one_object_the_first_counts() {
    let dir = directory();
    manifest(dir.path(), "b.yaml", &service("a", 81));
    let store = open(dir.path(), Writer::Controller);
    let mut services = store.reflect::<Service>();
    until(&mut services, "b.yaml's", |l| port(l, "a") == Some(81)).await;
    manifest(dir.path(), "a.yaml", &service("a", 80));
    until(&mut services, "a.yaml's", |l| port(l, "a") == Some(80)).await;
    let rejected = rejections(&store, |all| all.len() == 1).await;
    assert_eq!(rejected[0].file.to_str(), Some("b.yaml"));
    assert!(rejected[0].message.contains("a.yaml"), "{}", rejected[0].message);
    fs::remove_file(dir.path().join("a.yaml")).expect("was there");
    until(&mut services, "b.yaml's again", |l| port(l, "a") == Some(81)).await;
    rejections(&store, <[_]>::is_empty).await;
}

#[tokio::test]
async fn a_class_is_used_without_its_bad_entries() {
    let dir = directory();
    let class = "apiVersion: network.deckhouse.io/v1alpha1\nkind: MetalLoadBalancerClass\nmetadata:\n  name: a\n";
    manifest(dir.path(), "class.yaml", &format!("{class}spec:\n  addressPool:\n  - 192.0.2.0/24\n  - 192.0.2.9\n"));
    manifest(dir.path(), "empty.yaml", &class.replace("name: a", "name: empty"));
    let store = open(dir.path(), Writer::None);
    let mut classes = store.reflect::<MetalLoadBalancerClass>();
    until(&mut classes, "both classes", |l| l.objects.len() == 2).await;
    let rejected = rejections(&store, |all| all.len() == 1).await;
    assert_eq!((rejected[0].line, rejected[0].field.as_str()), (8, "spec.addressPool[1]"));
    assert_eq!(rejected[0].effect, Effect::Partly);
}

#[tokio::test]
async fn what_is_not_ours_is_ignored_and_a_slip_is_told() {
    let dir = directory();
    manifest(dir.path(), "other.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n---\n# nothing\n");
    manifest(dir.path(), "slip.yaml", &service("a", 80).replace("Service", "Servise"));
    manifest(dir.path(), "deep/er/node.json", r#"{"apiVersion":"v1","kind":"Node","metadata":{"name":"node-1"}}"#);
    manifest(dir.path(), ".hidden.yaml", "}{");
    manifest(dir.path(), "notes.txt", "}{");
    let store = open(dir.path(), Writer::None);
    until(&mut store.reflect::<Node>(), "the node", |l| l.objects.contains_key(&key("node-1"))).await;
    let rejected = rejections(&store, |all| all.len() == 1).await;
    assert_eq!((rejected[0].line, rejected[0].field.as_str()), (2, "kind"));
    assert_eq!(rejected[0].file.to_str(), Some("slip.yaml"));
}

#[tokio::test]
async fn files_may_come_by_rename_by_directory_and_by_link() {
    let dir = directory();
    let store = open(dir.path(), Writer::Controller);
    let mut services = store.reflect::<Service>();
    services.ready().await.expect("runs");
    // As an editor does it.
    manifest(dir.path(), "a.yaml~", &service("a", 80));
    fs::rename(dir.path().join("a.yaml~"), dir.path().join("a.yaml")).expect("renamed");
    until(&mut services, "by rename", |l| port(l, "a") == Some(80)).await;
    // A directory with all it holds.
    let aside = directory();
    manifest(aside.path(), "sub/deep/b.yaml", &service("b", 80));
    fs::rename(aside.path().join("sub"), dir.path().join("sub")).unwrap_or_else(|_| {
        manifest(dir.path(), "sub/deep/b.yaml", &service("b", 80));
    });
    until(&mut services, "by directory", |l| port(l, "b") == Some(80)).await;
    manifest(dir.path(), "sub/deep/c.yaml", &service("c", 80));
    until(&mut services, "in the directory", |l| port(l, "c") == Some(80)).await;
    fs::remove_dir_all(dir.path().join("sub")).expect("was there");
    until(&mut services, "without the directory", |l| l.objects.len() == 1).await;
    // As a mounted ConfigMap turns to its next version.
    let mount = dir.path().join("mount");
    manifest(&mount, "..1/d.yaml", &service("d", 80));
    manifest(&mount, "..2/d.yaml", &service("d", 81));
    symlink("..1", mount.join("..data")).expect("linked");
    symlink("..data/d.yaml", mount.join("d.yaml")).expect("linked");
    until(&mut services, "by link", |l| port(l, "d") == Some(80)).await;
    symlink("..2", mount.join("..data_tmp")).expect("linked");
    fs::rename(mount.join("..data_tmp"), mount.join("..data")).expect("renamed");
    until(&mut services, "by the turned link", |l| port(l, "d") == Some(81)).await;
}

#[tokio::test]
async fn a_file_being_written_deletes_nothing() {
    use std::io::Write;
    let dir = directory();
    manifest(dir.path(), "a.yaml", &service("a", 80));
    let store = open(dir.path(), Writer::Controller);
    let mut services = store.reflect::<Service>();
    until(&mut services, "a", |l| l.objects.len() == 1).await;
    let mut file = fs::File::create(dir.path().join("a.yaml")).expect("truncated");
    // Another file's change shows that the store has looked since.
    manifest(dir.path(), "b.yaml", &service("b", 80));
    let listing = until(&mut services, "b", |l| port(l, "b") == Some(80)).await;
    assert_eq!(port(&listing, "a"), Some(80), "its writer is not done");
    file.write_all(service("a", 81).as_bytes()).expect("written");
    drop(file);
    until(&mut services, "the new a", |l| port(l, "a") == Some(81)).await;
}

#[tokio::test]
async fn there_is_one_controller() {
    let dir = directory();
    let first = open(dir.path(), Writer::Controller);
    assert!(matches!(Directory::open(dir.path(), Writer::Controller), Err(OpenError::Locked { .. })));
    drop(first);
    open(dir.path(), Writer::Controller);
    assert!(matches!(Directory::open(dir.path(), Writer::Agent("../a".into())), Err(OpenError::Node(_))));
    assert!(matches!(Directory::open(&dir.path().join("none"), Writer::None), Err(OpenError::Io { .. })));
}

#[tokio::test]
async fn what_a_killed_writer_left_is_no_object() {
    let dir = directory();
    let objects = dir.path().join(".herald/objects/virtualips/_");
    fs::create_dir_all(&objects).expect("made");
    fs::write(objects.join(".tmp-~7-0"), "apiVersion: lb.her").expect("written");
    let store = open(dir.path(), Writer::Controller);
    let mut addresses = store.reflect::<VirtualIP>();
    addresses.ready().await.expect("runs");
    assert!(addresses.current().objects.is_empty());
    store.create(&virtual_ip("192.0.2.1")).await.expect("free");
    let names: Vec<_> = fs::read_dir(&objects).expect("there").map(|entry| entry.expect("there").file_name()).collect();
    assert_eq!(names, ["192.0.2.1.yaml"]);
}

#[tokio::test]
async fn a_damaged_object_keeps_its_name_taken() {
    let dir = directory();
    manifest(dir.path(), ".herald/objects/virtualips/_/192.0.2.1.yaml", "apiVersion: lb.her");
    let store = open(dir.path(), Writer::Controller);
    let created = store.create(&virtual_ip("192.0.2.1")).await;
    assert!(matches!(created, Err(CreateError::AlreadyExists(_))), "{created:?}");
    rejections(&store, |all| all.len() == 1).await;
}

#[tokio::test]
async fn a_status_in_a_manifest_counts_until_herald_writes_one() {
    let dir = directory();
    let shown = "status:\n  loadBalancer:\n    ingress:\n    - ip: 192.0.2.1\n";
    manifest(dir.path(), "a.yaml", &format!("{}{shown}", service("a", 80)));
    let store = open(dir.path(), Writer::Controller);
    let mut services = store.reflect::<Service>();
    let ip = |service: &Service| {
        let ingress = service.status.clone()?.load_balancer?.ingress?;
        ingress.first()?.ip.clone()
    };
    let listing = until(&mut services, "a", |l| l.objects.len() == 1).await;
    let mut service = (*listing.objects[&service_key("a")]).clone();
    assert_eq!(ip(&service).as_deref(), Some("192.0.2.1"));
    service.status = Some(k8s_openapi::api::core::v1::ServiceStatus::default());
    store.write_status(&service).await.expect("fresh");
    until(&mut services, "cleared", |l| ip(&l.objects[&service_key("a")]).is_none()).await;
    fs::remove_file(dir.path().join("a.yaml")).expect("was there");
    until(&mut services, "gone", |l| l.objects.is_empty()).await;
    assert!(!dir.path().join(".herald/status/services/default/a.yaml").exists(), "its status goes with it");
}

#[tokio::test]
async fn an_object_that_goes_while_it_is_in_doubt_takes_its_status_with_it() {
    let dir = directory();
    let status = dir.path().join(".herald/status/services/default/a.yaml");
    manifest(dir.path(), "a.yaml", &service("a", 80));
    let store = open(dir.path(), Writer::Controller);
    let listing = until(&mut store.reflect::<Service>(), "a", |l| l.objects.len() == 1).await;
    let mut service = (*listing.objects[&service_key("a")]).clone();
    let ready = serde_json::json!({"conditions": [], "loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}});
    service.status = serde_json::from_value(ready).expect("a status");
    store.write_status(&service).await.expect("fresh");
    drop(store);
    manifest(dir.path(), "a.yaml", "broken: [");
    let store = open(dir.path(), Writer::Controller);
    let mut services = store.reflect::<Service>();
    until(&mut services, "the doubt", |l| !l.is_gone(&service_key("a"))).await;
    assert!(status.exists(), "in doubt it stays");

    fs::remove_file(dir.path().join("a.yaml")).expect("was there");
    until(&mut services, "the end of the doubt", |l| l.is_gone(&service_key("a"))).await;

    assert!(!status.exists(), "a new object of the name starts without");
}

#[tokio::test]
async fn a_users_manifest_is_never_written() {
    let dir = directory();
    manifest(dir.path(), "vip.yaml", &serde_yaml(&virtual_ip("192.0.2.1")));
    let store = open(dir.path(), Writer::Controller);
    let listing = until(&mut store.reflect::<VirtualIP>(), "the address", |l| l.objects.len() == 1).await;
    let object = (*listing.objects[&key("192.0.2.1")]).clone();
    let refused = store.update(&object).await.expect_err("a user's").to_string();
    assert!(refused.contains("vip.yaml"), "{refused}");
}

fn serde_yaml<K: serde::Serialize>(object: &K) -> String {
    serde_saphyr::to_string(object).expect("has a YAML form")
}

#[tokio::test]
async fn two_stores_agree_on_the_digest_and_it_is_of_the_content() {
    let dir = directory();
    manifest(dir.path(), "a.yaml", &service("a", 80));
    let (one, two) = (open(dir.path(), Writer::Controller), open(dir.path(), Writer::None));
    let (mut first, mut second) = (one.reflect::<Service>(), two.reflect::<Namespace>());
    first.ready().await.expect("runs");
    second.ready().await.expect("runs");
    let before = first.current().digest.clone();
    assert_eq!(second.current().digest, before);
    manifest(dir.path(), "b.yaml", &service("b", 80));
    let after = until(&mut first, "b", |l| l.objects.len() == 2).await.digest.clone();
    assert_ne!(after, before);
    until(&mut second, "the same digest", |l| l.digest == after).await;
    // A store says its digest once all kinds are shown.
    let limit = Instant::now() + Duration::from_secs(5);
    while two.digest() != after {
        assert!(Instant::now() < limit, "the store's digest stays {}", two.digest());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    fs::remove_file(dir.path().join("b.yaml")).expect("was there");
    until(&mut second, "the first digest", |l| l.digest == before).await;
    until(&mut first, "the first digest", |l| l.digest == before).await;
    one.create(&virtual_ip("192.0.2.1")).await.expect("free");
    one.sync().await.expect("runs");
    assert_eq!(one.digest(), before, "what Herald writes is not in it");
}

#[tokio::test]
async fn after_catch_up_listings_show_what_is_on_the_disk() {
    let dir = directory();
    let store = open(dir.path(), Writer::None);
    let services = store.reflect::<Service>();
    for round in 1..=20 {
        manifest(dir.path(), &format!("{round}.yaml"), &service("a", round));
        if round > 1 {
            fs::remove_file(dir.path().join(format!("{}.yaml", round - 1))).expect("was there");
        }
        store.catch_up().await.expect("runs");
        assert_eq!(port(&services.current(), "a"), Some(round.into()));
        assert_eq!(*store.digest(), *services.current().digest);
    }
}

#[tokio::test]
async fn the_examples_are_good() {
    let dir = directory();
    let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/examples");
    for entry in fs::read_dir(examples).expect("there") {
        let path = entry.expect("there").path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            fs::copy(&path, dir.path().join(path.file_name().expect("a file"))).expect("copied");
        }
    }
    let store = open(dir.path(), Writer::None);
    until(&mut store.reflect::<Node>(), "three nodes", |l| l.objects.len() == 3).await;
    until(&mut store.reflect::<Service>(), "the Service", |l| l.objects.len() == 1).await;
    let classes = until(&mut store.reflect::<MetalLoadBalancerClass>(), "the class", |l| l.objects.len() == 1).await;
    let (ranges, problems) = lb_api::pool_ranges(&classes.objects[&key("ingress")].spec);
    assert_eq!((ranges.len(), problems.len()), (2, 0));
    assert_eq!(store.rejections().borrow().len(), 0);
}

#[tokio::test]
async fn the_store_stops_with_its_last_handle() {
    let dir = directory();
    let store = open(dir.path(), Writer::Controller);
    let mut services = store.reflect::<Service>();
    let mut rejections = store.rejections();
    drop(store);
    services.ready().await.expect("a reflector keeps it running");
    drop(services);
    let ended = tokio::time::timeout(Duration::from_secs(20), rejections.changed()).await;
    assert!(ended.expect("in time").is_err());
}
