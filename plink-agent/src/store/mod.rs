//! Durable state: what was acknowledged is there after a crash, and what cannot be read is never overwritten.
//!
//! [`Store`] is small so that a distributed one can take the place of the embedded one: it gives all objects back and
//! takes the changes of one decision as a whole.
//!
//! The embedded store is [redb](https://docs.rs/redb): one file, copy-on-write B-trees, checksums on every page, and
//! no C. SQLite would be as safe, but brings a C compiler to every build and an SQL schema for what are rows by key.
//! The values are JSON, so that a rescued file can be read with general tools.

mod embedded;
mod error;
#[cfg(test)]
mod tests;

pub use embedded::EmbeddedStore;
pub use error::StoreError;

use crate::model::{Change, State};

/// What keeps the state.
pub trait Store: Send {
    /// Random, made with the store: tells its objects in the kernel from another store's.
    fn id(&self) -> [u8; 16];

    /// The state as of the last commit.
    ///
    /// # Errors
    /// When it cannot be read, or what is read makes no sense.
    fn load(&self) -> Result<State, StoreError>;

    /// Makes all changes durable, or none of them.
    ///
    /// # Errors
    /// When the storage fails. The changes must not be applied then. Whether they are durable is unknown until the
    /// store is opened again; an embedded store takes no further commit until then.
    fn commit(&mut self, changes: &[Change]) -> Result<(), StoreError>;
}
