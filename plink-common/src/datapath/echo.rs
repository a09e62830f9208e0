//! Echo requests to an endpoint's address are answered by the program: they are how people test.

use super::{Packet, Parsed, Step, Tables};
use crate::{
    abi::{AddressEntry, FrontendKind, FrontendState},
    checksum::{self, Sum},
    drop_reason::DropReason,
    wire::{Ethernet, Icmp, IcmpType, IpProtocol, Ipv4},
};

/// Turns an echo request into its reply (RFC 792); refuses whatever else is neither TCP nor UDP.
#[inline(always)]
pub(super) fn answer<P: Packet, T: Tables>(
    packet: &mut P,
    tables: &T,
    parsed: &Parsed,
    address: &AddressEntry,
) -> Step<()> {
    if parsed.fragment {
        return Err(DropReason::Fragment.into());
    }
    let frontend = tables.frontend(address.slot).ok_or(DropReason::EndpointUnavailable)?;
    if parsed.protocol != IpProtocol::ICMP || frontend.kind != FrontendKind::Endpoint as u16 {
        return Err(DropReason::UnsupportedProtocol.into());
    }
    if frontend.state != FrontendState::Open as u16 {
        return Err(DropReason::EndpointUnavailable.into());
    }

    let icmp = packet.at_mut::<Icmp>(parsed.transport).ok_or(DropReason::Malformed)?;
    if icmp.kind != IcmpType::ECHO_REQUEST || icmp.code != 0 {
        return Err(DropReason::UnsupportedProtocol.into());
    }
    icmp.kind = IcmpType::ECHO_REPLY;
    let (request, reply) = ([IcmpType::ECHO_REQUEST, 0], [IcmpType::ECHO_REPLY, 0]);
    let delta = Sum::ZERO.replace(u16::from_ne_bytes(request), u16::from_ne_bytes(reply)).fold();
    icmp.checksum = checksum::apply(icmp.checksum, delta);

    // Exchanging two words leaves a checksum as it is.
    let ip = packet.at_mut::<Ipv4>(Ethernet::LEN).ok_or(DropReason::Malformed)?;
    (ip.source, ip.destination) = (parsed.destination, parsed.source);
    let ethernet = packet.at_mut::<Ethernet>(0).ok_or(DropReason::Malformed)?;
    let requester = ethernet.source;
    ethernet.source = address.mac;
    ethernet.destination = requester;
    Ok(())
}
