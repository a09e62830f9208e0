//! Maps with the types of `plink_common::abi`.

use std::{marker::PhantomData, os::fd::AsFd as _};

use anyhow::{Context as _, Result, ensure};
use aya::maps::MapData;
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::syscall;

/// What may be a key or a value: plain bytes without padding, both ways.
pub trait Row: FromBytes + IntoBytes + Immutable + Copy {}
impl<T: FromBytes + IntoBytes + Immutable + Copy> Row for T {}

/// Entries read at a time.
const CHUNK: usize = 4096;

/// A map of keys `K` and values `V`. Usable from many threads at once, as the kernel's map is.
pub struct Table<K, V> {
    name: &'static str,
    map: MapData,
    types: PhantomData<fn() -> (K, V)>,
}

impl<K: Row, V: Row> Table<K, V> {
    /// Takes a map over, which has to have keys and values of the right size.
    pub(super) fn new(name: &'static str, map: MapData) -> Result<Self> {
        let info = map.info().with_context(|| format!("cannot read the map {name}"))?;
        let sizes = (info.key_size() as usize, info.value_size() as usize);
        ensure!(
            sizes == (size_of::<K>(), size_of::<V>()),
            "the map {name} has keys and values of {} and {} bytes where this agent knows {} and {}",
            sizes.0,
            sizes.1,
            size_of::<K>(),
            size_of::<V>()
        );
        Ok(Self { name, map, types: PhantomData })
    }

    /// The kernel's ID of the map.
    pub fn id(&self) -> Result<u32> {
        Ok(self.map.info()?.id())
    }

    /// How many entries it can hold.
    pub fn size(&self) -> Result<u64> {
        Ok(self.map.info()?.max_entries().into())
    }

    /// How many entries it holds: the kernel does not count, so all are read.
    pub fn count(&self) -> Result<u64> {
        let mut count = 0;
        self.visit(|_, _| count += 1)?;
        Ok(count)
    }

    /// The value of a key.
    pub fn get(&self, key: &K) -> Result<Option<V>> {
        let mut value = V::new_zeroed();
        let found = syscall::lookup(self.map.fd().as_fd(), key.as_bytes(), value.as_mut_bytes());
        Ok(found.with_context(|| format!("cannot read {}", self.name))?.then_some(value))
    }

    /// Sets the value of a key.
    pub fn set(&self, key: &K, value: &V) -> Result<()> {
        syscall::update(self.map.fd().as_fd(), key.as_bytes(), value.as_bytes())
            .with_context(|| format!("cannot write to {}", self.name))
    }

    /// Removes a key. Whether it was there.
    pub fn remove(&self, key: &K) -> Result<bool> {
        syscall::delete(self.map.fd().as_fd(), key.as_bytes())
            .with_context(|| format!("cannot remove from {}", self.name))
    }

    /// Visits all entries.
    pub fn visit(&self, mut visit: impl FnMut(K, V)) -> Result<()> {
        syscall::read_all(self.map.fd().as_fd(), size_of::<K>(), size_of::<V>(), CHUNK, |keys, values| {
            for (key, value) in keys.chunks_exact(size_of::<K>()).zip(values.chunks_exact(size_of::<V>())) {
                if let (Ok(key), Ok(value)) = (K::read_from_bytes(key), V::read_from_bytes(value)) {
                    visit(key, value);
                }
            }
        })
        .with_context(|| format!("cannot read {}", self.name))
    }
}

impl<V: Row> Table<u32, V> {
    /// The values of an array that are not all zero, with their slots.
    pub fn used(&self) -> Result<Vec<(u32, V)>> {
        let mut rows = Vec::new();
        self.visit(|slot, row| {
            if row.as_bytes().iter().any(|byte| *byte != 0) {
                rows.push((slot, row));
            }
        })?;
        Ok(rows)
    }
}

/// A per-CPU array of values `V`.
pub struct PerCpuTable<V> {
    name: &'static str,
    map: MapData,
    cpus: usize,
    entries: u32,
    types: PhantomData<fn() -> V>,
}

impl<V: Row> PerCpuTable<V> {
    pub(super) fn new(name: &'static str, map: MapData) -> Result<Self> {
        // A CPU's value starts at a multiple of eight bytes.
        const { assert!(size_of::<V>().is_multiple_of(8)) };
        let info = map.info().with_context(|| format!("cannot read the map {name}"))?;
        ensure!(info.value_size() as usize == size_of::<V>(), "the map {name} has values of another size");
        let cpus = aya::util::nr_cpus().map_err(|(file, error)| anyhow::anyhow!("{file}: {error}"))?;
        Ok(Self { name, map, cpus, entries: info.max_entries(), types: PhantomData })
    }

    /// The values of all CPUs at a slot; none where the array ends before it.
    pub fn get(&self, slot: u32) -> Result<Vec<V>> {
        let mut bytes = vec![0; self.cpus * size_of::<V>()];
        syscall::lookup(self.map.fd().as_fd(), slot.as_bytes(), &mut bytes)
            .with_context(|| format!("cannot read {}", self.name))
            .map(|found| if found { values(&bytes) } else { Vec::new() })
    }

    /// Sets all CPUs' values at a slot to zero; a slot beyond the array's end is no error.
    pub fn clear(&self, slot: u32) -> Result<()> {
        if slot >= self.entries {
            return Ok(());
        }
        let bytes = vec![0; self.cpus * size_of::<V>()];
        syscall::update(self.map.fd().as_fd(), slot.as_bytes(), &bytes)
            .with_context(|| format!("cannot write to {}", self.name))
    }
}

fn values<V: Row>(bytes: &[u8]) -> Vec<V> {
    bytes.chunks_exact(size_of::<V>()).filter_map(|value| V::read_from_bytes(value).ok()).collect()
}
