//! One struct an object. Slots and generations are what the data path knows an object by, see `plink_common::abi`:
//! a slot is the lowest free one of its kind, a generation comes from [`super::State::next_generation`].

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::Ipv4Addr,
    path::PathBuf,
};

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

use super::{AccountId, Arn, EndpointId, EniId, InstanceId, MacAddress, ServiceId, SubnetId, VpcId, Zone};

/// Tags by key. `Name` is the name that `plinkctl` and labs use.
pub type Tags = BTreeMap<String, String>;

/// An account, from the configuration.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// Twelve digits.
    pub id: AccountId,
    /// A name for people.
    pub name: String,
    /// The access key ID that signs its requests.
    pub access_key_id: String,
    /// The secret to it.
    pub secret_access_key: String,
}

/// A VPC.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Vpc {
    /// Its ID.
    pub id: VpcId,
    /// Whose it is.
    pub owner: AccountId,
    /// Its only CIDR; other VPCs may have the same.
    pub cidr: Ipv4Net,
    /// What the data path knows it by: from the ID's last eight digits, never 0, unique on this host.
    pub number: u32,
    /// Tags.
    pub tags: Tags,
}

/// A subnet.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Subnet {
    /// Its ID.
    pub id: SubnetId,
    /// Whose it is; the VPC's owner.
    pub owner: AccountId,
    /// Its VPC.
    pub vpc: VpcId,
    /// Its availability zone.
    pub zone: Zone,
    /// Inside the VPC's CIDR, overlapping no other subnet of it. /16 to /28.
    pub cidr: Ipv4Net,
    /// Tags.
    pub tags: Tags,
}

/// What a network interface belongs to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum EniRole {
    /// An instance: the only kind with a veth.
    Instance(InstanceId),
    /// A load balancer's node.
    LoadBalancer(Arn),
    /// An interface endpoint.
    Endpoint(EndpointId),
}

/// A network interface.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Eni {
    /// Its ID.
    pub id: EniId,
    /// Whose it is.
    pub owner: AccountId,
    /// Its VPC.
    pub vpc: VpcId,
    /// Its subnet.
    pub subnet: SubnetId,
    /// Its address, free in the subnet and not reserved.
    pub address: Ipv4Addr,
    /// Its MAC address: 02 and five bytes of the ID.
    pub mac: MacAddress,
    /// What it belongs to.
    pub role: EniRole,
    /// Its port slot, which is the interface index of the hub side: 2 to 65535 for an instance, else 0.
    pub port: u32,
    /// Its generation.
    pub generation: u32,
    /// Tags.
    pub tags: Tags,
}

/// The namespace of an instance.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Namespace {
    /// Made and removed by the agent, named after the instance.
    Created,
    /// Existed before, and stays.
    Attached {
        /// Where it can be opened, for example `/run/netns/web` or `/proc/4711/ns/net`.
        path: PathBuf,
        /// The name that the interface gets in it.
        interface: String,
    },
}

/// An instance's state, as AWS spells it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InstanceState {
    /// Not made yet.
    Pending,
    /// Its namespace and interface exist.
    Running,
}

/// An instance: a network namespace with one interface.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Instance {
    /// Its ID.
    pub id: InstanceId,
    /// Whose it is.
    pub owner: AccountId,
    /// Its only network interface.
    pub eni: EniId,
    /// Its namespace.
    pub namespace: Namespace,
    /// A program with its arguments that runs in it, restarted when it ends; empty for none.
    pub command: Vec<String>,
    /// Its state, as the reconciler last saw it.
    pub state: InstanceState,
    /// Why it is not running, if something failed.
    pub problem: Option<String>,
    /// Tags.
    pub tags: Tags,
}

/// A transport protocol.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// A listener's or a target group's protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum ListenerProtocol {
    /// TCP.
    #[serde(rename = "TCP")]
    Tcp,
    /// UDP.
    #[serde(rename = "UDP")]
    Udp,
    /// Both at one port.
    #[serde(rename = "TCP_UDP")]
    TcpUdp,
}

impl fmt::Display for ListenerProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::TcpUdp => "TCP_UDP",
        })
    }
}

/// A load balancer's presence in one subnet.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Node {
    /// The zone.
    pub zone: Zone,
    /// The subnet.
    pub subnet: SubnetId,
    /// The interface, whose address targets see.
    pub eni: EniId,
}

