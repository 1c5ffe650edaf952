//! The wiring: arguments to parts, parts to tasks, signals to the end.
//!
//! The owner has a thread and a runtime of its own; the status writer and the admin endpoint take turns on the main
//! one. The store has a thread of its own for its files.

use std::{fs, fs::File, path::Path, process::ExitCode, time::Duration};

use anyhow::{Context, bail};
use lb_api::{LoadBalancerNode, VirtualIP};
use lb_plan::agent::Departure;
use lb_store::{Store, Writer};
use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{oneshot, watch},
    time::Instant,
};

use crate::{
    admin,
    args::{Cli, Command, Run},
    bgp::Leave,
    cleanup, departure, metrics, owner,
    routing::Routing,
    status::{self, Sources},
    telemetry,
    undo::Undo,
    view::View,
    xdp::pins::Pins,
};

/// How long a predecessor's lock is waited for, and how often it is tried.
const LOCK_LIMIT: Duration = Duration::from_secs(3);
const LOCK_INTERVAL: Duration = Duration::from_millis(20);
/// How long a released node's statuses may take.
const CLEAR_LIMIT: Duration = Duration::from_secs(5);

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
        Command::Run(args) => Box::pin(run(*args)).await,
        Command::Cleanup(args) => {
            let _lock = lock(&args.places.run_dir).await?;
            cleanup::undo_all(&Pins::at(&args.places.bpffs), &args.places).await
        }
    }
}

async fn run(args: Run) -> anyhow::Result<()> {
    let _lock = lock(&args.places.run_dir).await?;
    let pins = Pins::at(&args.places.bpffs);
    pins.prepare()?;
    let undo = Undo::load(&args.places.run_dir)?;
    let listener = admin::listen(args.listen).await?;
    let place = args.place();
    let store = Store::open(&place, Writer::Agent(args.node.clone())).with_context(|| format!("open {place}"))?;
    let virtual_ips = store.reflect::<VirtualIP>();
    let nodes = store.reflect::<LoadBalancerNode>();
    let (published, view) = watch::channel(View::default());
    let (tell, told) = oneshot::channel();
    let owner =
        owner::thread::start(args.clone(), pins.clone(), undo, virtual_ips.clone(), nodes.clone(), published, told)
            .await?;
    let registry = metrics::registry(&pins, view.clone())?;
    let mut routing = Routing::start(&store, &args)?;
    if let Some(metrics) = routing.as_mut().and_then(Routing::take_metrics) {
        registry.register(Box::new(metrics)).context("register the metrics of BGP")?;
    }
    let speaking = routing.as_ref().map(|routing| (routing.status(), routing.problems()));
    let sessions = routing.as_ref().map(Routing::status);
    let sources = Sources { view: view.clone(), virtual_ips: virtual_ips.clone(), nodes, sessions };
    let mut terminate = signal(SignalKind::terminate()).context("catch SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("catch SIGINT")?;
    let mut decided = None;
    let stop = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        // Addresses stay answered and the lease is renewed while it is asked.
        let departure = *decided.insert(departure::decide(&store, &args).await);
        // An owner that has ended by itself needs no telling.
        _ = tell.send(departure);
        std::future::pending().await
    };
    let ended = tokio::select! {
        result = owner => result,
        result = stop => result,
        result = admin::serve(listener, view, registry, speaking) => result,
        result = status::publish(store.clone(), args.node.clone(), sources) => result,
    };
    if let Some(routing) = routing {
        routing.leave(farewell(decided.as_ref())).await;
    }
    if matches!(decided, Some(Departure::LetGo(_))) {
        let cleared = tokio::time::timeout(CLEAR_LIMIT, status::clear(&store, &args.node, &virtual_ips)).await;
        cleared.unwrap_or_else(|_late| tracing::warn!("not every VirtualIP's status could be cleared in time"));
    }
    ended
}

/// How the routers are left. An agent that ends in an error comes back: nothing is withdrawn.
fn farewell(decided: Option<&Departure>) -> Leave {
    match decided {
        Some(Departure::LetGo(why)) => Leave::Shutdown((*why).to_owned()),
        Some(Departure::HandOver(_)) | None => Leave::Restart,
    }
}

/// Two agents with one table would undo each other's work. A predecessor that is just ending is waited for.
async fn lock(run_dir: &Path) -> anyhow::Result<Flock<File>> {
    fs::create_dir_all(run_dir).with_context(|| format!("make the directory {}", run_dir.display()))?;
    let path = run_dir.join("lock");
    let mut file = File::create(&path).with_context(|| format!("open {}", path.display()))?;
    let limit = Instant::now() + LOCK_LIMIT;
    loop {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => return Ok(lock),
            Err((back, Errno::EWOULDBLOCK)) if Instant::now() < limit => file = back,
            Err((_, Errno::EWOULDBLOCK)) => {
                bail!("another agent runs on {}: stop it first, or use another --run-dir", run_dir.display())
            }
            Err((_, errno)) => return Err(errno).with_context(|| format!("lock {}", path.display())),
        }
        tokio::time::sleep(LOCK_INTERVAL).await;
    }
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
