//! Flows: made, followed in both directions, cut, expired, made anew.

use std::collections::{HashMap, HashSet};

use plink_common::{
    abi::{Counter, FlowDirection, FlowFlags, TargetEntry},
    drop_reason::DropReason,
};
use plink_tests::{
    frame::{Ipv4Frame, Transport, flags, verify_checksums},
    runner::{FLOW_ENTRIES, Ran, Runner, Verdict},
    world::{
        CLIENT, ENDPOINT, ENDPOINT_SLOT, Host, LISTENER_PORT, NEIGHBOUR, NODE, NODE_MAC, NODE_SLOT, OUTSIDER, ROUTER,
        TARGET_1, TARGET_2, TARGET_PORT, closed, open as open_row,
    },
};

use crate::support::{
    CLIENT_PORT, dropped, from, is_target, on_both, open, open_tcp, receiver, source_port, tcp, to_endpoint, udp,
};

fn translated(frame: &Ipv4Frame) -> Ran {
    Ran { verdict: Verdict::Redirect, counter: Counter::Translated as u32, frame: frame.build() }
}

/// A client's packet as the target gets it.
fn at_target(packet: &Ipv4Frame, target: &Host, source_port: u16) -> Ipv4Frame {
    let mut frame = packet.clone();
    (frame.mac, frame.address) = ((target.mac, ROUTER), (NODE, target.address));
    set_ports(&mut frame, source_port, TARGET_PORT);
    frame
}

/// A target's answer as it leaves the target.
fn answer(target: &Host, source_port: u16, transport: Transport) -> Ipv4Frame {
    let mut frame = Ipv4Frame::new((NODE_MAC, target.mac), (target.address, NODE), transport);
    set_ports(&mut frame, TARGET_PORT, source_port);
    frame
}

/// The same as the client gets it.
fn at_client(packet: &Ipv4Frame) -> Ipv4Frame {
    let mut frame = packet.clone();
    (frame.mac, frame.address) = ((CLIENT.mac, ROUTER), (ENDPOINT, CLIENT.address));
    set_ports(&mut frame, LISTENER_PORT, CLIENT_PORT);
    frame
}

fn set_ports(frame: &mut Ipv4Frame, from: u16, to: u16) {
    match &mut frame.transport {
        Transport::Tcp { source, destination, .. } | Transport::Udp { source, destination, .. } => {
            (*source, *destination) = (from, to);
        }
        other => panic!("no ports in {other:?}"),
    }
}

#[track_caller]
fn expect(runner: &mut dyn Runner, host: &Host, packet: &Ipv4Frame, expected: &Ran) {
    let ran = runner.run(host.port, &packet.build());
    assert_eq!(&ran, expected, "{}", runner.name());
    verify_checksums(&ran.frame).unwrap();
}

#[track_caller]
fn expect_reset(runner: &mut dyn Runner, host: &Host, packet: &Ipv4Frame, reason: DropReason) {
    let ran = runner.run(host.port, &packet.build());
    assert_eq!((ran.verdict, ran.counter), (Verdict::Transmit, Counter::drop_slot(reason)), "{}", runner.name());
    assert_eq!((&ran.frame[..6], ran.frame.len()), (host.mac.as_slice(), 54), "a RST to its sender");
    assert_ne!(ran.frame[47] & flags::RST, 0, "a RST");
    verify_checksums(&ran.frame).unwrap();
}

#[test]
fn a_tcp_flow_is_translated_both_ways_and_back() {
    on_both(|runner| {
        let (target, source_port) = open_tcp(runner);
        assert!(is_target(&target) && source_port >= 1024);
        let data = to_endpoint(tcp(CLIENT_PORT, LISTENER_PORT, flags::ACK | flags::PSH)).payload(b"GET / HTTP/1.1");
        expect(runner, &CLIENT, &data, &translated(&at_target(&data, &target, source_port)));
        let reply = answer(&target, source_port, tcp(0, 0, flags::ACK)).payload(b"HTTP/1.1 200 OK!");
        expect(runner, &target, &reply, &translated(&at_client(&reply)));

        let stats = runner.stats(ENDPOINT_SLOT);
        assert_eq!((stats.new_flows, stats.forward_packets, stats.reply_packets, stats.drops), (1, 2, 1, 0));
        assert_eq!((stats.forward_bytes, stats.reply_bytes), (40 + 54, 56));
        assert_eq!(runner.flows().len(), 2);
    });
}

