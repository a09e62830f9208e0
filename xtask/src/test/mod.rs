//! `cargo xtask test`: format, lints and every test, real packets included.
//!
//! All steps run, whatever fails; the exit code is the first failure's. The last line of the output is
//! `N passed, N failed`, the sum over all test binaries.

use std::io::{BufRead, BufReader, Write, stdout};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result};
use clap::Args;

use crate::{output, process, setup};

mod leftovers;

/// Which tests.
#[derive(Args)]
pub(crate) struct Options {
    /// Only the tests of the libraries: no root, no packets, under a minute.
    #[arg(long)]
    quick: bool,
    /// Only the tests whose name contains this; format and lints are left out then.
    filter: Option<String>,
}

/// The libraries whose tests need nothing but the host.
const QUICK: &[&str] = &["--package", "plink-common", "--package", "plink-agent", "--lib"];

pub(crate) fn main(options: &Options) -> Result<ExitCode> {
    setup::ensure()?;
    leftovers::remove();
    let mut steps: Vec<(&str, Command)> = Vec::new();
    if options.filter.is_none() {
        steps.push(("Format", cargo(&["fmt", "--all", "--check"])));
        let mut clippy = cargo(&["clippy", "--workspace", "--all-targets"]);
        clippy.args(["--", "--deny", "warnings"]);
        steps.push(("Lints", clippy));
    }
    let filter = || options.filter.iter();
    if options.quick {
        let mut libraries = cargo(&["test", "--no-fail-fast"]);
        libraries.args(QUICK).args(filter());
        steps.push(("Tests of the libraries", libraries));
        let mut tasks = cargo(&["test", "--no-fail-fast", "--package", "xtask"]);
        steps.push(("Tests of the tasks", {
            tasks.args(filter());
            tasks
        }));
    } else {
        // The scenarios start the binaries, and `cargo test` alone builds them only for their own package.
        steps.push(("Build", cargo(&["build", "--workspace", "--bins"])));
        let mut all = cargo(&["test", "--workspace", "--no-fail-fast"]);
        all.args(filter());
        steps.push(("Tests", all));
    }
    let mut total = Total::default();
    let mut first_failure = None;
    let mut times = Vec::new();
    for (name, command) in steps {
        output::heading(name);
        let step = output::Step::start();
        let (code, elapsed) = (run(command, &mut total)?, step.elapsed());
        times.push((name, code == 0, elapsed));
        if code != 0 {
            first_failure.get_or_insert(code);
        }
    }
    leftovers::remove();
    Ok(report(&times, total, first_failure))
}

fn cargo(arguments: &[&str]) -> Command {
    let mut cargo = process::cargo();
    cargo.args(arguments);
    cargo
}

/// Says what ran and how it went. The counts are the last line, in a form that CI reads.
fn report(times: &[(&str, bool, std::time::Duration)], total: Total, first_failure: Option<u8>) -> ExitCode {
    output::heading("Summary");
    for (name, good, time) in times {
        output::line(&format!("{} {name:<24} {}", output::mark(*good), output::seconds(*time)));
    }
    let code = match first_failure {
        Some(code) => code,
        None if total.passed == 0 => {
            output::line("No test ran: is the filter right?");
            1
        }
        None => 0,
    };
    output::line(&format!("{} passed, {} failed", total.passed, total.failed));
    ExitCode::from(code)
}

/// Runs one step with its output passed through line by line, and adds up the results that it prints.
fn run(mut command: Command, total: &mut Total) -> Result<u8> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("cargo cannot be started")?;
    let mut reader = BufReader::new(child.stdout.take().context("the child's output is not piped")?);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 0 {
        let mut out = stdout().lock();
        out.write_all(&line)?;
        out.flush()?;
        total.add(&String::from_utf8_lossy(&line));
        line.clear();
    }
    let status = child.wait()?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}

/// The tests of all binaries.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
struct Total {
    passed: u64,
    failed: u64,
}

impl Total {
    /// Takes in `test result: ok. 12 passed; 0 failed; 1 ignored; …`; other lines count nothing.
    fn add(&mut self, line: &str) {
        let Some((_, counts)) = line.split_once("test result: ") else { return };
        let count = |word: &str| {
            let before = counts.split(';').find_map(|part| part.trim().strip_suffix(word))?;
            before.rsplit(' ').next()?.parse::<u64>().ok()
        };
        self.passed += count(" passed").unwrap_or(0);
        self.failed += count(" failed").unwrap_or(0);
    }
}

#[cfg(test)]
mod tests {
    use super::Total;

    #[test]
    fn results_of_all_binaries_add_up() {
        let mut total = Total::default();
        for line in [
            "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s\n",
            "test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n",
            "test a::b ... ok\n",
            "running 3 tests\n",
        ] {
            total.add(line);
        }
        assert_eq!(total, Total { passed: 15, failed: 2 });
    }
}
