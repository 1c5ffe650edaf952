//! Watching one kind for ever.
//!
//! A watch ends by itself after [`WATCH`], and is taken for dead 5 s later; any other answer that does not go on for 30 s
//! is an error. So a connection that died without a word is noticed. Errors are told once and tried again, later each time and never all at once; what was read stays.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::{FutureExt, StreamExt, future};
use kube::{
    Api, Client,
    runtime::{
        WatchStreamExt,
        utils::Backoff,
        watcher::{self, Config, Event},
    },
};

use super::{guarded::Guarded, mirror::Mirror, ops::Writing};
use crate::{Key, Object, kind};

/// In seconds. The default of the client library, 290, would leave a dead connection unnoticed for as long.
const WATCH: u32 = 25;
/// Between tries.
const FIRST: Duration = Duration::from_millis(100);
const LAST: Duration = Duration::from_secs(10);
/// Events taken before followers are shown the result.
const BATCH: usize = 1024;

pub(crate) async fn follow<K: Object>(client: Client, mirror: Arc<Mirror<K>>, labels: Option<String>) {
    let api: Api<Guarded<K>> = Api::all(client.clone());
    let mut config = Config::default().timeout(WATCH);
    if let Some(selector) = kind::selector::<K>() {
        config = config.fields(selector);
    }
    if let Some(labels) = &labels {
        config = config.labels(labels);
    }
    let patience = Patience::default();
    let answered = Arc::clone(&patience.answered);
    let mut events = std::pin::pin!(watcher::watcher(api, config).backoff(patience));
    let mut failing: Option<String> = None;
    while let Some(event) = events.next().await {
        let mut next = Some(event);
        let (mut taken, mut unlisted) = (0, Vec::new());
        while let Some(event) = next {
            match event {
                Ok(event) => {
                    // `Init` says that a list is about to be asked for, which is no answer.
                    if !matches!(event, Event::Init) {
                        answered.store(true, Ordering::Relaxed);
                        if failing.take().is_some() {
                            tracing::info!(kind = %K::kind(&()), "the API server answers again");
                        }
                    }
                    unlisted.extend(mirror.take(event));
                }
                Err(error) => report::<K>(&mut failing, error),
            }
            taken += 1;
            next = if taken < BATCH { events.next().now_or_never().flatten() } else { None };
        }
        mirror.show();
        for object in unlisted {
            look_at(&client, &mirror, &object).await;
        }
        // A long list must not keep the writes on this thread waiting.
        tokio::task::yield_now().await;
    }
    // The stream has no end; whoever waits for listings must not be told that it has.
    future::pending().await
}

/// An object that was written while a list was read, and is not in it, is newer than the list, or has been deleted
/// since: only a look tells. If nobody answers, the next list does.
async fn look_at<K: Object>(client: &Client, mirror: &Arc<Mirror<K>>, object: &K) {
    let writing = Writing::new(client.clone(), Some(Arc::clone(mirror)));
    match writing.get(&Key::of(object)).await {
        Ok(Some(_)) => {}
        Ok(None) => mirror.vanished(object),
        Err(error) => tracing::debug!("look at what no list has: {}", Chain(&error)),
    }
}

fn report<K: Object>(failing: &mut Option<String>, error: watcher::Error) {
    let kind = K::kind(&());
    let text = format!("{:#}", Chain(&error));
    if failing.as_ref() != Some(&text) {
        match missing(&error) {
            true => tracing::warn!(
                "the API server does not know {kind} ({}): apply the CustomResourceDefinitions of deploy/crds",
                K::api_version(&())
            ),
            false => tracing::warn!("follow {kind}: {text}; what was last read stays in use"),
        }
    }
    *failing = Some(text);
}

fn missing(error: &watcher::Error) -> bool {
    let (watcher::Error::InitialListFailed(source) | watcher::Error::WatchStartFailed(source)) = error else {
        return false;
    };
    matches!(source, kube::Error::Api(status) if status.is_not_found())
}

/// An error with its causes.
struct Chain<'a>(&'a dyn std::error::Error);

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(source) = cause {
            write!(f, ": {source}")?;
            cause = source.source();
        }
        Ok(())
    }
}

/// Doubling waits, each between half and all of itself: many agents must not come back in one instant. They begin again
/// after an answer of the server, and only then: the stream's own word of success comes before each try.
#[derive(Default)]
struct Patience {
    failures: u32,
    answered: Arc<AtomicBool>,
}

impl Iterator for Patience {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        if self.answered.swap(false, Ordering::Relaxed) {
            self.failures = 0;
        }
        let most = FIRST.saturating_mul(2_u32.saturating_pow(self.failures)).min(LAST);
        self.failures = self.failures.saturating_add(1);
        // Seeded anew by the standard library each time.
        let chance = RandomState::new().hash_one(self.failures) % 1_000;
        Some(most / 2 + (most / 2).mul_f64(Duration::from_millis(chance).as_secs_f64()))
    }
}

impl Backoff for Patience {
    /// Called for each event, `Init` included.
    fn reset(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_limit_and_begin_again_after_an_answer() {
        let mut patience = Patience::default();
        let waits: Vec<Duration> = patience.by_ref().take(40).collect();
        for (number, wait) in waits.iter().enumerate() {
            let most = FIRST.saturating_mul(2_u32.saturating_pow(number.try_into().expect("small"))).min(LAST);
            assert!(*wait >= most / 2 && *wait <= most, "{number}: {wait:?}");
        }
        patience.reset();
        assert!(patience.next().is_some_and(|wait| wait >= LAST / 2), "the stream's own word is no answer");
        patience.answered.store(true, Ordering::Relaxed);
        assert!(patience.next().is_some_and(|wait| wait <= FIRST));
    }
}
