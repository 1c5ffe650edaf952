//! Watching one object by its name, for who may read no other of its kind.

use std::pin::pin;

use futures::StreamExt;
use kube::{
    Client,
    api::{WatchEvent, WatchParams},
    core::Request,
};

use crate::{GetError, Key, Object};

/// In seconds: a connection that died without a word is noticed by then.
const WATCH: u32 = 25;

/// Waits until the object is another one than that of `version`; `false` if it was not, for as long as a watch may last.
pub(super) async fn changed<K: Object>(client: Client, key: &Key, version: &str) -> Result<bool, GetError> {
    let failed = |source| GetError::Server { object: format!("{} {key}", K::kind(&())), source: Box::new(source) };
    let params = WatchParams::default().fields(&format!("metadata.name={}", key.name)).timeout(WATCH);
    let namespace = Some(key.namespace.as_str()).filter(|namespace| !namespace.is_empty());
    let request = Request::new(K::url_path(&(), namespace)).watch(&params, version);
    let request = request.map_err(|error| failed(kube::Error::BuildRequest(error)))?;
    let mut events = pin!(client.request_events::<K>(request).await.map_err(failed)?);
    while let Some(event) = events.next().await {
        match event {
            Ok(WatchEvent::Added(_) | WatchEvent::Modified(_) | WatchEvent::Deleted(_)) => return Ok(true),
            Ok(WatchEvent::Bookmark(_)) => {}
            // 410 Gone: what was read is too old to go on from.
            Ok(WatchEvent::Error(_)) => return Ok(true),
            Err(error) => return Err(failed(error)),
        }
    }
    Ok(false)
}
