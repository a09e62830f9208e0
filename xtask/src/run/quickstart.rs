//! The quickstart, step by step with real sockets: what an accepted endpoint lets through, and nothing else does.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, SocketAddr};
use std::process::{Child, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::{
    plinkctl::Plinkctl,
    script::{RESET, Script},
    signals,
};
use crate::output;

const ENDPOINT: &str = "orders";
const STRANGER: &str = "orders-stranger";
const CLIENT: &str = "client-a";
const STRANGERS_CLIENT: &str = "client-c";
/// Requests to each address of the endpoint.
const REQUESTS: usize = 24;
/// How long the cut of a live connection may take to show at the client.
const CUT: Duration = Duration::from_secs(5);
/// A line that had reached the client before the reject may take this long until it is read here; they come every 200 ms.
const UNDER_WAY: Duration = Duration::from_millis(100);

#[derive(Deserialize)]
struct Named {
    name: String,
}

#[derive(Deserialize)]
struct Interface {
    address: IpAddr,
    zone: String,
}

#[derive(Deserialize)]
struct Endpoint {
    state: String,
    interfaces: Vec<Interface>,
}

#[derive(Deserialize)]
struct LoadBalancer {
    name: String,
    nodes: Vec<Interface>,
}

#[derive(Deserialize)]
struct Instance {
    name: String,
    netns: String,
    address: IpAddr,
    vpc: Named,
}

/// Shows the whole story; whether everything went as it should.
pub(super) fn show(plinkctl: &Plinkctl) -> Result<bool> {
    let mut script = Script::new(plinkctl);
    let orders = endpoint(plinkctl, ENDPOINT)?;
    let addresses: Vec<String> = orders.interfaces.iter().map(|interface| interface.address.to_string()).collect();
    let [first, ..] = addresses.as_slice() else { bail!("the endpoint {ENDPOINT} has no address") };
    let url = format!("http://{first}/");

    script.chapter("The consumer has an endpoint, and the provider has not accepted it")?;
    state(&mut script, ENDPOINT, "pendingAcceptance")?;
    script.no_answer(CLIENT, &url)?;

    script.chapter("The provider accepts: requests are answered by all three targets")?;
    script.change(&["endpoint", "accept", ENDPOINT])?;
    state(&mut script, ENDPOINT, "available")?;
    let answers = requests(&mut script, &addresses)?;
    targets(&mut script, &answers, &addresses)?;
    sources(&mut script, &answers)?;

    script.chapter("A second consumer, whom nobody accepted, reaches nothing")?;
    state(&mut script, STRANGER, "pendingAcceptance")?;
    let strangers = endpoint(plinkctl, STRANGER)?;
    for interface in &strangers.interfaces {
        script.no_answer(STRANGERS_CLIENT, &format!("http://{}/", interface.address))?;
    }

    script.chapter("The provider rejects: the live connection is cut")?;
    cut(&mut script, &url)?;
    script.no_answer(CLIENT, &url)?;

    script.chapter("The provider accepts again: the same address answers")?;
    script.change(&["endpoint", "accept", ENDPOINT])?;
    for address in &addresses {
        let url = format!("http://{address}/");
        script.tried(&format!("plinkctl exec {CLIENT} -- curl {url}"));
        let curl = script.curl(CLIENT, &url, "3")?;
        script.seen(curl.code == 0, &curl.says());
    }

    output::heading("Result");
    let failures = script.failures();
    script.seen(
        failures == 0,
        &match failures {
            0 => "every step went as it should".to_owned(),
            _ => format!("steps that did not go as they should: {failures}"),
        },
    );
    Ok(script.all_good())
}

/// What a person can type next, with the real names and addresses.
pub(super) fn next_commands(plinkctl: &Plinkctl, typed: &str) -> Result<Vec<String>> {
    let orders = endpoint(plinkctl, ENDPOINT)?;
    let instances: Vec<Instance> = plinkctl.json(&["instance", "list"])?;
    let (Some(interface), Some(client)) = (orders.interfaces.first(), named(&instances, CLIENT)) else {
        return Ok(Vec::new());
    };
    let address = interface.address;
    Ok(vec![
        format!("{typed} exec {CLIENT} -- curl http://{address}/"),
        format!("ip netns exec {} curl http://{address}/", client.netns.trim_start_matches("/run/netns/")),
        format!("{typed} endpoint reject {ENDPOINT}"),
        format!("{typed} endpoint accept {STRANGER}"),
    ])
}

fn named<'a>(instances: &'a [Instance], name: &str) -> Option<&'a Instance> {
    instances.iter().find(|instance| instance.name == name)
}

