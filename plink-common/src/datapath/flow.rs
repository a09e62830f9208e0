//! Packets of an established flow: one look-up finds all that the translation needs.

use super::{Ingress, Packet, Parsed, Segment, Stat, Step, Tables, rewrite};
use crate::{
    abi::{FlowDirection, FlowEntry, FlowFlags, PortEntry},
    drop_reason::DropReason,
    wire::{IpProtocol, TcpFlags},
};

/// Translates a packet that has a flow and returns the port that it leaves through; `None` if it has none, or only one
/// that is over and that the packet may open anew.
#[inline(always)]
pub(super) fn forward<P: Packet, T: Tables>(
    packet: &mut P,
    tables: &mut T,
    ingress: &Ingress,
    parsed: &Parsed,
    segment: &Segment,
) -> Step<Option<u32>> {
    let now = ingress.now;
    let looked_up = tables.with_flow(&segment.key, |entry| {
        let idle = entry.is_idle(now);
        if !idle {
            touch(entry, segment, now);
        }
        (*entry, idle)
    });
    let Some((entry, idle)) = looked_up else { return Ok(None) };
    if idle && partner_is_idle(tables, &entry, segment.key.protocol, now) {
        // Expired. Both entries go, so that their source port is free again.
        remove_both(tables, &entry, segment);
        return Ok(None);
    }
    match way_out(tables, &entry) {
        Ok(out) => {
            rewrite::translate(packet, ingress, parsed, segment, &entry, &out).inspect_err(|_| {
                tables.count(entry.frontend, Stat::Drop, 0);
            })?;
            let stat = if entry.direction == FlowDirection::Forward as u8 { Stat::Forward } else { Stat::Reply };
            tables.count(entry.frontend, stat, parsed.length);
            Ok(Some(entry.out_port))
        }
        // The flow is over, but its client begins anew: a SYN, or any datagram. What follows decides afresh.
        Err(_) if segment.opens && entry.direction == FlowDirection::Forward as u8 => {
            remove_both(tables, &entry, segment);
            Ok(None)
        }
        Err(reason) => {
            tables.count(entry.frontend, Stat::Drop, 0);
            // A client's datagram that meets nobody is told so; a target's is only dropped.
            let told = segment.key.protocol == IpProtocol::TCP;
            Err(if told { segment.refuse(reason) } else { reason.into() })
        }
    }
}

/// Marks an entry as used. Written only when something changes, so that the line stays shared between CPUs.
#[inline(always)]
fn touch(entry: &mut FlowEntry, segment: &Segment, now: u32) {
    let mut flags = entry.flags | FlowFlags::SEEN;
    if segment.key.protocol == IpProtocol::TCP && segment.flags & (TcpFlags::SYN | TcpFlags::FIN | TcpFlags::RST) != 0 {
        if segment.flags & TcpFlags::SYN != 0 {
            flags = FlowFlags::SEEN; // a new connection with the same ports
        }
        if segment.flags & TcpFlags::FIN != 0 {
            flags |= FlowFlags::FIN;
        }
        if segment.flags & TcpFlags::RST != 0 {
            flags |= FlowFlags::RST;
        }
    }
    if entry.flags != flags {
        entry.flags = flags;
    }
    if entry.last_seen != now {
        entry.last_seen = now;
    }
}

/// The port that a flow leaves through, if its endpoint, its target and the port are still those it was made for.
#[inline(always)]
pub(super) fn way_out<T: Tables>(tables: &T, entry: &FlowEntry) -> Result<PortEntry, DropReason> {
    match tables.frontend(entry.frontend) {
        Some(frontend) if frontend.generation == entry.frontend_generation => {}
        _ => return Err(DropReason::EndpointRevoked),
    }
    match tables.target(entry.target) {
        Some(target) if target.generation == entry.target_generation => {}
        _ => return Err(DropReason::TargetRemoved),
    }
    match tables.port(entry.out_port) {
        Some(out) if out.vpc == entry.out_vpc && out.generation == entry.out_port_generation => Ok(out),
        _ => Err(DropReason::PortGone),
    }
}

/// A flow lives as long as either direction is used: datagrams may go one way only.
#[inline(always)]
fn partner_is_idle<T: Tables>(tables: &mut T, entry: &FlowEntry, protocol: u8, now: u32) -> bool {
    tables.with_flow(&entry.partner(protocol), |partner| partner.is_idle(now)).unwrap_or(true)
}

#[inline(always)]
fn remove_both<T: Tables>(tables: &mut T, entry: &FlowEntry, segment: &Segment) {
    tables.remove_flow(&entry.partner(segment.key.protocol));
    tables.remove_flow(&segment.key);
}
