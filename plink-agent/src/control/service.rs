//! Endpoint services.

use std::collections::BTreeSet;

use super::{
    Reply, check,
    check::{invalid, missing},
    decision::{Decision, describe, list},
    endpoint,
};
use crate::model::{
    AccountId, Arn, ControlError, Endpoint, EndpointService, EndpointState, ErrorCode, LoadBalancer, ServiceId, State,
    Tags, Zone,
};

pub(super) fn create(
    decision: &mut Decision<'_, '_>,
    load_balancers: Vec<Arn>,
    acceptance_required: bool,
    allowed_principals: Vec<String>,
    tags: Tags,
) -> Result<Reply, ControlError> {
    check::tags(&tags)?;
    if load_balancers.is_empty() {
        return Err(missing("load_balancers", "the load balancers are missing: at least one"));
    }
    if let Some(twice) = check::duplicate(&load_balancers) {
        return Err(invalid("load_balancers", format!("{twice} is given twice")));
    }
    for arn in &load_balancers {
        decision.owned::<LoadBalancer>(arn, "load_balancers")?;
    }
    allowed_principals.iter().try_for_each(|principal| check::principal(principal))?;
    let owner = decision.caller();
    let id = decision.fresh::<EndpointService>(|random| ServiceId::random(random));
    let slot = decision.service_slot()?;
    let name = format!("com.amazonaws.vpce.{}.{id}", decision.context.region);
    let allowed_principals = allowed_principals.into_iter().collect();
    decision.put(EndpointService {
        id,
        owner,
        name,
        load_balancers,
        acceptance_required,
        allowed_principals,
        slot,
        tags,
    });
    Ok(Reply::Id(id.to_string()))
}

/// What to change of a service.
pub(super) struct Modification {
    pub(super) acceptance_required: Option<bool>,
    pub(super) add_load_balancers: Vec<Arn>,
    pub(super) remove_load_balancers: Vec<Arn>,
    pub(super) add_principals: Vec<String>,
    pub(super) remove_principals: Vec<String>,
}

/// Existing connections stay as they are, whatever happens to principals or to the need for acceptance.
pub(super) fn modify(
    decision: &mut Decision<'_, '_>,
    id: ServiceId,
    modification: Modification,
) -> Result<Reply, ControlError> {
    let before = decision.owned::<EndpointService>(&id, "service")?;
    let mut service = before.as_ref().clone();
    service.acceptance_required = modification.acceptance_required.unwrap_or(service.acceptance_required);
    for arn in &modification.remove_load_balancers {
        let Some(index) = service.load_balancers.iter().position(|other| other == arn) else {
            let message = format!("{arn} is not a load balancer of {id}: {} are", list(service.load_balancers.iter()));
            return Err(ControlError::field(ErrorCode::NotFound, "remove_load_balancers", message));
        };
        service.load_balancers.remove(index);
    }
    for arn in modification.add_load_balancers {
        if modification.remove_load_balancers.contains(&arn) {
            return Err(invalid("add_load_balancers", format!("{arn} is both to be added and to be removed")));
        }
        decision.owned::<LoadBalancer>(&arn, "add_load_balancers")?;
        if !service.load_balancers.contains(&arn) {
            service.load_balancers.push(arn);
        }
    }
    if service.load_balancers.is_empty() {
        return Err(invalid(
            "remove_load_balancers",
            format!("{id} would have no load balancer left: one has to stay"),
        ));
    }
    for principal in &modification.remove_principals {
        if !service.allowed_principals.remove(principal) {
            let message = format!("{:?} is not an allowed principal of {id}", check::shorten(principal));
            return Err(ControlError::field(ErrorCode::NotFound, "remove_principals", message));
        }
    }
    for principal in modification.add_principals {
        check::principal(&principal)?;
        service.allowed_principals.insert(principal);
    }
    check_coverage(&decision.state, &service)?;
    if service != *before {
        decision.put(service);
    }
    Ok(Reply::Id(id.to_string()))
}

pub(super) fn delete(decision: &mut Decision<'_, '_>, id: ServiceId, cascade: bool) -> Result<Reply, ControlError> {
    let service = decision.owned::<EndpointService>(&id, "service")?;
    let live: Vec<_> = decision.state.endpoints_of(id).filter(|endpoint| is_live(endpoint)).cloned().collect();
    if !live.is_empty() && !cascade {
        let users: Vec<String> = live.iter().map(|endpoint| describe(endpoint.as_ref())).collect();
        let message = format!("{} has live connections: {}", describe(service.as_ref()), list(users.iter()));
        return Err(ControlError::field(ErrorCode::ExistingVpcEndpointConnections, "service", message)
            .hint("reject them first, or use --cascade to reject them all and delete the service"));
    }
    for endpoint in live {
        endpoint::change_state(decision, &endpoint, EndpointState::Rejected)?;
    }
    decision.remove(service.as_ref());
    Ok(Reply::Done)
}

