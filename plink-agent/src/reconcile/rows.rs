//! Rows of maps: those that differ are written, those that nothing wants are removed.

use std::{collections::HashMap, hash::Hash};

use anyhow::Result;
use plink_common::abi::{AddressEntry, AddressKey, ListenerEntry, ListenerKey, PortEntry, TargetEntry};

use super::Report;
use crate::{datapath::Datapath, plan::Plan};

/// What the kernel holds.
pub(super) struct Found {
    ports: HashMap<u32, PortEntry>,
    targets: HashMap<u32, TargetEntry>,
    listeners: HashMap<ListenerKey, ListenerEntry>,
    addresses: HashMap<AddressKey, AddressEntry>,
}

impl Found {
    pub(super) fn read(datapath: &Datapath) -> Result<Self> {
        let mut found = Self {
            ports: datapath.ports.used()?.into_iter().collect(),
            targets: datapath.targets.used()?.into_iter().collect(),
            listeners: HashMap::new(),
            addresses: HashMap::new(),
        };
        datapath.listeners.visit(|key, row| {
            found.listeners.insert(key, row);
        })?;
        datapath.addresses.visit(|key, row| {
            found.addresses.insert(key, row);
        })?;
        Ok(found)
    }
}

/// Removes what leads packets somewhere: listeners, then addresses.
pub(super) fn retire_reachable(datapath: &Datapath, plan: &Plan, found: &Found, report: &mut Report) {
    let listeners = found.listeners.keys().filter(|key| !plan.listeners.contains_key(key));
    each(report, "listeners", listeners, |key| datapath.listeners.remove(key).map(drop));
    let addresses = found.addresses.keys().filter(|key| !plan.addresses.contains_key(key));
    each(report, "addresses", addresses, |key| datapath.addresses.remove(key).map(drop));
}

/// Writes what differs, bottom up.
pub(super) fn provide(datapath: &Datapath, plan: &Plan, found: &Found, report: &mut Report) {
    let ports = changed(&plan.ports, &found.ports);
    each(report, "ports", ports, |(slot, row)| datapath.ports.set(slot, row));
    let targets = changed(&plan.targets, &found.targets);
    each(report, "targets", targets, |(slot, row)| datapath.targets.set(slot, row));
    for (slot, error) in datapath.provide_tables(&plan.tables) {
        report.problems.push(format!("Maglev table {slot}: {error:#}"));
    }
    let listeners = changed(&plan.listeners, &found.listeners);
    each(report, "listeners", listeners, |(key, row)| datapath.listeners.set(key, row));
    let addresses = changed(&plan.addresses, &found.addresses);
    each(report, "addresses", addresses, |(key, row)| datapath.addresses.set(key, row));
}

/// Removes what nothing refers to any more: a table before its targets, so that no new flow meets an empty slot.
pub(super) fn retire(datapath: &Datapath, plan: &Plan, found: &Found, report: &mut Report) {
    report.note(datapath.retire_tables(&plan.tables));
    let targets = found.targets.keys().filter(|slot| !plan.targets.contains_key(slot));
    each(report, "targets", targets, |slot| datapath.targets.set(slot, &TargetEntry::default()));
    let ports = found.ports.keys().filter(|slot| !plan.ports.contains_key(slot));
    each(report, "ports", ports, |slot| {
        datapath.remove_device(*slot)?;
        datapath.ports.set(slot, &PortEntry::default())
    });
}

/// The rows that the kernel has not, or has otherwise.
fn changed<'a, K: Hash + Eq + 'a, V: PartialEq + 'a>(
    wanted: impl IntoIterator<Item = (&'a K, &'a V)>,
    found: &HashMap<K, V>,
) -> impl Iterator<Item = (&'a K, &'a V)> {
    wanted.into_iter().filter(|(key, row)| found.get(key) != Some(row))
}

/// Does something to each; the failures of one kind are one problem.
fn each<T>(report: &mut Report, what: &str, items: impl Iterator<Item = T>, mut act: impl FnMut(T) -> Result<()>) {
    let (mut failures, mut first) = (0_usize, None);
    for item in items {
        if let Err(error) = act(item) {
            failures += 1;
            first.get_or_insert(error);
        }
    }
    if let Some(error) = first {
        report.problems.push(format!("{failures} of the {what} failed, the first: {error:#}"));
    }
}
