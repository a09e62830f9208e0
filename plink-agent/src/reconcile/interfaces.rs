//! Namespaces, veth pairs, and what hangs on the hub sides: the program's link and the slot in `DEVICES`.

use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
    os::{fd::AsFd as _, unix::fs::MetadataExt as _},
    path::PathBuf,
};

use anyhow::{Context as _, Result, ensure};
use plink_common::abi::PortEntry;
use tracing::{info, warn};

use super::Report;
use crate::{
    config::Config,
    datapath::Datapath,
    model::Namespace,
    net::{
        Link, Namespaces, Place, Shape, create_pair, ensure_hub_side, ensure_interface, inside, namespace_path,
        open_namespace,
    },
    plan::{Interface, Plan},
    process::Job,
};

/// Makes what is missing and repairs what differs; says of each instance whether it is there.
pub(super) fn provide(
    config: &Config,
    namespaces: &Namespaces,
    datapath: &Datapath,
    hub: &File,
    plan: &Plan,
    report: &mut Report,
) -> Result<()> {
    let links = hub_links(hub)?;
    for interface in plan.interfaces.values() {
        let result = provide_one(config, namespaces, hub, &links, interface);
        let problem = result.err().map(|error| format!("{error:#}"));
        if let Some(problem) = &problem {
            report.problems.push(format!("{}: {problem}", interface.instance));
        }
        report.instances.insert(interface.instance, problem);
    }
    connect(datapath, hub, plan, report)
}

/// Removes hub sides whose index is to be another's, so that it is free.
pub(super) fn retire_conflicting(datapath: &Datapath, hub: &File, plan: &Plan, report: &mut Report) -> Result<()> {
    remove_links(datapath, hub, report, |link| {
        plan.interfaces.get(&link.index).is_some_and(|interface| interface.veth.hub_name != link.name)
            || plan.interfaces.values().any(|other| other.veth.hub_name == link.name && other.veth.index != link.index)
    })
}

/// Removes the hub sides and the links of interfaces that are gone.
pub(super) fn retire(datapath: &Datapath, hub: &File, plan: &Plan, report: &mut Report) -> Result<()> {
    remove_links(datapath, hub, report, |link| !plan.interfaces.contains_key(&link.index))?;
    let wanted: std::collections::HashSet<String> =
        plan.interfaces.values().map(|interface| interface.eni.to_string()).collect();
    for name in datapath.link_names()?.into_iter().filter(|name| !wanted.contains(name)) {
        report.note(datapath.detach(&name));
    }
    Ok(())
}

/// What the supervisor needs to run an instance's command.
pub(super) fn job(config: &Config, interface: &Interface) -> Job {
    let environment = [
        ("PLINK_INSTANCE_ID", interface.instance.to_string()),
        ("PLINK_INSTANCE_NAME", interface.instance_name.clone()),
        ("PLINK_ADDRESS", interface.veth.address.addr().to_string()),
    ];
    Job {
        command: interface.command.clone(),
        namespace: path(config, interface),
        environment: environment.map(|(name, value)| (name.to_owned(), value)).to_vec(),
    }
}

fn provide_one(
    config: &Config,
    namespaces: &Namespaces,
    hub: &File,
    links: &BTreeMap<u32, Link>,
    interface: &Interface,
) -> Result<()> {
    let (namespace, place) = match &interface.namespace {
        Namespace::Created => (namespaces.ensure(&config.instance_namespace(interface.instance))?, Place::Created),
        Namespace::Attached { path, .. } => {
            let namespace = open_namespace(path)?;
            let inode = namespace.metadata()?.ino();
            let is_hosts = std::fs::metadata("/proc/self/ns/net")?.ino() == inode;
            ensure!(!is_hosts, "{} is the host's own network namespace", path.display());
            ensure!(hub.metadata()?.ino() != inode, "{} is the hub", path.display());
            (namespace, Place::Attached)
        }
    };
    let veth = &interface.veth;
    if let Some(link) = links.get(&veth.index) {
        inside(hub, |netlink| ensure_hub_side(netlink, link))?;
        match inside(&namespace, |netlink| ensure_interface(netlink, veth, place))? {
            Shape::Right => return Ok(()),
            Shape::Repaired(what) => {
                warn!(instance = %interface.instance, what = what.join(", "), "repaired");
                return Ok(());
            }
            Shape::Missing => {
                warn!(instance = %interface.instance, "the interface is gone; making it anew");
                inside(hub, |netlink| netlink.delete_link(veth.index))?;
            }
        }
    }
    inside(hub, |netlink| create_pair(netlink, veth, namespace.as_fd()))?;
    let shape = inside(&namespace, |netlink| ensure_interface(netlink, veth, place))?;
    ensure!(shape != Shape::Missing, "the interface {} was made and is not there", veth.name);
    info!(instance = %interface.instance, address = %veth.address, "interface made");
    Ok(())
}

/// Attaches the program to the hub sides and enters them into `DEVICES`. In one visit to the hub: both resolve an
/// interface's index in the caller's namespace.
fn connect(datapath: &Datapath, hub: &File, plan: &Plan, report: &mut Report) -> Result<()> {
    let links = datapath.links()?;
    let mut failures: HashMap<u32, String> = HashMap::new();
    let ready: Vec<&Interface> =
        plan.interfaces.values().filter(|interface| report.instances.get(&interface.instance) == Some(&None)).collect();
    inside(hub, |_| {
        for interface in &ready {
            let port = interface.veth.index;
            let name = interface.eni.to_string();
            let attached = datapath.is_attached(links.get(&name), port);
            let result = if attached { Ok(()) } else { datapath.attach(port, &name) };
            let result =
                result.and_then(|()| if datapath.has_device(port)? { Ok(()) } else { datapath.set_device(port) });
            if let Err(error) = result {
                failures.insert(port, format!("{error:#}"));
            }
        }
        Ok(())
    })?;
    for interface in ready {
        if let Some(problem) = failures.remove(&interface.veth.index) {
            report.problems.push(format!("{}: {problem}", interface.instance));
            report.instances.insert(interface.instance, Some(problem));
        }
    }
    Ok(())
}

fn remove_links(
    datapath: &Datapath,
    hub: &File,
    report: &mut Report,
    is_unwanted: impl Fn(&Link) -> bool,
) -> Result<()> {
    let unwanted: Vec<Link> = hub_links(hub)?.into_values().filter(|link| is_unwanted(link)).collect();
    if unwanted.is_empty() {
        return Ok(());
    }
    for link in &unwanted {
        report.note(datapath.remove_device(link.index).map(drop));
        report.note(datapath.ports.set(&link.index, &PortEntry::default()));
    }
    inside(hub, |netlink| unwanted.iter().try_for_each(|link| netlink.delete_link(link.index)))
        .context("cannot remove an interface from the hub")
}

fn hub_links(hub: &File) -> Result<BTreeMap<u32, Link>> {
    let links = inside(hub, |netlink| netlink.links()).context("cannot list the hub's interfaces")?;
    Ok(links.into_iter().filter(|link| link.name != "lo").map(|link| (link.index, link)).collect())
}

fn path(config: &Config, interface: &Interface) -> PathBuf {
    match &interface.namespace {
        Namespace::Created => namespace_path(&config.instance_namespace(interface.instance)),
        Namespace::Attached { path, .. } => path.clone(),
    }
}