fn endpoint(plinkctl: &Plinkctl, name: &str) -> Result<Endpoint> {
    plinkctl.json(&["endpoint", "show", name])
}

fn state(script: &mut Script, name: &str, expected: &str) -> Result<()> {
    script.tried(&format!("plinkctl endpoint show {name}"));
    let found = endpoint(script.plinkctl, name)?;
    let at: Vec<String> =
        found.interfaces.iter().map(|interface| format!("{} in {}", interface.address, interface.zone)).collect();
    script.seen(found.state == expected, &format!("{name} is {}, at {}", found.state, at.join(" and ")));
    Ok(())
}

/// An answer of a target, and through which address of the endpoint it came.
struct Answer {
    through: String,
    target: String,
    saw: SocketAddr,
}

/// Sends the requests, each over a connection of its own.
fn requests(script: &mut Script, addresses: &[String]) -> Result<Vec<Answer>> {
    let mut answers = Vec::new();
    let mut complaints = Vec::new();
    for address in addresses {
        let url = format!("http://{address}/");
        script.tried(&format!("plinkctl exec {CLIENT} -- curl {url}   ({REQUESTS} times)"));
        for _ in 0..REQUESTS {
            let curl = script.curl(CLIENT, &url, "3")?;
            match read(&curl.body) {
                Some((target, saw)) if curl.code == 0 => answers.push(Answer { through: address.clone(), target, saw }),
                _ => complaints.push(curl.says()),
            }
        }
    }
    let sent = addresses.len() * REQUESTS;
    script.seen(answers.len() == sent, &format!("{} of {sent} requests were answered", answers.len()));
    if let Some(complaint) = complaints.first() {
        script.seen(false, &format!("the first that was not: {complaint}"));
    }
    Ok(answers)
}

/// Reads `web-1 10.0.1.10 saw 10.0.1.5:40000`.
fn read(body: &str) -> Option<(String, SocketAddr)> {
    let (who, saw) = body.trim().split_once(" saw ")?;
    Some((who.to_owned(), saw.parse().ok()?))
}

/// Who answered how often, as a table.
fn targets(script: &mut Script, answers: &[Answer], addresses: &[String]) -> Result<()> {
    let mut counts: BTreeMap<&str, BTreeMap<&str, usize>> = BTreeMap::new();
    for answer in answers {
        *counts.entry(&answer.target).or_default().entry(&answer.through).or_default() += 1;
    }
    let mut header = format!("     {:<18}", "answered by");
    for address in addresses {
        header.push_str(&format!("  through {address}"));
    }
    output::line(&header);
    for (target, by_address) in &counts {
        let mut row = format!("     {target:<18}");
        for address in addresses {
            let width = "  through ".len() + address.len();
            row.push_str(&format!("{:>width$}", by_address.get(address.as_str()).unwrap_or(&0)));
        }
        output::line(&row);
    }
    script.seen(counts.len() == 3, &format!("{} targets answered, of 3", counts.len()));
    Ok(())
}

