//! What can be asked of the control core.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use crate::model::{
    AccountId, Arn, Change, EndpointId, InstanceId, ListenerProtocol, Namespace, ServiceId, SubnetId, Tags, TargetType,
    VpcId, Zone,
};

/// What a decision depends on beside the state.
pub struct Context<'a> {
    /// Whose command it is. Ownership is checked against it.
    pub caller: AccountId,
    /// Milliseconds since 1970.
    pub now_ms: u64,
    /// The configured region.
    pub region: &'a str,
    /// The configured zones.
    pub zones: &'a [Zone],
    /// The configured accounts' IDs.
    pub accounts: &'a [AccountId],
    /// Randomness for IDs.
    pub random: &'a mut dyn FnMut() -> u64,
}

/// A command. Optional fields are what the user may leave out; the others are those of the object of that name.
#[allow(missing_docs, reason = "the fields are the object's own, documented in `model`")]
#[derive(Clone, PartialEq, Debug)]
pub enum Command {
    /// Makes a VPC.
    CreateVpc { cidr: Ipv4Net, tags: Tags },
    /// Removes an empty VPC.
    DeleteVpc { id: VpcId },
    /// Makes a subnet. Without a zone: the first.
    CreateSubnet { vpc: VpcId, cidr: Ipv4Net, zone: Option<Zone>, tags: Tags },
    /// Removes an empty subnet.
    DeleteSubnet { id: SubnetId },
    /// Makes an instance with one interface. Without an address: the lowest free one.
    CreateInstance {
        subnet: SubnetId,
        address: Option<Ipv4Addr>,
        namespace: Namespace,
        command: Vec<String>,
        tags: Tags,
    },
    /// Removes an instance and its interface.
    DeleteInstance { id: InstanceId },
    /// What the reconciler saw of an instance.
    ObserveInstance { id: InstanceId, running: bool, problem: Option<String> },
    /// Makes a load balancer with one node a subnet.
    CreateLoadBalancer { name: String, subnets: Vec<SubnetId>, cross_zone: bool, tags: Tags },
    /// Changes its attributes.
    ModifyLoadBalancer { arn: Arn, cross_zone: Option<bool> },
    /// Removes a load balancer and its listeners; not while an endpoint service uses it.
    DeleteLoadBalancer { arn: Arn },
    /// Makes a target group.
    CreateTargetGroup {
        name: String,
        vpc: VpcId,
        target_type: TargetType,
        protocol: ListenerProtocol,
        port: u16,
        tags: Tags,
    },
    /// Removes a target group that no listener uses.
    DeleteTargetGroup { arn: Arn },
    /// Registers targets (address or instance ID, port); one that is registered already stays as it is.
    RegisterTargets { arn: Arn, targets: Vec<(String, Option<u16>)> },
    /// Removes targets; without a port all of that address or instance.
    DeregisterTargets { arn: Arn, targets: Vec<(String, Option<u16>)> },
    /// Makes a listener.
    CreateListener {
        load_balancer: Arn,
        protocol: ListenerProtocol,
        port: u16,
        target_group: Arn,
        tcp_idle_timeout_s: Option<u32>,
        tags: Tags,
    },
    /// Removes a listener.
    DeleteListener { arn: Arn },
    /// Makes an endpoint service.
    CreateService { load_balancers: Vec<Arn>, acceptance_required: bool, allowed_principals: Vec<String>, tags: Tags },
    /// Changes an endpoint service.
    ModifyService {
        id: ServiceId,
        acceptance_required: Option<bool>,
        add_load_balancers: Vec<Arn>,
        remove_load_balancers: Vec<Arn>,
        add_principals: Vec<String>,
        remove_principals: Vec<String>,
    },
    /// Removes an endpoint service; with `cascade` its live connections are rejected first.
    DeleteService { id: ServiceId, cascade: bool },
    /// Makes an interface endpoint. An address may be given for each subnet.
    CreateEndpoint { vpc: VpcId, service_name: String, subnets: Vec<(SubnetId, Option<Ipv4Addr>)>, tags: Tags },
    /// Accepts a connection (the service's owner).
    AcceptEndpoint { service: ServiceId, endpoint: EndpointId },
    /// Rejects a connection (the service's owner).
    RejectEndpoint { service: ServiceId, endpoint: EndpointId },
    /// Removes an endpoint (its owner).
    DeleteEndpoint { id: EndpointId },
    /// Sets and removes tags of any object, by ID or ARN.
    Tag { resource: String, set: Tags, remove: Vec<String> },
}

/// What a command made, changed or found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reply {
    /// The ID or ARN of what was made or changed.
    Id(String),
    /// Nothing to say.
    Done,
}

/// A decision.
#[derive(Clone, PartialEq, Debug)]
pub struct Outcome {
    /// To be made durable together, then applied in order.
    pub changes: Vec<Change>,
    /// The answer.
    pub reply: Reply,
    /// Frontend slots whose row in the kernel has to be written before the answer goes out: a door that opens or
    /// closes.
    pub doors: Vec<u32>,
}
