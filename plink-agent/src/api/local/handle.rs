//! From one request to its answer.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use plink_common::abi::FlowEntry;

use super::{
    backend::Backend,
    describe::{Describe, wire},
    protocol::{Answer, DEFAULT_WAIT_MS, Envelope, Kind, Request, Response},
    resolve::Resolver,
    translate::{self, Translator},
    view::{DropView, Inventory, StatusView},
};
use crate::{
    control::Reply,
    model::{ControlError, State},
};

/// Longest wait that a request may ask for.
const MAX_WAIT: Duration = Duration::from_secs(300);

/// Flows in an answer, unless the request says otherwise; an answer has to stay below one line's length.
const DEFAULT_FLOWS: usize = 100;
const MAX_FLOWS: usize = 2_000;

/// Answers one request.
pub async fn handle<B: Backend>(backend: &B, envelope: Envelope) -> Response {
    match answer(backend, envelope).await {
        Ok(answer) => Response::Ok(answer),
        Err(error) => Response::Error(error.into()),
    }
}

async fn answer<B: Backend>(backend: &B, envelope: Envelope) -> Result<Answer, ControlError> {
    let Envelope { account, wait_ms, request } = envelope;
    let account = account.map(|account| translate::account(backend.site(), &account)).transpose()?;
    let state = backend.state();
    let resolver = Resolver { state: &state, account };
    let wait = Duration::from_millis(wait_ms.unwrap_or(DEFAULT_WAIT_MS)).min(MAX_WAIT);
    // What opens or closes a door is in the kernel before the command's answer.
    let settles = !matches!(request, Request::AcceptEndpoint { .. } | Request::RejectEndpoint { .. });

    if let Request::Settle {} = request {
        return Ok(Answer::Changed { id: None, problems: settle(backend, wait).await });
    }
    let translator = Translator { site: backend.site(), resolver };
    if let Some((caller, command)) = translator.command(request.clone())? {
        let id = match backend.execute(caller, command).await? {
            Reply::Id(id) => Some(id),
            Reply::Done => None,
        };
        let problems = if settles && !wait.is_zero() { settle(backend, wait).await } else { Vec::new() };
        return Ok(Answer::Changed { id, problems });
    }
    read(backend, &state, resolver, request)
}

async fn settle<B: Backend>(backend: &B, wait: Duration) -> Vec<String> {
    backend.settled(wait).await.err().unwrap_or_default()
}

fn read<B: Backend>(
    backend: &B,
    state: &Arc<State>,
    resolver: Resolver<'_>,
    request: Request,
) -> Result<Answer, ControlError> {
    let describe = Describe { backend, state };
    Ok(match request {
        Request::Status {} => Answer::Status(Box::new(status(backend, state))),
        Request::List { kind } => Answer::Objects(Box::new(describe.inventory(kind))),
        Request::Show { kind, object } => Answer::Objects(Box::new(show(&describe, resolver, kind, &object)?)),
        Request::TargetHealth { target_group } => {
            let group = resolver.find(Kind::TargetGroup, &state.target_groups, &target_group)?;
            Answer::Health(describe.health(group))
        }
        Request::ServiceConnections { service } => {
            let service = resolver.find(Kind::Service, &state.services, &service)?;
            let endpoints = state.endpoints_of(service.id).map(|it| describe.endpoint(it)).collect();
            Answer::Objects(Box::new(Inventory { endpoints, ..Inventory::default() }))
        }
        Request::Flows { endpoint, limit } => {
            let slot = match endpoint {
                Some(endpoint) => Some(resolver.find(Kind::Endpoint, &state.endpoints, &endpoint)?.slot),
                None => None,
            };
            let keep = move |entry: &FlowEntry| slot.is_none_or(|slot| entry.frontend == slot);
            let flows = backend.flows(limit.unwrap_or(DEFAULT_FLOWS).min(MAX_FLOWS), &keep);
            Answer::Flows(flows.iter().map(|flow| describe.flow(flow)).collect())
        }
        Request::Drops {} => {
            let view = |(reason, count): (plink_common::drop_reason::DropReason, u64)| DropView {
                reason: reason.label().to_owned(),
                count,
                meaning: reason.meaning().trim().to_owned(),
            };
            Answer::Drops(backend.drops().into_iter().map(view).collect())
        }
        _ => Answer::Changed { id: None, problems: Vec::new() },
    })
}

fn show<B: Backend>(
    describe: &Describe<'_, B>,
    resolver: Resolver<'_>,
    kind: Kind,
    object: &str,
) -> Result<Inventory, ControlError> {
    let state = describe.state;
    let mut found = Inventory::default();
    match kind {
        Kind::Account => found = describe.inventory(Some(kind)),
        Kind::Vpc => found.vpcs.push(describe.vpc(resolver.find(kind, &state.vpcs, object)?)),
        Kind::Subnet => found.subnets.push(describe.subnet(resolver.find(kind, &state.subnets, object)?)),
        Kind::Instance => found.instances.push(describe.instance(resolver.find(kind, &state.instances, object)?)),
        Kind::LoadBalancer => {
            found.load_balancers.push(describe.load_balancer(resolver.find(kind, &state.load_balancers, object)?));
        }
        Kind::TargetGroup => {
            found.target_groups.push(describe.target_group(resolver.find(kind, &state.target_groups, object)?));
        }
        Kind::Listener => found.listeners.push(describe.listener(resolver.find(kind, &state.listeners, object)?)),
        Kind::Service => found.services.push(describe.service(resolver.find(kind, &state.services, object)?)),
        Kind::Endpoint => found.endpoints.push(describe.endpoint(resolver.find(kind, &state.endpoints, object)?)),
    }
    Ok(found)
}

fn status<B: Backend>(backend: &B, state: &State) -> StatusView {
    let mut endpoints = BTreeMap::new();
    for endpoint in state.endpoints.values() {
        *endpoints.entry(wire(&endpoint.state)).or_default() += 1;
    }
    let objects = [
        ("accounts", backend.site().accounts.len()),
        ("vpcs", state.vpcs.len()),
        ("subnets", state.subnets.len()),
        ("instances", state.instances.len()),
        ("load-balancers", state.load_balancers.len()),
        ("target-groups", state.target_groups.len()),
        ("listeners", state.listeners.len()),
        ("services", state.services.len()),
        ("endpoints", state.endpoints.len()),
    ];
    StatusView {
        objects: objects.iter().map(|(kind, count)| ((*kind).to_owned(), *count)).collect(),
        endpoints,
        maps: backend.map_fill(),
        drops: backend.drops().iter().map(|(_, count)| count).sum(),
        ..backend.status()
    }
}
