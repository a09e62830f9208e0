//! A small world, as rows: a provider's VPC with two targets, a consumer's and a stranger's VPC with the same CIDR and
//! the same addresses, an endpoint in the consumer's VPC and a load balancer node in the provider's.

use std::net::Ipv4Addr;

use plink_common::{
    abi::{
        AddressEntry, AddressKey, AddressKind, Be16, FrontendEntry, FrontendKind, FrontendState, ListenerEntry,
        ListenerKey, Mac, MaglevTable, PortEntry, ROUTER_MAC, TargetEntry,
    },
    maglev::{self, Member},
};

/// An interface of the world.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Host {
    /// The interface index of its hub side.
    pub port: u32,
    /// Its VPC's number.
    pub vpc: u32,
    /// Its address.
    pub address: Ipv4Addr,
    /// Its MAC address.
    pub mac: [u8; 6],
}

const fn host(port: u32, vpc: u32, address: [u8; 4]) -> Host {
    let [a, b, c, d] = address;
    Host { port, vpc, address: Ipv4Addr::new(a, b, c, d), mac: [0x02, 0, 0, 0, vpc as u8, port as u8] }
}

/// The provider's VPC.
pub const PROVIDER: u32 = 0x1001;
/// The consumer's VPC.
pub const CONSUMER: u32 = 0x1002;
/// A VPC with no endpoint.
pub const STRANGER: u32 = 0x1003;

/// A client in the consumer's VPC.
pub const CLIENT: Host = host(11, CONSUMER, [10, 0, 1, 10]);
/// Another one, in another subnet.
pub const CLIENT_B: Host = host(12, CONSUMER, [10, 0, 2, 10]);
/// The first target; its address is the client's.
pub const TARGET_1: Host = host(21, PROVIDER, [10, 0, 1, 10]);
/// The second target.
pub const TARGET_2: Host = host(22, PROVIDER, [10, 0, 1, 11]);
/// An instance of the provider that is no target.
pub const NEIGHBOUR: Host = host(23, PROVIDER, [10, 0, 1, 12]);
/// An instance of the stranger; its address is the client's too.
pub const OUTSIDER: Host = host(31, STRANGER, [10, 0, 1, 10]);
/// All interfaces.
pub const HOSTS: [Host; 6] = [CLIENT, CLIENT_B, TARGET_1, TARGET_2, NEIGHBOUR, OUTSIDER];

/// The endpoint's address.
pub const ENDPOINT: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 100);
/// The endpoint's MAC address.
pub const ENDPOINT_MAC: [u8; 6] = [0x02, 0, 0, 0, 0xee, 1];
/// The endpoint's frontend slot.
pub const ENDPOINT_SLOT: u32 = 1;
/// The load balancer node's address.
pub const NODE: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 200);
/// The load balancer node's MAC address.
pub const NODE_MAC: [u8; 6] = [0x02, 0, 0, 0, 0xee, 2];
/// The load balancer's frontend slot.
pub const NODE_SLOT: u32 = 2;
/// The listeners' port, for TCP and UDP.
pub const LISTENER_PORT: u16 = 80;
/// The targets' port.
pub const TARGET_PORT: u16 = 8080;
/// The router's MAC address.
pub const ROUTER: [u8; 6] = ROUTER_MAC.octets();

const SERVICE_SET: u32 = 0x8000_0008;
const NODE_SET: u32 = 16;
const TABLE: u32 = 8;
/// The seed of the flow hash.
pub const SEED: u64 = 0x5eed;

/// Rows to be written into tables, of the host or of the kernel.
#[derive(Clone, Debug)]
pub struct World {
    /// `PORTS`.
    pub ports: Vec<(u32, PortEntry)>,
    /// `ADDRESSES`.
    pub addresses: Vec<(AddressKey, AddressEntry)>,
    /// `FRONTENDS`.
    pub frontends: Vec<(u32, FrontendEntry)>,
    /// `LISTENERS`.
    pub listeners: Vec<(ListenerKey, ListenerEntry)>,
    /// `TARGETS`.
    pub targets: Vec<(u32, TargetEntry)>,
    /// `MAGLEV`.
    pub maglev: Vec<(u32, Box<MaglevTable>)>,
}

