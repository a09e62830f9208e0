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

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that panics has failed")]
mod tests {
    use super::super::{
        Command,
        testing::{Scene, World, consumer, parse, provider},
    };
    use crate::model::{ErrorCode, Tags, VpcId};

    fn create(cidr: &str, tags: Tags) -> Command {
        Command::CreateVpc { cidr: parse(cidr), tags }
    }

    #[test]
    fn vpcs_may_have_one_cidr_and_have_numbers_of_their_own() {
        let mut world = World::new();
        let a = world.vpc(provider(), "10.0.0.0/16");
        let b = world.vpc(consumer(), "10.0.0.0/16");
        let (a, b) = (&world.state.vpcs[&a], &world.state.vpcs[&b]);
        assert!(a.number != 0 && b.number != 0 && a.number != b.number);
        assert_eq!(format!("{:08x}", a.number), a.id.digits()[9..]);
    }

    #[test]
    fn bad_cidrs_are_refused() {
        for (cidr, word) in [
            ("10.0.0.0/15", "/16 to /28"),
            ("10.0.0.0/29", "/16 to /28"),
            ("0.0.0.0/0", "/16 to /28"),
            ("10.0.0.1/16", "10.0.0.0/16"),
            ("127.0.0.0/16", "127.0.0.0/8"),
            ("169.254.0.0/24", "169.254.0.0/16"),
            ("224.0.0.0/24", "224.0.0.0/3"),
            ("0.1.0.0/16", "0.0.0.0/8"),
        ] {
            World::new().refuse(
                provider(),
                create(cidr, Tags::new()),
                ErrorCode::InvalidParameterValue,
                "cidr",
                &[word],
            );
        }
    }

    #[test]
    fn bad_tags_are_refused() {
        let invalid = ErrorCode::InvalidParameterValue;
        for (key, value, word) in [
            ("", String::new(), "1 to 128"),
            (&"k".repeat(129), String::new(), "1 to 128"),
            ("aws:x", String::new(), "reserved"),
            ("x", "v".repeat(257), "0 to 256"),
            ("x", "a\nb".to_owned(), "printable"),
        ] {
            let tags = Tags::from([(key.to_owned(), value)]);
            World::new().refuse(provider(), create("10.0.0.0/16", tags), invalid, "tags", &[word]);
        }
        let many = |count: usize| (0..count).map(|n| (format!("k{n}"), "\u{e9}".repeat(256))).collect::<Tags>();
        World::new().refuse(provider(), create("10.0.0.0/16", many(51)), ErrorCode::LimitExceeded, "tags", &["50"]);
        World::new().make::<VpcId>(provider(), create("10.0.0.0/16", many(50)));
    }

    #[test]
    fn an_account_that_is_not_configured_is_refused() {
        let command = create("10.0.0.0/16", Tags::new());
        let words = ["999999999999", "111122223333"];
        World::new().refuse(parse("999999999999"), command, ErrorCode::InvalidParameterValue, "account", &words);
    }

    #[test]
    fn only_an_empty_vpc_of_ones_own_is_deleted() {
        let Scene { mut world, provider_vpc, provider_subnets, .. } = Scene::new(true);
        let delete = || Command::DeleteVpc { id: provider_vpc };
        let users = [provider_subnets[0].to_string(), "target group web".to_owned()];
        let words: Vec<&str> = users.iter().map(String::as_str).collect();
        world.refuse(provider(), delete(), ErrorCode::DependencyViolation, "", &words);
        world.refuse(consumer(), delete(), ErrorCode::NotFound, "vpc", &[&provider_vpc.to_string()]);
        let empty = world.vpc(provider(), "10.9.0.0/28");
        world.run(provider(), Command::DeleteVpc { id: empty }).unwrap();
        world.refuse(provider(), Command::DeleteVpc { id: empty }, ErrorCode::NotFound, "vpc", &[]);
    }
}
