//! Instances: their interfaces and their rows in `PORTS`.

use std::net::Ipv4Addr;

use plink_common::abi::PortEntry;

use super::{Interface, Plan};
use crate::{
    config::Config,
    model::{Eni, EniId, EniRole, Entity as _, Namespace, State},
    net::InterfacePlan,
};

pub(super) fn plan(state: &State, config: &Config, plan: &mut Plan) {
    for eni in state.enis.values().filter(|eni| eni.port != 0) {
        match interface(state, config, eni) {
            Some((interface, port)) => {
                plan.interfaces.insert(eni.port, interface);
                plan.ports.insert(eni.port, port);
            }
            None => plan.problems.push(format!("{} has a port, but its instance, subnet or VPC is missing", eni.id)),
        }
    }
}

fn interface(state: &State, config: &Config, eni: &Eni) -> Option<(Interface, PortEntry)> {
    let EniRole::Instance(instance) = &eni.role else { return None };
    let (instance, subnet, vpc) =
        (state.instances.get(instance)?, state.subnets.get(&eni.subnet)?, state.vpcs.get(&eni.vpc)?);
    let router = Ipv4Addr::from(u32::from(subnet.cidr.network()) + 1);
    let name = match &instance.namespace {
        Namespace::Created => "eth0",
        Namespace::Attached { interface, .. } => interface,
    };
    let veth = InterfacePlan {
        index: eni.port,
        hub_name: hub_name(eni.id),
        name: name.to_owned(),
        mac: eni.mac.octets(),
        address: ipnet::Ipv4Net::new(eni.address, subnet.cidr.prefix_len()).ok()?,
        router,
        vpc: vpc.cidr,
        mtu: config.datapath.mtu,
    };
    let port = PortEntry {
        vpc: vpc.number,
        generation: eni.generation,
        address: eni.address.into(),
        network: subnet.cidr.network().into(),
        mask: subnet.cidr.netmask().into(),
        router: router.into(),
        mac: eni.mac.into(),
        mtu: config.datapath.mtu as u16,
    };
    let interface = Interface {
        instance: instance.id,
        eni: eni.id,
        namespace: instance.namespace.clone(),
        command: instance.command.clone(),
        instance_name: instance.name().unwrap_or_default().to_owned(),
        veth,
    };
    Some((interface, port))
}

/// The hub side's name: as much of the ID as the kernel's 15 characters hold.
pub(crate) fn hub_name(id: EniId) -> String {
    format!("eni{}", &id.digits()[5..])
}
