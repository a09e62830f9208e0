//! Single packets: description, what enters, what comes out.

use std::net::Ipv4Addr;

use plink_common::{abi::Counter, drop_reason::DropReason};
use plink_tests::{
    frame::{Ipv4Frame, Transport, arp, flags},
    runner::{Ran, Runner, Verdict},
    world::{
        CLIENT, CLIENT_B, ENDPOINT, ENDPOINT_MAC, ENDPOINT_SLOT, Host, LISTENER_PORT, NEIGHBOUR, NODE, NODE_MAC,
        OUTSIDER, ROUTER, TARGET_1, TARGET_2, TARGET_PORT, closed,
    },
};

use crate::support::{CLIENT_PORT, dropped, from, on_both, tcp, to_endpoint, udp};

struct Fixture {
    what: &'static str,
    enters: Host,
    frame: Vec<u8>,
    expected: Ran,
}

fn fixture(what: &'static str, enters: Host, frame: Vec<u8>, expected: Ran) -> Fixture {
    Fixture { what, enters, frame, expected }
}

fn drops(what: &'static str, enters: Host, frame: Vec<u8>, reason: DropReason) -> Fixture {
    let expected = dropped(reason, &frame);
    Fixture { what, enters, frame, expected }
}

fn check(fixtures: &[Fixture]) {
    on_both(|runner| fixtures.iter().for_each(|fixture| check_one(runner, fixture)));
}

fn check_one(runner: &mut dyn Runner, fixture: &Fixture) {
    let ran = runner.run(fixture.enters.port, &fixture.frame);
    assert_eq!(ran, fixture.expected, "{} ({})", fixture.what, runner.name());
}

fn answered(frame: Vec<u8>) -> Ran {
    Ran { verdict: Verdict::Transmit, counter: Counter::Answered as u32, frame }
}

fn delivered(frame: Vec<u8>) -> Ran {
    Ran { verdict: Verdict::Redirect, counter: Counter::Delivered as u32, frame }
}

fn reset(reason: DropReason, frame: Vec<u8>) -> Ran {
    Ran { verdict: Verdict::Transmit, counter: Counter::drop_slot(reason), frame }
}

const BROADCAST: [u8; 6] = [0xff; 6];
const NOBODY: [u8; 6] = [0; 6];

fn who_has(host: &Host, wanted: Ipv4Addr) -> Vec<u8> {
    arp((BROADCAST, host.mac), 1, (host.mac, host.address), (NOBODY, wanted))
}

fn is_at(host: &Host, wanted: Ipv4Addr, mac: [u8; 6]) -> Vec<u8> {
    arp((host.mac, mac), 2, (mac, wanted), (host.mac, host.address))
}

#[test]
fn arp_is_answered_for_what_exists_in_the_subnet_and_never_flooded() {
    let router = Ipv4Addr::new(10, 0, 1, 1);
    let missing = Ipv4Addr::new(10, 0, 1, 77);
    let mut reply_operation = who_has(&CLIENT, router);
    reply_operation[21] = 2;
    check(&[
        fixture("the router", CLIENT, who_has(&CLIENT, router), answered(is_at(&CLIENT, router, ROUTER))),
        fixture("the endpoint", CLIENT, who_has(&CLIENT, ENDPOINT), answered(is_at(&CLIENT, ENDPOINT, ENDPOINT_MAC))),
        fixture("the node", TARGET_1, who_has(&TARGET_1, NODE), answered(is_at(&TARGET_1, NODE, NODE_MAC))),
        fixture(
            "another instance",
            TARGET_1,
            who_has(&TARGET_1, TARGET_2.address),
            answered(is_at(&TARGET_1, TARGET_2.address, TARGET_2.mac)),
        ),
        drops("what does not exist", CLIENT, who_has(&CLIENT, missing), DropReason::ArpUnknownAddress),
        drops("what exists in another VPC", OUTSIDER, who_has(&OUTSIDER, ENDPOINT), DropReason::ArpUnknownAddress),
        drops("another subnet", CLIENT, who_has(&CLIENT, CLIENT_B.address), DropReason::ArpUnknownAddress),
        drops("oneself", CLIENT, who_has(&CLIENT, CLIENT.address), DropReason::UnsupportedArp),
        drops("a reply", CLIENT, reply_operation, DropReason::UnsupportedArp),
        drops(
            "with another's address",
            CLIENT,
            arp((BROADCAST, CLIENT.mac), 1, (CLIENT.mac, ENDPOINT), (NOBODY, router)),
            DropReason::SpoofedAddress,
        ),
        drops(
            "with another's MAC address",
            CLIENT,
            arp((BROADCAST, CLIENT.mac), 1, (ENDPOINT_MAC, CLIENT.address), (NOBODY, router)),
            DropReason::SpoofedMac,
        ),
        drops("cut short", CLIENT, who_has(&CLIENT, router)[..40].to_vec(), DropReason::Malformed),
    ]);
}

