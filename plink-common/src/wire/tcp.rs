//! TCP (RFC 9293).

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::{Ports, ipv4::IpProtocol};
use crate::{
    abi::{Be16, Be32},
    checksum::Sum,
};

/// The header without options.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, packed(2))]
pub struct Tcp {
    /// Source and destination port.
    pub ports: Ports,
    /// Sequence number.
    pub sequence: Be32,
    /// Acknowledgement number.
    pub acknowledgement: Be32,
    /// The header's length in units of four bytes, in the upper four bits.
    pub data_offset: u8,
    /// See [`TcpFlags`].
    pub flags: u8,
    /// Window.
    pub window: Be16,
    /// Of pseudo-header, header and payload, as loaded.
    pub checksum: u16,
    /// Urgent pointer.
    pub urgent: Be16,
}

impl Tcp {
    /// Bytes of the header without options.
    pub const LEN: usize = size_of::<Self>();

    /// Whether it asks for a new flow: SYN without ACK, RST or FIN.
    #[inline(always)]
    #[must_use]
    pub fn opens(&self) -> bool {
        self.flags & (TcpFlags::SYN | TcpFlags::ACK | TcpFlags::RST | TcpFlags::FIN) == TcpFlags::SYN
    }

    /// The checksum of a segment without options and payload.
    #[inline(always)]
    #[must_use]
    pub fn compute_checksum(&self, source: Be32, destination: Be32) -> u16 {
        Sum::ZERO
            .address(source)
            .address(destination)
            .word(Be16::new(IpProtocol::TCP as u16).bits())
            .word(Be16::new(Self::LEN as u16).bits())
            .word(self.ports.source.bits())
            .word(self.ports.destination.bits())
            .address(self.sequence)
            .address(self.acknowledgement)
            .word(u16::from_ne_bytes([self.data_offset, self.flags]))
            .word(self.window.bits())
            .word(self.urgent.bits())
            .finish()
    }
}
const _: () = assert!(Tcp::LEN == 20);

/// Control bits.
pub struct TcpFlags;

impl TcpFlags {
    /// No more data from the sender.
    pub const FIN: u8 = 0x01;
    /// Synchronise sequence numbers.
    pub const SYN: u8 = 0x02;
    /// Reset the connection.
    pub const RST: u8 = 0x04;
    /// The acknowledgement number counts.
    pub const ACK: u8 = 0x10;
}
