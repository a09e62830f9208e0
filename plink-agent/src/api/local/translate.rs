//! From a request to a command and the account that gives it.

use std::{fmt::Display, net::Ipv4Addr, path::PathBuf, str::FromStr, sync::Arc};

use super::{
    backend::Site,
    describe::wire,
    protocol::{Attach, EndpointSubnet, Kind, Request, TargetRef},
    resolve::{Resolver, nearest},
};
use crate::{
    control::Command,
    model::{
        AccountId, ControlError, Entity, ErrorCode, ListenerProtocol, Namespace, Table, TargetGroup, TargetType, Zone,
    },
};

type Result<T, E = ControlError> = std::result::Result<T, E>;

/// Translates the requests that change something.
pub(crate) struct Translator<'a> {
    pub(crate) site: &'a Site,
    pub(crate) resolver: Resolver<'a>,
}

impl Translator<'_> {
    /// The command, and who gives it; nothing for a request that only reads.
    pub(crate) fn command(&self, request: Request) -> Result<Option<(AccountId, Command)>> {
        let state = self.resolver.state;
        let command = match request {
            Request::Delete { kind, object, cascade } => self.delete(kind, &object, cascade)?,
            Request::Tag { kind, object, set, remove } => self.tag(kind, &object, set, remove)?,
            Request::CreateVpc { cidr, tags } => (
                self.creator()?,
                Command::CreateVpc { cidr: parse("cidr", &cidr, "an IPv4 network, for example 10.0.0.0/16")?, tags },
            ),
            Request::CreateSubnet { vpc, cidr, zone, tags } => {
                let vpc = self.resolver.find(Kind::Vpc, &state.vpcs, &vpc)?;
                let cidr = parse("cidr", &cidr, "an IPv4 network, for example 10.0.1.0/24")?;
                let zone = zone.map(|zone| self.zone(&zone)).transpose()?;
                (self.acting(vpc.owner), Command::CreateSubnet { vpc: vpc.id, cidr, zone, tags })
            }
            Request::CreateInstance { subnet, address, attach, command, tags } => {
                let subnet = self.resolver.find(Kind::Subnet, &state.subnets, &subnet)?;
                let address = address.map(|address| self::address(&address)).transpose()?;
                let namespace = attach.map_or(Ok(Namespace::Created), namespace)?;
                let create = Command::CreateInstance { subnet: subnet.id, address, namespace, command, tags };
                (self.acting(subnet.owner), create)
            }
            Request::CreateLoadBalancer { name, subnets, cross_zone, tags } => {
                let found: Vec<_> = subnets
                    .iter()
                    .map(|subnet| self.resolver.find(Kind::Subnet, &state.subnets, subnet))
                    .collect::<Result<_>>()?;
                let owner = found.first().ok_or_else(|| missing("subnets", "at least one subnet"))?.owner;
                let subnets = found.iter().map(|subnet| subnet.id).collect();
                (self.acting(owner), Command::CreateLoadBalancer { name, subnets, cross_zone, tags })
            }
            Request::ModifyLoadBalancer { load_balancer, cross_zone } => {
                let it = self.resolver.find(Kind::LoadBalancer, &state.load_balancers, &load_balancer)?;
                (self.acting(it.owner), Command::ModifyLoadBalancer { arn: it.arn.clone(), cross_zone })
            }
            Request::CreateTargetGroup { name, vpc, target_type, protocol, port, tags } => {
                let vpc = self.resolver.find(Kind::Vpc, &state.vpcs, &vpc)?;
                let create = Command::CreateTargetGroup {
                    name,
                    vpc: vpc.id,
                    target_type: one_of("target-type", &target_type, &[TargetType::Ip, TargetType::Instance])?,
                    protocol: self::protocol(&protocol)?,
                    port: self::port(port)?,
                    tags,
                };
                (self.acting(vpc.owner), create)
            }
            Request::RegisterTargets { target_group, targets } => {
                let group = self.resolver.find(Kind::TargetGroup, &state.target_groups, &target_group)?;
                let targets = self.targets(group, &targets)?;
                (self.acting(group.owner), Command::RegisterTargets { arn: group.arn.clone(), targets })
            }
            Request::DeregisterTargets { target_group, targets } => {
                let group = self.resolver.find(Kind::TargetGroup, &state.target_groups, &target_group)?;
                let targets = self.targets(group, &targets)?;
                (self.acting(group.owner), Command::DeregisterTargets { arn: group.arn.clone(), targets })
            }
            Request::CreateListener { load_balancer, protocol, port, target_group, tcp_idle_timeout, tags } => {
                let it = self.resolver.find(Kind::LoadBalancer, &state.load_balancers, &load_balancer)?;
                let group = self.resolver.find(Kind::TargetGroup, &state.target_groups, &target_group)?;
                let create = Command::CreateListener {
                    load_balancer: it.arn.clone(),
                    protocol: self::protocol(&protocol)?,
                    port: self::port(port)?,
                    target_group: group.arn.clone(),
                    tcp_idle_timeout_s: tcp_idle_timeout,
                    tags,
                };
                (self.acting(it.owner), create)
            }
            Request::CreateService { load_balancers, acceptance_required, allowed_principals, tags } => {
                let found: Vec<_> = load_balancers
                    .iter()
                    .map(|it| self.resolver.find(Kind::LoadBalancer, &state.load_balancers, it))
                    .collect::<Result<_>>()?;
                let owner = found.first().ok_or_else(|| missing("load-balancers", "at least one load balancer"))?.owner;
                let create = Command::CreateService {
                    load_balancers: found.iter().map(|it| it.arn.clone()).collect(),
                    acceptance_required,
                    allowed_principals: self.principals(&allowed_principals)?,
                    tags,
                };
                (self.acting(owner), create)
            }
            Request::ModifyService {
                service,
                acceptance_required,
                add_load_balancers,
                remove_load_balancers,
                add_principals,
                remove_principals,
            } => {
                let service = self.resolver.find(Kind::Service, &state.services, &service)?;
                let arns = |names: &[String]| -> Result<Vec<_>> {
                    let find = |it: &String| self.resolver.find(Kind::LoadBalancer, &state.load_balancers, it);
                    names.iter().map(|it| find(it).map(|it| it.arn.clone())).collect()
                };
                let modify = Command::ModifyService {
                    id: service.id,
                    acceptance_required,
                    add_load_balancers: arns(&add_load_balancers)?,
                    remove_load_balancers: arns(&remove_load_balancers)?,
                    add_principals: self.principals(&add_principals)?,
                    remove_principals: self.principals(&remove_principals)?,
                };
                (self.acting(service.owner), modify)
            }
            Request::CreateEndpoint { vpc, service, subnets, tags } => {
                let vpc = self.resolver.find(Kind::Vpc, &state.vpcs, &vpc)?;
                let subnets = subnets.iter().map(|it| self.endpoint_subnet(it)).collect::<Result<_>>()?;
                let service_name = self.service_name(service)?;
                (self.acting(vpc.owner), Command::CreateEndpoint { vpc: vpc.id, service_name, subnets, tags })
            }
            Request::AcceptEndpoint { endpoint } => {
                let it = self.resolver.find(Kind::Endpoint, &state.endpoints, &endpoint)?;
                let provider = state.services.get(&it.service).map_or(it.owner, |service| service.owner);
                (self.acting(provider), Command::AcceptEndpoint { service: it.service, endpoint: it.id })
            }
            Request::RejectEndpoint { endpoint } => {
                let it = self.resolver.find(Kind::Endpoint, &state.endpoints, &endpoint)?;
                let provider = state.services.get(&it.service).map_or(it.owner, |service| service.owner);
                (self.acting(provider), Command::RejectEndpoint { service: it.service, endpoint: it.id })
            }
            Request::Status {}
            | Request::List { .. }
            | Request::Show { .. }
            | Request::Settle {}
            | Request::TargetHealth { .. }
            | Request::ServiceConnections { .. }
            | Request::Flows { .. }
            | Request::Drops {} => return Ok(None),
        };
        Ok(Some(command))
    }

    fn delete(&self, kind: Kind, object: &str, cascade: bool) -> Result<(AccountId, Command)> {
        let state = self.resolver.state;
        /// The owner, and what `command` makes of the object.
        fn one<K, V: Entity>(
            translator: &Translator<'_>,
            kind: Kind,
            table: &Table<K, V>,
            object: &str,
            command: impl Fn(&V) -> Command,
        ) -> Result<(AccountId, Command)> {
            let found = Resolver { state: translator.resolver.state, account: translator.resolver.account }
                .find(kind, table, object)
                .map(Arc::clone)?;
            Ok((translator.acting(found.owner()), command(&found)))
        }
        match kind {
            Kind::Account => Err(read_only()),
            Kind::Vpc => one(self, kind, &state.vpcs, object, |it| Command::DeleteVpc { id: it.id }),
            Kind::Subnet => one(self, kind, &state.subnets, object, |it| Command::DeleteSubnet { id: it.id }),
            Kind::Instance => one(self, kind, &state.instances, object, |it| Command::DeleteInstance { id: it.id }),
            Kind::LoadBalancer => {
                one(self, kind, &state.load_balancers, object, |it| Command::DeleteLoadBalancer { arn: it.arn.clone() })
            }
            Kind::TargetGroup => {
                one(self, kind, &state.target_groups, object, |it| Command::DeleteTargetGroup { arn: it.arn.clone() })
            }
            Kind::Listener => {
                one(self, kind, &state.listeners, object, |it| Command::DeleteListener { arn: it.arn.clone() })
            }
            Kind::Service => {
                one(self, kind, &state.services, object, |it| Command::DeleteService { id: it.id, cascade })
            }
            Kind::Endpoint => one(self, kind, &state.endpoints, object, |it| Command::DeleteEndpoint { id: it.id }),
        }
    }

    fn tag(
        &self,
        kind: Kind,
        object: &str,
        set: super::protocol::Tags,
        remove: Vec<String>,
    ) -> Result<(AccountId, Command)> {
        let (owner, resource) = self.resolver.owner_and_id(kind, object)?;
        Ok((self.acting(owner), Command::Tag { resource, set, remove }))
    }

    /// Who acts on an object of this owner: the account of the request, else the owner.
    fn acting(&self, owner: AccountId) -> AccountId {
        self.resolver.account.unwrap_or(owner)
    }

    /// Who makes an object that hangs on no other.
    fn creator(&self) -> Result<AccountId> {
        match (self.resolver.account, self.site.accounts.as_slice()) {
            (Some(account), _) => Ok(account),
            (None, [only]) => Ok(only.id),
            (None, several) => {
                let names: Vec<_> = several.iter().map(|account| account.name.as_str()).collect();
                let message = format!("an account is needed, one of: {}", names.join(", "));
                Err(ControlError::field(ErrorCode::MissingParameter, "account", message)
                    .hint("with plinkctl: --account NAME"))
            }
        }
    }

    fn zone(&self, text: &str) -> Result<Zone> {
        self.site.zones.iter().find(|zone| zone.as_str() == text).cloned().ok_or_else(|| {
            let zones: Vec<_> = self.site.zones.iter().map(Zone::as_str).collect();
            invalid("zone", format!("there is no zone `{text}`, only: {}", zones.join(", ")))
        })
    }

    /// Instances by name become what the group's type asks for.
    fn targets(&self, group: &TargetGroup, targets: &[TargetRef]) -> Result<Vec<(String, Option<u16>)>> {
        let state = self.resolver.state;
        let translate = |it: &TargetRef| {
            let port = it.port.map(port).transpose()?;
            if group.target_type == TargetType::Ip && it.target.parse::<Ipv4Addr>().is_ok() {
                return Ok((it.target.clone(), port));
            }
            // One that is registered can be named although its instance is gone.
            if group.targets.iter().any(|registered| registered.id == it.target) {
                return Ok((it.target.clone(), port));
            }
            let instance = self.resolver.find(Kind::Instance, &state.instances, &it.target)?;
            match group.target_type {
                TargetType::Instance => Ok((instance.id.to_string(), port)),
                TargetType::Ip => {
                    let eni = state.enis.get(&instance.eni);
                    let eni = eni.ok_or_else(|| invalid("targets", "the instance has no network interface".into()))?;
                    Ok((eni.address.to_string(), port))
                }
            }
        };
        targets.iter().map(translate).collect()
    }

    fn principals(&self, principals: &[String]) -> Result<Vec<String>> {
        let translate = |text: &String| {
            if text == "*" || text.starts_with("arn:") {
                return Ok(text.clone());
            }
            let accounts = &self.site.accounts;
            match accounts.iter().find(|account| account.name == *text || account.id.to_string() == *text) {
                Some(account) => Ok(format!("arn:aws:iam::{}:root", account.id)),
                None if text.parse::<AccountId>().is_ok() => Ok(format!("arn:aws:iam::{text}:root")),
                None => Err(unknown_account("allowed-principals", text, self.site)
                    .hint("a principal is `*`, an account's ID or name, or arn:aws:iam::<account>:root")),
            }
        };
        principals.iter().map(translate).collect()
    }

    fn endpoint_subnet(&self, it: &EndpointSubnet) -> Result<(crate::model::SubnetId, Option<Ipv4Addr>)> {
        let subnet = self.resolver.find(Kind::Subnet, &self.resolver.state.subnets, &it.subnet)?;
        Ok((subnet.id, it.address.as_deref().map(address).transpose()?))
    }

    fn service_name(&self, service: String) -> Result<String> {
        if service.starts_with("com.amazonaws.") {
            return Ok(service);
        }
        Ok(self.resolver.find(Kind::Service, &self.resolver.state.services, &service)?.name.clone())
    }
}

