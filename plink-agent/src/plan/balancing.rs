//! Load balancing: listeners, targets and Maglev tables.

use std::{
    collections::{BTreeMap, HashMap, btree_map::Entry},
    net::Ipv4Addr,
};

use plink_common::{
    abi::{Be16, ListenerEntry, ListenerKey, TargetEntry},
    maglev::Member,
};

use super::{ALL_ZONES, Context, Plan, ZONE_SLOTS, node_set, service_set};
use crate::model::{
    Arn, Eni, EniRole, Listener, ListenerProtocol, LoadBalancer, Node, Target, TargetGroup, TargetType, VpcId,
};

const TCP: u8 = 6;
const UDP: u8 = 17;
/// AWS's, and not settable.
const UDP_IDLE_TIMEOUT_S: u32 = 120;

pub(super) fn plan(context: &Context<'_>, plan: &mut Plan) {
    let listeners = listeners_by_load_balancer(context);
    for lb in context.state.load_balancers.values() {
        for node in &lb.nodes {
            let Some(zone) = context.zone_number(&node.zone) else {
                plan.problems.push(format!("{}: the zone {} is not configured", lb.arn, node.zone));
                continue;
            };
            add_listeners(context, plan, &listeners, lb, node, zone, node_set(lb.slot, zone));
        }
    }
    for service in context.state.services.values() {
        let mut arns: Vec<&Arn> = service.load_balancers.iter().collect();
        arns.sort();
        for lb in arns.into_iter().filter_map(|arn| context.state.load_balancers.get(arn)) {
            for node in &lb.nodes {
                if let Some(zone) = context.zone_number(&node.zone) {
                    add_listeners(context, plan, &listeners, lb, node, zone, service_set(service.slot, zone));
                }
            }
        }
    }
    add_targets(context, plan, &listeners);
}

type Listeners<'a> = BTreeMap<&'a Arn, Vec<&'a Listener>>;

fn listeners_by_load_balancer<'a>(context: &Context<'a>) -> Listeners<'a> {
    let mut listeners = Listeners::new();
    // In order of their ARNs: the first wins where two have the same protocol and port.
    for listener in context.state.listeners.values() {
        listeners.entry(&listener.load_balancer).or_default().push(listener);
    }
    listeners
}

/// Adds the listeners of a load balancer's node to a set that has not got them yet.
fn add_listeners(
    context: &Context<'_>,
    plan: &mut Plan,
    listeners: &Listeners<'_>,
    lb: &LoadBalancer,
    node: &Node,
    zone: u32,
    set: u32,
) {
    let Some(eni) = context.state.enis.get(&node.eni) else {
        plan.problems.push(format!("{}: the interface {} of its node is missing", lb.arn, node.eni));
        return;
    };
    for listener in listeners.get(&lb.arn).into_iter().flatten() {
        let Some(group) = context.state.target_groups.get(&listener.target_group) else {
            plan.problems.push(format!("{}: the target group {} is missing", listener.arn, listener.target_group));
            continue;
        };
        for &(protocol, idle_timeout_s) in protocols(listener) {
            let key = ListenerKey { set, port: Be16::new(listener.port), protocol, zero: 0 };
            plan.listeners.entry(key).or_insert(ListenerEntry {
                table: table(group, if lb.cross_zone { ALL_ZONES } else { zone }),
                source: eni.address.into(),
                source_set: node_set(lb.slot, zone),
                idle_timeout_s: idle_timeout_s.unwrap_or(listener.tcp_idle_timeout_s),
            });
        }
    }
}

/// The IP protocols of a listener, with the idle timeout where it is not the listener's own.
fn protocols(listener: &Listener) -> &'static [(u8, Option<u32>)] {
    match listener.protocol {
        ListenerProtocol::Tcp => &[(TCP, None)],
        ListenerProtocol::Udp => &[(UDP, Some(UDP_IDLE_TIMEOUT_S))],
        ListenerProtocol::TcpUdp => &[(TCP, None), (UDP, Some(UDP_IDLE_TIMEOUT_S))],
    }
}

fn table(group: &TargetGroup, zone: u32) -> u32 {
    group.slot * ZONE_SLOTS + zone
}

/// The targets of every group that a listener uses, and the tables that the listeners name.
fn add_targets(context: &Context<'_>, plan: &mut Plan, listeners: &Listeners<'_>) {
    let interfaces = instances_by_address(context);
    let mut groups: BTreeMap<&Arn, &TargetGroup> = BTreeMap::new();
    for listener in listeners.values().flatten() {
        if let Entry::Vacant(entry) = groups.entry(&listener.target_group)
            && let Some(group) = context.state.target_groups.get(&listener.target_group)
        {
            entry.insert(group);
        }
    }
    let needed: std::collections::HashSet<u32> = plan.listeners.values().map(|listener| listener.table).collect();
    for group in groups.into_values() {
        for target in &group.targets {
            let Some(eni) = interface_of(context, &interfaces, group, target) else { continue };
            let (Some(zone), Ok(slot)) = (context.zone_of(eni), u16::try_from(target.slot)) else { continue };
            let entry = TargetEntry {
                generation: target.generation,
                address: eni.address.into(),
                port: Be16::new(target.port),
                zero: 0,
                out_port: eni.port,
            };
            plan.targets.insert(target.slot, entry);
            let member = Member { identity: identity(eni.address, target.port), slot };
            for table in [table(group, zone), table(group, ALL_ZONES)] {
                if needed.contains(&table) {
                    plan.tables.entry(table).or_default().push(member);
                }
            }
        }
    }
}

fn instances_by_address<'a>(context: &Context<'a>) -> HashMap<(VpcId, Ipv4Addr), &'a Eni> {
    let instances = context.state.enis.values().filter(|eni| matches!(eni.role, EniRole::Instance(_)));
    instances.map(|eni| ((eni.vpc, eni.address), eni.as_ref())).collect()
}

/// The interface behind a registration: an instance's, in the group's VPC.
fn interface_of<'a>(
    context: &Context<'a>,
    interfaces: &HashMap<(VpcId, Ipv4Addr), &'a Eni>,
    group: &TargetGroup,
    target: &Target,
) -> Option<&'a Eni> {
    match group.target_type {
        TargetType::Ip => interfaces.get(&(group.vpc, target.id.parse().ok()?)).copied(),
        TargetType::Instance => {
            let eni = context.state.eni_of_instance(target.id.parse().ok()?)?;
            (eni.vpc == group.vpc).then_some(eni)
        }
    }
}

/// What Maglev recognises a target by: the same on every host and after every restart (FNV-1a).
fn identity(address: Ipv4Addr, port: u16) -> u64 {
    let bytes = address.octets().into_iter().chain(port.to_be_bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
