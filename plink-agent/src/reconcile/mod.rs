//! Brings the kernel in line with the state: compare, create bottom up, delete top down.
//!
//! A pass is idempotent and repairs whatever it finds missing or changed. One object that fails does not stop the
//! others; what failed is reported, and tried again on the next pass.

mod doors;
mod interfaces;
mod rows;

use std::{collections::BTreeMap, path::Path, sync::Arc};

use anyhow::{Context as _, Result};
use tracing::info;

pub use self::doors::Doors;
use self::doors::Which;
use crate::{
    config::Config,
    datapath::{Datapath, Pins},
    model::{InstanceId, State},
    net::{Namespaces, inside, namespace_path, open_namespace},
    plan::{self, Plan},
    process::Supervisor,
};

/// Brings the kernel in line with the state.
pub struct Reconciler {
    config: Config,
    store_id: [u8; 16],
    namespaces: Namespaces,
    doors: Arc<Doors>,
    supervisor: Arc<Supervisor>,
}

/// What a pass saw.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Report {
    /// What remains wrong, as sentences.
    pub problems: Vec<String>,
    /// The instances: nothing if it runs, or why it does not.
    pub instances: BTreeMap<InstanceId, Option<String>>,
}

impl Report {
    fn note(&mut self, result: Result<()>) {
        if let Err(error) = result {
            self.problems.push(format!("{error:#}"));
        }
    }
}

impl Reconciler {
    /// For one agent.
    pub fn new(config: Config, store_id: [u8; 16], doors: Arc<Doors>, supervisor: Arc<Supervisor>) -> Result<Self> {
        let namespaces = Namespaces::new(&config.run_dir)?;
        Ok(Self { config, store_id, namespaces, doors, supervisor })
    }

    /// One pass. `current` gives the state of the moment, which may be newer than `state`: doors are written from it.
    pub fn pass(&self, state: &State, current: &dyn Fn() -> Arc<State>) -> Report {
        let mut report = Report::default();
        let plan = plan::plan(state, &self.config);
        report.problems.extend(plan.problems.iter().cloned());
        let result = if plan.interfaces.is_empty() {
            self.remove_all(&mut report)
        } else {
            self.apply(&plan, current, &mut report)
        };
        report.note(result);
        report
    }

    fn apply(&self, plan: &Plan, current: &dyn Fn() -> Arc<State>, report: &mut Report) -> Result<()> {
        let hub = self.namespaces.ensure(&self.config.hub())?;
        let datapath = self.datapath()?;

        // What may no longer be reached, top down.
        self.reconcile_doors(Which::Closing, current, report);
        let found = rows::Found::read(&datapath)?;
        rows::retire_reachable(&datapath, plan, &found, report);
        interfaces::retire_conflicting(&datapath, &hub, plan, report)?;

        // Everything, bottom up.
        interfaces::provide(&self.config, &self.namespaces, &datapath, &hub, plan, report)?;
        rows::provide(&datapath, plan, &found, report);
        self.reconcile_doors(Which::All, current, report);

        // What nothing refers to any more.
        rows::retire(&datapath, plan, &found, report);
        interfaces::retire(&datapath, &hub, plan, report)?;
        self.supervise(plan, report);
        self.prune_namespaces(plan, report);
        Ok(())
    }

    /// The data path, made if there is none or if its pins were removed.
    fn datapath(&self) -> Result<Arc<Datapath>> {
        let pins = Pins::new(&self.config.name);
        if let Some(datapath) = self.doors.datapath()
            && datapath.is_pinned()
        {
            return Ok(datapath);
        }
        let (datapath, origin) =
            Datapath::open(pins, &self.config.datapath, self.store_id).context("cannot set up the data path")?;
        info!(?origin, program = datapath.program_id(), "data path ready");
        let datapath = Arc::new(datapath);
        self.doors.install(Arc::clone(&datapath));
        Ok(datapath)
    }

    fn reconcile_doors(&self, which: Which, current: &dyn Fn() -> Arc<State>, report: &mut Report) {
        match self.doors.reconcile(which, current) {
            Ok(failures) => report.problems.extend(failures),
            Err(error) => report.problems.push(format!("{error:#}")),
        }
    }

    fn supervise(&self, plan: &Plan, report: &mut Report) {
        let ready = plan.interfaces.values().filter(|interface| {
            !interface.command.is_empty() && report.instances.get(&interface.instance) == Some(&None)
        });
        let wanted = ready.map(|interface| (interface.instance, interfaces::job(&self.config, interface))).collect();
        let keep = plan.interfaces.values().map(|interface| interface.instance).collect();
        for (instance, problem) in self.supervisor.apply(wanted, &keep) {
            report.problems.push(format!("{instance}: {problem}"));
        }
    }

    /// Removes the namespaces of instances that are gone, with whatever still runs in them.
    fn prune_namespaces(&self, plan: &Plan, report: &mut Report) {
        let hub = self.config.hub();
        let wanted: std::collections::HashSet<String> = plan
            .interfaces
            .values()
            .map(|interface| self.config.instance_namespace(interface.instance))
            .chain([hub])
            .collect();
        match self.namespaces.list() {
            Ok(names) => {
                for name in names.into_iter().filter(|name| !wanted.contains(name)) {
                    report.note(remove_namespace(&self.namespaces, &name));
                }
            }
            Err(error) => report.problems.push(format!("{error:#}")),
        }
    }

    /// Without interfaces nothing of ours stays on the host.
    fn remove_all(&self, report: &mut Report) -> Result<()> {
        self.supervise(&Plan::default(), report);
        remove_host_objects(&self.config, &self.namespaces)?;
        self.doors.take();
        Ok(())
    }
}

/// Removes links, pins, namespaces and the hub of an agent's name. What is not there is no error.
pub(crate) fn remove_host_objects(config: &Config, namespaces: &Namespaces) -> Result<()> {
    let pins = Pins::new(&config.name);
    // Detaching first would let nothing through: without a program the hub's stack has no address and no route.
    pins.remove()?;
    let hub = config.hub();
    for name in namespaces.list()?.into_iter().filter(|name| *name != hub) {
        remove_namespace(namespaces, &name)?;
    }
    if namespaces.is_ours(&hub)
        && let Ok(file) = open_namespace(&namespace_path(&hub))
    {
        // Explicitly, and not with the namespace, which the kernel would take apart later.
        inside(&file, |netlink| {
            for link in netlink.links()?.into_iter().filter(|link| link.name != "lo") {
                netlink.delete_link(link.index)?;
            }
            Ok(())
        })
        .context("cannot empty the hub")?;
    }
    namespaces.remove(&hub)
}

fn remove_namespace(namespaces: &Namespaces, name: &str) -> Result<()> {
    if let Some(inode) = namespaces.inode(name)
        && namespaces.is_ours(name)
        && Path::new(&namespace_path(name)).exists()
    {
        crate::process::kill_in_namespace(inode);
    }
    namespaces.remove(name)
}
