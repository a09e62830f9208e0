//! Target groups and their targets.

use std::{collections::BTreeSet, net::Ipv4Addr};

use plink_common::abi;

use super::{
    Reply, check,
    check::{invalid, missing, shorten},
    decision::{Decision, describe, in_use, list, lowest_free},
    eni,
};
use crate::model::{
    Arn, ControlError, EniRole, ErrorCode, Instance, InstanceId, ListenerProtocol, Tags, Target, TargetGroup,
    TargetType, Vpc, VpcId, named,
};

/// What a target group is made of.
pub(super) struct New {
    pub(super) name: String,
    pub(super) vpc: VpcId,
    pub(super) target_type: TargetType,
    pub(super) protocol: ListenerProtocol,
    pub(super) port: u16,
    pub(super) tags: Tags,
}

pub(super) fn create(decision: &mut Decision<'_, '_>, new: New) -> Result<Reply, ControlError> {
    let New { name, vpc, target_type, protocol, port, tags } = new;
    check::name(&name)?;
    check::port("port", port)?;
    check::tags(&tags)?;
    let owner = decision.caller();
    let vpc = decision.owned::<Vpc>(&vpc, "vpc")?;
    if named(&decision.state.target_groups, &name).any(|other| other.owner == owner) {
        let message = format!("account {owner} has a target group {name} already");
        return Err(ControlError::field(ErrorCode::AlreadyExists, "name", message));
    }
    let region = decision.context.region;
    let arn = decision.fresh::<TargetGroup>(|random| Arn::target_group(region, owner, &name, random));
    let slot = decision.target_group_slot()?;
    let (vpc, targets) = (vpc.id, Vec::new());
    decision.put(TargetGroup { arn: arn.clone(), name, owner, vpc, target_type, protocol, port, targets, slot, tags });
    Ok(Reply::Id(arn.to_string()))
}

pub(super) fn delete(decision: &mut Decision<'_, '_>, arn: &Arn) -> Result<Reply, ControlError> {
    let group = decision.owned::<TargetGroup>(arn, "target_group")?;
    let users: Vec<String> = decision.state.listeners_to(arn).map(|listener| describe(listener.as_ref())).collect();
    if !users.is_empty() {
        return Err(in_use(group.as_ref(), &users));
    }
    decision.remove(group.as_ref());
    Ok(Reply::Done)
}

pub(super) fn register(
    decision: &mut Decision<'_, '_>,
    arn: &Arn,
    targets: &[(String, Option<u16>)],
) -> Result<Reply, ControlError> {
    let mut group = decision.owned::<TargetGroup>(arn, "target_group")?.as_ref().clone();
    some(targets)?;
    let before = group.targets.len();
    let mut used: BTreeSet<u32> = decision.used_target_slots();
    for (id, port) in targets {
        check_target(decision, &group, id)?;
        let port = port.unwrap_or(group.port);
        check::port("targets", port)?;
        if group.targets.iter().any(|target| target.id == *id && target.port == port) {
            continue;
        }
        let slot = lowest_free(&used, 1, abi::MAX_TARGETS - 1, "slots of targets")?;
        used.insert(slot);
        let generation = decision.generation()?;
        group.targets.push(Target { id: id.clone(), port, slot, generation });
    }
    if group.targets.len() != before {
        decision.put(group);
    }
    Ok(Reply::Id(arn.to_string()))
}

pub(super) fn deregister(
    decision: &mut Decision<'_, '_>,
    arn: &Arn,
    targets: &[(String, Option<u16>)],
) -> Result<Reply, ControlError> {
    let mut group = decision.owned::<TargetGroup>(arn, "target_group")?.as_ref().clone();
    some(targets)?;
    let matches =
        |target: &Target, id: &str, port: Option<u16>| target.id == id && port.is_none_or(|p| p == target.port);
    for (id, port) in targets {
        if !group.targets.iter().any(|target| matches(target, id, *port)) {
            let wanted = port.map_or_else(|| shorten(id), |port| format!("{}:{port}", shorten(id)));
            let there = group.targets.iter().map(|target| format!("{}:{}", target.id, target.port));
            let there = if group.targets.is_empty() { "none is".to_owned() } else { list(there) };
            let message = format!("{wanted} is not a target of {}: registered: {there}", group.name);
            return Err(ControlError::field(ErrorCode::NotFound, "targets", message));
        }
    }
    group.targets.retain(|target| !targets.iter().any(|(id, port)| matches(target, id, *port)));
    decision.put(group);
    Ok(Reply::Id(arn.to_string()))
}

