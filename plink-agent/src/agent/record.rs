//! What others can know of an agent, also when it is dead: its record in the run folder, and whether its name is taken.

use std::{
    fs,
    os::{linux::net::SocketAddrExt as _, unix::net},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, anyhow};
use serde::{Deserialize, Serialize};

use crate::config::Config;

/// What `<run-dir>/agent.json` says of an agent, for what acts in its place when it is dead.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AgentRecord {
    /// Its process.
    pub pid: u32,
    /// The name of its kernel objects.
    pub name: String,
    /// Its state folder.
    pub state_dir: PathBuf,
    /// Its configuration file, if it had one.
    pub config: Option<PathBuf>,
}

impl AgentRecord {
    const FILE: &str = "agent.json";

    /// What the last agent of a run folder said of itself, if there was one.
    ///
    /// # Errors
    /// When the file is there and cannot be understood.
    pub fn read(run_dir: &Path) -> Result<Option<Self>> {
        let path = run_dir.join(Self::FILE);
        match fs::read(&path) {
            Ok(text) => {
                Ok(Some(serde_json::from_slice(&text).with_context(|| format!("cannot read {}", path.display()))?))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    pub(super) fn of(config: &Config) -> Result<Self> {
        let state_dir = std::path::absolute(&config.state_dir)?;
        Ok(Self { pid: std::process::id(), name: config.name.clone(), state_dir, config: config.file.clone() })
    }

    pub(super) fn write(&self, run_dir: &Path) -> Result<()> {
        let path = run_dir.join(Self::FILE);
        // Never half of it: what acts for a dead agent depends on it.
        let new = path.with_extension("new");
        let written = fs::write(&new, serde_json::to_vec(self)?).and_then(|()| fs::rename(&new, &path));
        written.with_context(|| format!("cannot write {}", path.display()))
    }

    /// Whether an agent of that name runs, whatever its process.
    #[must_use]
    pub fn is_running(&self) -> bool {
        NameLock::take(&self.name).is_err()
    }

    /// The configuration of an agent that acts in place of this one.
    ///
    /// # Errors
    /// When its configuration file cannot be read any more.
    pub fn to_config(&self, run_dir: &Path) -> Result<Config> {
        let config = self.config.as_deref().map_or_else(|| Ok(Config::default()), Config::load);
        let config = config.with_context(|| {
            format!(
                "the agent {:?} had a configuration; put it back, or remove everything with `plink-agent purge`",
                self.name
            )
        })?;
        let run_dir = run_dir.to_owned();
        Ok(Config { name: self.name.clone(), state_dir: self.state_dir.clone(), run_dir, ..config })
    }
}

/// One agent a name and host: two would take each other's kernel objects for leftovers. An abstract socket goes with
/// its process, however that ends.
pub(super) struct NameLock {
    _socket: net::UnixListener,
}

impl NameLock {
    pub(super) fn take(name: &str) -> Result<Self> {
        let address = net::SocketAddr::from_abstract_name(format!("plink-agent-{name}"))?;
        let socket = net::UnixListener::bind_addr(&address).map_err(|error| {
            if error.kind() == std::io::ErrorKind::AddrInUse {
                anyhow!("an agent with the name {name:?} is running already: stop it, or give this one another --name")
            } else {
                anyhow!(error).context("cannot take the agent's name")
            }
        })?;
        Ok(Self { _socket: socket })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that panics has failed")]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_written_and_acts_with_the_same_configuration() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(AgentRecord::read(folder.path()).unwrap(), None);
        let file = folder.path().join("plink.toml");
        fs::write(&file, "name = \"other\"\n[datapath]\nmax-flows = 4096\n").unwrap();
        let config = Config { name: "plink-test-record".to_owned(), ..Config::load(&file).unwrap() };
        let record = AgentRecord::of(&config).unwrap();
        record.write(folder.path()).unwrap();
        assert_eq!(AgentRecord::read(folder.path()).unwrap().as_ref(), Some(&record));
        let again = record.to_config(folder.path()).unwrap();
        assert_eq!((again.name.as_str(), again.datapath.max_flows), ("plink-test-record", 4096));
        assert_eq!(again.run_dir, folder.path());

        fs::remove_file(&file).unwrap();
        let error = format!("{:#}", record.to_config(folder.path()).unwrap_err());
        assert!(error.contains("`plink-agent purge`") && error.contains("plink.toml"), "{error}");
        fs::write(folder.path().join(AgentRecord::FILE), "{").unwrap();
        assert!(AgentRecord::read(folder.path()).unwrap_err().to_string().contains("agent.json"));
    }

    #[test]
    fn a_name_is_taken_for_as_long_as_its_lock_is_held() {
        let name = format!("plink-test-{}", std::process::id());
        let record = AgentRecord { pid: 1, name: name.clone(), state_dir: "/".into(), config: None };
        assert!(!record.is_running());
        let lock = NameLock::take(&name).unwrap();
        assert!(record.is_running());
        drop(lock);
        assert!(!record.is_running());
    }
}
