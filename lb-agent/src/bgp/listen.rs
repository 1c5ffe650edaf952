//! Accepts connections, where that is asked for: one listener for each family and device.
//!
//! A port that is taken fails only the listener: the peers are dialled as before, and the status says why. It is tried
//! again, since whoever has the port may go.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::AbortHandle,
};

use super::{
    endpoint::{Authentication, Endpoint, Password, Remote},
    option,
    peer::chain,
    socket,
};

/// A connection that was accepted.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) stream: TcpStream,
    pub(super) from: SocketAddr,
    pub(super) device: Option<String>,
}

/// The device, and any address of the family.
type Place = (Option<String>, IpAddr);

struct Listener {
    socket: Arc<TcpListener>,
    passwords: BTreeMap<IpAddr, Password>,
    task: AbortHandle,
}

/// All listeners.
pub(super) struct Listeners {
    port: Option<u16>,
    open: BTreeMap<Place, Listener>,
    calls: mpsc::Sender<Call>,
}

impl Listeners {
    pub(super) const fn new(calls: mpsc::Sender<Call>) -> Self {
        Self { port: None, open: BTreeMap::new(), calls }
    }

    /// Opens and closes listeners and gives them the peers' passwords. What went wrong, for the status.
    pub(super) fn apply<'a>(
        &mut self,
        port: Option<u16>,
        peers: impl Iterator<Item = &'a Endpoint> + Clone,
    ) -> Option<String> {
        if self.port != port {
            self.open.clear();
            self.port = port;
        }
        let port = port?;
        let places: BTreeSet<Place> = peers.clone().flat_map(places).collect();
        self.open.retain(|place, _| places.contains(place));
        let mut problems = Vec::new();
        for place in places {
            if let Err(problem) = self.open(&place, port) {
                problems.push(problem);
                continue;
            }
            let here = peers.clone().filter(|endpoint| endpoint.bound_to() == place.0.as_deref());
            let wanted = here.filter_map(password).filter(|(peer, _)| peer.is_ipv4() == place.1.is_ipv4()).collect();
            if let Some(listener) = self.open.get_mut(&place)
                && let Err(problem) = listener.secure(wanted)
            {
                problems.push(problem);
            }
        }
        (!problems.is_empty()).then(|| problems.join("; "))
    }

    fn open(&mut self, place: &Place, port: u16) -> Result<(), String> {
        if self.open.contains_key(place) {
            return Ok(());
        }
        let (device, family) = place;
        let socket = socket::listen(*family, port, device.as_deref()).map_err(|error| chain(&error))?;
        let socket = Arc::new(socket);
        let task = tokio::spawn(accept(Arc::clone(&socket), device.clone(), self.calls.clone())).abort_handle();
        self.open.insert(place.clone(), Listener { socket, passwords: BTreeMap::new(), task });
        Ok(())
    }
}

impl Listener {
    /// Makes `wanted` the passwords that calls must carry.
    fn secure(&mut self, wanted: BTreeMap<IpAddr, Password>) -> Result<(), String> {
        let mut problem = Ok(());
        for gone in self.passwords.keys().filter(|peer| !wanted.contains_key(peer)) {
            let removed = option::set_password(&*self.socket, *gone, None);
            problem = problem.and(removed.map_err(|error| format!("take away the password of {gone}: {error}")));
        }
        for (peer, password) in wanted.iter().filter(|(peer, password)| self.passwords.get(peer) != Some(password)) {
            let set = option::set_password(&*self.socket, *peer, Some(password));
            problem = problem.and(set.map_err(|error| format!("set the password of {peer} on the listener: {error}")));
        }
        self.passwords = wanted;
        problem
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn places(endpoint: &Endpoint) -> Vec<Place> {
    let device = endpoint.bound_to().map(str::to_owned);
    let family = match endpoint.remote {
        Remote::Address(IpAddr::V4(_)) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        Remote::Address(IpAddr::V6(_)) | Remote::Interface(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    vec![(device, family)]
}

fn password(endpoint: &Endpoint) -> Option<(IpAddr, Password)> {
    match (&endpoint.remote, &endpoint.authentication) {
        (Remote::Address(peer), Authentication::Md5(password)) => Some((*peer, password.clone())),
        (Remote::Address(_) | Remote::Interface(_), _) => None,
    }
}

async fn accept(listener: Arc<TcpListener>, device: Option<String>, calls: mpsc::Sender<Call>) {
    loop {
        match listener.accept().await {
            Ok((stream, from)) => {
                // A full queue: the caller comes again.
                if let Err(mpsc::error::TrySendError::Closed(_)) =
                    calls.try_send(Call { stream, from, device: device.clone() })
                {
                    return;
                }
            }
            Err(error) => {
                tracing::warn!("accept a BGP connection: {error}");
                // Out of descriptors, say: not at once again.
                tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            }
        }
    }
}
