//! Keeps the webhook's certificate: in a Secret that the replicas share, and its authority in the configuration.
//!
//! Whoever is first creates the Secret; the create is the lock. The leader alone renews it, and tells the API server
//! whom to trust. Every replica serves what the Secret holds, without a restart.
//!
//! Must not: end the controller. What cannot be read or written is tried again, and said once.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use jiff::Timestamp;
use k8s_openapi::{
    ByteString,
    api::{admissionregistration::v1::ValidatingWebhookConfiguration, core::v1::Secret},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use lb_store::{CreateError, Key, Store, UpdateError};
use tokio::time::sleep;
use tracing::{debug, info, warn};

use super::{
    certificate::{Material, is_ours},
    tls::Served,
};
use crate::{leader::Leadership, metrics::WebhookMetrics};

/// How often the Secret is looked at, at most and at least.
const PERIOD: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));

/// How the certificate is kept.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// The Secret.
    pub(crate) secret: Key,
    /// The ValidatingWebhookConfiguration.
    pub(crate) configuration: String,
    /// By which the API server calls the webhook.
    pub(crate) names: Vec<String>,
    /// The age at which a certificate is replaced.
    pub(crate) renew_after: Duration,
}

/// See the module.
pub(crate) struct Keeper {
    store: Store,
    settings: Settings,
    leadership: Leadership,
    served: Arc<Served>,
    metrics: WebhookMetrics,
    /// What is served.
    material: Option<Material>,
    /// What was logged last.
    trouble: Option<String>,
}

impl Keeper {
    pub(crate) fn new(
        store: Store,
        settings: Settings,
        leadership: Leadership,
        served: Arc<Served>,
        metrics: WebhookMetrics,
    ) -> Self {
        Self { store, settings, leadership, served, metrics, material: None, trouble: None }
    }

    /// Until it is dropped.
    pub(crate) async fn run(mut self) -> std::convert::Infallible {
        let (shortest, longest) = PERIOD;
        loop {
            match self.look().await {
                Ok(()) => self.trouble = None,
                Err(error) => {
                    let text = format!("{error:#}");
                    if self.trouble.as_ref() != Some(&text) {
                        warn!("the webhook's certificate: {text}");
                        self.trouble = Some(text);
                    }
                }
            }
            // Without one nobody is answered: do not let them wait.
            let period = if self.material.is_some() { self.settings.renew_after / 4 } else { shortest };
            sleep(period.clamp(shortest, longest)).await;
        }
    }

    async fn look(&mut self) -> anyhow::Result<()> {
        let secret = self.store.get::<Secret>(&self.settings.secret).await?;
        let Some(secret) = secret else { return self.create().await };
        let material = Material::read(&secret).with_context(|| format!("Secret {}", self.settings.secret));
        let now = Timestamp::now();
        let wanted = match &material {
            Ok(material) => material.renewed(now, self.settings.renew_after, &self.settings.names)?,
            // Somebody else's Secret, half filled perhaps, is theirs to mend.
            Err(_unusable) if !is_ours(&secret) => None,
            Err(_unusable) => Some(Material::make(now, &self.settings.names)?),
        };
        match wanted.filter(|_| self.leads()) {
            Some(wanted) => self.renew(secret, wanted).await?,
            None => self.serve(material?)?,
        }
        if self.leads() { self.trust().await } else { Ok(()) }
    }

    fn leads(&self) -> bool {
        self.leadership.term().is_some()
    }

    async fn create(&mut self) -> anyhow::Result<()> {
        let material = Material::make(Timestamp::now(), &self.settings.names)?;
        let metadata = ObjectMeta {
            name: Some(self.settings.secret.name.clone()),
            namespace: Some(self.settings.secret.namespace.clone()),
            ..ObjectMeta::default()
        };
        let secret = Secret { metadata, data: Some(material.data()), ..Secret::default() };
        match self.store.create(&secret).await {
            Ok(_) => self.serve(material),
            // The other replica's: seen at the next look.
            Err(CreateError::AlreadyExists(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    async fn renew(&mut self, mut secret: Secret, wanted: Material) -> anyhow::Result<()> {
        secret.data = Some(wanted.data());
        match self.store.update(&secret).await {
            Ok(_) => {
                info!("the webhook has a new certificate");
                self.serve(wanted)
            }
            Err(UpdateError::Conflict(_) | UpdateError::NotFound(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn serve(&mut self, material: Material) -> anyhow::Result<()> {
        if self.material.as_ref() != Some(&material) {
            self.served.set(&material)?;
            self.metrics.certified(material.issued());
            self.material = Some(material);
        }
        Ok(())
    }

    /// Tells the API server whom to trust, if it does not know.
    async fn trust(&self) -> anyhow::Result<()> {
        let Some(material) = &self.material else { return Ok(()) };
        let key = Key::cluster_scoped(self.settings.configuration.clone());
        let Some(mut configuration) = self.store.get::<ValidatingWebhookConfiguration>(&key).await? else {
            debug!("there is no ValidatingWebhookConfiguration {key}: nobody asks the webhook");
            return Ok(());
        };
        let authority = Some(ByteString(material.authority.clone().into_bytes()));
        let webhooks = configuration.webhooks.iter_mut().flatten();
        let mut is_changed = false;
        for webhook in webhooks.filter(|webhook| webhook.client_config.ca_bundle != authority) {
            webhook.client_config.ca_bundle.clone_from(&authority);
            is_changed = true;
        }
        if !is_changed {
            return Ok(());
        }
        match self.store.update(&configuration).await {
            Ok(_) | Err(UpdateError::Conflict(_) | UpdateError::NotFound(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
