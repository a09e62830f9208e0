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
