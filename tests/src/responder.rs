//! Answers ARP and NDP from user space over AF_PACKET: the stand-in for another load balancer on the node.
//!
//! It is what Herald must not be in the way of: after `lb-agent cleanup`, and past the suppress limit.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr},
    os::fd::AsFd as _,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use anyhow::Context as _;
use nix::poll::{PollFd, PollFlags, ppoll};

use crate::{
    frames::{self, Station},
    lab::{Host, INTERFACE},
    mac::Mac,
    packet_socket::{FRAME, PacketSocket},
};

/// How long it may take to notice that it should end.
const NOTICE: Duration = Duration::from_millis(50);

/// Announces an address for a station, once, as a host does that was given one that is in use (RFC 5227 §2.3).
pub fn announce(host: &Host, address: Ipv4Addr) -> anyhow::Result<()> {
    let frame = frames::arp_request(Station { mac: host.mac, ip: address }, address);
    host.netns.run(|| -> anyhow::Result<()> {
        PacketSocket::open(INTERFACE, frames::ARP)?.send(&frame).context("announce an address")
    })?
}

/// A responder at work. It ends when dropped.
#[derive(Debug)]
pub struct Responder {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<anyhow::Result<()>>>,
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    answered: AtomicU64,
}

impl Responder {
    /// Starts to answer for `addresses` on a node, with `mac`: not the node's own, so that a client can tell.
    pub fn start(node: &Host, mac: Mac, addresses: &[IpAddr]) -> anyhow::Result<Self> {
        let shared = Arc::new(Shared::default());
        let (seen, addresses) = (Arc::clone(&shared), addresses.iter().copied().collect());
        let (opened, ready) = std::sync::mpsc::channel();
        let thread = node.netns.spawn("responder", move || {
            let arp = PacketSocket::open(INTERFACE, frames::ARP)?;
            let ndp = PacketSocket::open(INTERFACE, frames::IPV6)?;
            opened.send(()).context("say that it listens")?;
            answer(&[arp, ndp], mac, &addresses, &seen)
        })?;
        match ready.recv() {
            Ok(()) => Ok(Self { shared, thread: Some(thread) }),
            Err(_ended) => match thread.join() {
                Ok(result) => result.and(Err(anyhow::anyhow!("the responder ended"))),
                Err(panic) => std::panic::resume_unwind(panic),
            },
        }
    }

    /// How many questions it answered.
    pub fn answered(&self) -> u64 {
        self.shared.answered.load(Ordering::Acquire)
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        if let Some(Ok(Err(error))) = self.thread.take().map(JoinHandle::join) {
            tracing::warn!("the responder failed: {error:#}");
        }
    }
}

fn answer(sockets: &[PacketSocket], mac: Mac, addresses: &BTreeSet<IpAddr>, shared: &Shared) -> anyhow::Result<()> {
    let mut frame = [0; FRAME];
    while !shared.stop.load(Ordering::Acquire) {
        for socket in sockets {
            while let Some(received) = socket.receive(&mut frame)? {
                let Some(reply) = reply_to(&frame[..received.length.min(FRAME)], mac, addresses) else { continue };
                socket.send(&reply).context("send an answer")?;
                shared.answered.fetch_add(1, Ordering::Release);
            }
        }
        let mut fds: Vec<_> = sockets.iter().map(|socket| PollFd::new(socket.as_fd(), PollFlags::POLLIN)).collect();
        ppoll(&mut fds, Some(NOTICE.into()), None).context("wait for questions")?;
    }
    Ok(())
}

fn reply_to(frame: &[u8], mac: Mac, addresses: &BTreeSet<IpAddr>) -> Option<Vec<u8>> {
    if let Some(asked) = frames::read_arp(frame).filter(|message| !message.answer) {
        let ours = Station { mac, ip: asked.target };
        return addresses.contains(&asked.target.into()).then(|| frames::arp_reply(ours, asked.from));
    }
    let asked = frames::read_ndp(frame).filter(|message| !message.answer)?;
    let ours = Station { mac, ip: asked.target };
    addresses.contains(&asked.target.into()).then(|| frames::advertisement(ours, asked.from, asked.target))
}
