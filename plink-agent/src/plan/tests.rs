#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::net::Ipv4Addr;

use super::*;
use crate::model::{
    Arn, Change, EndpointService, Instance, InstanceState, Listener, ListenerProtocol, MacAddress, Node, Record,
    Subnet, Target, TargetGroup, TargetType, Vpc,
};

const OWNER: &str = "111122223333";

fn id<T: std::str::FromStr>(prefix: &str, number: u32) -> T
where
    T::Err: std::fmt::Debug,
{
    format!("{prefix}{number:017x}").parse().unwrap()
}

fn arn(resource: &str) -> Arn {
    format!("arn:aws:elasticloadbalancing:us-east-1:{OWNER}:{resource}").parse().unwrap()
}

/// Adds a record to a state.
fn put(state: &mut State, record: impl Into<Record>) {
    state.apply(Change::Put(record.into()));
}

fn eni(state: &mut State, number: u32, subnet: u32, address: [u8; 4], role: EniRole, port: u32) -> EniId {
    let subnet = state.subnets[&id("subnet-", subnet)].clone();
    let eni = Eni {
        id: id("eni-", number),
        owner: OWNER.parse().unwrap(),
        vpc: subnet.vpc,
        subnet: subnet.id,
        address: address.into(),
        mac: MacAddress::new([2, 0, 0, 0, 0, number as u8]),
        role,
        port,
        generation: number,
        tags: Default::default(),
    };
    let id = eni.id;
    put(state, eni);
    id
}

/// A provider VPC with subnets 1 (zone a) and 2 (zone b), an instance in each, a load balancer over both, and a consumer
/// VPC with an endpoint in subnet 3 (zone b).
fn state() -> State {
    let owner = OWNER.parse().unwrap();
    let mut state = State::default();
    for (number, cidr) in [(1, "10.0.0.0/16"), (2, "10.0.0.0/16")] {
        put(
            &mut state,
            Vpc {
                id: id("vpc-", number),
                owner,
                cidr: cidr.parse().unwrap(),
                number: 100 + number,
                tags: Default::default(),
            },
        );
    }
    for (number, vpc, zone, cidr) in
        [(1, 1, "us-east-1a", "10.0.1.0/24"), (2, 1, "us-east-1b", "10.0.2.0/24"), (3, 2, "us-east-1b", "10.0.2.0/24")]
    {
        let subnet = Subnet {
            id: id("subnet-", number),
            owner,
            vpc: id("vpc-", vpc),
            zone: zone.parse().unwrap(),
            cidr: cidr.parse().unwrap(),
            tags: Default::default(),
        };
        put(&mut state, subnet);
    }
    for (number, address) in [(1, [10, 0, 1, 10]), (2, [10, 0, 2, 10])] {
        let instance: InstanceId = id("i-", number);
        let eni = eni(&mut state, number, number, address, EniRole::Instance(instance), 9 + number);
        let instance = Instance {
            id: instance,
            owner,
            eni,
            namespace: Namespace::Created,
            command: Vec::new(),
            state: InstanceState::Pending,
            problem: None,
            tags: Default::default(),
        };
        put(&mut state, instance);
    }
    let lb = arn("loadbalancer/net/web/1");
    let nodes = [(3, 1, "us-east-1a", [10, 0, 1, 5]), (4, 2, "us-east-1b", [10, 0, 2, 5])].map(
        |(number, subnet, zone, address)| Node {
            zone: zone.parse().unwrap(),
            subnet: id("subnet-", subnet),
            eni: eni(&mut state, number, subnet, address, EniRole::LoadBalancer(lb.clone()), 0),
        },
    );
    put(
        &mut state,
        LoadBalancer {
            arn: lb.clone(),
            name: "web".into(),
            owner,
            vpc: id("vpc-", 1),
            nodes: nodes.to_vec(),
            cross_zone: false,
            slot: 1,
            generation: 50,
            created_ms: 0,
            tags: Default::default(),
        },
    );
    let group = arn("targetgroup/web/1");
    let targets = [(1, "10.0.1.10"), (2, "10.0.2.10"), (3, "10.0.9.9")].map(|(slot, address)| Target {
        id: address.into(),
        port: 8080,
        slot,
        generation: 60 + slot,
    });
    put(
        &mut state,
        TargetGroup {
            arn: group.clone(),
            name: "web".into(),
            owner,
            vpc: id("vpc-", 1),
            target_type: TargetType::Ip,
            protocol: ListenerProtocol::TcpUdp,
            port: 8080,
            targets: targets.to_vec(),
            slot: 5,
            tags: Default::default(),
        },
    );
    put(
        &mut state,
        Listener {
            arn: arn("listener/net/web/1/1"),
            owner,
            load_balancer: lb.clone(),
            protocol: ListenerProtocol::TcpUdp,
            port: 80,
            target_group: group,
            tcp_idle_timeout_s: 350,
            tags: Default::default(),
        },
    );
    put(
        &mut state,
        EndpointService {
            id: id("vpce-svc-", 1),
            owner,
            name: "s".into(),
            load_balancers: vec![lb],
            acceptance_required: true,
            allowed_principals: Default::default(),
            slot: 1,
            tags: Default::default(),
        },
    );
    let endpoint = id("vpce-", 1);
    let interface = eni(&mut state, 5, 3, [10, 0, 2, 100], EniRole::Endpoint(endpoint), 0);
    put(
        &mut state,
        Endpoint {
            id: endpoint,
            owner,
            vpc: id("vpc-", 2),
            service: id("vpce-svc-", 1),
            enis: vec![interface],
            state: EndpointState::PendingAcceptance,
            slot: 2,
            generation: 70,
            created_ms: 0,
            problem: None,
            tags: Default::default(),
        },
    );
    state
}

