//! Tenants with the same addresses do not meet, and nothing but the listeners answers.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddrV4, TcpStream},
    thread,
    time::{Duration, Instant},
};

use plink_tests::{
    agent::Agent,
    frame::{Ipv4Frame, Transport, flags},
    labs,
    net::{Service, Wire, connect_from, inside, spawn_inside},
};
use sha2::{Digest as _, Sha256};

const CONSUMERS: usize = 16;
const BYTES: usize = 64 << 20;
const CHUNK: usize = 64 << 10;

/// Sixteen consumers with the same CIDR, the same client address and the same source port send and receive 64 MiB each
/// at once, through one endpoint service. Every stream is different and hashed at both ends.
#[test]
fn sixteen_consumers_with_identical_addresses_and_ports_move_64_mib_each_and_no_byte_goes_astray() {
    let agent = Agent::start();
    let names: Vec<String> = (0..CONSUMERS).map(|number| format!("tenant-{number}")).collect();
    let consumers: String = names.iter().map(|name| labs::consumer(name)).collect();
    agent.lab(&(labs::provider(3) + &consumers));
    names.iter().for_each(|name| drop(agent.ctl(&["endpoint", "accept", name])));

    let _services: Vec<Service> = (1..=3)
        .map(|number| Service::tcp(&agent.namespace(&format!("web-{number}")), 8080, store_and_return))
        .collect();
    let clients: Vec<_> = names
        .iter()
        .enumerate()
        .map(|(number, name)| {
            spawn_inside(&agent.namespace(&format!("{name}-client")), move || exchange(number as u64))
        })
        .collect();
    for (client, name) in clients.into_iter().zip(&names) {
        let (sent, stored, returned) = client.join().unwrap_or_else(|_| panic!("{name} failed"));
        assert_eq!(sent, stored, "what the target of {name} got");
        assert_eq!(sent, returned, "what came back to {name}");
    }
}

/// A target's side: hashes what comes and sends it straight back, then sends the hash.
fn store_and_return(mut stream: TcpStream) {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; CHUNK];
    let mut left = BYTES;
    while left > 0 {
        let count = stream.read(&mut buffer).expect("data");
        assert_ne!(count, 0, "the client ended early");
        hash.update(&buffer[..count]);
        stream.write_all(&buffer[..count]).expect("room");
        left -= count;
    }
    stream.write_all(&hash.finalize()).expect("room");
}

/// A client's side: the hashes of what was sent, of what the target got, and of what came back.
fn exchange(seed: u64) -> (Vec<u8>, Vec<u8>, Vec<u8>) {
    let to = SocketAddrV4::new(labs::ENDPOINT[0].parse().unwrap(), 80);
    let mut stream = connect_from(45_000, to, Duration::from_secs(10)).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut sender = stream.try_clone().unwrap();
    let sent = thread::spawn(move || {
        let mut hash = Sha256::new();
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) + 1;
        for _ in 0..BYTES / CHUNK {
            let chunk: Vec<u8> = (0..CHUNK / 8).flat_map(|_| next(&mut state).to_ne_bytes()).collect();
            hash.update(&chunk);
            sender.write_all(&chunk).expect("room");
        }
        hash.finalize().to_vec()
    });
    let mut returned = Sha256::new();
    let mut buffer = vec![0; CHUNK];
    let mut left = BYTES;
    while left > 0 {
        let most = left.min(CHUNK);
        let count = stream.read(&mut buffer[..most]).expect("data");
        assert_ne!(count, 0, "the target ended early");
        returned.update(&buffer[..count]);
        left -= count;
    }
    let mut stored = vec![0; 32];
    stream.read_exact(&mut stored).expect("the hash");
    (sent.join().unwrap(), stored, returned.finalize().to_vec())
}