#[test]
fn a_probe_for_a_taken_address_is_answered() {
    let any = Ipv4Addr::UNSPECIFIED;
    let probe = arp((BROADCAST, CLIENT.mac), 1, (CLIENT.mac, any), (NOBODY, ENDPOINT));
    let reply = arp((CLIENT.mac, ENDPOINT_MAC), 2, (ENDPOINT_MAC, ENDPOINT), (CLIENT.mac, any));
    check(&[fixture("a probe", CLIENT, probe, answered(reply))]);
}

#[test]
fn what_is_not_the_ports_own_is_dropped() {
    let packet = || from(&CLIENT, CLIENT_B.address, udp(1, 2));
    let mut mac = packet();
    mac.mac.1 = TARGET_1.mac;
    let mut address = packet();
    address.address.0 = CLIENT_B.address;
    let mut none = packet();
    none.address.0 = Ipv4Addr::UNSPECIFIED;
    check(&[
        drops("another's MAC address", CLIENT, mac.build(), DropReason::SpoofedMac),
        drops("another's address", CLIENT, address.build(), DropReason::SpoofedAddress),
        drops("no address, as in DHCP", CLIENT, none.build(), DropReason::SpoofedAddress),
    ]);
}

#[test]
fn other_kinds_of_frames_are_dropped_by_reason() {
    let of = |ethertype: [u8; 2]| {
        let mut frame = from(&CLIENT, CLIENT_B.address, udp(1, 2)).build();
        frame[12..14].copy_from_slice(&ethertype);
        frame
    };
    let mut group = from(&CLIENT, CLIENT_B.address, udp(1, 2));
    group.mac.0 = BROADCAST;
    let to = |address: [u8; 4]| from(&CLIENT, address.into(), udp(1, 2)).build();
    check(&[
        drops("IPv6", CLIENT, of([0x86, 0xdd]), DropReason::Ipv6),
        drops("a VLAN tag", CLIENT, of([0x81, 0x00]), DropReason::VlanTag),
        drops("a service VLAN tag", CLIENT, of([0x88, 0xa8]), DropReason::VlanTag),
        drops("LLDP", CLIENT, of([0x88, 0xcc]), DropReason::UnsupportedEthertype),
        drops("a broadcast frame", CLIENT, group.build(), DropReason::GroupDestination),
        drops("multicast", CLIENT, to([224, 0, 0, 251]), DropReason::GroupDestination),
        drops("the limited broadcast", CLIENT, to([255, 255, 255, 255]), DropReason::GroupDestination),
        drops("the subnet's broadcast", CLIENT, to([10, 0, 1, 255]), DropReason::GroupDestination),
        drops("the router itself", CLIENT, to([10, 0, 1, 1]), DropReason::RouterAddress),
        drops("an address that does not exist", CLIENT, to([10, 0, 1, 77]), DropReason::NoRoute),
        drops("an address outside", CLIENT, to([192, 0, 2, 1]), DropReason::NoRoute),
        drops("the provider's node", CLIENT, to(NODE.octets()), DropReason::NoRoute),
        drops("a provider's instance", CLIENT, to(TARGET_2.address.octets()), DropReason::NoRoute),
    ]);
}

#[test]
fn headers_that_contradict_themselves_are_malformed() {
    let good = to_endpoint(tcp(CLIENT_PORT, LISTENER_PORT, flags::SYN)).build();
    let with = |offset: usize, bytes: &[u8]| {
        let mut frame = good.clone();
        frame[offset..offset + bytes.len()].copy_from_slice(bytes);
        frame
    };
    check(&[
        drops("version 6", CLIENT, with(14, &[0x65]), DropReason::Malformed),
        drops("a header of 16 bytes", CLIENT, with(14, &[0x44]), DropReason::Malformed),
        drops("a header longer than the packet", CLIENT, with(14, &[0x4f]), DropReason::Malformed),
        drops("a packet shorter than its header", CLIENT, with(16, &[0, 19]), DropReason::Malformed),
    ]);
}

#[test]
fn instances_of_a_vpc_reach_each_other() {
    let packet = from(&CLIENT, CLIENT_B.address, udp(1000, 2000)).payload(b"hello");
    let mut routed = packet.clone();
    routed.mac = (CLIENT_B.mac, ROUTER);
    let near =
        Ipv4Frame::new((NEIGHBOUR.mac, TARGET_1.mac), (TARGET_1.address, NEIGHBOUR.address), tcp(1, 2, flags::SYN));
    let mut fragment = packet.clone();
    fragment.fragment = 0x2000;
    let mut routed_fragment = fragment.clone();
    routed_fragment.mac = routed.mac;
    let ping = from(&CLIENT, CLIENT_B.address, Transport::Icmp { kind: 8, code: 0, rest: [0; 4] });
    let mut routed_ping = ping.clone();
    routed_ping.mac = routed.mac;
    check(&[
        fixture("between subnets", CLIENT, packet.build(), delivered(routed.build())),
        fixture("inside a subnet", TARGET_1, near.build(), delivered(near.build())),
        fixture("a fragment", CLIENT, fragment.build(), delivered(routed_fragment.build())),
        fixture("a ping", CLIENT, ping.build(), delivered(routed_ping.build())),
    ]);
}

