//! The ways to have the program on an interface, and the mechanics of each: make, take over, look, end.
//!
//! | Way | Lives by | Ends by |
//! |---|---|---|
//! | native, generic XDP | a pinned link | detaching the link |
//! | tc by tcx (Linux 6.6) | a pinned link, first on the interface | detaching the link |
//! | tc by clsact | a filter with our handle, and the pinned program that says so | deleting the filter |
//!
//! Must not: detach what is not ours. The clsact qdisc stays: others may use it by now, and alone it does nothing.

use std::{fs, io};

use anyhow::Context;
use aya::programs::{
    LinkOrder, SchedClassifier, TcAttachType, XdpMode,
    links::{FdLink, LinkError, PinnedLink},
    tc::{self, NlOptions, SchedClassifierLink, TcAttachOptions, TcHandle},
    xdp::XdpLink,
};
use lb_api::node::AttachMode;
use nix::net::if_::if_indextoname;

use super::{
    detach::detach_pinned,
    object::Object,
    pins::{Pin, Pins},
};
use crate::args::Mode;

/// Where filters are asked first.
const PRIORITY: u16 = 1;
/// By which our filter is told from others of the same priority: "HD".
const HANDLE: TcHandle = TcHandle::new(0, 0x4844);

/// One way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Native,
    Tcx,
    Clsact,
    Generic,
}

/// An interface by both of its names.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) index: u32,
    pub(crate) name: &'a str,
}

impl Way {
    /// What is tried, in this order.
    pub(crate) const fn order(mode: Mode) -> &'static [Self] {
        match mode {
            // Generic XDP last: it copies everybody's frames.
            Mode::Auto => &[Self::Native, Self::Tcx, Self::Clsact, Self::Generic],
            Mode::Native => &[Self::Native],
            Mode::Tc => &[Self::Tcx, Self::Clsact],
            Mode::Generic => &[Self::Generic],
        }
    }

    /// What a pin stands for on an interface where the kernel reports this XDP program; `None`: the link is dead.
    pub(crate) const fn of(pin: Pin, xdp: AttachMode) -> Option<Self> {
        match (pin, xdp) {
            (Pin::Tcx, _) => Some(Self::Tcx),
            (Pin::Clsact, _) => Some(Self::Clsact),
            (Pin::Xdp, AttachMode::Native) => Some(Self::Native),
            (Pin::Xdp, AttachMode::Generic) => Some(Self::Generic),
            (Pin::Xdp, AttachMode::Tc | AttachMode::None) => None,
        }
    }

    pub(crate) const fn mode(self) -> AttachMode {
        match self {
            Self::Native => AttachMode::Native,
            Self::Tcx | Self::Clsact => AttachMode::Tc,
            Self::Generic => AttachMode::Generic,
        }
    }

    /// In words, for a reason.
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Native => "native XDP",
            Self::Tcx => "tc by tcx",
            Self::Clsact => "tc by clsact",
            Self::Generic => "generic XDP",
        }
    }

    /// Attaches, to outlive this process.
    pub(crate) fn make(self, object: &mut Object, pins: &Pins, place: Place<'_>) -> anyhow::Result<()> {
        match self {
            Self::Native => make_xdp(object, pins, place, XdpMode::Driver),
            Self::Generic => make_xdp(object, pins, place, XdpMode::Skb),
            Self::Tcx => make_tcx(object.classifier()?, pins, place),
            Self::Clsact => make_clsact(object.classifier()?, pins, place),
        }
    }

    /// Puts the program where an earlier agent's is; no frame passes in between.
    pub(crate) fn take_over(self, object: &mut Object, pins: &Pins, place: Place<'_>) -> anyhow::Result<()> {
        let open = |pin| -> anyhow::Result<FdLink> {
            Ok(PinnedLink::from_pin(pins.link(place.index, pin)).context("open the pinned link")?.into())
        };
        match self {
            Self::Native | Self::Generic => {
                let link = XdpLink::try_from(open(Pin::Xdp)?).context("the pinned link is no XDP link")?;
                let program = object.responder()?;
                let id = program.attach_to_link(link).context("swap the program")?;
                // The pin keeps the link; our handle on it is not needed.
                drop(program.take_link(id)?);
            }
            Self::Tcx => {
                let link = SchedClassifierLink::try_from(open(Pin::Tcx)?).context("the pinned link is no tcx link")?;
                let program = object.classifier()?;
                let id = program.attach_to_link(link).context("swap the program")?;
                drop(program.take_link(id)?);
                anyhow::ensure!(is_in_tcx(program, place.name)?, "the pinned link is on no interface");
            }
            Self::Clsact => {
                replace_filter(object.classifier()?, place)?;
                mark_clsact(object.classifier()?, pins, place)?;
            }
        }
        Ok(())
    }

    /// Whether the program that was attached is still there.
    pub(crate) fn is_alive(self, object: &mut Object, place: Place<'_>, xdp: AttachMode) -> bool {
        match self {
            Self::Native | Self::Generic => xdp != AttachMode::None,
            Self::Tcx => object.classifier().is_ok_and(|program| is_in_tcx(program, place.name).unwrap_or(false)),
            Self::Clsact => object.classifier().is_ok_and(|program| replace_filter(program, place).is_ok()),
        }
    }
}