#[test]
fn a_udp_flow_is_translated_both_ways_with_and_without_a_checksum() {
    for checksum in [true, false] {
        on_both(|runner| {
            let transport = |source, destination| Transport::Udp { source, destination, checksum };
            let query = to_endpoint(transport(CLIENT_PORT, LISTENER_PORT)).payload(b"query");
            let (target, source_port) = open(runner, &query);
            expect(runner, &CLIENT, &query, &translated(&at_target(&query, &target, source_port)));
            let reply = answer(&target, source_port, transport(0, 0)).payload(b"an odd answer");
            expect(runner, &target, &reply, &translated(&at_client(&reply)));
        });
    }
}

#[test]
fn options_and_fields_that_are_not_translated_stay() {
    on_both(|runner| {
        let mut packet = to_endpoint(udp(CLIENT_PORT, LISTENER_PORT)).payload(b"x");
        packet.options = vec![1; 12];
        packet.time_to_live = 3;
        packet.identification = 0xbeef;
        let (target, source_port) = open(runner, &packet);
        expect(runner, &CLIENT, &packet, &translated(&at_target(&packet, &target, source_port)));
    });
}

#[test]
fn the_load_balancers_own_address_serves_its_vpc() {
    on_both(|runner| {
        let mut request = from(&NEIGHBOUR, NODE, tcp(50_000, LISTENER_PORT, flags::SYN));
        request.mac.0 = NODE_MAC;
        let ran = runner.run(NEIGHBOUR.port, &request.build());
        assert_eq!((ran.verdict, ran.counter), (Verdict::Redirect, Counter::Translated as u32));
        let (target, source_port) = (receiver(&ran.frame), source_port(&ran.frame));
        assert_eq!(ran.frame, at_target(&request, &target, source_port).build());

        let reply = answer(&target, source_port, tcp(0, 0, flags::SYN | flags::ACK));
        let mut expected = reply.clone();
        (expected.mac, expected.address) = ((NEIGHBOUR.mac, ROUTER), (NODE, NEIGHBOUR.address));
        set_ports(&mut expected, LISTENER_PORT, 50_000);
        expect(runner, &target, &reply, &translated(&expected));
        assert_eq!((runner.stats(NODE_SLOT).new_flows, runner.stats(ENDPOINT_SLOT).new_flows), (1, 0));
    });
}

#[test]
fn a_target_reaches_itself_through_its_load_balancer() {
    on_both(|runner| {
        let mut seen = HashSet::new();
        for port in 50_000..50_032 {
            let mut request = from(&TARGET_1, NODE, tcp(port, LISTENER_PORT, flags::SYN));
            request.mac.0 = NODE_MAC;
            let ran = runner.run(TARGET_1.port, &request.build());
            assert_eq!(ran.verdict, Verdict::Redirect);
            assert_eq!(ran.frame[26..30], NODE.octets(), "never its own address as the source");
            seen.insert(receiver(&ran.frame).port);
        }
        assert_eq!(seen, HashSet::from([TARGET_1.port, TARGET_2.port]));
    });
}

#[test]
fn a_reject_cuts_established_flows_and_tells_both_ends() {
    on_both(|runner| {
        let (target, source_port) = open_tcp(runner);
        runner.set_frontend(ENDPOINT_SLOT, closed(600));
        let data = to_endpoint(tcp(CLIENT_PORT, LISTENER_PORT, flags::ACK)).payload(b"more");
        expect_reset(runner, &CLIENT, &data, DropReason::EndpointRevoked);
        let reply = answer(&target, source_port, tcp(0, 0, flags::ACK)).payload(b"late");
        expect_reset(runner, &target, &reply, DropReason::EndpointRevoked);
        let syn = to_endpoint(tcp(CLIENT_PORT, LISTENER_PORT, flags::SYN)).build();
        assert_eq!(runner.run(CLIENT.port, &syn), dropped(DropReason::EndpointUnavailable, &syn));
    });
}

