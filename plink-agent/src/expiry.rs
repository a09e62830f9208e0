//! Removes flow entries that are over, so that their source ports and their places in the table are free again.
//!
//! The program itself ignores an idle entry and takes over one whose client begins anew; what it never meets again is
//! found here. Both entries of a flow go together.

use std::{collections::HashMap, time::Duration};

use anyhow::Result;
use plink_common::abi::{FlowDirection, FlowEntry, FlowFlags, FlowKey, ticks};

use crate::datapath::{Datapath, now};

/// Time between two sweeps.
pub const INTERVAL: Duration = Duration::from_secs(5);
/// A connection that was closed or cut is kept for this long, for what may still be on its way.
const LINGER_S: u32 = 10;

/// Removes all flows that are over. How many.
///
/// # Errors
/// When the maps cannot be read.
pub fn sweep(datapath: &Datapath) -> Result<usize> {
    let now = now();
    let frontends: HashMap<u32, u32> =
        datapath.frontends.used()?.into_iter().map(|(slot, row)| (slot, row.generation)).collect();
    let targets: HashMap<u32, u32> =
        datapath.targets.used()?.into_iter().map(|(slot, row)| (slot, row.generation)).collect();
    let is_cut = |entry: &FlowEntry| {
        frontends.get(&entry.frontend) != Some(&entry.frontend_generation)
            || targets.get(&entry.target) != Some(&entry.target_generation)
    };
    let mut candidates = Vec::new();
    datapath.flows.visit(|key, entry| {
        if is_worth_a_look(&entry, now, is_cut(&entry)) {
            candidates.push((key, entry));
        }
    })?;
    let mut removed = 0;
    for (key, entry) in candidates {
        let partner_key = entry.partner(key.protocol);
        let partner = datapath.flows.get(&partner_key)?.filter(|partner| belongs(partner, &key));
        if is_over(&entry, partner.as_ref(), now, is_cut(&entry)) {
            removed += usize::from(datapath.flows.remove(&key)?);
            if partner.is_some() {
                datapath.flows.remove(&partner_key)?;
            }
        }
    }
    Ok(removed)
}

/// What one entry alone can tell: most are in use, and their partners need not be read.
fn is_worth_a_look(entry: &FlowEntry, now: u32, cut: bool) -> bool {
    let ended = entry.flags & (FlowFlags::FIN | FlowFlags::RST) != 0;
    entry.is_idle(now) || ((ended || cut) && lingers_no_more(entry, now))
}

/// Whether a flow is over: unused both ways for its idle time; or closed both ways, reset, or cut, and quiet since.
fn is_over(entry: &FlowEntry, partner: Option<&FlowEntry>, now: u32, cut: bool) -> bool {
    let Some(partner) = partner else {
        // Half a pair, of a program run that was cut short. A reply entry is made before its partner.
        return entry.direction == FlowDirection::Forward as u8 || lingers_no_more(entry, now);
    };
    let either = entry.flags | partner.flags;
    let both = entry.flags & partner.flags;
    let ended = either & FlowFlags::RST != 0 || both & FlowFlags::FIN != 0;
    (entry.is_idle(now) && partner.is_idle(now))
        || ((ended || cut) && lingers_no_more(entry, now) && lingers_no_more(partner, now))
}

fn lingers_no_more(entry: &FlowEntry, now: u32) -> bool {
    now.wrapping_sub(entry.last_seen).cast_signed() > ticks(LINGER_S).cast_signed()
}

/// Whether an entry found under a partner's key is the partner: it leads back.
fn belongs(partner: &FlowEntry, key: &FlowKey) -> bool {
    partner.partner(key.protocol) == *key
}

#[cfg(test)]
mod tests {
    use plink_common::abi::ticks;
    use zerocopy::FromZeros as _;

    use super::*;

    fn entry(direction: FlowDirection, age_s: u32, flags: u8) -> FlowEntry {
        let mut entry = FlowEntry::new_zeroed();
        entry.direction = direction as u8;
        entry.last_seen = 1_000_000 - ticks(age_s);
        entry.idle_ticks = ticks(350);
        entry.flags = flags;
        entry
    }

    #[test]
    fn a_flow_is_over_when_both_directions_say_so() {
        const NOW: u32 = 1_000_000;
        let forward = |age, flags| entry(FlowDirection::Forward, age, flags);
        let reply = |age, flags| entry(FlowDirection::Reply, age, flags);
        let (fin, rst) = (FlowFlags::FIN, FlowFlags::RST);
        for (what, forward, reply, cut, over) in [
            ("in use", forward(1, 0), reply(1, 0), false, false),
            ("idle one way", forward(400, 0), reply(1, 0), false, false),
            ("idle both ways", forward(400, 0), reply(351, 0), false, true),
            ("closed one way", forward(20, fin), reply(20, 0), false, false),
            ("closed both ways, just now", forward(2, fin), reply(20, fin), false, false),
            ("closed both ways", forward(20, fin), reply(20, fin), false, true),
            ("reset", forward(20, 0), reply(20, rst), false, true),
            ("cut, just now", forward(2, 0), reply(20, 0), true, false),
            ("cut", forward(20, 0), reply(20, 0), true, true),
        ] {
            assert_eq!(is_over(&forward, Some(&reply), NOW, cut), over, "{what}");
            assert_eq!(is_over(&reply, Some(&forward), NOW, cut), over, "{what}, from the other side");
        }
        assert!(is_over(&forward(1, 0), None, NOW, false), "a forward entry has a reply entry");
        assert!(!is_over(&reply(1, 0), None, NOW, false), "its forward entry may be on its way");
        assert!(is_over(&reply(20, 0), None, NOW, false));
    }
}
