//! `cargo xtask build`: the agent, `plinkctl` and, by the agent's build script, the kernel program.

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::{process, setup};

/// What to build.
#[derive(Args)]
pub(crate) struct Options {
    /// With optimisations; without, the binaries are done sooner (the kernel program is always optimised).
    #[arg(long)]
    pub(crate) release: bool,
}

pub(crate) fn main(options: &Options) -> Result<ExitCode> {
    setup::ensure()?;
    binaries(options.release)?;
    Ok(ExitCode::SUCCESS)
}

/// Builds the two binaries; cargo's own progress is what the person sees.
pub(crate) fn binaries(release: bool) -> Result<()> {
    let mut cargo = process::cargo();
    cargo.args(["build", "--package", "plink-agent", "--bins"]);
    if release {
        cargo.arg("--release");
    }
    let status = cargo.status().context("cargo cannot be started")?;
    if !status.success() {
        bail!("the build failed: the compiler's messages are above");
    }
    Ok(())
}
