//! What the packet logic needs from its surroundings.

use crate::{
    abi::{
        AddressEntry, AddressKey, FlowEntry, FlowKey, FrontendEntry, ListenerEntry, ListenerKey, PortEntry, TargetEntry,
    },
    wire::Header,
};

/// A frame. All access goes through [`Packet::at`] and [`Packet::at_mut`], which is the one place where the kernel's
/// verifier has to see a bound.
pub trait Packet {
    /// The header at `offset`, or `None` if the frame ends before it does.
    fn at<T: Header>(&self, offset: usize) -> Option<&T>;

    /// The same, to be changed.
    fn at_mut<T: Header>(&mut self, offset: usize) -> Option<&mut T>;

    /// Makes the frame `length` bytes long, cutting it or adding bytes of any value; `None` if it cannot be.
    fn resize(&mut self, length: usize) -> Option<()>;
}

/// Why an entry was not inserted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum InsertError {
    /// There is one with that key.
    Exists,
    /// The table is full.
    Full,
}

/// What a frontend counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stat {
    /// A packet from a client, translated.
    Forward,
    /// A packet from a target, translated.
    Reply,
    /// A flow that was made.
    NewFlow,
    /// A packet that was dropped.
    Drop,
}

/// What the agent wrote, and the flows. Rows are returned as copies: nothing may rely on their staying the same from
/// one look-up to the next.
pub trait Tables {
    /// The port with that interface index.
    fn port(&self, index: u32) -> Option<PortEntry>;
    /// What is at an address.
    fn address(&self, key: &AddressKey) -> Option<AddressEntry>;
    /// A frontend.
    fn frontend(&self, slot: u32) -> Option<FrontendEntry>;
    /// A listener.
    fn listener(&self, key: &ListenerKey) -> Option<ListenerEntry>;
    /// A target.
    fn target(&self, slot: u32) -> Option<TargetEntry>;
    /// An entry, below [`crate::abi::MAGLEV_SIZE`], of a Maglev table: a target's slot, 0 for none.
    fn maglev(&self, table: u32, entry: u32) -> Option<u16>;
    /// The seed of the flow hash.
    fn seed(&self) -> u64;

    /// Calls `change` with the flow entry of that key, if there is one. The entry may be shared with other CPUs.
    fn with_flow<R>(&mut self, key: &FlowKey, change: impl FnOnce(&mut FlowEntry) -> R) -> Option<R>;
    /// Adds an entry under a key that has none.
    ///
    /// # Errors
    /// When the key exists, or the table is full.
    fn insert_flow(&mut self, key: &FlowKey, entry: &FlowEntry) -> Result<(), InsertError>;
    /// Removes an entry, if there is one.
    fn remove_flow(&mut self, key: &FlowKey);

    /// Counts for a frontend; `bytes` only for packets.
    fn count(&mut self, frontend: u32, stat: Stat, bytes: u64);
}
