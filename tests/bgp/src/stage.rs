//! A lab of nodes and routers, with a speaker in each node's namespace.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc, time::Duration};

use anyhow::Context as _;
use lb_agent::{
    bfd::SessionStatus,
    bgp::{Endpoint, Leave, PeerStatus, Session, Speaker, SpeakerStatus, Wanted, WantedPeer},
};
use lb_bgp::{Asn, PathAttributes, PeerAs, PeerConfig, Prefix, RouterId, Routes};
use lb_tests::{
    lab::{Host, Lab, Shape},
    wait,
};

/// A debug build on a busy machine, and an attempt that goes wrong for reasons of start-up.
pub const LIMIT: Duration = Duration::from_secs(20);
/// Our AS in most tests.
pub const OURS: u32 = 64_512;
/// The routers' AS in most tests.
pub const THEIRS: u32 = 64_513;

/// Nodes and routers on one segment.
pub fn lab(nodes: u8, routers: u8) -> anyhow::Result<Option<Lab>> {
    if !crate::met() {
        return Ok(None);
    }
    Lab::new(Shape { nodes, clients: 0, routers, snooping: false }).map(Some)
}

/// A speaker in a node's namespace.
#[derive(Debug)]
pub struct Node {
    host: Host,
    speaker: Option<Speaker>,
    wanted: Wanted,
}

impl Node {
    /// Starts a speaker that wants nothing yet.
    pub fn start(host: &Host) -> anyhow::Result<Self> {
        let speaker = host.netns.run(Speaker::start)?.context("start the speaker")?;
        Ok(Self { host: host.clone(), speaker: Some(speaker), wanted: Wanted::default() })
    }

    /// The wanted peers, to be changed. [`Node::apply`] makes it so.
    pub fn wanted(&mut self) -> &mut Wanted {
        &mut self.wanted
    }

    /// Hands the wanted peers over.
    pub fn apply(&self) {
        if let Some(speaker) = &self.speaker {
            speaker.apply(Arc::new(self.wanted.clone()));
        }
    }

    /// A peer with the whole of what it should know.
    pub fn tell(&mut self, name: &str, session: Session, routes: Routes) {
        let peer = WantedPeer { session: Arc::new(session), bfd: None, routes: Some(Arc::new(routes)) };
        self.wanted.peers.insert(name.to_owned(), peer);
        self.apply();
    }

    /// Other routes for a peer that is wanted already.
    pub fn routes(&mut self, name: &str, routes: Routes) {
        if let Some(peer) = self.wanted.peers.get_mut(name) {
            peer.routes = Some(Arc::new(routes));
        }
        self.apply();
    }

    /// What the speaker shows.
    pub fn status(&self) -> SpeakerStatus {
        self.speaker.as_ref().map(|speaker| speaker.status().borrow().clone()).unwrap_or_default()
    }

    /// What it shows of one peer.
    pub fn peer(&self, name: &str) -> Option<PeerStatus> {
        self.status().peers.remove(name)
    }

    /// What BFD says of the path to an address.
    pub fn bfd(&self, peer: IpAddr) -> Option<SessionStatus> {
        let sessions = self.speaker.as_ref()?.bfd().sessions();
        sessions.into_iter().find(|session| session.path.peer == peer)
    }

    /// Waits until a peer is Established and knows everything.
    pub fn wait_told(&self, name: &str) -> anyhow::Result<PeerStatus> {
        let told = wait::for_ok(LIMIT, format!("{name} to be told everything"), || {
            let peer = self.peer(name).ok_or_else(|| "no such peer".to_owned())?;
            if peer.bgp.settled { Ok(peer) } else { Err(format!("{:?}: {}", peer.bgp.state, peer.reason())) }
        });
        Ok(told?)
    }

    /// Waits until the reason why a peer is down has these words in it.
    pub fn wait_reason(&self, name: &str, words: &str) -> anyhow::Result<PeerStatus> {
        let said = wait::for_ok(LIMIT, format!("{name} to be down for {words:?}"), || {
            let peer = self.peer(name).ok_or_else(|| "no such peer".to_owned())?;
            let reason = peer.reason();
            if !peer.is_established() && reason.contains(words) { Ok(peer) } else { Err(reason) }
        });
        Ok(said?)
    }

    /// Leaves every peer.
    pub fn leave(&mut self, how: Leave) -> anyhow::Result<()> {
        let Some(speaker) = self.speaker.take() else { return Ok(()) };
        tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(speaker.leave(how));
        Ok(())
    }

    /// The next process: wants the same.
    pub fn again(&mut self) -> anyhow::Result<()> {
        self.speaker = Some(self.host.netns.run(Speaker::start)?.context("start the speaker")?);
        self.apply();
        Ok(())
    }
}

/// A session of [`OURS`] with this AS.
pub fn session(host: &Host, peer: IpAddr, peer_as: u32) -> Session {
    let asn = |number| Asn::new(number).expect("test data");
    let id = RouterId::new(host.v4).expect("an address");
    let config = PeerConfig::new(asn(OURS), PeerAs::Exactly(asn(peer_as)), id);
    Session { config, endpoint: Endpoint::new(peer) }
}

/// Routes without attributes.
pub fn routes<'a>(prefixes: impl IntoIterator<Item = &'a str>) -> Routes {
    with(prefixes, PathAttributes::default())
}

/// Routes with attributes.
pub fn with<'a>(prefixes: impl IntoIterator<Item = &'a str>, attributes: PathAttributes) -> Routes {
    let attributes = Arc::new(attributes);
    prefixes.into_iter().map(|text| (prefix(text), Arc::clone(&attributes))).collect()
}

/// A set of communities from their texts.
pub fn communities<T: std::str::FromStr<Err: std::fmt::Debug> + Ord>(texts: &[&str]) -> BTreeSet<T> {
    texts.iter().map(|text| text.parse().expect("test data")).collect()
}

fn prefix(text: &str) -> Prefix {
    let (address, length) = text.split_once('/').expect("test data");
    Prefix::new(address.parse().expect("test data"), length.parse().expect("test data")).expect("test data")
}
