//! IPv4 (RFC 791).

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{
    abi::{Be16, Be32},
    checksum::Sum,
};

/// The header without options.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, packed(2))]
pub struct Ipv4 {
    /// Version 4 and the header's length in units of four bytes.
    pub version_length: u8,
    /// DSCP and ECN.
    pub service: u8,
    /// Bytes of header and payload.
    pub total_length: Be16,
    /// Of the fragments of one packet.
    pub identification: Be16,
    /// Flags and the fragment's offset in units of eight bytes.
    pub fragment: Be16,
    /// Hops left.
    pub time_to_live: u8,
    /// See [`IpProtocol`].
    pub protocol: u8,
    /// Of the header, as loaded.
    pub checksum: u16,
    /// Source.
    pub source: Be32,
    /// Destination.
    pub destination: Be32,
}

impl Ipv4 {
    /// Bytes of the header without options.
    pub const LEN: usize = size_of::<Self>();
    /// The flag "don't fragment" in [`Ipv4::fragment`].
    pub const DONT_FRAGMENT: Be16 = Be16::new(0x4000);

    /// Bytes of the header with its options, or `None` for another version or a length below 20.
    #[inline(always)]
    #[must_use]
    pub fn header_length(&self) -> Option<usize> {
        let length = usize::from(self.version_length & 0xf) * 4;
        (self.version_length >> 4 == 4 && length >= Self::LEN).then_some(length)
    }

    /// Whether it is a fragment of a packet, the first one included.
    #[inline(always)]
    #[must_use]
    pub fn is_fragment(&self) -> bool {
        self.fragment.bits() & Be16::new(0x3fff).bits() != 0
    }

    /// The checksum of the header without options.
    #[inline(always)]
    #[must_use]
    pub fn compute_checksum(&self) -> u16 {
        self.add_to(Sum::ZERO).finish()
    }

    /// A sum with all words of the header but the checksum.
    #[inline(always)]
    #[must_use]
    pub fn add_to(&self, sum: Sum) -> Sum {
        sum.word(u16::from_ne_bytes([self.version_length, self.service]))
            .word(self.total_length.bits())
            .word(self.identification.bits())
            .word(self.fragment.bits())
            .word(u16::from_ne_bytes([self.time_to_live, self.protocol]))
            .address(self.source)
            .address(self.destination)
    }
}
const _: () = assert!(Ipv4::LEN == 20);

/// Protocol numbers (IANA).
pub struct IpProtocol;

impl IpProtocol {
    /// ICMP.
    pub const ICMP: u8 = 1;
    /// TCP.
    pub const TCP: u8 = 6;
    /// UDP.
    pub const UDP: u8 = 17;
}
