//! One new Service among many: how soon its address is seen.
//!
//! What the API server takes to create a Service is measured by itself: it grows with the Services that are there (to tell
//! how many ClusterIPs are taken it counts them all), and is the same whoever gives the addresses.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Service;
use kube::{
    Api,
    api::{PostParams, WatchEvent, WatchParams},
};
use lb_tests_kube::Access;

use crate::services::{address, serve, service};

/// Between two: the controller is at rest when the next comes.
const APART: Duration = Duration::from_millis(50);
const LIMIT: Duration = Duration::from_secs(30);

/// Of Services that are made one at a time.
#[derive(Debug, Default)]
pub(crate) struct Times {
    /// From the sending of the request to the server's answer.
    pub(crate) created: Vec<Duration>,
    /// From that answer to the sight of the address.
    pub(crate) addressed: Vec<Duration>,
}

pub(crate) fn measure(admin: &Access, count: usize) -> anyhow::Result<Times> {
    admin.run(async |client| {
        let api = Api::<Service>::namespaced(client.clone(), "default");
        let watch = WatchParams::default().labels("bench=single").timeout(290);
        let mut events = std::pin::pin!(api.watch(&watch, "0").await?);
        let mut times = Times::default();
        for number in 0..count {
            let name = format!("single-{number}");
            serve(&client, &name).await?;
            tokio::time::sleep(APART).await;
            let wanted = service(&name, None, &[("bench", "single")]);
            let started = Instant::now();
            api.create(&PostParams::default(), &wanted).await?;
            let created = Instant::now();
            times.created.push(created - started);
            loop {
                let event = tokio::time::timeout(LIMIT, events.next()).await.context("an address in time")?;
                match event.context("the watch ended")?? {
                    WatchEvent::Modified(seen) | WatchEvent::Added(seen)
                        if seen.metadata.name.as_deref() == Some(&name) && address(&seen).is_some() =>
                    {
                        times.addressed.push(created.elapsed());
                        break;
                    }
                    WatchEvent::Error(error) => bail!("{error:?}"),
                    WatchEvent::Modified(_)
                    | WatchEvent::Added(_)
                    | WatchEvent::Deleted(_)
                    | WatchEvent::Bookmark(_) => {}
                }
            }
        }
        Ok(times)
    })
}
