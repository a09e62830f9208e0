//! Interface endpoints and their connection to a service.
//!
//! A connection's door is the frontend slot of its endpoint. Each change of state renews the generation, so that flows
//! of before no longer match, and names the slot in the outcome's doors, so that the change has reached the kernel
//! when the answer goes out. AWS's `pending` lies between the decision and that answer and is therefore never stored.

use std::{net::Ipv4Addr, sync::Arc};

use super::{
    Reply, check,
    check::{invalid, missing},
    decision::{Decision, list, not_found},
    eni, load_balancer, service,
};
use crate::model::{
    ControlError, Endpoint, EndpointId, EndpointService, EndpointState, EniRole, ErrorCode, ServiceId, Subnet,
    SubnetId, Tags, Vpc, VpcId,
};

pub(super) fn create(
    decision: &mut Decision<'_, '_>,
    vpc: VpcId,
    service_name: &str,
    subnets: &[(SubnetId, Option<Ipv4Addr>)],
    tags: Tags,
) -> Result<Reply, ControlError> {
    let owner = decision.caller();
    let vpc = decision.owned::<Vpc>(&vpc, "vpc")?;
    let service = usable_service(decision, service_name)?;
    check::tags(&tags)?;
    let addresses = subnets.iter().map(|(_, address)| *address);
    let subnets = check_subnets(decision, &vpc, &service, subnets)?;
    let id = decision.fresh::<Endpoint>(|random| EndpointId::random(random));
    let mut enis = Vec::new();
    for (subnet, address) in subnets.iter().zip(addresses) {
        enis.push(eni::create(decision, subnet, address, EniRole::Endpoint(id), "addresses")?);
    }
    let (slot, generation) = (decision.frontend_slot()?, decision.generation()?);
    let state = if service.acceptance_required { EndpointState::PendingAcceptance } else { EndpointState::Available };
    decision.door(slot);
    decision.put(Endpoint {
        id,
        owner,
        vpc: vpc.id,
        service: service.id,
        enis,
        state,
        slot,
        generation,
        created_ms: decision.context.now_ms,
        problem: None,
        tags,
    });
    Ok(Reply::Id(id.to_string()))
}

pub(super) fn accept(
    decision: &mut Decision<'_, '_>,
    service: ServiceId,
    endpoint: EndpointId,
) -> Result<Reply, ControlError> {
    let endpoint = connection(decision, service, endpoint)?;
    match endpoint.state {
        EndpointState::PendingAcceptance | EndpointState::Rejected => {
            let service = decision.owned::<EndpointService>(&service, "service")?;
            check_still_covered(decision, &service, &endpoint)?;
            change_state(decision, &endpoint, EndpointState::Available)
        }
        EndpointState::Pending | EndpointState::Available | EndpointState::Deleting | EndpointState::Failed => {
            Err(wrong_state(&endpoint, "accepted", "pendingAcceptance or rejected"))
        }
    }
}

pub(super) fn reject(
    decision: &mut Decision<'_, '_>,
    service: ServiceId,
    endpoint: EndpointId,
) -> Result<Reply, ControlError> {
    let endpoint = connection(decision, service, endpoint)?;
    match endpoint.state {
        EndpointState::PendingAcceptance | EndpointState::Pending | EndpointState::Available => {
            change_state(decision, &endpoint, EndpointState::Rejected)
        }
        EndpointState::Rejected | EndpointState::Deleting | EndpointState::Failed => {
            Err(wrong_state(&endpoint, "rejected", "pendingAcceptance or available"))
        }
    }
}

pub(super) fn delete(decision: &mut Decision<'_, '_>, id: EndpointId) -> Result<Reply, ControlError> {
    let caller = decision.caller();
    let endpoint = decision.state.endpoints.get(&id).cloned();
    let endpoint = endpoint.ok_or_else(|| not_found::<Endpoint>(&id, "endpoint", caller))?;
    if endpoint.owner != caller {
        // The provider sees the connection, so it may be told that it exists.
        let service = decision.state.services.get(&endpoint.service);
        return Err(if service.is_some_and(|service| service.owner == caller) {
            unauthorized("endpoint", format!("{id} belongs to account {}, which alone may delete it", endpoint.owner))
                .hint(format!("`plinkctl endpoint reject {id}` cuts the connection"))
        } else {
            not_found::<Endpoint>(&id, "endpoint", caller)
        });
    }
    eni::delete(decision, endpoint.enis.iter().copied());
    decision.remove(endpoint.as_ref());
    decision.door(endpoint.slot);
    Ok(Reply::Done)
}

