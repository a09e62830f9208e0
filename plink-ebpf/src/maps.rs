//! The pinned maps. Names are at most 15 characters, which is what the kernel keeps (`BPF_OBJ_NAME_LEN`).
//!
//! Sizes of `FLOWS` and `FRONTEND_STATS` are defaults: the loader overrides them from the configuration.

use aya_ebpf::{
    btf_maps::{Array, ArrayOfMaps, DevMap, HashMap, PerCpuArray},
    macros::btf_map,
};
use plink_common::abi::{
    AddressEntry, AddressKey, COUNTER_SLOTS, FlowEntry, FlowKey, FrontendEntry, FrontendStats, ListenerEntry,
    ListenerKey, MAX_FRONTENDS, MAX_MAGLEV_TABLES, MAX_PORTS, MAX_TARGETS, MaglevTable, Meta, PortEntry, TargetEntry,
};

#[btf_map]
pub static PORTS: Array<PortEntry, { MAX_PORTS as usize }> = Array::new();

#[btf_map]
pub static DEVICES: DevMap<{ MAX_PORTS as usize }> = DevMap::new();

#[btf_map]
pub static ADDRESSES: HashMap<AddressKey, AddressEntry, 131_072> = HashMap::new();

#[btf_map]
pub static FRONTENDS: Array<FrontendEntry, { MAX_FRONTENDS as usize }> = Array::new();

#[btf_map]
pub static LISTENERS: HashMap<ListenerKey, ListenerEntry, 65_536> = HashMap::new();

#[btf_map]
pub static TARGETS: Array<TargetEntry, { MAX_TARGETS as usize }> = Array::new();

#[btf_map]
pub static MAGLEV: ArrayOfMaps<Array<MaglevTable, 1>, { MAX_MAGLEV_TABLES as usize }> = ArrayOfMaps::new();

/// Preallocated and refusing when full: an LRU map would evict live flows (it evicts before it looks, even on an
/// update of an existing key).
#[btf_map]
pub static FLOWS: HashMap<FlowKey, FlowEntry, 2_097_152> = HashMap::new();

#[btf_map]
pub static COUNTERS: PerCpuArray<u64, { COUNTER_SLOTS as usize }> = PerCpuArray::new();

#[btf_map]
pub static FRONTEND_STATS: PerCpuArray<FrontendStats, 16_384> = PerCpuArray::new();

#[btf_map]
pub static META: Array<Meta, 1> = Array::new();
