//! `plinkctl`: a module for each group of verbs, one [`Printer`] for tables and JSON.
//!
//! Exit codes: 0 done, 1 refused, 2 wrong usage, 3 no agent.
#![allow(clippy::print_stderr, reason = "errors and warnings of a command line go to stderr")]

mod doctor;
mod endpoint;
mod exec;
mod instance;
mod lab;
mod load_balancer;
mod network;
mod output;
mod service;
mod session;
mod stand_in;
mod status;
mod target_group;
mod traffic;

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand};

use crate::{
    api::local::{CallError, protocol::WireError},
    lab::LabFailure,
};
pub use output::Printer;
use session::Session;

/// Talks to the plink agent of this host.
#[derive(Debug, Parser)]
#[command(name = "plinkctl", version, max_term_width = 110, subcommand_required = true, arg_required_else_help = true)]
#[command(after_help = "Objects are named by ID, ARN or name (the tag Name). Exit codes: 0 done, 1 refused, 2 wrong \
                        usage, 3 no agent.\n\nExamples:\n  plinkctl lab up labs/quickstart.toml\n  plinkctl endpoint \
                        list\n  plinkctl endpoint accept orders\n  plinkctl exec client-a -- curl -s \
                        http://10.0.1.100/")]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    verb: Verb,
}

/// Options of every verb.
#[derive(Clone, Debug, Args)]
struct Global {
    /// Print one JSON document instead of tables
    #[arg(long, global = true)]
    json: bool,
    /// The agent's run folder, with its socket
    #[arg(long, global = true, env = "PLINK_RUN_DIR", default_value = "/run/plink", value_name = "DIR")]
    run_dir: PathBuf,
    /// Act as this account (ID or name) instead of as the owner of the object
    #[arg(long, global = true, value_name = "ACCOUNT")]
    account: Option<String>,
    /// Answer as soon as a change is durable, without waiting until the kernel holds it
    #[arg(long, global = true)]
    no_wait: bool,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show the agent: version, objects, map fill, counters, problems
    Status,
    /// Check the host, the agent and every port, and say what to do about problems
    Doctor(doctor::Doctor),
    /// Bring a lab up or down: a TOML file of accounts, VPCs, instances, services and endpoints
    #[command(subcommand)]
    Lab(lab::Lab),
    /// VPCs: isolated networks, whose CIDRs may be the same
    #[command(subcommand)]
    Vpc(network::Vpc),
    /// Subnets of VPCs, each in one zone
    #[command(subcommand)]
    Subnet(network::Subnet),
    /// Instances: network namespaces with one interface in a subnet
    #[command(subcommand)]
    Instance(instance::Instance),
    /// Network load balancers, with one node a subnet
    #[command(subcommand, visible_alias = "lb")]
    LoadBalancer(load_balancer::LoadBalancer),
    /// Target groups: where listeners forward to
    #[command(subcommand, visible_alias = "tg")]
    TargetGroup(target_group::TargetGroup),
    /// Listeners of load balancers
    #[command(subcommand)]
    Listener(load_balancer::Listener),
    /// Endpoint services: what providers offer to other VPCs
    #[command(subcommand)]
    Service(service::Service),
    /// Interface endpoints: a service's addresses in a consumer's VPC
    #[command(subcommand)]
    Endpoint(endpoint::Endpoint),
    /// Run a command inside an instance's namespace
    Exec(exec::Exec),
    /// Show live flows
    Flows(traffic::Flows),
    /// Show how many packets were dropped, and why
    Drops(traffic::Drops),
    /// The test service of labs
    #[command(hide = true, subcommand)]
    Serve(Serve),
}

/// The test service of labs.
#[derive(Debug, Subcommand)]
enum Serve {
    /// HTTP that says who it is and whom it saw
    Http {
        /// The port
        #[arg(long, default_value_t = 8080)]
        port: u16,
        /// Echo UDP at the same port
        #[arg(long)]
        udp: bool,
    },
}

