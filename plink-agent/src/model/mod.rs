//! The objects of plink and their life cycles, without I/O.
//!
//! Names and states are AWS's. Everything here is plain data: [`crate::control`] decides how it changes,
//! [`crate::store`] keeps it, [`crate::plan`] derives from it what the kernel has to hold.

mod entity;
mod error;
mod id;
mod state;

pub use entity::{
    Account, Endpoint, EndpointService, EndpointState, Eni, EniRole, Instance, InstanceState, Listener,
    ListenerProtocol, LoadBalancer, Namespace, Node, Protocol, Subnet, Tags, Target, TargetGroup, TargetType, Vpc,
};
pub use error::{ControlError, ErrorCode};
pub use id::{AccountId, Arn, EndpointId, EniId, IdError, InstanceId, MacAddress, ServiceId, SubnetId, VpcId, Zone};
pub use state::{Change, Entity, Key, Kind, Record, State, Table, named};
