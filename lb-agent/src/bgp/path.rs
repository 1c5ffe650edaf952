//! BFD beside one peer's session: begun as soon as the peer's address is known, and the session's end when it fails.

use std::net::{IpAddr, SocketAddr};

use lb_bgp::PeerAs;

use super::{
    endpoint::{Hops, Remote},
    local,
    wanted::Session,
};
use crate::bfd::{self, Bfd, Follower, Path};

/// The monitor of one peer.
pub(super) struct Monitor {
    bfd: Bfd,
    wanted: Option<bfd::Wanted>,
    follower: Option<Follower>,
    /// The last failure that the session has been ended for.
    failures: u64,
}

impl Monitor {
    pub(super) const fn new(bfd: Bfd) -> Self {
        Self { bfd, wanted: None, follower: None, failures: 0 }
    }

    /// Begins, changes or ends monitoring.
    pub(super) fn want(&mut self, session: &Session, wanted: Option<bfd::Wanted>) {
        if self.wanted == wanted {
            return;
        }
        self.wanted = wanted;
        match (&self.wanted, &mut self.follower, &session.endpoint.remote) {
            (None, ..) => self.follower = None,
            (Some(wanted), Some(follower), _) => follower.change(wanted.clone()),
            (Some(wanted), None, Remote::Address(address)) => {
                self.follower = Some(self.bfd.follow(path(session, *address), wanted.clone()));
            }
            (Some(_), None, Remote::Interface(_)) => {} // until it is found
        }
    }

    /// The peer is there.
    pub(super) fn found(&mut self, session: &Session, peer: SocketAddr) {
        let Some(wanted) = &self.wanted else { return };
        let path = path(session, peer.ip());
        if self.follower.as_ref().is_none_or(|follower| *follower.path() != path) {
            self.failures = 0;
            self.follower = Some(self.bfd.follow(path, wanted.clone()));
        }
    }

    /// Leaves without telling the peer: the process is replaced.
    pub(super) fn abandon(&mut self) {
        if let Some(follower) = self.follower.take() {
            follower.abandon();
        }
    }

    pub(super) async fn changed(&mut self) {
        match &mut self.follower {
            Some(follower) => follower.changed().await,
            None => std::future::pending().await,
        }
    }

    /// Whether the path has failed since the last time that this was asked.
    pub(super) fn has_failed(&mut self) -> bool {
        let Some(follower) = &self.follower else { return false };
        let failures = follower.status().failures;
        std::mem::replace(&mut self.failures, failures) < failures
    }

    pub(super) fn status(&self) -> Option<bfd::SessionStatus> {
        self.follower.as_ref().map(Follower::status)
    }
}

fn path(session: &Session, peer: IpAddr) -> Path {
    let endpoint = &session.endpoint;
    let internal = match session.config.peer_as {
        PeerAs::Internal => true,
        PeerAs::External => false,
        PeerAs::Exactly(peer_as) => peer_as == session.config.local_as,
    };
    // Within an AS packets may take any number of hops, but a peer on the link is monitored as one, as FRR does it.
    let multihop = match endpoint.hops {
        Hops::Direct => false,
        Hops::Secured { hops } => hops > 1,
        Hops::Multi { .. } => !(internal && local::is_on_link(&local::addresses(), peer)),
    };
    Path { peer, local: endpoint.source, device: endpoint.bound_to().map(str::to_owned), multihop }
}
