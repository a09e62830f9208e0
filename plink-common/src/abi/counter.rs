//! Counters, all per CPU.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{datapath::Stat, drop_reason::DropReason};

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

impl FrontendStats {
    /// Counts one packet, flow or drop.
    #[inline(always)]
    pub fn count(&mut self, stat: Stat, bytes: u64) {
        match stat {
            Stat::Forward => {
                self.forward_packets += 1;
                self.forward_bytes += bytes;
            }
            Stat::Reply => {
                self.reply_packets += 1;
                self.reply_bytes += bytes;
            }
            Stat::NewFlow => self.new_flows += 1,
            Stat::Drop => self.drops += 1,
        }
    }
}

impl core::ops::AddAssign for FrontendStats {
    /// Adds another CPU's.
    fn add_assign(&mut self, other: Self) {
        self.forward_packets += other.forward_packets;
        self.forward_bytes += other.forward_bytes;
        self.reply_packets += other.reply_packets;
        self.reply_bytes += other.reply_bytes;
        self.new_flows += other.new_flows;
        self.drops += other.drops;
    }
}
