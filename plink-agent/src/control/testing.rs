//! A world for tests: two accounts, a state, and commands run against it as the agent runs them.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::{fmt::Display, str::FromStr};

use super::{Command, Context, Outcome, Reply, decide};
use crate::model::{
    AccountId, Arn, ControlError, EndpointId, ErrorCode, InstanceId, ListenerProtocol, LoadBalancer, Namespace,
    ServiceId, State, SubnetId, Tags, TargetType, VpcId, Zone,
};

/// A case of bad input: what is given, and the code, the field and a word of the refusal.
pub(crate) type Case<'a, T> = (&'a [T], ErrorCode, &'a str, &'a str);

/// State and configuration.
pub(crate) struct World {
    pub(crate) state: State,
    pub(crate) zones: Vec<Zone>,
    pub(crate) accounts: Vec<AccountId>,
    /// Doors of the last command.
    pub(crate) doors: Vec<u32>,
    seed: u64,
}

pub(crate) fn provider() -> AccountId {
    parse("111122223333")
}

pub(crate) fn consumer() -> AccountId {
    parse("444455556666")
}

pub(crate) fn stranger() -> AccountId {
    parse("777788889999")
}

/// What a test knows to be well formed.
pub(crate) fn parse<T: FromStr<Err: Display>>(text: &str) -> T {
    text.parse().unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

/// The tag `Name`.
pub(crate) fn name(name: &str) -> Tags {
    Tags::from([("Name".to_owned(), name.to_owned())])
}

impl World {
    pub(crate) fn new() -> Self {
        Self {
            state: State::default(),
            zones: ["us-east-1a", "us-east-1b", "us-east-1c"].map(parse).to_vec(),
            accounts: vec![provider(), consumer(), stranger()],
            doors: Vec::new(),
            seed: 0,
        }
    }

    /// Decides without applying.
    pub(crate) fn decide(&mut self, caller: AccountId, command: Command) -> Result<Outcome, ControlError> {
        let seed = &mut self.seed;
        // SplitMix64: a different number each time, the same ones in each run.
        let mut random = || {
            *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = *seed;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        };
        let mut context = Context {
            caller,
            now_ms: 1_700_000_000_000,
            region: "us-east-1",
            zones: &self.zones,
            accounts: &self.accounts,
            random: &mut random,
        };
        decide(&self.state, &mut context, command)
    }

    /// Decides and applies.
    pub(crate) fn run(&mut self, caller: AccountId, command: Command) -> Result<Reply, ControlError> {
        let outcome = self.decide(caller, command)?;
        outcome.changes.into_iter().for_each(|change| self.state.apply(change));
        self.doors = outcome.doors;
        Ok(outcome.reply)
    }

    /// Runs what has to work; the ID of what it made.
    pub(crate) fn make<T: FromStr<Err: Display>>(&mut self, caller: AccountId, command: Command) -> T {
        match self.run(caller, command).unwrap() {
            Reply::Id(id) => parse(&id),
            Reply::Done => panic!("no ID"),
        }
    }

    /// Runs what has to be refused: with this code, about this field, in words that contain all of these.
    pub(crate) fn refuse(&mut self, caller: AccountId, command: Command, code: ErrorCode, field: &str, words: &[&str]) {
        let shown = format!("{command:?}");
        let error = match self.decide(caller, command) {
            Ok(outcome) => panic!("{shown} was not refused: {outcome:?}"),
            Err(error) => error,
        };
        assert_eq!(error.code, code, "{shown}: {error:?}");
        assert_eq!(error.field.as_deref().unwrap_or_default(), field, "{shown}: {error:?}");
        for word in words {
            assert!(error.message.contains(word), "{shown}: {:?} does not contain {word:?}", error.message);
        }
    }

    pub(crate) fn vpc(&mut self, caller: AccountId, cidr: &str) -> VpcId {
        self.make(caller, Command::CreateVpc { cidr: parse(cidr), tags: Tags::new() })
    }

    pub(crate) fn subnet(&mut self, caller: AccountId, vpc: VpcId, cidr: &str, zone: &str) -> SubnetId {
        let zone = Some(parse(zone));
        self.make(caller, Command::CreateSubnet { vpc, cidr: parse(cidr), zone, tags: Tags::new() })
    }

    pub(crate) fn instance(&mut self, caller: AccountId, subnet: SubnetId, address: &str) -> InstanceId {
        self.make(caller, instance(subnet, Some(address)))
    }

    pub(crate) fn load_balancer(&mut self, caller: AccountId, name: &str, subnets: &[SubnetId]) -> Arn {
        self.make(caller, load_balancer(name, subnets))
    }

    pub(crate) fn target_group(&mut self, caller: AccountId, name: &str, vpc: VpcId) -> Arn {
        self.make(caller, target_group(name, vpc, TargetType::Ip, ListenerProtocol::Tcp))
    }

    pub(crate) fn service(
        &mut self,
        caller: AccountId,
        load_balancers: &[Arn],
        acceptance_required: bool,
    ) -> ServiceId {
        self.make(
            caller,
            Command::CreateService {
                load_balancers: load_balancers.to_vec(),
                acceptance_required,
                allowed_principals: vec![format!("arn:aws:iam::{}:root", consumer())],
                tags: Tags::new(),
            },
        )
    }

    pub(crate) fn service_name(&self, service: ServiceId) -> String {
        self.state.services[&service].name.clone()
    }
}

pub(crate) fn instance(subnet: SubnetId, address: Option<&str>) -> Command {
    let address = address.map(parse);
    Command::CreateInstance { subnet, address, namespace: Namespace::Created, command: vec![], tags: Tags::new() }
}

pub(crate) fn load_balancer(name: &str, subnets: &[SubnetId]) -> Command {
    let (name, subnets) = (name.to_owned(), subnets.to_vec());
    Command::CreateLoadBalancer { name, subnets, cross_zone: false, tags: Tags::new() }
}

pub(crate) fn target_group(name: &str, vpc: VpcId, target_type: TargetType, protocol: ListenerProtocol) -> Command {
    Command::CreateTargetGroup { name: name.to_owned(), vpc, target_type, protocol, port: 8080, tags: Tags::new() }
}

pub(crate) fn listener(load_balancer: &Arn, protocol: ListenerProtocol, port: u16, target_group: &Arn) -> Command {
    let (load_balancer, target_group) = (load_balancer.clone(), target_group.clone());
    Command::CreateListener { load_balancer, protocol, port, target_group, tcp_idle_timeout_s: None, tags: Tags::new() }
}

/// A load balancer of this generation, for tests that need no state around it.
pub(crate) fn load_balancer_record(generation: u32) -> LoadBalancer {
    LoadBalancer {
        arn: Arn::load_balancer("us-east-1", provider(), "web", &mut || 1),
        name: "web".to_owned(),
        owner: provider(),
        vpc: VpcId::from_bits(1),
        nodes: Vec::new(),
        cross_zone: false,
        slot: 1,
        generation,
        created_ms: 0,
        tags: Tags::new(),
    }
}

/// A provider with a service over two zones and a consumer with subnets in all three; both VPCs have one CIDR.
pub(crate) struct Scene {
    pub(crate) world: World,
    pub(crate) provider_vpc: VpcId,
    pub(crate) provider_subnets: [SubnetId; 2],
    pub(crate) load_balancer: Arn,
    pub(crate) target_group: Arn,
    pub(crate) service: ServiceId,
    pub(crate) service_name: String,
    pub(crate) consumer_vpc: VpcId,
    pub(crate) consumer_subnets: [SubnetId; 3],
}

impl Scene {
    pub(crate) fn new(acceptance_required: bool) -> Self {
        let mut world = World::new();
        let provider_vpc = world.vpc(provider(), "10.0.0.0/16");
        let provider_subnets = [("10.0.1.0/24", "us-east-1a"), ("10.0.2.0/24", "us-east-1b")]
            .map(|(cidr, zone)| world.subnet(provider(), provider_vpc, cidr, zone));
        let load_balancer = world.load_balancer(provider(), "nlb", &provider_subnets);
        let target_group = world.target_group(provider(), "web", provider_vpc);
        let command = listener(&load_balancer, ListenerProtocol::Tcp, 80, &target_group);
        world.run(provider(), command).unwrap();
        let service = world.service(provider(), std::slice::from_ref(&load_balancer), acceptance_required);
        let service_name = world.service_name(service);
        let consumer_vpc = world.vpc(consumer(), "10.0.0.0/16");
        let zones = [("10.0.1.0/24", "us-east-1a"), ("10.0.2.0/24", "us-east-1b"), ("10.0.3.0/24", "us-east-1c")];
        let consumer_subnets = zones.map(|(cidr, zone)| world.subnet(consumer(), consumer_vpc, cidr, zone));
        Self {
            world,
            provider_vpc,
            provider_subnets,
            load_balancer,
            target_group,
            service,
            service_name,
            consumer_vpc,
            consumer_subnets,
        }
    }

    pub(crate) fn endpoint_command(&self) -> Command {
        Command::CreateEndpoint {
            vpc: self.consumer_vpc,
            service_name: self.service_name.clone(),
            subnets: self.consumer_subnets[..2].iter().map(|id| (*id, None)).collect(),
            tags: Tags::new(),
        }
    }

    pub(crate) fn endpoint(&mut self) -> EndpointId {
        let command = self.endpoint_command();
        self.world.make(consumer(), command)
    }
}
