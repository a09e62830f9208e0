//! The tasks of the workspace, one module each: `cargo xtask setup`, `build`, `run`, `test`, `bench`, `ci`.
//!
//! Nothing of the product is in here: the tasks call cargo and the product's own binaries.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod bench;
mod build;
mod ci;
mod output;
mod process;
mod run;
mod setup;
mod test;
mod workspace;

/// Set up, build, run, test and measure plink.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Check what is needed on this machine and install what is missing.
    Setup(setup::Options),
    /// Build the agent, the command line and the kernel program.
    Build(build::Options),
    /// Start the agent, bring up the quickstart, send requests through the endpoint, and serve until Ctrl-C.
    Run(run::Options),
    /// Run every test: format, lints, unit tests, and scenarios on real packets.
    Test(test::Options),
    /// Measure packets a second and the time of calls, against an nftables router in the same run.
    Bench(bench::Options),
    /// Run in a fresh clone of HEAD what CI runs.
    Ci(ci::Options),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().task {
        Task::Setup(options) => setup::main(&options),
        Task::Build(options) => build::main(&options),
        Task::Run(options) => run::main(&options),
        Task::Test(options) => test::main(&options),
        Task::Bench(options) => bench::main(&options),
        Task::Ci(options) => ci::main(&options),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            output::error(&error);
            // What the machine lacks is the caller's to mend (2); everything else is a failed task (1).
            ExitCode::from(if error.is::<setup::Missing>() { 2 } else { 1 })
        }
    }
}
