//! What the kernel has to hold for a state: rows of the maps, Maglev tables, interfaces. Pure, with no allocator of its
//! own: slots and generations are part of the state.
//!
//! How slots hang together:
//! - a port is the interface index of its hub side;
//! - a target group has a Maglev table a zone and one for all zones: `group.slot * 8 + zone`, the last of the eight for
//!   all zones;
//! - an address has a set of listeners: a load balancer's node `load_balancer.slot * 8 + zone`, an endpoint's interface
//!   the service's set of the zone, `SERVICE_SETS | service.slot * 8 + zone`;
//! - zones are numbered by their place in the configuration.

mod balancing;
mod interfaces;

use std::collections::{BTreeMap, HashMap};

use plink_common::{
    abi::{
        AddressEntry, AddressKey, AddressKind, FrontendEntry, FrontendKind, FrontendState, ListenerEntry, ListenerKey,
        PortEntry, TargetEntry,
    },
    maglev::Member,
};

use crate::{
    config::Config,
    model::{Endpoint, EndpointState, Eni, EniId, EniRole, InstanceId, LoadBalancer, Namespace, State, Zone},
    net::InterfacePlan,
};

/// The first listener set of the services.
const SERVICE_SETS: u32 = 0x8000_0000;
/// Zones, and so tables and listener sets, an object: see [`crate::config::MAX_ZONES`].
const ZONE_SLOTS: u32 = 8;
/// The table of all zones.
const ALL_ZONES: u32 = ZONE_SLOTS - 1;

/// What the kernel has to hold.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Plan {
    /// Instances and their interfaces, by port.
    pub interfaces: BTreeMap<u32, Interface>,
    /// `PORTS`.
    pub ports: BTreeMap<u32, PortEntry>,
    /// `ADDRESSES`.
    pub addresses: HashMap<AddressKey, AddressEntry>,
    /// `LISTENERS`.
    pub listeners: HashMap<ListenerKey, ListenerEntry>,
    /// `TARGETS`.
    pub targets: BTreeMap<u32, TargetEntry>,
    /// `MAGLEV`: the tables that a listener needs and that have targets.
    pub tables: BTreeMap<u32, Vec<Member>>,
    /// What of the state cannot be brought into the kernel, as sentences.
    pub problems: Vec<String>,
}

/// An instance and its interface.
#[derive(Clone, PartialEq, Debug)]
pub struct Interface {
    /// The instance.
    pub instance: InstanceId,
    /// Its network interface.
    pub eni: EniId,
    /// Its namespace.
    pub namespace: Namespace,
    /// Its command, with the environment that it gets.
    pub command: Vec<String>,
    /// The tag `Name`, or nothing.
    pub instance_name: String,
    /// The veth pair.
    pub veth: InterfacePlan,
}

/// Plans everything but the doors ([`frontends`]).
#[must_use]
pub fn plan(state: &State, config: &Config) -> Plan {
    let mut plan = Plan::default();
    interfaces::plan(state, config, &mut plan);
    let context = Context { state, zones: &config.zones };
    for eni in state.enis.values() {
        if let Some((key, entry)) = context.address(eni, &mut plan.problems) {
            plan.addresses.insert(key, entry);
        }
    }
    balancing::plan(&context, &mut plan);
    plan
}

/// `FRONTENDS`: the doors, all of them.
#[must_use]
pub fn frontends(state: &State) -> BTreeMap<u32, FrontendEntry> {
    let endpoints = state.endpoints.values().map(|endpoint| (endpoint.slot, endpoint_door(endpoint)));
    let load_balancers = state.load_balancers.values().map(|lb| (lb.slot, load_balancer_door(lb)));
    endpoints.chain(load_balancers).collect()
}

/// The door at one slot; all zero where nothing has that slot.
#[must_use]
pub fn frontend(state: &State, slot: u32) -> FrontendEntry {
    let endpoint = state.endpoint_by_slot(slot).map(|endpoint| endpoint_door(endpoint));
    endpoint.or_else(|| state.load_balancer_by_slot(slot).map(|lb| load_balancer_door(lb))).unwrap_or_default()
}

fn endpoint_door(endpoint: &Endpoint) -> FrontendEntry {
    let open = endpoint.state == EndpointState::Available;
    let state = if open { FrontendState::Open } else { FrontendState::Closed };
    FrontendEntry { generation: endpoint.generation, state: state as u16, kind: FrontendKind::Endpoint as u16 }
}

fn load_balancer_door(lb: &LoadBalancer) -> FrontendEntry {
    FrontendEntry {
        generation: lb.generation,
        state: FrontendState::Open as u16,
        kind: FrontendKind::LoadBalancer as u16,
    }
}

/// What the parts of a plan look things up in.
struct Context<'a> {
    state: &'a State,
    zones: &'a [Zone],
}

impl Context<'_> {
    fn zone_number(&self, zone: &Zone) -> Option<u32> {
        self.zones.iter().position(|configured| configured == zone).map(|position| position as u32)
    }

    fn zone_of(&self, eni: &Eni) -> Option<u32> {
        self.zone_number(&self.state.subnets.get(&eni.subnet)?.zone)
    }

    fn address(&self, eni: &Eni, problems: &mut Vec<String>) -> Option<(AddressKey, AddressEntry)> {
        let vpc = self.state.vpcs.get(&eni.vpc)?.number;
        let (kind, slot, listener_set) = match &eni.role {
            EniRole::Instance(_) => (AddressKind::Instance, eni.port, 0),
            role => {
                let Some(zone) = self.zone_of(eni) else {
                    problems.push(format!("{} is in a zone that is not configured", eni.id));
                    return None;
                };
                match role {
                    EniRole::LoadBalancer(arn) => {
                        let slot = self.state.load_balancers.get(arn)?.slot;
                        (AddressKind::Frontend, slot, node_set(slot, zone))
                    }
                    EniRole::Endpoint(id) => {
                        let endpoint = self.state.endpoints.get(id)?;
                        let service = self.state.services.get(&endpoint.service)?;
                        (AddressKind::Frontend, endpoint.slot, service_set(service.slot, zone))
                    }
                    EniRole::Instance(_) => return None,
                }
            }
        };
        let key = AddressKey { vpc, address: eni.address.into() };
        Some((key, AddressEntry { kind: kind as u16, mac: eni.mac.into(), slot, listener_set }))
    }
}

/// The listener set of a load balancer's node.
fn node_set(slot: u32, zone: u32) -> u32 {
    slot * ZONE_SLOTS + zone
}

/// The listener set of a service's endpoints in a zone.
fn service_set(slot: u32, zone: u32) -> u32 {
    SERVICE_SETS | (slot * ZONE_SLOTS + zone)
}

#[cfg(test)]
mod tests;
