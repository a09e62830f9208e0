//! From the model's objects to what people see of them.

use std::{collections::BTreeMap, net::Ipv4Addr, path::Path};

use plink_common::abi::{FlowFlags, TICK_SHIFT};
use serde::Serialize;

use super::{
    backend::{Backend, Flow, Site},
    protocol::Kind,
    view::{
        AccountView, EndpointView, FlowView, InstanceView, InterfaceView, Inventory, ListenerView, LoadBalancerView,
        Named, ServiceView, SocketView, StatsView, SubnetView, TargetGroupView, TargetHealthView, TargetView, VpcView,
    },
};
use crate::model::{
    AccountId, Endpoint, EndpointService, EndpointState, EniId, Entity, Instance, Listener, LoadBalancer, Namespace,
    State, Subnet, Table, Target, TargetGroup, Vpc,
};

/// Describes the objects of one state.
pub(crate) struct Describe<'a, B> {
    pub(crate) backend: &'a B,
    pub(crate) state: &'a State,
}

impl<B: Backend> Describe<'_, B> {
    /// All objects, or those of one kind.
    pub(crate) fn inventory(&self, kind: Option<Kind>) -> Inventory {
        let wants = |this| kind.is_none_or(|kind| kind == this);
        fn all<K, V, W>(wanted: bool, table: &Table<K, V>, describe: impl Fn(&V) -> W) -> Vec<W> {
            if wanted { table.values().map(|entity| describe(entity)).collect() } else { Vec::new() }
        }
        let state = self.state;
        let mut found = Inventory {
            vpcs: all(wants(Kind::Vpc), &state.vpcs, |it| self.vpc(it)),
            subnets: all(wants(Kind::Subnet), &state.subnets, |it| self.subnet(it)),
            instances: all(wants(Kind::Instance), &state.instances, |it| self.instance(it)),
            load_balancers: all(wants(Kind::LoadBalancer), &state.load_balancers, |it| self.load_balancer(it)),
            target_groups: all(wants(Kind::TargetGroup), &state.target_groups, |it| self.target_group(it)),
            listeners: all(wants(Kind::Listener), &state.listeners, |it| self.listener(it)),
            services: all(wants(Kind::Service), &state.services, |it| self.service(it)),
            endpoints: all(wants(Kind::Endpoint), &state.endpoints, |it| self.endpoint(it)),
            ..Inventory::default()
        };
        if wants(Kind::Account) {
            let accounts = self.site().accounts.iter();
            found.accounts = accounts.map(|it| AccountView { id: it.id.to_string(), name: it.name.clone() }).collect();
            found.zones = self.site().zones.iter().map(ToString::to_string).collect();
        }
        found
    }

    fn site(&self) -> &Site {
        self.backend.site()
    }

    fn account(&self, id: AccountId) -> Named {
        let known = self.site().accounts.iter().find(|account| account.id == id);
        Named { id: id.to_string(), name: known.map(|account| account.name.clone()).unwrap_or_default() }
    }

    fn stats(&self, slot: u32) -> StatsView {
        let stats = self.backend.frontend_stats(slot);
        StatsView {
            forward_packets: stats.forward_packets,
            forward_bytes: stats.forward_bytes,
            reply_packets: stats.reply_packets,
            reply_bytes: stats.reply_bytes,
            new_flows: stats.new_flows,
            drops: stats.drops,
        }
    }

    fn interface(&self, id: EniId) -> InterfaceView {
        let Some(eni) = self.state.enis.get(&id) else {
            return InterfaceView { eni: id.to_string(), ..InterfaceView::default() };
        };
        let zone = self.state.subnets.get(&eni.subnet).map(|subnet| subnet.zone.to_string());
        InterfaceView {
            eni: id.to_string(),
            address: eni.address.to_string(),
            zone: zone.unwrap_or_default(),
            subnet: reference(&self.state.subnets, &eni.subnet),
        }
    }

    pub(crate) fn vpc(&self, it: &Vpc) -> VpcView {
        VpcView {
            name: name(it),
            id: it.id.to_string(),
            account: self.account(it.owner),
            cidr: it.cidr.to_string(),
            tags: it.tags.clone(),
        }
    }

    pub(crate) fn subnet(&self, it: &Subnet) -> SubnetView {
        SubnetView {
            name: name(it),
            id: it.id.to_string(),
            account: self.account(it.owner),
            vpc: reference(&self.state.vpcs, &it.vpc),
            zone: it.zone.to_string(),
            cidr: it.cidr.to_string(),
            tags: it.tags.clone(),
        }
    }

    pub(crate) fn instance(&self, it: &Instance) -> InstanceView {
        let eni = self.state.enis.get(&it.eni);
        let place = self.interface(it.eni);
        let (netns, interface, attached) = match &it.namespace {
            Namespace::Created => (created_netns(&self.site().name, &it.id.to_string()), "eth0".to_owned(), false),
            Namespace::Attached { path, interface } => (path.display().to_string(), interface.clone(), true),
        };
        InstanceView {
            name: name(it),
            id: it.id.to_string(),
            account: self.account(it.owner),
            state: wire(&it.state),
            problem: it.problem.clone(),
            address: place.address,
            zone: place.zone,
            vpc: eni.map(|eni| reference(&self.state.vpcs, &eni.vpc)).unwrap_or_default(),
            subnet: place.subnet,
            eni: place.eni,
            mac: eni.map(|eni| eni.mac.to_string()).unwrap_or_default(),
            port: eni.map(|eni| eni.port).unwrap_or_default(),
            hub_interface: format!("eni{:012x}", it.eni.bits() & 0xffff_ffff_ffff),
            netns,
            interface,
            attached,
            command: it.command.clone(),
            tags: it.tags.clone(),
        }
    }

    pub(crate) fn load_balancer(&self, it: &LoadBalancer) -> LoadBalancerView {
        LoadBalancerView {
            name: it.name.clone(),
            id: it.arn.to_string(),
            account: self.account(it.owner),
            vpc: reference(&self.state.vpcs, &it.vpc),
            nodes: it.nodes.iter().map(|node| self.interface(node.eni)).collect(),
            cross_zone: it.cross_zone,
            stats: self.stats(it.slot),
            created_ms: it.created_ms,
            tags: it.tags.clone(),
        }
    }

    fn target(&self, group: &TargetGroup, it: &Target) -> TargetView {
        let eni = self.state.eni_of_target(group, it);
        let instance = eni.and_then(|eni| self.state.instances.values().find(|instance| instance.eni == eni.id));
        TargetView {
            id: it.id.clone(),
            name: instance.map(|instance| name(instance.as_ref())).unwrap_or_default(),
            address: eni.map(|eni| eni.address.to_string()),
            port: it.port,
        }
    }

    pub(crate) fn target_group(&self, it: &TargetGroup) -> TargetGroupView {
        TargetGroupView {
            name: it.name.clone(),
            id: it.arn.to_string(),
            account: self.account(it.owner),
            vpc: reference(&self.state.vpcs, &it.vpc),
            target_type: wire(&it.target_type),
            protocol: wire(&it.protocol),
            port: it.port,
            targets: it.targets.iter().map(|target| self.target(it, target)).collect(),
            tags: it.tags.clone(),
        }
    }

    /// Without health checks yet: a target that is in use is `unavailable`, as AWS says with health checks disabled.
    pub(crate) fn health(&self, group: &TargetGroup) -> Vec<TargetHealthView> {
        let used = self.state.listeners_to(&group.arn).next().is_some();
        let (state, reason) =
            if used { ("unavailable", "Target.HealthCheckDisabled") } else { ("unused", "Target.NotInUse") };
        let targets = group.targets.iter().map(|target| self.target(group, target));
        let health = targets.map(|TargetView { id, name, address, port }| TargetHealthView {
            id,
            name,
            address,
            port,
            state: state.to_owned(),
            reason: Some(reason.to_owned()),
        });
        health.collect()
    }

    pub(crate) fn listener(&self, it: &Listener) -> ListenerView {
        ListenerView {
            name: name(it),
            id: it.arn.to_string(),
            account: self.account(it.owner),
            load_balancer: reference(&self.state.load_balancers, &it.load_balancer),
            protocol: wire(&it.protocol),
            port: it.port,
            target_group: reference(&self.state.target_groups, &it.target_group),
            tcp_idle_timeout: it.tcp_idle_timeout_s,
            tags: it.tags.clone(),
        }
    }

    pub(crate) fn service(&self, it: &EndpointService) -> ServiceView {
        let mut connections = BTreeMap::new();
        for endpoint in self.state.endpoints_of(it.id) {
            *connections.entry(wire(&endpoint.state)).or_default() += 1;
        }
        ServiceView {
            name: name(it),
            id: it.id.to_string(),
            account: self.account(it.owner),
            service_name: it.name.clone(),
            acceptance_required: it.acceptance_required,
            load_balancers: it.load_balancers.iter().map(|arn| reference(&self.state.load_balancers, arn)).collect(),
            allowed_principals: it.allowed_principals.iter().cloned().collect(),
            connections,
            tags: it.tags.clone(),
        }
    }

    pub(crate) fn endpoint(&self, it: &Endpoint) -> EndpointView {
        let mut interfaces: Vec<_> = it.enis.iter().map(|eni| self.interface(*eni)).collect();
        interfaces.sort_by(|a, b| a.zone.cmp(&b.zone));
        let service = self.state.services.get(&it.service);
        EndpointView {
            name: name(it),
            id: it.id.to_string(),
            account: self.account(it.owner),
            state: wire(&it.state),
            problem: it.problem.clone(),
            vpc: reference(&self.state.vpcs, &it.vpc),
            service: reference(&self.state.services, &it.service),
            service_name: service.map(|service| service.name.clone()).unwrap_or_default(),
            interfaces,
            stats: self.stats(it.slot),
            created_ms: it.created_ms,
            tags: it.tags.clone(),
        }
    }

    pub(crate) fn flow(&self, flow: &Flow) -> FlowView {
        let (key, entry) = (&flow.key, &flow.forward);
        let seconds = |ticks: u32| f64::from(ticks) * f64::from(1u32 << TICK_SHIFT) / 1e9;
        let (frontend, live) = self.frontend(entry.frontend, entry.frontend_generation);
        // A packet of this moment may be a tick ahead of our clock.
        let idle = self.backend.now().wrapping_sub(entry.last_seen);
        let idle = if idle as i32 > 0 { idle } else { 0 };
        FlowView {
            protocol: match key.protocol {
                6 => "TCP".to_owned(),
                17 => "UDP".to_owned(),
                other => other.to_string(),
            },
            client: self.socket(key.vpc, key.source.into(), key.source_port.get()),
            frontend,
            frontend_address: self.socket(0, key.destination.into(), key.destination_port.get()),
            source: self.socket(0, entry.new_source.into(), entry.new_source_port.get()),
            target: self.socket(entry.out_vpc, entry.new_destination.into(), entry.new_destination_port.get()),
            idle_s: seconds(idle),
            timeout_s: seconds(entry.idle_ticks),
            forward_flags: flags(entry.flags),
            reply_flags: flow.reply.map(|reply| flags(reply.flags)).unwrap_or_default(),
            live,
        }
    }

    fn frontend(&self, slot: u32, generation: u32) -> (Named, bool) {
        if let Some(it) = self.state.endpoint_by_slot(slot) {
            let live = it.generation == generation && it.state == EndpointState::Available;
            return (Named { id: it.id.to_string(), name: name(it.as_ref()) }, live);
        }
        match self.state.load_balancer_by_slot(slot) {
            Some(it) => (Named { id: it.arn.to_string(), name: it.name.clone() }, it.generation == generation),
            None => (Named { id: format!("slot {slot}"), name: String::new() }, false),
        }
    }

    fn socket(&self, vpc: u32, address: Ipv4Addr, port: u16) -> SocketView {
        let vpc = self.state.vpcs.values().find(|candidate| candidate.number == vpc);
        let eni = vpc.and_then(|vpc| self.state.eni_at(vpc.id, address));
        let instance = eni.and_then(|eni| self.state.instances.values().find(|instance| instance.eni == eni.id));
        SocketView { address, port, name: instance.map(|instance| name(instance.as_ref())).unwrap_or_default() }
    }
}

/// Where the namespace of an instance can be opened that the agent of this name makes.
pub(crate) fn created_netns(agent: &str, instance: &str) -> String {
    let name = if agent == "plink" { instance.to_owned() } else { format!("{agent}-{instance}") };
    Path::new("/run/netns").join(name).display().to_string()
}

/// How a state or a kind is spelled in JSON.
pub(crate) fn wire(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(text)) => text,
        Ok(other) => other.to_string(),
        Err(error) => error.to_string(),
    }
}

fn name(entity: &impl Entity) -> String {
    entity.name().unwrap_or_default().to_owned()
}

fn reference<K: Ord + ToString, V: Entity>(table: &Table<K, V>, id: &K) -> Named {
    Named { id: id.to_string(), name: table.get(id).map(|it| name(it.as_ref())).unwrap_or_default() }
}

fn flags(bits: u8) -> Vec<String> {
    let known = [(FlowFlags::SEEN, "seen"), (FlowFlags::FIN, "fin"), (FlowFlags::RST, "rst")];
    known.iter().filter(|(bit, _)| bits & bit != 0).map(|(_, name)| (*name).to_owned()).collect()
}
