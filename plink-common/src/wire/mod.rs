//! Views of headers as they stand in a frame.
//!
//! A frame starts at an even address and every header in it at an even offset, so the views are aligned to two bytes:
//! fields are read with natural loads, and no reference is ever misaligned. Fields wider than two bytes may still
//! straddle their natural alignment, which `packed(2)` tells the compiler.

mod arp;
mod ethernet;
mod icmp;
mod ipv4;
mod tcp;
mod udp;

pub use arp::{ARP_REPLY, ARP_REQUEST, Arp};
pub use ethernet::{EtherType, Ethernet};
pub use icmp::{Icmp, IcmpType, UnreachableCode};
pub use ipv4::{IpProtocol, Ipv4};
pub use tcp::{Tcp, TcpFlags};
pub use udp::{Ports, Udp};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// A header: plain bytes without padding, aligned to at most two.
pub trait Header: FromBytes + IntoBytes + Immutable + KnownLayout + 'static {}

impl<T: FromBytes + IntoBytes + Immutable + KnownLayout + 'static> Header for T {}
