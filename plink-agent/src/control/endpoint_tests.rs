#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::net::Ipv4Addr;

use super::super::{
    Command,
    testing::{Case, Scene, consumer, parse, provider, stranger},
};
use crate::model::{Endpoint, EndpointId, EndpointState, EniRole, ErrorCode, ServiceId, SubnetId, Tags, VpcId};

fn state_of(scene: &Scene, id: EndpointId) -> Endpoint {
    scene.world.state.endpoints[&id].as_ref().clone()
}

fn create(vpc: VpcId, service_name: &str, subnets: &[(SubnetId, Option<&str>)]) -> Command {
    let subnets = subnets.iter().map(|(id, address)| (*id, address.map(parse))).collect();
    Command::CreateEndpoint { vpc, service_name: service_name.to_owned(), subnets, tags: Tags::new() }
}

#[test]
fn an_endpoint_waits_for_acceptance_if_the_service_asks_for_it() {
    for (acceptance_required, state) in [(true, EndpointState::PendingAcceptance), (false, EndpointState::Available)] {
        let mut scene = Scene::new(acceptance_required);
        let id = scene.endpoint();
        let made = state_of(&scene, id);
        assert_eq!((made.state, made.slot), (state, 2));
        assert_eq!(scene.world.doors, [2]);
        let enis: Vec<_> = made.enis.iter().map(|eni| scene.world.state.enis[eni].clone()).collect();
        let addresses: Vec<Ipv4Addr> = enis.iter().map(|eni| eni.address).collect();
        assert_eq!(addresses, [Ipv4Addr::new(10, 0, 1, 4), Ipv4Addr::new(10, 0, 2, 4)]);
        assert!(enis.iter().all(|eni| eni.role == EniRole::Endpoint(id) && eni.port == 0 && eni.owner == consumer()));
    }
}

#[test]
fn an_endpoint_goes_through_its_states() {
    let mut scene = Scene::new(true);
    let id = scene.endpoint();
    let service = scene.service;
    let accept = || Command::AcceptEndpoint { service, endpoint: id };
    let reject = || Command::RejectEndpoint { service, endpoint: id };
    let first = state_of(&scene, id);
    let mut generation = first.generation;
    let steps = [
        (accept(), EndpointState::Available, "available"),
        (reject(), EndpointState::Rejected, "rejected"),
        (accept(), EndpointState::Available, "available"),
        (reject(), EndpointState::Rejected, "rejected"),
    ];
    for (command, state, word) in steps {
        scene.world.run(provider(), command.clone()).unwrap();
        let now = state_of(&scene, id);
        assert_eq!(now.state, state);
        assert_eq!(scene.world.doors, [now.slot]);
        assert!(now.generation > generation);
        generation = now.generation;
        // The same addresses throughout.
        assert_eq!((now.slot, &now.enis), (first.slot, &first.enis));
        scene.world.refuse(provider(), command, ErrorCode::InvalidState, "endpoint", &[word]);
    }
    scene.world.run(consumer(), Command::DeleteEndpoint { id }).unwrap();
    assert_eq!(scene.world.doors, [first.slot]);
    assert!(scene.world.state.endpoints.is_empty());
    assert!(scene.world.state.enis_of(scene.consumer_vpc).next().is_none());
    scene.world.refuse(provider(), accept(), ErrorCode::NotFound, "endpoint", &[]);
    // The slot is used again, the generation is not.
    let next = scene.endpoint();
    assert_eq!(state_of(&scene, next).slot, first.slot);
    assert!(state_of(&scene, next).generation > generation);
}

#[test]
fn a_connection_may_be_rejected_before_it_was_accepted() {
    let mut scene = Scene::new(true);
    let (id, service) = (scene.endpoint(), scene.service);
    scene.world.run(provider(), Command::RejectEndpoint { service, endpoint: id }).unwrap();
    assert_eq!(state_of(&scene, id).state, EndpointState::Rejected);
}

