//! What is at a destination, and delivery inside a VPC.

use super::{Ingress, Packet, Parsed, Step, Tables};
use crate::{
    abi::{AddressEntry, AddressKey, AddressKind, ROUTER_MAC},
    drop_reason::DropReason,
    wire::Ethernet,
};

/// What is at a destination.
pub(super) enum Destination {
    /// An instance behind this port.
    Instance { port: u32 },
    /// An endpoint or a load balancer.
    Frontend(AddressEntry),
}

/// Looks a destination up in the sender's VPC.
#[inline(always)]
pub(super) fn find<T: Tables>(tables: &T, ingress: &Ingress, parsed: &Parsed) -> Step<Destination> {
    let port = &ingress.port;
    let address = parsed.destination;
    match tables.address(&AddressKey { vpc: port.vpc, address }) {
        Some(entry) if entry.kind == AddressKind::Instance as u16 => Ok(Destination::Instance { port: entry.slot }),
        Some(entry) if entry.kind == AddressKind::Frontend as u16 => Ok(Destination::Frontend(entry)),
        _ if address == port.router => Err(DropReason::RouterAddress.into()),
        _ if is_group(address.get(), port.network.get() | !port.mask.get()) => Err(DropReason::GroupDestination.into()),
        _ => Err(DropReason::NoRoute.into()),
    }
}

/// Multicast, the limited broadcast or the subnet's broadcast address.
#[inline(always)]
const fn is_group(address: u32, broadcast: u32) -> bool {
    address >= 0xe000_0000 || address == broadcast
}

/// Addresses the frame to an instance of the same VPC. Inside a subnet the frame stays the sender's; between subnets
/// it comes from the router. The time to live stays: the VPC's router is no hop, as in AWS.
#[inline(always)]
pub(super) fn to_instance<P: Packet, T: Tables>(
    packet: &mut P,
    tables: &T,
    ingress: &Ingress,
    parsed: &Parsed,
    port: u32,
) -> Step<()> {
    let out = tables.port(port).ok_or(DropReason::PortGone)?;
    if out.vpc != ingress.port.vpc {
        return Err(DropReason::Internal.into());
    }
    parsed.check_mtu(&out)?;
    let ethernet = packet.at_mut::<Ethernet>(0).ok_or(DropReason::Malformed)?;
    ethernet.destination = out.mac;
    if parsed.source.bits() & out.mask.bits() != out.network.bits() {
        ethernet.source = ROUTER_MAC;
    }
    Ok(())
}