/// What source address the targets saw: the load balancer's, never the consumer's.
fn sources(script: &mut Script, answers: &[Answer]) -> Result<()> {
    let load_balancers: Vec<LoadBalancer> = script.plinkctl.json(&["load-balancer", "list"])?;
    let nodes: BTreeMap<IpAddr, String> = load_balancers
        .into_iter()
        .flat_map(|balancer| {
            let name = balancer.name;
            balancer.nodes.into_iter().map(move |node| (node.address, format!("{name}'s node in {}", node.zone)))
        })
        .collect();
    let instances: Vec<Instance> = script.plinkctl.json(&["instance", "list"])?;
    let seen: BTreeSet<IpAddr> = answers.iter().map(|answer| answer.saw.ip()).collect();
    for address in &seen {
        let whose = nodes.get(address).map_or("no load balancer's node", String::as_str);
        script.seen(nodes.contains_key(address), &format!("the targets saw {address} as the source: {whose}"));
    }
    if let Some(client) = named(&instances, CLIENT) {
        let twin = instances.iter().find(|other| other.address == client.address && other.vpc.name != client.vpc.name);
        let twin = twin
            .map_or(String::new(), |twin| format!(" (which is also {}'s, in the VPC {})", twin.name, twin.vpc.name));
        let hidden = !seen.contains(&client.address);
        script.seen(hidden, &format!("none saw {CLIENT}'s own address {}{twin}", client.address));
    }
    Ok(())
}

/// Rejects while a response is under way, and watches it end.
fn cut(script: &mut Script, url: &str) -> Result<()> {
    // The client only listens, and a connection's end is told to who sends. So it asks after a second of silence.
    let stream = format!("{url}stream");
    let arguments =
        ["curl", "--silent", "--show-error", "--no-buffer", "--keepalive-time", "1", "--max-time", "30", &stream];
    script.tried(&format!("plinkctl exec {CLIENT} -- curl --no-buffer --keepalive-time 1 {stream} &"));
    let mut child = script.plinkctl.exec(CLIENT, &arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let lines = lines_of(&mut child)?;
    let result = watch_cut(script, &mut child, &lines);
    let _ = child.kill();
    let _ = child.wait();
    result
}

fn watch_cut(script: &mut Script, child: &mut Child, lines: &Receiver<Instant>) -> Result<()> {
    let mut arrived = 0;
    let flowing = signals::wait_until(Duration::from_secs(3), || {
        arrived += lines.try_iter().count();
        Ok((arrived >= 3).then_some(()))
    })?;
    script.seen(flowing.is_some(), &format!("a response is under way: {arrived} lines so far, one every 200 ms"));
    let rejected = script.change(&["endpoint", "reject", ENDPOINT])?;
    state(script, ENDPOINT, "rejected")?;
    let ended = signals::wait_until(CUT, || Ok(child.try_wait()?.map(|status| (status, rejected.elapsed()))))?;
    let late = lines.try_iter().filter(|arrived| *arrived > rejected + UNDER_WAY).count();
    script.seen(late == 0, &format!("{late} lines arrived after the reject had returned"));
    match ended {
        Some((status, after)) => {
            let code = status.code().unwrap_or(-1);
            let text = format!(
                "the connection was cut {:.0} ms after the reject (curl: reset, exit code {code})",
                after.as_secs_f64() * 1e3
            );
            script.seen(code == RESET, &text);
        }
        None => script.seen(false, &format!("the client did not notice within {} s", CUT.as_secs())),
    }
    Ok(())
}

/// When each line of the child's output arrived.
fn lines_of(child: &mut Child) -> Result<Receiver<Instant>> {
    let output = child.stdout.take().context("the child's output is not piped")?;
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for _ in BufReader::new(output).lines().map_while(Result::ok) {
            if sender.send(Instant::now()).is_err() {
                break;
            }
        }
    });
    Ok(receiver)
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn answers_are_read() {
        let (target, saw) = read("web-1 10.0.1.10 saw 10.0.1.5:40000\n").unwrap();
        assert_eq!((target.as_str(), saw.to_string().as_str()), ("web-1 10.0.1.10", "10.0.1.5:40000"));
        assert!(read("<html>").is_none());
    }
}
