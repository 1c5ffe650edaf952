//! Random edits of a directory, compared with a model of what it must hold.

mod support;

use std::{collections::BTreeMap, fs};

use k8s_openapi::api::core::v1::Service;
use lb_store::Writer;
use proptest::prelude::*;
use support::{manifest, open, service, service_key, until};

/// Files and Services are few, so that edits meet.
const FILES: [&str; 4] = ["a.yaml", "b.yaml", "sub/c.yaml", "sub/d.json"];
const NAMES: [&str; 3] = ["x", "y", "z"];

/// What a document of a file is.
#[derive(Debug, Clone)]
enum Document {
    Good(usize, u16),
    /// The object's fields are wrong.
    Invalid(usize),
}

#[derive(Debug, Clone)]
enum Edit {
    Write(usize, Vec<Document>),
    Garbage(usize),
    Remove(usize),
    Rename(usize, usize),
    Restart,
}

fn document() -> impl Strategy<Value = Document> {
    prop_oneof![
        4 => (0..NAMES.len(), 1_u16..).prop_map(|(name, port)| Document::Good(name, port)),
        1 => (0..NAMES.len()).prop_map(Document::Invalid),
    ]
}

fn edit() -> impl Strategy<Value = Edit> {
    let file = || 0..FILES.len();
    prop_oneof![
        6 => (file(), prop::collection::vec(document(), 0..4)).prop_map(|(file, all)| Edit::Write(file, all)),
        1 => file().prop_map(Edit::Garbage),
        2 => file().prop_map(Edit::Remove),
        2 => (file(), file()).prop_map(|(from, to)| Edit::Rename(from, to)),
        1 => Just(Edit::Restart),
    ]
}

fn text(documents: &[Document]) -> String {
    let text = |document: &Document| match document {
        Document::Good(name, port) => service(NAMES[*name], *port),
        Document::Invalid(name) => service(NAMES[*name], 80).replace("type: LoadBalancer", "type: Loadbalancer"),
    };
    documents.iter().map(|document| format!("---\n{}", text(document))).collect()
}

/// What each file gives: a port, or `None` where its document went bad and the object stays as it was last shown.
#[derive(Debug, Default, Clone)]
struct Model {
    files: BTreeMap<usize, BTreeMap<usize, Option<u16>>>,
    shown: BTreeMap<String, i32>,
    /// What stands in the files now.
    content: BTreeMap<usize, Option<Vec<Document>>>,
}

impl Model {
    fn read(&mut self, file: usize) {
        let old = self.files.remove(&file).unwrap_or_default();
        let new = match self.content.get(&file) {
            None => return,
            Some(None) => old.into_keys().map(|name| (name, None)).collect(),
            Some(Some(documents)) => {
                let mut new = BTreeMap::new();
                for document in documents {
                    if let Document::Good(name, port) = document {
                        new.entry(*name).or_insert(Some(*port));
                    }
                }
                for document in documents {
                    if let Document::Invalid(name) = document
                        && old.contains_key(name)
                    {
                        new.entry(*name).or_insert(None);
                    }
                }
                new
            }
        };
        self.files.insert(file, new);
    }

    /// The first file in path order counts; `FILES` is in that order.
    fn show(&mut self) -> BTreeMap<String, i32> {
        let mut listing = BTreeMap::new();
        for (name, port) in self.files.values().flatten() {
            let name = NAMES[*name].to_owned();
            let port = port.map_or_else(|| self.shown[&name], i32::from);
            listing.entry(name).or_insert(port);
        }
        self.shown = listing.clone();
        listing
    }
}

async fn run(edits: Vec<Edit>) {
    let dir = tempfile::tempdir().expect("temporary directory");
    fs::create_dir(dir.path().join("sub")).expect("made");
    let mut store = open(dir.path(), Writer::Controller);
    let mut services = store.reflect::<Service>();
    let mut model = Model::default();
    for edit in edits {
        match &edit {
            Edit::Write(file, documents) => {
                model.content.insert(*file, Some(documents.clone()));
                manifest(dir.path(), FILES[*file], &text(documents));
                model.read(*file);
            }
            Edit::Garbage(file) => {
                model.content.insert(*file, None);
                manifest(dir.path(), FILES[*file], "}{");
                model.read(*file);
            }
            Edit::Remove(file) => {
                if model.content.remove(file).is_some() {
                    fs::remove_file(dir.path().join(FILES[*file])).expect("is there");
                    model.read(*file);
                }
            }
            Edit::Rename(from, to) => {
                if from != to
                    && let Some(content) = model.content.remove(from)
                {
                    fs::rename(dir.path().join(FILES[*from]), dir.path().join(FILES[*to])).expect("is there");
                    model.content.insert(*to, content);
                    model.read(*to);
                    model.read(*from);
                }
            }
            Edit::Restart => {
                drop((store, services));
                store = open(dir.path(), Writer::Controller);
                services = store.reflect::<Service>();
                // A last good state does not outlive the process; it is in doubt then.
                model.files.clear();
                for file in 0..FILES.len() {
                    model.read(file);
                }
            }
        }
        // The digest tells when this edit has been read; a fresh store has the same one.
        let fresh = open(dir.path(), Writer::None);
        let digest = until(&mut fresh.reflect::<Service>(), "a first listing", |_| true).await.digest.clone();
        let listing = until(&mut services, "the edit", |l| l.digest == digest).await;
        let want = model.show();
        let found: BTreeMap<_, _> =
            NAMES.iter().filter_map(|name| Some(((*name).to_owned(), support::port(&listing, name)?))).collect();
        assert_eq!(found, want, "after {edit:?}");
        for service in listing.objects.values() {
            assert_eq!(service.metadata.namespace.as_deref(), Some("default"));
        }
        for name in NAMES {
            assert!(!(want.contains_key(name) && listing.is_gone(&service_key(name))));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn a_listing_is_what_the_files_say(edits in prop::collection::vec(edit(), 1..16)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(run(edits));
    }
}
