//! The agent at work: commands in, durable state, and the threads that keep the kernel in line with it.
//!
//! A command is decided, made durable and applied under one lock; a door that it opens or closes is written before the
//! answer; then the reconciler wakes. One thread reconciles, one looks after instances' commands, one removes flows
//! that are over. None of them is in the way of a packet.

use std::{
    collections::BTreeMap,
    fs,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result};
use tokio::sync::watch;
use tracing::{info, warn};

use crate::{
    api::local::Site,
    config::Config,
    control::{self, Command, Context, Reply},
    datapath::{Pins, pinned_store},
    expiry,
    model::{AccountId, ControlError, ErrorCode, InstanceState, State},
    net::Namespaces,
    process::Supervisor,
    reconcile::{Doors, Reconciler, Report, remove_host_objects},
    store::{EmbeddedStore, Store},
};

mod backend;
mod record;

pub use record::AgentRecord;
use record::NameLock;

/// Time between two passes of the reconciler when nothing changes.
const INTERVAL: Duration = Duration::from_secs(5);

/// A running agent. Dropping it stops its threads; what is in the kernel stays.
pub struct Agent {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    /// Held for as long as the agent lives.
    _name: NameLock,
}

struct Shared {
    config: Config,
    site: Site,
    account_ids: Vec<AccountId>,
    core: Mutex<Core>,
    doors: Arc<Doors>,
    supervisor: Arc<Supervisor>,
    /// Set when there is something to do before the interval is over.
    wake: (Mutex<bool>, Condvar),
    stop: AtomicBool,
    passed: watch::Sender<Passed>,
    started: Instant,
}

struct Core {
    store: EmbeddedStore,
    state: Arc<State>,
    /// Counts commits, to tell whether a pass has seen them.
    version: u64,
}

/// The reconciler's last pass.
#[derive(Clone, Debug, Default)]
struct Passed {
    version: u64,
    problems: Vec<String>,
}

impl Agent {
    /// Opens the store, takes over what is in the kernel or makes it, and starts.
    ///
    /// # Errors
    /// When the store cannot be used, when another agent of this name runs, or when the run folder cannot be written.
    pub fn start(config: Config) -> Result<Self> {
        let name = NameLock::take(&config.name)?;
        fs::create_dir_all(&config.run_dir).with_context(|| format!("cannot make {}", config.run_dir.display()))?;
        let store = EmbeddedStore::open(&config.state_dir)?;
        let state = Arc::new(store.load()?);
        clear_foreign(&config, store.id())?;
        AgentRecord::of(&config)?.write(&config.run_dir)?;

        let doors = Arc::new(Doors::default());
        let supervisor = Arc::new(Supervisor::new(&config.run_dir)?);
        let reconciler = Reconciler::new(config.clone(), store.id(), Arc::clone(&doors), Arc::clone(&supervisor))?;
        let site = Site { name: config.name.clone(), accounts: config.accounts.clone(), zones: config.zones.clone() };
        let shared = Arc::new(Shared {
            account_ids: config.account_ids(),
            site,
            core: Mutex::new(Core { store, state, version: 1 }),
            doors,
            supervisor,
            wake: (Mutex::new(true), Condvar::new()),
            stop: AtomicBool::new(false),
            passed: watch::Sender::new(Passed::default()),
            started: Instant::now(),
            config,
        });
        let threads = vec![
            spawn("reconcile", &shared, move |shared| shared.reconcile_until_stopped(&reconciler))?,
            spawn("supervise", &shared, Shared::supervise_until_stopped)?,
            spawn("expiry", &shared, Shared::expire_until_stopped)?,
        ];
        info!(name = shared.config.name, "agent started");
        Ok(Self { shared, threads, _name: name })
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.shared.config
    }

    /// The objects.
    #[must_use]
    pub fn state(&self) -> Arc<State> {
        self.shared.state()
    }

    /// Decides a command and makes it durable. A door that it opens or closes is in the kernel when this returns.
    ///
    /// # Errors
    /// When the command is refused, and nothing has changed; or when the host failed, which the text says.
    pub async fn execute(&self, caller: AccountId, command: Command) -> Result<Reply, ControlError> {
        let shared = Arc::clone(&self.shared);
        // The commit waits for the disk.
        let done = tokio::task::spawn_blocking(move || shared.execute(caller, command)).await;
        done.unwrap_or_else(|error| Err(ControlError::new(ErrorCode::Internal, format!("the command failed: {error}"))))
    }

    /// Waits until the reconciler has finished a pass over at least the present state.
    ///
    /// # Errors
    /// The problems that remain, or that the time is over.
    pub async fn settled(&self, timeout: Duration) -> Result<(), Vec<String>> {
        let version = self.shared.core().version;
        let mut passed = self.shared.passed.subscribe();
        let pass = passed.wait_for(|passed| passed.version >= version);
        let problems = match tokio::time::timeout(timeout, pass).await {
            Ok(Ok(passed)) => passed.problems.clone(),
            Ok(Err(_)) => vec!["the agent stops".to_owned()],
            Err(_) => vec![format!("the kernel does not hold everything yet after {} s", timeout.as_secs())],
        };
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }

    /// Stops the agent's threads. What is in the kernel stays, and traffic goes on.
    pub fn stop(mut self) {
        self.end_threads();
    }