fn some(targets: &[(String, Option<u16>)]) -> Result<(), ControlError> {
    if targets.is_empty() { Err(missing("targets", "the targets are missing: at least one")) } else { Ok(()) }
}

fn check_target(decision: &Decision<'_, '_>, group: &TargetGroup, id: &str) -> Result<(), ControlError> {
    match group.target_type {
        TargetType::Ip => check_address(decision, group, id),
        TargetType::Instance => check_instance(decision, group, id),
    }
}

fn check_address(decision: &Decision<'_, '_>, group: &TargetGroup, id: &str) -> Result<(), ControlError> {
    let address: Ipv4Addr = id.parse().map_err(|_| {
        let message = format!("{:?} is not an IPv4 address, as the targets of {} are", shorten(id), group.name);
        invalid("targets", message)
    })?;
    let Some(vpc) = decision.state.vpcs.get(&group.vpc) else {
        return Err(ControlError::new(ErrorCode::Internal, format!("{} of {} is gone", group.vpc, group.name)));
    };
    if !vpc.cidr.contains(&address) {
        let message = format!("{address} is not inside {}, the CIDR of {} that {} is in", vpc.cidr, vpc.id, group.name);
        return Err(invalid("targets", message));
    }
    match decision.state.eni_at(group.vpc, address).map(|eni| &eni.role) {
        None | Some(EniRole::Instance(_)) => Ok(()),
        Some(role) => {
            let message =
                format!("{address} is the address of {}: only instances are targets", eni::describe_role(role));
            Err(invalid("targets", message))
        }
    }
}

