//! Damage to what Herald itself wrote: nothing of it clears an address or lets a second controller in.

mod support;

use std::fs;

use k8s_openapi::api::core::v1::Service;
use lb_api::VirtualIP;
use lb_store::{Directory, OpenError, Writer};
use support::{key, manifest, open, service, until, virtual_ip};

#[tokio::test]
async fn object_whose_own_file_is_damaged_is_in_doubt_after_a_start() {
    for garbage in ["{{{", "spec: [", "just a text"] {
        let dir = tempfile::tempdir().expect("temporary directory");
        let store = open(dir.path(), Writer::Controller);
        store.create(&virtual_ip("192.0.2.1")).await.expect("created");
        store.create(&virtual_ip("192.0.2.2")).await.expect("created");
        drop(store);
        fs::write(dir.path().join(".herald/objects/virtualips/_/192.0.2.1.yaml"), garbage).expect("written");
        fs::remove_file(dir.path().join(".herald/objects/virtualips/_/192.0.2.2.yaml")).expect("was there");

        for writer in [Writer::Controller, Writer::Agent("node-1".into())] {
            let store = open(dir.path(), writer);
            let listing = until(&mut store.reflect::<VirtualIP>(), "the first listing", |_| true).await;
            assert!(!listing.is_gone(&key("192.0.2.1")), "{garbage:?}: its file does not parse");
            assert!(listing.is_gone(&key("192.0.2.2")), "its file is gone");
        }
    }
}

#[tokio::test]
async fn second_controller_is_refused_even_if_what_herald_wrote_was_removed() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let first = open(dir.path(), Writer::Controller);
    fs::remove_dir_all(dir.path().join(".herald")).expect("removed");

    assert!(matches!(Directory::open(dir.path(), Writer::Controller), Err(OpenError::Locked { .. })));

    drop(first);
    open(dir.path(), Writer::Controller);
}

#[tokio::test]
async fn damaged_record_of_generations_stops_nobody() {
    let dir = tempfile::tempdir().expect("temporary directory");
    manifest(dir.path(), "a.yaml", &service("a", 80));
    drop(open(dir.path(), Writer::Controller));
    fs::write(dir.path().join(".herald/generations"), [0xff, 0xfe, b'\n', 0xff]).expect("written");

    for writer in [Writer::Controller, Writer::Agent("node-1".into())] {
        let store = open(dir.path(), writer);
        until(&mut store.reflect::<Service>(), "the Service", |l| l.objects.len() == 1).await;
    }
}
