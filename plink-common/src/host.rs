//! The packet logic's surroundings on the host: a frame in memory, tables in ordinary maps. For tests.

use std::collections::HashMap;

use crate::{
    abi::{
        AddressEntry, AddressKey, FlowEntry, FlowKey, FrontendEntry, FrontendStats, ListenerEntry, ListenerKey,
        MaglevTable, PortEntry, TargetEntry,
    },
    datapath::{InsertError, Packet, Stat, Tables},
    wire::Header,
};

/// A frame in memory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HostPacket {
    /// Words, so that the frame begins at an even address as it does in the kernel.
    words: Vec<u64>,
    length: usize,
}

impl HostPacket {
    /// With these bytes.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        let mut words = vec![0_u64; bytes.len().div_ceil(8)];
        zerocopy::IntoBytes::as_mut_bytes(words.as_mut_slice())[..bytes.len()].copy_from_slice(bytes);
        Self { words, length: bytes.len() }
    }

    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &zerocopy::IntoBytes::as_bytes(self.words.as_slice())[..self.length]
    }
}

impl Packet for HostPacket {
    fn at<T: Header>(&self, offset: usize) -> Option<&T> {
        T::ref_from_prefix(self.bytes().get(offset..)?).ok().map(|(header, _)| header)
    }

    fn at_mut<T: Header>(&mut self, offset: usize) -> Option<&mut T> {
        let bytes = zerocopy::IntoBytes::as_mut_bytes(self.words.as_mut_slice()).get_mut(offset..self.length)?;
        T::mut_from_prefix(bytes).ok().map(|(header, _)| header)
    }

    fn resize(&mut self, length: usize) -> Option<()> {
        self.words.resize(length.div_ceil(8), 0);
        self.length = length;
        Some(())
    }
}

/// Tables in ordinary maps. All fields are public: a test fills them as the agent fills the kernel's.
#[derive(Clone, Debug, Default)]
pub struct HostTables {
    /// `PORTS`.
    pub ports: HashMap<u32, PortEntry>,
    /// `ADDRESSES`.
    pub addresses: HashMap<AddressKey, AddressEntry>,
    /// `FRONTENDS`.
    pub frontends: HashMap<u32, FrontendEntry>,
    /// `LISTENERS`.
    pub listeners: HashMap<ListenerKey, ListenerEntry>,
    /// `TARGETS`.
    pub targets: HashMap<u32, TargetEntry>,
    /// `MAGLEV`.
    pub maglev: HashMap<u32, Box<MaglevTable>>,
    /// `FLOWS`.
    pub flows: HashMap<FlowKey, FlowEntry>,
    /// The size of `FLOWS`; 0: unlimited.
    pub max_flow_entries: usize,
    /// `FRONTEND_STATS`.
    pub stats: HashMap<u32, FrontendStats>,
    /// The seed of the flow hash.
    pub seed: u64,
}

impl Tables for HostTables {
    fn port(&self, index: u32) -> Option<PortEntry> {
        self.ports.get(&index).copied().filter(|port| port.vpc != 0)
    }

    fn address(&self, key: &AddressKey) -> Option<AddressEntry> {
        self.addresses.get(key).copied()
    }

    fn frontend(&self, slot: u32) -> Option<FrontendEntry> {
        Some(self.frontends.get(&slot).copied().unwrap_or_default())
    }

    fn listener(&self, key: &ListenerKey) -> Option<ListenerEntry> {
        self.listeners.get(key).copied()
    }

    fn target(&self, slot: u32) -> Option<TargetEntry> {
        Some(self.targets.get(&slot).copied().unwrap_or_default())
    }

    fn maglev(&self, table: u32, entry: u32) -> Option<u16> {
        self.maglev.get(&table)?.get(entry as usize).copied()
    }

    fn seed(&self) -> u64 {
        self.seed
    }

    fn with_flow<R>(&mut self, key: &FlowKey, change: impl FnOnce(&mut FlowEntry) -> R) -> Option<R> {
        self.flows.get_mut(key).map(change)
    }

    fn insert_flow(&mut self, key: &FlowKey, entry: &FlowEntry) -> Result<(), InsertError> {
        if self.flows.contains_key(key) {
            return Err(InsertError::Exists);
        }
        if self.max_flow_entries != 0 && self.flows.len() >= self.max_flow_entries {
            return Err(InsertError::Full);
        }
        self.flows.insert(*key, *entry);
        Ok(())
    }

    fn remove_flow(&mut self, key: &FlowKey) {
        self.flows.remove(key);
    }

    fn count(&mut self, frontend: u32, stat: Stat, bytes: u64) {
        self.stats.entry(frontend).or_default().count(stat, bytes);
    }
}
