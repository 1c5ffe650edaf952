//! The program on interfaces: pinned links, native first, generic second, and why.
//!
//! A pinned link of an earlier agent gets the new program atomically: no frame passes in between. A foreign XDP
//! program is never detached; the interface goes without, and says so.

use std::{collections::BTreeMap, fs, io};

use anyhow::Context;
use aya::programs::{
    ProgramError, Xdp, XdpMode,
    links::{FdLink, LinkError, PinnedLink},
    xdp::XdpLink,
};
use lb_api::node::{Attach, AttachMode};

use super::{detach::detach_pinned, pins::Pins};
use crate::args::Mode;

/// How each interface is attached, by kernel index.
#[derive(Debug)]
pub(crate) struct Attachments {
    pins: Pins,
    mode: Mode,
    by_index: BTreeMap<u32, Attach>,
}

/// What the pass found of an interface.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Interface<'a> {
    pub(crate) index: u32,
    pub(crate) name: &'a str,
    pub(crate) up: bool,
    /// The XDP program that the kernel reports, whoever attached it.
    pub(crate) xdp: AttachMode,
}

impl Attachments {
    pub(crate) fn new(pins: Pins, mode: Mode) -> Self {
        Self { pins, mode, by_index: BTreeMap::new() }
    }

    pub(crate) fn get(&self, index: u32) -> Attach {
        self.by_index.get(&index).cloned().unwrap_or_default()
    }

    /// Whether every interface that is up has the program, and there is one.
    pub(crate) fn complete(&self) -> bool {
        !self.by_index.is_empty() && self.by_index.values().all(|attach| attach.mode != AttachMode::None)
    }

