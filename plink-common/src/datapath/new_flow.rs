//! The first packet of a flow: listener, target, source port, and both entries.

use super::{Ingress, InsertError, Packet, Parsed, Segment, Stat, Step, Tables, rewrite};
use crate::{
    abi::{
        AddressEntry, Be16, FlowDirection, FlowEntry, FlowFlags, FlowKey, FrontendEntry, FrontendState, ListenerEntry,
        ListenerKey, MAGLEV_SIZE, PortEntry, TargetEntry, ticks,
    },
    checksum::Sum,
    drop_reason::DropReason,
};

/// Source ports that are tried before a new flow is refused.
pub const SOURCE_PORT_PROBES: u32 = 16;
/// Source ports run from here to 65,535.
const FIRST_SOURCE_PORT: u16 = 1024;
const SOURCE_PORTS: u64 = 65_536 - FIRST_SOURCE_PORT as u64;

/// Opens a flow at a frontend and translates its first packet; returns the port that it leaves through.
#[inline(always)]
pub(super) fn open<P: Packet, T: Tables>(
    packet: &mut P,
    tables: &mut T,
    ingress: &Ingress,
    parsed: &Parsed,
    segment: &Segment,
    address: &AddressEntry,
) -> Step<u32> {
    if !segment.opens {
        return Err(segment.refuse(DropReason::UnknownFlow));
    }
    let frontend = tables.frontend(address.slot).ok_or(DropReason::EndpointUnavailable)?;
    if frontend.state != FrontendState::Open as u16 {
        return Err(DropReason::EndpointUnavailable.into());
    }
    let key = &segment.key;
    let listener_key = |set, port| ListenerKey { set, port, protocol: key.protocol, zero: 0 };
    let listener =
        tables.listener(&listener_key(address.listener_set, key.destination_port)).ok_or(DropReason::NoListener)?;
    let hash = hash(key, tables.seed());
    let Some((slot, target)) = choose(tables, &listener, hash) else {
        return Err(segment.refuse(DropReason::NoTarget));
    };
    let out = tables.port(target.out_port).filter(|out| out.vpc != 0).ok_or(DropReason::PortGone)?;

    parsed.check_mtu(&out)?;

    let made = Made { ingress, segment, address, frontend, listener, slot, target, out };
    let entry = made.insert(tables, hash)?;
    rewrite::translate(packet, ingress, parsed, segment, &entry, &out)?;
    tables.count(address.slot, Stat::Forward, parsed.length);
    Ok(entry.out_port)
}

/// The target whose turn it is: the Maglev table's entry for the flow's hash.
#[inline(always)]
fn choose<T: Tables>(tables: &T, listener: &ListenerEntry, hash: u64) -> Option<(u32, TargetEntry)> {
    let entry = ((hash & 0xffff_ffff) * MAGLEV_SIZE as u64) >> 32;
    let slot = u32::from(tables.maglev(listener.table, entry as u32)?);
    let target = tables.target(slot)?;
    (slot != 0 && target.generation != 0).then_some((slot, target))
}

/// All that decides a new flow's entries.
struct Made<'a> {
    ingress: &'a Ingress,
    segment: &'a Segment,
    address: &'a AddressEntry,
    frontend: FrontendEntry,
    listener: ListenerEntry,
    slot: u32,
    target: TargetEntry,
    out: PortEntry,
}

