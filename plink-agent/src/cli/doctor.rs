//! `plinkctl doctor`.

use std::{fs, path::Path};

use clap::Args;
use serde::Serialize;

use super::{Failure, Global, Printer};
use crate::{
    agent::AgentRecord,
    api::local::{
        Client, Transport as _,
        protocol::{Answer, Kind, Request},
        view::{InstanceView, StatusView},
    },
    datapath,
    net::{self, inside, namespace_path, open_namespace},
};

/// Check the host, the agent and every port, and say what to do about problems.
#[derive(Debug, Args)]
pub(super) struct Doctor {}

/// What a check found.
#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Ok,
    Warn,
    Fail,
}

/// One check.
#[derive(Serialize)]
struct Check {
    what: String,
    verdict: Verdict,
    found: String,
    /// What to do, if something is to be done.
    advice: Option<String>,
}

#[derive(Serialize)]
struct Report {
    checks: Vec<Check>,
}

impl Report {
    fn add(&mut self, what: &str, good: bool, found: impl Into<String>, advice: &str) {
        self.push(what, if good { Verdict::Ok } else { Verdict::Fail }, found, advice);
    }

    fn push(&mut self, what: &str, verdict: Verdict, found: impl Into<String>, advice: &str) {
        let advice = (verdict != Verdict::Ok).then(|| advice.to_owned());
        self.checks.push(Check { what: what.to_owned(), verdict, found: found.into(), advice });
    }
}

impl Doctor {
    pub(super) fn run(self, global: &Global) -> Result<(), Failure> {
        let mut report = Report { checks: Vec::new() };
        host(&mut report);
        if let Some((status, instances)) = agent(&mut report, &global.run_dir) {
            for instance in &instances {
                port(&mut report, &status, instance);
            }
        }
        let printer = Printer::new(global.json);
        printer.document(&report, |printer| print(printer, &report));
        let failed = report.checks.iter().filter(|check| check.verdict == Verdict::Fail).count();
        if failed == 0 { Ok(()) } else { Err(Failure::Said(1)) }
    }
}

fn print(printer: &Printer, report: &Report) {
    for check in &report.checks {
        let verdict = match check.verdict {
            Verdict::Ok => "ok",
            Verdict::Warn => "warn",
            Verdict::Fail => "fail",
        };
        let pad = 6 - verdict.len();
        printer.line(&format!("{}{:pad$}{}: {}", printer.toned(verdict), "", check.what, check.found));
        if let Some(advice) = &check.advice {
            printer.line(&format!("      {advice}"));
        }
    }
}

fn host(report: &mut Report) {
    let root = nix::unistd::geteuid().is_root();
    report.add("user", root, if root { "root" } else { "not root" }, "run as root: namespaces and BPF need it");

    let release = read("/proc/sys/kernel/osrelease");
    let recent = version(&release).is_some_and(|version| version >= (5, 18));
    report.add("kernel", recent, &*release, "Linux 5.18 or newer is needed (XDP with fragments)");

    let btf = Path::new("/sys/kernel/btf/vmlinux").exists();
    let found = if btf { "the kernel describes its types" } else { "no /sys/kernel/btf/vmlinux" };
    report.add("BTF", btf, found, "use a kernel that is built with CONFIG_DEBUG_INFO_BTF");

    let on = read("/proc/sys/net/core/bpf_jit_enable") != "0";
    let advice = "sysctl net.core.bpf_jit_enable=1 makes the program several times faster";
    report.push("BPF JIT", warn_unless(on), if on { "on" } else { "off" }, advice);

    let mounted = datapath::is_bpffs_mounted();
    let found = if mounted { "on /sys/fs/bpf" } else { "not mounted" };
    report.push("bpffs", warn_unless(mounted), found, "the agent mounts it when it makes its first instance");
}

const fn warn_unless(good: bool) -> Verdict {
    if good { Verdict::Ok } else { Verdict::Warn }
}

/// Asks the agent; what it says, if it answers.
fn agent(report: &mut Report, run_dir: &Path) -> Option<(StatusView, Vec<InstanceView>)> {
    match ask(run_dir) {
        Ok((status, instances)) => {
            report.add("agent", true, format!("{} {} (pid {}) answers", status.name, status.version, status.pid), "");
            let hub = status.hub.as_ref().is_none_or(|hub| open_namespace(&namespace_path(hub)).is_ok());
            let found = status.hub.clone().unwrap_or_else(|| "none is needed: there is no instance".to_owned());
            report.add("hub", hub, found, "the agent makes it anew within seconds; if not, look at `plinkctl status`");
            for problem in &status.problems {
                report.push("agent", Verdict::Fail, &**problem, "the agent keeps trying; mend what it names");
            }
            Some((status, instances))
        }
        Err(error) => {
            no_agent(report, run_dir, &error);
            None
        }
    }
}

