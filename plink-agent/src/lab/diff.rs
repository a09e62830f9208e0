//! From a lab file and what the agent holds to the steps in between.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    check::Lab,
    file::{LabError, Text},
};
use crate::api::local::{
    protocol::{EndpointSubnet, Envelope, Kind, Request, Tags, TargetRef},
    view::{Inventory, Named},
};

/// The tag that marks the objects of a lab.
pub const LAB_TAG: &str = "plink:lab";

/// IDs by kind and name, of what exists and of what was made on the way.
pub(super) type Ids = BTreeMap<(Kind, String), String>;

type Make<'a> = Box<dyn FnOnce(&Ids) -> Envelope + 'a>;

/// One request of `lab up`.
pub(super) struct Step<'a> {
    /// For people: `create`, `change`, `accept`.
    pub(super) verb: &'static str,
    pub(super) kind: Kind,
    pub(super) name: String,
    /// The request, once what it refers to exists.
    pub(super) make: Make<'a>,
}

/// What is to be done, and what is as the file says.
pub(super) struct Plan<'a> {
    pub(super) ids: Ids,
    pub(super) steps: Vec<Step<'a>>,
    pub(super) kept: usize,
    /// Objects of the lab that the file no longer has.
    pub(super) extra: Vec<Tagged>,
}

/// An object of the lab that exists.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Tagged {
    pub(super) kind: Kind,
    pub(super) name: String,
    pub(super) id: String,
}

/// All objects of a lab, in the order in which they can be deleted.
pub(super) fn tagged(lab: &str, held: &Inventory) -> Vec<Tagged> {
    let mut found = Vec::new();
    macro_rules! collect {
        ($($kind:ident $list:ident,)*) => {$(
            let of_lab = held.$list.iter().filter(|it| it.tags.get(LAB_TAG).is_some_and(|tag| tag == lab));
            found.extend(of_lab.map(|it| Tagged {
                kind: Kind::$kind,
                name: it.tags.get("Name").cloned().unwrap_or_default(),
                id: it.id.clone(),
            }));
        )*};
    }
    collect! {
        Endpoint endpoints, Service services, Listener listeners, LoadBalancer load_balancers,
        TargetGroup target_groups, Instance instances, Subnet subnets, Vpc vpcs,
    }
    found
}

/// What to do so that the agent holds what the file says. `plinkctl` is what `$PLINKCTL` stands for.
pub(super) fn plan<'a>(lab: &'a Lab, held: &Inventory, plinkctl: &'a str) -> Result<Plan<'a>, LabError> {
    let accounts = lab.bind(held)?;
    let existing = tagged(&lab.name, held);
    let ids: Ids = existing.iter().map(|it| ((it.kind, it.name.clone()), it.id.clone())).collect();
    let mut planner = Planner { lab, accounts, plan: Plan { ids, steps: Vec::new(), kept: 0, extra: Vec::new() } };
    planner.networks(held)?;
    planner.instances(held, plinkctl)?;
    planner.balancing(held)?;
    planner.connections(held)?;
    let mut plan = planner.plan;
    let declared = declared(lab);
    plan.extra = existing.into_iter().filter(|it| !declared.contains(&(it.kind, it.name.clone()))).collect();
    Ok(plan)
}

fn declared(lab: &Lab) -> BTreeSet<(Kind, String)> {
    let mut names = BTreeSet::new();
    macro_rules! collect {
        ($($kind:ident $list:ident,)*) => {
            $(names.extend(lab.file.$list.iter().map(|it| (Kind::$kind, it.name.get_ref().clone())));)*
        };
    }
    collect! {
        Vpc vpc, Subnet subnet, Instance instance, LoadBalancer load_balancer, TargetGroup target_group,
        Service service, Endpoint endpoint,
    }
    names.extend(lab.file.listener.iter().map(|it| (Kind::Listener, it.label())));
    names
}

/// The ID of a name that the file was checked to have.
fn id_of(ids: &Ids, kind: Kind, name: &str) -> String {
    ids.get(&(kind, name.to_owned())).cloned().unwrap_or_else(|| name.to_owned())
}

