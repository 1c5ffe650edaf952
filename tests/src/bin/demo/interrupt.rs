//! Ctrl-C and SIGTERM: the lab goes, whatever the demo is doing.
//!
//! The signals are blocked in every thread but one, which waits for them; so nothing runs in a signal handler.

use std::{
    process,
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread,
};

use anyhow::Context as _;
use lb_tests::lab::Lab;
use nix::sys::signal::{SigSet, Signal};

/// What to do when a signal comes.
#[derive(Debug, Default)]
enum Then {
    /// Nothing has been built.
    #[default]
    Leave,
    /// Remove the lab of this id, then leave.
    Remove(String),
    /// The demo is over and waits for the signal.
    Wake,
    /// It came.
    Came,
}

/// The watch for signals.
#[derive(Debug, Clone, Default)]
pub(crate) struct Interrupt {
    shared: Arc<(Mutex<Then>, Condvar)>,
}

impl Interrupt {
    /// Starts the watch. Call it before any other thread starts: they inherit what is blocked.
    pub(crate) fn watch() -> anyhow::Result<Self> {
        let signals: SigSet = [Signal::SIGINT, Signal::SIGTERM].into_iter().collect();
        signals.thread_block().context("block the signals")?;
        let interrupt = Self::default();
        let own = interrupt.clone();
        thread::Builder::new().name("signals".into()).spawn(move || {
            if signals.wait().is_ok() {
                own.came();
            }
        })?;
        Ok(interrupt)
    }

    /// From now on a signal removes this lab.
    pub(crate) fn removes(&self, lab: &Lab) {
        self.set(Then::Remove(lab.id().to_owned()));
    }

    /// Waits for a signal.
    pub(crate) fn wait_for_it(&self) {
        self.set(Then::Wake);
        let (then, changed) = &*self.shared;
        let mut then = then.lock().unwrap_or_else(PoisonError::into_inner);
        while !matches!(*then, Then::Came) {
            then = changed.wait(then).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn set(&self, then: Then) {
        *self.shared.0.lock().unwrap_or_else(PoisonError::into_inner) = then;
    }

    fn came(&self) {
        let (then, changed) = &*self.shared;
        let mut then = then.lock().unwrap_or_else(PoisonError::into_inner);
        match std::mem::replace(&mut *then, Then::Came) {
            Then::Leave | Then::Came => process::exit(130),
            Then::Remove(id) => {
                if let Err(error) = Lab::remove(&id) {
                    eprintln!("demo: remove the lab {id}: {error:#}");
                }
                process::exit(130);
            }
            Then::Wake => changed.notify_all(),
        }
    }
}
