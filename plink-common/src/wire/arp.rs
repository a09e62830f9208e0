//! ARP for IPv4 over Ethernet (RFC 826).

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::abi::{Be16, Be32, Mac};

/// A packet of ARP for IPv4 over Ethernet.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, packed(2))]
pub struct Arp {
    /// 1: Ethernet.
    pub hardware_type: Be16,
    /// 0x0800: IPv4.
    pub protocol_type: Be16,
    /// 6 and 4, one byte each.
    pub lengths: Be16,
    /// [`ARP_REQUEST`] or [`ARP_REPLY`].
    pub operation: Be16,
    /// MAC address of the sender.
    pub sender_mac: Mac,
    /// Address of the sender; 0.0.0.0 in a probe (RFC 5227).
    pub sender_address: Be32,
    /// MAC address of the target, as far as the sender knows it.
    pub target_mac: Mac,
    /// Address of the target.
    pub target_address: Be32,
}
const _: () = assert!(size_of::<Arp>() == 28);

/// The operation of a request.
pub const ARP_REQUEST: Be16 = Be16::new(1);
/// The operation of a reply.
pub const ARP_REPLY: Be16 = Be16::new(2);

impl Arp {
    /// Whether it is a request for an IPv4 address over Ethernet.
    #[inline(always)]
    #[must_use]
    pub fn is_ipv4_request(&self) -> bool {
        self.hardware_type.get() == 1
            && self.protocol_type.get() == 0x0800
            && self.lengths.get() == 0x0604
            && self.operation.bits() == ARP_REQUEST.bits()
    }
}
