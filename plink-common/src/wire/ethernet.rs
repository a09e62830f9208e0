//! Ethernet II (IEEE 802.3).

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::abi::{Be16, Mac};

/// The header of a frame.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, packed(2))]
pub struct Ethernet {
    /// Destination.
    pub destination: Mac,
    /// Source.
    pub source: Mac,
    /// See [`EtherType`].
    pub ethertype: Be16,
}

impl Ethernet {
    /// Bytes of the header.
    pub const LEN: usize = size_of::<Self>();
}
const _: () = assert!(Ethernet::LEN == 14);

/// Ethernet types (IEEE 802 numbers, IANA).
pub struct EtherType;

impl EtherType {
    /// IPv4.
    pub const IPV4: Be16 = Be16::new(0x0800);
    /// ARP.
    pub const ARP: Be16 = Be16::new(0x0806);
    /// A VLAN tag (802.1Q).
    pub const VLAN: Be16 = Be16::new(0x8100);
    /// A service VLAN tag (802.1ad).
    pub const SERVICE_VLAN: Be16 = Be16::new(0x88a8);
    /// IPv6.
    pub const IPV6: Be16 = Be16::new(0x86dd);
}
