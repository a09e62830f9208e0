//! `plinkctl doctor`: the host, the agent, every port. Without an agent it checks what a dead one left.

mod agent;
mod host;
mod port;

use clap::Args;
use serde::Serialize;

use super::{Failure, Global, Printer};

/// Check the host, the agent and every port, and say what to do about problems.
#[derive(Debug, Args)]
pub(super) struct Doctor {}

/// What a check found.
#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Ok,
    Warn,
    Fail,
}

/// One check.
#[derive(Serialize)]
struct Check {
    what: String,
    verdict: Verdict,
    found: String,
    /// What to do, if something is to be done.
    advice: Option<String>,
}

#[derive(Serialize)]
struct Report {
    checks: Vec<Check>,
}

impl Report {
    fn add(&mut self, what: &str, good: bool, found: impl Into<String>, advice: &str) {
        self.push(what, if good { Verdict::Ok } else { Verdict::Fail }, found, advice);
    }

    fn push(&mut self, what: &str, verdict: Verdict, found: impl Into<String>, advice: &str) {
        let advice = (verdict != Verdict::Ok).then(|| advice.to_owned());
        self.checks.push(Check { what: what.to_owned(), verdict, found: found.into(), advice });
    }
}

impl Doctor {
    pub(super) fn run(self, global: &Global) -> Result<(), Failure> {
        let mut report = Report { checks: Vec::new() };
        host::check(&mut report);
        agent::check(&mut report, &global.run_dir);
        let printer = Printer::new(global.json);
        printer.document(&report, |printer| print(printer, &report));
        let failed = report.checks.iter().filter(|check| check.verdict == Verdict::Fail).count();
        if failed == 0 { Ok(()) } else { Err(Failure::Said(1)) }
    }
}

fn print(printer: &Printer, report: &Report) {
    for check in &report.checks {
        let verdict = match check.verdict {
            Verdict::Ok => "ok",
            Verdict::Warn => "warn",
            Verdict::Fail => "fail",
        };
        let pad = 6 - verdict.len();
        printer.line(&format!("{}{:pad$}{}: {}", printer.toned(verdict), "", check.what, check.found));
        if let Some(advice) = &check.advice {
            printer.line(&format!("      {advice}"));
        }
    }
}
