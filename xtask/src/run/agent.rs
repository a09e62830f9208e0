//! The agent as a child of this process.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::place::Place;
use super::{plinkctl::Plinkctl, signals};

const START: Duration = Duration::from_secs(15);
const STOP: Duration = Duration::from_secs(30);

/// A running agent. It takes down all that it made when it is told to end, and is told so when this process dies.
pub(super) struct Agent<'a> {
    place: &'a Place,
    child: Child,
    log: PathBuf,
    /// How long it took to answer.
    pub(super) started_in: Duration,
}

impl<'a> Agent<'a> {
    /// Starts the agent and waits until it answers.
    pub(super) fn start(place: &'a Place, plinkctl: &Plinkctl) -> Result<Agent<'a>> {
        let started = Instant::now();
        fs::create_dir_all(&place.run_dir).with_context(|| format!("{} cannot be made", place.run_dir.display()))?;
        let log = place.run_dir.join("agent.log");
        let file = File::create(&log).with_context(|| format!("{} cannot be written", log.display()))?;
        let mut command = command(place);
        command.arg("--purge-on-exit").stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        // A group of its own: Ctrl-C at the terminal is for this process, which then tells the agent.
        command.process_group(0);
        // SAFETY: prctl with these arguments touches no memory, and may be called between fork and exec.
        unsafe {
            command.pre_exec(|| nix::sys::prctl::set_pdeathsig(Signal::SIGTERM).map_err(Into::into));
        }
        let child = command.spawn().with_context(|| format!("{} cannot be started", place.agent().display()))?;
        let mut agent = Agent { place, child, log, started_in: Duration::ZERO };
        let answer = signals::wait_until(START, || {
            if let Some(status) = agent.ended()? {
                bail!("the agent ended ({status}) before it answered; it said:\n{}", agent.last_words());
            }
            Ok(plinkctl.answers().then_some(()))
        });
        match answer {
            Ok(Some(())) => {
                agent.started_in = started.elapsed();
                Ok(agent)
            }
            Ok(None) => {
                let words = agent.last_words();
                agent.stop()?;
                bail!("the agent did not answer within {} s; it said:\n{words}", START.as_secs());
            }
            Err(error) => {
                agent.stop()?;
                Err(error)
            }
        }
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How the agent ended, if it did.
    pub(super) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// The last lines of the agent's log.
    pub(super) fn last_words(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(15)..].join("\n")
    }

    /// Ends the agent, and with it all that it made.
    pub(super) fn stop(mut self) -> Result<()> {
        let pid = Pid::from_raw(i32::try_from(self.child.id())?);
        let end = Instant::now() + STOP;
        if self.child.try_wait()?.is_none() {
            kill(pid, Signal::SIGTERM).context("the agent cannot be told to end")?;
        }
        let status = loop {
            if let Some(status) = self.child.try_wait()? {
                break Some(status);
            }
            if Instant::now() >= end {
                break None;
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        let words = self.last_words();
        match status {
            Some(status) if status.success() => remove_run_dir(self.place),
            Some(status) => {
                purge(self.place)?;
                bail!("the agent ended badly ({status}); it said:\n{words}");
            }
            None => {
                self.child.kill()?;
                self.child.wait()?;
                purge(self.place)?;
                bail!("the agent did not end within {} s and was killed; it said:\n{words}", STOP.as_secs());
            }
        }
    }
}

fn command(place: &Place) -> Command {
    let mut command = Command::new(place.agent());
    command.args(["--name", &place.name]).arg("--run-dir").arg(&place.run_dir).arg("--state-dir").arg(&place.state_dir);
    if place.name != "plink" {
        // The default address is the default agent's.
        command.args(["--listen", "127.0.0.1:0"]);
    }
    command
}

/// Removes from the host whatever an agent of that name left there, its state included.
pub(super) fn purge(place: &Place) -> Result<()> {
    let output = command(place).arg("purge").stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("{} cannot be started", place.agent().display()))?;
    if !output.status.success() {
        bail!("what the former agent left could not be removed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    remove_run_dir(place)
}

fn remove_run_dir(place: &Place) -> Result<()> {
    match fs::remove_dir_all(&place.run_dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("{} cannot be removed", place.run_dir.display()))
        }
        _ => Ok(()),
    }
}
