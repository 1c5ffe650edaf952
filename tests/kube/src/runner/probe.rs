//! Liveness, readiness and start-up probes: `httpGet` over HTTP and `tcpSocket`, asked from the node as kubelet does.
//!
//! Spec: the Kubernetes API reference, `Probe`; an answer from 200 to 399 is a success.

use std::{net::IpAddr, time::Duration};

use k8s_openapi::{
    api::core::v1::{Container, Probe},
    apimachinery::pkg::util::intstr::IntOrString,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{Instant, sleep_until, timeout},
};

use super::Unready;

/// What a probe's answers have come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Started,
    Ready(bool),
    /// To be ended, and started again.
    Dead(&'static str),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Startup,
    Readiness,
    Liveness,
}

/// The probes of a container that runs.
#[derive(Debug)]
pub(super) struct Probes {
    probes: Vec<Prober>,
    /// Without a start-up probe, from the start.
    started: bool,
}

impl Probes {
    /// From the container's spec, for a container that starts now.
    pub(super) fn new(container: &Container, address: Option<IpAddr>) -> Result<Self, Unready> {
        let now = Instant::now();
        let of = [
            (Kind::Startup, &container.startup_probe),
            (Kind::Readiness, &container.readiness_probe),
            (Kind::Liveness, &container.liveness_probe),
        ];
        let probes = of.into_iter().filter_map(|(kind, probe)| Some((kind, probe.as_ref()?)));
        let probes = probes.map(|(kind, probe)| Prober::new(kind, probe, container, address, now));
        let probes = probes.collect::<Result<Vec<_>, _>>()?;
        Ok(Self { started: probes.iter().all(|probe| probe.kind != Kind::Startup), probes })
    }

    pub(super) const fn started(&self) -> bool {
        self.started
    }

    /// Whether a container is ready as soon as it has started: nobody asks it.
    pub(super) fn ready_at_once(&self) -> bool {
        self.probes.iter().all(|probe| probe.kind != Kind::Readiness)
    }

    /// Waits until the probes have something to say.
    pub(super) async fn next(&mut self) -> Verdict {
        loop {
            let started = self.started;
            let due = self.probes.iter_mut().filter(|probe| started != (probe.kind == Kind::Startup));
            let Some(probe) = due.min_by_key(|probe| probe.next) else {
                // No probe: nothing is ever said.
                std::future::pending::<()>().await;
                continue;
            };
            sleep_until(probe.next).await;
            let ok = probe.ask().await;
            // From now, not from when it was due: a runner that was late does not ask in bursts.
            probe.next = Instant::now() + probe.period;
            let Some(verdict) = probe.tally(ok) else { continue };
            if verdict == Verdict::Started {
                self.started = true;
            }
            return verdict;
        }
    }
}

#[derive(Debug)]
struct Prober {
    kind: Kind,
    host: String,
    port: u16,
    /// Without one, a connection is enough.
    path: Option<String>,
    next: Instant,
    period: Duration,
    limit: Duration,
    successes: u32,
    failures: u32,
    /// Answers of one kind in a row.
    row: (bool, u32),
}

impl Prober {
    fn new(
        kind: Kind,
        probe: &Probe,
        container: &Container,
        address: Option<IpAddr>,
        now: Instant,
    ) -> Result<Self, Unready> {
        let (host, port, path) = match (&probe.http_get, &probe.tcp_socket) {
            (Some(get), _) => (&get.host, &get.port, Some(get.path.clone().unwrap_or_else(|| "/".to_owned()))),
            (None, Some(socket)) => (&socket.host, &socket.port, None),
            (None, None) => return Err(Unready("a probe that the runner does not know".to_owned())),
        };
        let own = address.map(|address| address.to_string());
        let host = host.clone().filter(|host| !host.is_empty()).or(own).unwrap_or_default();
        let number = |value: Option<i32>, default: u32| {
            value.and_then(|n| u32::try_from(n).ok()).filter(|n| *n > 0).unwrap_or(default)
        };
        let seconds = |value, default| Duration::from_secs(number(value, default).into());
        Ok(Self {
            kind,
            host,
            port: self::port(port, container)?,
            path,
            next: now + seconds(probe.initial_delay_seconds, 0),
            period: seconds(probe.period_seconds, 10),
            limit: seconds(probe.timeout_seconds, 1),
            successes: number(probe.success_threshold, 1),
            failures: number(probe.failure_threshold, 3),
            row: (kind != Kind::Readiness, 0),
        })
    }

