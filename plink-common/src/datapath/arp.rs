//! ARP is answered for every address of the sender's subnet that exists, and never flooded.

use super::{Packet, Step, Tables};
use crate::{
    abi::{AddressKey, Be32, Mac, PortEntry, ROUTER_MAC},
    drop_reason::DropReason,
    wire::{ARP_REPLY, Arp, Ethernet},
};

/// Turns a request into its reply.
#[inline(always)]
pub(super) fn answer<P: Packet, T: Tables>(packet: &mut P, tables: &T, port: &PortEntry) -> Step<()> {
    let arp = packet.at_mut::<Arp>(Ethernet::LEN).ok_or(DropReason::Malformed)?;
    if !arp.is_ipv4_request() {
        return Err(DropReason::UnsupportedArp.into());
    }
    if arp.sender_mac != port.mac {
        return Err(DropReason::SpoofedMac.into());
    }
    // A probe (RFC 5227) has no sender's address.
    let sender = arp.sender_address;
    if sender != port.address && sender != Be32::default() {
        return Err(DropReason::SpoofedAddress.into());
    }
    let wanted = arp.target_address;
    if wanted == port.address {
        // A probe or an announcement of the sender's own address: an answer would be a conflict.
        return Err(DropReason::UnsupportedArp.into());
    }
    let mac = mac_of(tables, port, wanted).ok_or(DropReason::ArpUnknownAddress)?;

    arp.operation = ARP_REPLY;
    arp.target_mac = arp.sender_mac;
    arp.target_address = sender;
    arp.sender_mac = mac;
    arp.sender_address = wanted;
    let ethernet = packet.at_mut::<Ethernet>(0).ok_or(DropReason::Malformed)?;
    ethernet.destination = ethernet.source;
    ethernet.source = mac;
    Ok(())
}

#[inline(always)]
fn mac_of<T: Tables>(tables: &T, port: &PortEntry, address: Be32) -> Option<Mac> {
    if address.bits() & port.mask.bits() != port.network.bits() {
        return None;
    }
    if address == port.router {
        return Some(ROUTER_MAC);
    }
    Some(tables.address(&AddressKey { vpc: port.vpc, address })?.mac)
}
