//! Network Load Balancers.

use super::{
    Reply, check,
    check::{invalid, missing},
    decision::{Decision, describe, in_use},
    eni,
};
use crate::model::{Arn, ControlError, EniRole, ErrorCode, LoadBalancer, Node, Subnet, SubnetId, Tags, named};

pub(super) fn create(
    decision: &mut Decision<'_, '_>,
    name: String,
    subnets: &[SubnetId],
    cross_zone: bool,
    tags: Tags,
) -> Result<Reply, ControlError> {
    check::name(&name)?;
    if name.starts_with("internal-") {
        return Err(invalid("name", format!("name {name:?} is not allowed: internal- in front is reserved")));
    }
    check::tags(&tags)?;
    let owner = decision.caller();
    if named(&decision.state.load_balancers, &name).any(|other| other.owner == owner) {
        let message = format!("account {owner} has a load balancer {name} already");
        return Err(ControlError::field(ErrorCode::AlreadyExists, "name", message));
    }
    let subnets = subnets.iter().map(|id| decision.owned::<Subnet>(id, "subnets")).collect::<Result<Vec<_>, _>>()?;
    let Some(first) = subnets.first() else {
        return Err(missing("subnets", "the subnets are missing: one a zone, at least one"));
    };
    for (index, subnet) in subnets.iter().enumerate() {
        if subnet.vpc != first.vpc {
            let message =
                format!("{} is in {}, {} in {}: all have to be in one VPC", subnet.id, subnet.vpc, first.id, first.vpc);
            return Err(invalid("subnets", message));
        }
        one_a_zone(&subnets[..index], subnet)?;
    }
    let region = decision.context.region;
    let arn = decision.fresh::<LoadBalancer>(|random| Arn::load_balancer(region, owner, &name, random));
    let mut nodes = Vec::new();
    for subnet in &subnets {
        let eni = eni::create(decision, subnet, None, EniRole::LoadBalancer(arn.clone()), "subnets")?;
        nodes.push(Node { zone: subnet.zone.clone(), subnet: subnet.id, eni });
    }
    let (slot, generation) = (decision.frontend_slot()?, decision.generation()?);
    decision.door(slot);
    decision.put(LoadBalancer {
        arn: arn.clone(),
        name,
        owner,
        vpc: first.vpc,
        nodes,
        cross_zone,
        slot,
        generation,
        created_ms: decision.context.now_ms,
        tags,
    });
    Ok(Reply::Id(arn.to_string()))
}

pub(super) fn modify(
    decision: &mut Decision<'_, '_>,
    arn: &Arn,
    cross_zone: Option<bool>,
) -> Result<Reply, ControlError> {
    let load_balancer = decision.owned::<LoadBalancer>(arn, "load_balancer")?;
    let cross_zone = cross_zone.unwrap_or(load_balancer.cross_zone);
    if cross_zone != load_balancer.cross_zone {
        decision.put(LoadBalancer { cross_zone, ..load_balancer.as_ref().clone() });
    }
    Ok(Reply::Id(arn.to_string()))
}

pub(super) fn delete(decision: &mut Decision<'_, '_>, arn: &Arn) -> Result<Reply, ControlError> {
    let load_balancer = decision.owned::<LoadBalancer>(arn, "load_balancer")?;
    let users: Vec<String> = decision.state.services_of(arn).map(|service| describe(service.as_ref())).collect();
    if !users.is_empty() {
        return Err(in_use(load_balancer.as_ref(), &users));
    }
    let listeners: Vec<_> = decision.state.listeners_of(arn).cloned().collect();
    for listener in listeners {
        decision.remove(listener.as_ref());
    }
    eni::delete(decision, load_balancer.nodes.iter().map(|node| node.eni));
    decision.remove(load_balancer.as_ref());
    decision.door(load_balancer.slot);
    Ok(Reply::Done)
}

/// A load balancer and an endpoint have one address a zone.
pub(super) fn one_a_zone(before: &[std::sync::Arc<Subnet>], subnet: &Subnet) -> Result<(), ControlError> {
    match before.iter().find(|other| other.zone == subnet.zone) {
        Some(other) if other.id == subnet.id => Err(invalid("subnets", format!("{} is given twice", subnet.id))),
        Some(other) => {
            let message =
                format!("{} and {} are both in {}: one subnet a zone is allowed", other.id, subnet.id, subnet.zone);
            Err(invalid("subnets", message))
        }
        None => Ok(()),
    }
}