struct Planner<'a> {
    lab: &'a Lab,
    accounts: BTreeMap<String, String>,
    plan: Plan<'a>,
}

impl<'a> Planner<'a> {
    fn networks(&mut self, held: &Inventory) -> Result<(), LabError> {
        for it in &self.lab.file.vpc {
            let (name, cidr) = (it.name.get_ref(), it.cidr.get_ref());
            let account = self.accounts.get(it.account.get_ref()).cloned();
            if let Some(found) = self.existing(Kind::Vpc, name, &held.vpcs, |vpc| &vpc.id) {
                self.same(Kind::Vpc, &it.name, "account", &found.account.id, account.as_ref().unwrap_or(name))?;
                self.same(Kind::Vpc, &it.name, "cidr", &found.cidr, cidr)?;
                self.plan.kept += 1;
                continue;
            }
            let request = Request::CreateVpc { cidr: cidr.clone(), tags: self.tags(name) };
            self.step("create", Kind::Vpc, name, move |_| Envelope { account, wait_ms: None, request });
        }
        for it in &self.lab.file.subnet {
            let name = it.name.get_ref();
            if let Some(found) = self.existing(Kind::Subnet, name, &held.subnets, |subnet| &subnet.id) {
                self.same_object(Kind::Subnet, &it.name, Kind::Vpc, &found.vpc, it.vpc.get_ref())?;
                self.same(Kind::Subnet, &it.name, "cidr", &found.cidr, it.cidr.get_ref())?;
                self.same(Kind::Subnet, &it.name, "zone", &found.zone, it.zone.get_ref())?;
                self.plan.kept += 1;
                continue;
            }
            let tags = self.tags(name);
            self.step("create", Kind::Subnet, name, move |ids| {
                let vpc = id_of(ids, Kind::Vpc, it.vpc.get_ref());
                let zone = Some(it.zone.get_ref().clone());
                Request::CreateSubnet { vpc, cidr: it.cidr.get_ref().clone(), zone, tags }.into()
            });
        }
        Ok(())
    }

    fn instances(&mut self, held: &Inventory, plinkctl: &'a str) -> Result<(), LabError> {
        for it in &self.lab.file.instance {
            let name = it.name.get_ref();
            if let Some(found) = self.existing(Kind::Instance, name, &held.instances, |instance| &instance.id) {
                self.same_object(Kind::Instance, &it.name, Kind::Subnet, &found.subnet, it.subnet.get_ref())?;
                if let Some(address) = &it.address {
                    self.same(Kind::Instance, &it.name, "address", &found.address, address.get_ref())?;
                }
                if !same_command(&it.command, &found.command) {
                    let (held, wanted) = (found.command.join(" "), it.command.join(" "));
                    self.same(Kind::Instance, &it.name, "command", &held, &wanted)?;
                }
                self.plan.kept += 1;
                continue;
            }
            let tags = self.tags(name);
            self.step("create", Kind::Instance, name, move |ids| {
                let create = Request::CreateInstance {
                    subnet: id_of(ids, Kind::Subnet, it.subnet.get_ref()),
                    address: it.address.as_ref().map(|address| address.get_ref().clone()),
                    attach: None,
                    command: it.command.iter().map(|word| word.replace("$PLINKCTL", plinkctl)).collect(),
                    tags,
                };
                create.into()
            });
        }
        Ok(())
    }