/// What a verb ends with, if it does not work.
#[derive(Debug)]
enum Failure {
    /// The agent, or the host, refused.
    Refused { message: String, hint: Option<String> },
    /// Nothing was tried: the arguments make no sense.
    Usage { message: String, hint: Option<String> },
    /// There is no agent.
    NoAgent { message: String, hint: String },
    /// It was said already; this is the exit code.
    Said(u8),
}

impl Failure {
    fn refused(message: impl Into<String>) -> Self {
        Self::Refused { message: message.into(), hint: None }
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        let (message, denied) = (error.to_string(), error.is_denied());
        match error {
            CallError::NoAgent { .. } if denied => Self::NoAgent { message, hint: DENIED_HINT.to_owned() },
            CallError::NoAgent { .. } => Self::NoAgent { message, hint: start_hint() },
            CallError::Refused(WireError { hint, field, .. }) => {
                let message = match field {
                    Some(field) if !message.contains(&field) => format!("{field}: {message}"),
                    _ => message,
                };
                Self::Refused { message, hint }
            }
            CallError::Broken(_) => Self::Refused { message, hint: Some("is the agent of the same version?".into()) },
        }
    }
}

impl From<LabFailure> for Failure {
    fn from(failure: LabFailure) -> Self {
        let message = failure.to_string();
        match failure {
            LabFailure::File(error) => Self::Refused { message, hint: error.hint },
            LabFailure::Call(error) => error.into(),
            LabFailure::Step { cause: CallError::Refused(error), .. } => Self::Refused { message, hint: error.hint },
            LabFailure::Step { .. } => Self::refused(message),
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::refused(format!("{error:#}"))
    }
}

const DENIED_HINT: &str = "run plinkctl as root, or as a member of the socket's group";

fn start_hint() -> String {
    "start one with `plink-agent` (as root), or point --run-dir at the run folder of a running one".to_owned()
}

/// Runs `plinkctl` with the process's arguments.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let failure = match run(cli) {
        Ok(()) => return ExitCode::SUCCESS,
        Err(failure) => failure,
    };
    let (code, message, hint) = match failure {
        Failure::Refused { message, hint } => (1, message, hint),
        Failure::Usage { message, hint } => (2, message, hint),
        Failure::NoAgent { message, hint } => (3, message, Some(hint)),
        Failure::Said(code) => return ExitCode::from(code),
    };
    eprintln!("error: {message}");
    if let Some(hint) = hint {
        eprintln!("hint: {hint}");
    }
    ExitCode::from(code)
}

fn run(cli: Cli) -> Result<(), Failure> {
    let Cli { global, verb } = cli;
    let session = || Session::connect(&global);
    match verb {
        Verb::Status => status::run(&mut session()?),
        Verb::Doctor(verb) => verb.run(&global),
        Verb::Lab(verb) => verb.run(&global),
        Verb::Vpc(verb) => verb.run(&mut session()?),
        Verb::Subnet(verb) => verb.run(&mut session()?),
        Verb::Instance(verb) => verb.run(&mut session()?),
        Verb::LoadBalancer(verb) => verb.run(&mut session()?),
        Verb::TargetGroup(verb) => verb.run(&mut session()?),
        Verb::Listener(verb) => verb.run(&mut session()?),
        Verb::Service(verb) => verb.run(&mut session()?),
        Verb::Endpoint(verb) => verb.run(&mut session()?),
        Verb::Exec(verb) => verb.run(&mut session()?),
        Verb::Flows(verb) => verb.run(&mut session()?),
        Verb::Drops(verb) => verb.run(&mut session()?),
        Verb::Serve(Serve::Http { port, udp }) => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.map_err(anyhow::Error::from)?;
            Ok(runtime.block_on(crate::serve::run(port, udp))?)
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_argument_tree_is_sound() {
        Cli::command().debug_assert();
    }
}
