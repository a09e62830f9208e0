//! The telling of a demonstration: what is tried, what was seen, and whether that is as it should be.

use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result};

use super::{plinkctl::Plinkctl, signals};
use crate::output::{self, Colour};

/// curl's exit codes that say "nobody took this connection": refused, and no answer in time.
const REFUSED: i32 = 7;
const NO_ANSWER: i32 = 28;
/// curl's exit code for a connection that was reset under it.
pub(super) const RESET: i32 = 56;

/// Tells and keeps count.
pub(super) struct Script<'a> {
    pub(super) plinkctl: &'a Plinkctl<'a>,
    number: usize,
    failed: usize,
}

/// What curl came back with.
pub(super) struct Curl {
    pub(super) code: i32,
    pub(super) body: String,
    complaint: String,
}

impl<'a> Script<'a> {
    pub(super) fn new(plinkctl: &'a Plinkctl<'a>) -> Script<'a> {
        Script { plinkctl, number: 0, failed: 0 }
    }

    /// The next chapter.
    pub(super) fn chapter(&mut self, text: &str) -> Result<()> {
        signals::check()?;
        self.number += 1;
        output::heading(&format!("{}. {text}", self.number));
        Ok(())
    }

    /// The command that a person would type for what follows.
    pub(super) fn tried(&self, command: &str) {
        output::line(&output::paint(Colour::Dim, &format!("   $ {command}")));
    }

    /// What was seen, and whether that is right.
    pub(super) fn seen(&mut self, good: bool, text: &str) {
        self.failed += usize::from(!good);
        output::line(&format!("   {} {text}", output::mark(good)));
    }

    /// Whether everything was right.
    pub(super) fn all_good(&self) -> bool {
        self.failed == 0
    }

    /// How often something was wrong.
    pub(super) fn failures(&self) -> usize {
        self.failed
    }

    /// A call of plinkctl that changes something, told with the time it took.
    pub(super) fn change(&mut self, arguments: &[&str]) -> Result<Instant> {
        self.tried(&format!("plinkctl {}", arguments.join(" ")));
        let started = Instant::now();
        self.plinkctl.call(arguments)?;
        let done = Instant::now();
        self.seen(true, &format!("done in {:.1} ms", (done - started).as_secs_f64() * 1e3));
        Ok(done)
    }

    /// One request from an instance, over a connection of its own.
    pub(super) fn curl(&self, instance: &str, url: &str, limit: &str) -> Result<Curl> {
        signals::check()?;
        finish(&mut self.plinkctl.exec(instance, &["curl", "--silent", "--show-error", "--max-time", limit, url]))
    }

    /// A request that nobody must answer.
    pub(super) fn no_answer(&mut self, instance: &str, url: &str) -> Result<()> {
        self.tried(&format!("plinkctl exec {instance} -- curl --max-time 1 {url}"));
        let curl = self.curl(instance, url, "1")?;
        let good = [REFUSED, NO_ANSWER].contains(&curl.code);
        self.seen(
            good,
            &format!("{}: {}", if good { "no answer, as it should be" } else { "unexpected" }, curl.says()),
        );
        Ok(())
    }
}

impl Curl {
    /// The body, or curl's complaint.
    pub(super) fn says(&self) -> String {
        let text = if self.code == 0 { &self.body } else { &self.complaint };
        let text = text.trim();
        if self.code == 0 { text.to_owned() } else { format!("{text} [exit code {}]", self.code) }
    }
}

fn finish(command: &mut Command) -> Result<Curl> {
    let output = command.output().context("plinkctl cannot be started")?;
    Ok(Curl {
        code: output.status.code().unwrap_or(-1),
        body: String::from_utf8_lossy(&output.stdout).into_owned(),
        complaint: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}
