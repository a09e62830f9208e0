//! The doors between VPCs: the rows of `FRONTENDS`, and the data path that they are in.
//!
//! A door is written from two sides: by a command, before its answer goes out, and by each pass of the reconciler. Both
//! write under one lock, from the state of that moment, so that a pass that planned from an older state cannot undo a
//! command.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use plink_common::abi::{FrontendEntry, FrontendState};

use crate::{
    datapath::{Datapath, wait_for_running_programs},
    model::State,
    plan,
};

/// The data path, if there is one, and the lock for its doors.
#[derive(Default)]
pub struct Doors {
    datapath: Mutex<Option<Arc<Datapath>>>,
}

/// Which rows a call writes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    /// Those that close: first in a pass.
    Closing,
    /// All: last in a pass.
    All,
}

impl Doors {
    /// The data path, if interfaces exist.
    #[must_use]
    pub fn datapath(&self) -> Option<Arc<Datapath>> {
        self.lock().clone()
    }

    /// Makes a data path the one that commands write to.
    pub fn install(&self, datapath: Arc<Datapath>) {
        *self.lock() = Some(datapath);
    }

    /// Forgets the data path.
    pub(super) fn take(&self) {
        *self.lock() = None;
    }

    /// Writes some doors. When it returns, no packet goes through one that closed.
    pub fn write(&self, slots: &[u32], current: impl FnOnce() -> Arc<State>) -> Result<()> {
        let mut closed = false;
        {
            let guard = self.lock();
            // Without a data path no interface exists, and the first pass that makes one writes all rows.
            let Some(datapath) = guard.as_ref() else { return Ok(()) };
            let state = current();
            for &slot in slots {
                let row = plan::frontend(&state, slot);
                let before = datapath.frontends.get(&slot)?.unwrap_or_default();
                write_row(datapath, slot, before, row)?;
                closed |= is_open(before) && before != row;
            }
        }
        if closed {
            wait_for_running_programs();
        }
        Ok(())
    }

    /// Brings all doors in line with the state. What failed, by slot.
    pub(super) fn reconcile(&self, which: Which, current: impl FnOnce() -> Arc<State>) -> Result<Vec<String>> {
        let guard = self.lock();
        let Some(datapath) = guard.as_ref() else { return Ok(Vec::new()) };
        let wanted = plan::frontends(&current());
        let mut failures = Vec::new();
        let mut write = |slot: u32, before: FrontendEntry, row: FrontendEntry| {
            if before != row
                && (which == Which::All || !is_open(row))
                && let Err(error) = write_row(datapath, slot, before, row)
            {
                failures.push(format!("frontend {slot}: {error:#}"));
            }
        };
        let found: std::collections::HashMap<u32, FrontendEntry> = datapath.frontends.used()?.into_iter().collect();
        for (&slot, &before) in &found {
            if !wanted.contains_key(&slot) {
                write(slot, before, FrontendEntry::default());
            }
        }
        for (&slot, &row) in &wanted {
            write(slot, found.get(&slot).copied().unwrap_or_default(), row);
        }
        Ok(failures)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<Datapath>>> {
        self.datapath.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn write_row(datapath: &Datapath, slot: u32, before: FrontendEntry, row: FrontendEntry) -> Result<()> {
    if before == row {
        return Ok(());
    }
    if before.generation == 0 {
        // The counters are the earlier object's.
        datapath.clear_frontend_stats(slot)?;
    }
    datapath.frontends.set(&slot, &row)
}

fn is_open(row: FrontendEntry) -> bool {
    row.state == FrontendState::Open as u16
}
