//! "Something about links or addresses may have changed", and no more: the reader dumps everything again.

use std::io;

use futures::{StreamExt, channel::mpsc::UnboundedReceiver};
use netlink_packet_core::{NetlinkMessage, NetlinkPayload};
use netlink_packet_route::{RouteNetlinkMessage, address::AddressAttribute};
use rtnetlink::{MulticastGroup, sys::SocketAddr};
use tokio::task::JoinHandle;

/// Socket buffer for events: a node with many containers sees bursts.
const RECEIVE_BUFFER: usize = 1 << 20;

/// The connection for events.
#[derive(Debug)]
pub(crate) struct Events {
    messages: UnboundedReceiver<(NetlinkMessage<RouteNetlinkMessage>, SocketAddr)>,
    driver: JoinHandle<()>,
}

impl Events {
    /// Subscribes. Needs a running runtime.
    pub(crate) fn connect() -> io::Result<Self> {
        let groups = [MulticastGroup::Link, MulticastGroup::Ipv4Ifaddr, MulticastGroup::Ipv6Ifaddr];
        let (mut connection, _handle, messages) = rtnetlink::new_multicast_connection(&groups)?;
        use rtnetlink::sys::AsyncSocket;
        connection.socket_mut().socket_mut().set_rx_buf_sz(RECEIVE_BUFFER)?;
        Ok(Self { messages, driver: tokio::spawn(connection) })
    }

    /// Waits for the next change that matters, and takes the others that are there already. `None`: the connection
    /// has ended.
    pub(crate) async fn changed(&mut self) -> Option<()> {
        loop {
            let (message, _) = self.messages.next().await?;
            if !matters(&message.payload) {
                continue;
            }
            while let Ok(_coalesced) = self.messages.try_recv() {}
            return Some(());
        }
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// Solicited-node groups are addresses to the kernel, and our own: hundreds of them say nothing new. An overrun lost
/// events, so everything may have changed.
#[expect(clippy::wildcard_enum_match_arm, reason = "what is not known to be harmless may matter")]
fn matters(payload: &NetlinkPayload<RouteNetlinkMessage>) -> bool {
    match payload {
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewAddress(message)) => {
            !message.attributes.iter().any(|attribute| match attribute {
                AddressAttribute::Address(address) => address.is_multicast(),
                _ => false,
            })
        }
        NetlinkPayload::Noop | NetlinkPayload::Done(_) => false,
        _ => true,
    }
}
