//! The webhook's port: TLS with whatever certificate is served in that moment.
//!
//! A handshake runs on a task of its own with a limit, so that a client that says nothing keeps nobody waiting.
//! TLS 1.3 (RFC 8446) and 1.2 (RFC 5246).

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use anyhow::Context;
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, mpsc},
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tracing::debug;

use super::certificate::Material;

/// Of a handshake.
const LIMIT: Duration = Duration::from_secs(5);
/// Handshakes at once; more wait in the kernel.
const MOST: usize = 64;
/// After an error of the listener itself, as when there are no file descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// The certificate that is served.
#[derive(Debug, Default)]
pub(crate) struct Served(RwLock<Option<Arc<CertifiedKey>>>);

impl Served {
    /// New connections get this one from now on.
    pub(super) fn set(&self, material: &Material) -> anyhow::Result<()> {
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(material.certificate.as_bytes())
            .collect::<Result<_, _>>()
            .context("read the certificate")?;
        let key = PrivateKeyDer::from_pem_slice(material.key.as_bytes()).context("read the key")?;
        let key = CertifiedKey::from_der(chain, key, &ring::default_provider()).context("use the certificate")?;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(key));
        Ok(())
    }
}

impl ResolvesServerCert for Served {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Connections after their handshake.
pub(super) struct Listener {
    address: SocketAddr,
    ready: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)>,
}

impl Listener {
    pub(super) fn start(tcp: TcpListener, served: Arc<Served>) -> anyhow::Result<Self> {
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let mut config = builder.context("choose versions of TLS")?.with_no_client_auth().with_cert_resolver(served);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let address = tcp.local_addr().context("ask for the webhook's port")?;
        let (give, ready) = mpsc::channel(MOST);
        tokio::spawn(accept(tcp, TlsAcceptor::from(Arc::new(config)), give));
        Ok(Self { address, ready })
    }
}

impl axum::serve::Listener for Listener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.ready.recv().await {
            Some(connection) => connection,
            // The accepting task never ends before its process.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        Ok(self.address)
    }
}

async fn accept(tcp: TcpListener, acceptor: TlsAcceptor, give: mpsc::Sender<(TlsStream<TcpStream>, SocketAddr)>) {
    let places = Arc::new(Semaphore::new(MOST));
    loop {
        // Never closed.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let (stream, peer) = match tcp.accept().await {
            Ok(connection) => connection,
            Err(error) => {
                debug!("accept a connection to the webhook: {error}");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let (acceptor, give) = (acceptor.clone(), give.clone());
        tokio::spawn(async move {
            match timeout(LIMIT, acceptor.accept(stream)).await {
                Ok(Ok(stream)) => drop(give.send((stream, peer)).await),
                Ok(Err(error)) => debug!(%peer, "a handshake with the webhook: {error}"),
                Err(_late) => debug!(%peer, "a handshake with the webhook takes too long"),
            }
            drop(place);
        });
    }
}
