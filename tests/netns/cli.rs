//! The command line, from outside: the quickstart, bad input, namespaces that existed before, a dead agent.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use plink_tests::{
    agent::{Agent, binary, leftovers},
    kernel::command,
    labs,
    net::{Service, inside},
};
use serde_json::Value;

const QUICKSTART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../labs/quickstart.toml");

#[test]
fn the_quickstart_goes_up_twice_answers_and_goes_down() {
    let agent = Agent::start();
    agent.ctl(&["lab", "up", QUICKSTART]);
    let again = agent.ctl(&["lab", "up", QUICKSTART]);
    assert_eq!(again["done"], Value::Array(vec![]), "the second time nothing is left to do");
    assert_eq!(fetch(&agent), None);
    agent.ctl(&["endpoint", "accept", "orders"]);
    let answer = answer(&agent).expect("an accepted endpoint answers");
    assert!(answer.starts_with("web-") && answer.contains(" saw 10.0.1.4:"), "{answer}");
    let flows = agent.ctl(&["flows"]);
    assert!(flows.to_string().contains("10.0.1.100"), "{flows}");
    agent.ctl(&["doctor"]);
    agent.ctl(&["endpoint", "reject", "orders"]);
    assert_eq!(fetch(&agent), None);
    let drops = agent.ctl(&["drops"]).to_string();
    assert!(drops.contains("endpoint-unavailable"), "{drops}");
    agent.ctl(&["lab", "down", QUICKSTART]);
    assert_eq!(leftovers(agent.name()), Vec::<String>::new(), "an agent without instances leaves nothing on the host");
}

