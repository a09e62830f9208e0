//! ICMP errors that the program makes itself (RFC 792, RFC 1812 section 4.3.2).

use super::Packet;
use crate::{
    abi::Be16,
    checksum::Sum,
    wire::{Ethernet, Icmp, IcmpType, IpProtocol, Ipv4},
};

const TIME_TO_LIVE: u8 = 64;
/// What is quoted of the payload.
type Quoted = [u16; 4];
const QUOTE: usize = Ethernet::LEN + Ipv4::LEN + Icmp::LEN;
const LENGTH: usize = QUOTE + Ipv4::LEN + size_of::<Quoted>();

/// Turns the packet into the error about it, from the address that it was sent to: destination unreachable with that
/// code and, for fragmentation needed, the MTU. `None` for what no error may answer (an ICMP error, a fragment but the
/// first) and for packets with options, whose header would not fit the quote.
#[inline(always)]
pub(super) fn answer<P: Packet>(packet: &mut P, code: u8, mtu: u16) -> Option<()> {
    let ethernet = *packet.at::<Ethernet>(0)?;
    let ip = *packet.at::<Ipv4>(Ethernet::LEN)?;
    let quoted = *packet.at::<Quoted>(Ethernet::LEN + Ipv4::LEN)?;
    let later_fragment = ip.fragment.bits() & Be16::new(0x1fff).bits() != 0;
    if ip.header_length()? != Ipv4::LEN || later_fragment || (ip.protocol == IpProtocol::ICMP && !is_echo(quoted[0])) {
        return None;
    }
    packet.resize(LENGTH)?;
    *packet.at_mut::<Ethernet>(0)? =
        Ethernet { destination: ethernet.source, source: ethernet.destination, ..ethernet };
    let mut header = Ipv4 {
        version_length: 0x45,
        service: 0,
        total_length: Be16::new((LENGTH - Ethernet::LEN) as u16),
        identification: Be16::new(0),
        fragment: Be16::new(0),
        time_to_live: TIME_TO_LIVE,
        protocol: IpProtocol::ICMP,
        checksum: 0,
        source: ip.destination,
        destination: ip.source,
    };
    header.checksum = header.compute_checksum();
    *packet.at_mut::<Ipv4>(Ethernet::LEN)? = header;
    *packet.at_mut::<Ipv4>(QUOTE)? = ip;
    *packet.at_mut::<Quoted>(QUOTE + Ipv4::LEN)? = quoted;
    let mut icmp = Icmp { kind: IcmpType::UNREACHABLE, code, checksum: 0, rest: [0, Be16::new(mtu).bits()] };
    let first = u16::from_ne_bytes([icmp.kind, icmp.code]);
    let sum = ip.add_to(Sum::ZERO.word(first).word(icmp.rest[1])).word(ip.checksum);
    let [a, b, c, d] = quoted;
    icmp.checksum = sum.word(a).word(b).word(c).word(d).finish();
    *packet.at_mut::<Icmp>(Ethernet::LEN + Ipv4::LEN)? = icmp;
    Some(())
}

/// Whether the first word of an ICMP message says that it is an echo request or reply.
#[inline(always)]
fn is_echo(first: u16) -> bool {
    matches!(first.to_ne_bytes()[0], IcmpType::ECHO_REQUEST | IcmpType::ECHO_REPLY)
}
