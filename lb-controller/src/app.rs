//! Puts the controller together and runs it until it is told to stop.

use std::{convert::Infallible, process::ExitCode, sync::Arc};

use anyhow::Context;
use lb_store::{Stopped, Store, Writer};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};
use tracing::{error, info};

use crate::{
    Args, Sources, admin,
    grants::Grants,
    heap,
    holders::Holders,
    leader::{Campaign, Leadership},
    metrics::Metrics,
    passes::Passes,
    telemetry,
    view::View,
    webhook::{self, Judge, Keeper, Served},
};

/// Runs the controller. An error is logged once, with the whole chain.
pub fn main(args: &Args) -> ExitCode {
    heap::lean();
    let result = telemetry::init(args.log_format).and_then(|()| {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().context("start the runtime")?;
        runtime.block_on(run(args))
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(cause) => {
            error!("{cause:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: &Args) -> anyhow::Result<()> {
    let listener = admin::listen(args.listen).await?;
    let place = args.place();
    let store = Store::open(&place, Writer::Controller)?;
    let metrics = Metrics::new()?;
    let (show, view) = watch::channel(View::default());
    let stop = stop_signal()?;
    info!(objects = %place, listen = %args.listen, "the controller starts");
    let (mut election, leadership) = elect(args, &store, &metrics)?;
    let admin = admin::serve(listener, view, metrics.registry.clone(), leadership.clone());
    let webhook = serve_webhook(args, &store, &metrics, &leadership).await?;
    let holders = keep_holders(args, &store, &leadership);
    let grants = keep_grants(args, &store, &leadership);
    let passes = Passes::new(store, metrics, show, args.quarantine, args.configuration(), leadership).run(stop);
    let ended = tokio::select! {
        ended = admin => ended,
        ended = webhook => ended,
        ended = passes => ended.context("follow the objects"),
        ended = holders => ended,
        ended = grants => ended.context("follow the objects of BGP"),
        never = campaign(&mut election) => match never {},
    };
    // Nothing writes any more: the next leader need not wait.
    if let Some(election) = election {
        election.release().await;
    }
    ended
}

/// A directory has a lock in place of an election.
fn elect(args: &Args, store: &Store, metrics: &Metrics) -> anyhow::Result<(Option<Campaign>, Leadership)> {
    let Store::Server(_) = store else { return Ok((None, Leadership::Alone)) };
    let (campaign, leadership) =
        Campaign::new(store.clone(), args.election.lease(), args.election.timing()?, metrics.election.clone());
    Ok((Some(campaign), leadership))
}

/// Says who holds addresses, where an API server's readers ask; MetalLB's own statuses unless MetalLB writes them.
fn keep_holders(
    args: &Args,
    store: &Store,
    leadership: &Leadership,
) -> impl Future<Output = anyhow::Result<()>> + use<> {
    let configuration = args.configuration();
    let is_server = matches!(store, Store::Server(_));
    let namespace = Some(configuration.namespace).filter(|_| configuration.reads_metallb);
    let holders = is_server.then(|| Holders::new(store.clone(), namespace, leadership.clone()));
    async {
        match holders {
            Some(holders) => holders.run().await.context("follow the holders").map(|never| match never {}),
            None => std::future::pending().await,
        }
    }
}

/// Serves the webhook until the process ends, if it is wanted; else it just never ends.
async fn serve_webhook(
    args: &Args,
    store: &Store,
    metrics: &Metrics,
    leadership: &Leadership,
) -> anyhow::Result<impl Future<Output = anyhow::Result<()>> + use<>> {
    let wanted = args.webhook.webhook_listen.filter(|_| matches!(store, Store::Server(_)));
    let parts = match wanted {
        None => None,
        Some(address) => {
            let (listener, served) = (webhook::listen(address).await?, Arc::new(Served::default()));
            let counted = metrics.webhook.clone();
            let judge = Judge::new(store, args.configuration(), counted.clone());
            let keeper =
                Keeper::new(store.clone(), args.webhook_settings(), leadership.clone(), Arc::clone(&served), counted);
            info!(listen = %address, "the webhook is served");
            Some((listener, served, judge, keeper))
        }
    };
    Ok(async {
        let Some((listener, served, judge, keeper)) = parts else { return std::future::pending().await };
        tokio::select! {
            ended = webhook::serve(listener, served, judge) => ended,
            never = keeper.run() => match never {},
        }
    })
}

/// Keeps the Roles by which agents read passwords until the process ends. Beside MetalLB no agent speaks BGP, and files
/// have no Roles.
fn keep_grants(
    args: &Args,
    store: &Store,
    leadership: &Leadership,
) -> impl Future<Output = Result<(), Stopped>> + use<> {
    let wanted = matches!(store, Store::Server(_)) && args.sources == Sources::All;
    let grants = wanted.then(|| Grants::new(store, args.config_namespace.clone(), args.reader(), leadership.clone()));
    async {
        match grants {
            Some(grants) => grants.run().await,
            None => std::future::pending().await,
        }
    }
}

async fn campaign(election: &mut Option<Campaign>) -> Infallible {
    match election {
        Some(campaign) => campaign.run().await,
        None => std::future::pending().await,
    }
}

/// Becomes true when the process is told to end.
fn stop_signal() -> anyhow::Result<watch::Receiver<bool>> {
    let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listen for SIGINT")?;
    let (tell, stop) = watch::channel(false);
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tell.send_replace(true);
    });
    Ok(stop)
}
