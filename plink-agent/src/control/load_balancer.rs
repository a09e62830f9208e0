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

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that panics has failed")]
mod tests {
    use std::net::Ipv4Addr;

    use super::super::{
        Command,
        testing::{Scene, consumer, load_balancer, provider},
    };
    use crate::model::{Arn, EniRole, ErrorCode, SubnetId};

    #[test]
    fn a_load_balancer_has_a_node_in_each_subnet() {
        let Scene { mut world, provider_subnets, .. } = Scene::new(true);
        let arn = world.load_balancer(provider(), "second", &provider_subnets);
        let made = world.state.load_balancers[&arn].clone();
        assert_eq!((made.slot, world.doors.as_slice()), (2, [2].as_slice()));
        let addresses: Vec<Ipv4Addr> = made.nodes.iter().map(|node| world.state.enis[&node.eni].address).collect();
        assert_eq!(addresses, [Ipv4Addr::new(10, 0, 1, 5), Ipv4Addr::new(10, 0, 2, 5)]);
        for node in &made.nodes {
            let eni = &world.state.enis[&node.eni];
            assert_eq!((&eni.role, eni.port), (&EniRole::LoadBalancer(arn.clone()), 0));
        }
        world.run(provider(), Command::ModifyLoadBalancer { arn: arn.clone(), cross_zone: Some(true) }).unwrap();
        assert!(world.state.load_balancers[&arn].cross_zone);
        assert_eq!(world.state.load_balancers[&arn].generation, made.generation);
    }

    #[test]
    fn bad_load_balancers_are_refused() {
        let Scene { mut world, provider_vpc, provider_subnets: [a, b], consumer_subnets, .. } = Scene::new(true);
        let same_zone = world.subnet(provider(), provider_vpc, "10.0.9.0/24", "us-east-1a");
        let other_vpc = world.vpc(provider(), "10.0.0.0/16");
        let elsewhere = world.subnet(provider(), other_vpc, "10.0.0.0/24", "us-east-1b");
        let invalid = ErrorCode::InvalidParameterValue;
        let long = "x".repeat(33);
        let cases: [(&str, &[SubnetId], ErrorCode, &str, &str); 14] = [
            ("", &[a], ErrorCode::MissingParameter, "name", "1 to 32"),
            (&long, &[a], invalid, "name", "1 to 32"),
            ("-x", &[a], invalid, "name", "no - at either end"),
            ("x-", &[a], invalid, "name", "1 to 32"),
            ("a b", &[a], invalid, "name", "A-Z"),
            ("a/b", &[a], invalid, "name", "A-Z"),
            ("caf\u{e9}", &[a], invalid, "name", "A-Z"),
            ("internal-x", &[a], invalid, "name", "reserved"),
            ("nlb", &[a], ErrorCode::AlreadyExists, "name", "nlb"),
            ("x", &[], ErrorCode::MissingParameter, "subnets", "at least one"),
            ("x", &[a, a], invalid, "subnets", "twice"),
            ("x", &[a, b, same_zone], invalid, "subnets", "us-east-1a"),
            ("x", &[a, elsewhere], invalid, "subnets", "one VPC"),
            ("x", &[a, consumer_subnets[1]], ErrorCode::NotFound, "subnets", "subnet-"),
        ];
        for (name, subnets, code, field, word) in cases {
            world.refuse(provider(), load_balancer(name, subnets), code, field, &[word]);
        }
        // Another account may use the name.
        world.make::<Arn>(consumer(), load_balancer("nlb", &consumer_subnets));
    }

    #[test]
    fn a_load_balancer_goes_with_its_listeners_but_not_before_its_service() {
        let Scene { mut world, load_balancer, service, target_group, .. } = Scene::new(true);
        let delete = || Command::DeleteLoadBalancer { arn: load_balancer.clone() };
        let words = [service.to_string()];
        world.refuse(provider(), delete(), ErrorCode::DependencyViolation, "", &[&words[0], "load balancer nlb"]);
        world.refuse(consumer(), delete(), ErrorCode::NotFound, "load_balancer", &[]);
        let modify = Command::ModifyLoadBalancer { arn: load_balancer.clone(), cross_zone: Some(true) };
        world.refuse(consumer(), modify, ErrorCode::NotFound, "load_balancer", &[]);
        world.run(provider(), Command::DeleteService { id: service, cascade: false }).unwrap();
        world.run(provider(), delete()).unwrap();
        assert_eq!(world.doors, [1]);
        assert!(world.state.listeners.is_empty() && world.state.enis.is_empty());
        world.run(provider(), Command::DeleteTargetGroup { arn: target_group }).unwrap();
    }
}
