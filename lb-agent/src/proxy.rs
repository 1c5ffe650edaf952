//! Asks the health port of kube-proxy, or of what replaces it, once a second. What follows from it is decided in
//! [`lb_plan::agent::proxy`].

use std::{io, net::SocketAddr, str::FromStr, time::Duration};

use lb_api::node::ProxyState;
use lb_plan::{agent::proxy::ProxyHealth, ownership::Proxy};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::watch,
};

use crate::clock;

/// Between two questions, and how long an answer may take.
const EVERY: Duration = Duration::from_secs(1);

/// Where it is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Port {
    /// Nowhere: it counts as healthy.
    Off,
    /// By HTTP.
    Http {
        /// The server.
        server: SocketAddr,
        /// What is asked for.
        path: String,
    },
}

/// Why a text is no [`Port`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither `off` nor an address and port with a path, as http://127.0.0.1:10256/healthz")]
pub struct PortError(String);

impl FromStr for Port {
    type Err = PortError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.trim() == "off" {
            return Ok(Self::Off);
        }
        let refused = || PortError(text.to_owned());
        let rest = text.trim().strip_prefix("http://").ok_or_else(refused)?;
        let (server, path) = rest.split_once('/').unwrap_or((rest, ""));
        let server = server.parse().ok().ok_or_else(refused)?;
        let plain = path.bytes().all(|byte| byte.is_ascii_graphic());
        if plain { Ok(Self::Http { server, path: format!("/{path}") }) } else { Err(refused()) }
    }
}

/// What is known of it. Ends its task with itself.
#[derive(Debug)]
pub(crate) struct Watch(Option<(watch::Receiver<bool>, ProxyHealth)>);

impl Watch {
    /// Starts to ask.
    pub(crate) fn start(port: &Port) -> Self {
        let Port::Http { server, path } = port.clone() else { return Self(None) };
        let (tell, told) = watch::channel(false);
        tokio::spawn(async move {
            loop {
                let healthy = is_healthy(server, &path).await;
                if tell.send(healthy).is_err() {
                    return;
                }
                tokio::time::sleep(EVERY).await;
            }
        });
        Self(Some((told, ProxyHealth::new(clock::monotonic()))))
    }

    /// What counts now.
    pub(crate) fn judge(&mut self, now: Duration, others: impl Iterator<Item = ProxyState>) -> Proxy {
        let Some((told, health)) = &mut self.0 else { return Proxy::Synced };
        let before = health.state();
        if told.has_changed().unwrap_or_default() {
            health.answered(*told.borrow_and_update());
        }
        if before != health.state() {
            tracing::info!(state = ?health.state(), "what carries packets from this node to the Pods");
        }
        health.judge(now, others)
    }

    /// What this node publishes of it; `None`: it is not asked.
    pub(crate) fn state(&self) -> Option<ProxyState> {
        self.0.as_ref().map(|(_, health)| health.state())
    }
}

async fn is_healthy(server: SocketAddr, path: &str) -> bool {
    match tokio::time::timeout(EVERY, ask(server, path)).await {
        Ok(Ok(status)) => status == 200,
        Ok(Err(error)) => {
            tracing::debug!(%server, "ask for the proxy's health: {error}");
            false
        }
        Err(_late) => false,
    }
}

/// The status of an HTTP answer (RFC 9112 §4); its headers and content say nothing that matters here.
async fn ask(server: SocketAddr, path: &str) -> io::Result<u16> {
    let mut stream = TcpStream::connect(server).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {server}\r\nUser-Agent: lb-agent\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut line = Vec::new();
    // "HTTP/1.1 200 OK": one that sends less has not answered.
    stream.take(16).read_to_end(&mut line).await?;
    let status = line.get(9..12).and_then(|code| std::str::from_utf8(code).ok()?.parse().ok());
    let odd =
        || io::Error::new(io::ErrorKind::InvalidData, format!("no HTTP answer: {:?}", String::from_utf8_lossy(&line)));
    status.filter(|_| line.starts_with(b"HTTP/1.")).ok_or_else(odd)
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn a_port_is_off_or_an_address_with_a_path() {
        let http =
            |server: &str, path: &str| Port::Http { server: server.parse().expect("an address"), path: path.into() };
        assert_eq!("off".parse(), Ok(Port::Off));
        assert_eq!("http://127.0.0.1:10256/healthz".parse(), Ok(http("127.0.0.1:10256", "/healthz")));
        assert_eq!("http://[::1]:10256".parse(), Ok(http("[::1]:10256", "/")));
        for refused in ["", "on", "127.0.0.1:10256", "https://127.0.0.1:1/", "http://127.0.0.1/healthz", "http://h:1/"]
        {
            assert_eq!(refused.parse::<Port>(), Err(PortError(refused.to_owned())));
        }
    }

    /// What is made of a server that answers this to each of its callers.
    async fn made_of(answer: &'static str) -> bool {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let server = listener.local_addr().expect("it is bound");
        let serving = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a caller");
            let mut request = [0; 256];
            let read = stream.read(&mut request).await.expect("a request");
            assert!(request[..read].starts_with(b"GET /healthz HTTP/1.1\r\n"));
            stream.write_all(answer.as_bytes()).await.expect("it listens");
        });
        let healthy = is_healthy(server, "/healthz").await;
        serving.await.expect("it served");
        healthy
    }

    #[tokio::test]
    async fn only_a_good_answer_is_healthy() {
        assert!(made_of("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await);
        assert!(!made_of("HTTP/1.1 503 Service Unavailable\r\n\r\n").await);
        assert!(!made_of("nonsense that is long enough").await);
        assert!(!made_of("").await);
        let nobody = TcpListener::bind("127.0.0.1:0").await.expect("a free port").local_addr().expect("it is bound");
        assert!(!is_healthy(nobody, "/healthz").await);
    }
}
