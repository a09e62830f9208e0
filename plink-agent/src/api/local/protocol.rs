//! The wire types of the local API: newline-delimited JSON, one [`Envelope`] a line, one [`Response`] a line.
//!
//! Wherever an object is meant, its ID (or ARN) and its name are accepted. Values arrive as plain strings and numbers,
//! and are checked when the request is translated, so that an error can name the field and say what is allowed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::view::{DropView, FlowView, Inventory, StatusView, TargetHealthView};

/// Longest line in either direction, without its newline.
pub const MAX_LINE: usize = 1 << 20;

/// How long a request that changes something waits for the reconciler, unless it says otherwise.
pub const DEFAULT_WAIT_MS: u64 = 10_000;

/// One line from the client.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Envelope {
    /// ID or name of the account that asks. Without one, the owner of the object that the request acts on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// How long to wait until the kernel holds what was changed, in milliseconds; 0 answers at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_ms: Option<u64>,
    /// What is asked.
    pub request: Request,
}

impl From<Request> for Envelope {
    fn from(request: Request) -> Self {
        Self { account: None, wait_ms: None, request }
    }
}

/// The kinds of objects.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// An account, from the configuration.
    Account,
    /// A VPC.
    Vpc,
    /// A subnet.
    Subnet,
    /// An instance.
    Instance,
    /// A load balancer.
    LoadBalancer,
    /// A target group.
    TargetGroup,
    /// A listener.
    Listener,
    /// An endpoint service.
    Service,
    /// An interface endpoint.
    Endpoint,
}

impl Kind {
    /// The name on the command line and in lab files.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Vpc => "vpc",
            Self::Subnet => "subnet",
            Self::Instance => "instance",
            Self::LoadBalancer => "load-balancer",
            Self::TargetGroup => "target-group",
            Self::Listener => "listener",
            Self::Service => "service",
            Self::Endpoint => "endpoint",
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.label())
    }
}

/// Tags by key.
pub type Tags = BTreeMap<String, String>;

/// An existing namespace that becomes an instance.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Attach {
    /// Where it can be opened, as an absolute path.
    pub netns: String,
    /// The name that the interface gets in it.
    pub interface: String,
}

/// A target to register or to deregister.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct TargetRef {
    /// An instance (ID or name), or an address in a group of type `ip`.
    pub target: String,
    /// Its port, if it is not the group's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u32>,
}

/// Where an endpoint gets a network interface.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct EndpointSubnet {
    /// The subnet.
    pub subnet: String,
    /// The interface's address; without one, the lowest free.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

/// What can be asked.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case", deny_unknown_fields)]
#[allow(missing_docs, reason = "the fields are those of the commands of the control core")]
pub enum Request {
    /// The agent's state and counters.
    Status {},
    /// All objects, or those of one kind.
    List {
        #[serde(default)]
        kind: Option<Kind>,
    },
    /// One object.
    Show { kind: Kind, object: String },
    /// Removes an object. A service with live connections only with `cascade`, which rejects them first.
    Delete {
        kind: Kind,
        object: String,
        #[serde(default)]
        cascade: bool,
    },
    /// Sets and removes tags.
    Tag {
        kind: Kind,
        object: String,
        #[serde(default)]
        set: Tags,
        #[serde(default)]
        remove: Vec<String>,
    },
    /// Waits for the reconciler.
    Settle {},
    /// Makes a VPC.
    CreateVpc {
        cidr: String,
        #[serde(default)]
        tags: Tags,
    },
    /// Makes a subnet.
    CreateSubnet {
        vpc: String,
        cidr: String,
        #[serde(default)]
        zone: Option<String>,
        #[serde(default)]
        tags: Tags,
    },
    /// Makes an instance, in a namespace of its own or in an existing one.
    CreateInstance {
        subnet: String,
        #[serde(default)]
        address: Option<String>,
        #[serde(default)]
        attach: Option<Attach>,
        #[serde(default)]
        command: Vec<String>,
        #[serde(default)]
        tags: Tags,
    },
    /// Makes a load balancer.
    CreateLoadBalancer {
        name: String,
        subnets: Vec<String>,
        #[serde(default)]
        cross_zone: bool,
        #[serde(default)]
        tags: Tags,
    },
    /// Changes a load balancer.
    ModifyLoadBalancer {
        load_balancer: String,
        #[serde(default)]
        cross_zone: Option<bool>,
    },
    /// Makes a target group.
    CreateTargetGroup {
        name: String,
        vpc: String,
        target_type: String,
        protocol: String,
        port: u32,
        #[serde(default)]
        tags: Tags,
    },
    /// Registers targets.
    RegisterTargets { target_group: String, targets: Vec<TargetRef> },
    /// Deregisters targets.
    DeregisterTargets { target_group: String, targets: Vec<TargetRef> },
    /// The health of a group's targets.
    TargetHealth { target_group: String },
    /// Makes a listener.
    CreateListener {
        load_balancer: String,
        protocol: String,
        port: u32,
        target_group: String,
        #[serde(default)]
        tcp_idle_timeout: Option<u32>,
        #[serde(default)]
        tags: Tags,
    },
    /// Makes an endpoint service. Principals are `*`, ARNs, or IDs or names of accounts.
    CreateService {
        load_balancers: Vec<String>,
        acceptance_required: bool,
        #[serde(default)]
        allowed_principals: Vec<String>,
        #[serde(default)]
        tags: Tags,
    },
    /// Changes an endpoint service.
    ModifyService {
        service: String,
        #[serde(default)]
        acceptance_required: Option<bool>,
        #[serde(default)]
        add_load_balancers: Vec<String>,
        #[serde(default)]
        remove_load_balancers: Vec<String>,
        #[serde(default)]
        add_principals: Vec<String>,
        #[serde(default)]
        remove_principals: Vec<String>,
    },
    /// The endpoints of a service.
    ServiceConnections { service: String },
    /// Makes an interface endpoint. The service by ID, name, or consumer name (`com.amazonaws.vpce.…`).
    CreateEndpoint {
        vpc: String,
        service: String,
        subnets: Vec<EndpointSubnet>,
        #[serde(default)]
        tags: Tags,
    },
    /// Accepts an endpoint, as the service's owner.
    AcceptEndpoint { endpoint: String },
    /// Rejects an endpoint, as the service's owner.
    RejectEndpoint { endpoint: String },
    /// Live flows.
    Flows {
        #[serde(default)]
        endpoint: Option<String>,
        #[serde(default)]
        limit: Option<usize>,
    },
    /// All drop counters.
    Drops {},
}

