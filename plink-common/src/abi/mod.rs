//! What the kernel program and the agent share: the keys and values of the pinned maps.
//!
//! Every type here is `repr(C)` without padding; `zerocopy`'s `IntoBytes` refuses padding at compile time, and the
//! constants below each module refuse a change of size. Addresses and ports keep the byte order of the wire
//! ([`Be16`], [`Be32`]), so that the packet path compares and copies them without swapping bytes.
//!
//! A change of any layout, of any size or of the meaning of a field needs a new [`VERSION`]: it names the pin folder,
//! so that a program never meets maps of another layout.

mod counter;
mod flow;
mod meta;
mod number;
mod rows;

pub use counter::{COUNTER_SLOTS, Counter, FrontendStats};
pub use flow::{FlowDirection, FlowEntry, FlowFlags, FlowKey};
pub use meta::Meta;
pub use number::{Be16, Be32, Mac};
pub use rows::{
    AddressEntry, AddressKey, AddressKind, FrontendEntry, FrontendKind, FrontendState, ListenerEntry, ListenerKey,
    PortEntry, TargetEntry,
};

/// The version of the map layouts; part of the pin folder's name (`/sys/fs/bpf/<name>/v1`).
pub const VERSION: u32 = 1;

/// Slots of `PORTS` and `DEVICES`. A port's slot is the interface index of its hub side, which the agent chooses.
pub const MAX_PORTS: u32 = 65_536;
/// Slots of `FRONTENDS` and `FRONTEND_STATS`; slot 0 is never used.
pub const MAX_FRONTENDS: u32 = 65_536;
/// Slots of `TARGETS`; slot 0 is never used. A Maglev table holds these slots as `u16`.
pub const MAX_TARGETS: u32 = 65_536;
/// Slots of the outer `MAGLEV` array.
pub const MAX_MAGLEV_TABLES: u32 = 65_536;
/// Entries of one Maglev table: prime, as the method needs it (Eisenbud et al., NSDI 2016, section 3.4).
pub const MAGLEV_SIZE: usize = 65_537;

/// One Maglev table: for each entry the slot in `TARGETS`, 0 where the table is empty. One value of an inner map, so
/// that a table is replaced as a whole. The length is rounded up to a multiple of eight bytes as the kernel does.
pub const MAGLEV_TABLE_LEN: usize = MAGLEV_SIZE + 3;
/// See [`MAGLEV_TABLE_LEN`].
pub type MaglevTable = [u16; MAGLEV_TABLE_LEN];

/// The router's MAC address in every subnet: locally administered, the same everywhere, since no subnet sees another's
/// frames.
pub const ROUTER_MAC: Mac = Mac::new([0x02, 0x70, 0x6c, 0x6e, 0x6b, 0x01]);

/// Nanoseconds of the coarse clock to one tick: a shift, 67.1 ms, so that 32 bits last 9 years.
pub const TICK_SHIFT: u32 = 26;

/// Ticks in `seconds`, rounded up.
#[must_use]
pub const fn ticks(seconds: u32) -> u32 {
    (((seconds as u64) * 1_000_000_000).div_ceil(1 << TICK_SHIFT)) as u32
}
