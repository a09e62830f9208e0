//! Packets that are too long, and the clamping that makes most of them not happen.

use plink_common::{abi::Counter, drop_reason::DropReason};
use plink_tests::{
    frame::{Ipv4Frame, Transport, flags, verify_checksums},
    runner::{Ran, Runner, Verdict},
    world::{
        CLIENT, CLIENT_B, ENDPOINT, ENDPOINT_MAC, LISTENER_PORT, NODE, NODE_MAC, ROUTER, TARGET_1, TARGET_2,
        TARGET_PORT, port,
    },
};
use proptest::prelude::*;

use crate::support::{CLIENT_PORT, dropped, from, on_both, open, receiver, source_port, tcp, to_endpoint, udp};

const MTU: u16 = 1280;

/// Gives both targets a smaller MTU than everybody else has.
fn narrow_targets(runner: &mut dyn Runner) {
    for target in [TARGET_1, TARGET_2] {
        let mut row = port(&target);
        row.mtu = MTU;
        runner.set_port(target.port, row);
    }
}

/// A datagram whose IP packet has that many bytes.
fn datagram(length: usize) -> Ipv4Frame {
    to_endpoint(udp(CLIENT_PORT, LISTENER_PORT)).payload(&vec![0x5a; length - 28])
}

/// What the sender is told: fragmentation needed, from the address that it wrote to.
fn too_big(sent: &Ipv4Frame, mtu: u16) -> Ran {
    let [high, low] = mtu.to_be_bytes();
    let transport = Transport::Icmp { kind: 3, code: 4, rest: [0, 0, high, low] };
    let mac = (sent.mac.1, sent.mac.0);
    let mut frame = Ipv4Frame::new(mac, (sent.address.1, sent.address.0), transport).payload(&sent.build()[14..42]);
    (frame.identification, frame.fragment) = (0, 0);
    Ran { verdict: Verdict::Transmit, counter: Counter::drop_slot(DropReason::PacketTooBig), frame: frame.build() }
}

#[test]
fn a_packet_that_the_way_out_cannot_carry_is_answered_with_its_mtu() {
    on_both(|runner| {
        narrow_targets(runner);
        let fits = datagram(usize::from(MTU));
        let too_long = datagram(usize::from(MTU) + 1);
        assert_eq!(runner.run(CLIENT.port, &too_long.build()), too_big(&too_long, MTU), "the first of a flow");
        assert!(runner.flows().is_empty(), "it makes no flow");
        open(runner, &fits);
        assert_eq!(runner.run(CLIENT.port, &too_long.build()), too_big(&too_long, MTU), "one of a flow");
        open(runner, &fits);
    });
}

#[test]
fn answers_and_packets_inside_a_vpc_are_told_too() {
    on_both(|runner| {
        let (target, source_port) = open(runner, &datagram(100));
        let mut narrow = port(&CLIENT);
        narrow.mtu = MTU;
        runner.set_port(CLIENT.port, narrow);
        let answer = Ipv4Frame::new((NODE_MAC, target.mac), (target.address, NODE), udp(TARGET_PORT, source_port));
        let answer = answer.payload(&[1; 1400]);
        assert_eq!(runner.run(target.port, &answer.build()), too_big(&answer, MTU));
        let neighbour = from(&CLIENT_B, CLIENT.address, tcp(1, 2, flags::ACK)).payload(&[1; 1400]);
        assert_eq!(runner.run(CLIENT_B.port, &neighbour.build()), too_big(&neighbour, MTU));
    });
}

/// RFC 1122, section 3.2.2: no error about an error, nor about a later fragment. And none about a header with options,
/// which the quote has no room for.
#[test]
fn what_no_error_may_answer_is_dropped_without_one() {
    on_both(|runner| {
        let mut narrow = port(&CLIENT);
        narrow.mtu = MTU;
        runner.set_port(CLIENT.port, narrow);
        let long = |transport| from(&CLIENT_B, CLIENT.address, transport).payload(&[1; 1400]);
        let error = long(Transport::Icmp { kind: 3, code: 1, rest: [0; 4] });
        let mut fragment = long(udp(1, 2));
        fragment.fragment = 0x0010;
        let mut options = long(udp(1, 2));
        options.options = vec![1; 4];
        for frame in [error, fragment, options] {
            let frame = frame.build();
            assert_eq!(runner.run(CLIENT_B.port, &frame), dropped(DropReason::PacketTooBig, &frame));
        }
        let echo = long(Transport::Icmp { kind: 8, code: 0, rest: [0; 4] });
        assert_eq!(runner.run(CLIENT_B.port, &echo.build()), too_big(&echo, MTU));
    });
}

