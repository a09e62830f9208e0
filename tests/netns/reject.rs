//! A reject takes effect before its call returns.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{SocketAddrV4, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use plink_tests::{
    agent::Agent,
    frame::flags,
    labs,
    net::{Captured, Service, Wire, inside, now, spawn_inside},
};

const FLOWS: usize = 1000;

/// With 1,000 connections that talk without pause, the endpoint is rejected. From the moment the call has returned no
/// packet of the endpoint reaches a target; clients are reset; after an accept new connections work.
#[test]
fn after_a_reject_returns_no_packet_of_a_thousand_live_flows_reaches_a_target() {
    raise_file_limit();
    let agent = Agent::start();
    agent.lab(&(labs::provider(2) + &labs::consumer("tenant")));
    agent.ctl(&["endpoint", "accept", "tenant"]);
    let targets = ["web-1", "web-2"].map(|name| agent.namespace(name));
    let _services: Vec<Service> = targets.iter().map(|target| Service::tcp_echo(target, 8080)).collect();

    let client = agent.namespace("tenant-client");
    let mut streams = inside(&client, || (0..FLOWS).map(|_| connect()).collect::<Vec<_>>());
    let stop = Arc::new(AtomicBool::new(false));
    let captures: Vec<_> = targets
        .iter()
        .map(|target| {
            spawn_inside(target, {
                let stop = Arc::clone(&stop);
                move || capture(&stop)
            })
        })
        .collect();
    let talk = thread::spawn({
        let stop = Arc::clone(&stop);
        move || {
            talk(&mut streams, &stop);
            streams
        }
    });
    thread::sleep(Duration::from_millis(500));
    agent.ctl(&["endpoint", "reject", "tenant"]);
    let returned = now();
    thread::sleep(Duration::from_secs(1));
    stop.store(true, Ordering::Relaxed);
    let mut streams = talk.join().unwrap();

    let (mut before, mut after) = (0, 0);
    for capture in captures {
        let (mut sent, mut resets) = (0, 0);
        for packet in capture.join().unwrap() {
            match (packet.at < returned, packet.outgoing) {
                (true, _) => before += 1,
                (false, true) => sent += 1,
                (false, false) if is_reset(&packet.bytes) => resets += 1,
                (false, false) => after += 1,
            }
        }
        // What a target still sends is answered by the program, so that it too knows.
        assert!(resets <= sent, "{resets} resets for {sent} packets of a target");
    }
    assert!(before > FLOWS, "only {before} packets were seen before the reject");
    assert_eq!(after, 0, "packets that reached a target after the call had returned");
    let reset =
        streams.iter_mut().filter_map(|stream| stream.write_all(b"x").and_then(|()| stream.read(&mut [0; 8])).err());
    let kinds: Vec<ErrorKind> = reset.map(|error| error.kind()).collect();
    assert_eq!(kinds.len(), FLOWS, "every connection has ended");
    assert!(kinds.iter().all(|kind| [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe].contains(kind)), "{kinds:?}");

    agent.ctl(&["endpoint", "accept", "tenant"]);
    inside(&client, || {
        let mut stream = connect();
        stream.write_all(b"again").unwrap();
        let mut answer = [0; 5];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"again");
    });
}

/// Two descriptors a flow, on either side.
fn raise_file_limit() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: plain calls; the structure outlives them.
    unsafe {
        libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit);
        limit.rlim_cur = limit.rlim_max;
        libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit);
    }
    assert!(
        limit.rlim_cur as usize > 3 * FLOWS,
        "the limit of open files is {}; {} are needed",
        limit.rlim_cur,
        3 * FLOWS
    );
}

fn connect() -> TcpStream {
    let address = SocketAddrV4::new(labs::ENDPOINT[0].parse().unwrap(), 80);
    let stream = TcpStream::connect_timeout(&address.into(), Duration::from_secs(3)).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// Writes to every connection in turn and reads what has come, without waiting.
fn talk(streams: &mut [TcpStream], stop: &AtomicBool) {
    streams.iter().for_each(|stream| stream.set_nonblocking(true).unwrap());
    let mut buffer = [0; 4096];
    while !stop.load(Ordering::Relaxed) {
        for stream in &mut *streams {
            let _ = stream.write(b"0123456789abcdef");
            let _ = stream.read(&mut buffer);
        }
    }
    streams.iter().for_each(|stream| stream.set_nonblocking(false).unwrap());
}

/// A RST without data, as the program makes them.
fn is_reset(frame: &[u8]) -> bool {
    frame.len() == 54 && frame[47] & flags::RST != 0
}

/// The IPv4 packets that come and go until told to stop.
fn capture(stop: &AtomicBool) -> Vec<Captured> {
    let wire = Wire::open("eth0");
    let mut packets = vec![];
    let mut last = Instant::now();
    while !stop.load(Ordering::Relaxed) || last.elapsed() < Duration::from_millis(200) {
        if let Some(frame) = wire.next() {
            last = Instant::now();
            if frame.bytes.get(12..14) == Some(&[8, 0]) {
                packets.push(frame);
            }
        }
    }
    assert_eq!(wire.lost(), 0, "the capture is complete");
    packets
}
