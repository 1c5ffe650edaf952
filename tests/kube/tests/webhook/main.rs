//! The validating webhook as somebody with `kubectl` meets it: what it says, that its certificate changes under traffic,
//! and that nothing depends on it.

#[path = "../leader/replica.rs"]
#[allow(dead_code, reason = "each test uses its part")]
mod replica;

use std::{
    collections::BTreeSet,
    fs,
    net::TcpStream,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use k8s_openapi::api::{
    admissionregistration::v1::ValidatingWebhookConfiguration, core::v1::Secret, events::v1::Event,
};
use kube::{Api, api::ListParams};
use lb_tests::{
    lab::{Lab, Shape},
    need, wait,
};
use lb_tests_kube::{Plane, PlaneShape};
use replica::{Replica, START, address_of, install, service};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};

const NO_STATIONS: Shape = Shape { nodes: 0, clients: 0, routers: 0, snooping: false };
const WEBHOOK: &str = "127.0.0.1:9443";
const ARGS: &[&str] = &[
    "--webhook-listen",
    WEBHOOK,
    "--webhook-names",
    "127.0.0.1",
    "--webhook-renew-after",
    "1s",
    "--lease-duration",
    "4s",
    "--renew-deadline",
    "3s",
    "--retry-period",
    "500ms",
];
/// How long traffic runs while certificates change.
const TRAFFIC: Duration = Duration::from_secs(8);

fn pool(name: &str, addresses: &str) -> String {
    format!(
        "apiVersion: metallb.io/v1beta1\nkind: IPAddressPool\nmetadata: {{name: {name}, namespace: \
         metallb-system}}\nspec: {{addresses: [{addresses}]}}\n"
    )
}

fn class(name: &str, pool: &str) -> String {
    format!(
        "apiVersion: network.deckhouse.io/v1alpha1\nkind: MetalLoadBalancerClass\nmetadata: {{name: {name}}}\nspec: \
         {{isDefault: true, addressPool: [{pool}]}}\n"
    )
}

/// The published configuration. There is no kube-proxy for the API server here, so it gets a URL.
fn configure(plane: &Plane) -> anyhow::Result<()> {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../deploy/base/webhook.yaml");
    let text = fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
    let (_, configuration) = text.split_once("---\n").context("a Service, then the configuration")?;
    let service = "service: { name: herald-webhook, namespace: herald-system, path: /validate, port: 443 }";
    ensure!(configuration.contains(service), "the configuration names its Service");
    plane.kubectl().apply(&configuration.replace(service, &format!("url: https://{WEBHOOK}/validate")))?;
    plane.admin().wait_for(START, "the leader to write the authority", async |client| {
        let configuration = Api::<ValidatingWebhookConfiguration>::all(client.clone()).get("herald").await?;
        let webhooks = configuration.webhooks.unwrap_or_default();
        Ok(webhooks.iter().all(|webhook| webhook.client_config.ca_bundle.is_some()).then_some(()))
    })
}

fn refusal(plane: &Plane, yaml: &str) -> anyhow::Result<String> {
    match plane.kubectl().apply(yaml) {
        Ok(said) => anyhow::bail!("was accepted: {said}"),
        Err(error) => Ok(format!("{error:#}")),
    }
}

#[test]
fn bad_objects_are_refused_in_words_for_their_author_and_nothing_depends_on_it() -> anyhow::Result<()> {
    if !need::met(&replica::needs()) {
        return Ok(());
    }
    let lab = Lab::new(NO_STATIONS)?;
    let plane = Plane::start(&lab, PlaneShape::default())?;
    install(&plane, "192.0.2.100-192.0.2.109")?;
    let mut controller = Replica::start(&lab, plane.admin(), 7481, ARGS)?;
    controller.wait_for_role("leader", START)?;
    configure(&plane)?;

    says_what_is_wrong(&plane)?;
    plane.kubectl().apply(&class("first", "198.51.100.0/24"))?;
    let text = refusal(&plane, &class("second", "203.0.113.0/24"))?;
    ensure!(text.contains("class `first` is the default already: set it on one class only"), "{text}");
    warns_of_a_pool_in_use(&plane, &controller)?;
    rotates_under_traffic(&plane, &controller)?;

    // Nobody serves it: everything passes, and the controller says the same when it is back.
    controller.process().kill()?;
    plane.kubectl().apply(&pool("late", "192.0.2.105-192.0.2.120"))?;
    let mut controller = Replica::start(&lab, plane.admin(), 7481, ARGS)?;
    controller.wait_for_role("leader", START)?;
    let note = plane.admin().wait_for(START, "an Event on one of the pools", async |client| {
        let events = Api::<Event>::namespaced(client.clone(), "metallb-system").list(&ListParams::default()).await?;
        let told = events.items.into_iter().find(|event| event.reason.as_deref() == Some("Overlap"));
        Ok(told.and_then(|event| event.note))
    })?;
    ensure!(note.contains("overlaps with already defined CIDR"), "{note}");
    plane.done();
    Ok(())
}

