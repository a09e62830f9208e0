//! The only user of aya: the pinned program, maps and links.
//!
//! Everything here works on `&self` and from any thread; only what names an interface ([`Datapath::attach`],
//! [`Datapath::set_device`]) has to be called from inside the hub's namespace, where the kernel resolves its index.

mod load;
mod maglev;
mod pins;
mod syscall;
mod table;

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    sync::{Mutex, PoisonError},
};

use anyhow::{Context as _, Result};
use aya::programs::{Xdp, XdpMode, links::FdLink};
use plink_common::{
    abi::{
        AddressEntry, AddressKey, Counter, FlowEntry, FlowKey, FrontendEntry, FrontendStats, ListenerEntry,
        ListenerKey, PortEntry, TICK_SHIFT, TargetEntry,
    },
    drop_reason::DropReason,
    maglev::Member,
};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use self::maglev::MaglevTables;
pub use self::{
    load::{OBJECT, Origin, PROGRAM, pinned_store},
    pins::{Pins, is_bpffs as is_bpffs_mounted},
    syscall::LinkInfo,
    table::{PerCpuTable, Row, Table},
};
use crate::config::DatapathConfig;

/// The pinned program, maps and links of one agent.
pub struct Datapath {
    pins: Pins,
    program: Mutex<Xdp>,
    program_id: u32,
    devices: Table<u32, Device>,
    maglev: MaglevTables,
    counters: PerCpuTable<u64>,
    frontend_stats: PerCpuTable<FrontendStats>,
    /// `PORTS`.
    pub ports: Table<u32, PortEntry>,
    /// `ADDRESSES`.
    pub addresses: Table<AddressKey, AddressEntry>,
    /// `FRONTENDS`.
    pub frontends: Table<u32, FrontendEntry>,
    /// `LISTENERS`.
    pub listeners: Table<ListenerKey, ListenerEntry>,
    /// `TARGETS`.
    pub targets: Table<u32, TargetEntry>,
    /// `FLOWS`.
    pub flows: Table<FlowKey, FlowEntry>,
}

/// Value of `DEVICES`.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct Device {
    interface: u32,
    /// No program of its own: 0 when written, an ID when read.
    program: u32,
}

impl Datapath {
    /// Adopts what is pinned, replaces its program if it is another, or makes everything.
    ///
    /// # Errors
    /// Also when what is pinned belongs to another store; see [`pinned_store`].
    pub fn open(pins: Pins, config: &DatapathConfig, store_id: [u8; 16]) -> Result<(Self, Origin)> {
        let (program, origin) = load::ensure_loaded(&pins, config, store_id)?;
        let map = |name| load::open_map(&pins, name);
        let datapath = Self {
            program_id: program.info().context("cannot read the program")?.id(),
            program: Mutex::new(program),
            devices: Table::new("DEVICES", map("DEVICES")?)?,
            maglev: MaglevTables::new(Table::new("MAGLEV", map("MAGLEV")?)?)?,
            counters: PerCpuTable::new("COUNTERS", map("COUNTERS")?)?,
            frontend_stats: PerCpuTable::new("FRONTEND_STATS", map("FRONTEND_STATS")?)?,
            ports: Table::new("PORTS", map("PORTS")?)?,
            addresses: Table::new("ADDRESSES", map("ADDRESSES")?)?,
            frontends: Table::new("FRONTENDS", map("FRONTENDS")?)?,
            listeners: Table::new("LISTENERS", map("LISTENERS")?)?,
            targets: Table::new("TARGETS", map("TARGETS")?)?,
            flows: Table::new("FLOWS", map("FLOWS")?)?,
            pins,
        };
        Ok((datapath, origin))
    }

    /// The kernel's ID of the program.
    #[must_use]
    pub fn program_id(&self) -> u32 {
        self.program_id
    }

    /// Whether all of it is still pinned.
    #[must_use]
    pub fn is_pinned(&self) -> bool {
        self.pins.are_complete()
    }

    /// The pinned links by name. One that cannot be read is left out.
    pub fn links(&self) -> Result<HashMap<String, LinkInfo>> {
        let names = self.pins.link_names()?;
        Ok(names
            .into_iter()
            .filter_map(|name| {
                let info = syscall::link_info(&self.pins.link(&name)).ok()?;
                Some((name, info))
            })
            .collect())
    }

    /// The names of the pinned links, readable or not.
    pub fn link_names(&self) -> Result<Vec<String>> {
        self.pins.link_names()
    }

    /// Whether a link runs this program on the interface.
    #[must_use]
    pub fn is_attached(&self, link: Option<&LinkInfo>, interface: u32) -> bool {
        link.is_some_and(|link| link.interface == interface && link.program == self.program_id)
    }

    /// Attaches the program to an interface of the hub and pins the link. Runs in the hub.
    pub fn attach(&self, interface: u32, name: &str) -> Result<()> {
        self.detach(name)?;
        let mut program = self.program.lock().unwrap_or_else(PoisonError::into_inner);
        let id = program.attach_to_if_index(interface, XdpMode::Driver).context("cannot attach the program")?;
        let link = program.take_link(id)?;
        // Fails for a netlink attachment, which aya falls back to: that could be neither pinned nor replaced.
        let link = FdLink::try_from(link).context("the kernel attached the program without a link")?;
        link.pin(self.pins.link(name)).context("cannot pin the link")?;
        Ok(())
    }