impl World {
    /// The world with its endpoint available.
    #[must_use]
    pub fn new() -> Self {
        let mut addresses: Vec<_> = HOSTS.iter().map(host_address).collect();
        addresses.push(frontend_address(CONSUMER, ENDPOINT, ENDPOINT_MAC, ENDPOINT_SLOT, SERVICE_SET));
        addresses.push(frontend_address(PROVIDER, NODE, NODE_MAC, NODE_SLOT, NODE_SET));
        let targets: Vec<_> = [(1, TARGET_1), (2, TARGET_2)].map(|(slot, host)| (slot, target(slot, &host))).to_vec();
        let members: Vec<_> =
            targets.iter().map(|(slot, _)| Member { identity: u64::from(*slot), slot: *slot as u16 }).collect();
        Self {
            ports: HOSTS.iter().map(|host| (host.port, port(host))).collect(),
            addresses,
            frontends: vec![
                (ENDPOINT_SLOT, frontend(501, FrontendKind::Endpoint)),
                (NODE_SLOT, frontend(502, FrontendKind::LoadBalancer)),
            ],
            listeners: [SERVICE_SET, NODE_SET]
                .into_iter()
                .flat_map(|set| [listener(set, 6), listener(set, 17)])
                .collect(),
            targets,
            maglev: vec![(TABLE, maglev::build(&members))],
        }
    }
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

/// The endpoint's row after a reject: closed, with a new generation.
#[must_use]
pub fn closed(generation: u32) -> FrontendEntry {
    FrontendEntry { generation, state: FrontendState::Closed as u16, kind: FrontendKind::Endpoint as u16 }
}

/// An open row of the endpoint.
#[must_use]
pub fn open(generation: u32) -> FrontendEntry {
    frontend(generation, FrontendKind::Endpoint)
}

fn frontend(generation: u32, kind: FrontendKind) -> FrontendEntry {
    FrontendEntry { generation, state: FrontendState::Open as u16, kind: kind as u16 }
}

/// A host's port.
#[must_use]
pub fn port(host: &Host) -> PortEntry {
    let network = Ipv4Addr::from(u32::from(host.address) & 0xffff_ff00);
    PortEntry {
        vpc: host.vpc,
        generation: 100 + host.port,
        address: host.address.into(),
        network: network.into(),
        mask: Ipv4Addr::new(255, 255, 255, 0).into(),
        router: Ipv4Addr::from(u32::from(network) + 1).into(),
        mac: Mac::new(host.mac),
        mtu: 8500,
    }
}

fn host_address(host: &Host) -> (AddressKey, AddressEntry) {
    (
        AddressKey { vpc: host.vpc, address: host.address.into() },
        AddressEntry { kind: AddressKind::Instance as u16, mac: Mac::new(host.mac), slot: host.port, listener_set: 0 },
    )
}

fn frontend_address(vpc: u32, address: Ipv4Addr, mac: [u8; 6], slot: u32, set: u32) -> (AddressKey, AddressEntry) {
    (
        AddressKey { vpc, address: address.into() },
        AddressEntry { kind: AddressKind::Frontend as u16, mac: Mac::new(mac), slot, listener_set: set },
    )
}

fn target(slot: u32, host: &Host) -> TargetEntry {
    TargetEntry {
        generation: 900 + slot,
        address: host.address.into(),
        port: Be16::new(TARGET_PORT),
        zero: 0,
        out_port: host.port,
    }
}

fn listener(set: u32, protocol: u8) -> (ListenerKey, ListenerEntry) {
    let idle_timeout_s = if protocol == 6 { 350 } else { 120 };
    (
        ListenerKey { set, port: Be16::new(LISTENER_PORT), protocol, zero: 0 },
        ListenerEntry { table: TABLE, source: NODE.into(), source_set: NODE_SET, idle_timeout_s },
    )
}