    fn balancing(&mut self, held: &Inventory) -> Result<(), LabError> {
        for it in &self.lab.file.load_balancer {
            let name = it.name.get_ref();
            if let Some(found) = self.existing(Kind::LoadBalancer, name, &held.load_balancers, |it| &it.id) {
                let nodes: BTreeSet<_> = found.nodes.iter().map(|node| node.subnet.id.clone()).collect();
                self.same_set(Kind::LoadBalancer, &it.name, "subnets", &nodes, &self.ids(Kind::Subnet, &it.subnets))?;
                if found.cross_zone == it.cross_zone {
                    self.plan.kept += 1;
                    continue;
                }
                let load_balancer = found.id.clone();
                let request = Request::ModifyLoadBalancer { load_balancer, cross_zone: Some(it.cross_zone) };
                self.step("change", Kind::LoadBalancer, name, move |_| request.into());
                continue;
            }
            let tags = self.tags(name);
            self.step("create", Kind::LoadBalancer, name, move |ids| {
                let subnets = it.subnets.iter().map(|subnet| id_of(ids, Kind::Subnet, subnet.get_ref())).collect();
                Request::CreateLoadBalancer { name: name.clone(), subnets, cross_zone: it.cross_zone, tags }.into()
            });
        }
        self.target_groups(held)?;
        for it in &self.lab.file.listener {
            let name = it.label();
            if let Some(found) = self.existing(Kind::Listener, &name, &held.listeners, |it| &it.id) {
                let (group, wanted) = (&found.target_group, it.target_group.get_ref());
                self.same_object(Kind::Listener, &it.load_balancer, Kind::TargetGroup, group, wanted)?;
                self.plan.kept += 1;
                continue;
            }
            let tags = self.tags(&name);
            self.step("create", Kind::Listener, &name, move |ids| {
                let create = Request::CreateListener {
                    load_balancer: id_of(ids, Kind::LoadBalancer, it.load_balancer.get_ref()),
                    protocol: it.protocol.get_ref().clone(),
                    port: u32::try_from(*it.port.get_ref()).unwrap_or_default(),
                    target_group: id_of(ids, Kind::TargetGroup, it.target_group.get_ref()),
                    tcp_idle_timeout: None,
                    tags,
                };
                create.into()
            });
        }
        Ok(())
    }

    fn target_groups(&mut self, held: &Inventory) -> Result<(), LabError> {
        for it in &self.lab.file.target_group {
            let name = it.name.get_ref();
            let port = *it.port.get_ref();
            let found = self.existing(Kind::TargetGroup, name, &held.target_groups, |it| &it.id);
            let mut registered = BTreeSet::new();
            if let Some(found) = found {
                self.same_object(Kind::TargetGroup, &it.name, Kind::Vpc, &found.vpc, it.vpc.get_ref())?;
                self.same(Kind::TargetGroup, &it.name, "protocol", &found.protocol, it.protocol.get_ref())?;
                self.same(Kind::TargetGroup, &it.name, "port", &found.port.to_string(), &port.to_string())?;
                registered = found.targets.iter().map(|target| target.id.clone()).collect();
            } else {
                let tags = self.tags(name);
                self.step("create", Kind::TargetGroup, name, move |ids| {
                    let create = Request::CreateTargetGroup {
                        name: name.clone(),
                        vpc: id_of(ids, Kind::Vpc, it.vpc.get_ref()),
                        target_type: "instance".to_owned(),
                        protocol: it.protocol.get_ref().clone(),
                        port: u32::try_from(port).unwrap_or_default(),
                        tags,
                    };
                    create.into()
                });
            }
            // An instance that does not exist yet is not registered either.
            let wanted = self.ids(Kind::Instance, &it.targets);
            let group = move |ids: &Ids| id_of(ids, Kind::TargetGroup, name);
            let gone: Vec<_> = registered.difference(&wanted).cloned().collect();
            if !gone.is_empty() {
                self.step("change", Kind::TargetGroup, name, move |ids| {
                    let targets = gone.into_iter().map(|target| TargetRef { target, port: None }).collect();
                    Request::DeregisterTargets { target_group: group(ids), targets }.into()
                });
            }
            if wanted.difference(&registered).next().is_some() {
                let verb = if found.is_some() { "change" } else { "fill" };
                self.step(verb, Kind::TargetGroup, name, move |ids| {
                    let target = |it: &Text| TargetRef { target: id_of(ids, Kind::Instance, it.get_ref()), port: None };
                    let targets = it.targets.iter().map(target).collect();
                    Request::RegisterTargets { target_group: group(ids), targets }.into()
                });
            } else if found.is_some() && registered == wanted {
                self.plan.kept += 1;
            }
        }
        Ok(())
    }