/// Without an agent, and without anything of one, the exit code is 3 and the text says how to start one.
#[test]
fn without_an_agent_the_exit_code_is_three_and_doctor_warns() {
    let folder = tempfile::tempdir().unwrap();
    let ctl = |arguments: &[&str]| {
        let mut command = Command::new(binary("plinkctl"));
        let output = command.arg("--run-dir").arg(folder.path()).args(arguments).output().unwrap();
        let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
        (output.status.code(), text)
    };
    for arguments in [["lab", "up", QUICKSTART].as_slice(), &["lab", "down", QUICKSTART], &["status"], &["flows"]] {
        let (code, text) = ctl(arguments);
        assert_eq!(code, Some(3), "{arguments:?}: {text}");
        assert!(text.contains("no agent listens at") && text.contains("start one with `plink-agent`"), "{text}");
    }
    let (code, text) = ctl(&["doctor"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("warn  agent: no agent listens at"), "{text}");
    fs::write(folder.path().join("agent.json"), "{").unwrap();
    let (code, text) = ctl(&["lab", "down", QUICKSTART]);
    assert!(code == Some(1) && text.contains("agent.json"), "{text}");
    assert_eq!(ctl(&["lab"]).0, Some(2));
    assert_eq!(ctl(&["lab", "up"]).0, Some(2));
}

/// What is wrong at a port is found, said, and mended by the agent.
#[test]
fn doctor_finds_what_is_wrong_at_a_port() {
    let mut agent = Agent::start();
    agent.lab(&labs::provider(2));
    let verdicts = |agent: &Agent| {
        let output = agent.ctl_command().args(["--json", "doctor"]).output().unwrap();
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let bad: Vec<String> = report["checks"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|check| check["verdict"] != "ok")
            .map(|check| format!("{} {}: {}", check["verdict"], check["what"], check["found"]).replace('"', ""))
            .collect();
        (output.status.code(), bad.join("\n"))
    };
    assert_eq!(verdicts(&agent), (Some(0), String::new()));
    let namespace = agent.namespace("web-1");
    command("ip", &["-n", &namespace, "link", "set", "eth0", "mtu", "1400"]);
    command("ip", &["netns", "exec", &namespace, "ethtool", "-K", "eth0", "tx", "on"]);
    let (code, bad) = verdicts(&agent);
    assert_eq!(code, Some(1), "{bad}");
    assert!(bad.starts_with("fail port of web-1: transmit checksum offload is on"), "{bad}");
    assert!(bad.contains("MTU 1400 instead of 8500") && bad.lines().count() == 1, "{bad}");
    let patience = Instant::now() + Duration::from_secs(15);
    while verdicts(&agent).0 != Some(0) {
        assert!(Instant::now() < patience, "the agent does not mend it: {}", verdicts(&agent).1);
        thread::sleep(Duration::from_millis(200));
    }

    agent.kill();
    let (code, bad) = verdicts(&agent);
    assert_eq!(code, Some(1), "{bad}");
    assert!(bad.contains(&namespace) && bad.contains(&format!("/sys/fs/bpf/{}", agent.name())), "{bad}");
    assert_eq!(bad.lines().count(), 1, "its ports work as before: {bad}");
    let hub = format!("{}-hub", agent.name());
    let links = Command::new("ip").args(["-n", &hub, "-o", "link", "show", "type", "veth"]).output().unwrap();
    let links = String::from_utf8(links.stdout).unwrap();
    let port = links.split(": ").nth(1).and_then(|name| name.split('@').next()).expect("a port");
    command("ip", &["-n", &hub, "link", "set", port, "down"]);
    let (_, bad) = verdicts(&agent);
    assert!(bad.ends_with(&format!("fail ports: {port} is down")), "{bad}");
    agent.restart();
}

/// What a client gets from the endpoint within a second.
fn fetch(agent: &Agent) -> Option<String> {
    let mut curl = agent.ctl_command();
    let output = curl.args(["exec", "client-a", "--", "curl", "-s", "-m", "1", "http://10.0.1.100/"]).output().unwrap();
    output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
}

/// The same, for as long as the targets' commands may take to start.
fn answer(agent: &Agent) -> Option<String> {
    let patience = Instant::now() + Duration::from_secs(10);
    loop {
        match fetch(agent) {
            None if Instant::now() < patience => thread::sleep(Duration::from_millis(100)),
            answer => return answer,
        }
    }
}

/// Each is refused with exit code 1 and a text that names what was wrong, and changes nothing.
#[test]
fn bad_input_is_refused_by_the_name_of_its_field_and_changes_nothing() {
    let agent = Agent::start();
    agent.lab(&(labs::provider(1) + &labs::consumer("tenant")));
    let before = objects(&agent);
    for (what, arguments, expected) in [
        ("overlap", "subnet create --vpc tenant --cidr 10.0.1.128/25", "cidr: 10.0.1.128/25 overlaps subnet-"),
        ("outside the VPC", "subnet create --vpc tenant --cidr 10.1.0.0/24", "cidr: 10.1.0.0/24"),
        ("outside the subnet", "instance create --subnet tenant-a --address 10.0.2.77", "10.0.2.77"),
        ("reserved", "instance create --subnet tenant-a --address 10.0.1.1", "10.0.1.1 is reserved"),
        ("taken", "instance create --subnet tenant-a --address 10.0.1.10", "10.0.1.10"),
        ("unknown", "instance show nobody", "there is no instance with the ID or name `nobody`"),
        ("near", "instance show tenant-cleint", "tenant-client"),
        ("wrong owner", "--account consumer endpoint accept tenant", "only its owner accepts and rejects"),
        ("foreign", "--account provider subnet delete tenant-a", "account 111122223333 has no subnet"),
        ("foreign subnet", "--account provider instance create --subnet tenant-a", "has no subnet subnet-"),
        ("no account", "vpc create --cidr 10.9.0.0/16", "an account is needed, one of: provider, consumer"),
        ("unknown account", "--account provder vpc create --cidr 10.9.0.0/16", "did you mean `provider`?"),
        ("no CIDR", "--account provider vpc create --cidr 10.9.0.1/33", "cidr: `10.9.0.1/33` is not an IPv4 network"),
        ("unknown zone", "subnet create --vpc tenant --cidr 10.0.9.0/24 --zone mars", "zone `mars`, only: us-east-1a"),
        ("taken by an endpoint", "instance create --subnet tenant-a --address 10.0.1.100", "10.0.1.100"),
        ("interface name", "instance attach --netns /nowhere/x --subnet tenant-a --interface a/b", "interface"),
        ("in use", "vpc delete tenant", "vpc-"),
        ("subnet in use", "subnet delete tenant-a", "subnet-"),
        ("group in use", "target-group delete web", "listener"),
        ("connected", "service delete orders", "--cascade"),
        ("no target group", "listener create --load-balancer nlb --port 81 --target-group nothing", "nothing"),
        ("taken port", "listener create --load-balancer nlb --port 80 --target-group web", "port"),
    ] {
        let arguments: Vec<&str> = arguments.split(' ').collect();
        let output = agent.ctl_command().args(&arguments).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{what}: {text}");
        assert!(text.starts_with("error: ") && text.contains(expected), "{what}: {text}");
        assert_eq!(objects(&agent), before, "{what}");
    }
    for port in ["0", "65536", "-1", "http"] {
        let arguments = ["listener", "create", "--load-balancer", "nlb", "--target-group", "web", "--port"];
        let output = agent.ctl_command().args(arguments).arg(port).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && text.contains(port) && text.contains("--port"), "{text}");
    }

    let lab = labs::provider(1);
    // What is replaced, by what, the text whose line is named, and what is said.
    for (from, to, at, expected) in [
        ("[[load-balancer]]", "[[load-balancr]]", "[[load-balancer]]", "3: unknown field `load-balancr`"),
        ("vpc = \"provider\"", "vpc = \"provder\"", "vpc = ", "7: the file has no vpc `provder`, only: provider"),
        ("port = 80\n", "port = 80000\n", "port = 80\n", "8: port 80000 is out of range: 1 to 65535"),
        ("target-group = \"web\"", "", "[[listener]]", "1: missing field `target-group`"),
    ] {
        let line = lab[..lab.find(at).expect("it is in the lab")].lines().count() + 1;
        let typo = agent.folder().join("typo.toml");
        fs::write(&typo, lab.replacen(from, to, 1)).unwrap();
        let text = agent.try_ctl(&["lab", "up", &typo.to_string_lossy()]).unwrap_err();
        assert!(text.contains(&format!("typo.toml:{line}:{expected}")), "{to}: {text}");
        let near = from.trim_matches(['[', ']']);
        assert!(!to.contains("balancr") || text.contains(&format!("hint: did you mean `{near}`?")), "{text}");
    }
    assert_eq!(objects(&agent), before);
}

