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

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that panics has failed")]
mod tests {
    use super::super::{
        Command,
        testing::{Scene, consumer, listener, provider, target_group},
    };
    use crate::model::{
        Arn, ErrorCode,
        ListenerProtocol::{self, Tcp, TcpUdp, Udp},
        TargetType,
    };

    fn with_timeout(mut command: Command, seconds: u32) -> Command {
        if let Command::CreateListener { tcp_idle_timeout_s, .. } = &mut command {
            *tcp_idle_timeout_s = Some(seconds);
        }
        command
    }

    #[test]
    fn protocols_have_to_fit() {
        let Scene { mut world, provider_vpc, load_balancer, .. } = Scene::new(true);
        let mut port = 1000;
        for group in [Tcp, Udp, TcpUdp] {
            let command = target_group(&format!("g-{port}"), provider_vpc, TargetType::Ip, group);
            let arn: Arn = world.make(provider(), command);
            for protocol in [Tcp, Udp, TcpUdp] {
                port += 1;
                let command = listener(&load_balancer, protocol, port, &arn);
                if group == protocol || group == TcpUdp {
                    world.make::<Arn>(provider(), command);
                } else {
                    let code = ErrorCode::InvalidParameterValue;
                    let words = [group.to_string(), protocol.to_string()];
                    world.refuse(provider(), command, code, "target_group", &[&words[0], &words[1]]);
                }
            }
        }
    }

    #[test]
    fn bad_listeners_are_refused() {
        let Scene { mut world, provider_vpc, provider_subnets, load_balancer, target_group: web, .. } =
            Scene::new(true);
        let invalid = ErrorCode::InvalidParameterValue;
        let create = |port| listener(&load_balancer, Tcp, port, &web);
        world.refuse(provider(), create(0), invalid, "port", &["1 to 65535"]);
        world.refuse(provider(), create(80), ErrorCode::AlreadyExists, "port", &["port 80 (TCP)"]);
        let udp: Arn = world.make(provider(), target_group("udp", provider_vpc, TargetType::Ip, Udp));
        let same_port = listener(&load_balancer, Udp, 80, &udp);
        world.refuse(provider(), same_port, ErrorCode::AlreadyExists, "port", &["one listener a port"]);

        let unknown: Arn = Arn::target_group("us-east-1", provider(), "none", &mut || 1);
        let command = listener(&load_balancer, Tcp, 81, &unknown);
        world.refuse(provider(), command, ErrorCode::NotFound, "target_group", &["none"]);
        let command = listener(&unknown, Tcp, 81, &web);
        world.refuse(provider(), command, ErrorCode::NotFound, "load_balancer", &["none"]);
        world.refuse(consumer(), create(81), ErrorCode::NotFound, "load_balancer", &[]);

        let other_vpc = world.vpc(provider(), "10.0.0.0/16");
        let elsewhere = world.target_group(provider(), "elsewhere", other_vpc);
        let command = listener(&load_balancer, Tcp, 81, &elsewhere);
        world.refuse(provider(), command, invalid, "target_group", &["elsewhere", "nlb"]);
        let second = world.load_balancer(provider(), "second", &provider_subnets);
        let command = listener(&second, Tcp, 80, &web);
        world.refuse(provider(), command, ErrorCode::LimitExceeded, "target_group", &["load balancer nlb"]);
        // Two listeners of one load balancer may share it.
        world.make::<Arn>(provider(), create(81));
    }

    #[test]
    fn the_idle_timeout_is_of_tcp_and_has_bounds() {
        let Scene { mut world, provider_vpc, load_balancer, target_group: web, .. } = Scene::new(true);
        let invalid = ErrorCode::InvalidParameterValue;
        for seconds in [0, 59, 6001] {
            let command = with_timeout(listener(&load_balancer, Tcp, 81, &web), seconds);
            world.refuse(provider(), command, invalid, "tcp_idle_timeout_s", &["60 to 6000"]);
        }
        let udp: Arn = world.make(provider(), target_group("udp", provider_vpc, TargetType::Ip, Udp));
        let command = with_timeout(listener(&load_balancer, Udp, 81, &udp), 100);
        world.refuse(provider(), command, invalid, "tcp_idle_timeout_s", &["UDP"]);
        let command = with_timeout(listener(&load_balancer, ListenerProtocol::Tcp, 81, &web), 60);
        let arn: Arn = world.make(provider(), command);
        assert_eq!(world.state.listeners[&arn].tcp_idle_timeout_s, 60);
        let arn: Arn = world.make(provider(), listener(&load_balancer, Udp, 82, &udp));
        assert_eq!(world.state.listeners[&arn].tcp_idle_timeout_s, 350);
        world.refuse(consumer(), Command::DeleteListener { arn: arn.clone() }, ErrorCode::NotFound, "listener", &[]);
        world.run(provider(), Command::DeleteListener { arn: arn.clone() }).unwrap();
        world.refuse(provider(), Command::DeleteListener { arn }, ErrorCode::NotFound, "listener", &[]);
    }
}