    /// Removes a pinned link, which detaches the program from that interface.
    pub fn detach(&self, name: &str) -> Result<()> {
        match fs::remove_file(self.pins.link(name)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot remove the pinned link {name}"))
            }
            _ => Ok(()),
        }
    }

    /// Makes a port reachable: its slot in `DEVICES` is its interface index. Runs in the hub.
    pub fn set_device(&self, port: u32) -> Result<()> {
        self.devices.set(&port, &Device { interface: port, program: 0 })
    }

    /// Whether a port is reachable.
    pub fn has_device(&self, port: u32) -> Result<bool> {
        Ok(self.devices.get(&port)?.is_some_and(|device| device.interface == port))
    }

    /// Makes a port unreachable.
    pub fn remove_device(&self, port: u32) -> Result<bool> {
        self.devices.remove(&port)
    }

    /// Brings Maglev tables in. What failed, by slot.
    pub fn provide_tables(&self, wanted: &BTreeMap<u32, Vec<Member>>) -> Vec<(u32, anyhow::Error)> {
        self.maglev.provide(wanted)
    }

    /// Takes away the Maglev tables that are not wanted.
    pub fn retire_tables(&self, wanted: &BTreeMap<u32, Vec<Member>>) -> Result<()> {
        self.maglev.retire(wanted)
    }

    /// How many entries the maps hold, and how many they can: `(map, used, size)`. Walks them all.
    pub fn fill(&self) -> Result<Vec<(&'static str, u64, u64)>> {
        let count = |rows: usize| rows as u64;
        Ok(vec![
            ("PORTS", count(self.ports.used()?.len()), self.ports.size()?),
            ("ADDRESSES", self.addresses.count()?, self.addresses.size()?),
            ("FRONTENDS", count(self.frontends.used()?.len()), self.frontends.size()?),
            ("LISTENERS", self.listeners.count()?, self.listeners.size()?),
            ("TARGETS", count(self.targets.used()?.len()), self.targets.size()?),
            ("FLOWS", self.flows.count()?, self.flows.size()?),
        ])
    }

    /// Packets by a counter's slot.
    pub fn counter(&self, slot: u32) -> Result<u64> {
        Ok(self.counters.get(slot)?.iter().sum())
    }

    /// Dropped packets by reason, all reasons.
    pub fn drops(&self) -> Result<Vec<(DropReason, u64)>> {
        DropReason::ALL.iter().map(|reason| Ok((*reason, self.counter(Counter::drop_slot(*reason))?))).collect()
    }

    /// What passed a frontend, all zero where the slot has no counters.
    pub fn frontend_stats(&self, slot: u32) -> Result<FrontendStats> {
        let mut sum = FrontendStats::default();
        self.frontend_stats.get(slot)?.into_iter().for_each(|cpu| sum += cpu);
        Ok(sum)
    }

    /// Sets a frontend's counters to zero, for the next that gets its slot.
    pub fn clear_frontend_stats(&self, slot: u32) -> Result<()> {
        self.frontend_stats.clear(slot)
    }
}

/// Reads a pinned link of an agent's name.
///
/// # Errors
/// When it is not there or cannot be read.
pub fn pinned_link(name: &str, link: &str) -> Result<LinkInfo> {
    syscall::link_info(&Pins::new(name).link(link)).with_context(|| format!("cannot read the pinned link {link}"))
}

/// All readable links that are pinned under an agent's name.
///
/// # Errors
/// When nothing is pinned.
pub fn pinned_links(name: &str) -> Result<Vec<LinkInfo>> {
    let pins = Pins::new(name);
    Ok(pins.link_names()?.iter().filter_map(|link| syscall::link_info(&pins.link(link)).ok()).collect())
}

/// Whether the pinned `DEVICES` of an agent's name leads to a port.
///
/// # Errors
/// When the map is not there or cannot be read.
pub fn is_pinned_device(name: &str, port: u32) -> Result<bool> {
    let devices: Table<u32, Device> = Table::new("DEVICES", load::open_map(&Pins::new(name), "DEVICES")?)?;
    Ok(devices.get(&port)?.is_some_and(|device| device.interface == port))
}

/// Now, in the ticks of [`FlowEntry::last_seen`].
#[must_use]
pub fn now() -> u32 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes one `timespec`. The kernel has this clock since 2.6.32; it cannot fail.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC_COARSE, &raw mut time) };
    ((time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64) >> TICK_SHIFT) as u32
}

/// Waits until no program run that began before still goes on: an RCU grace period.
pub fn wait_for_running_programs() {
    const MEMBARRIER_CMD_GLOBAL: libc::c_int = 1;
    // SAFETY: the call takes integers only. It may be refused (EINVAL on kernels with NOHZ_FULL, ENOSYS); then a run of
    // some microseconds is all that remains.
    unsafe { libc::syscall(libc::SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) };
}
