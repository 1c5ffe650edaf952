//! One new Service among many: how soon its address is seen.

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

/// Makes Services one at a time. From the sending of the request to the sight of the address.
pub(crate) fn times(admin: &Access, count: usize) -> anyhow::Result<Vec<Duration>> {
    admin.run(async |client| {
        let api = Api::<Service>::namespaced(client.clone(), "default");
        let watch = WatchParams::default().labels("bench=single").timeout(290);
        let mut events = std::pin::pin!(api.watch(&watch, "0").await?);
        let mut times = Vec::with_capacity(count);
        for number in 0..count {
            let name = format!("single-{number}");
            serve(&client, &name).await?;
            tokio::time::sleep(APART).await;
            let wanted = service(&name, None, &[("bench", "single")]);
            let started = Instant::now();
            api.create(&PostParams::default(), &wanted).await?;
            loop {
                let event = tokio::time::timeout(LIMIT, events.next()).await.context("an address in time")?;
                match event.context("the watch ended")?? {
                    WatchEvent::Modified(seen) | WatchEvent::Added(seen)
                        if seen.metadata.name.as_deref() == Some(&name) && address(&seen).is_some() =>
                    {
                        times.push(started.elapsed());
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