#[test]
fn an_echo_request_to_the_endpoint_is_answered() {
    let echo = |kind| Transport::Icmp { kind, code: 0, rest: [0x12, 0x34, 0, 1] };
    let request = to_endpoint(echo(8)).payload(b"0123456789abcdef");
    let mut reply = request.clone();
    (reply.mac, reply.address, reply.transport) = ((CLIENT.mac, ENDPOINT_MAC), (ENDPOINT, CLIENT.address), echo(0));
    let mut options = request.clone();
    options.options = vec![1; 8];
    let mut options_reply = reply.clone();
    options_reply.options = vec![1; 8];
    let other = to_endpoint(Transport::Icmp { kind: 13, code: 0, rest: [0; 4] }).build();
    let mut node = from(&TARGET_1, NODE, echo(8));
    node.mac.0 = NODE_MAC;
    check(&[
        fixture("a ping", CLIENT, request.build(), answered(reply.build())),
        fixture("with options", CLIENT, options.build(), answered(options_reply.build())),
        drops("another type", CLIENT, other, DropReason::UnsupportedProtocol),
        drops("a ping to the node", TARGET_1, node.build(), DropReason::UnsupportedProtocol),
        drops("another protocol", CLIENT, to_endpoint(Transport::Other(47)).build(), DropReason::UnsupportedProtocol),
    ]);
}

#[test]
fn a_closed_endpoint_answers_nothing() {
    on_both(|runner| {
        runner.set_frontend(ENDPOINT_SLOT, closed(600));
        let ping = to_endpoint(Transport::Icmp { kind: 8, code: 0, rest: [0; 4] }).build();
        check_one(runner, &drops("a ping", CLIENT, ping, DropReason::EndpointUnavailable));
        let syn = to_endpoint(tcp(CLIENT_PORT, LISTENER_PORT, flags::SYN)).build();
        check_one(runner, &drops("a SYN", CLIENT, syn, DropReason::EndpointUnavailable));
        let datagram = to_endpoint(udp(CLIENT_PORT, LISTENER_PORT)).build();
        check_one(runner, &drops("a datagram", CLIENT, datagram, DropReason::EndpointUnavailable));
        assert_eq!(runner.stats(ENDPOINT_SLOT).drops, 3);
        assert!(runner.flows().is_empty());
    });
}

#[test]
fn only_listeners_answer() {
    let syn = |port| to_endpoint(tcp(CLIENT_PORT, port, flags::SYN)).build();
    let mut fragment = to_endpoint(udp(CLIENT_PORT, LISTENER_PORT)).payload(&[7; 32]);
    fragment.fragment = 0x2000;
    check(&[
        drops("no listener", CLIENT, syn(81), DropReason::NoListener),
        drops("the targets' port", CLIENT, syn(TARGET_PORT), DropReason::NoListener),
        drops("UDP, no listener", CLIENT, to_endpoint(udp(1, 54)).build(), DropReason::NoListener),
        drops("a fragment", CLIENT, fragment.build(), DropReason::Fragment),
    ]);
}

#[test]
fn a_tcp_packet_that_opens_nothing_is_answered_by_a_reset() {
    let answer = |flags, sequence, acknowledgement| {
        let transport =
            Transport::Tcp { source: LISTENER_PORT, destination: CLIENT_PORT, flags, sequence, acknowledgement };
        let mut frame = Ipv4Frame::new((CLIENT.mac, ENDPOINT_MAC), (ENDPOINT, CLIENT.address), transport);
        frame.identification = 0;
        frame.build()
    };
    let packet = |flags| to_endpoint(tcp(CLIENT_PORT, LISTENER_PORT, flags));
    let mut options = packet(flags::ACK).payload(b"data");
    options.options = vec![1; 4];
    let unknown = DropReason::UnknownFlow;
    check(&[
        fixture(
            "data",
            CLIENT,
            packet(flags::ACK).payload(b"data").build(),
            reset(unknown, answer(flags::RST, 2000, 0)),
        ),
        fixture("with options", CLIENT, options.build(), reset(unknown, answer(flags::RST, 2000, 0))),
        fixture(
            "SYN and ACK",
            CLIENT,
            packet(flags::SYN | flags::ACK).build(),
            reset(unknown, answer(flags::RST, 2000, 0)),
        ),
        fixture(
            "a FIN without ACK",
            CLIENT,
            packet(flags::FIN).payload(b"data").build(),
            reset(unknown, answer(flags::RST | flags::ACK, 0, 1005)),
        ),
        drops("a RST", CLIENT, packet(flags::RST).build(), unknown),
    ]);
}
