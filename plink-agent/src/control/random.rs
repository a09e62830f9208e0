//! Random commands against a world, with what has to hold after each.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
    net::Ipv4Addr,
};

use proptest::prelude::*;

use super::{
    Command,
    testing::{Scene, World, consumer, instance, listener, load_balancer, name, parse, provider, target_group},
};
use crate::{
    model::{Change, EndpointState, EniRole, Entity, ListenerProtocol, State, Table, Tags, TargetType},
    store::{EmbeddedStore, Store},
};

/// What a command is made of: a kind and a few numbers that choose objects and values.
type Seed = (u8, [u8; 4]);

/// One of a table's keys, or one that is in no table.
fn pick<K: Clone, V>(table: &Table<K, V>, number: u8, none: K) -> K {
    let index = usize::from(number) % (table.len() + 1);
    table.keys().nth(index).cloned().unwrap_or(none)
}

fn command(state: &State, (kind, [a, b, c, d]): Seed) -> Command {
    use ListenerProtocol::{Tcp, TcpUdp, Udp};
    let some_vpc = |n| pick(&state.vpcs, n, parse("vpc-00000000000000000"));
    let some_subnet = |n| pick(&state.subnets, n, parse("subnet-00000000000000000"));
    let some_instance = |n| pick(&state.instances, n, parse("i-00000000000000000"));
    let no_arn = || parse("arn:aws:elasticloadbalancing:us-east-1:111122223333:loadbalancer/net/none/0");
    let some_load_balancer = |n| pick(&state.load_balancers, n, no_arn());
    let some_group = |n| pick(&state.target_groups, n, no_arn());
    let some_listener = |n| pick(&state.listeners, n, no_arn());
    let some_service = |n| pick(&state.services, n, parse("vpce-svc-00000000000000000"));
    let some_endpoint = |n| pick(&state.endpoints, n, parse("vpce-00000000000000000"));
    let service_name = |id| state.services.get(&id).map_or_else(|| "none".to_owned(), |found| found.name.clone());
    let protocol = |n: u8| [Tcp, Udp, TcpUdp][usize::from(n % 3)];
    let (a_name, flag) = (format!("n{}", a % 8), d % 2 == 0);
    let target = |group: u8, id: u8| {
        let by_id = state.target_groups.get(&some_group(group)).is_some_and(|g| g.target_type == TargetType::Instance);
        if by_id { some_instance(id).to_string() } else { format!("10.0.{}.{}", id % 3, id % 16) }
    };
    // Of all commands, those that make endpoints possible are the most frequent ones.
    match kind % 32 {
        0 => Command::CreateVpc { cidr: parse("10.0.0.0/16"), tags: name(&a_name) },
        1 => Command::DeleteVpc { id: some_vpc(a) },
        2..=4 => Command::CreateSubnet {
            vpc: some_vpc(a),
            cidr: parse(&format!("10.0.{}.0/{}", b % 4, if flag { 24 } else { 28 })),
            zone: Some(parse(["us-east-1a", "us-east-1b"][usize::from(c % 2)])),
            tags: Tags::new(),
        },
        5 => Command::DeleteSubnet { id: some_subnet(a) },
        6 => instance(some_subnet(a), None),
        7 => instance(some_subnet(a), Some(&format!("10.0.{}.{}", b % 4, c % 20))),
        8 => Command::DeleteInstance { id: some_instance(a) },
        9 => Command::ObserveInstance { id: some_instance(a), running: flag, problem: None },
        10 | 11 => {
            let subnets: Vec<_> = [some_subnet(b), some_subnet(c)].into_iter().take(1 + usize::from(flag)).collect();
            load_balancer(&a_name, &subnets)
        }
        12 => Command::ModifyLoadBalancer { arn: some_load_balancer(a), cross_zone: Some(flag) },
        13 => Command::DeleteLoadBalancer { arn: some_load_balancer(a) },
        14 => {
            let target_type = if flag { TargetType::Ip } else { TargetType::Instance };
            target_group(&a_name, some_vpc(b), target_type, protocol(c))
        }
        15 => Command::DeleteTargetGroup { arn: some_group(a) },
        16 | 17 => {
            let targets = vec![(target(a, b), None), (target(a, c), Some(u16::from(d % 4)))];
            Command::RegisterTargets { arn: some_group(a), targets }
        }
        18 => Command::DeregisterTargets { arn: some_group(a), targets: vec![(target(a, b), None)] },
        19 => listener(&some_load_balancer(a), protocol(b), u16::from(c % 4), &some_group(d)),
        20 => Command::DeleteListener { arn: some_listener(a) },
        21 | 22 => Command::CreateService {
            load_balancers: vec![some_load_balancer(a)],
            acceptance_required: flag,
            allowed_principals: [format!("arn:aws:iam::{}:root", consumer())]
                .into_iter()
                .take(c as usize % 2)
                .collect(),
            tags: Tags::new(),
        },
        23 => Command::ModifyService {
            id: some_service(a),
            acceptance_required: Some(flag),
            add_load_balancers: vec![some_load_balancer(b)],
            remove_load_balancers: vec![some_load_balancer(c)],
            add_principals: vec!["*".to_owned()],
            remove_principals: vec![],
        },
        24 => Command::DeleteService { id: some_service(a), cascade: flag },
        25..=27 => Command::CreateEndpoint {
            vpc: some_vpc(a),
            service_name: service_name(some_service(b)),
            subnets: vec![(some_subnet(c), flag.then_some(Ipv4Addr::new(10, 0, b % 4, d % 20)))],
            tags: Tags::new(),
        },
        28 | 29 => accept_or_reject(state, some_endpoint(a), flag),
        30 => Command::DeleteEndpoint { id: some_endpoint(a) },
        _ => {
            let keys: Vec<_> = state.keys().collect();
            let key = keys.get(usize::from(a)).map(ToString::to_string).unwrap_or_default();
            Command::Tag { resource: key, set: name(&a_name), remove: vec![] }
        }
    }
}

