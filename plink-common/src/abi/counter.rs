//! Counters, all per CPU.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::drop_reason::DropReason;

/// What became of a packet; a slot of `COUNTERS`. Drop reasons follow from [`Counter::FIRST_DROP`] on.
///
/// Each packet that enters counts in exactly one slot: what was received is the sum of all slots.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Counter {
    /// Redirected to a port of the same VPC.
    Delivered = 0,
    /// Translated and redirected.
    Translated = 1,
    /// Answered by the program: ARP, or ICMP echo.
    Answered = 2,
}

impl Counter {
    /// Slot of drop reason 0.
    pub const FIRST_DROP: u32 = 8;

    /// The slot of a drop reason.
    #[inline(always)]
    #[must_use]
    pub const fn drop_slot(reason: DropReason) -> u32 {
        Self::FIRST_DROP + reason as u32
    }
}

/// Slots of `COUNTERS`: room for drop reasons to come.
pub const COUNTER_SLOTS: u32 = 72;

/// Value of `FRONTEND_STATS`, by frontend slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct FrontendStats {
    /// Packets from clients, translated.
    pub forward_packets: u64,
    /// Bytes of their IP packets.
    pub forward_bytes: u64,
    /// Packets from targets, translated.
    pub reply_packets: u64,
    /// Bytes of their IP packets.
    pub reply_bytes: u64,
    /// Flows made.
    pub new_flows: u64,
    /// Packets dropped after the frontend was known.
    pub drops: u64,
}
const _: () = assert!(size_of::<FrontendStats>() == 48);