fn check_instance(decision: &Decision<'_, '_>, group: &TargetGroup, id: &str) -> Result<(), ControlError> {
    let id: InstanceId = id.parse().map_err(|error| invalid("targets", format!("{error}")))?;
    let instance = decision.owned::<Instance>(&id, "targets")?;
    match decision.state.enis.get(&instance.eni) {
        Some(eni) if eni.vpc == group.vpc => Ok(()),
        _ => {
            let message = format!("{id} is not in {}, as the targets of {} have to be", group.vpc, group.name);
            Err(invalid("targets", message))
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that panics has failed")]
mod tests {
    use super::super::{
        Command,
        testing::{Case, Scene, World, consumer, instance, provider, target_group},
    };
    use crate::model::{Arn, ErrorCode, InstanceId, ListenerProtocol, TargetType};

    fn register(arn: &Arn, targets: &[(&str, Option<u16>)]) -> Command {
        let targets = targets.iter().map(|(id, port)| ((*id).to_owned(), *port)).collect();
        Command::RegisterTargets { arn: arn.clone(), targets }
    }

    fn deregister(arn: &Arn, targets: &[(&str, Option<u16>)]) -> Command {
        let targets = targets.iter().map(|(id, port)| ((*id).to_owned(), *port)).collect();
        Command::DeregisterTargets { arn: arn.clone(), targets }
    }

    fn targets(world: &World, arn: &Arn) -> Vec<(String, u16, u32)> {
        let group = &world.state.target_groups[arn];
        group.targets.iter().map(|target| (target.id.clone(), target.port, target.slot)).collect()
    }

    #[test]
    fn targets_come_and_go() {
        let Scene { mut world, provider_vpc, target_group: web, .. } = Scene::new(true);
        let other = world.target_group(provider(), "other", provider_vpc);
        assert_eq!(world.state.target_groups[&other].slot, 2);
        world.run(provider(), register(&other, &[("10.0.1.9", None)])).unwrap();
        let command = register(&web, &[("10.0.1.10", None), ("10.0.1.10", Some(9090)), ("10.0.1.10", Some(8080))]);
        world.run(provider(), command).unwrap();
        let ip = || "10.0.1.10".to_owned();
        assert_eq!(targets(&world, &web), [(ip(), 8080, 2), (ip(), 9090, 3)]);
        // What is registered already stays as it is.
        let again = world.decide(provider(), register(&web, &[("10.0.1.10", None)])).unwrap();
        assert!(again.changes.is_empty());
        let generation = world.state.target_groups[&web].targets[0].generation;
        world.run(provider(), deregister(&web, &[("10.0.1.10", Some(8080))])).unwrap();
        assert_eq!(targets(&world, &web), [(ip(), 9090, 3)]);
        world.run(provider(), register(&web, &[("10.0.1.10", None)])).unwrap();
        assert_eq!(targets(&world, &web), [(ip(), 9090, 3), (ip(), 8080, 2)]);
        assert!(world.state.target_groups[&web].targets[1].generation > generation);
        world.run(provider(), deregister(&web, &[("10.0.1.10", None)])).unwrap();
        assert!(targets(&world, &web).is_empty());
    }

    #[test]
    fn bad_target_groups_are_refused() {
        let Scene { mut world, provider_vpc, consumer_vpc, .. } = Scene::new(true);
        let create = |name: &str, vpc| target_group(name, vpc, TargetType::Ip, ListenerProtocol::Tcp);
        let invalid = ErrorCode::InvalidParameterValue;
        world.refuse(provider(), create("web", provider_vpc), ErrorCode::AlreadyExists, "name", &["web"]);
        world.refuse(provider(), create("we_b", provider_vpc), invalid, "name", &["1 to 32"]);
        world.refuse(provider(), create("x", consumer_vpc), ErrorCode::NotFound, "vpc", &[]);
        let mut command = create("x", provider_vpc);
        if let Command::CreateTargetGroup { port, .. } = &mut command {
            *port = 0;
        }
        world.refuse(provider(), command, invalid, "port", &["1 to 65535"]);
    }

    #[test]
    fn bad_targets_are_refused() {
        let Scene { mut world, provider_vpc, target_group: web, consumer_subnets, .. } = Scene::new(true);
        let invalid = ErrorCode::InvalidParameterValue;
        let command = target_group("by-id", provider_vpc, TargetType::Instance, ListenerProtocol::Tcp);
        let by_id: Arn = world.make(provider(), command);
        let foreign: InstanceId = world.make(consumer(), instance(consumer_subnets[0], None));
        let other_vpc = world.vpc(provider(), "10.0.0.0/16");
        let subnet = world.subnet(provider(), other_vpc, "10.0.0.0/24", "us-east-1a");
        let elsewhere: InstanceId = world.make(provider(), instance(subnet, None));
        let (foreign, elsewhere) = (foreign.to_string(), elsewhere.to_string());
        type TargetCase<'a> = Case<'a, (&'a str, Option<u16>)>;
        let cases: [(&Arn, TargetCase<'_>); 9] = [
            (&web, (&[], ErrorCode::MissingParameter, "targets", "at least one")),
            (&web, (&[("10.0.1.10", Some(0))], invalid, "targets", "1 to 65535")),
            (&web, (&[("10.1.0.1", None)], invalid, "targets", "10.0.0.0/16")),
            (&web, (&[("010.0.1.10", None)], invalid, "targets", "not an IPv4 address")),
            (&web, (&[("10.0.1.10", None), ("web-1", None)], invalid, "targets", "not an IPv4 address")),
            (&web, (&[("10.0.1.4", None)], invalid, "targets", "load balancer")),
            (&by_id, (&[("10.0.1.10", None)], invalid, "targets", "17 hexadecimal digits")),
            (&by_id, (&[(&foreign, None)], ErrorCode::NotFound, "targets", &foreign)),
            (&by_id, (&[(&elsewhere, None)], invalid, "targets", "not in vpc-")),
        ];
        for (arn, (targets, code, field, word)) in cases {
            world.refuse(provider(), register(arn, targets), code, field, &[word]);
        }
        world.refuse(consumer(), register(&web, &[("10.0.1.10", None)]), ErrorCode::NotFound, "target_group", &[]);
        let unknown = deregister(&web, &[("10.0.1.10", None)]);
        world.refuse(provider(), unknown, ErrorCode::NotFound, "targets", &["10.0.1.10", "none is"]);
        world.run(provider(), register(&web, &[("10.0.1.10", None)])).unwrap();
        let wrong_port = deregister(&web, &[("10.0.1.10", None), ("10.0.1.10", Some(81))]);
        world.refuse(provider(), wrong_port, ErrorCode::NotFound, "targets", &["10.0.1.10:81", "10.0.1.10:8080"]);
    }

    #[test]
    fn a_target_group_in_use_stays() {
        let Scene { mut world, target_group: web, .. } = Scene::new(true);
        let delete = || Command::DeleteTargetGroup { arn: web.clone() };
        world.refuse(provider(), delete(), ErrorCode::DependencyViolation, "", &["target group web", "listener"]);
        world.refuse(consumer(), delete(), ErrorCode::NotFound, "target_group", &[]);
        let listener = world.state.listeners.keys().next().unwrap().clone();
        world.run(provider(), Command::DeleteListener { arn: listener }).unwrap();
        world.run(provider(), delete()).unwrap();
    }
}
