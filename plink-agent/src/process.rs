//! The commands of instances: started in their namespaces, restarted when they end, adopted after a restart of the
//! agent.
//!
//! A command outlives the agent, as traffic does. What is known of it lies in the run directory, `instances/<id>.json`:
//! its pid and its start time, which together name a process for as long as the host runs.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs::{self, File},
    os::{
        fd::AsFd as _,
        unix::{fs::MetadataExt as _, process::CommandExt as _},
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use nix::{
    sched::{CloneFlags, setns},
    sys::{
        signal::{Signal, killpg},
        wait::waitpid,
    },
    unistd::{Pid, setsid},
};
use serde::{Deserialize, Serialize};
use tracing::{info, warn};

use crate::{model::InstanceId, net::open_namespace};

/// A command that ended is started again after this time, at the earliest.
const BACKOFF: Duration = Duration::from_secs(1);
/// Between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_millis(500);

/// What an instance runs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Job {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// The namespace that it runs in.
    pub namespace: PathBuf,
    /// What its environment has beside the agent's own.
    pub environment: Vec<(String, String)>,
}

/// Keeps the commands of instances running.
pub struct Supervisor {
    folder: PathBuf,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    wanted: BTreeMap<InstanceId, Job>,
    /// Children of this process, which have to be waited for.
    children: HashMap<InstanceId, Child>,
    started: HashMap<InstanceId, Instant>,
}

/// What names a process.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    pid: i32,
    /// Clock ticks since the host's boot (`/proc/<pid>/stat`, field 22).
    start: u64,
}

