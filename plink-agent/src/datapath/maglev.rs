//! Maglev tables in the kernel: an outer map of inner maps, each replaced as a whole.

use std::{
    collections::{BTreeMap, HashMap},
    os::fd::{AsFd as _, AsRawFd as _},
    sync::{Mutex, PoisonError},
};

use anyhow::{Context as _, Result};
use aya::maps::MapData;
use aya_obj::generated::bpf_map_type::BPF_MAP_TYPE_ARRAY;
use plink_common::{
    abi::{MAX_MAGLEV_TABLES, MaglevTable},
    maglev::{Member, build, empty},
};
use zerocopy::IntoBytes as _;

use super::{Table, syscall};

/// What is known to be in a slot of the outer map.
struct Known {
    inner: u32,
    /// `None` for a table that an earlier agent left, until it was compared.
    members: Option<Vec<Member>>,
}

/// The outer map, and what is known of it: building a table takes a millisecond, so one that did not change is left
/// alone without being built again.
pub(super) struct MaglevTables {
    outer: Table<u32, u32>,
    known: Mutex<HashMap<u32, Known>>,
}

impl MaglevTables {
    pub(super) fn new(outer: Table<u32, u32>) -> Result<Self> {
        let mut known = HashMap::new();
        for slot in 0..MAX_MAGLEV_TABLES {
            if let Some(inner) = outer.get(&slot)? {
                known.insert(slot, Known { inner, members: None });
            }
        }
        Ok(Self { outer, known: Mutex::new(known) })
    }

    /// Brings the wanted tables in. What failed, by slot.
    pub(super) fn provide(&self, wanted: &BTreeMap<u32, Vec<Member>>) -> Vec<(u32, anyhow::Error)> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut failures = Vec::new();
        for (&slot, members) in wanted {
            match self.provide_one(known.get(&slot), slot, members) {
                Ok(inner) => {
                    known.insert(slot, Known { inner, members: Some(members.clone()) });
                }
                Err(error) => {
                    known.remove(&slot);
                    failures.push((slot, error));
                }
            }
        }
        failures
    }

    /// Takes the tables away that are not wanted.
    pub(super) fn retire(&self, wanted: &BTreeMap<u32, Vec<Member>>) -> Result<()> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let unwanted: Vec<u32> = known.keys().copied().filter(|slot| !wanted.contains_key(slot)).collect();
        for slot in unwanted {
            self.outer.remove(&slot)?;
            known.remove(&slot);
        }
        Ok(())
    }

    /// Returns the ID of the inner map.
    fn provide_one(&self, known: Option<&Known>, slot: u32, members: &[Member]) -> Result<u32> {
        let current = self.outer.get(&slot)?;
        if let (Some(known), Some(current)) = (known, current)
            && known.inner == current
            && known.members.as_deref() == Some(members)
        {
            return Ok(current);
        }
        let table = build(members);
        if let Some(current) = current
            && read(current).is_ok_and(|existing| existing == table)
        {
            return Ok(current);
        }
        let definition =
            aya_obj::Map::new_from_params(BPF_MAP_TYPE_ARRAY as u32, 4, size_of::<MaglevTable>() as u32, 1, 0);
        let inner = MapData::create(definition, "maglev_table", None).context("cannot make a Maglev table")?;
        syscall::update(inner.fd().as_fd(), &[0; 4], table.as_bytes()).context("cannot fill a Maglev table")?;
        self.outer.set(&slot, &(inner.fd().as_fd().as_raw_fd() as u32))?;
        Ok(inner.info()?.id())
    }
}

fn read(id: u32) -> Result<Box<MaglevTable>> {
    let map = MapData::from_id(id)?;
    let mut table = empty();
    syscall::lookup(map.fd().as_fd(), &[0; 4], table.as_mut_bytes())?;
    Ok(table)
}
