//! The store contract on directories.
#![allow(unreachable_pub, reason = "the suite is a module of several test crates")]

mod suite;

use std::fs;

use lb_store::{Directory, Store, Writer};

struct Folder {
    dir: tempfile::TempDir,
}

impl Folder {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("temporary directory") }
    }

    fn open(&self, writer: Writer) -> Store {
        Store::Directory(Directory::open(self.dir.path(), writer).expect("the directory opens"))
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.dir.path().join(name), text).expect("written");
    }
}

impl suite::Backend for Folder {
    fn controller(&self) -> Store {
        self.open(Writer::Controller)
    }

    fn agent(&self, node: &str) -> Store {
        self.open(Writer::Agent(node.into()))
    }

    async fn apply(&self, name: &str, port: u16) {
        let service = serde_json::to_string(&suite::service(name, port)).expect("has a JSON form");
        self.write(&format!("{name}.yaml"), &service);
    }

    async fn withdraw(&self, name: &str) {
        fs::remove_file(self.dir.path().join(format!("{name}.yaml"))).expect("was applied");
    }

    async fn apply_class(&self, name: &str, pool: &str) {
        let (head, kind) = ("apiVersion: network.deckhouse.io/v1alpha1", "MetalLoadBalancerClass");
        self.write(
            "class.yaml",
            &format!("{head}\nkind: {kind}\nmetadata: {{name: {name}}}\nspec: {{addressPool: [{pool}]}}\n"),
        );
    }
}

macro_rules! tests {
    ($($name:ident,)*) => {
        $(
            #[tokio::test]
            async fn $name() {
                suite::$name(Folder::new()).await;
            }
        )*
    };
}

suite::cases!(tests);
