//! A `plink-agent` of the test's own: another name, other folders, nothing left behind.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

const ACCOUNTS: &str = r#"
[[account]]
id = "111122223333"
name = "provider"
access_key_id = "AKIAPROVIDER0000001"
secret_access_key = "secret"
[[account]]
id = "444455556666"
name = "consumer"
access_key_id = "AKIACONSUMER0000001"
secret_access_key = "secret"
"#;

/// A running agent.
pub struct Agent {
    name: String,
    folder: tempfile::TempDir,
    child: Option<Child>,
}

impl Agent {
    /// Starts one and waits until it answers.
    ///
    /// # Panics
    /// When it does not within ten seconds; its log is printed.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with_flows(1 << 16)
    }

    /// The same with a flow table of that size.
    ///
    /// # Panics
    /// As [`Agent::start`].
    #[must_use]
    pub fn start_with_flows(flows: u32) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("plink-t{}x{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let folder = tempfile::Builder::new().prefix(&name).tempdir().unwrap();
        let configuration = format!("[datapath]\nmax-flows = {flows}\nmax-frontends = 1024\n{ACCOUNTS}");
        fs::write(folder.path().join("plink.toml"), configuration).unwrap();
        let mut agent = Self { name, folder, child: None };
        agent.restart();
        agent
    }

    /// Starts the agent again, after [`Agent::kill`].
    ///
    /// # Panics
    /// When it does not answer within ten seconds.
    pub fn restart(&mut self) {
        let log = File::options().create(true).append(true).open(self.folder.path().join("agent.log")).unwrap();
        let child = self.agent_command().stdout(log.try_clone().unwrap()).stderr(log).stdin(Stdio::null()).spawn();
        self.child = Some(child.unwrap());
        let patience = Instant::now() + Duration::from_secs(10);
        while self.try_ctl(&["status"]).is_err() {
            assert!(Instant::now() < patience, "the agent does not answer:\n{}", self.log());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// `plink-agent` with this agent's name and folders.
    #[must_use]
    pub fn agent_command(&self) -> Command {
        let mut command = Command::new(binary("plink-agent"));
        let path = self.folder.path();
        command.args(["--name", &self.name, "--listen", "127.0.0.1:0", "--config"]).arg(path.join("plink.toml"));
        command.arg("--state-dir").arg(path.join("state")).arg("--run-dir").arg(path.join("run"));
        command
    }

    /// The folder of its files.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its run folder, for clients of its socket.
    #[must_use]
    pub fn run_dir(&self) -> PathBuf {
        self.folder.path().join("run")
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it has logged.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("agent.log")).unwrap_or_default()
    }

    /// `kill -9`.
    ///
    /// # Panics
    /// When it was not running any more.
    pub fn kill(&mut self) {
        let mut child = self.child.take().expect("a running agent");
        let ended = child.try_wait().unwrap();
        assert!(ended.is_none(), "the agent ended by itself ({ended:?}):\n{}", self.log());
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Runs `plinkctl --json` and returns its document.
    ///
    /// # Panics
    /// When it fails.
    pub fn ctl(&self, arguments: &[&str]) -> Value {
        self.try_ctl(arguments).unwrap_or_else(|error| panic!("plinkctl {arguments:?}: {error}\n{}", self.log()))
    }

    /// The same for what may fail.
    ///
    /// # Errors
    /// What it said on stderr.
    pub fn try_ctl(&self, arguments: &[&str]) -> Result<Value, String> {
        let output = self.ctl_command().arg("--json").args(arguments).output().unwrap();
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        let text = String::from_utf8_lossy(&output.stdout);
        if text.trim().is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&text).map_err(|error| format!("no JSON document ({error}): {text}"))
    }

    /// `plinkctl` for this agent.
    #[must_use]
    pub fn ctl_command(&self) -> Command {
        let mut command = Command::new(binary("plinkctl"));
        command.arg("--run-dir").arg(self.run_dir());
        command
    }

    /// Brings a lab up.
    ///
    /// # Panics
    /// When it cannot be.
    pub fn lab(&self, text: &str) {
        let path = self.folder.path().join("lab.toml");
        fs::write(&path, text).unwrap();
        self.ctl(&["lab", "up", &path.to_string_lossy()]);
    }

    /// The namespace of the instance of that name.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn namespace(&self, instance: &str) -> String {
        let shown = self.ctl(&["instance", "show", instance]);
        let id = find_string(&shown, "id").unwrap_or_else(|| panic!("no id in {shown}"));
        format!("{}-{id}", self.name)
    }
}

/// The first text under that key, at any depth of a document.
#[must_use]
pub fn find_string(value: &Value, key: &str) -> Option<String> {
    match value {
        Value::Object(members) => match members.get(key).and_then(Value::as_str) {
            Some(text) => Some(text.to_owned()),
            None => members.values().find_map(|member| find_string(member, key)),
        },
        Value::Array(items) => items.iter().find_map(|item| find_string(item, key)),
        _ => None,
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        let purge = self.agent_command().arg("purge").output();
        if thread::panicking() {
            eprintln!("the agent's log:\n{}", self.log());
            return;
        }
        let purge = purge.expect("plink-agent purge starts");
        assert!(purge.status.success(), "purge: {}", String::from_utf8_lossy(&purge.stderr));
        assert_eq!(leftovers(&self.name), Vec::<String>::new(), "after purge");
    }
}

/// Namespaces and pins that carry a name.
#[must_use]
pub fn leftovers(name: &str) -> Vec<String> {
    ["/run/netns", "/sys/fs/bpf"]
        .iter()
        .filter_map(|folder| fs::read_dir(folder).ok())
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path().to_string_lossy().into_owned()))
        .filter(|path| {
            path.rsplit('/').next().is_some_and(|file| file == name || file.starts_with(&format!("{name}-")))
        })
        .collect()
}

/// A binary of the workspace, built by `cargo xtask test` before the tests run.
///
/// # Panics
/// When it was not built.
#[must_use]
pub fn binary(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let folder = test.ancestors().find(|folder| folder.join(name).is_file());
    folder.unwrap_or_else(|| panic!("{name} is not built: run the tests with `cargo xtask test`")).join(name)
}