    fn connections(&mut self, held: &Inventory) -> Result<(), LabError> {
        for it in &self.lab.file.service {
            let name = it.name.get_ref();
            let principals: BTreeSet<_> = it.allowed_principals.iter().map(|text| self.principal(text)).collect();
            if let Some(found) = self.existing(Kind::Service, name, &held.services, |it| &it.id) {
                let held_principals: BTreeSet<_> = found.allowed_principals.iter().cloned().collect();
                let balancers: BTreeSet<_> = found.load_balancers.iter().map(|it| it.id.clone()).collect();
                let wanted = self.ids(Kind::LoadBalancer, &it.load_balancers);
                let asks = found.acceptance_required;
                if (&held_principals, &balancers, asks) == (&principals, &wanted, it.acceptance_required) {
                    self.plan.kept += 1;
                    continue;
                }
                let service = found.id.clone();
                self.step("change", Kind::Service, name, move |ids| {
                    let balancer = |it: &Text| id_of(ids, Kind::LoadBalancer, it.get_ref());
                    let wanted: BTreeSet<_> = it.load_balancers.iter().map(balancer).collect();
                    let modify = Request::ModifyService {
                        service,
                        acceptance_required: (asks != it.acceptance_required).then_some(it.acceptance_required),
                        add_load_balancers: wanted.difference(&balancers).cloned().collect(),
                        remove_load_balancers: balancers.difference(&wanted).cloned().collect(),
                        add_principals: principals.difference(&held_principals).cloned().collect(),
                        remove_principals: held_principals.difference(&principals).cloned().collect(),
                    };
                    modify.into()
                });
                continue;
            }
            let tags = self.tags(name);
            self.step("create", Kind::Service, name, move |ids| {
                let balancer = |it: &Text| id_of(ids, Kind::LoadBalancer, it.get_ref());
                let create = Request::CreateService {
                    load_balancers: it.load_balancers.iter().map(balancer).collect(),
                    acceptance_required: it.acceptance_required,
                    allowed_principals: principals.into_iter().collect(),
                    tags,
                };
                create.into()
            });
        }
        self.endpoints(held)
    }

    fn endpoints(&mut self, held: &Inventory) -> Result<(), LabError> {
        for it in &self.lab.file.endpoint {
            let name = it.name.get_ref();
            let waits;
            if let Some(found) = self.existing(Kind::Endpoint, name, &held.endpoints, |it| &it.id) {
                let service = it.service.get_ref();
                if service != &found.service_name {
                    self.same_object(Kind::Endpoint, &it.name, Kind::Service, &found.service, service)?;
                }
                self.same_object(Kind::Endpoint, &it.name, Kind::Vpc, &found.vpc, it.vpc.get_ref())?;
                let subnets: BTreeSet<_> = found.interfaces.iter().map(|at| at.subnet.id.clone()).collect();
                self.same_set(Kind::Endpoint, &it.name, "subnets", &subnets, &self.ids(Kind::Subnet, &it.subnets))?;
                for (subnet, address) in it.subnets.iter().zip(&it.addresses) {
                    let id = id_of(&self.plan.ids, Kind::Subnet, subnet.get_ref());
                    let at = found.interfaces.iter().find(|at| at.subnet.id == id);
                    let held = at.map(|at| at.address.as_str()).unwrap_or_default();
                    self.same(Kind::Endpoint, &it.name, "address", held, address.get_ref())?;
                }
                waits = matches!(found.state.as_str(), "pendingAcceptance" | "rejected");
                if !(it.accept && waits) {
                    self.plan.kept += 1;
                }
            } else {
                let tags = self.tags(name);
                self.step("create", Kind::Endpoint, name, move |ids| {
                    let place = |(index, subnet): (usize, &Text)| EndpointSubnet {
                        subnet: id_of(ids, Kind::Subnet, subnet.get_ref()),
                        address: it.addresses.get(index).map(|address| address.get_ref().clone()),
                    };
                    let create = Request::CreateEndpoint {
                        vpc: id_of(ids, Kind::Vpc, it.vpc.get_ref()),
                        service: id_of(ids, Kind::Service, it.service.get_ref()),
                        subnets: it.subnets.iter().enumerate().map(place).collect(),
                        tags,
                    };
                    create.into()
                });
                // A service that asks nobody has accepted it already.
                let service = self.lab.file.service.iter().find(|service| service.name == it.service);
                waits = service.is_none_or(|service| service.acceptance_required);
            }
            if it.accept && waits {
                self.step("accept", Kind::Endpoint, name, move |ids| {
                    Request::AcceptEndpoint { endpoint: id_of(ids, Kind::Endpoint, name) }.into()
                });
            }
        }
        Ok(())
    }
}

