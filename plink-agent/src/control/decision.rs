//! A decision in the making.

use std::{collections::BTreeSet, sync::Arc};

use plink_common::abi;

use super::{Context, Outcome, Reply};
use crate::model::{AccountId, Change, ControlError, Entity, ErrorCode, Kind, Record, State};

/// The largest slot of a target group: eight Maglev tables each.
const LAST_TARGET_GROUP: u32 = abi::MAX_MAGLEV_TABLES / 8 - 1;
/// The largest slot of an endpoint service; its listener sets are numbered by it, eight each.
const LAST_SERVICE: u32 = 65_535;

/// The state as it will be after the changes so far, and these changes. Dropped when the command is refused.
pub(super) struct Decision<'a, 'c> {
    /// What the decision depends on beside the state.
    pub(super) context: &'a mut Context<'c>,
    /// The state with the changes so far.
    pub(super) state: State,
    first_generation: u32,
    changes: Vec<Change>,
    doors: BTreeSet<u32>,
}

impl<'a, 'c> Decision<'a, 'c> {
    /// Nothing decided yet.
    pub(super) fn new(state: &State, context: &'a mut Context<'c>) -> Self {
        let first_generation = state.next_generation;
        Self { context, state: state.clone(), first_generation, changes: Vec::new(), doors: BTreeSet::new() }
    }

    /// The outcome of all that was decided.
    pub(super) fn finish(mut self, reply: Reply) -> Outcome {
        if self.state.next_generation != self.first_generation {
            self.changes.push(Change::NextGeneration(self.state.next_generation));
        }
        Outcome { changes: self.changes, reply, doors: self.doors.into_iter().collect() }
    }

    /// Whose command it is.
    pub(super) fn caller(&self) -> AccountId {
        self.context.caller
    }

    /// Makes or replaces an object.
    pub(super) fn put(&mut self, entity: impl Into<Record>) {
        self.change(Change::put(entity));
    }

    /// Removes an object.
    pub(super) fn remove(&mut self, entity: &impl Entity) {
        self.change(Change::delete(entity));
    }

    fn change(&mut self, change: Change) {
        self.state.apply(change.clone());
        self.changes.push(change);
    }

    /// The row of this frontend changes, before the answer goes out.
    pub(super) fn door(&mut self, slot: u32) {
        self.doors.insert(slot);
    }

    /// The caller's object with this ID. Another account's is as good as none.
    pub(super) fn owned<T: Kind>(&self, id: &T::Id, field: &str) -> Result<Arc<T>, ControlError> {
        let caller = self.caller();
        let entity = T::table(&self.state).get(id).filter(|entity| entity.owner() == caller);
        entity.cloned().ok_or_else(|| not_found::<T>(id, field, caller))
    }

    /// A random ID that no object of its kind has.
    pub(super) fn fresh<T: Kind>(&mut self, make: impl Fn(&mut dyn FnMut() -> u64) -> T::Id) -> T::Id {
        loop {
            let id = make(self.context.random);
            if !T::table(&self.state).contains_key(&id) {
                return id;
            }
        }
    }

    /// A generation that nothing had before.
    pub(super) fn generation(&mut self) -> Result<u32, ControlError> {
        let generation = self.state.next_generation;
        let next = generation.checked_add(1);
        self.state.next_generation = next.ok_or_else(|| {
            ControlError::new(ErrorCode::LimitExceeded, "all 4294967295 generations of this store are used up")
                .hint("start with a new store")
        })?;
        Ok(generation)
    }

    /// A free port slot: the interface index of a hub side. 1 is the loopback interface's.
    pub(super) fn port_slot(&self) -> Result<u32, ControlError> {
        let used = self.state.enis.values().map(|eni| eni.port).collect();
        lowest_free(&used, 2, abi::MAX_PORTS - 1, "ports of instances")
    }

    /// A free frontend slot; endpoints and load balancers share them.
    pub(super) fn frontend_slot(&self) -> Result<u32, ControlError> {
        let endpoints = self.state.endpoints.values().map(|endpoint| endpoint.slot);
        let load_balancers = self.state.load_balancers.values().map(|load_balancer| load_balancer.slot);
        let used = endpoints.chain(load_balancers).collect();
        lowest_free(&used, 1, abi::MAX_FRONTENDS - 1, "slots of endpoints and load balancers")
    }

    /// A free target group slot.
    pub(super) fn target_group_slot(&self) -> Result<u32, ControlError> {
        let used = self.state.target_groups.values().map(|group| group.slot).collect();
        lowest_free(&used, 1, LAST_TARGET_GROUP, "slots of target groups")
    }

    /// A free service slot.
    pub(super) fn service_slot(&self) -> Result<u32, ControlError> {
        let used = self.state.services.values().map(|service| service.slot).collect();
        lowest_free(&used, 1, LAST_SERVICE, "slots of endpoint services")
    }

    /// The target slots in use.
    pub(super) fn used_target_slots(&self) -> BTreeSet<u32> {
        let groups = self.state.target_groups.values();
        groups.flat_map(|group| group.targets.iter().map(|target| target.slot)).collect()
    }
}

/// The lowest number of `first..=last` that is not in use.
pub(super) fn lowest_free(used: &BTreeSet<u32>, first: u32, last: u32, what: &str) -> Result<u32, ControlError> {
    let mut free = first;
    for &slot in used.range(first..) {
        if slot != free {
            break;
        }
        free += 1;
    }
    if free <= last {
        return Ok(free);
    }
    let count = last - first + 1;
    Err(ControlError::new(ErrorCode::LimitExceeded, format!("all {count} {what} are in use"))
        .hint("delete some of what is no longer needed"))
}

/// There is no such object, or none that this account may see.
pub(super) fn not_found<T: Kind>(id: &T::Id, field: &str, caller: AccountId) -> ControlError {
    let kind = kind(T::LABEL);
    ControlError::field(ErrorCode::NotFound, field, format!("account {caller} has no {kind} {id}"))
        .hint(format!("`plinkctl {} list` shows what there is", kind_verb(T::LABEL)))
}

/// An object that is still used.
pub(super) fn in_use(entity: &impl Entity, users: &[String]) -> ControlError {
    ControlError::new(
        ErrorCode::DependencyViolation,
        format!("{} is still used by {}", describe(entity), list(users.iter())),
    )
    .hint("delete these first")
}

/// An object in the words of an error: its kind, and its name or ID.
pub(super) fn describe(entity: &impl Entity) -> String {
    let key = entity.key();
    let kind = kind(key.label());
    match (&key, entity.name()) {
        (crate::model::Key::LoadBalancer(_) | crate::model::Key::TargetGroup(_), Some(name)) => {
            format!("{kind} {name}")
        }
        (_, Some(name)) => format!("{kind} {key} ({name})"),
        (_, None) => format!("{kind} {key}"),
    }
}

/// Some of them and how many more.
pub(super) fn list<T: std::fmt::Display>(items: impl ExactSizeIterator<Item = T>) -> String {
    const SHOWN: usize = 5;
    let more = items.len().saturating_sub(SHOWN);
    let mut text = items.take(SHOWN).map(|item| item.to_string()).collect::<Vec<_>>().join(", ");
    if more > 0 {
        text += &format!(" and {more} more");
    }
    text
}

fn kind(label: &'static str) -> &'static str {
    label.split_once(' ').map_or(label, |(_, kind)| kind)
}

/// The verb of `plinkctl` for a kind.
fn kind_verb(label: &'static str) -> String {
    match kind(label) {
        "VPC" => "vpc".to_owned(),
        "endpoint service" => "service".to_owned(),
        kind => kind.replace(' ', "-"),
    }
}
