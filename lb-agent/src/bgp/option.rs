//! Socket options that neither `socket2` nor `nix` has: TCP MD5 signatures, the least TTL, the ICMPv6 filter.
//!
//! The kernel takes a password per address of a peer: on a socket before it connects, on a listener before it accepts.
//! Specification: `struct tcp_md5sig` of `linux/tcp.h` (RFC 2385), RFC 5082, RFC 3542.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    os::fd::{AsFd, AsRawFd as _},
};

use super::endpoint::Password;

/// `struct tcp_md5sig`.
#[repr(C)]
struct Signature {
    address: Storage,
    flags: u8,
    prefix: u8,
    key_length: u16,
    ifindex: i32,
    key: [u8; Password::MAX],
}

/// `struct __kernel_sockaddr_storage`: 128 octets, aligned as a pointer is.
#[repr(C, align(8))]
struct Storage {
    octets: [u8; 128],
}

const _: () = assert!(size_of::<Signature>() == 216 && align_of::<Signature>() == 8);

impl Storage {
    /// `struct sockaddr_in` or `struct sockaddr_in6`; the port is 0, the kernel does not look at it.
    #[expect(clippy::cast_possible_truncation, reason = "both families are small numbers")]
    fn of(address: IpAddr) -> Self {
        let mut octets = [0; 128];
        let (family, at, address) = match address {
            IpAddr::V4(address) => (libc::AF_INET as u16, 4, address.octets().to_vec()),
            IpAddr::V6(address) => (libc::AF_INET6 as u16, 8, address.octets().to_vec()),
        };
        let mut put = |at: usize, what: &[u8]| octets.iter_mut().skip(at).zip(what).for_each(|(to, from)| *to = *from);
        put(0, &family.to_ne_bytes());
        put(at, &address);
        Self { octets }
    }
}

/// Segments to and from `peer` carry signatures of `password` from now on; without one, none.
pub(super) fn set_password(socket: &impl AsFd, peer: IpAddr, password: Option<&Password>) -> io::Result<()> {
    let octets = password.map_or(&[] as &[u8], Password::octets);
    let mut key = [0; Password::MAX];
    key.iter_mut().zip(octets).for_each(|(to, from)| *to = *from);
    let key_length = u16::try_from(octets.len()).map_err(io::Error::other)?;
    let signature = Signature { address: Storage::of(peer), flags: 0, prefix: 0, key_length, ifindex: 0, key };
    set_option(socket, libc::IPPROTO_TCP, libc::TCP_MD5SIG, &signature)
}

/// The least TTL or hop limit that segments may arrive with (RFC 5082 §3); 0: any.
pub(super) fn set_least_ttl(socket: &impl AsFd, family: SocketAddr, least: u8) -> io::Result<()> {
    let (level, option) = match family {
        SocketAddr::V4(_) => (libc::IPPROTO_IP, libc::IP_MINTTL),
        SocketAddr::V6(_) => (libc::IPPROTO_IPV6, libc::IPV6_MINHOPCOUNT),
    };
    set_option(socket, level, option, &libc::c_int::from(least))
}

/// An ICMPv6 socket hears router solicitations and advertisements, and nothing else (RFC 3542 §3.2).
pub(super) fn hear_routers(socket: &impl AsFd) -> io::Result<()> {
    /// ICMP6_FILTER of `linux/icmpv6.h`; a bit that is set blocks its type.
    const ICMP6_FILTER: libc::c_int = 1;
    const SOLICITATION_AND_ADVERTISEMENT: u32 = 1 << (133 - 128) | 1 << (134 - 128);
    let mut blocked = [u32::MAX; 8];
    blocked[4] = !SOLICITATION_AND_ADVERTISEMENT;
    set_option(socket, libc::IPPROTO_ICMPV6, ICMP6_FILTER, &blocked)
}

/// `T` has no padding, and is what the kernel takes for the option.
fn set_option<T>(socket: &impl AsFd, level: libc::c_int, option: libc::c_int, value: &T) -> io::Result<()> {
    let length = libc::socklen_t::try_from(size_of::<T>()).map_err(io::Error::other)?;
    // SAFETY: the pointer is to `value`, which outlives the call, with its own length; every octet of it is
    // initialised (no type that is given has padding), and the kernel copies it and keeps no pointer.
    let result = unsafe {
        libc::setsockopt(socket.as_fd().as_raw_fd(), level, option, std::ptr::from_ref(value).cast(), length)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_stand_where_the_kernel_reads_them() {
        let v4 = Storage::of("192.0.2.1".parse().unwrap()).octets;
        assert_eq!((&v4[..2], &v4[4..8]), (&2_u16.to_ne_bytes()[..], &[192, 0, 2, 1][..]));
        let v6 = Storage::of("2001:db8::1".parse().unwrap()).octets;
        assert_eq!((&v6[..2], v6[8], v6[23]), (&10_u16.to_ne_bytes()[..], 0x20, 1));
    }
}
