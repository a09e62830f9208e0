//! The ways from a client to a target that are compared.

use std::{fs, net::Ipv4Addr, process::Command};

use plink_tests::{agent::Agent, kernel::command, labs, net::inside, world::ROUTER};

use crate::generator::Wire;

/// One way from a client to a target.
pub(crate) trait Path {
    fn name(&self) -> &'static str;
    fn wire(&self) -> Wire;
    /// The target's namespace; its interface is `eth0`.
    fn sink_namespace(&self) -> String;
}

/// An accepted endpoint: two VPCs with the same addresses, the XDP program between them.
pub(crate) struct Plink {
    agent: Agent,
}

impl Plink {
    pub(crate) fn new() -> Self {
        let agent = Agent::start_with_flows(1 << 17);
        agent.lab(&(labs::provider(1) + &labs::consumer("tenant")));
        agent.ctl(&["endpoint", "accept", "tenant"]);
        Self { agent }
    }

    pub(crate) fn agent(&self) -> &Agent {
        &self.agent
    }
}

impl Path for Plink {
    fn name(&self) -> &'static str {
        "plink XDP"
    }

    fn wire(&self) -> Wire {
        let namespace = self.agent.namespace("tenant-client");
        let mac = mac_of(&namespace, "eth0");
        let address = (Ipv4Addr::new(10, 0, 1, 10), labs::ENDPOINT[0].parse().unwrap());
        Wire { namespace, interface: "eth0", mac: (ROUTER, mac), address, port: 53 }
    }

    fn sink_namespace(&self) -> String {
        self.agent.namespace("web-1")
    }
}

/// Client, router, target: a namespace each. The router does with nftables what the endpoint does: destination and
/// source address are replaced.
pub(crate) struct NftRouter {
    name: String,
}

const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 10);
const SERVICE: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 1);

impl NftRouter {
    pub(crate) fn new() -> Self {
        let path = Self { name: format!("plink-t{}-nft", std::process::id()) };
        let [client, router, target] = path.namespaces();
        for namespace in [&client, &router, &target] {
            command("ip", &["netns", "add", namespace]);
            inside(namespace, || {
                fs::write("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1").unwrap();
                fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1").unwrap();
                command("ip", &["link", "set", "lo", "up"]);
            });
        }
        join(&router, "r0", "10.1.0.1/24", &client, "10.1.0.10/24");
        join(&router, "r1", "10.2.0.1/24", &target, "10.2.0.10/24");
        inside(&router, || {
            fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap();
            let rules = "table ip nat {
                chain in { type nat hook prerouting priority dstnat; udp dport 53 dnat to 10.2.0.10:5353; }
                chain out { type nat hook postrouting priority srcnat; oifname r1 masquerade; }
            }";
            command("nft", &[rules]);
            let target_mac = text(mac_of(&target, "eth0"));
            command("ip", &["neigh", "replace", "10.2.0.10", "lladdr", &target_mac, "dev", "r1", "nud", "permanent"]);
        });
        path
    }

    fn namespaces(&self) -> [String; 3] {
        ["client", "router", "target"].map(|role| format!("{}-{role}", self.name))
    }
}

impl Path for NftRouter {
    fn name(&self) -> &'static str {
        "nftables"
    }

    fn wire(&self) -> Wire {
        let [client, router, _] = self.namespaces();
        let mac = (mac_of(&router, "r0"), mac_of(&client, "eth0"));
        Wire { namespace: client, interface: "eth0", mac, address: (CLIENT, SERVICE), port: 53 }
    }

    fn sink_namespace(&self) -> String {
        let [_, _, target] = self.namespaces();
        target
    }
}

impl Drop for NftRouter {
    fn drop(&mut self) {
        for namespace in self.namespaces() {
            let _ = Command::new("ip").args(["netns", "del", &namespace]).status();
        }
    }
}

/// A veth pair with an address on each side; GRO on, so that redirected frames are taken.
fn join(router: &str, port: &str, address: &str, host: &str, host_address: &str) {
    inside(router, || {
        command("ip", &["link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", host]);
        command("ip", &["addr", "add", address, "dev", port]);
        command("ip", &["link", "set", port, "up"]);
        command("ethtool", &["-K", port, "gro", "on"]);
    });
    inside(host, || {
        command("ip", &["addr", "add", host_address, "dev", "eth0"]);
        command("ip", &["link", "set", "eth0", "up"]);
        command("ethtool", &["-K", "eth0", "gro", "on"]);
    });
}

fn mac_of(namespace: &str, interface: &str) -> [u8; 6] {
    // sysfs shows the interfaces of the namespace that it was mounted in; netlink shows the thread's.
    let output =
        inside(namespace, || Command::new("ip").args(["-o", "link", "show", "dev", interface]).output().unwrap());
    let line = String::from_utf8_lossy(&output.stdout).into_owned();
    let mac = line.split("link/ether ").nth(1).and_then(|rest| rest.split(' ').next()).expect("a MAC address");
    let octets: Vec<u8> = mac.split(':').map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
    octets.try_into().expect("six bytes")
}

fn text(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}
