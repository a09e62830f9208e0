//! ICMP errors: translated as the packet that they quote was.

use plink_common::{abi::Counter, drop_reason::DropReason};
use plink_tests::{
    frame::{Ipv4Frame, Transport, flags, verify_checksums},
    runner::{Ran, Runner, Verdict},
    world::{CLIENT, ENDPOINT, ENDPOINT_MAC, Host, LISTENER_PORT, NEIGHBOUR, NODE, NODE_MAC, ROUTER, TARGET_PORT},
};

use crate::support::{CLIENT_PORT, dropped, on_both, open, tcp, to_endpoint};

const PORT_UNREACHABLE: Transport = Transport::Icmp { kind: 3, code: 3, rest: [0; 4] };

/// An error from a target to its load balancer's node about a frame that it got.
fn from_target(target: &Host, transport: Transport, about: &[u8], quoted: usize) -> Ipv4Frame {
    let frame = Ipv4Frame::new((NODE_MAC, target.mac), (target.address, NODE), transport);
    frame.payload(&about[14..][..quoted])
}

/// The same from the client to the endpoint.
fn from_client(transport: Transport, about: &[u8], quoted: usize) -> Ipv4Frame {
    let frame = Ipv4Frame::new((ENDPOINT_MAC, CLIENT.mac), (CLIENT.address, ENDPOINT), transport);
    frame.payload(&about[14..][..quoted])
}

#[track_caller]
fn translated(runner: &mut dyn Runner, enters: &Host, error: &Ipv4Frame, expected: &Ipv4Frame) {
    let ran = runner.run(enters.port, &error.build());
    let expected = Ran { verdict: Verdict::Redirect, counter: Counter::Translated as u32, frame: expected.build() };
    assert_eq!(ran, expected, "{}", runner.name());
    verify_checksums(&ran.frame).unwrap();
}

/// What a client sent comes back quoted to the byte, by errors of every kind, of every length from eight bytes of
/// payload on, with UDP without a checksum, and behind options.
#[test]
fn an_error_from_a_target_quotes_what_the_client_sent() {
    let udp = |checksum| Transport::Udp { source: CLIENT_PORT, destination: LISTENER_PORT, checksum };
    let mut options = to_endpoint(udp(true)).payload(b"a question of some length");
    options.options = vec![1; 8];
    let sent = [
        to_endpoint(udp(true)).payload(b"a question of some length"),
        to_endpoint(udp(false)).payload(b"a question of some length"),
        to_endpoint(tcp(CLIENT_PORT, LISTENER_PORT, flags::SYN)).payload(b"a question of some length"),
        options,
    ];
    let errors = [(3, 3, [0; 4]), (3, 4, [0, 0, 5, 0]), (11, 0, [0; 4]), (12, 0, [20, 0, 0, 0])];
    for packet in sent {
        on_both(|runner| {
            let (target, _) = open(runner, &packet);
            let original = packet.build();
            let at_target = runner.run(CLIENT.port, &original).frame;
            let header = usize::from(original[14] & 0xf) * 4;
            for (kind, code, rest) in errors {
                for quoted in [header + 8, header + 12, header + 20, original.len() - 14] {
                    let transport = Transport::Icmp { kind, code, rest };
                    let error = from_target(&target, transport.clone(), &at_target, quoted);
                    let seen = Ipv4Frame::new((CLIENT.mac, ROUTER), (ENDPOINT, CLIENT.address), transport);
                    translated(runner, &target, &error, &seen.payload(&original[14..][..quoted]));
                }
            }
        });
    }
}

/// And the other way: the client's error about an answer quotes what the target sent.
#[test]
fn an_error_from_a_client_quotes_what_the_target_sent() {
    on_both(|runner| {
        let query = Transport::Udp { source: CLIENT_PORT, destination: LISTENER_PORT, checksum: true };
        let (target, source_port) = open(runner, &to_endpoint(query));
        let answer = Transport::Udp { source: TARGET_PORT, destination: source_port, checksum: true };
        let answer = Ipv4Frame::new((NODE_MAC, target.mac), (target.address, NODE), answer).payload(b"an answer");
        let original = answer.build();
        let at_client = runner.run(target.port, &original).frame;
        let error = from_client(PORT_UNREACHABLE, &at_client, 28);
        let seen = Ipv4Frame::new((target.mac, ROUTER), (NODE, target.address), PORT_UNREACHABLE);
        translated(runner, &CLIENT, &error, &seen.payload(&original[14..][..28]));
    });
}

/// Only who has the flow may report about it: another instance, another port, another address quote nothing that is
/// theirs.
#[test]
fn an_error_that_quotes_no_flow_of_its_sender_is_dropped() {
    on_both(|runner| {
        let packet = to_endpoint(tcp(CLIENT_PORT, LISTENER_PORT, flags::SYN));
        let (target, _) = open(runner, &packet);
        let at_target = runner.run(CLIENT.port, &packet.build()).frame;
        let mut drop = |enters: &Host, frame: Vec<u8>| {
            assert_eq!(runner.run(enters.port, &frame), dropped(DropReason::IcmpUnknownFlow, &frame));
        };
        drop(&NEIGHBOUR, from_target(&NEIGHBOUR, PORT_UNREACHABLE, &at_target, 28).build());
        let mut other_port = at_target.clone();
        other_port[35] ^= 1;
        drop(&target, from_target(&target, PORT_UNREACHABLE, &other_port, 28).build());
        let mut other_source = at_target.clone();
        other_source[29] ^= 1;
        drop(&target, from_target(&target, PORT_UNREACHABLE, &other_source, 28).build());
        let mut fragment = at_target.clone();
        fragment[20] = 0x20;
        drop(&target, from_target(&target, PORT_UNREACHABLE, &fragment, 28).build());
        let mut icmp = at_target;
        icmp[23] = 1;
        drop(&target, from_target(&target, PORT_UNREACHABLE, &icmp, 28).build());
    });
}

#[test]
fn an_error_whose_quote_ends_early_is_malformed() {
    on_both(|runner| {
        let packet = to_endpoint(tcp(CLIENT_PORT, LISTENER_PORT, flags::SYN));
        let (target, _) = open(runner, &packet);
        let at_target = runner.run(CLIENT.port, &packet.build()).frame;
        for quoted in [0, 10, 19, 20, 23] {
            let frame = from_target(&target, PORT_UNREACHABLE, &at_target, quoted).build();
            assert_eq!(runner.run(target.port, &frame), dropped(DropReason::Malformed, &frame), "{quoted} bytes");
        }
    });
}