impl Resolver<'_> {
    fn owner_and_id(&self, kind: Kind, object: &str) -> Result<(AccountId, String)> {
        fn of<V: Entity>(entity: &Arc<V>) -> (AccountId, String) {
            (entity.owner(), entity.key().to_string())
        }
        let state = self.state;
        match kind {
            Kind::Account => Err(read_only()),
            Kind::Vpc => self.find(kind, &state.vpcs, object).map(of),
            Kind::Subnet => self.find(kind, &state.subnets, object).map(of),
            Kind::Instance => self.find(kind, &state.instances, object).map(of),
            Kind::LoadBalancer => self.find(kind, &state.load_balancers, object).map(of),
            Kind::TargetGroup => self.find(kind, &state.target_groups, object).map(of),
            Kind::Listener => self.find(kind, &state.listeners, object).map(of),
            Kind::Service => self.find(kind, &state.services, object).map(of),
            Kind::Endpoint => self.find(kind, &state.endpoints, object).map(of),
        }
    }
}

/// The account with this ID or name.
pub(crate) fn account(site: &Site, text: &str) -> Result<AccountId> {
    let found = site.accounts.iter().find(|account| account.name == text || account.id.to_string() == text);
    found.map(|account| account.id).ok_or_else(|| unknown_account("account", text, site))
}

