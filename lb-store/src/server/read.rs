//! A quorum read of all objects of a kind, beside the watch that follows them.
//!
//! A list without a resourceVersion is consistent: it has everything that was written before it was asked for
//! (Kubernetes API concepts: semantics for get and list). A watch may be any time behind.

use std::sync::Arc;

use kube::{
    Client,
    api::ListParams,
    core::{ObjectList, Request},
};

use super::{guarded::Guarded, mirror::Mirror, ops::within};
use crate::{GetError, Object};

/// Objects in one answer.
const PAGE: u32 = 1_000;

/// Reads objects of one kind.
pub(crate) struct Reading<K> {
    client: Client,
    mirror: Arc<Mirror<K>>,
}

impl<K: Object> Reading<K> {
    pub(crate) fn new(client: Client, mirror: Arc<Mirror<K>>) -> Self {
        Self { client, mirror }
    }

    pub(crate) async fn confirm(self) -> Result<(), GetError> {
        let failed = |source| GetError::Server { object: format!("all {}", K::plural(&())), source: Box::new(source) };
        let mut page = ListParams::default().limit(PAGE);
        loop {
            let list = self.list(&page).await.map_err(failed)?;
            for object in list.items {
                self.mirror.read(object);
            }
            page.continue_token = list.metadata.continue_.filter(|token| !token.is_empty());
            if page.continue_token.is_none() {
                break;
            }
        }
        self.mirror.show();
        Ok(())
    }

    async fn list(&self, page: &ListParams) -> Result<ObjectList<Guarded<K>>, kube::Error> {
        let request = Request::new(K::url_path(&(), None)).list(page).map_err(kube::Error::BuildRequest)?;
        within(self.client.request(request)).await
    }
}
