//! A packet socket that gives frames as they were on the wire.
//!
//! Linux takes the outer VLAN tag off before a packet socket sees the frame and tells it beside the data
//! (`PACKET_AUXDATA`, packet(7)); here it is put back.

use std::{
    io,
    mem::{MaybeUninit, size_of},
    os::fd::AsRawFd,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socket2::{Domain, Protocol, SockAddr, SockAddrStorage, Socket, Type};
use std::os::fd::AsFd;

const LONGEST: usize = 2048;

/// The socket, bound to one interface.
pub struct Tap {
    socket: Socket,
}

impl Tap {
    /// Opens a socket on `interface` of the calling thread's namespace.
    pub fn open(interface: &str) -> Result<Self> {
        let every = u16::try_from(libc::ETH_P_ALL)?.to_be();
        let socket = Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(i32::from(every))))
            .context("a packet socket")?;
        let ifindex = nix::net::if_::if_nametoindex(interface)?;
        socket.bind(&link_address(every, i32::try_from(ifindex)?)).context("binding the packet socket")?;
        let on: libc::c_int = 1;
        // SAFETY: the option takes an int, and `on` is one.
        let error = unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                libc::SOL_PACKET,
                libc::PACKET_AUXDATA,
                (&raw const on).cast(),
                u32::try_from(size_of::<libc::c_int>())?,
            )
        };
        ensure!(error == 0, "PACKET_AUXDATA: {}", io::Error::last_os_error());
        socket.set_nonblocking(true)?;
        Ok(Self { socket })
    }

    /// Sends one frame as it is.
    pub fn send(&self, frame: &[u8]) -> Result<()> {
        let sent = self.socket.send(frame).context("sending a frame")?;
        ensure!(sent == frame.len(), "sent {sent} of {} bytes", frame.len());
        Ok(())
    }

    /// Throws away what has arrived so far.
    pub fn drain(&self) -> Result<()> {
        while self.read()?.is_some() {}
        Ok(())
    }

    /// The next frame from the other end, tags included; `None` after `patience`.
    pub fn receive(&self, patience: Duration) -> Result<Option<Vec<u8>>> {
        if let Some(frame) = self.read()? {
            return Ok(Some(frame));
        }
        let timeout = PollTimeout::try_from(patience).unwrap_or(PollTimeout::MAX);
        poll(&mut [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)], timeout)?;
        self.read()
    }

    /// One frame from the other end, if there is one; our own are skipped.
    fn read(&self) -> Result<Option<Vec<u8>>> {
        loop {
            let mut frame = vec![0_u8; LONGEST];
            let mut control = [0_u64; 16];
            let mut from = MaybeUninit::<libc::sockaddr_ll>::zeroed();
            let mut part = libc::iovec { iov_base: frame.as_mut_ptr().cast(), iov_len: frame.len() };
            // SAFETY: all zeros is a valid `msghdr`.
            let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
            header.msg_name = from.as_mut_ptr().cast();
            header.msg_namelen = u32::try_from(size_of::<libc::sockaddr_ll>())?;
            header.msg_iov = &raw mut part;
            header.msg_iovlen = 1;
            header.msg_control = control.as_mut_ptr().cast();
            header.msg_controllen = size_of_val(&control);
            // SAFETY: every pointer in the header is to a live local of the length beside it.
            let length = unsafe { libc::recvmsg(self.socket.as_raw_fd(), &raw mut header, 0) };
            if length < 0 {
                let error = io::Error::last_os_error();
                return if error.kind() == io::ErrorKind::WouldBlock { Ok(None) } else { Err(error.into()) };
            }
            // SAFETY: zeroed, and filled by the kernel.
            if unsafe { from.assume_init() }.sll_pkttype == libc::PACKET_OUTGOING {
                continue;
            }
            frame.truncate(usize::try_from(length)?);
            if let Some(tag) = outer_tag(&header) {
                frame.splice(12..12, tag);
            }
            return Ok(Some(frame));
        }
    }
}

/// The tag that the kernel took off, as it was on the wire.
fn outer_tag(header: &libc::msghdr) -> Option<[u8; 4]> {
    // SAFETY: the header was filled by `recvmsg` and its control buffer lives.
    let message = unsafe { libc::CMSG_FIRSTHDR(header).as_ref()? };
    if message.cmsg_level != libc::SOL_PACKET || message.cmsg_type != libc::PACKET_AUXDATA {
        return None;
    }
    // SAFETY: a message of this level and type carries a `tpacket_auxdata`.
    let auxiliary = unsafe { libc::CMSG_DATA(message).cast::<libc::tpacket_auxdata>().read_unaligned() };
    if auxiliary.tp_status & libc::TP_STATUS_VLAN_VALID == 0 {
        return None;
    }
    let [t0, t1] = auxiliary.tp_vlan_tpid.to_be_bytes();
    let [c0, c1] = auxiliary.tp_vlan_tci.to_be_bytes();
    Some([t0, t1, c0, c1])
}

#[expect(clippy::cast_possible_truncation, reason = "a constant of 17 and a size of 20")]
fn link_address(protocol: u16, ifindex: i32) -> SockAddr {
    let mut storage = SockAddrStorage::zeroed();
    // SAFETY: a `sockaddr_ll` fits the storage, whose zeros are a valid value of it.
    let address = unsafe { storage.view_as::<libc::sockaddr_ll>() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = protocol;
    address.sll_ifindex = ifindex;
    let length = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    // SAFETY: the storage holds a `sockaddr_ll` of that length.
    unsafe { SockAddr::new(storage, length) }
}
