//! Network interfaces: made and removed with what they belong to.

use std::{collections::BTreeSet, net::Ipv4Addr};

use ipnet::Ipv4Net;

use super::{check::invalid, decision::Decision};
use crate::model::{ControlError, Eni, EniId, EniRole, ErrorCode, MacAddress, Subnet, Tags};

/// The router, the VPC's resolver and the two besides them.
const RESERVED_FIRST: u32 = 4;
/// Rows of `ADDRESSES`.
const MAX_ENIS: usize = 131_072;

/// Makes a network interface at `address`, or at the lowest free one.
pub(super) fn create(
    decision: &mut Decision<'_, '_>,
    subnet: &Subnet,
    address: Option<Ipv4Addr>,
    role: EniRole,
    address_field: &str,
) -> Result<EniId, ControlError> {
    if decision.state.enis.len() >= MAX_ENIS {
        let message = format!("all {MAX_ENIS} network interfaces are in use");
        return Err(ControlError::new(ErrorCode::LimitExceeded, message));
    }
    let address = match address {
        Some(address) => check(decision, subnet, address, address_field)?,
        None => lowest_free(decision, subnet)?,
    };
    let port = if matches!(role, EniRole::Instance(_)) { decision.port_slot()? } else { 0 };
    // The MAC address and the hub side's name are made of the ID's last digits: these have to be unique too.
    let id = loop {
        let id = decision.fresh::<Eni>(|random| EniId::random(random));
        if decision.state.enis.values().all(|eni| eni.mac != MacAddress::of_eni(id)) {
            break id;
        }
    };
    decision.generation().map(|generation| {
        decision.put(Eni {
            id,
            owner: subnet.owner,
            vpc: subnet.vpc,
            subnet: subnet.id,
            address,
            mac: MacAddress::of_eni(id),
            role,
            port,
            generation,
            tags: Tags::new(),
        });
        id
    })
}

/// Removes network interfaces.
pub(super) fn delete(decision: &mut Decision<'_, '_>, ids: impl IntoIterator<Item = EniId>) {
    for id in ids {
        if let Some(eni) = decision.state.enis.get(&id).cloned() {
            decision.remove(eni.as_ref());
        }
    }
}

/// The addresses that interfaces may have. The VPC's own reserved address (base + 2) is among the first four of the
/// subnet that begins where the VPC does.
fn usable(cidr: Ipv4Net) -> std::ops::Range<u32> {
    u32::from(cidr.network()) + RESERVED_FIRST..u32::from(cidr.broadcast())
}

fn check(
    decision: &Decision<'_, '_>,
    subnet: &Subnet,
    address: Ipv4Addr,
    field: &str,
) -> Result<Ipv4Addr, ControlError> {
    let usable = usable(subnet.cidr);
    let (first, last) = (Ipv4Addr::from(usable.start), Ipv4Addr::from(usable.end - 1));
    if !subnet.cidr.contains(&address) {
        let message = format!("{address} is not in {} ({}): {first} to {last} are allowed", subnet.id, subnet.cidr);
        return Err(invalid(field, message));
    }
    if !usable.contains(&u32::from(address)) {
        let message = format!(
            "{address} is reserved, as the first four and the last address of a subnet are: {first} to {last} are allowed"
        );
        return Err(invalid(field, message));
    }
    if let Some(taken) = decision.state.eni_at(subnet.vpc, address) {
        let message = format!("{address} is taken by {}", describe_role(&taken.role));
        return Err(ControlError::field(ErrorCode::AlreadyExists, field, message)
            .hint("leave the address out for the lowest free one"));
    }
    Ok(address)
}

fn lowest_free(decision: &Decision<'_, '_>, subnet: &Subnet) -> Result<Ipv4Addr, ControlError> {
    let taken: BTreeSet<u32> = decision.state.enis_of(subnet.vpc).map(|eni| u32::from(eni.address)).collect();
    let free = usable(subnet.cidr).find(|address| !taken.contains(address)).map(Ipv4Addr::from);
    free.ok_or_else(|| {
        let message = format!("no address of {} ({}) is free", subnet.id, subnet.cidr);
        ControlError::field(ErrorCode::LimitExceeded, "subnet", message).hint("use another subnet")
    })
}

/// Whose interface it is, in the words of an error.
pub(super) fn describe_role(role: &EniRole) -> String {
    match role {
        EniRole::Instance(id) => format!("instance {id}"),
        EniRole::LoadBalancer(arn) => format!("load balancer {arn}"),
        EniRole::Endpoint(id) => format!("endpoint {id}"),
    }
}