#[test]
fn after_an_accept_again_the_same_ports_open_a_new_flow() {
    on_both(|runner| {
        open_tcp(runner);
        runner.set_frontend(ENDPOINT_SLOT, closed(600));
        runner.set_frontend(ENDPOINT_SLOT, open_row(601));
        let data = to_endpoint(tcp(CLIENT_PORT, LISTENER_PORT, flags::ACK)).payload(b"more");
        expect_reset(runner, &CLIENT, &data, DropReason::EndpointRevoked);
        let (target, source_port) = open_tcp(runner);
        assert_eq!(runner.flows().len(), 2, "the old entries are gone");
        expect(runner, &CLIENT, &data, &translated(&at_target(&data, &target, source_port)));
    });
}

#[test]
fn datagrams_of_a_cut_flow_decide_afresh() {
    on_both(|runner| {
        let query = to_endpoint(udp(CLIENT_PORT, LISTENER_PORT)).payload(b"query");
        let (target, source_port) = open(runner, &query);
        runner.set_frontend(ENDPOINT_SLOT, closed(600));
        let reply = answer(&target, source_port, udp(0, 0));
        assert_eq!(runner.run(target.port, &reply.build()), dropped(DropReason::EndpointRevoked, &reply.build()));
        let frame = query.build();
        assert_eq!(runner.run(CLIENT.port, &frame), dropped(DropReason::EndpointUnavailable, &frame));
        assert!(runner.flows().is_empty());
        runner.set_frontend(ENDPOINT_SLOT, open_row(601));
        open(runner, &query);
    });
}

#[test]
fn a_removed_target_gets_nothing_more_and_the_other_keeps_its_flows() {
    on_both(|runner| {
        let flows: Vec<(u16, Host, u16)> = (CLIENT_PORT..CLIENT_PORT + 32)
            .map(|port| {
                let (target, source_port) = open(runner, &to_endpoint(tcp(port, LISTENER_PORT, flags::SYN)));
                (port, target, source_port)
            })
            .collect();
        runner.set_target(1, TargetEntry::default());
        for (port, target, source_port) in flows {
            let data = to_endpoint(tcp(port, LISTENER_PORT, flags::ACK)).payload(b"more");
            if target == TARGET_1 {
                expect_reset(runner, &CLIENT, &data, DropReason::TargetRemoved);
                let late = answer(&target, source_port, tcp(0, 0, flags::ACK));
                expect_reset(runner, &target, &late, DropReason::TargetRemoved);
            } else {
                expect(runner, &CLIENT, &data, &translated(&at_target(&data, &target, source_port)));
            }
        }
    });
}

#[test]
fn flows_are_spread_over_the_targets_and_stay() {
    on_both(|runner| {
        let mut counts: HashMap<u32, u32> = HashMap::new();
        for port in 20_000..20_200 {
            let packet = to_endpoint(udp(port, LISTENER_PORT));
            let (first, _) = open(runner, &packet);
            let (second, _) = open(runner, &packet);
            assert_eq!(first, second);
            *counts.entry(first.port).or_default() += 1;
        }
        assert!(counts[&TARGET_1.port] > 60 && counts[&TARGET_2.port] > 60, "{counts:?}");
    });
}

#[test]
fn every_flow_to_a_target_has_a_source_port_of_its_own() {
    on_both(|runner| {
        let mut seen = HashSet::new();
        for port in 20_000..20_400 {
            let (target, source_port) = open(runner, &to_endpoint(udp(port, LISTENER_PORT)));
            assert!(seen.insert((target.port, source_port)), "{source_port} twice");
            assert_ne!(source_port, LISTENER_PORT);
        }
    });
}

#[test]
fn another_vpc_with_the_same_addresses_and_ports_has_no_part_in_a_flow() {
    on_both(|runner| {
        let (_, source_port) = open_tcp(runner);
        let same = from(&OUTSIDER, ENDPOINT, tcp(CLIENT_PORT, LISTENER_PORT, flags::ACK)).build();
        assert_eq!(runner.run(OUTSIDER.port, &same), dropped(DropReason::NoRoute, &same));
        let reply = from(&OUTSIDER, NODE, tcp(TARGET_PORT, source_port, flags::ACK)).build();
        assert_eq!(runner.run(OUTSIDER.port, &reply), dropped(DropReason::NoRoute, &reply));
    });
}

