//! An AF_PACKET socket on one interface of the calling thread's namespace (packet(7)).
//!
//! Frames are whole Ethernet frames. A frame that came in carries the kernel's receive time, so that a busy machine
//! does not make an answer late. What this host sends itself is not seen.

use std::{
    fs, io,
    os::fd::{AsFd, AsRawFd as _, BorrowedFd},
    time::Duration,
};

use anyhow::Context as _;
use nix::sys::{
    socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt, sockopt},
    time::TimeSpec,
};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

/// Room for every frame of one second at many times the rate that is asked for.
const RECEIVE_BUFFER: usize = 16 << 20;
/// Long enough for every frame that is looked at; the rest of a longer one is cut off.
pub const FRAME: usize = 256;

/// A bound socket that does not block.
#[derive(Debug)]
pub struct PacketSocket {
    socket: Socket,
}

/// A frame that came in.
#[derive(Debug)]
pub struct Received {
    /// Bytes in the caller's buffer.
    pub length: usize,
    /// When the kernel got it, in wall-clock time since 1970.
    pub at: Duration,
}

impl PacketSocket {
    /// Opens a socket for one EtherType on `interface`.
    pub fn open(interface: &str, ethertype: u16) -> anyhow::Result<Self> {
        let index = index_of(interface)?;
        let protocol = ethertype.to_be();
        let socket = Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(i32::from(protocol))))
            .context("open a packet socket")?;
        socket.set_nonblocking(true)?;
        setsockopt(&socket, sockopt::RcvBufForce, &RECEIVE_BUFFER).context("set the receive buffer")?;
        setsockopt(&socket, sockopt::ReceiveTimestampns, &true).context("ask for receive times")?;
        option(&socket, libc::PACKET_IGNORE_OUTGOING, &1_i32).context("ignore our own frames")?;
        socket.bind(&link_address(protocol, index)?).with_context(|| format!("bind to {interface}"))?;
        Ok(Self { socket })
    }

    /// Sends one frame.
    pub fn send(&self, frame: &[u8]) -> io::Result<()> {
        self.socket.send(frame).map(drop)
    }

    /// Takes one frame, `None` if there is none.
    pub fn receive(&self, frame: &mut [u8; FRAME]) -> anyhow::Result<Option<Received>> {
        let mut control = nix::cmsg_space!(TimeSpec);
        let mut parts = [io::IoSliceMut::new(frame)];
        let fd = self.socket.as_raw_fd();
        let message = match recvmsg::<SockaddrStorage>(fd, &mut parts, Some(&mut control), MsgFlags::empty()) {
            Ok(message) => message,
            Err(nix::errno::Errno::EAGAIN) => return Ok(None),
            Err(error) => return Err(error).context("receive a frame"),
        };
        let stamp = message.cmsgs()?.find_map(|control| {
            if let ControlMessageOwned::ScmTimestampns(at) = control { Some(Duration::from(at)) } else { None }
        });
        Ok(Some(Received { length: message.bytes, at: stamp.context("a frame without a receive time")? }))
    }

    /// Frames that the kernel dropped for want of room since the last call.
    pub fn drops(&self) -> anyhow::Result<u32> {
        let mut statistics = libc::tpacket_stats { tp_packets: 0, tp_drops: 0 };
        let mut length = libc::socklen_t::try_from(size_of_val(&statistics))?;
        // SAFETY: the pointers are to a value of the option's type and to its length, both alive during the call.
        let result = unsafe {
            libc::getsockopt(
                self.socket.as_raw_fd(),
                libc::SOL_PACKET,
                libc::PACKET_STATISTICS,
                (&raw mut statistics).cast(),
                &raw mut length,
            )
        };
        anyhow::ensure!(result == 0, "read the packet socket's statistics: {}", io::Error::last_os_error());
        Ok(statistics.tp_drops)
    }
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// The wall clock, which stamps of frames are in.
pub fn wall_clock() -> anyhow::Result<Duration> {
    Ok(nix::time::clock_gettime(nix::time::ClockId::CLOCK_REALTIME)?.into())
}

/// `/sys/class/net` shows another namespace's interfaces; this asks the thread's own.
fn index_of(interface: &str) -> anyhow::Result<i32> {
    let table = fs::read_to_string("/proc/thread-self/net/dev").unwrap_or_default();
    let index = nix::net::if_::if_nametoindex(interface)
        .with_context(|| format!("there is no interface {interface}; there are:\n{table}"))?;
    Ok(i32::try_from(index)?)
}

fn option<T>(socket: &Socket, name: libc::c_int, value: &T) -> io::Result<()> {
    let length = libc::socklen_t::try_from(size_of::<T>()).map_err(io::Error::other)?;
    // SAFETY: the pointer is to `length` readable bytes for the duration of the call.
    let result =
        unsafe { libc::setsockopt(socket.as_raw_fd(), libc::SOL_PACKET, name, (&raw const *value).cast(), length) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn link_address(protocol_be: u16, index: i32) -> anyhow::Result<SockAddr> {
    let mut storage = socket2::SockAddrStorage::zeroed();
    // SAFETY: `sockaddr_ll` is plain data and smaller than the storage that it is a view of.
    let address = unsafe { storage.view_as::<libc::sockaddr_ll>() };
    address.sll_family = u16::try_from(libc::AF_PACKET)?;
    address.sll_protocol = protocol_be;
    address.sll_ifindex = index;
    let length = libc::socklen_t::try_from(size_of::<libc::sockaddr_ll>())?;
    // SAFETY: the storage was zeroed and holds a `sockaddr_ll` of this length.
    Ok(unsafe { SockAddr::new(storage, length) })
}
