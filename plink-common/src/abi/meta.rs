//! `META`: what the pinned objects belong to.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The only value of `META`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Meta {
    /// The store that the maps were filled from; maps of another store are not adopted.
    pub store_id: [u8; 16],
    /// The first half of the SHA-256 of the object file that the programs came from; another one replaces them.
    pub object: [u8; 16],
    /// Seed of the flow hash: not to be guessed from outside.
    pub seed: u64,
}
const _: () = assert!(size_of::<Meta>() == 40);