#[test]
fn an_idle_flow_is_over() {
    on_both(|runner| {
        open_tcp(runner);
        age(runner, |_| true);
        let data = to_endpoint(tcp(CLIENT_PORT, LISTENER_PORT, flags::ACK)).payload(b"more");
        expect_reset(runner, &CLIENT, &data, DropReason::UnknownFlow);
        assert!(runner.flows().is_empty(), "its source port is free again");
        open_tcp(runner);
    });
}

#[test]
fn a_flow_that_is_used_one_way_only_lives() {
    on_both(|runner| {
        let query = to_endpoint(udp(CLIENT_PORT, LISTENER_PORT));
        let (target, source_port) = open(runner, &query);
        age(runner, |direction| direction == FlowDirection::Reply as u8);
        let reply = answer(&target, source_port, udp(0, 0));
        expect(runner, &target, &reply, &translated(&at_client(&reply)));
    });
}

/// Makes the entries of the chosen directions look as old as they can be.
fn age(runner: &mut dyn Runner, chosen: impl Fn(u8) -> bool) {
    for (key, mut entry) in runner.flows() {
        if chosen(entry.direction) {
            entry.last_seen = entry.last_seen.wrapping_sub(entry.idle_ticks + 1);
            runner.set_flow(&key, &entry);
        }
    }
}

#[test]
fn the_entries_remember_how_a_connection_ends() {
    on_both(|runner| {
        let (target, source_port) = open_tcp(runner);
        let flags_of = |runner: &mut dyn Runner| {
            let flows = runner.flows();
            let of = |direction| flows.iter().find(|(_, entry)| entry.direction == direction as u8).unwrap().1.flags;
            (of(FlowDirection::Forward), of(FlowDirection::Reply))
        };
        assert_eq!(flags_of(runner), (FlowFlags::SEEN, 0));
        let fin = to_endpoint(tcp(CLIENT_PORT, LISTENER_PORT, flags::FIN | flags::ACK)).build();
        runner.run(CLIENT.port, &fin);
        let reset = answer(&target, source_port, tcp(0, 0, flags::RST)).build();
        runner.run(target.port, &reset);
        assert_eq!(flags_of(runner), (FlowFlags::SEEN | FlowFlags::FIN, FlowFlags::SEEN | FlowFlags::RST));
        open_tcp(runner);
        assert_eq!(flags_of(runner).0, FlowFlags::SEEN, "a SYN begins anew");
    });
}

#[test]
fn a_full_table_refuses_new_flows_and_keeps_the_others() {
    on_both(|runner| {
        let opened = (0..u16::MAX)
            .take_while(|number| {
                let syn = to_endpoint(tcp(1000 + number, LISTENER_PORT, flags::SYN));
                let ran = runner.run(CLIENT.port, &syn.build());
                if ran.verdict == Verdict::Redirect {
                    return true;
                }
                assert_eq!(ran.counter, Counter::drop_slot(DropReason::FlowTableFull), "{}", runner.name());
                assert_eq!(ran.verdict, Verdict::Transmit, "the client is told");
                false
            })
            .count();
        assert_eq!(runner.flows().len(), opened * 2, "no half pair stays");
        assert_eq!(opened as u32, FLOW_ENTRIES / 2);
        let data = to_endpoint(tcp(1000, LISTENER_PORT, flags::ACK));
        assert_eq!(runner.run(CLIENT.port, &data.build()).verdict, Verdict::Redirect);
    });
}

#[test]
fn without_targets_a_client_is_told() {
    on_both(|runner| {
        runner.set_target(1, TargetEntry::default());
        runner.set_target(2, TargetEntry::default());
        let syn = to_endpoint(tcp(CLIENT_PORT, LISTENER_PORT, flags::SYN));
        expect_reset(runner, &CLIENT, &syn, DropReason::NoTarget);
        assert!(runner.flows().is_empty());
    });
}
