//! What is read from a `go.mod`, and how versions compare.

use super::*;

const GO_MOD: &str =
    "module m\n\ngo 1.26.0\n\nrequire k8s.io/kubernetes v1.36.3\n\nrequire (\n\tk8s.io/api v0.36.3\n)\n";

#[test]
fn a_go_mod_says_what_it_builds_and_with_which_go() {
    assert_eq!(versions(GO_MOD, KUBERNETES), Some(("1.36.3".into(), "1.26.0".into())));
    assert_eq!(versions(GO_MOD, "k8s.io/api"), Some(("0.36.3".into(), "1.26.0".into())));
    assert_eq!(versions(GO_MOD, ETCD), None);
}

#[test]
fn a_version_is_asked_for_by_its_first_numbers() {
    assert!(is_of("1.33.13", "1.33") && is_of("1.33.13", "1.33.13"));
    assert!(!is_of("1.33.13", "1.33.1") && !is_of("1.3.1", "1.33"));
}

#[test]
fn versions_compare_by_their_numbers() {
    assert!(numbers("1.9.8") < numbers("1.26.0"));
    assert!(numbers("1.26") < numbers("1.26.0"), "a release without its last number is a pre-release of it");
    assert!(numbers("1.27rc1") > numbers("1.26.9"));
}

#[test]
fn the_modules_of_this_clone_are_of_the_folders_that_hold_them() {
    let go = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/kube/go");
    let newest = Module::read(&go.join(NEWEST), KUBERNETES).expect("the newest version has a module");
    assert!(is_of(&newest.version, NEWEST));
    for folder in fs::read_dir(&go).expect("the modules are in the clone") {
        let folder = folder.expect("a folder can be read").path();
        let name = folder.file_name().and_then(|name| name.to_str()).expect("its name is text").to_owned();
        if name != "etcd" {
            let module = Module::read(&folder, KUBERNETES).expect("it builds Kubernetes");
            assert!(is_of(&module.version, &name), "{name} holds {}", module.version);
        }
    }
}

#[test]
fn the_version_is_linked_in() {
    let flags = version_flags("1.36.3");
    assert!(flags.contains("gitVersion=v1.36.3 ") && flags.contains("gitMinor=36 "), "{flags}");
}
