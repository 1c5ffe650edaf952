//! The wiring: arguments to parts, parts to tasks, signals to the end.
//!
//! One thread, one runtime: the owner, the status writer and the admin endpoint take turns. The store has a thread of
//! its own for its files.

use std::{fs, fs::File, path::Path, process::ExitCode};

use anyhow::Context;
use lb_api::VirtualIP;
use lb_store::{Directory, Store, Writer};
use nix::fcntl::{Flock, FlockArg};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};

use crate::{
    admin,
    args::{Cli, Command, Run},
    cleanup, metrics,
    owner::Owner,
    status, telemetry,
    undo::Undo,
    view::View,
    xdp::pins::Pins,
};

/// Runs the command; the exit code is 0 or 1.
pub fn main(cli: Cli) -> ExitCode {
    lean_allocator();
    let places = match &cli.command {
        Command::Run(run) => &run.places,
        Command::Cleanup(cleanup) => &cleanup.places,
    };
    let result = telemetry::init(places.log_format).and_then(|()| {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().context("start the runtime")?;
        runtime.block_on(command(cli.command))
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn command(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Run(args) => run(args).await,
        Command::Cleanup(args) => {
            let _lock = lock(&args.places.run_dir)?;
            cleanup::undo_all(&Pins::at(&args.places.bpffs), &args.places.run_dir).await
        }
    }
}

async fn run(args: Run) -> anyhow::Result<()> {
    let _lock = lock(&args.places.run_dir)?;
    let pins = Pins::at(&args.places.bpffs);
    pins.prepare()?;
    let undo = Undo::load(&args.places.run_dir)?;
    let listener = admin::listen(args.listen).await?;
    let store = Store::Directory(
        Directory::open(&args.manifests, Writer::Agent(args.node.clone())).context("open the manifests")?,
    );
    let virtual_ips = store.reflect::<VirtualIP>();
    let (published, view) = watch::channel(View::default());
    let owner = Owner::start(args.clone(), pins.clone(), undo, virtual_ips.clone(), published)?;
    let registry = metrics::registry(&pins, view.clone())?;
    let mut terminate = signal(SignalKind::terminate()).context("catch SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("catch SIGINT")?;
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    tokio::select! {
        result = owner.run(stop) => result,
        result = admin::serve(listener, view.clone(), registry) => result,
        result = status::publish(store, args, virtual_ips, view) => result,
    }
}

/// Two agents with one table would undo each other's work.
fn lock(run_dir: &Path) -> anyhow::Result<Flock<File>> {
    fs::create_dir_all(run_dir).with_context(|| format!("make the directory {}", run_dir.display()))?;
    let path = run_dir.join("lock");
    let file = File::create(&path).with_context(|| format!("open {}", path.display()))?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| errno).with_context(|| {
        format!("another agent runs on {}: stop it first, or use another --run-dir", run_dir.display())
    })
}

/// Keeps the heap small: one arena, and large blocks go back to the kernel when they are freed.
#[cfg(target_env = "gnu")]
fn lean_allocator() {
    const LARGE: i32 = 64 * 1024;
    // SAFETY: called once, before any other thread exists; the parameters are documented values.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
        libc::mallopt(libc::M_TRIM_THRESHOLD, LARGE);
    }
}

#[cfg(not(target_env = "gnu"))]
fn lean_allocator() {}
