//! Properties that hold for all packets, tried on the host build.

use plink_common::{abi::Counter, drop_reason::DropReason};
use plink_tests::{
    frame::{Ipv4Frame, Transport, flags, verify_checksums},
    runner::{HostRunner, Runner, Verdict},
    world::{CLIENT, ENDPOINT, LISTENER_PORT, NODE, NODE_MAC, OUTSIDER, ROUTER, TARGET_PORT, World},
};
use proptest::prelude::*;

use crate::support::{on_both, open, receiver, source_port, tcp, to_endpoint, udp};

fn transport() -> impl Strategy<Value = Transport> {
    let tcp = (1..=u16::MAX, any::<u32>(), any::<u32>()).prop_map(|(source, sequence, acknowledgement)| {
        Transport::Tcp { source, destination: LISTENER_PORT, flags: flags::SYN, sequence, acknowledgement }
    });
    let udp = (1..=u16::MAX, any::<bool>()).prop_map(|(source, checksum)| Transport::Udp {
        source,
        destination: LISTENER_PORT,
        checksum,
    });
    prop_oneof![tcp, udp]
}

fn packet() -> impl Strategy<Value = Ipv4Frame> {
    let options = (0_usize..=10).prop_map(|words| vec![1; words * 4]);
    (transport(), prop::collection::vec(any::<u8>(), 0..300), options, any::<u8>(), any::<u16>()).prop_map(
        |(transport, payload, options, time_to_live, identification)| Ipv4Frame {
            options,
            time_to_live,
            identification,
            ..to_endpoint(transport).payload(&payload)
        },
    )
}

/// The target's echo of what it got: the same bytes, with source and destination exchanged.
fn echoed(frame: &[u8]) -> Vec<u8> {
    let mut echo = frame.to_vec();
    let transport = 14 + usize::from(frame[14] & 0xf) * 4;
    echo[..6].copy_from_slice(&NODE_MAC);
    echo[6..12].copy_from_slice(&frame[..6]);
    echo[26..30].copy_from_slice(&frame[30..34]);
    echo[30..34].copy_from_slice(&frame[26..30]);
    echo[transport..transport + 2].copy_from_slice(&frame[transport + 2..transport + 4]);
    echo[transport + 2..transport + 4].copy_from_slice(&frame[transport..transport + 2]);
    echo
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    /// What a target echoes comes back to the client as its own packet with source and destination exchanged, and on
    /// both ways the checksums are right.
    #[test]
    fn forward_then_reply_is_the_identity(packet in packet()) {
        let mut runner = HostRunner::new(&World::new());
        let sent = packet.build();
        let forward = runner.run(CLIENT.port, &sent);
        prop_assert_eq!(forward.verdict, Verdict::Redirect);
        prop_assert_eq!(verify_checksums(&forward.frame), Ok(()));
        let target = receiver(&forward.frame);

        let reply = runner.run(target.port, &echoed(&forward.frame));
        prop_assert_eq!(reply.verdict, Verdict::Redirect);
        prop_assert_eq!(verify_checksums(&reply.frame), Ok(()));
        let mut expected = packet.clone();
        (expected.mac, expected.address) = ((CLIENT.mac, ROUTER), (ENDPOINT, CLIENT.address));
        match &mut expected.transport {
            Transport::Tcp { source, destination, .. } | Transport::Udp { source, destination, .. } => {
                std::mem::swap(source, destination);
            }
            _ => unreachable!("neither TCP nor UDP"),
        }
        prop_assert_eq!(reply.frame, expected.build());
    }

    /// Whatever enters: no panic, one outcome, and only a translated or delivered packet goes to another port.
    #[test]
    fn any_bytes_have_an_outcome(bytes in prop::collection::vec(any::<u8>(), 0..200), at in 0_usize..60, honest in any::<bool>()) {
        let mut runner = HostRunner::new(&World::new());
        let mut frame = if honest { to_endpoint(tcp(1, LISTENER_PORT, flags::SYN)).build() } else { vec![] };
        for (offset, byte) in bytes.iter().take(8).enumerate() {
            if let Some(place) = frame.get_mut(at + offset) {
                *place = *byte;
            }
        }
        if !honest {
            frame = bytes;
        }
        let ran = runner.run(CLIENT.port, &frame);
        let forwards = [Counter::Translated as u32, Counter::Delivered as u32].contains(&ran.counter);
        prop_assert_eq!(ran.verdict == Verdict::Redirect, forwards);
        if ran.verdict == Verdict::Drop {
            prop_assert!(ran.counter >= Counter::FIRST_DROP);
        }
    }

    /// A packet with the same bytes from another VPC never meets a flow.
    #[test]
    fn no_packet_meets_a_flow_of_another_vpc(packet in packet()) {
        let mut runner = HostRunner::new(&World::new());
        let forward = runner.run(CLIENT.port, &packet.build());
        let mut stolen = packet.clone();
        stolen.mac.1 = OUTSIDER.mac;
        let outsider = runner.run(OUTSIDER.port, &stolen.build());
        prop_assert_eq!(outsider.counter, Counter::drop_slot(DropReason::NoRoute));
        let at = source_port(&forward.frame);
        let reply = Ipv4Frame::new((NODE_MAC, OUTSIDER.mac), (OUTSIDER.address, NODE), udp(TARGET_PORT, at));
        let reply = runner.run(OUTSIDER.port, &reply.build());
        prop_assert_eq!(reply.counter, Counter::drop_slot(DropReason::NoRoute));
    }
}

/// Frames that end too early, at every length: the same on the host and in the kernel, and never passed on before the
/// transport header is whole. The kernel runs nothing shorter than an Ethernet header.
#[test]
fn truncation_at_every_length_is_noticed() {
    for transport in [tcp(1, LISTENER_PORT, flags::SYN), udp(1, LISTENER_PORT)] {
        let whole = to_endpoint(transport).payload(b"payload").build();
        let headers = whole.len() - b"payload".len();
        on_both(|runner| {
            for length in 14..=whole.len() {
                let ran = runner.run(CLIENT.port, &whole[..length]);
                let expected = if length < headers { Verdict::Drop } else { Verdict::Redirect };
                assert_eq!(ran.verdict, expected, "{length} bytes ({})", runner.name());
                if length < headers {
                    assert_eq!(ran.counter, Counter::drop_slot(DropReason::Malformed), "{length} bytes");
                    assert_eq!(ran.frame, &whole[..length], "left as it was");
                }
            }
        });
    }
    let whole = to_endpoint(udp(1, LISTENER_PORT)).build();
    let mut host = HostRunner::new(&World::new());
    (0..14).for_each(|length| assert_eq!(host.run(CLIENT.port, &whole[..length]).verdict, Verdict::Drop));
}

/// The established flow of a truncated packet is not touched either.
#[test]
fn a_truncated_packet_of_a_flow_is_left_as_it_is() {
    on_both(|runner| {
        let packet = to_endpoint(udp(1, LISTENER_PORT)).payload(b"payload");
        open(runner, &packet);
        let cut = &packet.build()[..14 + 20 + 6];
        let ran = runner.run(CLIENT.port, cut);
        assert_eq!((ran.verdict, ran.frame.as_slice()), (Verdict::Drop, cut));
    });
}
