//! Loads the kernel program and opens its maps, pinned ones first.

use std::{borrow::Cow, fs, path::Path};

use anyhow::{Context, anyhow};
use aya::{
    Ebpf, EbpfLoader,
    programs::{ProgramError, SchedClassifier, Xdp},
};
use lb_common::{abi, lease::TICK_NANOS};

use super::{
    events::Events,
    log,
    maps::{self, Maps},
    pins::Pins,
    stations::Stations,
};
use crate::{args::EbpfLog, clock};

/// The object that was built with this agent.
static BUILT_IN: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/herald.o"));

/// The loaded object: the responder and the renewal are in the kernel, the responder of tc once it is asked for.
#[derive(Debug)]
pub(crate) struct Object {
    ebpf: Ebpf,
}

impl Object {
    /// Loads the programs and opens or creates the maps.
    pub(crate) fn load(pins: &Pins, file: Option<&Path>, log: EbpfLog) -> anyhow::Result<(Self, Maps)> {
        let bytes: Cow<'static, [u8]> = match file {
            Some(path) => fs::read(path).with_context(|| format!("read the kernel program {}", path.display()))?.into(),
            None => BUILT_IN.into(),
        };
        let paths = abi::MAPS.map(|name| (name, pins.map(name)));
        let mut loader = EbpfLoader::new();
        for (name, path) in &paths {
            loader.map_pin_path(name, path.as_path());
        }
        let level = log::level(log);
        loader.override_global(aya_log::LEVEL, &level, false);
        let tick = clock::tick_nanos();
        loader.override_global(TICK_NANOS, &tick, true);
        let mut ebpf = loader.load(&bytes).context("load the kernel program")?;
        let maps = Maps::take(&mut ebpf)?;
        let mut object = Self { ebpf };
        object.responder()?.load().context("the kernel's verifier refused the responder")?;
        object.renewal()?.load().context("the kernel's verifier refused the lease renewal")?;
        if log != EbpfLog::Off {
            log::forward(&mut object.ebpf)?;
        }
        Ok((object, maps))
    }

    /// The reader of what the program tells. Once.
    pub(crate) fn events(&mut self) -> anyhow::Result<Events> {
        maps::events(&mut self.ebpf)
    }

    /// The nodes' hardware addresses. Once.
    pub(crate) fn stations(&mut self) -> anyhow::Result<Stations> {
        maps::stations(&mut self.ebpf)
    }

    /// The program on interfaces.
    pub(crate) fn responder(&mut self) -> anyhow::Result<&mut Xdp> {
        self.program(abi::name::RESPONDER)
    }

    /// The program that renews the lease.
    pub(crate) fn renewal(&mut self) -> anyhow::Result<&mut Xdp> {
        self.program(abi::name::RENEW)
    }

    /// The program on interfaces for tc, loaded on first use: a kernel that refuses it must not stop the others.
    pub(crate) fn classifier(&mut self) -> anyhow::Result<&mut SchedClassifier> {
        let name = abi::name::CLASSIFIER;
        let program = self.ebpf.program_mut(name).ok_or_else(|| anyhow!("the object has no program {name}"))?;
        let classifier: Result<&mut SchedClassifier, ProgramError> = program.try_into();
        let classifier = classifier.with_context(|| format!("program {name} is no tc program"))?;
        if classifier.fd().is_err() {
            classifier.load().context("the kernel's verifier refused the responder of tc")?;
        }
        Ok(classifier)
    }

    fn program(&mut self, name: &str) -> anyhow::Result<&mut Xdp> {
        let program = self.ebpf.program_mut(name).ok_or_else(|| anyhow!("the object has no program {name}"))?;
        let xdp: Result<&mut Xdp, ProgramError> = program.try_into();
        xdp.with_context(|| format!("program {name} is not an XDP program"))
    }
}
