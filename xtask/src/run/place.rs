//! Where a run's agent keeps its things, and which agent is there already.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use serde::Deserialize;

use super::super::workspace;

/// The folders, names and binaries of one run.
pub(super) struct Place {
    /// The agent's name: of its hub, its pins and its namespaces.
    pub(super) name: String,
    /// The agent's run folder.
    pub(super) run_dir: PathBuf,
    /// The agent's state, inside the run folder so that it goes with it.
    pub(super) state_dir: PathBuf,
    agent: PathBuf,
    plinkctl: PathBuf,
}

/// What an agent says of itself in `<run-dir>/agent.json`.
#[derive(Deserialize)]
struct Record {
    pid: i32,
    state_dir: PathBuf,
}

/// Who was here before.
pub(super) enum Former {
    /// Nobody.
    None,
    /// An agent of such a run that ended without cleaning up.
    Dead,
}

impl Place {
    pub(super) fn new(name: &str) -> Place {
        let run_dir = Path::new("/run").join(name);
        let state_dir = run_dir.join("state");
        let binary = |name| workspace::target().join("debug").join(name);
        Place { name: name.to_owned(), run_dir, state_dir, agent: binary("plink-agent"), plinkctl: binary("plinkctl") }
    }

    pub(super) fn agent(&self) -> &Path {
        &self.agent
    }

    pub(super) fn plinkctl(&self) -> &Path {
        &self.plinkctl
    }

    /// `plinkctl` as a person types it in the workspace's root.
    pub(super) fn plinkctl_to_type(&self) -> String {
        let path = self.plinkctl.strip_prefix(workspace::root()).unwrap_or(&self.plinkctl).display().to_string();
        if self.name == "plink" { path } else { format!("{path} --run-dir {}", self.run_dir.display()) }
    }

    /// Whose the place is. An error if its owner lives, or has state that is not a run's and must not be lost.
    pub(super) fn former(&self) -> Result<Former> {
        let record = self.run_dir.join("agent.json");
        let Ok(text) = fs::read_to_string(&record) else {
            return Ok(if self.run_dir.join("state").exists() { Former::Dead } else { Former::None });
        };
        let Ok(Record { pid, state_dir }) = serde_json::from_str(&text) else {
            bail!("{} is there and says nothing of an agent: look at it, and remove it", record.display());
        };
        if is_agent(pid) {
            bail!(
                "an agent (pid {pid}) already runs with {}: stop it first, or take another name: cargo xtask run --name plink2",
                self.run_dir.display()
            );
        }
        if state_dir != self.state_dir {
            bail!(
                "an agent with its state in {} is not running at the moment, and its networks are still up: start it again \
                 or take down what it made, or take another name: cargo xtask run --name plink2",
                state_dir.display()
            );
        }
        Ok(Former::Dead)
    }
}

/// Whether the process lives and is an agent: pids come again, and a dead process keeps its name until it is waited for.
fn is_agent(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // `pid (name) state …`
    stat.split_once('(')
        .and_then(|(_, rest)| rest.rsplit_once(") "))
        .is_some_and(|(name, rest)| name == "plink-agent" && !rest.starts_with(['Z', 'X']))
}
