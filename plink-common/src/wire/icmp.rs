//! ICMP (RFC 792).

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The header.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, packed(2))]
pub struct Icmp {
    /// See [`IcmpType`].
    pub kind: u8,
    /// Its meaning depends on the type.
    pub code: u8,
    /// Of header and payload, as loaded.
    pub checksum: u16,
    /// Its meaning depends on the type.
    pub rest: [u16; 2],
}
const _: () = assert!(size_of::<Icmp>() == 8);

/// Types.
pub struct IcmpType;

impl IcmpType {
    /// Echo reply.
    pub const ECHO_REPLY: u8 = 0;
    /// Echo request.
    pub const ECHO_REQUEST: u8 = 8;
}
