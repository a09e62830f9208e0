//! Packets of the small world, and what is expected of them.

use std::net::Ipv4Addr;

use plink_common::{abi::Counter, drop_reason::DropReason};
use plink_tests::{
    frame::{Ipv4Frame, Transport, flags},
    kernel::{KernelRunner, in_namespace},
    runner::{HostRunner, Ran, Runner, Verdict},
    world::{CLIENT, ENDPOINT, ENDPOINT_MAC, HOSTS, Host, LISTENER_PORT, ROUTER, TARGET_1, TARGET_2, World},
};

/// The client's source port.
pub(crate) const CLIENT_PORT: u16 = 40_000;

/// Runs a test on the host build, then on the loaded program.
pub(crate) fn on_both(test: impl Fn(&mut dyn Runner) + Send + Sync) {
    let world = World::new();
    test(&mut HostRunner::new(&world));
    in_namespace(|| test(&mut KernelRunner::new(&world)));
}

pub(crate) fn tcp(source: u16, destination: u16, flags: u8) -> Transport {
    let acknowledgement = if flags & flags::ACK != 0 { 2000 } else { 0 };
    Transport::Tcp { source, destination, flags, sequence: 1000, acknowledgement }
}

pub(crate) fn udp(source: u16, destination: u16) -> Transport {
    Transport::Udp { source, destination, checksum: true }
}

/// From a host, by way of its router.
pub(crate) fn from(host: &Host, destination: Ipv4Addr, transport: Transport) -> Ipv4Frame {
    Ipv4Frame::new((ROUTER, host.mac), (host.address, destination), transport)
}

/// From the client to the endpoint, with the MAC address that ARP gave it.
pub(crate) fn to_endpoint(transport: Transport) -> Ipv4Frame {
    Ipv4Frame::new((ENDPOINT_MAC, CLIENT.mac), (CLIENT.address, ENDPOINT), transport)
}

pub(crate) fn dropped(reason: DropReason, frame: &[u8]) -> Ran {
    Ran { verdict: Verdict::Drop, counter: Counter::drop_slot(reason), frame: frame.to_vec() }
}

/// Opens a flow from the client to the endpoint with this packet; the target it went to, and its source port there.
pub(crate) fn open(runner: &mut dyn Runner, packet: &Ipv4Frame) -> (Host, u16) {
    let ran = runner.run(CLIENT.port, &packet.build());
    assert_eq!((ran.verdict, ran.counter), (Verdict::Redirect, Counter::Translated as u32), "{}", runner.name());
    (receiver(&ran.frame), source_port(&ran.frame))
}

/// The source port of a TCP or UDP frame, behind options too.
pub(crate) fn source_port(frame: &[u8]) -> u16 {
    let transport = 14 + usize::from(frame[14] & 0xf) * 4;
    u16::from_be_bytes([frame[transport], frame[transport + 1]])
}

/// Opens a TCP flow.
pub(crate) fn open_tcp(runner: &mut dyn Runner) -> (Host, u16) {
    open(runner, &to_endpoint(tcp(CLIENT_PORT, LISTENER_PORT, flags::SYN)))
}

/// Whose MAC address a frame is for.
pub(crate) fn receiver(frame: &[u8]) -> Host {
    *HOSTS.iter().find(|host| host.mac == frame[..6]).unwrap_or_else(|| panic!("for nobody: {frame:02x?}"))
}

pub(crate) fn is_target(host: &Host) -> bool {
    [TARGET_1, TARGET_2].contains(host)
}