fn make_xdp(object: &mut Object, pins: &Pins, place: Place<'_>, mode: XdpMode) -> anyhow::Result<()> {
    let program = object.responder()?;
    let id = program.attach_to_if_index(place.index, mode)?;
    let link: Result<FdLink, LinkError> = program.take_link(id)?.try_into();
    link.context("the kernel gave no link that can be pinned")?
        .pin(pins.link(place.index, Pin::Xdp))
        .context("pin the link")?;
    Ok(())
}

fn make_tcx(program: &mut SchedClassifier, pins: &Pins, place: Place<'_>) -> anyhow::Result<()> {
    let first = TcAttachOptions::TcxOrder(LinkOrder::first());
    let id = program.attach_with_options(place.name, TcAttachType::Ingress, first)?;
    let link: Result<FdLink, LinkError> = program.take_link(id)?.try_into();
    link.context("the kernel gave no link that can be pinned")?
        .pin(pins.link(place.index, Pin::Tcx))
        .context("pin the link")?;
    Ok(())
}

fn make_clsact(program: &mut SchedClassifier, pins: &Pins, place: Place<'_>) -> anyhow::Result<()> {
    // It may be there; if it cannot be, the filter says why.
    if let Err(error) = tc::qdisc_add_clsact(place.name) {
        tracing::debug!(interface = place.name, "add the clsact qdisc: {error}");
    }
    // First the mark: a filter without one would be nobody's.
    mark_clsact(program, pins, place)?;
    let options = NlOptions { priority: PRIORITY, handle: HANDLE, ..NlOptions::default() };
    let attached = program.attach_with_options(place.name, TcAttachType::Ingress, TcAttachOptions::Netlink(options));
    match attached.map_err(anyhow::Error::new).and_then(|id| Ok(program.take_link(id)?)) {
        Ok(link) => {
            keep(link);
            Ok(())
        }
        Err(error) => {
            remove_pin(pins, place.index, Pin::Clsact)?;
            Err(error)
        }
    }
}

/// The program by its pin says that our filter is on the interface: a filter has no link that could be pinned.
fn mark_clsact(program: &mut SchedClassifier, pins: &Pins, place: Place<'_>) -> anyhow::Result<()> {
    remove_pin(pins, place.index, Pin::Clsact)?;
    program.pin(pins.link(place.index, Pin::Clsact)).context("pin the program of the filter")
}

fn replace_filter(program: &mut SchedClassifier, place: Place<'_>) -> anyhow::Result<()> {
    let id = program.attach_to_link(our_filter(place.name)?).context("replace the filter's program")?;
    keep(program.take_link(id)?);
    Ok(())
}

fn our_filter(name: &str) -> io::Result<SchedClassifierLink> {
    SchedClassifierLink::attached(name, TcAttachType::Ingress, PRIORITY, HANDLE, None)
}

/// A filter goes with its handle; this one is to stay.
fn keep(link: SchedClassifierLink) {
    std::mem::forget(link);
}

fn is_in_tcx(program: &SchedClassifier, name: &str) -> anyhow::Result<bool> {
    let ours = program.info().context("ask for the program's number")?.id();
    let (_, attached) = SchedClassifier::query_tcx(name, TcAttachType::Ingress).context("ask what is on tcx")?;
    Ok(attached.iter().any(|info| info.id() == ours))
}

/// Ends what a pin stands for, and removes the pin.
pub(crate) fn end(pins: &Pins, index: u32, pin: Pin) -> anyhow::Result<()> {
    let ended = match pin {
        Pin::Xdp | Pin::Tcx => detach_pinned(&pins.link(index, pin)).map_err(anyhow::Error::new),
        Pin::Clsact => delete_filter(index),
    };
    if let Err(error) = ended {
        // The pin goes in any case, and with the last handle the link. An interface that is gone has no filter.
        tracing::debug!(interface = index, "detach {pin:?}: {error:#}");
    }
    remove_pin(pins, index, pin)
}

fn delete_filter(index: u32) -> anyhow::Result<()> {
    let name = if_indextoname(index).context("the interface is gone")?;
    let filter = our_filter(&name.to_string_lossy())?;
    aya::programs::links::Link::detach(filter).context("delete the filter")
}

fn remove_pin(pins: &Pins, index: u32, pin: Pin) -> anyhow::Result<()> {
    match fs::remove_file(pins.link(index, pin)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove the pinned link of interface {index}"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
