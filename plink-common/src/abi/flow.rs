//! The flow table's key and value.
//!
//! A flow has two entries, one for each direction. Each is found by the packet's own VPC and five-tuple and holds all
//! that the rewrite needs; the partner's key follows from it ([`FlowEntry::partner`]).

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::{Be16, Be32};

/// A packet's VPC and five-tuple.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct FlowKey {
    /// The number of the VPC that the packet comes from: tenants may use the same addresses and ports.
    pub vpc: u32,
    /// Source address.
    pub source: Be32,
    /// Destination address.
    pub destination: Be32,
    /// Source port.
    pub source_port: Be16,
    /// Destination port.
    pub destination_port: Be16,
    /// The IP protocol, 6 or 17.
    pub protocol: u8,
    /// Always 0.
    pub zero: [u8; 3],
}
const _: () = assert!(size_of::<FlowKey>() == 20);

/// Which way the packets of an entry go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum FlowDirection {
    /// From the client to the target.
    Forward = 0,
    /// From the target to the client.
    Reply = 1,
}

/// What was seen in an entry's direction.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct FlowFlags(pub u8);

impl FlowFlags {
    /// A FIN went this way.
    pub const FIN: u8 = 1;
    /// A RST went this way.
    pub const RST: u8 = 2;
    /// A packet went this way at all.
    pub const SEEN: u8 = 4;
}

/// Value of `FLOWS`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct FlowEntry {
    /// Source address after translation.
    pub new_source: Be32,
    /// Destination address after translation.
    pub new_destination: Be32,
    /// Source port after translation.
    pub new_source_port: Be16,
    /// Destination port after translation.
    pub new_destination_port: Be16,
    /// The port that the packet leaves through.
    pub out_port: u32,
    /// [`super::PortEntry::generation`] of that port.
    pub out_port_generation: u32,
    /// The number of the VPC that the packet is translated into.
    pub out_vpc: u32,
    /// The frontend's slot.
    pub frontend: u32,
    /// [`super::FrontendEntry::generation`] when the flow was made.
    pub frontend_generation: u32,
    /// The target's slot.
    pub target: u32,
    /// [`super::TargetEntry::generation`] when the flow was made.
    pub target_generation: u32,
    /// The tick of the last packet in this direction; see [`super::TICK_SHIFT`].
    pub last_seen: u32,
    /// Idle ticks after which the entry is dead.
    pub idle_ticks: u32,
    /// What the translation adds to the IPv4 header checksum, folded (RFC 1624).
    pub address_delta: u16,
    /// What the translation adds to the TCP or UDP checksum, folded.
    pub transport_delta: u16,
    /// A [`FlowDirection`].
    pub direction: u8,
    /// [`FlowFlags`].
    pub flags: u8,
    /// Always 0.
    pub zero: u16,
}
const _: () = assert!(size_of::<FlowEntry>() == 56);

impl FlowEntry {
    /// The key of the entry for the other direction.
    #[inline(always)]
    #[must_use]
    pub fn partner(&self, protocol: u8) -> FlowKey {
        FlowKey {
            vpc: self.out_vpc,
            source: self.new_destination,
            destination: self.new_source,
            source_port: self.new_destination_port,
            destination_port: self.new_source_port,
            protocol,
            zero: [0; 3],
        }
    }

    /// Whether the entry is dead at `now`. Wraps correctly.
    #[inline(always)]
    #[must_use]
    pub fn is_idle(&self, now: u32) -> bool {
        now.wrapping_sub(self.last_seen) as i32 > self.idle_ticks as i32
    }
}
