//! The agent, its hub, and what is left of one that is dead.

use std::path::Path;

use super::{super::DENIED_HINT, Report, Verdict, port};
use crate::{
    agent::AgentRecord,
    api::local::{
        CallError, Client, Transport as _,
        protocol::{Answer, Kind, Request},
        view::{InstanceView, StatusView},
    },
    datapath,
    net::{Link, Namespaces, inside, namespace_path, open_namespace},
};

pub(super) fn check(report: &mut Report, run_dir: &Path) {
    match ask(run_dir) {
        Ok((status, instances)) => {
            report.add("agent", true, format!("{} {} (pid {}) answers", status.name, status.version, status.pid), "");
            for problem in &status.problems {
                report.push("agent", Verdict::Fail, &**problem, "the agent keeps trying; mend what it names");
            }
            let links = hub(report, &status, &instances);
            for instance in &instances {
                port::check(report, &status, &links, instance);
            }
        }
        Err(error) if error.is_denied() => report.push("agent", Verdict::Fail, error.to_string(), DENIED_HINT),
        Err(error) => no_agent(report, run_dir, &error.to_string()),
    }
}

fn ask(run_dir: &Path) -> Result<(StatusView, Vec<InstanceView>), CallError> {
    let mut client = Client::connect(run_dir)?;
    let status = client.call(Request::Status {}.into())?;
    match (status, client.call(Request::List { kind: Some(Kind::Instance) }.into())?) {
        (Answer::Status(status), Answer::Objects(found)) => Ok((*status, found.instances)),
        _ => Err(CallError::Broken("the agent answered something else than was asked".to_owned())),
    }
}

/// Checks the hub: it is there, and holds nothing but ports. What it holds.
fn hub(report: &mut Report, status: &StatusView, instances: &[InstanceView]) -> Vec<Link> {
    let Some(hub) = &status.hub else {
        report.add("hub", true, "none is needed: there is no instance", "");
        return Vec::new();
    };
    let links = match hub_links(hub) {
        Ok(links) => links,
        Err(error) => {
            let advice = "the agent makes it anew within seconds; if not, look at `plinkctl status`";
            report.push("hub", Verdict::Fail, format!("{error:#}"), advice);
            return Vec::new();
        }
    };
    let foreign: Vec<&str> =
        links.iter().map(|link| link.name.as_str()).filter(|name| !is_port(name, instances)).collect();
    if foreign.is_empty() {
        report.add("hub", true, format!("{hub}, with nothing in it but ports"), "");
    } else {
        let found = format!("{hub} holds {}, which is no instance's", foreign.join(", "));
        report.push("hub", Verdict::Warn, found, "the agent removes it within seconds");
    }
    links
}

fn is_port(name: &str, instances: &[InstanceView]) -> bool {
    instances.iter().any(|instance| instance.hub_interface == name)
}

/// The interfaces of a hub, without its loopback.
fn hub_links(hub: &str) -> anyhow::Result<Vec<Link>> {
    let mut links = inside(open_namespace(&namespace_path(hub))?, |netlink| netlink.links())?;
    links.retain(|link| link.name != "lo");
    Ok(links)
}

fn no_agent(report: &mut Report, run_dir: &Path, error: &str) {
    let record = match AgentRecord::read(run_dir) {
        Ok(Some(record)) => record,
        Ok(None) => {
            let advice = "start one with `plink-agent`, or point --run-dir at the run folder of a running one";
            return report.push("agent", Verdict::Warn, error, advice);
        }
        Err(unreadable) => {
            return report.push("agent", Verdict::Fail, format!("{unreadable:#}"), "remove the file if no agent runs");
        }
    };
    if record.is_running() {
        let advice = "wait until it has started, or look at its log";
        return report.push("agent", Verdict::Fail, format!("{error}, but {:?} runs", record.name), advice);
    }
    let left = leftovers(&record.name, run_dir);
    let dead = format!("{:?} (pid {}) does not run any more", record.name, record.pid);
    if left.is_empty() {
        let advice = "start it again with `plink-agent`";
        return report.push("agent", Verdict::Warn, format!("{dead}; nothing of it is left on the host"), advice);
    }
    let advice = "start `plink-agent` again, which takes them over, or remove them: `plinkctl lab down FILE`, or \
                  `plink-agent purge`";
    report.push("agent", Verdict::Fail, format!("{dead}, but left {}", left.join(", and ")), advice);
    left_ports(report, &record.name);
}

/// The namespaces and pins of an agent's name.
fn leftovers(name: &str, run_dir: &Path) -> Vec<String> {
    let namespaces = Namespaces::new(run_dir).and_then(|namespaces| {
        let mut names = namespaces.list()?;
        names.retain(|name| namespaces.is_ours(name) && open_namespace(&namespace_path(name)).is_ok());
        names.sort();
        Ok(names)
    });
    let namespaces = namespaces.unwrap_or_default();
    let pins = datapath::Pins::new(name);
    let mut left = Vec::new();
    if !namespaces.is_empty() {
        left.push(format!("the namespaces {}", namespaces.join(", ")));
    }
    left.extend(pins.path_if_there().map(|path| format!("the pins in {}", path.display())));
    left
}

/// Whether traffic goes on without the agent, as it should.
fn left_ports(report: &mut Report, name: &str) {
    let (links, pinned) = match (hub_links(&format!("{name}-hub")), datapath::pinned_links(name)) {
        (Ok(links), Ok(pinned)) => (links, pinned),
        (Err(error), _) | (_, Err(error)) => {
            let advice = "traffic has stopped; start `plink-agent` again";
            return report.push("ports", Verdict::Fail, format!("{error:#}"), advice);
        }
    };
    let faults: Vec<String> = links
        .iter()
        .filter_map(|link| {
            let attached = pinned.iter().any(|info| info.interface == link.index);
            let fault = match () {
                () if !link.up => "is down",
                () if !attached => "has no program",
                () if !datapath::is_pinned_device(name, link.index).unwrap_or_default() => "is not in DEVICES",
                () => return None,
            };
            Some(format!("{} {fault}", link.name))
        })
        .collect();
    let count = links.len();
    if faults.is_empty() {
        report.add("ports", true, format!("traffic goes on without the agent at {count} ports"), "");
    } else {
        report.push("ports", Verdict::Fail, faults.join("; "), "start `plink-agent` again, which repairs them");
    }
}
