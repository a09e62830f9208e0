//! Subnets.

use ipnet::Ipv4Net;

use super::{
    Reply, check,
    check::invalid,
    decision::{Decision, in_use, list},
    eni,
};
use crate::model::{ControlError, ErrorCode, Subnet, SubnetId, Tags, Vpc, VpcId, Zone};

pub(super) fn create(
    decision: &mut Decision<'_, '_>,
    vpc: VpcId,
    cidr: Ipv4Net,
    zone: Option<Zone>,
    tags: Tags,
) -> Result<Reply, ControlError> {
    let vpc = decision.owned::<Vpc>(&vpc, "vpc")?;
    check::cidr(cidr)?;
    check::tags(&tags)?;
    if !vpc.cidr.contains(&cidr) {
        return Err(invalid("cidr", format!("{cidr} is not inside {}, the CIDR of {}", vpc.cidr, vpc.id)));
    }
    let overlaps = |other: &Ipv4Net| other.contains(&cidr) || cidr.contains(other);
    if let Some(other) = decision.state.subnets_of(vpc.id).find(|other| overlaps(&other.cidr)) {
        return Err(invalid("cidr", format!("{cidr} overlaps {} ({})", other.id, other.cidr)));
    }
    let zone = choose_zone(decision.context.zones, zone)?;
    let id = decision.fresh::<Subnet>(|random| SubnetId::random(random));
    decision.put(Subnet { id, owner: vpc.owner, vpc: vpc.id, zone, cidr, tags });
    Ok(Reply::Id(id.to_string()))
}

pub(super) fn delete(decision: &mut Decision<'_, '_>, id: SubnetId) -> Result<Reply, ControlError> {
    let subnet = decision.owned::<Subnet>(&id, "subnet")?;
    let inside = decision.state.enis.values().filter(|eni| eni.subnet == id);
    let users: Vec<String> = inside.map(|eni| eni::describe_role(&eni.role)).collect();
    if !users.is_empty() {
        return Err(in_use(subnet.as_ref(), &users));
    }
    decision.remove(subnet.as_ref());
    Ok(Reply::Done)
}

fn choose_zone(zones: &[Zone], zone: Option<Zone>) -> Result<Zone, ControlError> {
    match zone {
        Some(zone) if zones.contains(&zone) => Ok(zone),
        Some(zone) => {
            Err(invalid("zone", format!("there is no availability zone {zone}: {} are allowed", list(zones.iter()))))
        }
        None => zones.first().cloned().ok_or_else(|| ControlError::new(ErrorCode::Internal, "no zone is configured")),
    }
}