/// xorshift64 (Marsaglia 2003): different bytes for every tenant.
fn next(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

/// From a consumer's instance: every TCP and UDP port of the endpoint's address, and of addresses that only the
/// provider's VPC has. Only the two listeners answer, and every packet is accounted for.
#[test]
fn a_scan_of_every_port_finds_the_listeners_and_nothing_else() {
    let agent = Agent::start();
    agent.lab(&(labs::provider(2) + &labs::consumer("tenant")));
    agent.ctl(&["endpoint", "accept", "tenant"]);
    let target = agent.namespace("web-1");
    let other = agent.namespace("web-2");
    let _services = [
        Service::tcp_echo(&target, 8080),
        Service::tcp_echo(&other, 8080),
        Service::udp_echo(&target, 5353),
        Service::udp_echo(&other, 5353),
    ];
    let before = counters(&agent);

    let endpoint: Ipv4Addr = labs::ENDPOINT[0].parse().unwrap();
    // The provider's second target, its load balancer's likely nodes, and addresses nobody has.
    let absent: Vec<Ipv4Addr> =
        ["10.0.1.11", "10.0.1.4", "10.0.2.4", "10.0.3.1", "192.0.2.1"].map(|address| address.parse().unwrap()).to_vec();
    let client = agent.namespace("tenant-client");
    let (answers, sent) = inside(&client, || {
        let wire = Wire::open("eth0");
        let scan = Scan::new(&wire);
        let mut sent = 0;
        let mut answers = scan.all_ports(endpoint, 0..=u16::MAX, &mut sent);
        for address in &absent {
            answers.extend(scan.all_ports(*address, 0..=2047, &mut sent));
        }
        assert_eq!(wire.lost(), 0, "the capture is complete");
        (answers, sent)
    });
    let expected = BTreeSet::from([(endpoint, 6, 80), (endpoint, 17, 53)]);
    assert_eq!(answers, expected, "who answered: address, protocol, port");

    let after = counters(&agent);
    let dropped = |reason: &str| after.get(reason).unwrap_or(&0) - before.get(reason).unwrap_or(&0);
    assert_eq!(dropped("no-listener"), 2 * 65_536 - 2, "closed ports of the endpoint");
    assert_eq!(dropped("no-route"), 2 * 2048 * absent.len() as u64, "addresses of another VPC, or of nobody");
    assert_eq!(sent, 2 * 65_536 + 2 * 2048 * absent.len() as u64);
}

fn counters(agent: &Agent) -> BTreeMap<String, u64> {
    let drops = agent.ctl(&["drops", "--all"]);
    let rows = drops.as_array().or_else(|| drops["drops"].as_array()).unwrap_or_else(|| panic!("no rows in {drops}"));
    rows.iter().map(|row| (row["reason"].as_str().unwrap().to_owned(), row["count"].as_u64().unwrap())).collect()
}

/// Sends from the instance's own address and listens for whatever answers.
struct Scan<'a> {
    wire: &'a Wire,
    mac: [u8; 6],
    router: [u8; 6],
}

const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 10);
const SOURCE_PORT: u16 = 33_333;

impl<'a> Scan<'a> {
    fn new(wire: &'a Wire) -> Self {
        let text = std::process::Command::new("ip").args(["-o", "link", "show", "dev", "eth0"]).output().unwrap();
        let text = String::from_utf8_lossy(&text.stdout).into_owned();
        let mac = text.split("link/ether ").nth(1).and_then(|rest| rest.split(' ').next()).expect("a MAC address");
        let octets: Vec<u8> = mac.split(':').map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
        Self { wire, mac: octets.try_into().unwrap(), router: plink_tests::world::ROUTER }
    }

    fn all_ports(
        &self,
        address: Ipv4Addr,
        ports: std::ops::RangeInclusive<u16>,
        sent: &mut u64,
    ) -> BTreeSet<(Ipv4Addr, u8, u16)> {
        let mut answers = BTreeSet::new();
        for port in ports {
            let syn = Transport::Tcp {
                source: SOURCE_PORT,
                destination: port,
                flags: flags::SYN,
                sequence: 1,
                acknowledgement: 0,
            };
            let datagram = Transport::Udp { source: SOURCE_PORT, destination: port, checksum: true };
            for transport in [syn, datagram] {
                let frame = Ipv4Frame::new((self.router, self.mac), (CLIENT, address), transport).payload(b"scan");
                self.wire.send(&frame.build());
                *sent += 1;
            }
            if port % 256 == 255 {
                self.collect(Duration::ZERO, &mut answers);
            }
        }
        self.collect(Duration::from_millis(500), &mut answers);
        answers
    }

    /// Whatever came in over IPv4, for at least that long. The socket sees what was sent as well.
    fn collect(&self, time: Duration, answers: &mut BTreeSet<(Ipv4Addr, u8, u16)>) {
        let end = Instant::now() + time;
        loop {
            let Some(frame) = self.wire.next() else {
                if Instant::now() >= end {
                    return;
                }
                continue;
            };
            let bytes = &frame.bytes;
            if !frame.outgoing && bytes.get(12..14) == Some(&[8, 0]) {
                let source = Ipv4Addr::new(bytes[26], bytes[27], bytes[28], bytes[29]);
                answers.insert((source, bytes[23], u16::from_be_bytes([bytes[34], bytes[35]])));
            }
        }
    }
}
