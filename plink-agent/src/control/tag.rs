//! Tags of any object.

use super::{Reply, check, check::missing, decision::Decision};
use crate::model::{ControlError, ErrorCode, Tags};

/// Removes first, then sets: a key in both ends up set.
pub(super) fn change(
    decision: &mut Decision<'_, '_>,
    resource: &str,
    set: Tags,
    remove: &[String],
) -> Result<Reply, ControlError> {
    let caller = decision.caller();
    let key = decision.state.find_key(resource);
    let record = key.and_then(|key| decision.state.record(&key)).filter(|record| record.entity().owner() == caller);
    let Some(mut record) = record else {
        let message = format!("account {caller} has nothing with the ID {:?}", check::shorten(resource));
        return Err(ControlError::field(ErrorCode::NotFound, "resource", message));
    };
    if set.is_empty() && remove.is_empty() {
        return Err(missing("tags", "the tags are missing: at least one to set or to remove"));
    }
    let mut tags = record.entity().tags().clone();
    for key in remove {
        check::tag_key(key)?;
        tags.remove(key);
    }
    tags.extend(set);
    check::tags(&tags)?;
    if tags != *record.entity().tags() {
        *record.entity_mut().tags_mut() = tags;
        decision.put(record);
    }
    Ok(Reply::Id(resource.to_owned()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that panics has failed")]
mod tests {
    use super::super::{
        Command,
        testing::{Scene, consumer, name, provider},
    };
    use crate::model::{ErrorCode, Key, Tags, named};

    fn tag(resource: &str, set: Tags, remove: &[&str]) -> Command {
        Command::Tag { resource: resource.to_owned(), set, remove: remove.iter().map(ToString::to_string).collect() }
    }

    #[test]
    fn every_kind_of_object_has_tags() {
        let mut scene = Scene::new(true);
        scene.endpoint();
        let keys: Vec<Key> = scene.world.state.keys().collect();
        for key in keys {
            let owner = scene.world.state.record(&key).unwrap().entity().owner();
            let text = key.to_string();
            scene.world.run(owner, tag(&text, name("x"), &[])).unwrap();
            assert_eq!(scene.world.state.record(&key).unwrap().entity().tags(), &name("x"));
            scene.world.run(owner, tag(&text, Tags::new(), &["Name", "not-there"])).unwrap();
            assert!(scene.world.state.record(&key).unwrap().entity().tags().is_empty());
            let foreigner = if owner == provider() { consumer() } else { provider() };
            scene.world.refuse(foreigner, tag(&text, name("x"), &[]), ErrorCode::NotFound, "resource", &[&text]);
        }
    }

    #[test]
    fn bad_tags_are_refused() {
        let Scene { mut world, provider_vpc, .. } = Scene::new(true);
        let vpc = provider_vpc.to_string();
        let invalid = ErrorCode::InvalidParameterValue;
        world.refuse(provider(), tag(&vpc, Tags::new(), &[]), ErrorCode::MissingParameter, "tags", &["at least one"]);
        world.refuse(provider(), tag(&vpc, Tags::new(), &["aws:x"]), invalid, "tags", &["aws:"]);
        let many = |prefix: &str, count| (0..count).map(|n| (format!("{prefix}{n}"), String::new())).collect::<Tags>();
        world.run(provider(), tag(&vpc, many("a", 50), &[])).unwrap();
        world.refuse(provider(), tag(&vpc, many("b", 1), &[]), ErrorCode::LimitExceeded, "tags", &["50"]);
        world.run(provider(), tag(&vpc, many("b", 1), &["a7"])).unwrap();
        for nothing in ["", "vpc-", "nonsense", &"x".repeat(500)] {
            world.refuse(provider(), tag(nothing, name("x"), &[]), ErrorCode::NotFound, "resource", &[]);
        }
    }

    #[test]
    fn names_lead_to_objects() {
        let Scene { mut world, provider_vpc, consumer_vpc, .. } = Scene::new(true);
        world.run(provider(), tag(&provider_vpc.to_string(), name("main"), &[])).unwrap();
        world.run(consumer(), tag(&consumer_vpc.to_string(), name("main"), &[])).unwrap();
        assert_eq!(named(&world.state.vpcs, "main").count(), 2);
        assert_eq!(named(&world.state.load_balancers, "nlb").count(), 1);
        assert_eq!(named(&world.state.vpcs, "Main").count(), 0);
    }
}