impl Made<'_> {
    /// Adds both entries and returns the forward one.
    ///
    /// The reply entry comes first: its key holds the source port, so that adding it is the claim to that port, and of
    /// two CPUs only one succeeds. If another CPU has made the same flow meanwhile, the claim is given back and the
    /// other's flow is used.
    #[inline(always)]
    fn insert<T: Tables>(&self, tables: &mut T, hash: u64) -> Step<FlowEntry> {
        let (source_port, reply_key) = self.claim(tables, hash)?;
        let forward = self.forward(source_port);
        match tables.insert_flow(&self.segment.key, &forward) {
            Ok(()) => {
                tables.count(self.address.slot, Stat::NewFlow, 0);
                Ok(forward)
            }
            Err(InsertError::Full) => {
                tables.remove_flow(&reply_key);
                Err(self.segment.refuse(DropReason::FlowTableFull))
            }
            Err(InsertError::Exists) => {
                tables.remove_flow(&reply_key);
                let other = tables.with_flow(&self.segment.key, |entry| *entry);
                other
                    .filter(|entry| {
                        entry.frontend_generation == self.frontend.generation && entry.out_vpc == self.out.vpc
                    })
                    .filter(|entry| entry.out_port == self.target.out_port)
                    .ok_or_else(|| DropReason::FlowRace.into())
            }
        }
    }

    /// Claims a source port of the load balancer node by adding the reply entry.
    #[inline(always)]
    fn claim<T: Tables>(&self, tables: &mut T, hash: u64) -> Step<(Be16, FlowKey)> {
        let key = &self.segment.key;
        let mut state = (hash >> 32) as u32;
        let mut reply = self.reply();
        for _ in 0..SOURCE_PORT_PROBES {
            let offset = (u64::from(state) * SOURCE_PORTS) >> 32;
            let source_port = Be16::new(FIRST_SOURCE_PORT + offset as u16);
            // The next candidate: a step of a full-period generator (Knuth, TAOCP 2, section 3.3.4, table 1).
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);

            // A reply to a listener's port would look like a request to it.
            let listens =
                ListenerKey { set: self.listener.source_set, port: source_port, protocol: key.protocol, zero: 0 };
            if tables.listener(&listens).is_some() {
                continue;
            }
            let reply_key = FlowKey {
                vpc: self.out.vpc,
                source: self.target.address,
                destination: self.listener.source,
                source_port: self.target.port,
                destination_port: source_port,
                protocol: key.protocol,
                zero: [0; 3],
            };
            reply.transport_delta = transport_delta(&reply_key, &reply);
            match tables.insert_flow(&reply_key, &reply) {
                Ok(()) => return Ok((source_port, reply_key)),
                Err(InsertError::Exists) => {}
                Err(InsertError::Full) => return Err(self.segment.refuse(DropReason::FlowTableFull)),
            }
        }
        Err(self.segment.refuse(DropReason::NoSourcePort))
    }

    #[inline(always)]
    fn forward(&self, source_port: Be16) -> FlowEntry {
        let key = &self.segment.key;
        let mut entry = FlowEntry {
            new_source: self.listener.source,
            new_destination: self.target.address,
            new_source_port: source_port,
            new_destination_port: self.target.port,
            out_port: self.target.out_port,
            out_port_generation: self.out.generation,
            out_vpc: self.out.vpc,
            direction: FlowDirection::Forward as u8,
            flags: FlowFlags::SEEN,
            ..self.common()
        };
        entry.address_delta = address_delta(key, &entry);
        entry.transport_delta = transport_delta(key, &entry);
        entry
    }

    /// The reply entry; its transport delta depends on the source port.
    #[inline(always)]
    fn reply(&self) -> FlowEntry {
        let key = &self.segment.key;
        let mut entry = FlowEntry {
            new_source: key.destination,
            new_destination: key.source,
            new_source_port: key.destination_port,
            new_destination_port: key.source_port,
            out_port: self.ingress.index,
            out_port_generation: self.ingress.port.generation,
            out_vpc: self.ingress.port.vpc,
            direction: FlowDirection::Reply as u8,
            flags: 0,
            ..self.common()
        };
        entry.address_delta = Sum::ZERO
            .replace_address(self.target.address, entry.new_source)
            .replace_address(self.listener.source, entry.new_destination)
            .fold();
        entry
    }

    #[inline(always)]
    fn common(&self) -> FlowEntry {
        FlowEntry {
            new_source: Default::default(),
            new_destination: Default::default(),
            new_source_port: Default::default(),
            new_destination_port: Default::default(),
            out_port: 0,
            out_port_generation: 0,
            out_vpc: 0,
            frontend: self.address.slot,
            frontend_generation: self.frontend.generation,
            target: self.slot,
            target_generation: self.target.generation,
            last_seen: self.ingress.now,
            idle_ticks: ticks(self.listener.idle_timeout_s),
            address_delta: 0,
            transport_delta: 0,
            direction: 0,
            flags: 0,
            zero: 0,
        }
    }
}

/// What the translation from `key` by `entry` adds to the header's checksum.
#[inline(always)]
fn address_delta(key: &FlowKey, entry: &FlowEntry) -> u16 {
    Sum::ZERO
        .replace_address(key.source, entry.new_source)
        .replace_address(key.destination, entry.new_destination)
        .fold()
}

/// What it adds to the transport checksum, whose pseudo-header holds the addresses.
#[inline(always)]
fn transport_delta(key: &FlowKey, entry: &FlowEntry) -> u16 {
    Sum::ZERO
        .word(entry.address_delta)
        .replace(key.source_port.bits(), entry.new_source_port.bits())
        .replace(key.destination_port.bits(), entry.new_destination_port.bits())
        .fold()
}

/// A seeded hash of the five-tuple: two rounds of multiply and shift, whose upper and lower half are used apart.
#[inline(always)]
fn hash(key: &FlowKey, seed: u64) -> u64 {
    let addresses = u64::from(key.source.bits()) << 32 | u64::from(key.destination.bits());
    let ports = u64::from(key.source_port.bits()) << 16 | u64::from(key.destination_port.bits());
    let rest = ports << 32 | u64::from(key.vpc ^ (u32::from(key.protocol) << 24));
    let mixed = mix(seed ^ addresses);
    mix(mixed ^ rest)
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood 2014).
#[inline(always)]
fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}
