//! `pod-init SPEC`: becomes a container. Started by the pod runner only.

use std::{path::Path, process::exit};

fn main() {
    let spec = std::env::args_os().nth(1).unwrap_or_default();
    exit(lb_tests_kube::init::main(Path::new(&spec)));
}