/// The zones in which a service has an address.
pub(super) fn zones(state: &State, service: &EndpointService) -> BTreeSet<Zone> {
    let load_balancers = service.load_balancers.iter().filter_map(|arn| state.load_balancers.get(arn));
    load_balancers.flat_map(|load_balancer| load_balancer.nodes.iter().map(|node| node.zone.clone())).collect()
}

/// Whether an account may create endpoints of a service. Identities inside an account are not told apart.
pub(super) fn permits(service: &EndpointService, account: AccountId) -> bool {
    let permitted = |principal: &String| principal == "*" || check::principal_account(principal) == Some(account);
    service.owner == account || service.allowed_principals.iter().any(permitted)
}

fn is_live(endpoint: &Endpoint) -> bool {
    matches!(endpoint.state, EndpointState::Available | EndpointState::PendingAcceptance | EndpointState::Pending)
}

/// A live endpoint has to find its service in each of its zones, also after the change.
fn check_coverage(state: &State, service: &EndpointService) -> Result<(), ControlError> {
    let covered = zones(state, service);
    for endpoint in state.endpoints_of(service.id).filter(|endpoint| is_live(endpoint)) {
        let enis = endpoint.enis.iter().filter_map(|id| state.enis.get(id));
        let mut subnets = enis.filter_map(|eni| state.subnets.get(&eni.subnet));
        if let Some(subnet) = subnets.find(|subnet| !covered.contains(&subnet.zone)) {
            let message = format!(
                "{} is connected in {}, where the remaining load balancers have no node",
                describe(endpoint.as_ref()),
                subnet.zone
            );
            return Err(ControlError::field(
                ErrorCode::ExistingVpcEndpointConnections,
                "remove_load_balancers",
                message,
            )
            .hint("reject the connection first"));
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that panics has failed")]
mod tests {
    use super::super::{
        Command,
        testing::{Scene, consumer, provider, stranger},
    };
    use crate::model::{Arn, EndpointState, ErrorCode, ServiceId, Tags};

    fn create(load_balancers: &[&Arn], principals: &[&str]) -> Command {
        Command::CreateService {
            load_balancers: load_balancers.iter().map(|arn| (*arn).clone()).collect(),
            acceptance_required: true,
            allowed_principals: principals.iter().map(|principal| (*principal).to_owned()).collect(),
            tags: Tags::new(),
        }
    }

    /// Changes nothing until a field is set.
    fn modify(id: ServiceId, change: impl FnOnce(&mut super::Modification)) -> Command {
        let mut modification = super::Modification {
            acceptance_required: None,
            add_load_balancers: vec![],
            remove_load_balancers: vec![],
            add_principals: vec![],
            remove_principals: vec![],
        };
        change(&mut modification);
        Command::ModifyService {
            id,
            acceptance_required: modification.acceptance_required,
            add_load_balancers: modification.add_load_balancers,
            remove_load_balancers: modification.remove_load_balancers,
            add_principals: modification.add_principals,
            remove_principals: modification.remove_principals,
        }
    }

    #[test]
    fn bad_services_are_refused() {
        let Scene { mut world, load_balancer, .. } = Scene::new(true);
        let invalid = ErrorCode::InvalidParameterValue;
        let command = create(&[], &[]);
        world.refuse(provider(), command, ErrorCode::MissingParameter, "load_balancers", &["at least one"]);
        let command = create(&[&load_balancer, &load_balancer], &[]);
        world.refuse(provider(), command, invalid, "load_balancers", &["twice"]);
        let command = create(&[&load_balancer], &[]);
        world.refuse(consumer(), command, ErrorCode::NotFound, "load_balancers", &["nlb"]);
        for principal in [
            "",
            "444455556666",
            "arn:aws:iam::444455556666:",
            "arn:aws:iam::44445555666:root",
            "arn:aws:iam::444455556666:user/",
            "arn:aws:iam::444455556666:group/x",
            "arn:aws:sts::444455556666:root",
            "**",
        ] {
            let command = create(&[&load_balancer], &["*", principal]);
            world.refuse(provider(), command, invalid, "allowed_principals", &["arn:aws:iam::"]);
        }
        let principals = ["*", "arn:aws:iam::444455556666:root", "arn:aws:iam::444455556666:role/a/b"];
        let id: ServiceId = world.make(provider(), create(&[&load_balancer], &principals));
        let made = &world.state.services[&id];
        assert_eq!((made.name.clone(), made.slot), (format!("com.amazonaws.vpce.us-east-1.{id}"), 2));
    }

    #[test]
    fn principals_and_acceptance_change_without_touching_connections() {
        let mut scene = Scene::new(true);
        let endpoint = scene.endpoint();
        let Scene { mut world, service, .. } = scene;
        world.run(provider(), Command::AcceptEndpoint { service, endpoint }).unwrap();
        let before = world.state.endpoints[&endpoint].clone();
        let root = "arn:aws:iam::444455556666:root";
        let command = modify(service, |m| {
            m.acceptance_required = Some(false);
            m.remove_principals = vec![root.to_owned()];
            m.add_principals = vec!["arn:aws:iam::777788889999:user/x".to_owned()];
        });
        world.run(provider(), command).unwrap();
        assert!(world.doors.is_empty());
        assert_eq!(world.state.endpoints[&endpoint], before);
        let changed = world.state.services[&service].clone();
        assert!(!changed.acceptance_required);
        assert!(super::permits(&changed, stranger()) && !super::permits(&changed, consumer()));
        assert!(super::permits(&changed, provider()));
        let again = modify(service, |m| m.remove_principals = vec![root.to_owned()]);
        world.refuse(provider(), again, ErrorCode::NotFound, "remove_principals", &[root]);
        let bad = modify(service, |m| m.add_principals = vec!["x".to_owned()]);
        world.refuse(provider(), bad, ErrorCode::InvalidParameterValue, "allowed_principals", &["*"]);
        world.refuse(consumer(), modify(service, |_| ()), ErrorCode::NotFound, "service", &[]);
        assert!(world.decide(provider(), modify(service, |_| ())).unwrap().changes.is_empty());
    }

    #[test]
    fn a_service_keeps_a_load_balancer_in_each_zone_that_is_connected() {
        let mut scene = Scene::new(true);
        let endpoint = scene.endpoint();
        let Scene { mut world, service, load_balancer: nlb, provider_subnets, .. } = scene;
        let invalid = ErrorCode::InvalidParameterValue;
        let one_zone = world.load_balancer(provider(), "one-zone", &provider_subnets[..1]);
        let remove = |arn: &Arn| modify(service, |m| m.remove_load_balancers = vec![arn.clone()]);
        world.refuse(provider(), remove(&nlb), invalid, "remove_load_balancers", &["one has to stay"]);
        world.refuse(provider(), remove(&one_zone), ErrorCode::NotFound, "remove_load_balancers", &["nlb"]);
        let swap = || {
            modify(service, |m| {
                m.remove_load_balancers = vec![nlb.clone()];
                m.add_load_balancers = vec![one_zone.clone()];
            })
        };
        let code = ErrorCode::ExistingVpcEndpointConnections;
        let words = [endpoint.to_string()];
        world.refuse(provider(), swap(), code, "remove_load_balancers", &[&words[0], "us-east-1b"]);
        let both = modify(service, |m| {
            m.remove_load_balancers = vec![nlb.clone()];
            m.add_load_balancers = vec![nlb.clone()];
        });
        world.refuse(provider(), both, invalid, "add_load_balancers", &["both"]);
        // A rejected connection holds nothing, but cannot come back as long as its zone is missing.
        world.run(provider(), Command::RejectEndpoint { service, endpoint }).unwrap();
        world.run(provider(), swap()).unwrap();
        let accept = || Command::AcceptEndpoint { service, endpoint };
        world.refuse(provider(), accept(), ErrorCode::InvalidState, "endpoint", &["us-east-1b"]);
        world.run(provider(), modify(service, |m| m.add_load_balancers = vec![nlb.clone(), one_zone.clone()])).unwrap();
        assert_eq!(world.state.services[&service].load_balancers, [one_zone, nlb]);
        world.run(provider(), accept()).unwrap();
    }

    #[test]
    fn a_service_with_live_connections_goes_with_cascade_only() {
        let mut scene = Scene::new(true);
        let (waiting, live, rejected) = (scene.endpoint(), scene.endpoint(), scene.endpoint());
        let Scene { mut world, service, .. } = scene;
        world.run(provider(), Command::AcceptEndpoint { service, endpoint: live }).unwrap();
        world.run(provider(), Command::RejectEndpoint { service, endpoint: rejected }).unwrap();
        let delete = |cascade| Command::DeleteService { id: service, cascade };
        let words = [waiting.to_string(), live.to_string()];
        let code = ErrorCode::ExistingVpcEndpointConnections;
        world.refuse(provider(), delete(false), code, "service", &[&words[0], &words[1]]);
        let error = world.decide(provider(), delete(false)).unwrap_err();
        assert!(error.hint.unwrap().contains("--cascade") && !error.message.contains(&rejected.to_string()));
        world.refuse(consumer(), delete(true), ErrorCode::NotFound, "service", &[]);
        let before = world.state.endpoints[&live].clone();
        world.run(provider(), delete(true)).unwrap();
        assert_eq!(world.doors, [2, 3]);
        assert!(world.state.services.is_empty());
        let after = &world.state.endpoints[&live];
        assert_eq!((after.state, &after.enis), (EndpointState::Rejected, &before.enis));
        assert!(after.generation > before.generation);
        // The consumer can still remove what is left.
        world.run(consumer(), Command::DeleteEndpoint { id: live }).unwrap();
    }
}
