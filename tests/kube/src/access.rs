//! Talking to a cluster's API server from a test: as somebody, from a network namespace.
//!
//! A socket belongs to the namespace of the thread that opens it. So a request runs on a thread inside, with a runtime
//! of its own; a test stays plain code that waits for the answer.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use lb_tests::lab::Namespace;

/// How often a condition is looked at: a request each.
const PAUSE: Duration = Duration::from_millis(50);

/// A way to an API server. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Access {
    namespace: Namespace,
    kubeconfig: PathBuf,
}

impl Access {
    /// As whom `kubeconfig` says, from `namespace`.
    pub(crate) fn new(namespace: &Namespace, kubeconfig: &Path) -> Self {
        Self { namespace: namespace.clone(), kubeconfig: kubeconfig.to_owned() }
    }

    /// The file for programs that are started in [`namespace`](Self::namespace).
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Where requests come from.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Runs `work` with a client, and waits for it.
    pub fn run<T: Send>(&self, work: impl AsyncFnOnce(Client) -> anyhow::Result<T> + Send) -> anyhow::Result<T> {
        self.namespace.run(|| runtime()?.block_on(async { work(self.client().await?).await }))?
    }

    /// Runs `look` again and again until it finds something. An error counts as not yet; the last one is told.
    pub fn wait_for<T: Send>(
        &self,
        limit: Duration,
        what: &str,
        look: impl AsyncFn(&Client) -> anyhow::Result<Option<T>> + Send + Sync,
    ) -> anyhow::Result<T> {
        self.run(async |client| {
            let end = Instant::now() + limit;
            loop {
                let last = match look(&client).await {
                    Ok(Some(found)) => return Ok(found),
                    Ok(None) => None,
                    Err(error) => Some(error),
                };
                if Instant::now() >= end {
                    let last = last.map(|error| format!("; last seen: {error:#}")).unwrap_or_default();
                    bail!("waited {limit:?} for {what}{last}");
                }
                tokio::time::sleep(PAUSE).await;
            }
        })
    }

    /// A client that opens its sockets in the namespace of the thread that polls it.
    pub(crate) async fn client(&self) -> anyhow::Result<Client> {
        // Without a provider by name rustls panics as soon as a second one is linked in. It is set once for a process.
        drop(rustls::crypto::ring::default_provider().install_default());
        let file = Kubeconfig::read_from(&self.kubeconfig).context("read the kubeconfig")?;
        let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
        Ok(Client::try_from(config)?)
    }
}

/// A runtime whose sockets all belong to the calling thread's namespace: it has no other thread that opens any.
pub(crate) fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().context("start a runtime")
}