impl<'a> Planner<'a> {
    fn existing<'h, V>(&self, kind: Kind, name: &str, list: &'h [V], id: impl Fn(&V) -> &String) -> Option<&'h V> {
        let wanted = self.plan.ids.get(&(kind, name.to_owned()))?;
        list.iter().find(|it| id(it) == wanted)
    }

    fn tags(&self, name: &str) -> Tags {
        Tags::from([("Name".to_owned(), name.to_owned()), (LAB_TAG.to_owned(), self.lab.name.clone())])
    }

    fn step(&mut self, verb: &'static str, kind: Kind, name: &str, make: impl FnOnce(&Ids) -> Envelope + 'a) {
        self.plan.steps.push(Step { verb, kind, name: name.to_owned(), make: Box::new(make) });
    }

    fn ids(&self, kind: Kind, names: &[Text]) -> BTreeSet<String> {
        names.iter().map(|name| id_of(&self.plan.ids, kind, name.get_ref())).collect()
    }

    fn principal(&self, text: &Text) -> String {
        let text = text.get_ref();
        if text == "*" || text.starts_with("arn:") {
            return text.clone();
        }
        format!("arn:aws:iam::{}:root", self.accounts.get(text).unwrap_or(text))
    }

    fn same(&self, kind: Kind, name: &Text, what: &str, held: &str, wanted: &str) -> Result<(), LabError> {
        if held == wanted {
            return Ok(());
        }
        let label = name.get_ref();
        let message = format!("{kind} `{label}` exists with {what} `{held}`, the file says `{wanted}`");
        let mut error = self.lab.source.error(name.span(), message);
        error.hint =
            Some(format!("{what} cannot be changed: delete that {kind} (or `lab down`) first, or rename it here"));
        Err(error)
    }

    fn same_object(&self, kind: Kind, name: &Text, of: Kind, held: &Named, wanted: &str) -> Result<(), LabError> {
        if self.plan.ids.get(&(of, wanted.to_owned())) == Some(&held.id) {
            return Ok(());
        }
        self.same(kind, name, of.label(), held.label(), wanted)?;
        // The same name, another object: the one in the file was deleted meanwhile, or belongs to another lab.
        self.same(kind, name, of.label(), &held.id, wanted)
    }

    fn same_set(
        &self,
        kind: Kind,
        name: &Text,
        what: &str,
        held: &BTreeSet<String>,
        wanted: &BTreeSet<String>,
    ) -> Result<(), LabError> {
        let join = |set: &BTreeSet<String>| set.iter().cloned().collect::<Vec<_>>().join(", ");
        self.same(kind, name, what, &join(held), &join(wanted))
    }
}

/// `$PLINKCTL` stands for a plinkctl anywhere: an agent of another build does not make another instance.
fn same_command(wanted: &[String], held: &[String]) -> bool {
    let same = |(wanted, held): (&String, &String)| {
        wanted == held || (wanted == "$PLINKCTL" && held.rsplit('/').next() == Some("plinkctl"))
    };
    wanted.len() == held.len() && wanted.iter().zip(held).all(same)
}
