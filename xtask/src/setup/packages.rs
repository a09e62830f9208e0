//! Debian's packages.

use std::cell::Cell;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::{Check, Found, Missing, missing};
use crate::{output, process, workspace};

/// A program and the package that brings it.
pub(super) type Program = (&'static str, &'static str);

/// What plink's tasks, labs and tests call. A program that is there counts, wherever it came from.
pub(super) const PROGRAMS: &[Program] = &[
    ("cc", "gcc"),
    ("ip", "iproute2"),
    ("ethtool", "ethtool"),
    ("curl", "curl"),
    ("tcpdump", "tcpdump"),
    ("nft", "nftables"),
];

pub(super) const CHECKS: &[Check] = &[programs];

fn programs() -> Result<Found> {
    let names = |programs: Vec<&Program>| programs.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    let lacking = lacking_programs(PROGRAMS);
    if lacking.is_empty() {
        return Ok(Found::There(format!("programs: {}", names(PROGRAMS.iter().collect()))));
    }
    Ok(Found::Lacking(format!("programs: would install {}", names(lacking))))
}

/// Installs the packages of the programs that are not there.
pub(super) fn ensure(programs: &'static [Program]) -> Result<()> {
    let mut step = output::Step::start();
    let packages: Vec<&str> = lacking_programs(programs).iter().map(|(_, package)| *package).collect();
    let names = programs.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    if packages.is_empty() {
        step.ok(&format!("programs: {names}"));
    } else {
        install(&packages, &mut step)?;
        step.ok(&format!("programs: installed {}", packages.join(" ")));
    }
    Ok(())
}

fn lacking_programs(programs: &'static [Program]) -> Vec<&'static Program> {
    programs.iter().filter(|(name, _)| workspace::find_program(name).is_none()).collect()
}

/// Those of the packages that dpkg does not have.
pub(super) fn lacking(packages: &[&'static str]) -> Vec<&'static str> {
    let mut query = Command::new("dpkg-query");
    query.args(["--show", "--showformat", "${Package} ${db:Status-Status}\n"]).args(packages);
    // The exit code is not zero when one of them is unknown; what is known is printed all the same.
    let known = query.output().map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let installed = |package: &str| known.lines().any(|line| line == format!("{package} installed"));
    packages.iter().copied().filter(|package| !installed(package)).collect()
}

/// Installs packages by apt, after one update of the lists in this process's life.
pub(super) fn install(packages: &[&str], step: &mut output::Step) -> Result<()> {
    thread_local!(static UPDATED: Cell<bool> = const { Cell::new(false) });
    let wanted = packages.join(" ");
    if !Path::new("/usr/bin/apt-get").exists() {
        return missing(format!(
            "{wanted} (Debian's names) must be installed, and there is no apt-get here: install them with this system's own \
             package manager and run setup again"
        ));
    }
    let log = |name: &str| workspace::tools().join(format!("log/{name}.log"));
    let apt = || {
        let mut apt = process::command("apt-get");
        apt.env("DEBIAN_FRONTEND", "noninteractive").args(["--quiet", "--option", "DPkg::Lock::Timeout=120"]);
        apt
    };
    if !UPDATED.get() {
        step.announce("apt-get update");
        process::logged(apt().arg("update"), &log("apt-update")).map_err(|error| {
            Missing(format!(
                "{wanted} must be installed, and apt-get update failed, is there a network? It said: {error:#}"
            ))
        })?;
        UPDATED.set(true);
    }
    step.announce(&format!("apt-get install {wanted}"));
    process::logged(apt().args(["install", "--yes", "--no-install-recommends"]).args(packages), &log("apt-install"))
        .map_err(|error| Missing(format!("{wanted} must be installed, and apt-get could not do it: {error:#}")))?;
    Ok(())
}
