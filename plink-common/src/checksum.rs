//! The Internet checksum (RFC 1071) and its incremental update (RFC 1624).
//!
//! Sums are taken over 16-bit words as they were loaded: the one's complement sum does not depend on the byte order
//! (RFC 1071, section 2 B), so that nothing is swapped.

use crate::abi::Be32;

/// A sum of 16-bit words, not yet folded. 32 bits hold the sum of 65,536 words.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Sum(u32);

impl Sum {
    /// Of nothing.
    pub const ZERO: Self = Self(0);

    /// With one more word.
    #[inline(always)]
    #[must_use]
    pub const fn word(self, word: u16) -> Self {
        Self(self.0 + word as u32)
    }

    /// With both words of an address.
    #[inline(always)]
    #[must_use]
    pub const fn address(self, address: Be32) -> Self {
        self.word(address.bits() as u16).word((address.bits() >> 16) as u16)
    }

    /// With what replacing one word by another adds: `~old + new` (RFC 1624, equation 3).
    #[inline(always)]
    #[must_use]
    pub const fn replace(self, old: u16, new: u16) -> Self {
        self.word(!old).word(new)
    }

    /// With what replacing an address adds.
    #[inline(always)]
    #[must_use]
    pub const fn replace_address(self, old: Be32, new: Be32) -> Self {
        self.replace(old.bits() as u16, new.bits() as u16).replace((old.bits() >> 16) as u16, (new.bits() >> 16) as u16)
    }

    /// The sum in 16 bits.
    #[inline(always)]
    #[must_use]
    pub const fn fold(self) -> u16 {
        let once = (self.0 & 0xffff) + (self.0 >> 16);
        ((once & 0xffff) + (once >> 16)) as u16
    }

    /// The checksum: the complement of the folded sum.
    #[inline(always)]
    #[must_use]
    pub const fn finish(self) -> u16 {
        !self.fold()
    }
}

/// A checksum after the change that `delta` stands for, a folded sum of [`Sum::replace`]s: `~(~checksum + delta)`.
#[inline(always)]
#[must_use]
pub const fn apply(checksum: u16, delta: u16) -> u16 {
    Sum::ZERO.word(!checksum).word(delta).finish()
}

/// The same for UDP, where 0 means that there is none and a computed 0 is sent as all ones (RFC 768).
#[inline(always)]
#[must_use]
pub const fn apply_udp(checksum: u16, delta: u16) -> u16 {
    if checksum == 0 {
        return 0;
    }
    match apply(checksum, delta) {
        0 => 0xffff,
        changed => changed,
    }
}

/// The checksum of whole bytes, for tests and for the agent: full, slow and plain.
#[cfg(feature = "std")]
#[must_use]
pub fn full(parts: &[&[u8]]) -> u16 {
    let bytes: Vec<u8> = parts.concat();
    let sum: u64 =
        bytes.chunks(2).map(|pair| u64::from(u16::from_ne_bytes([pair[0], *pair.get(1).unwrap_or(&0)]))).sum();
    let mut folded = sum;
    while folded > 0xffff {
        folded = (folded & 0xffff) + (folded >> 16);
    }
    !(folded as u16)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Changing words of a message and updating its checksum is what summing the changed message gives.
        #[test]
        fn incremental_equals_full(
            mut message in prop::collection::vec(any::<u16>(), 4..64),
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u16>()), 1..8),
        ) {
            message[0] |= 1; // RFC 1624, section 3: equal but for a message of zeros only
            let sum = |message: &[u16]| message.iter().fold(Sum::ZERO, |sum, word| sum.word(*word)).finish();
            let before = sum(&message);
            let mut delta = Sum::ZERO;
            for (index, new) in changes {
                let index = 1 + index.index(message.len() - 1);
                delta = delta.replace(message[index], new);
                message[index] = new;
            }
            prop_assert_eq!(apply(before, delta.fold()), sum(&message));
        }
    }

    #[test]
    fn udp_without_a_checksum_stays_without_one() {
        assert_eq!(apply_udp(0, 0x1234), 0);
    }

    #[test]
    fn a_computed_zero_is_sent_as_all_ones() {
        let checksum = 0x1234;
        let delta = Sum::ZERO.word(!(!checksum)).fold();
        assert_eq!(apply(checksum, delta), 0);
        assert_eq!(apply_udp(checksum, delta), 0xffff);
    }

    #[test]
    fn the_example_of_rfc_1071() {
        assert_eq!(full(&[&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]]), !u16::from_ne_bytes([0xdd, 0xf2]));
    }
}
