//! Numbers in the byte order of the wire, and MAC addresses.

use core::fmt;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// A 16-bit number as it stands on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(transparent)]
pub struct Be16(u16);

impl Be16 {
    /// From a number in the host's order.
    #[inline(always)]
    #[must_use]
    pub const fn new(value: u16) -> Self {
        Self(value.to_be())
    }

    /// From the bits as they were loaded.
    #[inline(always)]
    #[must_use]
    pub const fn from_bits(bits: u16) -> Self {
        Self(bits)
    }

    /// The number in the host's order.
    #[inline(always)]
    #[must_use]
    pub const fn get(self) -> u16 {
        u16::from_be(self.0)
    }

    /// The bits as they stand on the wire.
    #[inline(always)]
    #[must_use]
    pub const fn bits(self) -> u16 {
        self.0
    }
}

impl fmt::Debug for Be16 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.get())
    }
}

/// A 32-bit number, or an IPv4 address, as it stands on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(transparent)]
pub struct Be32(u32);

impl Be32 {
    /// From a number in the host's order.
    #[inline(always)]
    #[must_use]
    pub const fn new(value: u32) -> Self {
        Self(value.to_be())
    }

    /// From the four bytes of an address.
    #[inline(always)]
    #[must_use]
    pub const fn from_octets(octets: [u8; 4]) -> Self {
        Self(u32::from_ne_bytes(octets))
    }

    /// From the bits as they were loaded.
    #[inline(always)]
    #[must_use]
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// The number in the host's order.
    #[inline(always)]
    #[must_use]
    pub const fn get(self) -> u32 {
        u32::from_be(self.0)
    }

    /// The bits as they stand on the wire.
    #[inline(always)]
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// The four bytes, in wire order.
    #[inline(always)]
    #[must_use]
    pub const fn octets(self) -> [u8; 4] {
        self.0.to_ne_bytes()
    }
}

impl fmt::Debug for Be32 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d] = self.octets();
        write!(f, "{a}.{b}.{c}.{d}")
    }
}

impl From<core::net::Ipv4Addr> for Be32 {
    fn from(address: core::net::Ipv4Addr) -> Self {
        Self::from_octets(address.octets())
    }
}

impl From<Be32> for core::net::Ipv4Addr {
    fn from(address: Be32) -> Self {
        Self::from(address.octets())
    }
}

/// A MAC address as three 16-bit loads: frames are aligned to two bytes, never to more (RFC 894 puts the IPv4 header
/// at offset 14).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(transparent)]
pub struct Mac([u16; 3]);

impl Mac {
    /// `ff:ff:ff:ff:ff:ff`.
    pub const BROADCAST: Self = Self::new([0xff; 6]);

    /// From the six bytes in wire order.
    #[must_use]
    pub const fn new(octets: [u8; 6]) -> Self {
        let [a, b, c, d, e, f] = octets;
        Self([u16::from_ne_bytes([a, b]), u16::from_ne_bytes([c, d]), u16::from_ne_bytes([e, f])])
    }

    /// The six bytes in wire order.
    #[must_use]
    pub const fn octets(self) -> [u8; 6] {
        let ([a, b], [c, d], [e, f]) = (self.0[0].to_ne_bytes(), self.0[1].to_ne_bytes(), self.0[2].to_ne_bytes());
        [a, b, c, d, e, f]
    }

    /// Whether the address names a group (IEEE 802.3, the first bit on the wire); broadcast is one.
    #[inline(always)]
    #[must_use]
    pub const fn is_group(self) -> bool {
        self.0[0].to_ne_bytes()[0] & 1 == 1
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.octets();
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}
