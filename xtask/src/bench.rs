//! `cargo xtask bench`: what a packet and a call cost, measured against a Linux router in the same run.

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::{process, setup, workspace};

/// How long to measure.
#[derive(Args)]
pub(crate) struct Options {
    /// Shorter and fewer runs: half a minute, for a first look.
    #[arg(long)]
    quick: bool,
    /// Interleaved rounds; the median of their ratios counts.
    #[arg(long, value_name = "N")]
    rounds: Option<u32>,
    /// One JSON document with the machine, the kernel and every sample.
    #[arg(long)]
    json: bool,
}

pub(crate) fn main(options: &Options) -> Result<ExitCode> {
    setup::ensure()?;
    // The measured code is in the kernel, which has the optimised programs in every profile.
    let status =
        process::cargo().args(["build", "--workspace", "--bins"]).status().context("cargo cannot be started")?;
    if !status.success() {
        bail!("the build failed: the compiler's messages are above");
    }
    let program = workspace::target().join("debug/plink-bench");
    let mut bench = process::command(&program.to_string_lossy());
    bench.args(options.quick.then_some("--quick")).args(options.json.then_some("--json"));
    bench.args(options.rounds.map(|rounds| format!("--rounds={rounds}")));
    let status = bench.status().with_context(|| format!("{} cannot be started", program.display()))?;
    Ok(ExitCode::from(u8::from(!status.success())))
}
