//! Listeners.

use super::{
    Reply, check,
    check::invalid,
    decision::{Decision, describe},
};
use crate::model::{Arn, ControlError, ErrorCode, Listener, ListenerProtocol, LoadBalancer, Tags, TargetGroup};

const DEFAULT_TCP_IDLE_TIMEOUT_S: u32 = 350;

/// What a listener is made of.
pub(super) struct New {
    pub(super) load_balancer: Arn,
    pub(super) protocol: ListenerProtocol,
    pub(super) port: u16,
    pub(super) target_group: Arn,
    pub(super) tcp_idle_timeout_s: Option<u32>,
    pub(super) tags: Tags,
}

pub(super) fn create(decision: &mut Decision<'_, '_>, new: New) -> Result<Reply, ControlError> {
    let load_balancer = decision.owned::<LoadBalancer>(&new.load_balancer, "load_balancer")?;
    let group = decision.owned::<TargetGroup>(&new.target_group, "target_group")?;
    check::port("port", new.port)?;
    check::tags(&new.tags)?;
    let tcp_idle_timeout_s = check_idle_timeout(new.protocol, new.tcp_idle_timeout_s)?;
    if let Some(other) = decision.state.listeners_of(&load_balancer.arn).find(|other| other.port == new.port) {
        let message = format!(
            "{} listens at port {} ({}) already: one listener a port is allowed",
            load_balancer.name, other.port, other.protocol
        );
        return Err(ControlError::field(ErrorCode::AlreadyExists, "port", message)
            .hint("TCP_UDP is the protocol for both at one port"));
    }
    check_target_group(decision, &load_balancer, &group, new.protocol)?;
    let arn = decision.fresh::<Listener>(|random| load_balancer.arn.listener(random));
    decision.put(Listener {
        arn: arn.clone(),
        owner: load_balancer.owner,
        load_balancer: new.load_balancer,
        protocol: new.protocol,
        port: new.port,
        target_group: new.target_group,
        tcp_idle_timeout_s,
        tags: new.tags,
    });
    Ok(Reply::Id(arn.to_string()))
}

pub(super) fn delete(decision: &mut Decision<'_, '_>, arn: &Arn) -> Result<Reply, ControlError> {
    let listener = decision.owned::<Listener>(arn, "listener")?;
    decision.remove(listener.as_ref());
    Ok(Reply::Done)
}

fn check_idle_timeout(protocol: ListenerProtocol, timeout: Option<u32>) -> Result<u32, ControlError> {
    let field = "tcp_idle_timeout_s";
    match timeout {
        None => Ok(DEFAULT_TCP_IDLE_TIMEOUT_S),
        Some(_) if protocol == ListenerProtocol::Udp => {
            Err(invalid(field, "a UDP listener has no TCP idle timeout: leave it out (UDP flows have 120 seconds)"))
        }
        Some(seconds) if (60..=6000).contains(&seconds) => Ok(seconds),
        Some(seconds) => Err(invalid(field, format!("{seconds} seconds are not allowed: 60 to 6000 are"))),
    }
}

fn check_target_group(
    decision: &Decision<'_, '_>,
    load_balancer: &LoadBalancer,
    group: &TargetGroup,
    protocol: ListenerProtocol,
) -> Result<(), ControlError> {
    if group.vpc != load_balancer.vpc {
        let (name, vpc) = (&group.name, group.vpc);
        let message = format!("target group {name} is in {vpc}, {} in {}", describe(load_balancer), load_balancer.vpc);
        return Err(invalid("target_group", message).hint("both have to be in one VPC"));
    }
    if group.protocol != protocol && group.protocol != ListenerProtocol::TcpUdp {
        let message = format!(
            "target group {} has protocol {}: a {protocol} listener needs {}",
            group.name,
            group.protocol,
            if protocol == ListenerProtocol::TcpUdp { "TCP_UDP".to_owned() } else { format!("{protocol} or TCP_UDP") }
        );
        return Err(invalid("target_group", message));
    }
    let other = decision.state.listeners_to(&group.arn).find(|other| other.load_balancer != load_balancer.arn);
    if let Some(other) = other {
        let user = decision.state.load_balancers.get(&other.load_balancer).map(|user| describe(user.as_ref()));
        let user = user.unwrap_or_else(|| other.load_balancer.to_string());
        let message =
            format!("target group {} is used by {user}: one load balancer a target group is allowed", group.name);
        return Err(ControlError::field(ErrorCode::LimitExceeded, "target_group", message)
            .hint("make a target group of its own for this load balancer"));
    }
    Ok(())
}
