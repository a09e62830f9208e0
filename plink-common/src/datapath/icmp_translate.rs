//! ICMP errors about packets of a flow: translated as the packet that they quote was, the other way round.
//!
//! An error quotes what its sender got. With source and destination exchanged that is the five-tuple of the sender's own
//! packets, so the flow entry of the sender's direction is found by it. What that entry adds to the checksums of the
//! sender's packets is also what the quote's checksums change by: the same four words are replaced by the same four.

use super::{Ingress, Packet, Parsed, Stat, Step, Tables, flow, rewrite};
use crate::{
    abi::{FlowDirection, FlowEntry, FlowKey},
    checksum::{self, Sum},
    drop_reason::DropReason,
    wire::{Icmp, IcmpType, IpProtocol, Ipv4, Ports, Udp},
};

/// The quote of a TCP packet as far as its checksum: ports, sequence and acknowledgement number, flags and window.
type TcpQuote = [u16; 9];
const TCP_CHECKSUM: usize = 8;

/// Whether the packet is an ICMP error.
#[inline(always)]
pub(super) fn is_error<P: Packet>(packet: &P, parsed: &Parsed) -> bool {
    parsed.protocol == IpProtocol::ICMP
        && !parsed.fragment
        && packet.at::<Icmp>(parsed.transport).is_some_and(|icmp| IcmpType::is_error(icmp.kind))
}

/// Translates an error and returns the port that it leaves through.
#[inline(always)]
pub(super) fn translate<P: Packet, T: Tables>(
    packet: &mut P,
    tables: &mut T,
    ingress: &Ingress,
    parsed: &Parsed,
) -> Step<u32> {
    let quote = parsed.transport + Icmp::LEN;
    let inner = *packet.at::<Ipv4>(quote).ok_or(DropReason::Malformed)?;
    let transport = quote + inner.header_length().ok_or(DropReason::Malformed)?;
    let ports = *packet.at::<Ports>(transport).ok_or(DropReason::Malformed)?;
    let is_flow = matches!(inner.protocol, IpProtocol::TCP | IpProtocol::UDP) && !inner.is_fragment();
    // What the sender got was sent to it, by the address that it now writes to.
    if !is_flow || { inner.destination } != parsed.source || { inner.source } != parsed.destination {
        return Err(DropReason::IcmpUnknownFlow.into());
    }
    let key = FlowKey {
        vpc: ingress.port.vpc,
        source: inner.destination,
        destination: inner.source,
        source_port: ports.destination,
        destination_port: ports.source,
        protocol: inner.protocol,
        zero: [0; 3],
    };
    let entry = tables.with_flow(&key, |entry| *entry).ok_or(DropReason::IcmpUnknownFlow)?;
    let out = flow::way_out(tables, &entry)?;

    let inner_delta = translate_quote(packet, quote, transport, &entry, &inner, &ports)?;
    let icmp = packet.at_mut::<Icmp>(parsed.transport).ok_or(DropReason::Malformed)?;
    icmp.checksum = checksum::apply(icmp.checksum, inner_delta.fold());
    rewrite::addresses(packet, &entry, &out)?;
    let stat = if entry.direction == FlowDirection::Forward as u8 { Stat::Forward } else { Stat::Reply };
    tables.count(entry.frontend, stat, parsed.length);
    Ok(entry.out_port)
}

/// Translates the quoted packet back; returns what that changes in the sum over the message.
#[inline(always)]
fn translate_quote<P: Packet>(
    packet: &mut P,
    quote: usize,
    transport: usize,
    entry: &FlowEntry,
    inner: &Ipv4,
    ports: &Ports,
) -> Step<Sum> {
    let mut delta = Sum::ZERO
        .replace(ports.source.bits(), entry.new_destination_port.bits())
        .replace(ports.destination.bits(), entry.new_source_port.bits());
    // The quote may end before the transport checksum: eight bytes of payload are all that it has to have.
    if inner.protocol == IpProtocol::UDP {
        if let Some(udp) = packet.at_mut::<Udp>(transport) {
            let changed = checksum::apply_udp(udp.checksum, entry.transport_delta);
            delta = delta.replace(udp.checksum, changed);
            udp.checksum = changed;
        }
    } else if let Some(tcp) = packet.at_mut::<TcpQuote>(transport) {
        let changed = checksum::apply(tcp[TCP_CHECKSUM], entry.transport_delta);
        delta = delta.replace(tcp[TCP_CHECKSUM], changed);
        tcp[TCP_CHECKSUM] = changed;
    }
    let quoted_ports = packet.at_mut::<Ports>(transport).ok_or(DropReason::Malformed)?;
    *quoted_ports = Ports { source: entry.new_destination_port, destination: entry.new_source_port };

    let header = packet.at_mut::<Ipv4>(quote).ok_or(DropReason::Malformed)?;
    header.source = entry.new_destination;
    header.destination = entry.new_source;
    let changed = checksum::apply(header.checksum, entry.address_delta);
    delta = delta.replace(header.checksum, changed);
    header.checksum = changed;
    Ok(delta.replace_address(inner.source, entry.new_destination).replace_address(inner.destination, entry.new_source))
}
