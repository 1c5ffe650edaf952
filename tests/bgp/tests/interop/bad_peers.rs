//! Peers that never read, that flood, that send every NOTIFICATION: nothing of it touches another peer.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use lb_tests::{
    lab::{Host, Namespace},
    wait,
};
use lb_tests_bgp::{
    frr::{self, Frr},
    stage::{LIMIT, Node, OURS, THEIRS, lab, routes, session},
};
use socket2::SockRef;

/// Where a bad peer listens: the good one has 179.
const PORT: u16 = 1179;

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(19 + body.len()).expect("a short message").to_be_bytes();
    [&[0xff; 16], length.as_slice(), &[kind], body].concat()
}

/// IPv4 only, AS 64513, hold time 90 s.
fn open() -> Vec<u8> {
    message(1, &[4, 0xfc, 1, 0, 90, 192, 0, 2, 250, 0])
}

/// Accepts connections in a router's namespace and does something bad with each.
struct BadPeer {
    over: Arc<AtomicBool>,
    served: Arc<AtomicUsize>,
    thread: Option<JoinHandle<anyhow::Result<()>>>,
}

impl BadPeer {
    fn start(
        netns: &Namespace,
        port: u16,
        behave: impl Fn(TcpStream, usize, &AtomicBool) + Send + Sync + 'static,
    ) -> anyhow::Result<Self> {
        let (over, served) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (is_over, count) = (Arc::clone(&over), Arc::clone(&served));
        let thread = netns.spawn("bad-peer", move || {
            let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))?;
            // What is not read is soon all that the kernel keeps.
            SockRef::from(&listener).set_recv_buffer_size(4096)?;
            listener.set_nonblocking(true)?;
            while !is_over.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok((stream, _)) => {
                        stream.set_nonblocking(false)?;
                        stream.set_write_timeout(Some(Duration::from_millis(200)))?;
                        stream.set_read_timeout(Some(Duration::from_millis(200)))?;
                        behave(stream, count.load(Ordering::Relaxed), &is_over);
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                    Err(_nobody) => wait::observe(Duration::from_millis(5)),
                }
            }
            Ok(())
        })?;
        Ok(Self { over, served, thread: Some(thread) })
    }

    fn served(&self) -> usize {
        self.served.load(Ordering::Relaxed)
    }
}

impl Drop for BadPeer {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        drop(self.thread.take().map(JoinHandle::join));
    }
}

fn tell(speaker: &mut Node, node: &Host, router: &Host, name: &str, port: u16, count: u32) {
    let mut bad = session(node, router.v4.into(), THEIRS);
    bad.endpoint.port = port;
    bad.config.connect_retry = Duration::from_secs(1);
    let prefixes: Vec<String> =
        (0..count).map(|number| format!("{}/32", Ipv4Addr::from(0x0a00_0000 + number))).collect();
    speaker.tell(name, bad, routes(prefixes.iter().map(String::as_str)));
}

/// How long a change takes to the good router.
fn change(speaker: &mut Node, frr: &Frr, prefix: &str) -> anyhow::Result<Duration> {
    let began = Instant::now();
    speaker.routes("good", routes(["203.0.113.7/32", prefix]));
    wait::until(LIMIT, format!("{prefix} at the good router"), || {
        frr.paths(prefix).is_ok_and(|paths| paths.len() == 1)
    })?;
    Ok(began.elapsed())
}

