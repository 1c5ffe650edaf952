//! clsact, which an agent takes only where there is no tcx: on a kernel that has both it is made here by hand. And what others
//! do to our links.

use std::{collections::BTreeMap, path::PathBuf, process::Command, thread};

use nix::{
    net::if_::if_nametoindex,
    sched::{CloneFlags, unshare},
    unistd::getuid,
};

use super::*;
use crate::{
    args::EbpfLog,
    xdp::attach::{Attachments, Interface},
};

#[test]
fn auto_tries_the_driver_first_and_generic_xdp_last() {
    assert_eq!(Way::order(Mode::Auto), [Way::Native, Way::Tcx, Way::Clsact, Way::Generic]);
    assert_eq!(Way::order(Mode::Tc), [Way::Tcx, Way::Clsact]);
}

#[test]
fn a_pin_says_which_way_it_is() {
    assert_eq!(Way::of(Pin::Xdp, AttachMode::Generic), Some(Way::Generic));
    assert_eq!(Way::of(Pin::Xdp, AttachMode::None), None, "the link is dead");
    assert_eq!(Way::of(Pin::Tcx, AttachMode::Native), Some(Way::Tcx), "beside somebody else's program");
}

fn tc(arguments: &str) -> String {
    let output = Command::new("tc").args(arguments.split(' ')).output().expect("tc is installed");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn ip(arguments: &str) {
    assert!(
        Command::new("ip").args(arguments.split(' ')).status().expect("ip is installed").success(),
        "ip {arguments}"
    );
}

#[test]
fn a_clsact_filter_is_made_taken_over_and_deleted_and_no_other_is() {
    on_an_interface("clsact", made_taken_over_and_deleted);
}

#[test]
fn what_somebody_detached_by_force_is_seen_and_put_back() {
    on_an_interface("force", put_back);
}

/// Runs `test` on a thread with a namespace and a pair `eth0`, `peer0` of its own, and a place for pins.
fn on_an_interface(name: &str, test: fn(&Pins)) {
    if !getuid().is_root() {
        let require = std::env::var_os("HERALD_REQUIRE").is_some_and(|value| value == "all");
        assert!(!require, "HERALD_REQUIRE=all: this test needs root");
        eprintln!("skipped: needs root for network namespaces and BPF");
        return;
    }
    let root = PathBuf::from(format!("/sys/fs/bpf/herald-{name}-{}", std::process::id()));
    let pins = Pins::at(&root);
    let run = thread::spawn({
        let pins = pins.clone();
        move || {
            unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace");
            ip("link add eth0 type veth peer name peer0");
            ip("link set eth0 up");
            pins.prepare().expect("a place for pins");
            test(&pins);
        }
    });
    let result = run.join();
    for folder in [pins.links(), pins.maps()] {
        for pin in fs::read_dir(&folder).into_iter().flatten().flatten() {
            fs::remove_file(pin.path()).expect("a pin is removed");
        }
        fs::remove_dir(&folder).expect("the folder is empty");
    }
    fs::remove_dir(&root).expect("the folder is empty");
    if let Err(panic) = result {
        std::panic::resume_unwind(panic);
    }
}

fn put_back(pins: &Pins) {
    let index = if_nametoindex("eth0").expect("the interface");
    let interface = Interface { index, name: "eth0", up: true, xdp: AttachMode::None };
    let (mut object, _maps) = Object::load(pins, None, EbpfLog::Off).expect("the program loads");
    let mut attachments = Attachments::new(pins.clone(), Mode::Tc);
    let on_tcx = || SchedClassifier::query_tcx("eth0", TcAttachType::Ingress).expect("asked").1.len();
    attachments.ensure(&mut object, &[interface]);
    assert_eq!((on_tcx(), attachments.get(index).mode), (1, AttachMode::Tc));

    detach_pinned(&pins.link(index, Pin::Tcx)).expect("detached, as a tool would");
    assert_eq!(on_tcx(), 0);
    attachments.ensure(&mut object, &[interface]);

    assert_eq!((on_tcx(), attachments.get(index).mode), (1, AttachMode::Tc));
    assert_eq!(attachments.retain(&BTreeMap::new()).len(), 0, "no error");
    assert_eq!((on_tcx(), pins.of(index).count()), (0, 0), "an interface that is not wanted is let go");
}

fn made_taken_over_and_deleted(pins: &Pins) {
    let index = if_nametoindex("eth0").expect("the interface");
    let place = Place { index, name: "eth0" };
    let ours = || tc("filter show dev eth0 ingress").matches("handle 0x4844").count();
    let (mut object, _maps) = Object::load(pins, None, EbpfLog::Off).expect("the program loads");

    Way::Clsact.make(&mut object, pins, place).expect("attached");
    assert_eq!((ours(), pins.of(index).collect::<Vec<_>>()), (1, vec![Pin::Clsact]));
    tc("filter add dev eth0 ingress prio 5 protocol all u32 match u8 0 0");
    drop(object);
    assert_eq!(ours(), 1, "it outlives the program's handles");

    let (mut object, _maps) = Object::load(pins, None, EbpfLog::Off).expect("the program of a successor loads");
    let before = tc("filter show dev eth0 ingress");
    Way::Clsact.take_over(&mut object, pins, place).expect("taken over");
    assert!(Way::Clsact.is_alive(&mut object, place, AttachMode::None));
    assert_eq!(ours(), 1, "replaced, not added");
    assert_ne!(tc("filter show dev eth0 ingress"), before, "the filter has the new program");

    end(pins, index, Pin::Clsact).expect("ended");
    assert_eq!((ours(), pins.of(index).count()), (0, 0));
    assert!(tc("filter show dev eth0 ingress").contains("u32"), "somebody else's filter stays");
    assert!(!Way::Clsact.is_alive(&mut object, place, AttachMode::None));
}
