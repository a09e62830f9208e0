//! What the agent finds when it starts, and what it mends while it runs.

use std::{
    collections::BTreeMap,
    fs,
    net::{Ipv4Addr, TcpStream, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use aya::maps::{Array, MapData};
use plink_common::abi::Meta;
use plink_tests::{
    agent::{Agent, find_string},
    kernel::{Row, command},
    labs,
    net::{Service, inside, spawn_inside},
};

/// Everything in the kernel is the same object before and after.
#[test]
fn a_restarted_agent_adopts_what_it_finds() {
    let mut agent = Agent::start();
    agent.lab(&(labs::provider(2) + &labs::consumer("tenant")));
    agent.ctl(&["endpoint", "accept", "tenant"]);
    let before = kernel_objects(&agent);
    assert!(before.len() > 12, "maps, program and a link an instance: {before:?}");
    agent.kill();
    agent.restart();
    thread::sleep(Duration::from_millis(500));
    assert_eq!(kernel_objects(&agent), before);
}

/// The pins of an agent with the kernel's ID of each.
fn kernel_objects(agent: &Agent) -> BTreeMap<String, u32> {
    let root = format!("/sys/fs/bpf/{}/v1", agent.name());
    let pins = |folder: &str| {
        let entries = fs::read_dir(format!("{root}/{folder}")).unwrap().flatten();
        entries.map(|entry| entry.path().to_string_lossy().into_owned()).collect::<Vec<_>>()
    };
    let mut found = BTreeMap::new();
    for path in pins("maps") {
        let id = MapData::from_pin(&path).unwrap().info().unwrap().id();
        found.insert(path, id);
    }
    for path in pins("programs") {
        let id = aya::programs::ProgramInfo::from_pin(&path).unwrap().id();
        found.insert(path, id);
    }
    for (path, link) in pins("links").into_iter().map(|path| (path.clone(), path)) {
        let name = link.rsplit('/').next().unwrap();
        found.insert(path, plink_agent::datapath::pinned_link(agent.name(), name).unwrap().id);
    }
    found
}

/// What somebody takes away or changes is there again: the hub side, the offloads, address, route, link.
#[test]
fn what_is_broken_by_hand_is_mended() {
    let agent = Agent::start();
    agent.lab(&(labs::provider(1) + &labs::consumer("tenant")));
    agent.ctl(&["endpoint", "accept", "tenant"]);
    let (client, target) = (agent.namespace("tenant-client"), agent.namespace("web-1"));
    let service = Service::tcp_echo(&target, 8080);
    let works = || inside(&client, || connect(Duration::from_millis(500)));
    assert!(works());
    let hub = format!("{}-hub", agent.name());
    let shown = agent.ctl(&["instance", "show", "tenant-client"]);
    let hub_side = find_string(&shown, "hub-interface").expect("the hub side's name");
    let links = format!("/sys/fs/bpf/{}/v1/links", agent.name());
    let a_link = fs::read_dir(&links).unwrap().flatten().next().unwrap().path();

    let breaks: [(&str, &dyn Fn()); 6] = [
        ("the hub side deleted", &|| inside(&hub, || command("ip", &["link", "del", &hub_side]))),
        ("the hub side down", &|| inside(&hub, || command("ip", &["link", "set", &hub_side, "down"]))),
        ("transmit checksums left to the device", &|| {
            inside(&client, || command("ethtool", &["-K", "eth0", "tx", "on"]));
        }),
        ("GRO off", &|| inside(&client, || command("ethtool", &["-K", "eth0", "gro", "off"]))),
        ("no address", &|| inside(&client, || command("ip", &["addr", "flush", "dev", "eth0"]))),
        ("a link unpinned", &|| fs::remove_file(&a_link).unwrap()),
    ];
    for (what, break_it) in breaks {
        break_it();
        let patience = Instant::now() + Duration::from_secs(15);
        while !(works() && agent.try_ctl(&["doctor"]).is_ok()) {
            assert!(Instant::now() < patience, "{what}: not mended\n{}", agent.log());
            thread::sleep(Duration::from_millis(100));
        }
    }
    drop(service);
}

fn connect(timeout: Duration) -> bool {
    let address = (labs::ENDPOINT[0].parse::<Ipv4Addr>().unwrap(), 80).into();
    TcpStream::connect_timeout(&address, timeout).is_ok()
}

/// An agent with another program replaces it under traffic: every numbered datagram arrives, and a connection lives.
#[test]
fn another_program_takes_over_without_losing_a_packet() {
    let mut agent = Agent::start();
    agent.lab(&(labs::provider(1) + &labs::consumer("tenant")));
    agent.ctl(&["endpoint", "accept", "tenant"]);
    let (client, target) = (agent.namespace("tenant-client"), agent.namespace("web-1"));
    let received = Arc::new(AtomicU64::new(0));
    let _services = [Service::tcp_echo(&target, 8080), count(&target, Arc::clone(&received))];
    let program = |agent: &Agent| agent.ctl(&["status"])["program-id"].as_u64().expect("a program");
    let before = program(&agent);

    let stop = Arc::new(AtomicBool::new(false));
    let sender = spawn_inside(&client, {
        let stop = Arc::clone(&stop);
        move || send(&stop)
    });
    thread::sleep(Duration::from_millis(300));
    for _ in 0..3 {
        agent.kill();
        pretend_another_object(&agent);
        agent.restart();
        thread::sleep(Duration::from_millis(700));
    }
    assert_ne!(program(&agent), before, "the program was replaced");
    stop.store(true, Ordering::Relaxed);
    let sent = sender.join().unwrap();
    thread::sleep(Duration::from_millis(300));
    assert!(sent > 5_000);
    assert_eq!(received.load(Ordering::Relaxed), sent);
}

/// What an agent of another version would find: maps that another object's program works on.
fn pretend_another_object(agent: &Agent) {
    let map = MapData::from_pin(format!("/sys/fs/bpf/{}/v1/maps/META", agent.name())).unwrap();
    let mut meta: Array<MapData, Row<Meta>> = aya::maps::Map::Array(map).try_into().unwrap();
    let mut row = meta.get(&0, 0).unwrap().0;
    row.object[0] ^= 1;
    meta.set(0, Row(row), 0).unwrap();
}

fn send(stop: &AtomicBool) -> u64 {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    socket.connect((labs::ENDPOINT[0], 53)).unwrap();
    let mut sent = 0_u64;
    while !stop.load(Ordering::Relaxed) {
        for _ in 0..5 {
            socket.send(&sent.to_be_bytes()).expect("no error comes back");
            sent += 1;
        }
        thread::sleep(Duration::from_millis(1));
    }
    sent
}

fn count(namespace: &str, received: Arc<AtomicU64>) -> Service {
    Service::start(namespace, move |stop| {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 5353)).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let mut buffer = [0; 16];
        while !stop.load(Ordering::Relaxed) {
            if socket.recv(&mut buffer).is_ok() {
                received.fetch_add(1, Ordering::Relaxed);
            }
        }
    })
}