    fn end_threads(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.shared.wake();
        for thread in self.threads.drain(..) {
            // A thread that panicked has said so already.
            let _ = thread.join();
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.end_threads();
    }
}

impl Shared {
    fn state(&self) -> Arc<State> {
        Arc::clone(&self.core().state)
    }

    fn core(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn execute(&self, caller: AccountId, command: Command) -> Result<Reply, ControlError> {
        let outcome = {
            let mut core = self.core();
            let mut random = rand::random::<u64>;
            let mut context = Context {
                caller,
                now_ms: now_ms(),
                region: &self.config.region,
                zones: &self.config.zones,
                accounts: &self.account_ids,
                random: &mut random,
            };
            let outcome = control::decide(&core.state, &mut context, command)?;
            core.store.commit(&outcome.changes)?;
            if !outcome.changes.is_empty() {
                let state = Arc::make_mut(&mut core.state);
                outcome.changes.iter().cloned().for_each(|change| state.apply(change));
                core.version += 1;
            }
            outcome
        };
        // Without the core's lock: doors are written from the state of that moment, which is this one or a newer one.
        let written = self.doors.write(&outcome.doors, || self.state());
        if !outcome.changes.is_empty() {
            self.wake();
        }
        written.map_err(|error| {
            ControlError::new(
                ErrorCode::Internal,
                format!("the change is recorded, but the kernel refused it: {error:#}"),
            )
            .hint("the agent keeps trying; `plinkctl status` shows what remains")
        })?;
        Ok(outcome.reply)
    }

    fn wake(&self) {
        *self.wake.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.wake.1.notify_all();
    }

    fn reconcile_until_stopped(&self, reconciler: &Reconciler) {
        loop {
            {
                let asleep = self.wake.0.lock().unwrap_or_else(PoisonError::into_inner);
                let waited = self.wake.1.wait_timeout_while(asleep, INTERVAL, |awake| !*awake);
                *waited.unwrap_or_else(PoisonError::into_inner).0 = false;
            }
            if self.is_stopping() {
                return;
            }
            let (state, version) = {
                let core = self.core();
                (Arc::clone(&core.state), core.version)
            };
            let report = reconciler.pass(&state, &|| self.state());
            self.observe(&state, &report);
            let problems = report.problems;
            let before = self.passed.borrow().problems.clone();
            problems.iter().filter(|problem| !before.contains(problem)).for_each(|problem| warn!("{problem}"));
            self.passed.send_replace(Passed { version, problems });
        }
    }

    /// Takes what a pass saw of the instances into the state, where it differs.
    fn observe(&self, state: &State, report: &Report) {
        for (&id, problem) in &report.instances {
            let Some(instance) = state.instances.get(&id) else { continue };
            let running = problem.is_none();
            let differs = running != (instance.state == InstanceState::Running) || instance.problem != *problem;
            if differs {
                let command = Command::ObserveInstance { id, running, problem: problem.clone() };
                if let Err(error) = self.execute(instance.owner, command)
                    && error.code != ErrorCode::NotFound
                {
                    warn!(instance = %id, %error, "cannot record the instance's state");
                }
            }
        }
    }

    fn supervise_until_stopped(&self) {
        while !self.is_stopping() {
            for (instance, problem) in self.supervisor.tick() {
                warn!(%instance, "{problem}");
            }
            self.doze(Duration::from_secs(1));
        }
    }

    fn expire_until_stopped(&self) {
        while !self.is_stopping() {
            if let Some(datapath) = self.doors.datapath()
                && let Err(error) = expiry::sweep(&datapath)
            {
                warn!("cannot remove old flows: {error:#}");
            }
            self.doze(expiry::INTERVAL);
        }
    }

    fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn doze(&self, time: Duration) {
        let end = Instant::now() + time;
        while !self.is_stopping() && Instant::now() < end {
            thread::sleep(Duration::from_millis(50).min(time));
        }
    }
}

/// Removes everything of an agent's name from the host: commands of instances, links, pins, namespaces, the hub and the
/// run folder. The state folder stays, unless it lies inside the run folder. Works without a running agent.
///
/// # Errors
/// When an agent of that name runs, or when something cannot be removed.
pub fn purge(config: &Config) -> Result<()> {
    let _name = NameLock::take(&config.name)?;
    if config.run_dir.exists() {
        let supervisor = Supervisor::new(&config.run_dir)?;
        supervisor.apply(BTreeMap::new(), &std::collections::BTreeSet::new());
        remove_host_objects(config, &Namespaces::new(&config.run_dir)?)?;
        fs::remove_dir_all(&config.run_dir).with_context(|| format!("cannot remove {}", config.run_dir.display()))?;
    } else {
        Pins::new(&config.name).remove()?;
    }
    Ok(())
}

/// Removes what another store's agent of the same name left: its maps know nothing of this state.
fn clear_foreign(config: &Config, store_id: [u8; 16]) -> Result<()> {
    if pinned_store(&Pins::new(&config.name)).is_some_and(|pinned| pinned != store_id) {
        warn!(name = config.name, "what is pinned under this name belongs to another store and is removed");
        remove_host_objects(config, &Namespaces::new(&config.run_dir)?)?;
    }
    Ok(())
}

fn spawn(name: &str, shared: &Arc<Shared>, work: impl FnOnce(&Shared) + Send + 'static) -> Result<JoinHandle<()>> {
    let shared = Arc::clone(shared);
    thread::Builder::new().name(format!("plink-{name}")).spawn(move || work(&shared)).context("cannot start a thread")
}

fn now_ms() -> u64 {
    let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
