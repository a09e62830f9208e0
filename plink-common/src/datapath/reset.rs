//! A RST for a TCP packet that belongs to no living flow (RFC 9293, section 3.5.2).

use super::Packet;
use crate::{
    abi::{Be16, Be32},
    wire::{Ethernet, IpProtocol, Ipv4, Ports, Tcp, TcpFlags},
};

const TIME_TO_LIVE: u8 = 64;

/// Turns the packet into the RST that answers it; `None`, with the frame as it was or cut, if it cannot be.
#[inline(always)]
pub(super) fn answer<P: Packet>(packet: &mut P) -> Option<()> {
    let ethernet = *packet.at::<Ethernet>(0)?;
    let ip = *packet.at::<Ipv4>(Ethernet::LEN)?;
    let header_length = ip.header_length()?;
    let tcp = *packet.at::<Tcp>(Ethernet::LEN + header_length)?;
    packet.resize(Ethernet::LEN + Ipv4::LEN + Tcp::LEN)?;

    let out = packet.at_mut::<Ethernet>(0)?;
    out.source = ethernet.destination;
    out.destination = ethernet.source;
    let reply_ip = packet.at_mut::<Ipv4>(Ethernet::LEN)?;
    *reply_ip = reset_ip(&ip);
    let reply_tcp = packet.at_mut::<Tcp>(Ethernet::LEN + Ipv4::LEN)?;
    *reply_tcp = reset_tcp(&ip, header_length, &tcp);
    Some(())
}

#[inline(always)]
fn reset_ip(ip: &Ipv4) -> Ipv4 {
    let mut reply = Ipv4 {
        version_length: 0x45,
        service: 0,
        total_length: Be16::new((Ipv4::LEN + Tcp::LEN) as u16),
        identification: Be16::new(0),
        fragment: Ipv4::DONT_FRAGMENT,
        time_to_live: TIME_TO_LIVE,
        protocol: IpProtocol::TCP,
        checksum: 0,
        source: ip.destination,
        destination: ip.source,
    };
    reply.checksum = reply.compute_checksum();
    reply
}

#[inline(always)]
fn reset_tcp(ip: &Ipv4, header_length: usize, tcp: &Tcp) -> Tcp {
    let acknowledges = tcp.flags & TcpFlags::ACK != 0;
    // What the peer expects next: its own acknowledgement number, or else this RST acknowledges what it sent.
    let (sequence, acknowledgement, flags) = if acknowledges {
        (tcp.acknowledgement, Be32::new(0), TcpFlags::RST)
    } else {
        let next = tcp.sequence.get().wrapping_add(segment_length(ip, header_length, tcp));
        (Be32::new(0), Be32::new(next), TcpFlags::RST | TcpFlags::ACK)
    };
    let mut reply = Tcp {
        ports: Ports { source: tcp.ports.destination, destination: tcp.ports.source },
        sequence,
        acknowledgement,
        data_offset: 5 << 4,
        flags,
        window: Be16::new(0),
        checksum: 0,
        urgent: Be16::new(0),
    };
    reply.checksum = reply.compute_checksum(ip.destination, ip.source);
    reply
}

/// Sequence numbers that a segment uses: its payload, and one each for SYN and FIN.
#[inline(always)]
fn segment_length(ip: &Ipv4, header_length: usize, tcp: &Tcp) -> u32 {
    let headers = header_length as u32 + u32::from(tcp.data_offset >> 4) * 4;
    let payload = u32::from(ip.total_length.get()).saturating_sub(headers);
    let controls = u32::from(tcp.flags & TcpFlags::SYN != 0) + u32::from(tcp.flags & TcpFlags::FIN != 0);
    payload + controls
}
