//! Solicited-node groups and allmulticast.
//!
//! A group is an address with `autojoin`: the membership belongs to the interface and outlives the process, which a
//! packet socket's does not.

use std::net::{IpAddr, Ipv6Addr};

use netlink_packet_route::{
    AddressFamily,
    address::{AddressAttribute, AddressFlags, AddressMessage},
};
use rtnetlink::LinkUnspec;

use super::{Requests, is_errno};

/// Joins; joined already is fine. After the interface was down the kernel has taken the address away and kept the
/// membership (EADDRINUSE): the group passes, but nothing can be left by that address until the interface goes.
pub(crate) async fn join(requests: &Requests, ifindex: u32, group: Ipv6Addr) -> Result<(), rtnetlink::Error> {
    let mut request = requests.handle.address().add(ifindex, IpAddr::V6(group), 128);
    let flags = AddressFlags::Mcautojoin | AddressFlags::Noprefixroute | AddressFlags::Nodad;
    *request.message_mut() = message(ifindex, group);
    request.message_mut().attributes.push(AddressAttribute::Flags(flags));
    tolerate(tolerate(request.execute().await, libc::EEXIST), libc::EADDRINUSE)
}

/// Leaves; not joined, or the interface gone, is fine.
pub(crate) async fn leave(requests: &Requests, ifindex: u32, group: Ipv6Addr) -> Result<(), rtnetlink::Error> {
    let left = requests.handle.address().del(message(ifindex, group)).execute().await;
    tolerate(tolerate(left, libc::EADDRNOTAVAIL), libc::ENODEV)
}

/// By hand: rtnetlink names a group `IFA_MULTICAST`, which the kernel only ever tells and refuses to be told.
fn message(ifindex: u32, group: Ipv6Addr) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = AddressFamily::Inet6;
    message.header.prefix_len = 128;
    message.header.index = ifindex;
    message.attributes.push(AddressAttribute::Local(IpAddr::V6(group)));
    message.attributes.push(AddressAttribute::Address(IpAddr::V6(group)));
    message
}

/// Makes the interface pass every multicast frame, or stop to.
pub(crate) async fn set_all_multicast(requests: &Requests, ifindex: u32, on: bool) -> Result<(), rtnetlink::Error> {
    let message = LinkUnspec::new_with_index(ifindex).allmulticast(on).build();
    tolerate(requests.handle.link().set(message).execute().await, libc::ENODEV)
}

fn tolerate(result: Result<(), rtnetlink::Error>, errno: i32) -> Result<(), rtnetlink::Error> {
    match result {
        Err(error) if is_errno(&error, errno) => Ok(()),
        other => other,
    }
}