    /// How each interface is attached.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &Attach)> {
        self.by_index.iter().map(|(index, attach)| (*index, attach))
    }

    /// Attaches where the program has to be and is not.
    pub(crate) fn ensure(&mut self, program: &mut Xdp, interfaces: &[Interface<'_>]) {
        for interface in interfaces {
            let before = self.by_index.get(&interface.index);
            let attached = before.is_some_and(|attach| attach.mode != AttachMode::None);
            // A link that somebody detached by force is not attached any more, whatever we remember.
            if attached && interface.xdp != AttachMode::None {
                continue;
            }
            let Some(attach) = self.attach(program, interface) else { continue };
            if before != Some(&attach) {
                report(interface, &attach);
            }
            self.by_index.insert(interface.index, attach);
        }
    }

    /// Detaches from every interface that is not wanted any more, also those of an earlier agent.
    pub(crate) fn retain(&mut self, wanted: &BTreeMap<u32, bool>) -> Vec<anyhow::Error> {
        self.by_index.retain(|index, _| wanted.contains_key(index));
        let pinned = match self.pins.pinned_links() {
            Ok(pinned) => pinned,
            Err(error) => return vec![anyhow::Error::new(error).context("read the pinned links")],
        };
        let gone = pinned.into_iter().filter(|index| !wanted.contains_key(index));
        gone.filter_map(|index| detach(&self.pins, index).err()).collect()
    }

    /// `None`: nothing to do while the link is down.
    fn attach(&self, program: &mut Xdp, interface: &Interface<'_>) -> Option<Attach> {
        match self.adopt(program, interface) {
            Ok(Some(attach)) => return Some(attach),
            Ok(None) => {}
            Err(error) => {
                tracing::info!(interface = interface.name, "pinned link replaced: {error:#}");
                if let Err(error) = detach(&self.pins, interface.index) {
                    return Some(none(format!("{error:#}")));
                }
            }
        }
        interface.up.then(|| self.attach_new(program, interface))
    }

    /// Swaps the program into the pinned link, if there is one that fits the mode.
    fn adopt(&self, program: &mut Xdp, interface: &Interface<'_>) -> anyhow::Result<Option<Attach>> {
        let path = self.pins.link(interface.index);
        if !path.exists() {
            return Ok(None);
        }
        let fits = match self.mode {
            Mode::Auto => interface.xdp != AttachMode::None,
            Mode::Native => interface.xdp == AttachMode::Native,
            Mode::Generic => interface.xdp == AttachMode::Generic,
        };
        anyhow::ensure!(fits, "its mode is {:?}, wanted is {:?}", interface.xdp, self.mode);
        let link = FdLink::from(PinnedLink::from_pin(&path).context("open the pinned link")?);
        let link = XdpLink::try_from(link).context("the pinned link is no XDP link")?;
        let id = program.attach_to_link(link).context("swap the program")?;
        // The pin keeps the link; our handle on it is not needed.
        drop(program.take_link(id)?);
        let reason = match (interface.xdp, self.mode) {
            (AttachMode::Generic, Mode::Auto) => "adopted from an earlier agent, for which native XDP failed",
            (AttachMode::Generic, _) => "forced by --mode generic",
            (AttachMode::Native | AttachMode::Tc | AttachMode::None, _) => "",
        };
        Ok(Some(Attach { mode: interface.xdp, reason: reason.to_owned() }))
    }

    fn attach_new(&self, program: &mut Xdp, interface: &Interface<'_>) -> Attach {
        let generic_reason = match self.mode {
            Mode::Generic => "forced by --mode generic".to_owned(),
            Mode::Auto | Mode::Native => match self.create(program, interface, XdpMode::Driver) {
                Ok(()) => return Attach { mode: AttachMode::Native, reason: String::new() },
                Err(error) if is_foreign(&error) => return none(FOREIGN.to_owned()),
                Err(error) if self.mode == Mode::Native => return none(format!("native XDP failed: {error:#}")),
                Err(error) => format!("native XDP failed: {error:#}"),
            },
        };
        match self.create(program, interface, XdpMode::Skb) {
            Ok(()) => Attach { mode: AttachMode::Generic, reason: generic_reason },
            Err(error) if is_foreign(&error) => none(FOREIGN.to_owned()),
            Err(error) => none(format!("{generic_reason}; generic XDP failed: {error:#}")),
        }
    }

    fn create(&self, program: &mut Xdp, interface: &Interface<'_>, mode: XdpMode) -> anyhow::Result<()> {
        let id = program.attach_to_if_index(interface.index, mode)?;
        let link: Result<FdLink, LinkError> = program.take_link(id)?.try_into();
        link.context("the kernel gave no link that can be pinned")?
            .pin(self.pins.link(interface.index))
            .context("pin the link")?;
        Ok(())
    }
}

const FOREIGN: &str = "another XDP program is on the interface; it is left alone";

fn none(reason: String) -> Attach {
    Attach { mode: AttachMode::None, reason }
}

fn report(interface: &Interface<'_>, attach: &Attach) {
    let name = interface.name;
    match attach.mode {
        AttachMode::None => tracing::warn!(interface = name, "not attached: {}", attach.reason),
        AttachMode::Native | AttachMode::Tc if attach.reason.is_empty() => {
            tracing::info!(interface = name, "attached: {:?}", attach.mode);
        }
        AttachMode::Native | AttachMode::Tc | AttachMode::Generic => {
            tracing::info!(interface = name, "attached: {:?} ({})", attach.mode, attach.reason);
        }
    }
}

/// EBUSY: another program in the same mode. EEXIST: another program in the other mode.
fn is_foreign(error: &anyhow::Error) -> bool {
    let errno = error.chain().find_map(|cause| match cause.downcast_ref::<ProgramError>() {
        Some(ProgramError::SyscallError(error)) => error.io_error.raw_os_error(),
        _ => None,
    });
    matches!(errno, Some(libc::EBUSY | libc::EEXIST))
}

/// Detaches and removes the pin.
pub(crate) fn detach(pins: &Pins, index: u32) -> anyhow::Result<()> {
    let path = pins.link(index);
    if let Err(error) = detach_pinned(&path) {
        // The pin goes in any case, and with the last handle the link.
        tracing::debug!("detach {}: {error}", path.display());
    }
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove the pinned link of interface {index}"))
        }
        _ => Ok(()),
    }
}