fn listener(plan: &Plan, set: u32, protocol: u8) -> Option<ListenerEntry> {
    plan.listeners.get(&ListenerKey { set, port: plink_common::abi::Be16::new(80), protocol, zero: 0 }).copied()
}

#[test]
fn ports_carry_the_interface_and_its_subnet() {
    let plan = plan(&state(), &Config::default());
    assert_eq!(plan.problems, Vec::<String>::new());
    let port = plan.ports[&11];
    assert_eq!((port.vpc, port.generation, port.mtu), (101, 2, 8500));
    assert_eq!(Ipv4Addr::from(port.router), Ipv4Addr::new(10, 0, 2, 1));
    assert_eq!(Ipv4Addr::from(port.mask), Ipv4Addr::new(255, 255, 255, 0));
    let veth = &plan.interfaces[&11].veth;
    assert_eq!((veth.hub_name.as_str(), veth.name.as_str()), ("eni000000000002", "eth0"));
    assert_eq!(veth.hub_name.len(), 15);
    assert_eq!(veth.address.to_string(), "10.0.2.10/24");
}

#[test]
fn every_address_has_a_row_and_an_endpoint_its_services_set() {
    let plan = plan(&state(), &Config::default());
    assert_eq!(plan.addresses.len(), 5);
    let at = |vpc, address: [u8; 4]| plan.addresses[&AddressKey { vpc, address: Ipv4Addr::from(address).into() }];
    assert_eq!(at(101, [10, 0, 1, 10]).slot, 10);
    assert_eq!((at(101, [10, 0, 2, 5]).slot, at(101, [10, 0, 2, 5]).listener_set), (1, 9));
    let endpoint = at(102, [10, 0, 2, 100]);
    assert_eq!((endpoint.kind, endpoint.slot, endpoint.listener_set), (2, 2, 0x8000_0009));
}

#[test]
fn listeners_translate_to_the_node_of_their_zone() {
    let plan = plan(&state(), &Config::default());
    // Two nodes and the service in two zones, TCP and UDP each.
    assert_eq!(plan.listeners.len(), 8);
    let entry = listener(&plan, 0x8000_0009, 6).unwrap();
    assert_eq!((Ipv4Addr::from(entry.source), entry.source_set), (Ipv4Addr::new(10, 0, 2, 5), 9));
    assert_eq!((entry.table, entry.idle_timeout_s), (41, 350));
    assert_eq!(listener(&plan, 9, 17).unwrap().idle_timeout_s, 120);
    assert_eq!(listener(&plan, 0x8000_000a, 6), None);
}

#[test]
fn a_node_uses_the_targets_of_its_zone_or_of_all() {
    let mut state = state();
    let slots = |plan: &Plan, table| plan.tables[&table].iter().map(|member| member.slot).collect::<Vec<_>>();
    let zonal = plan(&state, &Config::default());
    assert_eq!(zonal.targets.keys().copied().collect::<Vec<_>>(), [1, 2], "10.0.9.9 is no instance's");
    assert_eq!(zonal.tables.keys().copied().collect::<Vec<_>>(), [40, 41]);
    assert_eq!((slots(&zonal, 40), slots(&zonal, 41)), (vec![1], vec![2]));
    let target = zonal.targets[&2];
    assert_eq!((target.generation, target.out_port, target.port.get()), (62, 11, 8080));

    let mut lb = state.load_balancers.values().next().unwrap().as_ref().clone();
    lb.cross_zone = true;
    put(&mut state, lb);
    let cross = plan(&state, &Config::default());
    assert_eq!(cross.tables.keys().copied().collect::<Vec<_>>(), [47]);
    assert_eq!(slots(&cross, 47), [1, 2]);
}

#[test]
fn only_an_available_endpoint_is_open() {
    let mut state = state();
    let door = |generation, state, kind| FrontendEntry { generation, state, kind };
    assert_eq!(frontend(&state, 1), door(50, 1, 2));
    assert_eq!(frontend(&state, 2), door(70, 0, 1));
    assert_eq!(frontend(&state, 3), FrontendEntry::default());
    for (endpoint_state, open) in [(EndpointState::Available, 1), (EndpointState::Rejected, 0)] {
        let mut endpoint = state.endpoints.values().next().unwrap().as_ref().clone();
        endpoint.state = endpoint_state;
        put(&mut state, endpoint);
        assert_eq!(frontends(&state)[&2], door(70, open, 1));
        assert_eq!(frontend(&state, 2), door(70, open, 1));
    }
}

#[test]
fn what_refers_to_nothing_is_a_problem_and_no_panic() {
    let mut state = state();
    let instance = *state.instances.keys().next().unwrap();
    state.apply(Change::Delete(crate::model::Key::Instance(instance)));
    let config = Config { zones: vec!["us-east-1b".parse().unwrap()], ..Config::default() };
    let plan = plan(&state, &config);
    assert!(plan.problems.iter().any(|problem| problem.contains("eni-00000000000000001")), "{:?}", plan.problems);
    assert!(plan.problems.iter().any(|problem| problem.contains("us-east-1a")), "{:?}", plan.problems);
    assert!(!plan.ports.contains_key(&10) && plan.ports.contains_key(&11));
}
