//! Keeps the Roles by which agents may read the passwords of BGP peers: `lb_plan::bgp::grants` says how they should be.
//!
//! Beside the passes: an address must not wait for a Role, nor the other way round. Only the leader writes. Reads no
//! Secret.
//!
//! Must not: end the controller. What cannot be written is tried again, and said once.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use lb_plan::bgp::{Account, Grant, Objects, SecretName, grants};
use lb_store::{CreateError, Object, Reflector, Stopped, Store, UpdateError};
use tokio::time::{Instant, sleep_until};
use tracing::{info, warn};

use crate::{announced::Announced, apply::chain, leader::Leadership};

/// Between two tries of what failed.
const AGAIN: Duration = Duration::from_secs(5);
/// Somebody else's change that a watch lost is seen at least this often.
const LOOK: Duration = Duration::from_secs(600);

/// See the module.
pub(crate) struct Grants {
    store: Store,
    /// Where MetalLB's objects are read from.
    namespace: String,
    reader: Account,
    leadership: Leadership,
    announced: Announced,
    roles: Reflector<Role>,
    bindings: Reflector<RoleBinding>,
    /// What was logged last.
    trouble: Option<String>,
}

impl Grants {
    pub(crate) fn new(store: &Store, namespace: String, reader: Account, leadership: Leadership) -> Self {
        Self {
            store: store.clone(),
            namespace,
            reader,
            leadership,
            announced: Announced::new(store),
            roles: store.reflect(),
            bindings: store.reflect(),
            trouble: None,
        }
    }

    /// Until the store stops.
    pub(crate) async fn run(mut self) -> Result<(), Stopped> {
        self.announced.ready().await?;
        self.roles.ready().await?;
        self.bindings.ready().await?;
        loop {
            let term = self.leadership.term();
            let due = match term {
                Some(_) if !self.write().await => Instant::now() + AGAIN,
                Some(_) | None => Instant::now() + LOOK,
            };
            tokio::select! {
                changed = self.announced.changed() => changed?,
                changed = self.roles.changed() => changed?,
                changed = self.bindings.changed() => changed?,
                () = self.leadership.changed(term) => {}
                () = sleep_until(due) => {}
            }
        }
    }

    /// Writes what differs; whether all of it could be written.
    async fn write(&mut self) -> bool {
        let needed = self.needed();
        let due = grants(&needed, &objects(&self.roles), &objects(&self.bindings), &self.reader);
        for grant in due {
            let what = describe(&grant);
            match self.carry_out(grant).await {
                Ok(()) => {
                    info!("{what}: agents may read {}", list(&needed));
                    self.trouble = None;
                }
                Err(why) => {
                    let text = format!("{what}: {why}: agents cannot read {}", list(&needed));
                    if self.trouble.as_ref() != Some(&text) {
                        warn!("{text}");
                        self.trouble = Some(text);
                    }
                    return false;
                }
            }
        }
        true
    }

    fn needed(&self) -> BTreeSet<SecretName> {
        let bgp = self.announced.current();
        let objects = Objects {
            namespace: &self.namespace,
            peers: &bgp.peers,
            advertisements: &bgp.advertisements,
            profiles: &bgp.profiles,
            communities: &bgp.communities,
            pools: &[],
            deckhouse: &bgp.deckhouse,
            nodes: &[],
        };
        objects.needed_secrets()
    }

    /// What somebody else changed meanwhile is seen at the next look.
    async fn carry_out(&self, grant: Grant) -> Result<(), String> {
        match grant {
            Grant::CreateRole(role) => created(self.store.create(&role).await.map(drop)),
            Grant::CreateBinding(binding) => created(self.store.create(&binding).await.map(drop)),
            Grant::UpdateRole(role) => updated(self.store.update(&role).await.map(drop)),
            Grant::UpdateBinding(binding) => updated(self.store.update(&binding).await.map(drop)),
        }
    }
}

fn created(result: Result<(), CreateError>) -> Result<(), String> {
    match result {
        Ok(()) | Err(CreateError::AlreadyExists(_)) => Ok(()),
        Err(error) => Err(chain(&error)),
    }
}

fn updated(result: Result<(), UpdateError>) -> Result<(), String> {
    match result {
        Ok(()) | Err(UpdateError::Conflict(_) | UpdateError::NotFound(_)) => Ok(()),
        Err(error) => Err(chain(&error)),
    }
}

fn describe(grant: &Grant) -> String {
    let (verb, kind, metadata) = match grant {
        Grant::CreateRole(role) => ("create", "Role", &role.metadata),
        Grant::UpdateRole(role) => ("update", "Role", &role.metadata),
        Grant::CreateBinding(binding) => ("create", "RoleBinding", &binding.metadata),
        Grant::UpdateBinding(binding) => ("update", "RoleBinding", &binding.metadata),
    };
    let text = |part: &Option<String>| part.clone().unwrap_or_default();
    format!("{verb} {kind} {}/{}", text(&metadata.namespace), text(&metadata.name))
}

/// The names of Secrets: nothing of what is in them is known here.
fn list(needed: &BTreeSet<SecretName>) -> String {
    match needed.is_empty() {
        true => "no Secret of BGP".into(),
        false => needed.iter().map(|name| format!("Secret {name}")).collect::<Vec<_>>().join(", "),
    }
}

fn objects<K: Object>(reflector: &Reflector<K>) -> Vec<Arc<K>> {
    reflector.current().objects.values().map(Arc::clone).collect()
}
