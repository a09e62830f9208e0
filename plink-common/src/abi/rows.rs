//! Rows that the agent writes and the packet path only reads.
//!
//! A *slot* is an index into an array map, chosen by the agent. Slots are reused; a *generation* never is: it comes
//! from one counter of the agent's store, so that (slot, generation) names one object for good, and a flow that was
//! made for an earlier object in the same slot no longer matches.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::{Be16, Be32, Mac};

/// `PORTS`, by the interface index of the hub side: whose traffic enters there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct PortEntry {
    /// The VPC's number; 0 marks a slot without a port.
    pub vpc: u32,
    /// See the module's text; compared by every flow that leaves through this port.
    pub generation: u32,
    /// The only IPv4 source address that may enter here.
    pub address: Be32,
    /// The subnet's network address.
    pub network: Be32,
    /// The subnet's mask.
    pub mask: Be32,
    /// The subnet's router address (base + 1).
    pub router: Be32,
    /// The only source MAC address that may enter here, and the destination MAC of what leaves here.
    pub mac: Mac,
    /// The MTU of the port, in bytes of the IP packet.
    pub mtu: u16,
}
const _: () = assert!(size_of::<PortEntry>() == 32);

/// Key of `ADDRESSES`: every address that exists in a VPC.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct AddressKey {
    /// The VPC's number.
    pub vpc: u32,
    /// The address.
    pub address: Be32,
}
const _: () = assert!(size_of::<AddressKey>() == 8);

/// What is at an address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u16)]
pub enum AddressKind {
    /// An instance's network interface: `slot` is its port.
    Instance = 1,
    /// An interface endpoint's or a load balancer node's network interface: `slot` is the frontend.
    Frontend = 2,
}

/// Value of `ADDRESSES`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct AddressEntry {
    /// An [`AddressKind`]; anything else is treated as an address that does not exist.
    pub kind: u16,
    /// The MAC address that ARP answers.
    pub mac: Mac,
    /// The port or the frontend, by `kind`.
    pub slot: u32,
    /// For a frontend: the set of listeners that answer at this address, the first part of a [`ListenerKey`].
    pub listener_set: u32,
}
const _: () = assert!(size_of::<AddressEntry>() == 16);

/// What clients address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u16)]
pub enum FrontendKind {
    /// An interface endpoint.
    Endpoint = 1,
    /// A load balancer, addressed from inside its own VPC.
    LoadBalancer = 2,
}

/// Whether a frontend takes traffic.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u16)]
pub enum FrontendState {
    /// No packet passes. Also the state of a slot that is free.
    Closed = 0,
    /// Listeners answer.
    Open = 1,
}

/// `FRONTENDS`, by slot: the door between two VPCs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct FrontendEntry {
    /// Changes whenever the door closes or opens, so that an established flow needs only this comparison. 0 in a free
    /// slot, which no flow holds.
    pub generation: u32,
    /// A [`FrontendState`].
    pub state: u16,
    /// A [`FrontendKind`]; 0 in a free slot.
    pub kind: u16,
}
const _: () = assert!(size_of::<FrontendEntry>() == 8);

/// Key of `LISTENERS`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ListenerKey {
    /// The listener set of the address, see [`AddressEntry::listener_set`].
    pub set: u32,
    /// The destination port.
    pub port: Be16,
    /// The IP protocol, 6 or 17.
    pub protocol: u8,
    /// Always 0.
    pub zero: u8,
}
const _: () = assert!(size_of::<ListenerKey>() == 8);

/// Value of `LISTENERS`: what a new flow needs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ListenerEntry {
    /// The slot of the Maglev table in `MAGLEV`.
    pub table: u32,
    /// The load balancer node's address: the source address that targets see.
    pub source: Be32,
    /// The listener set of that node, whose ports are not handed out as source ports.
    pub source_set: u32,
    /// Idle time after which a flow is forgotten, in seconds.
    pub idle_timeout_s: u32,
}
const _: () = assert!(size_of::<ListenerEntry>() == 16);

/// `TARGETS`, by slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct TargetEntry {
    /// Of the registration; 0 in a free slot, which no flow holds.
    pub generation: u32,
    /// The target's address.
    pub address: Be32,
    /// The target's port.
    pub port: Be16,
    /// Always 0.
    pub zero: u16,
    /// The port (in `PORTS` and `DEVICES`) that leads to the target.
    pub out_port: u32,
}
const _: () = assert!(size_of::<TargetEntry>() == 16);
