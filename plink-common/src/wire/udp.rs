//! UDP (RFC 768), and the ports that TCP has at the same place.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::abi::Be16;

/// The first four bytes of TCP and UDP alike.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, packed(2))]
pub struct Ports {
    /// Source port.
    pub source: Be16,
    /// Destination port.
    pub destination: Be16,
}
const _: () = assert!(size_of::<Ports>() == 4);

/// The header.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, packed(2))]
pub struct Udp {
    /// Source and destination port.
    pub ports: Ports,
    /// Bytes of header and payload.
    pub length: Be16,
    /// Of pseudo-header, header and payload, as loaded; 0: none.
    pub checksum: u16,
}
const _: () = assert!(size_of::<Udp>() == 8);
