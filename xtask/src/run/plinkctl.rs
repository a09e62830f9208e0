//! `plinkctl`, called as a person would call it.

use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, bail};
use serde::de::DeserializeOwned;

use super::place::Place;

/// The command line of one agent.
pub(super) struct Plinkctl<'a> {
    place: &'a Place,
}

impl<'a> Plinkctl<'a> {
    pub(super) fn new(place: &'a Place) -> Plinkctl<'a> {
        Plinkctl { place }
    }

    /// A call, not yet made.
    pub(super) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.place.plinkctl());
        command.current_dir(crate::workspace::root());
        command.env("PLINK_RUN_DIR", &self.place.run_dir).args(arguments).stdin(Stdio::null());
        command
    }

    fn output(&self, arguments: &[&str]) -> Result<Output> {
        self.command(arguments)
            .output()
            .with_context(|| format!("{} cannot be started", self.place.plinkctl().display()))
    }

    /// Whether an agent answers.
    pub(super) fn answers(&self) -> bool {
        self.place.run_dir.join("plink.sock").exists()
            && self.output(&["status"]).is_ok_and(|output| output.status.success())
    }

    /// What the call prints. An error with its own words if it is refused.
    pub(super) fn call(&self, arguments: &[&str]) -> Result<String> {
        let output = self.output(arguments)?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("plinkctl {}: {}", arguments.join(" "), said.trim().trim_start_matches("error: "));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// What the call answers to scripts.
    pub(super) fn json<T: DeserializeOwned>(&self, arguments: &[&str]) -> Result<T> {
        let text = self.call(&[arguments, &["--json"]].concat())?;
        serde_json::from_str(&text).with_context(|| format!("plinkctl {} --json: {text}", arguments.join(" ")))
    }

    /// A program with its arguments inside an instance's namespace, not yet started.
    pub(super) fn exec(&self, instance: &str, program: &[&str]) -> Command {
        self.command(&[&["exec", instance, "--"], program].concat())
    }
}
