//! What people and scripts see of the objects, the flows and the agent. `--json` prints these as they are.

use std::{collections::BTreeMap, net::Ipv4Addr};

use serde::{Deserialize, Serialize};

use super::protocol::Tags;

/// An object by ID and name. The name is empty if it has none.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Named {
    /// ID or ARN.
    pub id: String,
    /// The tag `Name`, or the name of a load balancer or target group.
    pub name: String,
}

impl Named {
    /// The name, or the ID of what has none.
    #[must_use]
    pub fn label(&self) -> &str {
        if self.name.is_empty() { &self.id } else { &self.name }
    }
}

macro_rules! views {
    ($($(#[$meta:meta])* $view:ident { $($(#[doc = $doc:literal])+ $field:ident: $type:ty,)+ })+) => {
        $($(#[$meta])*
        #[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub struct $view { $($(#[doc = $doc])+ pub $field: $type,)+ })+
    };
}

views! {
    /// An account.
    AccountView {
        /// Twelve digits.
        id: String,
        /// Its name.
        name: String,
    }

    /// A VPC.
    VpcView {
        /// Its name.
        name: String,
        /// Its ID.
        id: String,
        /// Whose it is.
        account: Named,
        /// Its CIDR.
        cidr: String,
        /// Tags.
        tags: Tags,
    }

    /// A subnet.
    SubnetView {
        /// Its name.
        name: String,
        /// Its ID.
        id: String,
        /// Whose it is.
        account: Named,
        /// Its VPC.
        vpc: Named,
        /// Its zone.
        zone: String,
        /// Its CIDR.
        cidr: String,
        /// Tags.
        tags: Tags,
    }

    /// An instance.
    InstanceView {
        /// Its name.
        name: String,
        /// Its ID.
        id: String,
        /// Whose it is.
        account: Named,
        /// `pending` or `running`.
        state: String,
        /// Why it is not running.
        problem: Option<String>,
        /// Its address.
        address: String,
        /// Its zone.
        zone: String,
        /// Its VPC.
        vpc: Named,
        /// Its subnet.
        subnet: Named,
        /// Its network interface.
        eni: String,
        /// Its MAC address.
        mac: String,
        /// The interface index of the hub side.
        port: u32,
        /// The hub side's name.
        hub_interface: String,
        /// Where its namespace can be opened.
        netns: String,
        /// The name of the interface in it.
        interface: String,
        /// Whether the namespace existed before.
        attached: bool,
        /// The program that runs in it.
        command: Vec<String>,
        /// Tags.
        tags: Tags,
    }

    /// A network interface of a load balancer or an endpoint.
    InterfaceView {
        /// Its ID.
        eni: String,
        /// Its address.
        address: String,
        /// Its zone.
        zone: String,
        /// Its subnet.
        subnet: Named,
    }

    /// What passed a frontend.
    StatsView {
        /// Packets from clients.
        forward_packets: u64,
        /// Bytes of their IP packets.
        forward_bytes: u64,
        /// Packets from targets.
        reply_packets: u64,
        /// Bytes of their IP packets.
        reply_bytes: u64,
        /// Flows made.
        new_flows: u64,
        /// Packets dropped here.
        drops: u64,
    }

    /// A load balancer.
    LoadBalancerView {
        /// Its name.
        name: String,
        /// Its ARN.
        id: String,
        /// Whose it is.
        account: Named,
        /// Its VPC.
        vpc: Named,
        /// Its nodes.
        nodes: Vec<InterfaceView>,
        /// Whether a node uses the targets of all zones.
        cross_zone: bool,
        /// What passed it from inside its own VPC.
        stats: StatsView,
        /// Milliseconds since 1970.
        created_ms: u64,
        /// Tags.
        tags: Tags,
    }

    /// A registered target.
    TargetView {
        /// An address or an instance ID.
        id: String,
        /// The name of the instance, if it is one.
        name: String,
        /// Its address, if it is known.
        address: Option<String>,
        /// Its port.
        port: u16,
    }

    /// A target group.
    TargetGroupView {
        /// Its name.
        name: String,
        /// Its ARN.
        id: String,
        /// Whose it is.
        account: Named,
        /// Its VPC.
        vpc: Named,
        /// `ip` or `instance`.
        target_type: String,
        /// `TCP`, `UDP` or `TCP_UDP`.
        protocol: String,
        /// The port of targets registered without one.
        port: u16,
        /// The targets.
        targets: Vec<TargetView>,
        /// Tags.
        tags: Tags,
    }

    /// A target's health.
    TargetHealthView {
        /// An address or an instance ID.
        id: String,
        /// The name of the instance, if it is one.
        name: String,
        /// Its address, if it is known.
        address: Option<String>,
        /// Its port.
        port: u16,
        /// As AWS spells it, for example `healthy`.
        state: String,
        /// As AWS spells it, for example `Target.NotInUse`.
        reason: Option<String>,
    }

    /// A listener.
    ListenerView {
        /// Its name.
        name: String,
        /// Its ARN.
        id: String,
        /// Whose it is.
        account: Named,
        /// Its load balancer.
        load_balancer: Named,
        /// `TCP`, `UDP` or `TCP_UDP`.
        protocol: String,
        /// Its port.
        port: u16,
        /// Where it forwards to.
        target_group: Named,
        /// Idle timeout of TCP flows, in seconds.
        tcp_idle_timeout: u32,
        /// Tags.
        tags: Tags,
    }

    /// An endpoint service.
    ServiceView {
        /// Its name.
        name: String,
        /// Its ID.
        id: String,
        /// Whose it is.
        account: Named,
        /// What consumers call it: `com.amazonaws.vpce.…`.
        service_name: String,
        /// Whether each endpoint has to be accepted.
        acceptance_required: bool,
        /// Its load balancers.
        load_balancers: Vec<Named>,
        /// Who may create endpoints.
        allowed_principals: Vec<String>,
        /// Endpoints by state.
        connections: BTreeMap<String, usize>,
        /// Tags.
        tags: Tags,
    }

    /// An interface endpoint.
    EndpointView {
        /// Its name.
        name: String,
        /// Its ID.
        id: String,
        /// Whose it is.
        account: Named,
        /// As AWS spells it, for example `pendingAcceptance`.
        state: String,
        /// Why it failed.
        problem: Option<String>,
        /// The consumer's VPC.
        vpc: Named,
        /// The service.
        service: Named,
        /// The service's consumer name.
        service_name: String,
        /// Its network interfaces, by zone.
        interfaces: Vec<InterfaceView>,
        /// What passed it.
        stats: StatsView,
        /// Milliseconds since 1970.
        created_ms: u64,
        /// Tags.
        tags: Tags,
    }

    /// Objects. A list of one kind leaves the others empty.
    Inventory {
        /// The configured accounts.
        accounts: Vec<AccountView>,
        /// The configured zones.
        zones: Vec<String>,
        /// VPCs.
        vpcs: Vec<VpcView>,
        /// Subnets.
        subnets: Vec<SubnetView>,
        /// Instances.
        instances: Vec<InstanceView>,
        /// Load balancers.
        load_balancers: Vec<LoadBalancerView>,
        /// Target groups.
        target_groups: Vec<TargetGroupView>,
        /// Listeners.
        listeners: Vec<ListenerView>,
        /// Endpoint services.
        services: Vec<ServiceView>,
        /// Endpoints.
        endpoints: Vec<EndpointView>,
    }

    /// How full a map is.
    MapFill {
        /// The map's name.
        name: String,
        /// Entries in use.
        used: u64,
        /// Entries there is room for.
        size: u64,
    }

    /// The agent.
    StatusView {
        /// The agent's version.
        version: String,
        /// The name of its kernel objects.
        name: String,
        /// Its process.
        pid: u32,
        /// For how long it has run, in seconds.
        uptime_s: u64,
        /// The region.
        region: String,
        /// Where its durable state is.
        state_dir: String,
        /// The hub's namespace; none while there is nothing to connect.
        hub: Option<String>,
        /// The kernel's ID of the loaded program.
        program_id: Option<u32>,
        /// The MTU of instances' interfaces.
        mtu: u32,
        /// Ports whose link is attached.
        ports: usize,
        /// Objects by kind.
        objects: BTreeMap<String, usize>,
        /// Endpoints by state.
        endpoints: BTreeMap<String, usize>,
        /// How full the maps are.
        maps: Vec<MapFill>,
        /// Packets by outcome.
        counters: BTreeMap<String, u64>,
        /// Sum of all drop counters.
        drops: u64,
        /// What the reconciler could not do in its last pass.
        problems: Vec<String>,
    }

    /// A drop counter.
    DropView {
        /// The reason's label.
        reason: String,
        /// Packets.
        count: u64,
        /// One sentence.
        meaning: String,
    }
}

/// A flow, as its forward entry has it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct FlowView {
    /// `TCP` or `UDP`.
    pub protocol: String,
    /// The client.
    pub client: SocketView,
    /// What the client addressed.
    pub frontend: Named,
    /// Its address and port.
    pub frontend_address: SocketView,
    /// The load balancer node's address and port, which the target sees.
    pub source: SocketView,
    /// The target.
    pub target: SocketView,
    /// Seconds since the last packet of the client.
    pub idle_s: f64,
    /// Idle seconds after which the flow is forgotten.
    pub timeout_s: f64,
    /// What was seen from the client: `seen`, `fin`, `rst`.
    pub forward_flags: Vec<String>,
    /// What was seen from the target.
    pub reply_flags: Vec<String>,
    /// Whether the frontend is open for this flow; a closed one drops its next packet.
    pub live: bool,
}

/// An address and a port, with the name of the instance there if it is one.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct SocketView {
    /// The address.
    pub address: Ipv4Addr,
    /// The port.
    pub port: u16,
    /// The instance's name, or empty.
    pub name: String,
}