fn unknown_account(field: &str, text: &str, site: &Site) -> ControlError {
    let names: Vec<_> = site.accounts.iter().map(|account| account.name.as_str()).collect();
    let message = format!("there is no account `{text}`, only: {}", names.join(", "));
    let error = ControlError::field(ErrorCode::NotFound, field, message);
    match nearest(text, names.into_iter()) {
        Some(near) => error.hint(format!("did you mean `{near}`?")),
        None => error,
    }
}

fn namespace(attach: Attach) -> Result<Namespace> {
    let path = PathBuf::from(&attach.netns);
    if !path.is_absolute() {
        let message = format!("`{}` is not an absolute path, for example /run/netns/web", attach.netns);
        return Err(invalid("netns", message));
    }
    Ok(Namespace::Attached { path, interface: attach.interface })
}

fn protocol(text: &str) -> Result<ListenerProtocol> {
    let all = [ListenerProtocol::Tcp, ListenerProtocol::Udp, ListenerProtocol::TcpUdp];
    one_of("protocol", &text.to_ascii_uppercase().replace('-', "_"), &all)
}

fn port(port: u32) -> Result<u16> {
    let in_range = u16::try_from(port).ok().filter(|port| *port != 0);
    in_range.ok_or_else(|| invalid("port", format!("port {port} is out of range: 1 to 65535")))
}

fn address(text: &str) -> Result<Ipv4Addr> {
    parse("address", text, "an IPv4 address, for example 10.0.1.10")
}

fn parse<T: FromStr<Err: Display>>(field: &str, text: &str, what: &str) -> Result<T> {
    text.parse().map_err(|error| invalid(field, format!("`{text}` is not {what} ({error})")))
}

/// The value that is spelled like this in JSON.
fn one_of<T: Copy + serde::Serialize>(field: &str, text: &str, all: &[T]) -> Result<T> {
    all.iter().find(|value| wire(value) == text).copied().ok_or_else(|| {
        let spellings: Vec<_> = all.iter().map(wire).collect();
        invalid(field, format!("`{text}` is not one of: {}", spellings.join(", ")))
    })
}

fn invalid(field: &str, message: String) -> ControlError {
    ControlError::field(ErrorCode::InvalidParameterValue, field, message)
}

fn missing(field: &str, what: &str) -> ControlError {
    ControlError::field(ErrorCode::MissingParameter, field, format!("{what} is needed"))
}

fn read_only() -> ControlError {
    invalid("kind", "accounts come from the agent's configuration".to_owned())
}
