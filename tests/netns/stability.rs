//! The agent is not in the path: traffic does not notice that it dies.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddrV4, TcpStream, UdpSocket},
    os::fd::AsRawFd as _,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use plink_tests::{
    agent::Agent,
    labs,
    net::{Service, inside, spawn_inside},
};

const KILLS: usize = 10;
const CONNECTIONS: usize = 50;
/// Datagrams that are sent each millisecond: 10,000 a second.
const DATAGRAMS_PER_MS: u64 = 10;

/// At 10,000 numbered datagrams a second and 50 TCP connections that echo without pause, the agent is killed ten times
/// and started again. No datagram is lost, no connection ends, and connections can be made while it is dead.
#[test]
fn killing_the_agent_ten_times_loses_no_packet_and_resets_no_connection() {
    let mut agent = Agent::start();
    agent.lab(&(labs::provider(2) + &labs::consumer("tenant")));
    agent.ctl(&["endpoint", "accept", "tenant"]);
    let client = agent.namespace("tenant-client");
    let targets = ["web-1", "web-2"].map(|name| agent.namespace(name));
    let received = Arc::new(AtomicU64::new(0));
    let _services: Vec<Service> = targets
        .iter()
        .flat_map(|target| [Service::tcp_echo(target, 8080), count_datagrams(target, Arc::clone(&received))])
        .collect();

    let stop = Arc::new(AtomicBool::new(false));
    let sender = spawn_inside(&client, {
        let stop = Arc::clone(&stop);
        move || send_datagrams(&stop)
    });
    let echoes: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            spawn_inside(&client, {
                let stop = Arc::clone(&stop);
                move || echo_until(&stop)
            })
        })
        .collect();
    thread::sleep(Duration::from_millis(500));

    for kill in 0..KILLS {
        agent.kill();
        let made = inside(&client, || connect().and_then(|mut stream| echo(&mut stream, kill as u64)));
        made.unwrap_or_else(|error| panic!("a new connection while the agent is dead (kill {kill}): {error}"));
        thread::sleep(Duration::from_millis(100));
        agent.restart();
        thread::sleep(Duration::from_millis(200));
    }
    stop.store(true, Ordering::Relaxed);
    let sent = sender.join().expect("the sender goes on");
    for echo in echoes {
        let rounds = echo.join().expect("no thread panics").expect("no connection ends");
        assert!(rounds > 10, "only {rounds} echoes");
    }
    let patience = Instant::now() + Duration::from_secs(5);
    while received.load(Ordering::Relaxed) < sent && Instant::now() < patience {
        thread::sleep(Duration::from_millis(10));
    }
    assert!(sent > 10_000, "only {sent} datagrams were sent");
    assert_eq!(received.load(Ordering::Relaxed), sent, "datagrams received of those sent");
}

fn connect() -> std::io::Result<TcpStream> {
    let address = SocketAddrV4::new(labs::ENDPOINT[0].parse().unwrap(), 80);
    let stream = TcpStream::connect_timeout(&address.into(), Duration::from_secs(3))?;
    stream.set_read_timeout(Some(Duration::from_secs(3)))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn echo(stream: &mut TcpStream, number: u64) -> std::io::Result<()> {
    stream.write_all(&number.to_be_bytes())?;
    let mut answer = [0; 8];
    stream.read_exact(&mut answer)?;
    assert_eq!(u64::from_be_bytes(answer), number, "another connection's answer");
    Ok(())
}

fn echo_until(stop: &AtomicBool) -> std::io::Result<u64> {
    let mut stream = connect()?;
    let mut rounds = 0;
    while !stop.load(Ordering::Relaxed) {
        echo(&mut stream, rounds)?;
        rounds += 1;
        thread::sleep(Duration::from_millis(5));
    }
    Ok(rounds)
}

fn send_datagrams(stop: &AtomicBool) -> u64 {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    socket.connect((labs::ENDPOINT[0], 53)).unwrap();
    let start = Instant::now();
    let mut sent = 0_u64;
    while !stop.load(Ordering::Relaxed) {
        let due = start.elapsed().as_millis() as u64 * DATAGRAMS_PER_MS;
        while sent < due {
            socket.send(&sent.to_be_bytes()).expect("no error comes back");
            sent += 1;
        }
        thread::sleep(Duration::from_millis(1));
    }
    sent
}

/// Counts datagrams, each number once and in order: a flow keeps its target and its order.
fn count_datagrams(namespace: &str, received: Arc<AtomicU64>) -> Service {
    Service::start(namespace, move |stop| {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 5353)).unwrap();
        let size = 32_i32 << 20;
        // SAFETY: a plain option of a socket of our own.
        unsafe {
            libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, (&raw const size).cast(), 4)
        };
        socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let mut buffer = [0; 64];
        let mut expected = 0;
        while !stop.load(Ordering::Relaxed) {
            if let Ok(count) = socket.recv(&mut buffer) {
                let number = u64::from_be_bytes(buffer[..count].try_into().expect("eight bytes"));
                assert_eq!(number, expected, "datagrams are missing or out of order");
                expected += 1;
                received.fetch_add(1, Ordering::Relaxed);
            }
        }
    })
}