fn objects(agent: &Agent) -> Value {
    agent.ctl(&["status"])["objects"].clone()
}

/// A namespace that somebody else made becomes an instance, sends and is reached, and is given back as it was.
#[test]
fn an_existing_namespace_is_attached_and_given_back() {
    let agent = Agent::start();
    agent.lab(&(labs::provider(1) + &labs::consumer("tenant")));
    agent.ctl(&["endpoint", "accept", "tenant"]);
    let namespace = format!("{}-container", agent.name());
    let ip = |arguments: &str| command("ip", &arguments.split(' ').collect::<Vec<_>>());
    ip(&format!("netns add {namespace}"));
    ip(&format!("-n {namespace} link add own type veth peer name own-peer"));
    ip(&format!("-n {namespace} addr add 192.168.7.1/24 dev own"));
    ip(&format!("-n {namespace} link set own up"));
    ip(&format!("-n {namespace} link set own-peer up"));
    ip(&format!("-n {namespace} route add default via 192.168.7.2"));
    let before = [look(&namespace, "link"), look(&namespace, "route")];
    let path = format!("/run/netns/{namespace}");
    let options = ["--interface", "plink0", "--subnet", "tenant-a", "--address", "10.0.1.77", "--name", "box"];
    agent.ctl(&[["instance", "attach", "--netns", &path].as_slice(), &options].concat());
    agent.ctl(&["doctor"]);
    assert!(look(&namespace, "route").contains("default via 192.168.7.2"), "its own default route stays");
    {
        let _services = [Service::tcp_echo(&agent.namespace("web-1"), 8080), Service::tcp_echo(&namespace, 7000)];
        inside(&namespace, || echo("10.0.1.100:80")).expect("it reaches the provider through the endpoint");
        let client = agent.namespace("tenant-client");
        inside(&client, || echo("10.0.1.77:7000")).expect("an instance of the same VPC reaches it");
    }
    agent.ctl(&["instance", "delete", "box"]);
    assert!(Path::new(&path).exists(), "the namespace stays");
    assert_eq!([look(&namespace, "link"), look(&namespace, "route")], before, "and is as it was");
    ip(&format!("netns del {namespace}"));
}