fn accept_or_reject(state: &State, endpoint: crate::model::EndpointId, accept: bool) -> Command {
    let service = state.endpoints.get(&endpoint).map(|endpoint| endpoint.service);
    let service = service.unwrap_or_else(|| parse("vpce-svc-00000000000000000"));
    if accept { Command::AcceptEndpoint { service, endpoint } } else { Command::RejectEndpoint { service, endpoint } }
}

/// No two are the same.
fn unique<T: Ord + Debug>(what: &str, items: impl IntoIterator<Item = T>) {
    let mut seen = BTreeSet::new();
    for item in items {
        assert!(!seen.contains(&item), "{what}: {item:?} twice");
        seen.insert(item);
    }
}

fn check(state: &State) {
    let frontends = state.load_balancers.values().map(|load_balancer| load_balancer.slot);
    unique("frontend slot", frontends.chain(state.endpoints.values().map(|endpoint| endpoint.slot)));
    unique("port", state.enis.values().map(|eni| eni.port).filter(|port| *port != 0));
    unique("service slot", state.services.values().map(|service| service.slot));
    unique("target group slot", state.target_groups.values().map(|group| group.slot));
    unique("target slot", state.target_groups.values().flat_map(|group| group.targets.iter().map(|t| t.slot)));
    unique("VPC number", state.vpcs.values().map(|vpc| vpc.number));
    unique("MAC address", state.enis.values().map(|eni| eni.mac));
    unique("address", state.enis.values().map(|eni| (eni.vpc, eni.address)));
    unique("listener port", state.listeners.values().map(|l| (l.load_balancer.clone(), l.port)));
    unique("generation", state.generations());
    assert!(state.generations().all(|generation| 0 < generation && generation < state.next_generation));
    let mut owned = BTreeMap::new();
    for subnet in state.subnets.values() {
        let vpc = &state.vpcs[&subnet.vpc];
        assert!(vpc.cidr.contains(&subnet.cidr) && vpc.owner == subnet.owner);
        for other in state.subnets_of(vpc.id).filter(|other| other.id != subnet.id) {
            assert!(!other.cidr.contains(&subnet.cidr) && !subnet.cidr.contains(&other.cidr));
        }
    }
    for eni in state.enis.values() {
        let subnet = &state.subnets[&eni.subnet];
        let index = u32::from(eni.address) - u32::from(subnet.cidr.network());
        assert!(subnet.cidr.contains(&eni.address) && eni.address != subnet.cidr.broadcast() && index >= 4);
        assert_eq!((subnet.vpc, subnet.owner), (eni.vpc, eni.owner));
        assert_eq!(eni.port != 0, matches!(eni.role, EniRole::Instance(_)));
        *owned.entry(format!("{:?}", eni.role)).or_insert(0) += 1;
    }
    let mut belong = |role: EniRole, enis: Vec<_>| {
        assert!(enis.iter().all(|id| state.enis[id].role == role), "{role:?}");
        assert_eq!(owned.remove(&format!("{role:?}")), Some(enis.len()), "{role:?}");
    };
    for instance in state.instances.values() {
        belong(EniRole::Instance(instance.id), vec![instance.eni]);
    }
    for load_balancer in state.load_balancers.values() {
        let enis = load_balancer.nodes.iter().map(|node| node.eni).collect();
        belong(EniRole::LoadBalancer(load_balancer.arn.clone()), enis);
        unique("zone", load_balancer.nodes.iter().map(|node| &node.zone));
    }
    for endpoint in state.endpoints.values() {
        belong(EniRole::Endpoint(endpoint.id), endpoint.enis.clone());
        let zone = |id| &state.subnets[&state.enis[id].subnet].zone;
        unique("zone", endpoint.enis.iter().map(zone));
        // Who takes traffic has a service that is there in each zone.
        if endpoint.state == EndpointState::Available {
            let covered = super::service::zones(state, &state.services[&endpoint.service]);
            assert!(endpoint.enis.iter().all(|id| covered.contains(zone(id))));
        }
    }
    assert!(owned.is_empty(), "interfaces of nobody: {owned:?}");
    for service in state.services.values() {
        assert!(!service.load_balancers.is_empty());
        assert!(service.load_balancers.iter().all(|arn| state.load_balancers[arn].owner == service.owner));
    }
    for listener in state.listeners.values() {
        let (user, group) =
            (&state.load_balancers[&listener.load_balancer], &state.target_groups[&listener.target_group]);
        assert_eq!((user.vpc, user.owner), (group.vpc, group.owner));
        assert!(state.listeners_to(&group.arn).all(|other| other.load_balancer == user.arn));
    }
    for group in state.target_groups.values() {
        assert!(state.vpcs.contains_key(&group.vpc));
        unique("target", group.targets.iter().map(|target| (&target.id, target.port)));
        if group.target_type == TargetType::Instance {
            assert!(group.targets.iter().all(|target| state.instances.contains_key(&parse(&target.id))));
        }
    }
}

