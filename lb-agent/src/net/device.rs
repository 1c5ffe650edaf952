//! Binds a socket to a device: what a peer's VRF or interface means to its packets (SO_BINDTODEVICE, socket(7)).

use std::io;

use socket2::Socket;

/// Lets a socket send and receive through this device only: an interface, or a VRF with all of its interfaces and its routes
/// (Linux, Documentation/networking/vrf.rst). `None`: through any of the default VRF.
///
/// # Errors
/// With what to do about it, if there is no such device.
pub(crate) fn bind(socket: &Socket, device: Option<&str>) -> io::Result<()> {
    let Some(device) = device else { return Ok(()) };
    socket.bind_device(Some(device.as_bytes())).map_err(|error| match error.raw_os_error() {
        Some(libc::ENODEV) => io::Error::new(io::ErrorKind::NotFound, missing(device)),
        _ => error,
    })
}

fn missing(device: &str) -> String {
    format!(
        "this node has no VRF or interface {device}: create it, or correct spec.vrf or spec.interface of the BGPPeer, or \
         its spec.nodeSelectors"
    )
}

#[cfg(test)]
mod tests {
    use socket2::{Domain, Type};

    use super::*;

    #[test]
    fn a_device_that_is_not_there_is_named_with_what_to_do() {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();

        let error = bind(&socket, Some("no-such-vrf")).unwrap_err();

        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert!(
            error.to_string().starts_with("this node has no VRF or interface no-such-vrf: create it, or"),
            "{error}"
        );
        bind(&socket, None).unwrap();
    }
}
