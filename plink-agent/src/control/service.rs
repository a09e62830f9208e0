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
