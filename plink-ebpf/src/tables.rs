//! The maps behind the packet logic's [`Tables`].

use aya_ebpf::bindings::BPF_NOEXIST;
use plink_common::{
    abi::{
        AddressEntry, AddressKey, FlowEntry, FlowKey, FrontendEntry, ListenerEntry, ListenerKey, MAGLEV_SIZE,
        PortEntry, TargetEntry,
    },
    datapath::{InsertError, Stat, Tables},
};

use crate::maps::{ADDRESSES, FLOWS, FRONTEND_STATS, FRONTENDS, LISTENERS, MAGLEV, META, PORTS, TARGETS};

/// What the kernel returns for `BPF_NOEXIST` on a key that exists (`errno-base.h`).
const EEXIST: i32 = -17;

/// The pinned maps.
pub struct KernelTables;

impl Tables for KernelTables {
    #[inline(always)]
    fn port(&self, index: u32) -> Option<PortEntry> {
        PORTS.get(index).copied().filter(|port| port.vpc != 0)
    }

    #[inline(always)]
    fn address(&self, key: &AddressKey) -> Option<AddressEntry> {
        // SAFETY: the row is copied at once. A row that is replaced meanwhile may be read half old, half new; the
        // agent never replaces a row by one of another object: it removes, and a removed element is reused only after
        // an RCU grace period or by an insert of this CPU's own softirq, which does not run inside this program.
        unsafe { ADDRESSES.get(key) }.copied()
    }

    #[inline(always)]
    fn frontend(&self, slot: u32) -> Option<FrontendEntry> {
        FRONTENDS.get(slot).copied()
    }

    #[inline(always)]
    fn listener(&self, key: &ListenerKey) -> Option<ListenerEntry> {
        // SAFETY: as in `address`.
        unsafe { LISTENERS.get(key) }.copied()
    }

    #[inline(always)]
    fn target(&self, slot: u32) -> Option<TargetEntry> {
        TARGETS.get(slot).copied()
    }

    #[inline(always)]
    fn maglev(&self, table: u32, entry: u32) -> Option<u16> {
        let table = MAGLEV.get_value(table, &0)?;
        if entry as usize >= MAGLEV_SIZE {
            return None;
        }
        // SAFETY: below the length, as just compared. Indexing would leave a panic that the verifier cannot follow.
        Some(unsafe { *table.as_ptr().add(entry as usize) })
    }

    #[inline(always)]
    fn seed(&self) -> u64 {
        META.get(0).map_or(0, |meta| meta.seed)
    }

    #[inline(always)]
    fn with_flow<R>(&mut self, key: &FlowKey, change: impl FnOnce(&mut FlowEntry) -> R) -> Option<R> {
        // SAFETY: the element stays allocated for the whole run of the program. Another CPU may write it at the same
        // time: only its time and flags change after it was made, by single stores, of which any may win.
        FLOWS.get_ptr_mut(key).map(|entry| change(unsafe { &mut *entry }))
    }

    #[inline(always)]
    fn insert_flow(&mut self, key: &FlowKey, entry: &FlowEntry) -> Result<(), InsertError> {
        match FLOWS.insert(key, entry, u64::from(BPF_NOEXIST)) {
            Ok(()) => Ok(()),
            Err(EEXIST) => Err(InsertError::Exists),
            // E2BIG: no free element.
            Err(_) => Err(InsertError::Full),
        }
    }

    #[inline(always)]
    fn remove_flow(&mut self, key: &FlowKey) {
        // Nothing to do where there is none.
        let _ = FLOWS.remove(key);
    }

    #[inline(always)]
    fn count(&mut self, frontend: u32, stat: Stat, bytes: u64) {
        if let Some(stats) = FRONTEND_STATS.get_ptr_mut(frontend) {
            // SAFETY: this CPU's own value, and a program run is not interrupted by another one on the same CPU.
            unsafe { (*stats).count(stat, bytes) };
        }
    }
}
