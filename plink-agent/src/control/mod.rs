//! The control core: a command goes in, changes and a reply come out. No I/O, no clock, no randomness of its own.
//!
//! [`decide`] reads the state and either refuses with a [`ControlError`], leaving everything as it was, or returns an
//! [`Outcome`]. The caller ([`crate::agent`]) makes its changes durable in one transaction, applies them to the state
//! in memory and only then answers. An outcome that opens or closes a frontend is written to the kernel's map before
//! the answer as well ([`Outcome::doors`]).
//!
//! Who may what: an object of another account is one that does not exist, as AWS has it. Where the caller is a party
//! to a connection but not the one who decides, the refusal says so ([`ErrorCode::UnauthorizedOperation`]).

mod check;
mod command;
mod decision;
mod endpoint;
mod eni;
mod instance;
mod listener;
mod load_balancer;
#[cfg(test)]
mod random;
mod service;
mod subnet;
mod tag;
mod target_group;
#[cfg(test)]
pub(crate) mod testing;
mod vpc;

pub use command::{Command, Context, Outcome, Reply};

use self::decision::Decision;
#[cfg(doc)]
use crate::model::ErrorCode;
use crate::model::{ControlError, State};

/// Decides a command. `state` stays as it is; the outcome's changes turn it into the next.
///
/// # Errors
/// Says what was wrong and what is allowed, and names the command's field where there is one.
pub fn decide(state: &State, context: &mut Context<'_>, command: Command) -> Result<Outcome, ControlError> {
    let mut decision = Decision::new(state, context);
    let reply = dispatch(&mut decision, command)?;
    Ok(decision.finish(reply))
}

fn dispatch(decision: &mut Decision<'_, '_>, command: Command) -> Result<Reply, ControlError> {
    match command {
        Command::CreateVpc { cidr, tags } => vpc::create(decision, cidr, tags),
        Command::DeleteVpc { id } => vpc::delete(decision, id),
        Command::CreateSubnet { vpc, cidr, zone, tags } => subnet::create(decision, vpc, cidr, zone, tags),
        Command::DeleteSubnet { id } => subnet::delete(decision, id),
        Command::CreateInstance { subnet, address, namespace, command, tags } => {
            instance::create(decision, instance::New { subnet, address, namespace, command, tags })
        }
        Command::DeleteInstance { id } => instance::delete(decision, id),
        Command::ObserveInstance { id, running, problem } => instance::observe(decision, id, running, problem),
        Command::CreateLoadBalancer { name, subnets, cross_zone, tags } => {
            load_balancer::create(decision, name, &subnets, cross_zone, tags)
        }
        Command::ModifyLoadBalancer { arn, cross_zone } => load_balancer::modify(decision, &arn, cross_zone),
        Command::DeleteLoadBalancer { arn } => load_balancer::delete(decision, &arn),
        Command::CreateTargetGroup { name, vpc, target_type, protocol, port, tags } => {
            target_group::create(decision, target_group::New { name, vpc, target_type, protocol, port, tags })
        }
        Command::DeleteTargetGroup { arn } => target_group::delete(decision, &arn),
        Command::RegisterTargets { arn, targets } => target_group::register(decision, &arn, &targets),
        Command::DeregisterTargets { arn, targets } => target_group::deregister(decision, &arn, &targets),
        Command::CreateListener { load_balancer, protocol, port, target_group, tcp_idle_timeout_s, tags } => {
            let new = listener::New { load_balancer, protocol, port, target_group, tcp_idle_timeout_s, tags };
            listener::create(decision, new)
        }
        Command::DeleteListener { arn } => listener::delete(decision, &arn),
        Command::CreateService { load_balancers, acceptance_required, allowed_principals, tags } => {
            service::create(decision, load_balancers, acceptance_required, allowed_principals, tags)
        }
        Command::ModifyService {
            id,
            acceptance_required,
            add_load_balancers,
            remove_load_balancers,
            add_principals,
            remove_principals,
        } => {
            let modification = service::Modification {
                acceptance_required,
                add_load_balancers,
                remove_load_balancers,
                add_principals,
                remove_principals,
            };
            service::modify(decision, id, modification)
        }
        Command::DeleteService { id, cascade } => service::delete(decision, id, cascade),
        Command::CreateEndpoint { vpc, service_name, subnets, tags } => {
            endpoint::create(decision, vpc, &service_name, &subnets, tags)
        }
        Command::AcceptEndpoint { service, endpoint } => endpoint::accept(decision, service, endpoint),
        Command::RejectEndpoint { service, endpoint } => endpoint::reject(decision, service, endpoint),
        Command::DeleteEndpoint { id } => endpoint::delete(decision, id),
        Command::Tag { resource, set, remove } => tag::change(decision, &resource, set, &remove),
    }
}
