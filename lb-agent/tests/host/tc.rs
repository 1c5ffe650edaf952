//! Ways to attach: tc beside a foreign XDP program or because it was asked for, from one way to another, and back to nothing.

use std::process::Command;

use aya::{
    Ebpf,
    programs::{SchedClassifier, TcAttachType, Xdp, XdpMode},
};
use nix::sys::signal::Signal;

use crate::node::{in_namespace, node_with_two_addresses, state, xdp_attached};

/// Any XDP program of somebody else.
const FOREIGN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/bpf/lab.o");

fn shown() -> (String, String) {
    let attach = &state()["interfaces"][0]["attach"];
    let text = |field: &str| attach[field].as_str().unwrap_or_default().to_owned();
    (text("mode"), text("reason"))
}

/// Whether eth0's tcx ingress has our program.
fn on_tcx() -> bool {
    SchedClassifier::query_tcx("eth0", TcAttachType::Ingress).is_ok_and(|(_, programs)| !programs.is_empty())
}

fn of(mode: &str, reason: &str) -> (String, String) {
    (mode.to_owned(), reason.to_owned())
}

#[test]
fn mode_changes_with_a_restart_and_the_reason_is_kept() {
    in_namespace(|| {
        let mut node = node_with_two_addresses();
        node.start(&[]);
        assert_eq!(shown(), of("Native", ""));
        node.end(Signal::SIGTERM);

        node.start(&["--mode", "generic"]);
        assert_eq!(shown(), of("Generic", "forced by --mode generic"));
        node.end(Signal::SIGTERM);

        node.start(&["--mode", "tc"]);
        assert_eq!(shown(), of("Tc", "forced by --mode tc"));
        assert!(on_tcx() && !xdp_attached());
        node.end(Signal::SIGTERM);

        node.start(&["--mode", "native"]);
        assert_eq!(shown(), of("Native", ""));
        assert!(!on_tcx() && xdp_attached());
    });
}

#[test]
fn beside_a_foreign_xdp_program_it_is_tc_which_outlives_the_agent_and_goes_with_cleanup() {
    in_namespace(|| {
        let mut somebody_else = Ebpf::load_file(FOREIGN).expect("`cargo xtask build-ebpf` made it");
        let program: &mut Xdp = somebody_else.program_mut("lab_pass").expect("it").try_into().expect("is XDP");
        program.load().expect("loaded");
        program.attach("eth0", XdpMode::Driver).expect("attached");
        let number = program.info().expect("its information").id();
        let foreign = || {
            let output = Command::new("ip").args(["link", "show", "eth0"]).output().expect("ip is installed");
            String::from_utf8_lossy(&output.stdout).contains(&format!("prog/xdp id {number}"))
        };
        assert!(foreign(), "the foreign program is attached");
        let mut node = node_with_two_addresses();
        let why = "another XDP program is on the interface; it is left alone";

        node.start(&[]);
        assert_eq!(shown(), of("Tc", why));
        assert!(on_tcx() && foreign());

        node.end(Signal::SIGKILL);
        assert!(on_tcx(), "what must outlive the agent is gone");
        node.start(&[]);
        assert_eq!(shown(), of("Tc", why), "taken up, and the reason is still true");

        node.end(Signal::SIGTERM);
        node.cleanup();
        assert!(!on_tcx() && foreign() && !node.bpffs.exists());
    });
}
