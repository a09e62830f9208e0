//! The daemon.

use std::{io::IsTerminal as _, net::SocketAddr, path::PathBuf, process::ExitCode, sync::Arc};

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};
use plink_agent::{
    agent::{self, Agent},
    api::local::Server,
    config::Config,
};
use tokio::signal::unix::{SignalKind, signal};
use tracing::{error, info};
use tracing_subscriber::EnvFilter;

/// Makes VPCs, load balancers and private endpoints out of namespaces and an XDP program, and keeps them.
#[derive(Debug, Parser)]
#[command(name = "plink-agent", version, max_term_width = 110)]
#[command(
    after_help = "Without a command the agent runs until SIGTERM or SIGINT; traffic goes on after that, and the \
                        next start takes over what it finds. Log level: RUST_LOG, for example RUST_LOG=debug."
)]
struct Arguments {
    /// The configuration file (TOML)
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// Where the durable state is [default: /var/lib/plink]
    #[arg(long, value_name = "DIR", global = true)]
    state_dir: Option<PathBuf>,
    /// Where the socket, logs and records of this boot are [default: /run/plink]
    #[arg(long, value_name = "DIR", global = true)]
    run_dir: Option<PathBuf>,
    /// Where the AWS-compatible API listens, once it exists [default: 127.0.0.1:7546]
    #[arg(long, value_name = "ADDRESS", global = true)]
    listen: Option<SocketAddr>,
    /// Names the hub, the pins and the namespaces; another name for a second agent [default: plink]
    #[arg(long, value_name = "NAME", global = true)]
    name: Option<String>,
    /// At the end remove everything from the host again, as `purge` does
    #[arg(long)]
    purge_on_exit: bool,
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run the agent (the default)
    Run,
    /// Remove everything of this name from the host: instances' commands, links, pins, namespaces, the run folder. The
    /// durable state stays
    Purge,
}

fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let terminal = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(terminal).init();
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<()> {
    let mut config = match &arguments.config {
        Some(path) => Config::load(path)?,
        None => Config::default(),
    };
    config.state_dir = arguments.state_dir.unwrap_or(config.state_dir);
    config.run_dir = arguments.run_dir.unwrap_or(config.run_dir);
    config.listen = arguments.listen.unwrap_or(config.listen);
    config.name = arguments.name.unwrap_or(config.name);
    config.check()?;
    match arguments.verb.unwrap_or(Verb::Run) {
        Verb::Purge => agent::purge(&config),
        Verb::Run => serve(&config, arguments.purge_on_exit),
    }
}

fn serve(config: &Config, purge: bool) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    // Before anything is made, so that no signal is lost.
    let (mut terminate, mut interrupt) = {
        let _entered = runtime.enter();
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?)
    };
    let agent = Arc::new(Agent::start(config.clone())?);
    runtime.block_on(async {
        let server = Server::bind(&config.socket(), config.socket_group.as_deref())?;
        info!(socket = %config.socket().display(), "the local API listens");
        tokio::select! {
            () = server.run(Arc::clone(&agent)) => {}
            _ = terminate.recv() => info!("SIGTERM: stopping; traffic goes on"),
            _ = interrupt.recv() => info!("SIGINT: stopping; traffic goes on"),
        }
        anyhow::Ok(())
    })?;
    // Ends the tasks of open connections, which share the agent.
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    drop(agent);
    if purge {
        agent::purge(config).context("cannot remove everything from the host")?;
        info!("everything was removed from the host");
    }
    Ok(())
}
