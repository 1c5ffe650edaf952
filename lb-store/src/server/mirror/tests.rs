//! What followers see, in whatever order lists, events and writes come.

use k8s_openapi::api::core::v1::Service;
use serde_json::{Value, json};

use super::*;

fn tree(name: &str, uid: &str, version: u64, port: impl Into<Value>) -> Value {
    json!({
        "metadata": { "name": name, "namespace": "default", "uid": uid, "resourceVersion": version.to_string() },
        "spec": { "type": "LoadBalancer", "ports": [{ "port": port.into() }] },
    })
}

fn guarded(name: &str, uid: &str, version: u64, port: impl Into<Value>) -> Guarded<Service> {
    serde_json::from_value(tree(name, uid, version, port)).expect("has a name")
}

fn service(name: &str, uid: &str, version: u64, port: i32) -> Service {
    serde_json::from_value(tree(name, uid, version, port)).expect("a Service")
}

fn mirror(listed: &[(&str, &str, u64, i32)]) -> Mirror<Service> {
    let mirror = Mirror::new(Arc::default());
    list(&mirror, listed);
    mirror
}

fn list(mirror: &Mirror<Service>, listed: &[(&str, &str, u64, i32)]) {
    mirror.take(Event::Init);
    for &(name, uid, version, port) in listed {
        mirror.take(Event::InitApply(guarded(name, uid, version, port)));
    }
    mirror.take(Event::InitDone);
    mirror.show();
}

fn key(name: &str) -> Key {
    Key::new("default", name)
}

/// Name and first port of every Service that is shown.
fn shown(mirror: &Mirror<Service>) -> Vec<(String, i32)> {
    let listing = mirror.subscribe().borrow().clone();
    let port = |service: &Service| service.spec.as_ref()?.ports.as_ref()?.first().map(|port| port.port);
    listing.objects.iter().map(|(key, service)| (key.name.clone(), port(service).expect("has one"))).collect()
}

fn one(name: &str, port: i32) -> Vec<(String, i32)> {
    vec![(name.to_owned(), port)]
}

#[test]
fn nothing_is_shown_before_the_first_list_is_complete() {
    let mirror: Mirror<Service> = Mirror::new(Arc::default());
    mirror.take(Event::Init);
    mirror.take(Event::InitApply(guarded("a", "1", 5, 80)));
    mirror.show();
    assert!(!mirror.subscribe().borrow().synced);

    mirror.take(Event::InitDone);
    mirror.show();
    assert_eq!(shown(&mirror), one("a", 80));
}

#[test]
fn a_late_event_does_not_undo_a_write() {
    let mirror = mirror(&[("a", "1", 5, 80)]);
    mirror.written(service("a", "1", 9, 90));

    mirror.take(Event::Apply(guarded("a", "1", 7, 81)));
    mirror.show();
    assert_eq!(shown(&mirror), one("a", 90));

    mirror.take(Event::Apply(guarded("a", "1", 10, 100)));
    mirror.show();
    assert_eq!(shown(&mirror), one("a", 100));
}

#[test]
fn a_list_that_began_before_a_write_does_not_undo_it() {
    let mirror = mirror(&[("a", "1", 5, 80), ("gone", "2", 5, 80)]);
    mirror.take(Event::Init);
    mirror.written(service("new", "3", 9, 90));
    mirror.take(Event::InitApply(guarded("a", "1", 5, 80)));
    mirror.take(Event::InitDone);
    mirror.show();

    assert_eq!(shown(&mirror), [("a".to_owned(), 80), ("new".to_owned(), 90)]);
}

#[test]
fn what_was_deleted_here_does_not_come_back_and_its_successor_does() {
    let mirror = mirror(&[("a", "1", 5, 80)]);
    mirror.deleted(&key("a"), "1");
    assert_eq!(shown(&mirror), []);

    mirror.take(Event::Apply(guarded("a", "1", 6, 81)));
    mirror.show();
    assert_eq!(shown(&mirror), []);

    mirror.written(service("a", "2", 8, 90));
    mirror.take(Event::Delete(guarded("a", "1", 7, 81)));
    mirror.show();
    assert_eq!(shown(&mirror), one("a", 90), "the end of the first is not the end of the second");
}

#[test]
fn an_object_that_goes_bad_stays_as_it_was_and_says_so() {
    let troubles: Arc<Troubles> = Arc::default();
    let mirror: Mirror<Service> = Mirror::new(Arc::clone(&troubles));
    list(&mirror, &[("a", "1", 5, 80)]);
    mirror.take(Event::Apply(guarded("a", "1", 6, "http")));
    mirror.show();

    assert_eq!(shown(&mirror), one("a", 80));
    let rejections = troubles.shown.borrow().clone();
    let told: Vec<_> = rejections.iter().map(|told| (told.field.as_str(), told.effect)).collect();
    assert_eq!(told, [("spec.ports[0].port", Effect::LastGood)]);

    mirror.take(Event::Apply(guarded("a", "1", 7, 82)));
    mirror.show();
    assert_eq!(shown(&mirror), one("a", 82));
    assert!(troubles.shown.borrow().is_empty());
}

#[test]
fn one_that_was_never_good_is_doubtful_and_one_made_again_is_not_its_predecessor() {
    let mirror = mirror(&[("a", "1", 5, 80)]);
    mirror.take(Event::Apply(guarded("bad", "2", 6, "http")));
    mirror.take(Event::Apply(guarded("a", "3", 7, "http")));
    mirror.show();

    let listing = mirror.subscribe().borrow().clone();
    assert_eq!(shown(&mirror), []);
    assert!(!listing.is_gone(&key("bad")) && !listing.is_gone(&key("a")));

    mirror.take(Event::Delete(guarded("bad", "2", 8, "http")));
    mirror.show();
    assert!(mirror.subscribe().borrow().is_gone(&key("bad")));
}

#[test]
fn a_version_alone_wakes_nobody_and_is_seen_by_who_looks() {
    let mirror = mirror(&[("a", "1", 5, 80)]);
    let mut follower = mirror.subscribe();
    follower.mark_unchanged();
    mirror.take(Event::Apply(guarded("a", "1", 6, 80)));
    mirror.show();

    assert!(!follower.has_changed().expect("runs"));
    let listing = follower.borrow().clone();
    assert_eq!(listing.objects[&key("a")].metadata.resource_version.as_deref(), Some("6"));
}

#[test]
fn the_answer_to_a_write_that_comes_after_the_objects_end_brings_nothing_back() {
    let mirror = mirror(&[("a", "1", 5, 80)]);
    mirror.take(Event::Delete(guarded("a", "1", 7, 80)));
    mirror.show();
    mirror.written(service("a", "1", 6, 81));
    mirror.read(guarded("a", "1", 6, 81));
    mirror.show();
    assert_eq!(shown(&mirror), []);

    mirror.take(Event::Apply(guarded("a", "2", 8, 90)));
    mirror.show();
    assert_eq!(shown(&mirror), one("a", 90), "its successor is another object");
}

#[test]
fn what_only_a_write_vouches_for_is_named_and_goes_if_a_look_finds_nothing() {
    let mirror = mirror(&[]);
    mirror.take(Event::Init);
    mirror.written(service("a", "1", 9, 90));
    let unlisted = mirror.take(Event::InitDone);
    mirror.show();
    assert_eq!(shown(&mirror), one("a", 90));
    let [unlisted] = unlisted.as_slice() else { panic!("one object: {unlisted:?}") };

    mirror.vanished(unlisted);
    assert_eq!(shown(&mirror), []);
}
