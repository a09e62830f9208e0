//! `cargo xtask setup`: a machine that can build and run everything.
//!
//! Each step finds or makes one thing, says so, and says how long it took. A step that cannot be helped is one sentence
//! ([`Missing`]) that names what is missing and how to get it. When all is there, the whole takes a fraction of a second,
//! so that `build`, `run` and `test` call it every time.

use std::fmt;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use crate::output;

mod machine;
mod packages;
mod toolchain;

/// What `setup` may change.
#[derive(Args)]
pub(crate) struct Options {
    /// Only report what is there and what is missing; exit code 2 if something is.
    #[arg(long)]
    check: bool,
}

/// Something that the machine lacks: one sentence, exit code 2.
#[derive(Debug)]
pub(crate) struct Missing(pub(crate) String);

impl fmt::Display for Missing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for Missing {}

/// An error with that sentence.
pub(crate) fn missing<T>(sentence: impl Into<String>) -> Result<T> {
    Err(Missing(sentence.into()).into())
}

pub(crate) fn main(options: &Options) -> Result<ExitCode> {
    if !options.check {
        ensure()?;
        output::line("Everything is there. Next: cargo xtask run");
        return Ok(ExitCode::SUCCESS);
    }
    let steps: Vec<Check> = machine::CHECKS.iter().chain(packages::CHECKS).chain(toolchain::CHECKS).copied().collect();
    let mut lacking = 0;
    for check in steps {
        let step = output::Step::start();
        match check() {
            Ok(Found::There(text)) => step.ok(&text),
            Ok(Found::Lacking(text)) => {
                step.missing(&text);
                lacking += 1;
            }
            Err(error) => {
                step.failed(&format!("{error:#}"));
                lacking += 1;
            }
        }
    }
    if lacking == 0 {
        output::line("Everything is there.");
        return Ok(ExitCode::SUCCESS);
    }
    missing(format!("{lacking} of these are missing; 'cargo xtask setup' as root installs what can be installed"))
}

/// Sees to it that everything is there, and reports it.
pub(crate) fn ensure() -> Result<()> {
    output::heading("Setup");
    machine::ensure()?;
    packages::ensure(packages::PROGRAMS)?;
    toolchain::ensure()
}

/// What a check found.
enum Found {
    /// It is there: which one.
    There(String),
    /// It is not, and `setup` can install it: what it would do.
    Lacking(String),
}

/// A look at one thing. The error is for what `setup` cannot install.
type Check = fn() -> Result<Found>;

/// Runs the checks that cannot be helped by installing something.
fn require(checks: &[Check]) -> Result<()> {
    for check in checks {
        let step = output::Step::start();
        match check() {
            Ok(Found::There(text) | Found::Lacking(text)) => step.ok(&text),
            Err(error) => {
                step.failed("see below");
                return Err(error);
            }
        }
    }
    Ok(())
}
