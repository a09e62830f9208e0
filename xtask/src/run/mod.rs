//! `cargo xtask run`: from nothing to requests through an endpoint, and back to nothing.
//!
//! The agent is a child in this process's hands: whatever happens here (a failed step, Ctrl-C, an error, even SIGKILL),
//! it is told to end, and takes down all that it made. Afterwards the host is compared with what it was before.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};

use crate::{build, output, setup, workspace};

mod agent;
mod host;
mod place;
mod plinkctl;
mod quickstart;
mod script;
mod signals;

use agent::Agent;
use host::Host;
use place::{Former, Place};
use plinkctl::Plinkctl;

const QUICKSTART: &str = "labs/quickstart.toml";

/// What to run.
#[derive(Args)]
pub(crate) struct Options {
    /// Stop after the requests; exit code 0 only if every step went as it should.
    #[arg(long)]
    once: bool,
    /// Bring up this lab instead of the quickstart, list its objects and serve.
    #[arg(long, value_name = "FILE", conflicts_with = "no_lab")]
    lab: Option<PathBuf>,
    /// Only the agent: make your own objects with plinkctl.
    #[arg(long)]
    no_lab: bool,
    /// Which hook of the kernel the program uses.
    #[arg(long, value_enum, default_value_t = Datapath::Auto)]
    datapath: Datapath,
    /// The agent's name, of its namespaces and its pins; another one for a second run on this host.
    #[arg(long, value_name = "NAME", default_value = "plink", value_parser = name)]
    name: String,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Datapath {
    /// The best there is: XDP.
    Auto,
    /// XDP in the driver of each virtual Ethernet device.
    Xdp,
    /// TCX, at the traffic control hook.
    Tcx,
}

fn name(text: &str) -> Result<String, String> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_';
    if text.is_empty() || text.len() > 32 || !text.bytes().all(allowed) {
        return Err("a name has 1 to 32 characters of a-z, 0-9, - and _".to_owned());
    }
    Ok(text.to_owned())
}

pub(crate) fn main(options: &Options) -> Result<ExitCode> {
    if options.datapath == Datapath::Tcx {
        bail!("--datapath tcx is not there yet: auto and xdp both mean XDP");
    }
    if let Some(lab) = options.lab.as_deref().filter(|lab| !lab.is_file()) {
        bail!("the lab file {} is not there", lab.display());
    }
    setup::ensure()?;
    output::heading("Build");
    // Without optimisations: half the build time, and the part that is in the packet's way, the kernel program, is
    // always built with them.
    build::binaries(false)?;

    let place = Place::new(&options.name);
    output::heading("Agent");
    if let Former::Dead = place.former()? {
        let step = output::Step::start();
        agent::purge(&place)?;
        step.ok("removed what a former run left behind when it was killed");
    }
    signals::catch()?;
    let before = Host::look(&std::collections::BTreeSet::new());
    let plinkctl = Plinkctl::new(&place);
    let mut agent = Agent::start(&place, &plinkctl)?;
    output::line(&format!(
        "plink-agent (pid {}) answers at {} after {}",
        agent.pid(),
        place.run_dir.join("plink.sock").display(),
        output::seconds(agent.started_in)
    ));

    let result = work(options, &place, &plinkctl, &mut agent);

    output::heading("Clean-up");
    let inside = host::new_namespaces(&before, &place.name);
    let step = output::Step::start();
    let stopped = agent.stop();
    let differences = before.differences(&Host::look(&inside), &place.name);
    let clean = stopped.is_ok() && differences.is_empty();
    if clean {
        step.ok("the host is as it was: namespaces, links, pins and processes compared with before");
    } else {
        step.failed(&format!("the host is not as it was: {}", differences.join(", ")));
    }
    stopped?;
    let good = match result {
        Err(_) if signals::interrupted() => return Ok(ExitCode::from(130)),
        other => other?,
    };
    Ok(if good && clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Everything between the agent's start and its end; whether all steps went as they should.
fn work(options: &Options, place: &Place, plinkctl: &Plinkctl, agent: &mut Agent) -> Result<bool> {
    let mut good = true;
    let mut next: Vec<String> = Vec::new();
    if let Some(lab) = &options.lab {
        bring_up(plinkctl, lab)?;
        list(plinkctl)?;
    } else if !options.no_lab {
        let lab = workspace::root().join(QUICKSTART);
        bring_up(plinkctl, &lab)?;
        good = quickstart::show(plinkctl)?;
        next = quickstart::next_commands(plinkctl, &place.plinkctl_to_type())?;
    }
    output::heading("What to try next, in another terminal and in this folder");
    let always = ["status", "endpoint list", "flows", "drops"];
    for command in always.map(|verb| format!("{} {verb}", place.plinkctl_to_type())).into_iter().chain(next) {
        output::line(&format!("  {command}"));
    }
    if options.once {
        return Ok(good);
    }
    output::line("\nServing until Ctrl-C.");
    serve(agent)?;
    Ok(good)
}

/// Waits for Ctrl-C, or for an agent that ends by itself, which it should not.
fn serve(agent: &mut Agent) -> Result<()> {
    const A_LONG_TIME: Duration = Duration::from_secs(u32::MAX as u64);
    let ended = signals::wait_until(A_LONG_TIME, || {
        std::thread::sleep(Duration::from_millis(200));
        if signals::interrupted() { Ok(Some(None)) } else { Ok(agent.ended()?.map(Some)) }
    });
    match ended {
        Ok(Some(Some(status))) => bail!("the agent ended by itself ({status}); it said:\n{}", agent.last_words()),
        _ => Ok(()),
    }
}

fn bring_up(plinkctl: &Plinkctl, lab: &Path) -> Result<()> {
    output::heading("Lab");
    let step = output::Step::start();
    let shown = lab.strip_prefix(workspace::root()).unwrap_or(lab).display().to_string();
    plinkctl.call(&["lab", "up", &lab.display().to_string()])?;
    step.ok(&format!("{shown} is up"));
    Ok(())
}

/// The objects of a lab that this task knows nothing about.
fn list(plinkctl: &Plinkctl) -> Result<()> {
    for kind in ["vpc", "subnet", "instance", "load-balancer", "target-group", "service", "endpoint"] {
        output::heading(kind);
        output::line(plinkctl.call(&[kind, "list"])?.trim_end());
    }
    Ok(())
}