#[test]
fn who_never_reads_or_floods_holds_nobody_up() -> anyhow::Result<()> {
    let Some(lab) = lab(1, 2)? else { return Ok(()) };
    let (node, good, bad) = (&lab.nodes[0], &lab.routers[0], &lab.routers[1]);
    let frr = Frr::start(&lab, good, &frr::bgpd(THEIRS, &[(&node.v4.to_string(), OURS, "")]))?;
    let deaf = BadPeer::start(&bad.netns, PORT, |mut stream, _, over| {
        let hello = [open(), message(4, &[])].concat();
        while !over.load(Ordering::Relaxed) && stream.write_all(&hello[..]).is_ok() {
            while !over.load(Ordering::Relaxed) {
                wait::observe(Duration::from_millis(20));
            }
        }
    })?;
    let flood = BadPeer::start(&bad.netns, PORT + 1, |mut stream, _, over| {
        let many = message(4, &[]).repeat(3_000);
        let mut answer = [0; 4096];
        if stream.write_all(&open()).is_err() {
            return;
        }
        while !over.load(Ordering::Relaxed) && stream.write_all(&many).is_ok() {
            drop(stream.read(&mut answer));
        }
    })?;
    let mut speaker = Node::start(node)?;
    speaker.tell("good", session(node, good.v4.into(), THEIRS), routes(["203.0.113.7/32"]));
    tell(&mut speaker, node, bad, "deaf", PORT, 50_000);
    tell(&mut speaker, node, bad, "flood", PORT + 1, 1);
    speaker.wait_told("good")?;
    for name in ["deaf", "flood"] {
        wait::until(LIMIT, format!("{name} to be established"), || {
            speaker.peer(name).is_some_and(|peer| peer.is_established())
        })?;
    }
    wait::until(LIMIT, "the flood", || {
        speaker.peer("flood").is_some_and(|peer| peer.bgp.counters.received.keepalive > 100_000)
    })?;

    let took = [change(&mut speaker, &frr, "203.0.113.8/32")?, change(&mut speaker, &frr, "203.0.113.9/32")?];

    println!("changes beside a deaf and a flooding peer took {took:?}");
    assert!(took.iter().all(|took| *took < Duration::from_secs(2)), "{took:?}");
    let told = speaker.peer("deaf").map(|peer| (peer.bgp.told, peer.bgp.settled));
    assert!(told.is_some_and(|(told, settled)| told > 0 && !settled), "{told:?}");
    drop((deaf, flood));
    Ok(())
}

#[test]
fn every_notification_is_told_and_its_peer_is_tried_again() -> anyhow::Result<()> {
    let Some(lab) = lab(1, 1)? else { return Ok(()) };
    let (node, router) = (&lab.nodes[0], &lab.routers[0]);
    let frr = Frr::start(&lab, router, &frr::bgpd(THEIRS, &[(&node.v4.to_string(), OURS, "")]))?;
    let all: Vec<[u8; 2]> = (0..=9).flat_map(|code| [0, 1, 9, 255].map(|subcode| [code, subcode])).collect();
    // A dozen of peers, so that back-off does not make the test long.
    let peers = 8;
    let bad = (0..peers)
        .map(|peer| {
            let mine: Vec<[u8; 2]> = all.iter().copied().skip(peer).step_by(peers).collect();
            let port = PORT + u16::try_from(peer)?;
            BadPeer::start(&router.netns, port, move |mut stream, served, _| {
                let notification = message(3, &[mine[served % mine.len()].as_slice(), b"\x05\xff\xfebad"].concat());
                let hello = if served % 2 == 0 { [open(), notification].concat() } else { notification };
                // The other end may be gone already.
                drop(stream.write_all(&hello));
                drop(stream.read(&mut [0; 4096]));
            })
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    let mut speaker = Node::start(node)?;
    speaker.tell("good", session(node, router.v4.into(), THEIRS), routes(["203.0.113.7/32"]));
    for peer in 0..peers {
        tell(&mut speaker, node, router, &format!("bad {peer}"), PORT + u16::try_from(peer)?, 1);
    }
    speaker.wait_told("good")?;
    wait::for_ok(LIMIT, "every NOTIFICATION to be sent", || {
        let served: Vec<_> = bad.iter().map(BadPeer::served).collect();
        if served.iter().all(|served| *served >= all.len() / peers) { Ok(()) } else { Err(served) }
    })?;
    for peer in 0..peers {
        speaker.wait_reason(&format!("bad {peer}"), "closed by the peer: ")?;
    }
    assert!(change(&mut speaker, &frr, "203.0.113.8/32")? < Duration::from_secs(2));
    assert_eq!(speaker.peer("good").map(|peer| peer.bgp.counters.established), Some(1));
    Ok(())
}