/// One line from the agent.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Response {
    /// It was done.
    Ok(Answer),
    /// It was refused; nothing was changed.
    Error(WireError),
}

/// What was done or found.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum Answer {
    /// Something was changed.
    Changed {
        /// The ID or ARN of what was made or changed.
        id: Option<String>,
        /// What the reconciler could not do (yet).
        problems: Vec<String>,
    },
    /// Objects.
    Objects(Box<Inventory>),
    /// The agent's status.
    Status(Box<StatusView>),
    /// Targets and their health.
    Health(Vec<TargetHealthView>),
    /// Flows.
    Flows(Vec<FlowView>),
    /// Drop counters.
    Drops(Vec<DropView>),
}

/// Why a request was refused.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct WireError {
    /// The kind, for example `NotFound`.
    pub code: String,
    /// The field of the request that was wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// What was wrong and what is allowed.
    pub message: String,
    /// What to do next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl From<crate::model::ControlError> for WireError {
    fn from(error: crate::model::ControlError) -> Self {
        let code = format!("{:?}", error.code);
        Self { code, field: error.field, message: error.message, hint: error.hint }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn round_trip(envelope: &Envelope, wire: &serde_json::Value) {
        assert_eq!(&serde_json::to_value(envelope).unwrap(), wire);
        assert_eq!(&serde_json::from_value::<Envelope>(wire.clone()).unwrap(), envelope);
    }

    #[test]
    fn requests_keep_their_meaning_on_the_wire() {
        round_trip(&Request::Status {}.into(), &json!({"request": {"status": {}}}));
        round_trip(
            &Request::Delete { kind: Kind::LoadBalancer, object: "nlb".into(), cascade: true }.into(),
            &json!({"request": {"delete": {"kind": "load-balancer", "object": "nlb", "cascade": true}}}),
        );
        round_trip(
            &Envelope {
                account: Some("consumer".into()),
                wait_ms: Some(0),
                request: Request::CreateEndpoint {
                    vpc: "consumer".into(),
                    service: "orders".into(),
                    subnets: vec![EndpointSubnet { subnet: "a".into(), address: Some("10.0.1.100".into()) }],
                    tags: Tags::from([("Name".into(), "orders".into())]),
                },
            },
            &json!({"account": "consumer", "wait-ms": 0, "request": {"create-endpoint": {
                "vpc": "consumer", "service": "orders", "tags": {"Name": "orders"},
                "subnets": [{"subnet": "a", "address": "10.0.1.100"}]}}}),
        );
    }

    #[test]
    fn what_may_be_left_out_is_filled_in() {
        let request: Request = serde_json::from_value(json!({"create-vpc": {"cidr": "10.0.0.0/16"}})).unwrap();
        assert_eq!(request, Request::CreateVpc { cidr: "10.0.0.0/16".into(), tags: Tags::new() });
        let request: Request = serde_json::from_value(json!({"list": {}})).unwrap();
        assert_eq!(request, Request::List { kind: None });
    }

    #[test]
    fn unknown_fields_and_requests_are_refused_by_name() {
        let error = serde_json::from_value::<Request>(json!({"create-vpc": {"cdir": "10.0.0.0/16"}})).unwrap_err();
        assert!(error.to_string().contains("unknown field `cdir`"), "{error}");
        let error = serde_json::from_value::<Request>(json!({"make-vpc": {}})).unwrap_err();
        assert!(error.to_string().contains("unknown variant `make-vpc`"), "{error}");
    }

    #[test]
    fn answers_keep_their_meaning_on_the_wire() {
        let changed = Response::Ok(Answer::Changed { id: Some("vpc-1".into()), problems: vec![] });
        let wire = json!({"ok": {"changed": {"id": "vpc-1", "problems": []}}});
        assert_eq!(serde_json::to_value(&changed).unwrap(), wire);
        assert_eq!(serde_json::from_value::<Response>(wire).unwrap(), changed);
        let refused = Response::Error(WireError {
            code: "NotFound".into(),
            field: None,
            message: "no vpc `x`".into(),
            hint: None,
        });
        let wire = json!({"error": {"code": "NotFound", "message": "no vpc `x`"}});
        assert_eq!(serde_json::to_value(&refused).unwrap(), wire);
        assert_eq!(serde_json::from_value::<Response>(wire).unwrap(), refused);
    }
}
