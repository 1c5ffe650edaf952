//! Pass programs on the switch's ports.

use std::path::Path;

use anyhow::Context as _;
use aya::{
    Ebpf,
    programs::{Xdp, XdpMode},
};

use super::Namespace;

const PROGRAM: &str = "lab_pass";

/// The programs, attached as long as this lives: their links end with the file descriptors in it.
#[derive(Debug)]
pub(super) struct PassPrograms {
    _loaded: Ebpf,
}

impl PassPrograms {
    /// Loads `object` and attaches its pass program to every port, in the driver.
    pub(super) fn attach(switch: &Namespace, object: &Path, ports: &[String]) -> anyhow::Result<Self> {
        switch.run(|| {
            let mut loaded = Ebpf::load_file(object).with_context(|| format!("load {}", object.display()))?;
            let program = loaded.program_mut(PROGRAM).with_context(|| format!("{object:?} has no {PROGRAM}"))?;
            let program: &mut Xdp = program.try_into()?;
            program.load().with_context(|| format!("load {PROGRAM}"))?;
            for port in ports {
                program.attach(port, XdpMode::Driver).with_context(|| format!("attach {PROGRAM} to {port}"))?;
            }
            Ok(Self { _loaded: loaded })
        })?
    }
}
