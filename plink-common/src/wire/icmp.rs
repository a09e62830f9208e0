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

impl Icmp {
    /// Bytes of the header.
    pub const LEN: usize = size_of::<Self>();
}

/// Codes of [`IcmpType::UNREACHABLE`].
pub struct UnreachableCode;

impl UnreachableCode {
    /// Nobody listens at the port.
    pub const PORT: u8 = 3;
    /// The packet is too big and may not be fragmented; the header's last 16 bits are the MTU (RFC 1191).
    pub const FRAGMENTATION_NEEDED: u8 = 4;
}

/// Types.
pub struct IcmpType;

impl IcmpType {
    /// Echo reply.
    pub const ECHO_REPLY: u8 = 0;
    /// Destination unreachable.
    pub const UNREACHABLE: u8 = 3;
    /// Echo request.
    pub const ECHO_REQUEST: u8 = 8;
    /// Time exceeded.
    pub const TIME_EXCEEDED: u8 = 11;
    /// Parameter problem.
    pub const PARAMETER_PROBLEM: u8 = 12;

    /// Whether a message of this type is an error, and quotes the packet that it is about.
    #[inline(always)]
    #[must_use]
    pub const fn is_error(kind: u8) -> bool {
        matches!(kind, Self::UNREACHABLE | Self::TIME_EXCEEDED | Self::PARAMETER_PROBLEM)
    }
}
