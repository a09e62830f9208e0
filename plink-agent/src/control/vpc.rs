//! VPCs.

use ipnet::Ipv4Net;

use super::{
    Reply, check,
    decision::{Decision, describe, in_use},
};
use crate::model::{ControlError, Tags, Vpc, VpcId};

pub(super) fn create(decision: &mut Decision<'_, '_>, cidr: Ipv4Net, tags: Tags) -> Result<Reply, ControlError> {
    let owner = decision.caller();
    if !decision.context.accounts.contains(&owner) {
        let accounts: Vec<_> = decision.context.accounts.iter().map(ToString::to_string).collect();
        let message = format!("account {owner} is not configured: {} are", accounts.join(", "));
        return Err(check::invalid("account", message));
    }
    check::cidr(cidr)?;
    check::tags(&tags)?;
    // The data path tells VPCs apart by a number, which two IDs may share.
    let (id, number) = loop {
        let id = decision.fresh::<Vpc>(|random| VpcId::random(random));
        let number = id.bits() as u32;
        if number != 0 && decision.state.vpcs.values().all(|vpc| vpc.number != number) {
            break (id, number);
        }
    };
    decision.put(Vpc { id, owner, cidr, number, tags });
    Ok(Reply::Id(id.to_string()))
}

pub(super) fn delete(decision: &mut Decision<'_, '_>, id: VpcId) -> Result<Reply, ControlError> {
    let vpc = decision.owned::<Vpc>(&id, "vpc")?;
    let state = &decision.state;
    let subnets = state.subnets_of(id).map(|subnet| describe(subnet.as_ref()));
    let groups = state.target_groups.values().filter(|group| group.vpc == id).map(|group| describe(group.as_ref()));
    // What else is in a VPC (instances, load balancers, endpoints) is in one of its subnets.
    let users: Vec<String> = subnets.chain(groups).collect();
    if !users.is_empty() {
        return Err(in_use(vpc.as_ref(), &users));
    }
    decision.remove(vpc.as_ref());
    Ok(Reply::Done)
}
