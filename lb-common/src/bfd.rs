//! The BFD control packet (RFC 5880 §4.1): reading, writing, and the checks that need no session (§6.8.6).
//!
//! Must not: allocate, panic, know a session or a key. The authentication section is lent as bytes; `lb-bfd` judges
//! it. [`reflect`] answers S-BFD packets (RFC 7880, RFC 7881) and [`stand_in`] those of routers while the agent is away: on
//! the frame, in the kernel and on the host alike.
//!
//! ```text
//!  0                   1                   2                   3
//! | vers | diag         | sta |P|F|C|A|D|M| detect mult   | length        |
//! | my discriminator                                                      |
//! | your discriminator                                                    |
//! | desired min TX interval (µs)                                          |
//! | required min RX interval (µs)                                         |
//! | required min echo RX interval (µs)                                    |
//! | authentication type | its length    | …                               |
//! ```

use core::{error::Error, fmt};

pub mod datagram;
pub mod reflect;
pub mod stand_in;
#[cfg(test)]
mod tests;

/// Bytes of the mandatory section.
pub const LENGTH: usize = 24;
/// Least length of a packet with an authentication section (§6.8.6).
const AUTHENTICATED_LENGTH: usize = 26;

/// UDP port of control packets over one hop (RFC 5881 §4).
pub const PORT: u16 = 3784;
/// UDP port of echo packets (RFC 5881 §4).
pub const ECHO_PORT: u16 = 3785;
/// UDP port of control packets over several hops (RFC 5883 §5).
pub const MULTIHOP_PORT: u16 = 4784;
/// UDP port of S-BFD reflectors (RFC 7881 §3).
pub const SBFD_PORT: u16 = 7784;
/// The TTL or hop limit every packet is sent with (RFC 5881 §5, RFC 5883 §6, RFC 7881 §4).
pub const TTL: u8 = 255;

const VERSION: u8 = 1;
const POLL: u8 = 0x20;
const FINAL: u8 = 0x10;
const CONTROL_PLANE_INDEPENDENT: u8 = 0x08;
const AUTHENTICATION: u8 = 0x04;
const DEMAND: u8 = 0x02;
const MULTIPOINT: u8 = 0x01;

/// The state of a session (§4.1 Sta).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum State {
    /// Held down by its operator.
    AdminDown = 0,
    /// Down, or new.
    Down = 1,
    /// The other side was heard, and wants to come up.
    Init = 2,
    /// Up.
    Up = 3,
}

impl State {
    const fn of(flags: u8) -> Self {
        match flags >> 6 {
            0 => Self::AdminDown,
            1 => Self::Down,
            2 => Self::Init,
            _ => Self::Up,
        }
    }
}

/// Why a session last left Up (§4.1 Diag): 5 bits. Codes nobody has assigned are kept as they came.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Diagnostic(u8);

impl Diagnostic {
    /// No diagnostic.
    pub const NONE: Self = Self(0);
    /// Control detection time expired.
    pub const DETECTION_TIME_EXPIRED: Self = Self(1);
    /// Echo function failed.
    pub const ECHO_FAILED: Self = Self(2);
    /// Neighbour signalled session down.
    pub const NEIGHBOUR_DOWN: Self = Self(3);
    /// Forwarding plane reset.
    pub const FORWARDING_RESET: Self = Self(4);
    /// Path down.
    pub const PATH_DOWN: Self = Self(5);
    /// Concatenated path down.
    pub const CONCATENATED_PATH_DOWN: Self = Self(6);
    /// Administratively down.
    pub const ADMIN_DOWN: Self = Self(7);
    /// Reverse concatenated path down.
    pub const REVERSE_CONCATENATED_PATH_DOWN: Self = Self(8);

    /// The code on the wire.
    pub const fn code(self) -> u8 {
        self.0
    }

    /// The diagnostic of a code; what is above 5 bits is cut.
    pub const fn from_code(code: u8) -> Self {
        Self(code & 0x1f)
    }

    /// In the words of the RFC.
    pub const fn name(self) -> &'static str {
        match self.0 {
            0 => "no diagnostic",
            1 => "control detection time expired",
            2 => "echo function failed",
            3 => "neighbour signalled session down",
            4 => "forwarding plane reset",
            5 => "path down",
            6 => "concatenated path down",
            7 => "administratively down",
            8 => "reverse concatenated path down",
            _ => "reserved",
        }
    }
}

impl fmt::Debug for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.0, self.name())
    }
}

/// The mandatory section. Whether there is an authentication section is said by [`Control`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Packet {
    /// Why the sender's session last left Up.
    pub diagnostic: Diagnostic,
    /// The sender's state.
    pub state: State,
    /// P: the sender asks for an answer with F.
    pub poll: bool,
    /// F: the answer to a P.
    pub finish: bool,
    /// C: the sender's BFD does not share fate with its control plane.
    pub control_plane_independent: bool,
    /// D: the sender wants no periodic packets. Of an S-BFD packet: an initiator sent it (RFC 7880 §7).
    pub demand: bool,
    /// How many packets may be missed. Not 0 in a packet that was read.
    pub detect_mult: u8,
    /// The sender's discriminator. Not 0 in a packet that was read.
    pub my_discriminator: u32,
    /// The receiver's discriminator, 0 if the sender does not know it.
    pub your_discriminator: u32,
    /// The interval at which the sender would like to send, in microseconds.
    pub desired_min_tx: u32,
    /// The interval at which the sender can receive, in microseconds; 0: send nothing periodically.
    pub required_min_rx: u32,
    /// The interval at which the sender can loop echo packets back, in microseconds; 0: not at all.
    pub required_min_echo_rx: u32,
}