/// Moves a connection to another state.
pub(super) fn change_state(
    decision: &mut Decision<'_, '_>,
    endpoint: &Endpoint,
    state: EndpointState,
) -> Result<Reply, ControlError> {
    let generation = decision.generation()?;
    decision.put(Endpoint { state, generation, ..endpoint.clone() });
    decision.door(endpoint.slot);
    Ok(Reply::Id(endpoint.id.to_string()))
}

/// The connection of an endpoint to a service, for the one who decides about it.
fn connection(
    decision: &Decision<'_, '_>,
    service: ServiceId,
    endpoint: EndpointId,
) -> Result<Arc<Endpoint>, ControlError> {
    let caller = decision.caller();
    let found = decision.state.services.get(&service);
    let found = found.ok_or_else(|| not_found::<EndpointService>(&service, "service", caller))?;
    if found.owner != caller {
        let message = format!("{service} belongs to another account than {caller}: only its owner accepts and rejects");
        return Err(unauthorized("service", message));
    }
    let endpoint =
        decision.state.endpoints.get(&endpoint).filter(|found| found.service == service).ok_or_else(|| {
            let message = format!("{service} has no connection from endpoint {endpoint}");
            ControlError::field(ErrorCode::NotFound, "endpoint", message)
                .hint("`plinkctl endpoint list` shows the connections")
        })?;
    Ok(endpoint.clone())
}

/// A service that the caller may connect to. One that is not permitted is as good as none.
fn usable_service(decision: &Decision<'_, '_>, name: &str) -> Result<Arc<EndpointService>, ControlError> {
    let caller = decision.caller();
    let service = decision.state.service_by_name(name).filter(|service| service::permits(service, caller));
    service.cloned().ok_or_else(|| {
        let message = format!("there is no endpoint service {:?} that account {caller} may use", check::shorten(name));
        ControlError::field(ErrorCode::InvalidServiceName, "service_name", message)
            .hint("its owner has to add the account to the allowed principals, as arn:aws:iam::<account>:root")
    })
}

fn check_subnets(
    decision: &Decision<'_, '_>,
    vpc: &Vpc,
    service: &EndpointService,
    wanted: &[(SubnetId, Option<Ipv4Addr>)],
) -> Result<Vec<Arc<Subnet>>, ControlError> {
    if wanted.is_empty() {
        return Err(missing("subnets", "the subnets are missing: one a zone, at least one"));
    }
    let covered = service::zones(&decision.state, service);
    let mut subnets: Vec<Arc<Subnet>> = Vec::new();
    for (id, _) in wanted {
        let subnet = decision.owned::<Subnet>(id, "subnets")?;
        if subnet.vpc != vpc.id {
            return Err(invalid("subnets", format!("{id} is in {}, not in {}", subnet.vpc, vpc.id)));
        }
        load_balancer::one_a_zone(&subnets, &subnet)?;
        if !covered.contains(&subnet.zone) {
            let zones = list(covered.iter());
            let message =
                format!("{id} is in {}, where {} has no load balancer: {zones} are allowed", subnet.zone, service.id);
            return Err(invalid("subnets", message));
        }
        subnets.push(subnet);
    }
    Ok(subnets)
}

/// A rejected connection does not keep the provider from taking a zone away; it has to be back before it is accepted.
fn check_still_covered(
    decision: &Decision<'_, '_>,
    service: &EndpointService,
    endpoint: &Endpoint,
) -> Result<(), ControlError> {
    let state = &decision.state;
    let covered = service::zones(state, service);
    let enis = endpoint.enis.iter().filter_map(|id| state.enis.get(id));
    match enis.filter_map(|eni| state.subnets.get(&eni.subnet)).find(|subnet| !covered.contains(&subnet.zone)) {
        None => Ok(()),
        Some(subnet) => {
            let (id, zone) = (endpoint.id, &subnet.zone);
            let message = format!("{id} has an address in {zone}, where {} no longer has a load balancer", service.id);
            Err(ControlError::field(ErrorCode::InvalidState, "endpoint", message)
                .hint(format!("add a load balancer with a node in {zone} to the service first")))
        }
    }
}

fn wrong_state(endpoint: &Endpoint, verb: &str, allowed: &str) -> ControlError {
    let message = format!("{} is {} and cannot be {verb}: {allowed} can", endpoint.id, endpoint.state);
    ControlError::field(ErrorCode::InvalidState, "endpoint", message)
}

fn unauthorized(field: &str, message: String) -> ControlError {
    ControlError::field(ErrorCode::UnauthorizedOperation, field, message)
}

#[cfg(test)]
#[path = "endpoint_tests.rs"]
mod tests;
