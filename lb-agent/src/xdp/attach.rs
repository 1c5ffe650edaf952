//! The program on interfaces: which way, and why not a better one.
//!
//! Native XDP first, then tc, generic XDP last ([`super::way`]). What an earlier agent left gets the new program
//! atomically: no frame passes in between. A foreign XDP program is never detached: beside it, tc is the way.

use std::collections::BTreeMap;

use aya::programs::ProgramError;
use lb_api::node::{Attach, AttachMode};

use super::{
    object::Object,
    pins::Pins,
    way::{self, Place, Way},
};
use crate::args::Mode;

/// How each interface is attached, by kernel index.
#[derive(Debug)]
pub(crate) struct Attachments {
    pins: Pins,
    mode: Mode,
    by_index: BTreeMap<u32, Attach>,
    ways: BTreeMap<u32, Way>,
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
        if mode != Mode::Auto {
            tracing::warn!("forced by --mode {}: an interface is attached in this way or not at all", forced(mode));
        }
        Self { pins, mode, by_index: BTreeMap::new(), ways: BTreeMap::new() }
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
    pub(crate) fn ensure(&mut self, object: &mut Object, interfaces: &[Interface<'_>]) {
        for interface in interfaces {
            let before = self.by_index.get(&interface.index);
            // What somebody detached by force is not attached any more, whatever we remember.
            let way = self.ways.get(&interface.index);
            if way.is_some_and(|way| way.is_alive(object, interface.place(), interface.xdp)) {
                continue;
            }
            let Some((way, attach)) = self.attach(object, interface) else { continue };
            if before != Some(&attach) {
                report(interface, &attach);
            }
            self.by_index.insert(interface.index, attach);
            match way {
                Some(way) => self.ways.insert(interface.index, way),
                None => self.ways.remove(&interface.index),
            };
        }
    }

    /// Detaches from every interface that is not wanted any more, also those of an earlier agent.
    pub(crate) fn retain(&mut self, wanted: &BTreeMap<u32, bool>) -> Vec<anyhow::Error> {
        self.by_index.retain(|index, _| wanted.contains_key(index));
        self.ways.retain(|index, _| wanted.contains_key(index));
        let pinned = match self.pins.pinned_links() {
            Ok(pinned) => pinned,
            Err(error) => return vec![anyhow::Error::new(error).context("read the pinned links")],
        };
        let gone = pinned.into_iter().filter(|index| !wanted.contains_key(index));
        gone.flat_map(|index| detach(&self.pins, index)).collect()
    }

    /// `None`: nothing to do while the link is down.
    fn attach(&self, object: &mut Object, interface: &Interface<'_>) -> Option<(Option<Way>, Attach)> {
        match self.adopt(object, interface) {
            Ok(Some(way)) => {
                let reason = adopted(way, self.mode, interface.xdp);
                Some((Some(way), Attach { mode: way.mode(), reason }))
            }
            Ok(None) => interface.up.then(|| self.attach_new(object, interface)),
            Err(error) => Some((None, none(format!("{error:#}")))),
        }
    }

    /// Takes over what an earlier agent left, if it fits the mode; ends what does not.
    fn adopt(&self, object: &mut Object, interface: &Interface<'_>) -> anyhow::Result<Option<Way>> {
        let mut adopted = None;
        for pin in self.pins.of(interface.index) {
            match self.take_over(object, interface, Way::of(pin, interface.xdp), adopted) {
                Ok(way) => adopted = Some(way),
                Err(error) => {
                    tracing::info!(interface = interface.name, "pinned link replaced: {error:#}");
                    way::end(&self.pins, interface.index, pin)?;
                }
            }
        }
        Ok(adopted)
    }

    fn take_over(
        &self,
        object: &mut Object,
        interface: &Interface<'_>,
        way: Option<Way>,
        other: Option<Way>,
    ) -> anyhow::Result<Way> {
        let Some(way) = way else { anyhow::bail!("the kernel reports no program") };
        anyhow::ensure!(other.is_none(), "the program is there by {} already", other.map_or("", Way::words));
        anyhow::ensure!(
            Way::order(self.mode).contains(&way),
            "it is there by {}, wanted is {:?}",
            way.words(),
            self.mode
        );
        way.take_over(object, &self.pins, interface.place())?;
        Ok(way)
    }

    /// Tries one way after the other. The reason says what stood against the better ones.
    fn attach_new(&self, object: &mut Object, interface: &Interface<'_>) -> (Option<Way>, Attach) {
        let mut against: Vec<String> = Vec::new();
        for way in Way::order(self.mode) {
            match way.make(object, &self.pins, interface.place()) {
                Ok(()) => {
                    let reason = if against.is_empty() { chosen(*way, self.mode) } else { against.join("; ") };
                    return (Some(*way), Attach { mode: way.mode(), reason });
                }
                Err(error) if is_foreign(&error) && way.mode() != AttachMode::Tc => {
                    if !against.iter().any(|reason| reason == FOREIGN) {
                        against.push(FOREIGN.to_owned());
                    }
                }
                Err(error) => against.push(format!("{} failed: {error:#}", way.words())),
            }
        }
        (None, none(against.join("; ")))
    }
}

impl Interface<'_> {
    fn place(&self) -> Place<'_> {
        Place { index: self.index, name: self.name }
    }
}

const FOREIGN: &str = "another XDP program is on the interface; it is left alone";

/// Why it is this way, if it was the first that was tried.
fn chosen(way: Way, mode: Mode) -> String {
    match way {
        Way::Native => String::new(),
        Way::Tcx | Way::Clsact | Way::Generic => format!("forced by --mode {}", forced(mode)),
    }
}

/// Why it is the way that an earlier agent left.
fn adopted(way: Way, mode: Mode, xdp: AttachMode) -> String {
    match (way, mode) {
        (Way::Native, _) => String::new(),
        (Way::Tcx | Way::Clsact, Mode::Auto) if xdp != AttachMode::None => FOREIGN.to_owned(),
        (_, Mode::Auto) => "adopted from an earlier agent, for which native XDP failed".to_owned(),
        (_, Mode::Native | Mode::Tc | Mode::Generic) => chosen(way, mode),
    }
}

const fn forced(mode: Mode) -> &'static str {
    match mode {
        Mode::Auto => "auto",
        Mode::Native => "native",
        Mode::Tc => "tc",
        Mode::Generic => "generic",
    }
}

fn none(reason: String) -> Attach {
    Attach { mode: AttachMode::None, reason }
}

fn report(interface: &Interface<'_>, attach: &Attach) {
    let name = interface.name;
    match attach.mode {
        AttachMode::None => tracing::warn!(interface = name, "not attached: {}", attach.reason),
        AttachMode::Native if attach.reason.is_empty() => {
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

/// Detaches whatever is pinned for an interface.
pub(crate) fn detach(pins: &Pins, index: u32) -> Vec<anyhow::Error> {
    pins.of(index).filter_map(|pin| way::end(pins, index, pin).err()).collect()
}
