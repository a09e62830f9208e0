//! The command line, from outside: the quickstart, bad input, namespaces that existed before, a dead agent.

use std::{fs, path::Path, process::Command};

use plink_tests::{
    agent::{Agent, leftovers},
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
    let answer = fetch(&agent).expect("an accepted endpoint answers");
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

/// What a client gets from the endpoint within a second.
fn fetch(agent: &Agent) -> Option<String> {
    let mut curl = agent.ctl_command();
    let output = curl.args(["exec", "client-a", "--", "curl", "-s", "-m", "1", "http://10.0.1.100/"]).output().unwrap();
    output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
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
        ("in use", "vpc delete tenant", "vpc-"),
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
    let port =
        agent.ctl_command().args(["listener", "create", "--load-balancer", "nlb", "--port", "65536"]).output().unwrap();
    let text = String::from_utf8_lossy(&port.stderr).into_owned();
    assert!(port.status.code().is_some_and(|code| code != 0) && text.contains("65536"), "{text}");

    let typo = agent.folder().join("typo.toml");
    fs::write(&typo, labs::provider(1).replace("[[load-balancer]]", "[[load-balancr]]")).unwrap();
    let text = agent.try_ctl(&["lab", "up", &typo.to_string_lossy()]).unwrap_err();
    assert!(text.contains("typo.toml:") && text.contains("did you mean `load-balancer`?"), "{text}");
    assert_eq!(objects(&agent), before);
}

fn objects(agent: &Agent) -> Value {
    agent.ctl(&["status"])["objects"].clone()
}

/// A namespace that somebody else made becomes an instance, is reached, and is given back.
#[test]
fn an_existing_namespace_is_attached_and_given_back() {
    let agent = Agent::start();
    agent.lab(&labs::provider(1));
    let namespace = format!("{}-container", agent.name());
    command("ip", &["netns", "add", &namespace]);
    let path = format!("/run/netns/{namespace}");
    let attach =
        ["instance", "attach", "--netns", &path, "--interface", "plink0", "--subnet", "provider-a", "--name", "box"];
    agent.ctl(&attach);
    let address = agent.ctl(&["instance", "show", "box"]).to_string();
    assert!(address.contains("plink0"), "{address}");
    {
        let _service = Service::tcp_echo(&namespace, 7000);
        let at = inside(&namespace, || {
            Command::new("ip").args(["-4", "-o", "addr", "show", "dev", "plink0"]).output().unwrap()
        });
        let at = String::from_utf8_lossy(&at.stdout).into_owned();
        let at = at.split("inet ").nth(1).and_then(|rest| rest.split('/').next()).expect("an address").to_owned();
        inside(&agent.namespace("web-1"), || {
            std::net::TcpStream::connect((at.as_str(), 7000)).expect("an instance of the same VPC reaches it");
        });
    }
    agent.ctl(&["instance", "delete", "box"]);
    assert!(Path::new(&path).exists(), "the namespace stays");
    let links = inside(&namespace, || Command::new("ip").args(["-o", "link"]).output().unwrap());
    assert!(!String::from_utf8_lossy(&links.stdout).contains("plink0"), "without the interface");
    command("ip", &["netns", "del", &namespace]);
}

/// The agent is killed; `lab down` without it leaves the host as it was, and a new agent starts.
#[test]
fn a_lab_goes_down_without_its_agent() {
    let mut agent = Agent::start();
    agent.ctl(&["lab", "up", QUICKSTART]);
    let running = serving(&agent);
    assert_eq!(running.len(), 3, "{running:?}");
    agent.kill();
    let doctor = agent.try_ctl(&["doctor"]);
    assert!(doctor.is_err(), "doctor notices what a dead agent left");
    agent.ctl(&["lab", "down", QUICKSTART]);
    assert_eq!(leftovers(agent.name()), Vec::<String>::new());
    assert!(!agent.run_dir().exists(), "the run folder is gone as well");
    let alive: Vec<&String> = running.iter().filter(|pid| is_alive(pid)).collect();
    assert!(alive.is_empty(), "commands of instances still run: {alive:?}");
    agent.restart();
    assert_eq!(objects(&agent)["vpcs"], 0);
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