fn no_agent(report: &mut Report, run_dir: &Path, error: &str) {
    match AgentRecord::read(run_dir) {
        Ok(Some(record)) if !record.is_running() => {
            let found = format!("{:?} (pid {}) is dead; its networks may still be up", record.name, record.pid);
            let advice = "start `plink-agent` again, which takes them over, or remove them: `plinkctl lab down FILE`, or \
                          `plink-agent purge`";
            report.push("agent", Verdict::Fail, found, advice);
        }
        Ok(_) => {
            let advice = "start one with `plink-agent`, or point --run-dir at the run folder of a running one";
            report.push("agent", Verdict::Warn, error, advice);
        }
        Err(unreadable) => {
            report.push("agent", Verdict::Fail, format!("{unreadable:#}"), "remove the file if no agent runs");
        }
    }
}

fn ask(run_dir: &Path) -> Result<(StatusView, Vec<InstanceView>), String> {
    let mut client = Client::connect(run_dir).map_err(|error| error.to_string())?;
    let mut call = |request: Request| client.call(request.into()).map_err(|error| error.to_string());
    let (status, list) = (call(Request::Status {})?, call(Request::List { kind: Some(Kind::Instance) })?);
    match (status, list) {
        (Answer::Status(status), Answer::Objects(found)) => Ok((*status, found.instances)),
        _ => Err("the agent answered something else than was asked".to_owned()),
    }
}

/// All that packets of an instance need.
fn port(report: &mut Report, status: &StatusView, it: &InstanceView) {
    let name = if it.name.is_empty() { &it.id } else { &it.name };
    let faults = faults(status, it).unwrap_or_else(|error| vec![format!("{error:#}")]);
    let found = if faults.is_empty() {
        format!("{} at {}, program attached, offloads as they must be", it.interface, it.address)
    } else {
        faults.join("; ")
    };
    let advice = "the agent repairs it within seconds; what it cannot is in `plinkctl status`";
    report.add(&format!("port of {name}"), faults.is_empty(), found, advice);
}

fn faults(status: &StatusView, it: &InstanceView) -> anyhow::Result<Vec<String>> {
    let namespace = open_namespace(Path::new(&it.netns))?;
    let found = inside(&namespace, |netlink| {
        let Some(link) = netlink.link(&it.interface)? else { return Ok(None) };
        Ok(Some((link, net::offloads(&it.interface)?)))
    })?;
    let Some((link, offloads)) = found else {
        return Ok(vec![format!("{} is not in its namespace", it.interface)]);
    };
    let hub = status.hub.as_deref().map(|hub| open_namespace(&namespace_path(hub))).transpose()?;
    let side = match &hub {
        Some(hub) => inside(hub, |netlink| netlink.link(&it.hub_interface))?,
        None => None,
    };

    let mut faults = Vec::new();
    let mut fault = |bad: bool, text: String| {
        if bad {
            faults.push(text);
        }
    };
    fault(!link.up, format!("{} is down", it.interface));
    fault(offloads.tx_checksum, "transmit checksum offload is on: packets leave with wrong checksums".to_owned());
    fault(!offloads.gro, "GRO is off: redirected frames vanish".to_owned());
    match side {
        None => fault(true, format!("{} is not in the hub", it.hub_interface)),
        Some(side) => {
            fault(!side.up, format!("{} is down", it.hub_interface));
            fault(side.mtu != link.mtu, format!("MTU {} here, {} in the hub", link.mtu, side.mtu));
            fault(link.peer != Some(side.index), format!("{} has another peer", it.interface));
        }
    }
    match datapath::pinned_link(&status.name, &it.eni) {
        Ok(info) => {
            fault(info.interface != it.port, "its program is attached to another interface".to_owned());
            fault(Some(info.program) != status.program_id, "another program is attached".to_owned());
        }
        Err(error) => fault(true, format!("{error:#}")),
    }
    Ok(faults)
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

/// Major and minor version of a kernel release.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut parts = release.split(|letter: char| !letter.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn releases_are_compared_as_numbers() {
        assert!(version("6.1.0-28-cloud-amd64") >= Some((5, 18)));
        assert!(version("5.4.0") < Some((5, 18)));
        assert_eq!(version("?"), None);
    }
}
