//! This node's addresses around one session: what next hops are made of.
//!
//! A session over IPv4 also tells IPv6 routes, and the other way round: their next hop is an address of the other family on
//! the same interface. Spec: RFC 2545 §3 (the link-local one beside it, if the peer is on the link).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use lb_bgp::NextHops;
use nix::ifaddrs::getifaddrs;

/// An address of an interface, with its on-link prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Own {
    pub(super) interface: String,
    pub(super) net: IpNet,
}

/// Every address of this network namespace. Empty where the kernel cannot be asked: the session then tells what it can.
pub(super) fn addresses() -> Vec<Own> {
    let Ok(all) = getifaddrs() else { return Vec::new() };
    all.filter_map(|entry| {
        let address = ip(entry.address?)?;
        let mask = ip(entry.netmask?)?;
        let net = IpNet::with_netmask(address, mask).ok()?;
        Some(Own { interface: entry.interface_name, net })
    })
    .collect()
}

fn ip(address: nix::sys::socket::SockaddrStorage) -> Option<IpAddr> {
    let v4 = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
    v4.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
}

/// The next hops of a session between `local` and `peer`.
pub(super) fn next_hops(own: &[Own], local: IpAddr, peer: IpAddr) -> NextHops {
    let local = local.to_canonical();
    let interface = own.iter().find(|own| own.net.addr() == local).map(|own| own.interface.as_str());
    let here = || own.iter().filter(|own| interface == Some(own.interface.as_str())).map(|own| own.net);
    let global = |address: &Ipv6Addr| !address.is_unicast_link_local() && !address.is_loopback();
    let on_link = here().any(|net| net.contains(&peer.to_canonical()));
    let sixes = || here().filter_map(|net| if let IpAddr::V6(address) = net.addr() { Some(address) } else { None });
    NextHops {
        v4: if local.is_ipv4() { None } else { first_v4(here()) },
        v6: match local {
            IpAddr::V6(address) if global(&address) => None,
            IpAddr::V6(_) | IpAddr::V4(_) => sixes().find(global),
        },
        link_local: sixes().find(Ipv6Addr::is_unicast_link_local).filter(|_| on_link),
    }
}

/// Whether an address is in the prefix of an interface.
pub(super) fn is_on_link(own: &[Own], address: IpAddr) -> bool {
    own.iter().any(|own| own.net.contains(&address.to_canonical()))
}

/// The first IPv4 address of the interface that has `local`.
pub(super) fn v4_beside(own: &[Own], local: IpAddr) -> Option<Ipv4Addr> {
    let interface = &own.iter().find(|own| own.net.addr() == local)?.interface;
    first_v4(own.iter().filter(|own| own.interface == *interface).map(|own| own.net))
}

fn first_v4(mut nets: impl Iterator<Item = IpNet>) -> Option<Ipv4Addr> {
    nets.find_map(|net| match net.addr() {
        IpAddr::V4(address) if !address.is_loopback() => Some(address),
        IpAddr::V4(_) | IpAddr::V6(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> Vec<Own> {
        [
            ("lo", "127.0.0.1/8"),
            ("lo", "::1/128"),
            ("eth0", "192.0.2.11/24"),
            ("eth0", "2001:db8:2::11/64"),
            ("eth0", "fe80::11/64"),
            ("eth1", "198.51.100.1/24"),
            ("eth1", "fe80::12/64"),
        ]
        .map(|(interface, net)| Own { interface: interface.to_owned(), net: net.parse().unwrap() })
        .to_vec()
    }

    fn hops(local: &str, peer: &str) -> [Option<String>; 3] {
        let hops = next_hops(&own(), local.parse().unwrap(), peer.parse().unwrap());
        [hops.v4.map(|v4| v4.to_string()), hops.v6.map(|v6| v6.to_string()), hops.link_local.map(|ll| ll.to_string())]
    }

    #[test]
    fn the_other_family_is_told_with_an_address_of_the_same_interface() {
        let (v4, v6, ll) = (Some("192.0.2.11".into()), Some("2001:db8:2::11".into()), Some("fe80::11".into()));
        assert_eq!(hops("192.0.2.11", "192.0.2.251"), [None, v6.clone(), ll.clone()]);
        assert_eq!(hops("2001:db8:2::11", "2001:db8:2::251"), [v4.clone(), None, ll.clone()]);
        assert_eq!(hops("fe80::11", "fe80::251"), [v4, v6, ll]);
        // Behind a router no link-local address is of use; where there is no global one, IPv6 cannot be told.
        assert_eq!(hops("192.0.2.11", "203.0.113.1"), [None, Some("2001:db8:2::11".into()), None]);
        assert_eq!(hops("198.51.100.1", "198.51.100.2"), [None, None, Some("fe80::12".into())]);
        assert_eq!(hops("203.0.113.9", "203.0.113.1"), [None, None, None]);
    }
}
