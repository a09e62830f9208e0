//! Builds Maglev lookup tables (Eisenbud et al., "Maglev: A Fast and Reliable Software Network Load Balancer", NSDI
//! 2016, section 3.4).
//!
//! Each target has a permutation of the table's entries, given by an offset and a skip that follow from its identity
//! alone; the targets take turns to claim their next free entry. The table therefore depends only on the set of
//! targets, the shares differ by a hundredth at most, and taking one target away moves few of the others' entries.

use crate::abi::{MAGLEV_SIZE, MAGLEV_TABLE_LEN, MaglevTable};

/// A target as the table sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Member {
    /// What the target is recognised by over time, on every host: a hash of its address and port, say.
    pub identity: u64,
    /// Its slot in `TARGETS`, not 0.
    pub slot: u16,
}

/// The table for a set of targets, in any order. Without targets every entry is 0.
#[must_use]
pub fn build(members: &[Member]) -> Box<MaglevTable> {
    let mut table = empty();
    if members.is_empty() {
        return table;
    }
    let mut members = members.to_vec();
    members.sort_by_key(|member| (member.identity, member.slot));
    let mut turns: Vec<Permutation> = members.iter().map(|member| Permutation::new(member.identity)).collect();
    let mut free = MAGLEV_SIZE;
    loop {
        for (member, permutation) in members.iter().zip(&mut turns) {
            let entry = loop {
                let candidate = permutation.next_entry();
                if table[candidate] == 0 {
                    break candidate;
                }
            };
            table[entry] = member.slot;
            free -= 1;
            if free == 0 {
                return table;
            }
        }
    }
}

/// A table in which no entry has a target.
#[must_use]
pub fn empty() -> Box<MaglevTable> {
    vec![0_u16; MAGLEV_TABLE_LEN].into_boxed_slice().try_into().unwrap_or_else(|_| unreachable_length())
}

fn unreachable_length() -> ! {
    unreachable!("the vector was made with the table's length")
}

/// A walk over all entries of the table: the size is prime, so any skip but 0 reaches each entry once.
struct Permutation {
    next: usize,
    skip: usize,
}

impl Permutation {
    fn new(identity: u64) -> Self {
        let size = MAGLEV_SIZE as u64;
        let (offset, skip) = (mix(identity), mix(identity ^ 0x9e37_79b9_7f4a_7c15));
        Self { next: (offset % size) as usize, skip: (skip % (size - 1) + 1) as usize }
    }

    fn next_entry(&mut self) -> usize {
        let entry = self.next;
        self.next = (self.next + self.skip) % MAGLEV_SIZE;
        entry
    }
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood 2014): every input bit reaches every output bit.
fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(count: u16) -> Vec<Member> {
        (1..=count).map(|slot| Member { identity: u64::from(slot) * 7919, slot }).collect()
    }

    fn shares(table: &MaglevTable, count: u16) -> Vec<usize> {
        let mut shares = vec![0; usize::from(count) + 1];
        table[..MAGLEV_SIZE].iter().for_each(|slot| shares[usize::from(*slot)] += 1);
        shares
    }

    #[test]
    fn without_targets_the_table_is_empty() {
        assert!(build(&[]).iter().all(|slot| *slot == 0));
    }

    #[test]
    fn the_order_of_the_targets_does_not_matter() {
        let forward = members(7);
        let backward: Vec<_> = forward.iter().rev().copied().collect();
        assert_eq!(build(&forward), build(&backward));
    }

    #[test]
    fn shares_differ_by_no_more_than_one_entry() {
        for count in [1, 2, 3, 7, 100] {
            let shares = shares(&build(&members(count)), count);
            let (least, most) = (shares[1..].iter().min().unwrap(), shares[1..].iter().max().unwrap());
            assert_eq!(shares[0], 0, "{count} targets leave an entry empty");
            assert!(most - least <= 1, "{count} targets: {least} to {most}");
        }
    }

    #[test]
    fn taking_one_of_a_hundred_targets_away_moves_at_most_one_in_a_hundred_of_the_others() {
        let before = build(&members(100));
        let mut fewer = members(100);
        let gone = fewer.remove(41).slot;
        let after = build(&fewer);
        let moved = (0..MAGLEV_SIZE).filter(|entry| before[*entry] != gone && before[*entry] != after[*entry]).count();
        assert!(moved * 100 <= MAGLEV_SIZE, "{moved} of {MAGLEV_SIZE} entries moved");
    }
}