#[test]
fn only_the_parties_decide_and_each_about_its_own() {
    let mut scene = Scene::new(true);
    let (id, service) = (scene.endpoint(), scene.service);
    let unauthorized = ErrorCode::UnauthorizedOperation;
    for caller in [consumer(), stranger()] {
        let accept = Command::AcceptEndpoint { service, endpoint: id };
        scene.world.refuse(caller, accept, unauthorized, "service", &["only its owner"]);
        let reject = Command::RejectEndpoint { service, endpoint: id };
        scene.world.refuse(caller, reject, unauthorized, "service", &["only its owner"]);
    }
    let delete = || Command::DeleteEndpoint { id };
    scene.world.refuse(provider(), delete(), unauthorized, "endpoint", &[&consumer().to_string()]);
    scene.world.refuse(stranger(), delete(), ErrorCode::NotFound, "endpoint", &[]);

    let unknown = ServiceId::from_bits(1);
    let accept = Command::AcceptEndpoint { service: unknown, endpoint: id };
    scene.world.refuse(provider(), accept, ErrorCode::NotFound, "service", &[]);
    let accept = Command::AcceptEndpoint { service, endpoint: EndpointId::from_bits(1) };
    scene.world.refuse(provider(), accept, ErrorCode::NotFound, "endpoint", &[]);
    // An endpoint of another service of the same provider.
    let load_balancers = [scene.load_balancer.clone()];
    let other = scene.world.service(provider(), &load_balancers, true);
    let accept = Command::AcceptEndpoint { service: other, endpoint: id };
    scene.world.refuse(provider(), accept, ErrorCode::NotFound, "endpoint", &[&other.to_string()]);
}

#[test]
fn who_is_not_permitted_sees_no_service() {
    let mut scene = Scene::new(true);
    let invalid_name = ErrorCode::InvalidServiceName;
    let vpc = scene.world.vpc(stranger(), "10.0.0.0/16");
    let subnet = scene.world.subnet(stranger(), vpc, "10.0.1.0/24", "us-east-1a");
    let command = || create(vpc, &scene.service_name, &[(subnet, None)]);
    scene.world.refuse(stranger(), command(), invalid_name, "service_name", &[&scene.service_name]);
    for name in ["", "com.amazonaws.us-east-1.s3", "com.amazonaws.vpce.us-east-1.vpce-svc-00000000000000001"] {
        scene.world.refuse(stranger(), create(vpc, name, &[(subnet, None)]), invalid_name, "service_name", &[name]);
    }
    assert!(scene.world.state.enis_of(vpc).next().is_none());
    let everyone = Command::ModifyService {
        id: scene.service,
        acceptance_required: None,
        add_load_balancers: vec![],
        remove_load_balancers: vec![],
        add_principals: vec!["*".to_owned()],
        remove_principals: vec![],
    };
    scene.world.run(provider(), everyone).unwrap();
    scene.world.make::<EndpointId>(stranger(), create(vpc, &scene.service_name, &[(subnet, None)]));
}

#[test]
fn bad_endpoints_are_refused() {
    let mut scene = Scene::new(true);
    let vpc = scene.consumer_vpc;
    let [a, b, uncovered] = scene.consumer_subnets;
    let same_zone = scene.world.subnet(consumer(), vpc, "10.0.9.0/24", "us-east-1a");
    let other_vpc = scene.world.vpc(consumer(), "10.0.0.0/16");
    let elsewhere = scene.world.subnet(consumer(), other_vpc, "10.0.2.0/24", "us-east-1b");
    let client = scene.world.instance(consumer(), a, "10.0.1.10").to_string();
    let foreign = scene.provider_subnets[1];
    let invalid = ErrorCode::InvalidParameterValue;
    let cases: [Case<'_, (SubnetId, Option<&str>)>; 10] = [
        (&[], ErrorCode::MissingParameter, "subnets", "at least one"),
        (&[(a, None), (a, None)], invalid, "subnets", "twice"),
        (&[(a, None), (same_zone, None)], invalid, "subnets", "us-east-1a"),
        (&[(a, None), (uncovered, None)], invalid, "subnets", "us-east-1a, us-east-1b are allowed"),
        (&[(a, None), (elsewhere, None)], invalid, "subnets", "not in vpc-"),
        (&[(a, None), (foreign, None)], ErrorCode::NotFound, "subnets", "subnet-"),
        (&[(a, Some("10.0.2.100"))], invalid, "addresses", "10.0.1.4 to 10.0.1.254"),
        (&[(a, Some("10.0.1.3"))], invalid, "addresses", "reserved"),
        (&[(b, Some("10.0.2.255"))], invalid, "addresses", "reserved"),
        (&[(b, None), (a, Some("10.0.1.10"))], ErrorCode::AlreadyExists, "addresses", &client),
    ];
    for (subnets, code, field, word) in cases {
        scene.world.refuse(consumer(), create(vpc, &scene.service_name, subnets), code, field, &[word]);
    }
    let command = create(scene.provider_vpc, &scene.service_name, &[(a, None)]);
    scene.world.refuse(consumer(), command, ErrorCode::NotFound, "vpc", &[]);
    let subnets = [(a, Some("10.0.1.100")), (b, Some("10.0.2.100"))];
    let id: EndpointId = scene.world.make(consumer(), create(vpc, &scene.service_name, &subnets));
    assert_eq!(scene.world.state.eni_at(vpc, Ipv4Addr::new(10, 0, 2, 100)).unwrap().role, EniRole::Endpoint(id));
}
