//! The translation itself.

use super::{Ingress, Packet, Parsed, Segment, Step, mss};
use crate::{
    abi::{FlowEntry, PortEntry, ROUTER_MAC},
    checksum,
    drop_reason::DropReason,
    wire::{Ethernet, IpProtocol, Ipv4, Tcp, TcpFlags, Udp},
};

/// Gives the packet the addresses, ports and checksums of its flow, and the frame the MAC addresses of the way out.
///
/// The transport header comes first: a frame that ends inside it is left as it is.
#[inline(always)]
pub(super) fn translate<P: Packet>(
    packet: &mut P,
    ingress: &Ingress,
    parsed: &Parsed,
    segment: &Segment,
    entry: &FlowEntry,
    out: &PortEntry,
) -> Step<()> {
    parsed.check_mtu(out)?;
    if segment.flags & TcpFlags::SYN != 0 {
        mss::clamp(packet, parsed.transport, ingress.port.mtu.min(out.mtu));
    }
    if parsed.protocol == IpProtocol::TCP {
        let tcp = packet.at_mut::<Tcp>(parsed.transport).ok_or(DropReason::Malformed)?;
        tcp.ports.source = entry.new_source_port;
        tcp.ports.destination = entry.new_destination_port;
        tcp.checksum = checksum::apply(tcp.checksum, entry.transport_delta);
    } else {
        let udp = packet.at_mut::<Udp>(parsed.transport).ok_or(DropReason::Malformed)?;
        udp.ports.source = entry.new_source_port;
        udp.ports.destination = entry.new_destination_port;
        udp.checksum = checksum::apply_udp(udp.checksum, entry.transport_delta);
    }
    addresses(packet, entry, out)
}

/// The outer headers alone.
#[inline(always)]
pub(super) fn addresses<P: Packet>(packet: &mut P, entry: &FlowEntry, out: &PortEntry) -> Step<()> {
    let ip = packet.at_mut::<Ipv4>(Ethernet::LEN).ok_or(DropReason::Malformed)?;
    ip.source = entry.new_source;
    ip.destination = entry.new_destination;
    ip.checksum = checksum::apply(ip.checksum, entry.address_delta);
    let ethernet = packet.at_mut::<Ethernet>(0).ok_or(DropReason::Malformed)?;
    ethernet.source = ROUTER_MAC;
    ethernet.destination = out.mac;
    Ok(())
}