/// Frontends whose row in the kernel differs between two states.
fn changed_doors(before: &State, after: &State) -> BTreeSet<u32> {
    let rows = |state: &State| -> BTreeMap<u32, (u32, bool)> {
        let load_balancers = state.load_balancers.values().map(|found| (found.slot, (found.generation, true)));
        let endpoints = state.endpoints.values();
        let endpoints =
            endpoints.map(|found| (found.slot, (found.generation, found.state == EndpointState::Available)));
        load_balancers.chain(endpoints).collect()
    };
    let (before, after) = (rows(before), rows(after));
    before.keys().chain(after.keys()).filter(|slot| before.get(slot) != after.get(slot)).copied().collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_asked_the_state_stays_whole(seeds in proptest::collection::vec(any::<Seed>(), 1..160)) {
        let folder = tempfile::tempdir().unwrap();
        let mut store = EmbeddedStore::open(folder.path()).unwrap();
        // From a scene, so that a short sequence gets as far as connections.
        let mut world = Scene::new(true).world;
        let mut start: Vec<Change> =
            world.state.keys().map(|key| Change::Put(world.state.record(&key).unwrap())).collect();
        start.push(Change::NextGeneration(world.state.next_generation));
        store.commit(&start).unwrap();
        for seed in seeds {
            let command = command(&world.state, seed);
            // Mostly the owner of what the command is about, so that most commands get somewhere.
            let caller = if seed.1[0] % 5 == 0 { consumer() } else { provider() };
            let before = world.state.clone();
            let shown = format!("{before:?}");
            match [caller, if caller == provider() { consumer() } else { provider() }]
                .into_iter()
                .find_map(|caller| world.decide(caller, command.clone()).ok())
            {
                None => prop_assert_eq!(&shown, &format!("{:?}", world.state)),
                Some(outcome) => {
                    prop_assert_eq!(&shown, &format!("{:?}", world.state), "deciding changes nothing");
                    store.commit(&outcome.changes).unwrap();
                    outcome.changes.into_iter().for_each(|change| world.state.apply(change));
                    let doors: BTreeSet<u32> = outcome.doors.into_iter().collect();
                    prop_assert_eq!(doors, changed_doors(&before, &world.state), "{:?}", command);
                }
            }
            check(&world.state);
            let old: BTreeSet<u32> = before.generations().collect();
            let fresh = world.state.generations().filter(|generation| !old.contains(generation));
            prop_assert!(fresh.min().is_none_or(|generation| generation >= before.next_generation));
        }
        drop(store);
        let store = EmbeddedStore::open(folder.path()).unwrap();
        prop_assert_eq!(store.load().unwrap(), world.state);
    }
}

/// The random commands get as far as accepted endpoints; else the test above would say little.
#[test]
fn random_commands_reach_every_kind() {
    let mut world = World::new();
    let mut seen = BTreeSet::new();
    for owner in [provider(), consumer()] {
        world.vpc(owner, "10.0.0.0/16");
    }
    let mut number: u64 = 1;
    for _ in 0..4000 {
        number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let [kind, a, b, c, d, ..] = (number >> 16).to_le_bytes();
        let command = command(&world.state, (kind, [a, b, c, d]));
        for caller in [provider(), consumer()] {
            if let Ok(outcome) = world.decide(caller, command.clone()) {
                outcome.changes.into_iter().for_each(|change| world.state.apply(change));
                break;
            }
        }
        check(&world.state);
        seen.extend(world.state.keys().map(|key| key.label().to_owned()));
        seen.extend(world.state.endpoints.values().map(|endpoint| endpoint.state.to_string()));
        seen.extend(world.state.target_groups.values().flat_map(|g| g.targets.first()).map(|_| "a target".to_owned()));
    }
    for wanted in ["an endpoint", "an instance", "a listener", "a target", "available", "rejected", "pendingAcceptance"]
    {
        assert!(seen.contains(wanted), "{wanted} is missing: {seen:?}");
    }
    assert!(world.state.vpcs.values().all(|vpc| vpc.owner() == provider() || vpc.owner() == consumer()));
}
