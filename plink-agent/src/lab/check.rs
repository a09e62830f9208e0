//! Whether a lab file makes sense: every reference, every address, before the first command is sent.

use std::{collections::BTreeMap, net::Ipv4Addr, path::Path};

use ipnet::Ipv4Net;
use toml::Spanned;

use super::file::{LabError, LabFile, Source, Text, stem};
use crate::{
    api::local::{nearest, protocol::Kind, view::Inventory},
    model::AccountId,
};

/// A checked lab file.
#[derive(Clone, Debug)]
pub struct Lab {
    /// The name, the value of the tag `plink:lab` of all its objects.
    pub name: String,
    pub(super) source: Source,
    pub(super) file: LabFile,
}

/// How a protocol may be spelled.
const PROTOCOLS: [&str; 3] = ["TCP", "UDP", "TCP_UDP"];

impl Lab {
    /// Reads and checks a file.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| anyhow::anyhow!("cannot read the lab file {}: {error}", path.display()))?;
        Ok(Self::parse(path, text)?)
    }

    /// Checks a file's text.
    pub fn parse(path: &Path, text: String) -> Result<Self, LabError> {
        let source = Source { file: path.display().to_string(), text };
        let file: LabFile = toml::from_str(&source.text).map_err(|error| source.syntax(&error))?;
        let name = file.name.as_ref().map_or_else(|| stem(path), |name| name.get_ref().clone());
        let lab = Self { name, source, file };
        lab.check()?;
        Ok(lab)
    }

    fn check(&self) -> Result<(), LabError> {
        let file = &self.file;
        let accounts = self.names(Kind::Account, file.account.iter().map(|it| &it.name))?;
        let vpcs = self.names(Kind::Vpc, file.vpc.iter().map(|it| &it.name))?;
        let subnets = self.names(Kind::Subnet, file.subnet.iter().map(|it| &it.name))?;
        let instances = self.names(Kind::Instance, file.instance.iter().map(|it| &it.name))?;
        let balancers = self.names(Kind::LoadBalancer, file.load_balancer.iter().map(|it| &it.name))?;
        let groups = self.names(Kind::TargetGroup, file.target_group.iter().map(|it| &it.name))?;
        let services = self.names(Kind::Service, file.service.iter().map(|it| &it.name))?;
        self.names(Kind::Endpoint, file.endpoint.iter().map(|it| &it.name))?;

        for it in file.account.iter().filter_map(|it| it.fallback.as_ref()) {
            self.refer(&accounts, it)?;
        }
        for it in &file.vpc {
            self.refer(&accounts, &it.account)?;
            self.network(&it.cidr)?;
        }
        for it in &file.subnet {
            let vpc = self.network(&file.vpc[self.refer(&vpcs, &it.vpc)?].cidr)?;
            let network = self.network(&it.cidr)?;
            if !vpc.contains(&network) {
                let message = format!("{network} is not inside {vpc}, the CIDR of vpc `{}`", it.vpc.get_ref());
                return Err(self.source.error(it.cidr.span(), message));
            }
        }
        for it in &file.instance {
            let subnet = self.refer(&subnets, &it.subnet)?;
            if let Some(address) = &it.address {
                self.address_in(address, subnet)?;
            }
        }
        for it in &file.load_balancer {
            self.refer_all(&subnets, &it.subnets)?;
        }
        for it in &file.target_group {
            self.refer(&vpcs, &it.vpc)?;
            self.protocol(&it.protocol)?;
            self.port(&it.port)?;
            self.refer_all(&instances, &it.targets)?;
        }
        let mut ports = BTreeMap::new();
        for it in &file.listener {
            self.refer(&balancers, &it.load_balancer)?;
            self.protocol(&it.protocol)?;
            self.port(&it.port)?;
            self.refer(&groups, &it.target_group)?;
            if ports.insert((it.load_balancer.get_ref(), it.port.get_ref()), ()).is_some() {
                let (port, balancer) = (it.port.get_ref(), it.load_balancer.get_ref());
                let message = format!("load-balancer `{balancer}` has two listeners at port {port}");
                return Err(self.source.error(it.port.span(), message));
            }
        }
        for it in &file.service {
            self.refer_all(&balancers, &it.load_balancers)?;
            for principal in &it.allowed_principals {
                let text = principal.get_ref();
                if text != "*" && !text.starts_with("arn:") && text.parse::<AccountId>().is_err() {
                    self.refer(&accounts, principal)?;
                }
            }
        }
        for it in &file.endpoint {
            self.refer(&vpcs, &it.vpc)?;
            if !it.service.get_ref().starts_with("com.amazonaws.") {
                self.refer(&services, &it.service)?;
            }
            let places = it.subnets.iter().map(|name| self.refer(&subnets, name)).collect::<Result<Vec<_>, _>>()?;
            if it.addresses.len() > places.len() {
                let message = format!("more addresses ({}) than subnets ({})", it.addresses.len(), places.len());
                return Err(self.source.error(it.addresses[places.len()].span(), message));
            }
            for (address, subnet) in it.addresses.iter().zip(places) {
                self.address_in(address, subnet)?;
            }
        }
        Ok(())
    }

    /// The accounts' IDs by their names in the file, and whether the agent has the file's zones.
    pub(super) fn bind(&self, site: &Inventory) -> Result<BTreeMap<String, String>, LabError> {
        let known = |name: &str| site.accounts.iter().find(|it| it.name == name).map(|it| it.id.clone());
        let mut accounts = BTreeMap::new();
        for it in &self.file.account {
            let name = it.name.get_ref();
            let fallback = || it.fallback.as_ref().and_then(|fallback| known(fallback.get_ref()));
            let Some(id) = known(name).or_else(fallback) else {
                let names = site.accounts.iter().map(|it| it.name.as_str());
                return Err(self.unknown(&it.name, "the agent has no account", names));
            };
            accounts.insert(name.clone(), id);
        }
        for it in &self.file.subnet {
            if !site.zones.contains(it.zone.get_ref()) {
                let zones = site.zones.iter().map(String::as_str);
                return Err(self.unknown(&it.zone, "the agent has no zone", zones));
            }
        }
        Ok(accounts)
    }

    /// The indices of the names of one kind, each of which may be given once.
    fn names<'a>(&self, kind: Kind, names: impl Iterator<Item = &'a Text>) -> Result<Names<'a>, LabError> {
        let mut found = BTreeMap::new();
        for (index, name) in names.enumerate() {
            if name.get_ref().is_empty() {
                return Err(self.source.error(name.span(), "a name may not be empty"));
            }
            if found.insert(name.get_ref().as_str(), index).is_some() {
                let message = format!("there are two objects of kind {kind} with the name `{}`", name.get_ref());
                return Err(self.source.error(name.span(), message));
            }
        }
        Ok(Names { kind, found })
    }

    fn refer(&self, names: &Names<'_>, name: &Text) -> Result<usize, LabError> {
        names
            .found
            .get(name.get_ref().as_str())
            .copied()
            .ok_or_else(|| self.unknown(name, &format!("the file has no {}", names.kind), names.found.keys().copied()))
    }

    fn refer_all(&self, names: &Names<'_>, all: &[Text]) -> Result<(), LabError> {
        all.iter().try_for_each(|name| self.refer(names, name).map(drop))
    }

    fn unknown<'n>(&self, name: &Text, what: &str, valid: impl Iterator<Item = &'n str>) -> LabError {
        let valid: Vec<_> = valid.collect();
        let message = match valid.as_slice() {
            [] => format!("{what} `{}`, nor any other", name.get_ref()),
            some => format!("{what} `{}`, only: {}", name.get_ref(), some.join(", ")),
        };
        let mut error = self.source.error(name.span(), message);
        error.hint = nearest(name.get_ref(), valid.into_iter()).map(|near| format!("did you mean `{near}`?"));
        error
    }

    fn network(&self, text: &Text) -> Result<Ipv4Net, LabError> {
        let network = text.get_ref().parse::<Ipv4Net>().ok();
        network.filter(|network| network.trunc() == *network).ok_or_else(|| {
            let message = format!("`{}` is not an IPv4 network, for example 10.0.0.0/16", text.get_ref());
            self.source.error(text.span(), message)
        })
    }

    fn address_in(&self, text: &Text, subnet: usize) -> Result<(), LabError> {
        let subnet = &self.file.subnet[subnet];
        let network = self.network(&subnet.cidr)?;
        let address: Ipv4Addr = text.get_ref().parse().map_err(|_| {
            let message = format!("`{}` is not an IPv4 address, for example 10.0.1.10", text.get_ref());
            self.source.error(text.span(), message)
        })?;
        if !network.contains(&address) {
            let message = format!("{address} is not inside {network}, the CIDR of subnet `{}`", subnet.name.get_ref());
            return Err(self.source.error(text.span(), message));
        }
        Ok(())
    }

    fn protocol(&self, text: &Text) -> Result<(), LabError> {
        if PROTOCOLS.contains(&text.get_ref().as_str()) {
            return Ok(());
        }
        let message = format!("`{}` is not one of: {}", text.get_ref(), PROTOCOLS.join(", "));
        let mut error = self.source.error(text.span(), message);
        let upper = text.get_ref().to_uppercase();
        error.hint = nearest(&upper, PROTOCOLS.into_iter()).map(|near| format!("did you mean `{near}`?"));
        Err(error)
    }

    fn port(&self, port: &Spanned<i64>) -> Result<(), LabError> {
        if (1..=65_535).contains(port.get_ref()) {
            return Ok(());
        }
        let message = format!("port {} is out of range: 1 to 65535", port.get_ref());
        Err(self.source.error(port.span(), message))
    }
}

/// The names of one kind with their indices.
struct Names<'a> {
    kind: Kind,
    found: BTreeMap<&'a str, usize>,
}
