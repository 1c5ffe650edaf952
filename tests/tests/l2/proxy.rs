//! The health of kube-proxy, by a server in the nodes' namespaces that answers as kube-proxy's health port does.

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
    time::Duration,
};

use anyhow::Context as _;
use lb_api::node::ProxyState;
use lb_tests::{herald::AgentOptions, lab::Host, wait};

use crate::scene::{pair, scene};

const LIMIT: Duration = Duration::from_secs(30);

/// A health port.
struct Port {
    status: Arc<AtomicU16>,
}

impl Port {
    /// Serves on a node until the lab's namespaces and this process end.
    fn open(node: &Host, status: u16) -> anyhow::Result<Self> {
        let status = Arc::new(AtomicU16::new(status));
        let shown = Arc::clone(&status);
        let listener = node.netns.run(|| TcpListener::bind("127.0.0.1:10256"))?.context("listen on the health port")?;
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mut stream = stream;
                let mut request = [0; 512];
                // A caller that went away gets no answer, and the next one is served.
                if stream.read(&mut request).is_ok() {
                    let answer = format!("HTTP/1.1 {} x\r\nContent-Length: 0\r\n\r\n", shown.load(Ordering::Acquire));
                    drop(stream.write_all(answer.as_bytes()));
                }
            }
        });
        Ok(Self { status })
    }

    fn say(&self, status: u16) {
        self.status.store(status, Ordering::Release);
    }
}

#[test]
fn a_node_whose_proxy_is_ill_gives_away_what_it_holds_unless_all_are() -> anyhow::Result<()> {
    let Some(mut scene) = scene(2)? else { return Ok(()) };
    scene.rank(100, &[0, 1])?;
    let ports = [Port::open(scene.node(0), 200)?, Port::open(scene.node(1), 200)?];
    let options = AgentOptions { proxy_health: "http://127.0.0.1:10256/healthz", ..AgentOptions::default() };
    scene.start_agents(&options)?;
    scene.wait_until_held(0, &pair(100))?;
    let observer = scene.manifests.observe()?;
    let asker = scene.ask(&pair(100))?;

    ports[0].say(503);
    scene.wait_until_held(1, &pair(100))?;
    wait::observe(Duration::from_millis(500));
    let record = asker.finish()?;
    assert_eq!(record.all().unanswered(), 0, "of {}", record.all().sent());
    let published = |name: &str| observer.node(name).and_then(|node| node.status).and_then(|status| status.proxy);
    wait::until(LIMIT, "node-1 to publish it", || published("node-1") == Some(ProxyState::Unhealthy))?;

    // Now on both: nobody is better off, the ranking alone counts, and its first does not drain.
    ports[1].say(503);
    wait::until(LIMIT, "node-2 to publish it", || published("node-2") == Some(ProxyState::Unhealthy))?;
    scene.wait_until_held(0, &pair(100))?;
    wait::observe(Duration::from_secs(7));
    scene.wait_until_held(0, &pair(100))?;
    Ok(())
}

#[test]
fn a_node_takes_nothing_before_its_proxy_is_healthy() -> anyhow::Result<()> {
    let Some(mut scene) = scene(2)? else { return Ok(()) };
    scene.rank(100, &[0, 1])?;
    let ports = [Port::open(scene.node(0), 503)?, Port::open(scene.node(1), 200)?];
    let options = AgentOptions { proxy_health: "http://127.0.0.1:10256/healthz", ..AgentOptions::default() };
    scene.start_agents(&options)?;

    // The first of the ranking is not ready; the second takes them.
    scene.wait_until_held(1, &pair(100))?;
    ports[0].say(200);
    scene.wait_until_held(0, &pair(100))?;
    Ok(())
}
