//! Hears every announcement on a segment: gratuitous ARP and unsolicited neighbour advertisements, with who sent the
//! first one for each address and when.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    os::fd::AsFd as _,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use anyhow::Context as _;
use nix::poll::{PollFd, PollFlags, ppoll};

use crate::{
    asker::Stamp,
    frames,
    lab::Namespace,
    mac::Mac,
    packet_socket::{FRAME, PacketSocket},
};

/// How soon it notices that it should end.
const NOTICE: Duration = Duration::from_millis(20);

/// The first announcement of each address by each station.
pub type Firsts = BTreeMap<(IpAddr, Mac), Stamp>;

/// A listener at work.
#[derive(Debug)]
pub struct Overhearer {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<anyhow::Result<Firsts>>,
}

impl Overhearer {
    /// Listens on `interface` of a namespace.
    pub fn start(netns: &Namespace, interface: &str) -> anyhow::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (seen, interface) = (Arc::clone(&stop), interface.to_owned());
        let thread = netns.spawn("overhear", move || listen(&interface, &seen))?;
        Ok(Self { stop, thread })
    }

    /// Ends, and says what it heard; an error if it missed a frame.
    pub fn finish(self) -> anyhow::Result<Firsts> {
        self.stop.store(true, Ordering::Release);
        self.thread.join().ok().context("the listener has panicked")?
    }
}

fn listen(interface: &str, stop: &AtomicBool) -> anyhow::Result<Firsts> {
    let (arp, ndp) = (PacketSocket::open(interface, frames::ARP)?, PacketSocket::open(interface, frames::IPV6)?);
    let mut firsts = Firsts::new();
    let mut frame = [0; FRAME];
    while !stop.load(Ordering::Acquire) {
        let mut heard = false;
        for socket in [&arp, &ndp] {
            while let Some(received) = socket.receive(&mut frame)? {
                heard = true;
                if let Some(who) = announced(&frame[..received.length.min(FRAME)]) {
                    firsts.entry(who).or_insert(Stamp(received.at));
                }
            }
        }
        if !heard {
            let mut fds = [&arp, &ndp].map(|socket| PollFd::new(socket.as_fd(), PollFlags::POLLIN));
            match ppoll(&mut fds, Some(NOTICE.into()), None) {
                Ok(_) | Err(nix::errno::Errno::EINTR) => {}
                Err(error) => return Err(error).context("wait for announcements"),
            }
        }
    }
    let lost = arp.drops()? + ndp.drops()?;
    anyhow::ensure!(lost == 0, "the run is void: {lost} frames were lost on the way to the listener");
    Ok(firsts)
}

/// What a frame announces to everybody: an ARP of either form whose sender is its target, or an advertisement to all
/// nodes (RFC 5227 §3, RFC 4861 §7.2.6).
fn announced(frame: &[u8]) -> Option<(IpAddr, Mac)> {
    if let Some(arp) = frames::read_arp(frame) {
        return (arp.from.ip == arp.to.ip).then_some((arp.from.ip.into(), arp.from.mac));
    }
    let ndp = frames::read_ndp(frame).filter(|ndp| ndp.answer && ndp.to.ip.is_multicast())?;
    Some((ndp.target.into(), ndp.from.mac))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frames::Station;

    const HOLDER: Mac = Mac([2, 0, 0, 0, 0, 2]);

    #[test]
    fn gratuitous_arp_announces_and_a_question_or_an_answer_does_not() {
        let vip = Station { mac: HOLDER, ip: "192.0.2.100".parse().unwrap() };
        let asker = Station { mac: Mac([2, 0, 0, 0, 0, 1]), ip: "192.0.2.201".parse().unwrap() };
        assert_eq!(announced(&frames::arp_request(vip, vip.ip)), Some((vip.ip.into(), HOLDER)));
        assert_eq!(announced(&frames::arp_reply(vip, vip)), Some((vip.ip.into(), HOLDER)));
        assert_eq!(announced(&frames::arp_request(asker, vip.ip)), None);
        assert_eq!(announced(&frames::arp_reply(vip, asker)), None);
    }

    #[test]
    fn an_advertisement_to_all_nodes_announces_and_one_to_an_asker_does_not() {
        let vip = Station { mac: HOLDER, ip: "2001:db8:2::100".parse().unwrap() };
        let to = |ip: &str| Station { mac: Mac([0x33, 0x33, 0, 0, 0, 1]), ip: ip.parse().unwrap() };
        let all = frames::advertisement(vip, to("ff02::1"), vip.ip);
        assert_eq!(announced(&all), Some((vip.ip.into(), HOLDER)));
        assert_eq!(announced(&frames::advertisement(vip, to("2001:db8:2::201"), vip.ip)), None);
    }
}