/// A Network Load Balancer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LoadBalancer {
    /// `arn:aws:elasticloadbalancing:<region>:<account>:loadbalancer/net/<name>/<16 hex>`.
    pub arn: Arn,
    /// Unique in the account.
    pub name: String,
    /// Whose it is.
    pub owner: AccountId,
    /// Its VPC.
    pub vpc: VpcId,
    /// At most one a zone.
    pub nodes: Vec<Node>,
    /// Whether a node uses the targets of all zones.
    pub cross_zone: bool,
    /// Its frontend slot.
    pub slot: u32,
    /// Its generation.
    pub generation: u32,
    /// Milliseconds since 1970.
    pub created_ms: u64,
    /// Tags.
    pub tags: Tags,
}

/// How targets are named.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TargetType {
    /// By address inside the VPC.
    Ip,
    /// By instance ID.
    Instance,
}

/// A registered target.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Target {
    /// An address or an instance ID, by the group's type.
    pub id: String,
    /// 1 to 65535.
    pub port: u16,
    /// Its slot in `TARGETS`.
    pub slot: u32,
    /// Of this registration.
    pub generation: u32,
}

/// A target group.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TargetGroup {
    /// `arn:aws:elasticloadbalancing:<region>:<account>:targetgroup/<name>/<16 hex>`.
    pub arn: Arn,
    /// Unique in the account.
    pub name: String,
    /// Whose it is.
    pub owner: AccountId,
    /// Its VPC.
    pub vpc: VpcId,
    /// How targets are named.
    pub target_type: TargetType,
    /// The protocol of the listeners that may use it.
    pub protocol: ListenerProtocol,
    /// The port of targets that are registered without one.
    pub port: u16,
    /// The targets, in order of registration.
    pub targets: Vec<Target>,
    /// Its slot, from which the slots of its Maglev tables follow (one a zone, one for all zones).
    pub slot: u32,
    /// Tags.
    pub tags: Tags,
}

/// A listener.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Listener {
    /// `arn:aws:elasticloadbalancing:<region>:<account>:listener/net/<name>/<16 hex>/<16 hex>`.
    pub arn: Arn,
    /// Whose it is.
    pub owner: AccountId,
    /// Its load balancer.
    pub load_balancer: Arn,
    /// Its protocol.
    pub protocol: ListenerProtocol,
    /// 1 to 65535; one listener a port.
    pub port: u16,
    /// Where it forwards to.
    pub target_group: Arn,
    /// `tcp.idle_timeout.seconds`: 60 to 6000, 350 by default. UDP has 120.
    pub tcp_idle_timeout_s: u32,
    /// Tags.
    pub tags: Tags,
}

/// An endpoint service.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct EndpointService {
    /// Its ID.
    pub id: ServiceId,
    /// Whose it is: the provider.
    pub owner: AccountId,
    /// `com.amazonaws.vpce.<region>.<id>`.
    pub name: String,
    /// At least one.
    pub load_balancers: Vec<Arn>,
    /// Whether the provider has to accept each endpoint.
    pub acceptance_required: bool,
    /// Who may create endpoints, beside the owner: `*` or `arn:aws:iam::<account>:root` (also `user/…`, `role/…`).
    pub allowed_principals: BTreeSet<String>,
    /// Its slot, from which its listener sets follow (one a zone).
    pub slot: u32,
    /// Tags.
    pub tags: Tags,
}

/// An endpoint connection's state, as AWS spells it on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum EndpointState {
    /// Waits for the provider.
    PendingAcceptance,
    /// Accepted, not yet in the data path.
    Pending,
    /// Carries traffic.
    Available,
    /// Refused, or cut, by the provider.
    Rejected,
    /// Being deleted.
    Deleting,
    /// Could not be provisioned.
    Failed,
}

impl fmt::Display for EndpointState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::PendingAcceptance => "pendingAcceptance",
            Self::Pending => "pending",
            Self::Available => "available",
            Self::Rejected => "rejected",
            Self::Deleting => "deleting",
            Self::Failed => "failed",
        })
    }
}

/// An interface endpoint.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Endpoint {
    /// Its ID.
    pub id: EndpointId,
    /// Whose it is: the consumer.
    pub owner: AccountId,
    /// The consumer's VPC.
    pub vpc: VpcId,
    /// The service. It may have been deleted; the endpoint is not available then.
    pub service: ServiceId,
    /// One a subnet, at most one a zone.
    pub enis: Vec<EniId>,
    /// Its state.
    pub state: EndpointState,
    /// Its frontend slot.
    pub slot: u32,
    /// Its generation: renewed by each change of state, so that flows of before no longer match.
    pub generation: u32,
    /// Milliseconds since 1970.
    pub created_ms: u64,
    /// Why it failed, if it did.
    pub problem: Option<String>,
    /// Tags.
    pub tags: Tags,
}
