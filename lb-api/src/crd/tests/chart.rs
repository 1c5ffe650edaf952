//! The chart is `deploy/base` in another form: with the values that it comes with it renders to the same objects, and beside
//! MetalLB to what `deploy/beside-metallb` makes of them.
//!
//! Rendered by the few words of Helm's language that the chart is allowed to use ([`render`]), so that no Helm is needed.

use std::{collections::BTreeMap, fs};

use serde_json::{Value, json};

mod render;

const DEPLOY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy");

/// Objects by kind and name.
type Objects = BTreeMap<String, Value>;

fn read(path: &str) -> String {
    let path = format!("{DEPLOY}/{path}");
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn objects(text: &str) -> Objects {
    let documents = text.split("\n---\n").map(|text| serde_saphyr::from_str::<Value>(text).expect(text));
    let name = |object: &Value| format!("{} {}", object["kind"], object["metadata"]["name"]);
    documents.filter(|object| !object.is_null()).map(|object| (name(&object), object)).collect()
}

/// What kustomize makes of the base: its files, and its images.
fn base() -> Objects {
    let kustomization: Value = serde_saphyr::from_str(&read("base/kustomization.yaml")).expect("valid");
    let files = kustomization["resources"].as_array().expect("a list").iter().filter_map(Value::as_str);
    // Helm itself makes the namespace of a release, or somebody before it: docs/install.md.
    let files = files.filter(|file| *file != "namespace.yaml");
    let mut objects: Objects = files.flat_map(|file| objects(&read(&format!("base/{file}")))).collect();
    for object in objects.values_mut() {
        let Some(Value::Array(containers)) = object.pointer_mut("/spec/template/spec/containers") else { continue };
        for container in containers {
            let images = kustomization["images"].as_array().expect("a list").iter();
            let image = images.clone().find(|image| image["name"] == container["image"]).expect("its tag is said");
            let text = |field: &str| image[field].as_str().expect("a text").to_owned();
            container["image"] = format!("{}:{}", text("name"), text("newTag")).into();
        }
    }
    objects
}

/// What the chart makes of the values that it comes with, changed so.
fn chart(namespace: &str, change: impl FnOnce(&mut Value)) -> Objects {
    let mut values: Value = serde_saphyr::from_str(&read("chart/values.yaml")).expect("valid");
    change(&mut values);
    let context = json!({ "Values": values, "Release": { "Namespace": namespace } });
    let mut rendered = Objects::new();
    for entry in fs::read_dir(format!("{DEPLOY}/chart/templates")).expect("there are templates").flatten() {
        let text = fs::read_to_string(entry.path()).expect("a text");
        rendered.extend(objects(&render::render(&text, &context)));
    }
    rendered
}

#[track_caller]
fn equal(chart: &Objects, other: &Objects) {
    assert_eq!(chart.keys().collect::<Vec<_>>(), other.keys().collect::<Vec<_>>());
    for (name, object) in other {
        assert_eq!(&chart[name], object, "{name}");
    }
}

#[test]
fn the_chart_renders_to_the_base() {
    equal(&chart("herald-system", |_| {}), &base());
}

#[test]
fn in_another_namespace_nothing_names_the_first() {
    let text = serde_json::to_string(&chart("lb", |_| {})).expect("a tree of JSON");
    assert!(text.contains("system:serviceaccount:lb:herald-agent") && !text.contains("herald-system"));
}

#[test]
fn beside_metallb_the_chart_does_what_the_overlay_does() {
    let mut wanted = base();
    for role in ["herald-controller-metallb", "herald-controller-bgp"] {
        assert!(wanted.remove(&format!("\"ClusterRole\" \"{role}\"")).is_some(), "{role}");
    }
    let at = |wanted: &mut Objects, name: &str, path: &str, value: Value| {
        let list = wanted.get_mut(name).and_then(|object| object.pointer_mut(path)).and_then(Value::as_array_mut);
        list.expect("it is there").push(value);
    };
    let controller = "\"Deployment\" \"herald-controller\"";
    for flag in ["--sources=classes", "--lb-class=lb.herald.dev/herald"] {
        at(&mut wanted, controller, "/spec/template/spec/containers/0/args", flag.into());
    }
    let off = json!({ "name": "HERALD_BGP", "value": "off" });
    at(&mut wanted, "\"DaemonSet\" \"herald-agent\"", "/spec/template/spec/containers/0/env", off);
    let webhook = wanted.get_mut("\"ValidatingWebhookConfiguration\" \"herald\"").expect("it is there");
    let rules = webhook.pointer_mut("/webhooks/0/rules").and_then(Value::as_array_mut).expect("a list");
    assert_eq!(rules.remove(0)["apiGroups"], json!(["metallb.io"]));

    let beside = chart("herald-system", |values| {
        values["besideMetallb"] = true.into();
        values["lbClass"] = "lb.herald.dev/herald".into();
    });
    equal(&beside, &wanted);
    // The overlay says just that, and no more.
    let overlay: Value = serde_saphyr::from_str(&read("beside-metallb/kustomization.yaml")).expect("valid");
    assert_eq!(overlay["patches"].as_array().map(Vec::len), Some(5));
    for words in ["--sources=classes", "--lb-class=lb.herald.dev/herald", "HERALD_BGP", "herald-controller-bgp"] {
        assert!(overlay["patches"].to_string().contains(words), "{words}");
    }
}

#[test]
fn each_value_of_the_chart_is_where_it_belongs() {
    let objects = chart("herald-system", |values| {
        for part in ["agent", "controller"] {
            values[part]["image"] = format!("registry.example.org/{part}:1").into();
            values[part]["tolerations"] = json!([{ "key": part, "operator": "Exists" }]);
            values[part]["resources"] = json!({ "limits": { "memory": part } });
        }
        values["controller"]["replicas"] = 3.into();
    });
    for (name, part) in
        [("\"DaemonSet\" \"herald-agent\"", "agent"), ("\"Deployment\" \"herald-controller\"", "controller")]
    {
        let pod = &objects[name]["spec"]["template"]["spec"];
        let container = &pod["containers"][0];
        assert_eq!(container["image"], format!("registry.example.org/{part}:1"));
        assert_eq!(pod["tolerations"], json!([{ "key": part, "operator": "Exists" }]));
        assert_eq!(container["resources"], json!({ "limits": { "memory": part } }));
    }
    assert_eq!(objects["\"Deployment\" \"herald-controller\""]["spec"]["replicas"], 3);
}
