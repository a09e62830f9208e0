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

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that panics has failed")]
mod tests {
    use super::super::{
        Command,
        testing::{Scene, World, consumer, instance, parse, provider},
    };
    use crate::model::{ErrorCode, SubnetId, Tags, VpcId};

    fn create(vpc: VpcId, cidr: &str, zone: Option<&str>) -> Command {
        Command::CreateSubnet { vpc, cidr: parse(cidr), zone: zone.map(parse), tags: Tags::new() }
    }

    #[test]
    fn a_subnet_is_in_the_first_zone_unless_told_otherwise() {
        let mut world = World::new();
        let vpc = world.vpc(provider(), "10.0.0.0/16");
        let a: SubnetId = world.make(provider(), create(vpc, "10.0.0.0/17", None));
        let b: SubnetId = world.make(provider(), create(vpc, "10.0.128.0/17", Some("us-east-1c")));
        assert_eq!(world.state.subnets[&a].zone.as_str(), "us-east-1a");
        assert_eq!(world.state.subnets[&b].zone.as_str(), "us-east-1c");
        // The whole VPC may be one subnet.
        let vpc = world.vpc(provider(), "10.0.0.0/16");
        world.make::<SubnetId>(provider(), create(vpc, "10.0.0.0/16", None));
    }

    #[test]
    fn bad_subnets_are_refused() {
        let mut world = World::new();
        let vpc = world.vpc(provider(), "10.0.0.0/20");
        let taken = world.subnet(provider(), vpc, "10.0.4.0/24", "us-east-1a").to_string();
        let invalid = ErrorCode::InvalidParameterValue;
        for (cidr, zone, field, word) in [
            ("10.0.16.0/24", None, "cidr", "not inside 10.0.0.0/20"),
            ("10.0.0.0/19", None, "cidr", "not inside"),
            ("10.0.4.0/24", None, "cidr", taken.as_str()),
            ("10.0.4.128/25", None, "cidr", "overlaps"),
            ("10.0.0.0/21", None, "cidr", "10.0.4.0/24"),
            ("10.0.0.0/29", None, "cidr", "/16 to /28"),
            ("10.0.0.9/24", None, "cidr", "10.0.0.0/24"),
            ("10.0.0.0/24", Some("us-east-1d"), "zone", "us-east-1a, us-east-1b, us-east-1c"),
        ] {
            world.refuse(provider(), create(vpc, cidr, zone), invalid, field, &[word]);
        }
        world.refuse(consumer(), create(vpc, "10.0.0.0/24", None), ErrorCode::NotFound, "vpc", &[]);
        let unknown = VpcId::from_bits(1);
        world.refuse(provider(), create(unknown, "10.0.0.0/24", None), ErrorCode::NotFound, "vpc", &["vpc-0000"]);
    }

    #[test]
    fn only_an_empty_subnet_is_deleted() {
        let Scene { mut world, provider_subnets, consumer_subnets, .. } = Scene::new(true);
        let delete = |id| Command::DeleteSubnet { id };
        world.refuse(provider(), delete(provider_subnets[0]), ErrorCode::DependencyViolation, "", &["load balancer"]);
        world.refuse(consumer(), delete(provider_subnets[0]), ErrorCode::NotFound, "subnet", &[]);
        let client = world.make::<crate::model::InstanceId>(consumer(), instance(consumer_subnets[2], None));
        let words = [client.to_string()];
        world.refuse(consumer(), delete(consumer_subnets[2]), ErrorCode::DependencyViolation, "", &[&words[0]]);
        world.run(consumer(), Command::DeleteInstance { id: client }).unwrap();
        world.run(consumer(), delete(consumer_subnets[2])).unwrap();
    }
}