/// A packet with its authentication section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Control<'a> {
    /// The mandatory section.
    pub packet: Packet,
    /// Everything the packet's length field covers, for digests.
    pub bytes: &'a [u8],
    /// The authentication section, if the A bit is set.
    pub authentication: Option<&'a [u8]>,
}

/// Why bytes are no packet: the checks of §6.8.6 that need no session, in its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Malformed {
    /// Fewer bytes than the mandatory section has.
    Short,
    /// The version is not 1.
    Version,
    /// The length field is below the minimum, or above what was received.
    Length,
    /// The detection multiplier is 0.
    DetectMult,
    /// The multipoint bit is set.
    Multipoint,
    /// My Discriminator is 0.
    MyDiscriminator,
    /// Your Discriminator is 0, and the state is neither Down nor AdminDown.
    YourDiscriminator,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Short => "fewer than 24 bytes",
            Self::Version => "the version is not 1",
            Self::Length => "the length field does not fit",
            Self::DetectMult => "the detection multiplier is 0",
            Self::Multipoint => "the multipoint bit is set",
            Self::MyDiscriminator => "My Discriminator is 0",
            Self::YourDiscriminator => "Your Discriminator is 0 in a state that knows it",
        })
    }
}

impl Error for Malformed {}

impl Packet {
    /// Reads a UDP payload. Bytes behind the length field's end are ignored.
    pub fn parse(payload: &[u8]) -> Result<Control<'_>, Malformed> {
        let (&head, _) = payload.split_first_chunk::<LENGTH>().ok_or(Malformed::Short)?;
        let [first, flags, detect_mult, length, m0, m1, m2, m3, y0, y1, y2, y3, rest @ ..] = head;
        let [t0, t1, t2, t3, r0, r1, r2, r3, e0, e1, e2, e3] = rest;
        if first >> 5 != VERSION {
            return Err(Malformed::Version);
        }
        let length = usize::from(length);
        let authenticated = flags & AUTHENTICATION != 0;
        if length < if authenticated { AUTHENTICATED_LENGTH } else { LENGTH } {
            return Err(Malformed::Length);
        }
        let bytes = payload.get(..length).ok_or(Malformed::Length)?;
        if detect_mult == 0 {
            return Err(Malformed::DetectMult);
        }
        if flags & MULTIPOINT != 0 {
            return Err(Malformed::Multipoint);
        }
        let packet = Self {
            diagnostic: Diagnostic::from_code(first),
            state: State::of(flags),
            poll: flags & POLL != 0,
            finish: flags & FINAL != 0,
            control_plane_independent: flags & CONTROL_PLANE_INDEPENDENT != 0,
            demand: flags & DEMAND != 0,
            detect_mult,
            my_discriminator: u32::from_be_bytes([m0, m1, m2, m3]),
            your_discriminator: u32::from_be_bytes([y0, y1, y2, y3]),
            desired_min_tx: u32::from_be_bytes([t0, t1, t2, t3]),
            required_min_rx: u32::from_be_bytes([r0, r1, r2, r3]),
            required_min_echo_rx: u32::from_be_bytes([e0, e1, e2, e3]),
        };
        if packet.my_discriminator == 0 {
            return Err(Malformed::MyDiscriminator);
        }
        if packet.your_discriminator == 0 && packet.state > State::Down {
            return Err(Malformed::YourDiscriminator);
        }
        Ok(Control { packet, bytes, authentication: if authenticated { bytes.get(LENGTH..) } else { None } })
    }

    /// Writes the mandatory section of a packet that has no other.
    pub fn to_bytes(&self) -> [u8; LENGTH] {
        self.to_bytes_before(0)
    }

    /// Writes the mandatory section of a packet whose authentication section has `authentication` bytes; 0: none.
    #[expect(clippy::cast_possible_truncation, reason = "24")]
    pub fn to_bytes_before(&self, authentication: u8) -> [u8; LENGTH] {
        let flag = |set: bool, bit: u8| if set { bit } else { 0 };
        let flags = (self.state as u8) << 6
            | flag(self.poll, POLL)
            | flag(self.finish, FINAL)
            | flag(self.control_plane_independent, CONTROL_PLANE_INDEPENDENT)
            | flag(authentication != 0, AUTHENTICATION)
            | flag(self.demand, DEMAND);
        let [m0, m1, m2, m3] = self.my_discriminator.to_be_bytes();
        let [y0, y1, y2, y3] = self.your_discriminator.to_be_bytes();
        let [t0, t1, t2, t3] = self.desired_min_tx.to_be_bytes();
        let [r0, r1, r2, r3] = self.required_min_rx.to_be_bytes();
        let [e0, e1, e2, e3] = self.required_min_echo_rx.to_be_bytes();
        let first = VERSION << 5 | self.diagnostic.code();
        let length = (LENGTH as u8).saturating_add(authentication);
        [
            first,
            flags,
            self.detect_mult,
            length,
            m0,
            m1,
            m2,
            m3,
            y0,
            y1,
            y2,
            y3,
            t0,
            t1,
            t2,
            t3,
            r0,
            r1,
            r2,
            r3,
            e0,
            e1,
            e2,
            e3,
        ]
    }
}