impl Supervisor {
    /// With its records in a folder of the run directory.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn new(run_dir: &Path) -> Result<Self> {
        let folder = run_dir.join("instances");
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(Self { folder, inner: Mutex::default() })
    }

    /// Makes `wanted` run and ends what no instance of `keep` owns. What failed, by instance.
    pub fn apply(&self, wanted: BTreeMap<InstanceId, Job>, keep: &BTreeSet<InstanceId>) -> Vec<(InstanceId, String)> {
        let mut inner = self.lock();
        for id in self.recorded() {
            if !keep.contains(&id) {
                self.end(&mut inner, id);
            }
        }
        inner.wanted = wanted;
        self.start_missing(&mut inner)
    }

    /// Starts again what has ended. What failed, by instance.
    pub fn tick(&self) -> Vec<(InstanceId, String)> {
        self.start_missing(&mut self.lock())
    }

    fn start_missing(&self, inner: &mut Inner) -> Vec<(InstanceId, String)> {
        let mut failures = Vec::new();
        for (id, job) in inner.wanted.clone() {
            if let Some(child) = inner.children.get_mut(&id)
                && let Ok(Some(status)) = child.try_wait()
            {
                warn!(instance = %id, %status, "the instance's command ended");
                inner.children.remove(&id);
            }
            let runs = self.record(id).is_some_and(is_running);
            let too_early = inner.started.get(&id).is_some_and(|started| started.elapsed() < BACKOFF);
            if runs || too_early {
                continue;
            }
            inner.started.insert(id, Instant::now());
            match self.start(id, &job) {
                Ok(child) => drop(inner.children.insert(id, child)),
                Err(error) => failures.push((id, format!("{error:#}"))),
            }
        }
        failures
    }

    fn start(&self, id: InstanceId, job: &Job) -> Result<Child> {
        let [program, arguments @ ..] = job.command.as_slice() else { anyhow::bail!("the command is empty") };
        let namespace = open_namespace(&job.namespace)?;
        let path = self.folder.join(format!("{id}.log"));
        let log = File::options().create(true).append(true).open(&path);
        let log = log.with_context(|| format!("cannot open {}", path.display()))?;
        let mut command = Command::new(program);
        command.args(arguments).envs(job.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        // SAFETY: between fork and exec only system calls on a descriptor that stays open until `spawn` returns.
        unsafe {
            command.pre_exec(move || {
                setns(namespace.as_fd(), CloneFlags::CLONE_NEWNET)?;
                setsid()?;
                Ok(())
            });
        }
        let child = command.spawn().with_context(|| format!("cannot start {program:?}"))?;
        let pid = child.id().cast_signed();
        let start = start_time(pid).unwrap_or_default();
        fs::write(self.path(id), serde_json::to_vec(&Record { pid, start })?).context("cannot record the process")?;
        info!(instance = %id, pid, program, "command started");
        Ok(child)
    }

    /// Ends an instance's command with all of its process group.
    fn end(&self, inner: &mut Inner, id: InstanceId) {
        if let Some(record) = self.record(id)
            && is_running(record)
        {
            end_group(record);
        }
        inner.children.remove(&id);
        inner.started.remove(&id);
        let _ = fs::remove_file(self.path(id));
        let _ = fs::remove_file(self.folder.join(format!("{id}.log")));
    }

    /// The instances that a record exists for.
    fn recorded(&self) -> Vec<InstanceId> {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        names.filter_map(|name| name.strip_suffix(".json")?.parse().ok()).collect()
    }

    fn record(&self, id: InstanceId) -> Option<Record> {
        serde_json::from_slice(&fs::read(self.path(id)).ok()?).ok()
    }

    fn path(&self, id: InstanceId) -> PathBuf {
        self.folder.join(format!("{id}.json"))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Kills whatever runs in a network namespace, given by the inode number of its file.
pub(crate) fn kill_in_namespace(inode: u64) {
    let own = std::process::id().cast_signed();
    for pid in processes().filter(|pid| *pid != own) {
        if fs::metadata(format!("/proc/{pid}/ns/net")).is_ok_and(|metadata| metadata.ino() == inode) {
            let _ = nix::sys::signal::kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

fn processes() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn end_group(record: Record) {
    let group = Pid::from_raw(record.pid);
    let _ = killpg(group, Signal::SIGTERM);
    let patience = Instant::now() + GRACE;
    while is_running(record) && Instant::now() < patience {
        thread::sleep(Duration::from_millis(5));
    }
    // Whatever of the group is left; nobody, most likely.
    let _ = killpg(group, Signal::SIGKILL);
    // Of a child of this process nothing stays; another's is its parent's to wait for (ECHILD).
    let _ = waitpid(group, None);
}

fn is_running(record: Record) -> bool {
    start_time(record.pid).is_some_and(|start| start == record.start)
}

/// When a process started; `None` when there is none, or only its remains.
fn start_time(pid: i32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything.
    let mut fields = text.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    if state == "Z" || state == "X" {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that panics has failed")]
mod tests {
    use super::*;

    fn id() -> InstanceId {
        "i-0123456789abcdef0".parse().unwrap()
    }

    fn job(script: &str) -> Job {
        Job {
            command: ["sh", "-c", script].map(str::to_owned).to_vec(),
            namespace: "/proc/self/ns/net".into(),
            environment: vec![("PLINK_TEST".to_owned(), "yes".to_owned())],
        }
    }

    #[test]
    fn a_command_runs_is_adopted_by_another_supervisor_and_ends_with_its_group() {
        let folder = tempfile::tempdir().unwrap();
        let first = Supervisor::new(folder.path()).unwrap();
        let keep = BTreeSet::from([id()]);
        let wanted = BTreeMap::from([(id(), job("echo $PLINK_TEST; sleep 60 & wait"))]);
        assert_eq!(first.apply(wanted.clone(), &keep), vec![]);
        let record = first.record(id()).unwrap();
        assert!(is_running(record));

        let second = Supervisor::new(folder.path()).unwrap();
        assert_eq!(second.apply(wanted, &keep), vec![]);
        assert!(second.record(id()) == Some(record), "not started twice");
        second.apply(BTreeMap::new(), &BTreeSet::new());
        assert!(!is_running(record));
        let group_lives = processes().any(|pid| {
            nix::unistd::getpgid(Some(Pid::from_raw(pid))) == Ok(Pid::from_raw(record.pid)) && start_time(pid).is_some()
        });
        assert!(!group_lives, "its child has ended too");
    }

    #[test]
    fn a_command_that_ends_is_started_again() {
        let folder = tempfile::tempdir().unwrap();
        let supervisor = Supervisor::new(folder.path()).unwrap();
        let keep = BTreeSet::from([id()]);
        supervisor.apply(BTreeMap::from([(id(), job("exit 3"))]), &keep);
        let first = supervisor.record(id()).unwrap();
        let patience = Instant::now() + Duration::from_secs(10);
        while supervisor.record(id()).unwrap() == first {
            assert!(Instant::now() < patience, "it was not started again");
            supervisor.tick();
            thread::sleep(Duration::from_millis(20));
        }
        supervisor.apply(BTreeMap::new(), &BTreeSet::new());
    }

    #[test]
    fn a_program_that_does_not_exist_is_a_problem_of_its_instance() {
        let folder = tempfile::tempdir().unwrap();
        let supervisor = Supervisor::new(folder.path()).unwrap();
        let job = Job { command: vec!["/does/not/exist".to_owned()], ..job("") };
        let failures = supervisor.apply(BTreeMap::from([(id(), job)]), &BTreeSet::from([id()]));
        assert!(failures[0].1.contains("cannot start \"/does/not/exist\""), "{failures:?}");
    }
}
