//! What the suites share: directories, waiting for a condition, and objects. Holds no tests.
#![allow(dead_code, reason = "each suite uses a part")]
#![allow(unreachable_pub, reason = "this file is a module of several test crates")]

use std::{fs, path::Path, sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::Service;
use kube::core::ObjectMeta;
use lb_api::{VirtualIP, VirtualIPSpec};
use lb_store::{Directory, Key, Listing, Object, Reflector, Rejection, Store, Writer};

/// Nothing that is waited for takes longer.
pub const LIMIT: Duration = Duration::from_secs(20);

/// A store on `dir`.
pub fn open(dir: &Path, writer: Writer) -> Store {
    Store::Directory(Directory::open(dir, writer).expect("the directory opens"))
}

/// Waits for a listing that satisfies `condition`.
pub async fn until<K: Object>(
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

/// Waits for rejections that satisfy `condition`.
pub async fn rejections(store: &Store, condition: impl Fn(&[Rejection]) -> bool) -> Arc<Vec<Rejection>> {
    let mut receiver = store.rejections();
    let found = tokio::time::timeout(LIMIT, receiver.wait_for(|rejections| condition(rejections))).await;
    match found {
        Ok(rejections) => Arc::clone(&rejections.expect("the store runs")),
        Err(_) => panic!("these never came: {:#?}", store.rejections().borrow()),
    }
}

/// Writes a manifest, in place as an editor would.
pub fn manifest(dir: &Path, name: &str, text: &str) {
    let path = dir.join(name);
    fs::create_dir_all(path.parent().expect("within the directory")).expect("made");
    fs::write(path, text).expect("written");
}

/// The manifest of a LoadBalancer Service.
pub fn service(name: &str, port: u16) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata:\n  name: {name}\nspec:\n  type: LoadBalancer\n  ports:\n  - port: {port}\n"
    )
}

/// The key of a Service in the default namespace.
pub fn service_key(name: &str) -> Key {
    Key::new("default", name)
}

/// The first port of a Service.
pub fn port(listing: &Listing<Service>, name: &str) -> Option<i32> {
    let service = listing.objects.get(&service_key(name))?;
    service.spec.as_ref()?.ports.as_ref()?.first().map(|port| port.port)
}

/// A VirtualIP.
pub fn virtual_ip(address: &str) -> VirtualIP {
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

/// A key without a namespace.
pub fn key(name: &str) -> Key {
    Key::cluster_scoped(name)
}
