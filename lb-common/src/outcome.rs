//! Every way out of the program: one counter each, one metric label each.
//!
//! What is not ours (no ARP, no neighbour discovery, no BFD) is [`Pass::Foreign`] and is not counted: its path has no
//! look-up and no counter.

/// Declares an enum whose variants are counters, with their metric names.
macro_rules! counters {
    ($(#[$outer:meta])* $name:ident, $first:expr, { $($(#[$inner:meta])* $variant:ident = $label:literal,)* }) => {
        $(#[$outer])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[must_use]
        pub enum $name {
            $($(#[$inner])* $variant,)*
        }

        impl $name {
            /// All of them, in the order of their counters.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The index of its counter in [`crate::abi::name::OUTCOMES`].
            #[inline(always)]
            pub const fn counter(self) -> u32 {
                $first + self as u32
            }

            /// The metric label.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $label,)* }
            }
        }
    };
}

counters! {
    /// A frame we took.
    Done, 0, {
        /// An ARP request, answered.
        ArpAnswered = "arp_answered",
        /// A neighbour solicitation, answered.
        NsAnswered = "ns_answered",
        /// A duplicate address detection, answered to all nodes (RFC 4862 §5.4.4).
        DadAnswered = "dad_answered",
        /// An ARP request for an address that another node is ranked for, dropped before the kernel answers it.
        ArpSuppressed = "arp_suppressed",
        /// The same for a neighbour solicitation.
        NsSuppressed = "ns_suppressed",
        /// An ARP request for an address that this node gave away to another node's claim: dropped.
        ArpYielded = "arp_yielded",
        /// The same for a neighbour solicitation.
        NsYielded = "ns_yielded",
        /// An ARP request for an address we held until the lease ran out: dropped.
        ArpLapsed = "arp_lapsed",
        /// The same for a neighbour solicitation.
        NsLapsed = "ns_lapsed",
        /// An S-BFD probe, reflected as Up (RFC 7880 §7.2.2).
        SbfdUp = "sbfd_up",
        /// An S-BFD probe, reflected as AdminDown: the lease has run out, or the node warms up or drains.
        SbfdAdminDown = "sbfd_admin_down",
        /// A BFD packet of a router, answered in the agent's place (RFC 5880 §6.8.7).
        BfdAnswered = "bfd_answered",
        /// The same, heard and not answered: an answer has just been sent, and the router wants no more. Dropped.
        BfdSpared = "bfd_spared",
    }
}

counters! {
    /// A frame that goes up the stack untouched, and why.
    Pass, Done::BfdSpared.counter() + 1, {
        /// ARP, ND or BFD on an interface or VLAN without a segment.
        NoSegment = "no_segment",
        /// More than two VLAN tags.
        TooManyTags = "too_many_tags",
        /// A frame from our own hardware address.
        OwnFrame = "own_frame",
        /// ARP: shorter than its 28 bytes.
        ArpShort = "arp_short",
        /// ARP: not Ethernet and IPv4 (RFC 826).
        ArpFormat = "arp_format",
        /// ARP: neither request nor reply.
        ArpOpcode = "arp_opcode",
        /// ARP reply that concerns no address of the table.
        ArpReply = "arp_reply",
        /// ARP: the sender's hardware address is zero or a group.
        ArpSender = "arp_sender",
        /// ARP request sent to a hardware address that is neither ours nor broadcast.
        ArpDestination = "arp_destination",
        /// ARP request for an address that is not in the table.
        ArpTarget = "arp_target",
        /// ARP whose sender address is in the table and whose sender hardware address is not ours.
        ArpSighting = "arp_sighting",
        /// ARP by which another node claims an address that this node does not answer, or does not answer any more.
        ArpClaim = "arp_claim",
        /// ARP by which another node claims an address that this node answered: it gives way.
        ArpClaimYielded = "arp_claim_yielded",
        /// ARP by which another node claims an address that this node has just claimed, and keeps.
        ArpClaimKept = "arp_claim_kept",
        /// ND: shorter than its headers, or than the IPv6 payload length says (RFC 4861 §7.1.1).
        NdpShort = "ndp_short",
        /// ND: longer than 128 bytes, as no solicitation of a host is.
        NdpLong = "ndp_long",
        /// ND: the IPv6 version is not 6.
        NdpVersion = "ndp_version",
        /// ND: the hop limit is not 255 (RFC 4861 §7.1.1, §7.1.2).
        NdpHopLimit = "ndp_hop_limit",
        /// ND: the ICMPv6 code is not 0 (RFC 4861 §7.1.1, §7.1.2).
        NdpCode = "ndp_code",
        /// ND: bad ICMPv6 checksum (RFC 4861 §7.1.1, §7.1.2).
        NdpChecksum = "ndp_checksum",
        /// ND: the target is a multicast address (RFC 4861 §7.1.1, §7.1.2).
        NdpMulticastTarget = "ndp_multicast_target",
        /// ND: an option of length 0, or one that ends beyond the packet (RFC 4861 §7.1.1, §7.1.2).
        NdpOption = "ndp_option",
        /// NS: source address or hardware address is a group, or the hardware address is zero.
        NsSender = "ns_sender",
        /// NS: sent neither to the target nor to its solicited-node group, or to a foreign hardware address.
        NsDestination = "ns_destination",
        /// NS without a source that carries a source link-layer address (RFC 4861 §7.1.1).
        NsDadOption = "ns_dad_option",
        /// NS for an address that is not in the table.
        NsTarget = "ns_target",
        /// NA for an address that is not in the table.
        NaTarget = "na_target",
        /// NA for an address of the table whose hardware address is zero or a group.
        NaSender = "na_sender",
        /// NA for an address of the table from a hardware address that is not ours.
        NaSighting = "na_sighting",
        /// NA by which another node claims an address that this node does not answer, or does not answer any more.
        NaClaim = "na_claim",
        /// NA by which another node claims an address that this node answered: it gives way.
        NaClaimYielded = "na_claim_yielded",
        /// NA by which another node claims an address that this node has just claimed, and keeps.
        NaClaimKept = "na_claim_kept",
        /// S-BFD: shorter than its headers.
        SbfdShort = "sbfd_short",
        /// S-BFD: the IP version is not that of the EtherType.
        SbfdIpVersion = "sbfd_ip_version",
        /// S-BFD: the IPv4 header has options.
        SbfdOptions = "sbfd_options",
        /// S-BFD: an IPv4 fragment.
        SbfdFragment = "sbfd_fragment",
        /// S-BFD: the length of IP, UDP or BFD is not that of a packet of 24 bytes.
        SbfdLength = "sbfd_length",
        /// S-BFD: the TTL or hop limit is not 255 (RFC 7881 §5).
        SbfdTtl = "sbfd_ttl",
        /// S-BFD: an IP address that no host can have.
        SbfdAddress = "sbfd_address",
        /// S-BFD: sent to another hardware address than ours.
        SbfdDestination = "sbfd_destination",
        /// S-BFD: the sender's hardware address is zero or a group.
        SbfdSender = "sbfd_sender",
        /// S-BFD: sent from port 7784, as reflectors do (RFC 7881 §3).
        SbfdSourcePort = "sbfd_source_port",
        /// S-BFD over IPv6 without a UDP checksum (RFC 8200 §8.1).
        SbfdChecksum = "sbfd_checksum",
        /// S-BFD: the BFD version is not 1.
        SbfdVersion = "sbfd_version",
        /// S-BFD: authenticated or multipoint.
        SbfdFlags = "sbfd_flags",
        /// S-BFD without D: not from an initiator (RFC 7880 §7.2.1).
        SbfdResponse = "sbfd_response",
        /// S-BFD: the detection multiplier is 0 (RFC 5880 §6.8.6).
        SbfdDetectMult = "sbfd_detect_mult",
        /// S-BFD: My Discriminator is 0 (RFC 5880 §6.8.6).
        SbfdMyDiscriminator = "sbfd_my_discriminator",
        /// S-BFD: Your Discriminator is not ours.
        SbfdYourDiscriminator = "sbfd_your_discriminator",
        /// BFD of a router: not the headers of one packet of 24 bytes from a host, or no UDP checksum over IPv6.
        BfdMalformed = "bfd_malformed",
        /// BFD of a router: to another hardware address than ours, or from a group.
        BfdStation = "bfd_station",
        /// BFD of a router: another version, a multiplier of 0, authenticated, multipoint or in demand mode.
        BfdPacket = "bfd_packet",
        /// BFD of a router: no session that the program knows, in that direction.
        BfdSession = "bfd_session",
        /// BFD of a router: the TTL or hop limit is below the session's least (RFC 5881 §5, RFC 5883 §5).
        BfdTtl = "bfd_ttl",
        /// BFD of a router that is not Up. If the agent is away, the session is over.
        BfdState = "bfd_state",
        /// BFD of a router that sends too seldom to be answered in its own detection time.
        BfdPace = "bfd_pace",
        /// BFD of a router: the agent does not hold the lease, or not in the session's epoch.
        BfdLapsed = "bfd_lapsed",
        /// BFD of a router: the agent's own packets keep the session up.
        BfdAgent = "bfd_agent",
        /// The address is in the table, or the probe is for us, but the agent has been gone for longer than the suppress limit.
        SuppressLimit = "suppress_limit",
        /// The frame had to change its length and the driver refused.
        Resize = "resize",
        /// The kernel would not read or write the frame.
        Access = "access",
        /// Neither ARP, neighbour discovery nor BFD: passed, not counted.
        Foreign = "foreign",
    }
}

/// What became of a frame.
pub type Outcome = Result<Done, Pass>;

/// How many counters there are. [`Pass::Foreign`] is the last outcome and has none.
pub const COUNTERS: u32 = Pass::Foreign.counter();

/// The metric labels in the order of the counters.
pub fn names() -> impl Iterator<Item = &'static str> {
    let done = Done::ALL.iter().map(|done| done.name());
    done.chain(Pass::ALL.iter().map(|pass| pass.name())).take(COUNTERS as usize)
}

/// What the kernel is told to do with a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Send the frame, now the answer, back out of the interface it came in by.
    Answer,
    /// Drop the frame.
    Drop,
    /// Hand the frame to the stack.
    Pass,
}

impl Verdict {
    /// The verdict of an outcome. Fail open: what we do not take is the kernel's.
    #[inline(always)]
    pub const fn of(outcome: &Outcome) -> Self {
        match outcome {
            Ok(
                Done::ArpAnswered
                | Done::NsAnswered
                | Done::DadAnswered
                | Done::SbfdUp
                | Done::SbfdAdminDown
                | Done::BfdAnswered,
            ) => Self::Answer,
            Ok(
                Done::ArpSuppressed
                | Done::NsSuppressed
                | Done::ArpYielded
                | Done::NsYielded
                | Done::ArpLapsed
                | Done::NsLapsed
                | Done::BfdSpared,
            ) => Self::Drop,
            Err(_) => Self::Pass,
        }
    }
}
