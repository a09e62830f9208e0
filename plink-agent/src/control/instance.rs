//! Instances.

use std::{net::Ipv4Addr, path::Path};

use super::{
    Reply, check,
    check::invalid,
    decision::{Decision, describe},
    eni,
};
use crate::model::{
    ControlError, EniRole, ErrorCode, Instance, InstanceId, InstanceState, Namespace, Subnet, SubnetId, Tags,
    TargetType,
};

/// Bytes of a command with its arguments.
const MAX_COMMAND: usize = 65_536;
/// Bytes of an interface's name, IFNAMSIZ without the zero.
const MAX_INTERFACE: usize = 15;

/// What an instance is made of.
pub(super) struct New {
    pub(super) subnet: SubnetId,
    pub(super) address: Option<Ipv4Addr>,
    pub(super) namespace: Namespace,
    pub(super) command: Vec<String>,
    pub(super) tags: Tags,
}

pub(super) fn create(decision: &mut Decision<'_, '_>, new: New) -> Result<Reply, ControlError> {
    let subnet = decision.owned::<Subnet>(&new.subnet, "subnet")?;
    check::tags(&new.tags)?;
    check_command(&new.command)?;
    check_namespace(decision, &new.namespace)?;
    let id = decision.fresh::<Instance>(|random| InstanceId::random(random));
    let eni = eni::create(decision, &subnet, new.address, EniRole::Instance(id), "address")?;
    decision.put(Instance {
        id,
        owner: subnet.owner,
        eni,
        namespace: new.namespace,
        command: new.command,
        state: InstanceState::Pending,
        problem: None,
        tags: new.tags,
    });
    Ok(Reply::Id(id.to_string()))
}

/// Removes the instance, its interface, and its registrations by instance ID, as AWS does with a terminated one.
/// Registrations by address stay; there is just nobody at that address.
pub(super) fn delete(decision: &mut Decision<'_, '_>, id: InstanceId) -> Result<Reply, ControlError> {
    let instance = decision.owned::<Instance>(&id, "instance")?;
    let target_id = id.to_string();
    let groups: Vec<_> = decision.state.target_groups.values().cloned().collect();
    for group in groups.iter().filter(|group| group.target_type == TargetType::Instance) {
        let mut kept = group.as_ref().clone();
        kept.targets.retain(|target| target.id != target_id);
        if kept.targets.len() != group.targets.len() {
            decision.put(kept);
        }
    }
    eni::delete(decision, [instance.eni]);
    decision.remove(instance.as_ref());
    Ok(Reply::Done)
}

/// What the reconciler saw. Not a user's command, so nobody's ownership is checked.
pub(super) fn observe(
    decision: &mut Decision<'_, '_>,
    id: InstanceId,
    running: bool,
    problem: Option<String>,
) -> Result<Reply, ControlError> {
    let found = decision.state.instances.get(&id).cloned();
    let instance = found.ok_or_else(|| {
        // It may have been deleted since it was looked at.
        ControlError::field(ErrorCode::NotFound, "instance", format!("there is no instance {id}"))
    })?;
    let state = if running { InstanceState::Running } else { InstanceState::Pending };
    if instance.state != state || instance.problem != problem {
        decision.put(Instance { state, problem, ..instance.as_ref().clone() });
    }
    Ok(Reply::Done)
}

fn check_command(command: &[String]) -> Result<(), ControlError> {
    if command.first().is_some_and(String::is_empty) {
        return Err(invalid("command", "the command's first word is empty: it is the program to run"));
    }
    if command.iter().any(|word| word.contains('\0')) {
        return Err(invalid("command", "the command contains a zero byte, which no program can be given"));
    }
    let length: usize = command.iter().map(|word| word.len() + 1).sum();
    if length > MAX_COMMAND {
        return Err(invalid("command", format!("the command has {length} bytes: {MAX_COMMAND} are allowed")));
    }
    Ok(())
}

fn check_namespace(decision: &Decision<'_, '_>, namespace: &Namespace) -> Result<(), ControlError> {
    let Namespace::Attached { path, interface } = namespace else { return Ok(()) };
    if !path.is_absolute() || path.as_os_str().len() > 4096 || path.as_os_str().as_encoded_bytes().contains(&0) {
        let text = check::shorten(&path.to_string_lossy());
        return Err(invalid("path", format!("{text:?} is not an absolute path of a network namespace"))
            .hint("give one as /run/netns/<name> or /proc/<pid>/ns/net"));
    }
    let bad = |byte: u8| !byte.is_ascii_graphic() || matches!(byte, b'/' | b':' | b'%');
    let reserved = ["", ".", "..", "lo", "all", "default"].contains(&interface.as_str());
    if interface.len() > MAX_INTERFACE || interface.bytes().any(bad) || reserved {
        let text = check::shorten(interface);
        return Err(invalid(
            "interface",
            format!(
                "interface name {text:?} is not allowed: 1 to {MAX_INTERFACE} printable characters without / : % are"
            ),
        )
        .hint("eth0 is what instances usually have"));
    }
    let same = |other: &Namespace| matches!(other, Namespace::Attached { path: p, interface: i } if same_path(p, path) && i == interface);
    if let Some(other) = decision.state.instances.values().find(|instance| same(&instance.namespace)) {
        let message = format!("{interface} in {} is already that of {}", path.display(), describe(other.as_ref()));
        return Err(
            ControlError::field(ErrorCode::AlreadyExists, "interface", message).hint("choose another interface name")
        );
    }
    Ok(())
}

/// By components, so that `//run/netns/a` is `/run/netns/a`. Links are the reconciler's to find out.
fn same_path(a: &Path, b: &Path) -> bool {
    a.components().eq(b.components())
}
