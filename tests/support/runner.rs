//! Runs a frame through the packet logic: the host build or the loaded program, behind one trait.

use plink_common::{
    abi::{FlowEntry, FlowKey, FrontendEntry, FrontendStats, PortEntry, TargetEntry},
    datapath::{Action, process},
    host::{HostPacket, HostTables},
};

use crate::world::{SEED, World};

/// Entries of the flow table in tests.
pub const FLOW_ENTRIES: u32 = 1024;

/// What happened to a frame; a redirect's port shows in the frame's MAC address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Nothing goes out.
    Drop,
    /// Back to where it came from.
    Transmit,
    /// Out of another port.
    Redirect,
}

/// The result of one run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ran {
    /// What happened.
    pub verdict: Verdict,
    /// The slot of `COUNTERS` that went up by one.
    pub counter: u32,
    /// The frame afterwards.
    pub frame: Vec<u8>,
}

/// The packet logic under test.
pub trait Runner {
    /// For messages.
    fn name(&self) -> &'static str;
    /// Runs one frame that enters at a port.
    fn run(&mut self, port: u32, frame: &[u8]) -> Ran;
    /// Writes a port's row.
    fn set_port(&mut self, port: u32, row: PortEntry);
    /// Writes a frontend's row.
    fn set_frontend(&mut self, slot: u32, row: FrontendEntry);
    /// Writes a target's row.
    fn set_target(&mut self, slot: u32, row: TargetEntry);
    /// All flow entries.
    fn flows(&mut self) -> Vec<(FlowKey, FlowEntry)>;
    /// Replaces a flow entry, for tests of time.
    fn set_flow(&mut self, key: &FlowKey, entry: &FlowEntry);
    /// A frontend's counters.
    fn stats(&mut self, slot: u32) -> FrontendStats;
}

/// The host build.
pub struct HostRunner {
    /// The tables.
    pub tables: HostTables,
    /// The tick of the next run.
    pub now: u32,
}

impl HostRunner {
    /// With the rows of a world.
    #[must_use]
    pub fn new(world: &World) -> Self {
        let world = world.clone();
        Self {
            tables: HostTables {
                ports: world.ports.into_iter().collect(),
                addresses: world.addresses.into_iter().collect(),
                frontends: world.frontends.into_iter().collect(),
                listeners: world.listeners.into_iter().collect(),
                targets: world.targets.into_iter().collect(),
                maglev: world.maglev.into_iter().collect(),
                max_flow_entries: FLOW_ENTRIES as usize,
                seed: SEED,
                ..HostTables::default()
            },
            now: 1_000_000,
        }
    }
}

impl Runner for HostRunner {
    fn name(&self) -> &'static str {
        "host"
    }

    fn run(&mut self, port: u32, frame: &[u8]) -> Ran {
        let mut packet = HostPacket::new(frame);
        let outcome = process(&mut packet, &mut self.tables, port, self.now);
        let verdict = match outcome.action {
            Action::Drop => Verdict::Drop,
            Action::Transmit => Verdict::Transmit,
            Action::Redirect(_) => Verdict::Redirect,
        };
        Ran { verdict, counter: outcome.counter, frame: packet.bytes().to_vec() }
    }

    fn set_port(&mut self, port: u32, row: PortEntry) {
        self.tables.ports.insert(port, row);
    }

    fn set_frontend(&mut self, slot: u32, row: FrontendEntry) {
        self.tables.frontends.insert(slot, row);
    }

    fn set_target(&mut self, slot: u32, row: TargetEntry) {
        self.tables.targets.insert(slot, row);
    }

    fn flows(&mut self) -> Vec<(FlowKey, FlowEntry)> {
        self.tables.flows.iter().map(|(key, entry)| (*key, *entry)).collect()
    }

    fn set_flow(&mut self, key: &FlowKey, entry: &FlowEntry) {
        self.tables.flows.insert(*key, *entry);
    }

    fn stats(&mut self, slot: u32) -> FrontendStats {
        self.tables.stats.get(&slot).copied().unwrap_or_default()
    }
}