    async fn ask(&self) -> bool {
        timeout(self.limit, self.answer()).await.is_ok_and(|answer| answer.unwrap_or(false))
    }

    async fn answer(&self) -> std::io::Result<bool> {
        let mut stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        let Some(path) = &self.path else { return Ok(true) };
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.host);
        stream.write_all(request.as_bytes()).await?;
        let mut head = [0; 12];
        stream.read_exact(&mut head).await?;
        // The rest is read, or closing would reset the connection under the server.
        tokio::io::copy(&mut stream, &mut tokio::io::sink()).await?;
        Ok(is_success(&head))
    }

    /// Counts an answer. Something is said once when a row is long enough.
    fn tally(&mut self, ok: bool) -> Option<Verdict> {
        self.row = if self.row.0 == ok { (ok, self.row.1.saturating_add(1)) } else { (ok, 1) };
        let needed = if ok { self.successes } else { self.failures };
        match (self.kind, ok) {
            _ if self.row.1 != needed => None,
            (Kind::Startup, true) => Some(Verdict::Started),
            (Kind::Readiness, ok) => Some(Verdict::Ready(ok)),
            (Kind::Liveness, true) => None,
            (Kind::Startup, false) => Some(Verdict::Dead("the startup probe failed")),
            (Kind::Liveness, false) => Some(Verdict::Dead("the liveness probe failed")),
        }
    }
}

/// A number, or the name of one of the container's ports.
fn port(port: &IntOrString, container: &Container) -> Result<u16, Unready> {
    let number = match port {
        IntOrString::Int(number) => Some(*number),
        IntOrString::String(name) => {
            let named = container.ports.iter().flatten().find(|port| port.name.as_ref() == Some(name));
            named.map(|port| port.container_port)
        }
    };
    let number = number.and_then(|number| u16::try_from(number).ok());
    number.ok_or_else(|| Unready(format!("a probe's port {port:?} is none of the container's")))
}

/// Of `HTTP/1.x NNN`.
fn is_success(head: &[u8; 12]) -> bool {
    head.starts_with(b"HTTP/1.") && matches!(head[9], b'2' | b'3')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prober(kind: Kind) -> Prober {
        Prober {
            kind,
            host: String::new(),
            port: 1,
            path: None,
            next: Instant::now(),
            period: Duration::ZERO,
            limit: Duration::ZERO,
            successes: 1,
            failures: 3,
            row: (kind != Kind::Readiness, 0),
        }
    }

    #[test]
    fn readiness_follows_the_first_success_and_the_third_failure() {
        let mut probe = prober(Kind::Readiness);
        let verdicts: Vec<_> = [false, true, true, false, false, false, false, true].map(|ok| probe.tally(ok)).to_vec();
        let (yes, no) = (Some(Verdict::Ready(true)), Some(Verdict::Ready(false)));
        assert_eq!(verdicts, [None, yes, None, None, None, no, None, yes]);
    }

    #[test]
    fn a_container_is_dead_after_three_failures_in_a_row() {
        let mut probe = prober(Kind::Liveness);
        let last = [false, false, true, false, false, false].map(|ok| probe.tally(ok));
        assert_eq!(last.iter().position(Option::is_some), Some(5));
    }

    #[test]
    fn what_counts_as_success_is_200_to_399() {
        assert!(is_success(b"HTTP/1.1 200") && is_success(b"HTTP/1.0 302"));
        assert!(
            !is_success(b"HTTP/1.1 404")
                && !is_success(b"HTTP/1.1 503")
                && !is_success(b"SSH-2.0-OpenS"[..12].try_into().expect("12 bytes"))
        );
    }
}
