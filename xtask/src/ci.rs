//! `cargo xtask ci`: what CI does, here: a fresh clone of HEAD, and `.ci/run` in it.

use std::fs;
use std::process::{ExitCode, Stdio};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::{output, process, workspace};

/// Where to look afterwards.
#[derive(Args)]
pub(crate) struct Options {
    /// Leave the clone in `target/ci` when done.
    #[arg(long)]
    keep: bool,
}

pub(crate) fn main(options: &Options) -> Result<ExitCode> {
    let clone = workspace::target().join("ci");
    remove(&clone)?;
    output::heading("A fresh clone of HEAD: what is not committed is not in it");
    let cloned = process::command("git").args(["clone", "--quiet", "--no-hardlinks", "."]).arg(&clone).status();
    if !cloned.context("git cannot be started")?.success() {
        bail!("git could not clone the workspace");
    }
    // None of what cargo told this process: the clone's own cargo starts from nothing.
    let mut script = process::command("bash");
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CARGO") && name != "CARGO_HOME" {
            script.env_remove(name);
        }
    }
    let status = script.arg(".ci/run").current_dir(&clone).env("CI", "true").stdin(Stdio::null()).status();
    let status = status.context("bash cannot be started")?;
    if !options.keep {
        remove(&clone)?;
    }
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn remove(clone: &std::path::Path) -> Result<()> {
    match fs::remove_dir_all(clone) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("{} cannot be removed", clone.display()))
        }
        _ => Ok(()),
    }
}