fn says_what_is_wrong(plane: &Plane) -> anyhow::Result<()> {
    // The API server reads its configuration a moment after it was written.
    let text = wait::for_ok(START, "the webhook to be asked", || {
        let text = refusal(plane, &pool("two", "192.0.2.105-192.0.2.120")).map_err(|error| format!("{error:#}"));
        // What was accepted must go, or the next try finds it.
        if text.is_err() {
            drop(plane.kubectl().run(&["delete", "ipaddresspool", "two", "--namespace", "metallb-system"]));
        }
        text
    })?;
    let wanted = "admission webhook \"validate.lb.herald.dev\" denied the request: spec.addresses: \
                  192.0.2.105-192.0.2.120 overlaps with already defined CIDR 192.0.2.100-192.0.2.109 of IPAddressPool \
                  `pool`: each address is given once";
    ensure!(text.contains(wanted), "{text}");
    for (yaml, wanted) in [
        (
            pool("two", "203.0.113.9-203.0.113.1"),
            "`203.0.113.9-203.0.113.1` is reversed: write `203.0.113.1-203.0.113.9`",
        ),
        (pool("two", "203.0.113.0/33"), "spec.addresses[0]: `33` is not a prefix length of 203.0.113.0"),
        (pool("two", ""), "spec.addresses: is empty: the pool needs at least one CIDR block or range"),
        (
            pool("two", "203.0.113.0/24").replace("metallb-system", "default"),
            "resource must be created in metallb-system namespace",
        ),
        (
            "apiVersion: metallb.io/v1beta1\nkind: Community\nmetadata: {name: c, namespace: metallb-system}\nspec: \
             {communities: [{name: a, value: '64512:70000'}]}\n"
                .to_owned(),
            "invalid community value `64512:70000`",
        ),
    ] {
        let text = refusal(plane, &yaml)?;
        ensure!(text.contains(wanted), "{wanted}: {text}");
    }
    Ok(())
}

fn warns_of_a_pool_in_use(plane: &Plane, controller: &Replica) -> anyhow::Result<()> {
    let in_pool = service("web").replace("{name: web}", "{name: web, annotations: {metallb.io/address-pool: pool}}");
    plane.kubectl().apply(&in_pool)?;
    let address = address_of(plane, "web", START)?;
    ensure!(address == "192.0.2.100", "{address}");
    // Whether it is dry or not, the webhook is asked.
    plane.kubectl().run(&["delete", "ipaddresspool", "pool", "--namespace", "metallb-system", "--dry-run=server"])?;
    let metrics = controller.get("/metrics")?;
    ensure!(metrics.contains("herald_controller_webhook_reviews_total{outcome=\"warned\"} 1"), "{metrics}");
    Ok(())
}

/// Every handshake succeeds with an authority that never changes, and every bad object is refused.
fn rotates_under_traffic(plane: &Plane, controller: &Replica) -> anyhow::Result<()> {
    let authority = plane.admin().run(async |client| {
        let secret = Api::<Secret>::namespaced(client, "default").get("herald-webhook").await?;
        Ok(secret.data.and_then(|mut data| data.remove("ca.crt")).context("an authority")?.0)
    })?;
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(&authority)?)?;
    let config = Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth());
    let end = Instant::now() + TRAFFIC;
    let (mut seen, mut asked) = (BTreeSet::new(), 0);
    while Instant::now() < end {
        let config = Arc::clone(&config);
        seen.insert(plane.admin().namespace().run(move || certificate(config))??);
        if asked < 10 || asked % 10 == 0 {
            let text = refusal(plane, &pool("two", "192.0.2.105-192.0.2.120"))?;
            ensure!(text.contains("overlaps with already defined CIDR"), "{text}");
        }
        asked += 1;
    }
    ensure!(seen.len() >= 3, "{} certificates in {TRAFFIC:?}, {asked} handshakes", seen.len());
    ensure!(controller.role()? == "leader");
    Ok(())
}

/// The certificate that is served now, if it can be trusted.
fn certificate(config: Arc<ClientConfig>) -> anyhow::Result<Vec<u8>> {
    let mut tcp = TcpStream::connect(WEBHOOK)?;
    tcp.set_read_timeout(Some(START))?;
    let mut tls = ClientConnection::new(config, ServerName::try_from("127.0.0.1")?)?;
    while tls.is_handshaking() {
        tls.complete_io(&mut tcp).context("a handshake with the webhook")?;
    }
    let chain = tls.peer_certificates().context("a certificate")?;
    Ok(chain.first().context("a certificate")?.to_vec())
}