fn look(namespace: &str, what: &str) -> String {
    let output = Command::new("ip").args(["-n", namespace, what]).output().unwrap();
    assert!(output.status.success(), "ip -n {namespace} {what}");
    String::from_utf8(output.stdout).unwrap()
}

/// More than one segment there and back.
fn echo(address: &str) -> std::io::Result<()> {
    let mut stream = TcpStream::connect_timeout(&address.parse().unwrap(), Duration::from_secs(3))?;
    stream.set_read_timeout(Some(Duration::from_secs(3)))?;
    let sent: Vec<u8> = (0..40_000_u32).map(|number| number as u8).collect();
    stream.write_all(&sent)?;
    let mut received = vec![0; sent.len()];
    stream.read_exact(&mut received)?;
    assert_eq!(received, sent);
    Ok(())
}

/// The agent is killed; `lab down` without it takes down that lab and no other, with the last one leaves the host as it
/// was, and a new agent starts.
#[test]
fn labs_go_down_without_their_agent() {
    let mut agent = Agent::start();
    agent.lab(&labs::provider(1));
    let other = agent.folder().join("lab.toml");
    agent.ctl(&["lab", "up", QUICKSTART]);
    let namespace = agent.namespace("client-a");
    let running = serving(&agent);
    assert_eq!(running.len(), 3, "{running:?}");
    agent.kill();
    let down = agent.ctl(&["lab", "down", QUICKSTART]);
    assert_eq!(down["problems"], Value::Array(vec![]), "{down}");
    let alive: Vec<&String> = running.iter().filter(|pid| is_alive(pid)).collect();
    assert!(alive.is_empty(), "commands of instances still run: {alive:?}");
    assert!(!Path::new("/run/netns").join(&namespace).exists(), "{namespace}");
    // The hub, the pins and the other lab's only instance.
    assert_eq!(leftovers(agent.name()).len(), 3, "{:?}", leftovers(agent.name()));
    let doctor = agent.try_ctl(&["doctor"]);
    assert!(doctor.is_err(), "doctor notices what a dead agent left");

    agent.ctl(&["lab", "down", &other.to_string_lossy()]);
    assert_eq!(leftovers(agent.name()), Vec::<String>::new());
    assert!(!agent.run_dir().exists(), "the run folder is gone as well");
    agent.restart();
    assert_eq!(objects(&agent)["vpcs"], 0);
    agent.ctl(&["lab", "up", QUICKSTART]);
    agent.ctl(&["endpoint", "accept", "orders"]);
    assert!(answer(&agent).is_some(), "and works");
}

/// The processes of instances' commands.
fn serving(agent: &Agent) -> Vec<String> {
    let entries = fs::read_dir(agent.run_dir().join("instances")).unwrap().flatten();
    let records = entries.filter(|entry| entry.path().extension().is_some_and(|extension| extension == "json"));
    records
        .map(|entry| {
            let record: Value = serde_json::from_slice(&fs::read(entry.path()).unwrap()).unwrap();
            record["pid"].to_string()
        })
        .collect()
}

fn is_alive(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

#[test]
fn a_damaged_store_is_refused_with_the_way_out_and_not_overwritten() {
    let mut agent = Agent::start();
    agent.lab(&labs::provider(1));
    agent.kill();
    let path = agent.folder().join("state/plink.redb");
    let whole = fs::read(&path).unwrap();
    let mut damaged = whole.clone();
    damaged.iter_mut().skip(4096).step_by(7).for_each(|byte| *byte ^= 0x5a);
    fs::write(&path, &damaged).unwrap();
    let output = agent.agent_command().output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && text.contains("plink.redb") && text.contains("move it away"), "{text}");
    assert_eq!(fs::read(&path).unwrap(), damaged, "not a byte was changed");
    fs::write(&path, &whole).unwrap();
    agent.restart();
}