#[test]
fn a_client_that_sends_datagrams_to_nobody_is_told() {
    on_both(|runner| {
        runner.set_target(1, Default::default());
        runner.set_target(2, Default::default());
        let sent = to_endpoint(udp(CLIENT_PORT, LISTENER_PORT)).payload(b"anyone?");
        let ran = runner.run(CLIENT.port, &sent.build());
        let mut expected = Ipv4Frame::new(
            (CLIENT.mac, ENDPOINT_MAC),
            (ENDPOINT, CLIENT.address),
            Transport::Icmp { kind: 3, code: 3, rest: [0; 4] },
        );
        (expected.identification, expected.fragment) = (0, 0);
        let frame = expected.payload(&sent.build()[14..42]).build();
        assert_eq!(ran, Ran { verdict: Verdict::Transmit, counter: Counter::drop_slot(DropReason::NoTarget), frame });
    });
}

fn syn(options: &[u8]) -> Ipv4Frame {
    let mut frame = to_endpoint(tcp(CLIENT_PORT, LISTENER_PORT, flags::SYN));
    frame.tcp_options = options.to_vec();
    frame
}

/// Where the options are in a frame without IP options.
const OPTIONS: usize = 14 + 20 + 20;

#[test]
fn the_segment_size_of_a_syn_is_clamped_both_ways() {
    let [high, low] = 8460_u16.to_be_bytes();
    let [limit_high, limit_low] = (MTU - 40).to_be_bytes();
    let cases: [(&str, Vec<u8>, Vec<u8>); 6] = [
        ("first", vec![2, 4, high, low], vec![2, 4, limit_high, limit_low]),
        ("at an odd place", vec![1, 2, 4, high, low, 1, 1, 0], vec![1, 2, 4, limit_high, limit_low, 1, 1, 0]),
        (
            "behind others",
            vec![3, 3, 7, 4, 2, 2, 4, high, low, 1, 1, 0],
            vec![3, 3, 7, 4, 2, 2, 4, limit_high, limit_low, 1, 1, 0],
        ),
        ("low enough", vec![2, 4, 4, 0], vec![2, 4, 4, 0]),
        ("none", vec![1, 1, 4, 2], vec![1, 1, 4, 2]),
        ("after the end", vec![0, 2, 4, high, low, 0, 0, 0], vec![0, 2, 4, high, low, 0, 0, 0]),
    ];
    for (what, options, expected) in cases {
        on_both(|runner| {
            narrow_targets(runner);
            let ran = runner.run(CLIENT.port, &syn(&options).build());
            assert_eq!(ran.verdict, Verdict::Redirect);
            assert_eq!(ran.frame[OPTIONS..], expected, "{what} ({})", runner.name());
            verify_checksums(&ran.frame).unwrap();

            let (target, at) = (receiver(&ran.frame), source_port(&ran.frame));
            let reply = tcp(TARGET_PORT, at, flags::SYN | flags::ACK);
            let mut reply = Ipv4Frame::new((NODE_MAC, target.mac), (target.address, NODE), reply);
            reply.tcp_options.clone_from(&options);
            let ran = runner.run(target.port, &reply.build());
            assert_eq!(ran.frame[OPTIONS..], expected, "{what}, in the answer ({})", runner.name());
            assert_eq!(ran.frame[..6], CLIENT.mac);
            assert_eq!(ran.frame[6..12], ROUTER);
            verify_checksums(&ran.frame).unwrap();
        });
    }
}

#[test]
fn only_a_syn_is_clamped() {
    on_both(|runner| {
        open(runner, &syn(&[2, 4, 5, 0]));
        narrow_targets(runner);
        let mut ack = to_endpoint(tcp(CLIENT_PORT, LISTENER_PORT, flags::ACK));
        ack.tcp_options = vec![2, 4, 0x21, 0x0c];
        let ran = runner.run(CLIENT.port, &ack.build());
        assert_eq!((ran.verdict, &ran.frame[OPTIONS..]), (Verdict::Redirect, &[2, 4, 0x21, 0x0c][..]));
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the options are, the packet leaves with right checksums, and nothing but one segment size has changed.
    #[test]
    fn any_options_leave_the_checksum_right(words in prop::collection::vec(any::<[u8; 4]>(), 0..=10), lure in 0_usize..40) {
        let mut options = words.concat();
        if let Some(place) = options.get_mut(lure..lure + 4) {
            place.copy_from_slice(&[2, 4, 0x21, 0x0c]);
        }
        let mut runner = plink_tests::runner::HostRunner::new(&plink_tests::world::World::new());
        narrow_targets(&mut runner);
        let ran = runner.run(CLIENT.port, &syn(&options).build());
        prop_assert_eq!(ran.verdict, Verdict::Redirect);
        prop_assert_eq!(verify_checksums(&ran.frame), Ok(()));
        let changed: Vec<usize> = (0..options.len()).filter(|at| ran.frame[OPTIONS + at] != options[*at]).collect();
        prop_assert!(changed.len() <= 2 && changed.windows(2).all(|pair| pair[1] == pair[0] + 1), "{changed:?}");
    }
}
