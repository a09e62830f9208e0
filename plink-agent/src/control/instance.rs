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

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that panics has failed")]
mod tests {
    use std::net::Ipv4Addr;

    use super::super::{
        Command, Reply,
        testing::{Scene, World, consumer, instance, name, provider, target_group},
    };
    use crate::model::{
        Arn, EniRole, ErrorCode, InstanceId, InstanceState, ListenerProtocol, Namespace, SubnetId, Tags, TargetType,
    };

    fn world() -> (World, SubnetId) {
        let mut world = World::new();
        let vpc = world.vpc(consumer(), "10.0.0.0/16");
        let subnet = world.subnet(consumer(), vpc, "10.0.1.0/28", "us-east-1a");
        (world, subnet)
    }

    fn attach(subnet: SubnetId, path: &str, interface: &str) -> Command {
        let namespace = Namespace::Attached { path: path.into(), interface: interface.to_owned() };
        Command::CreateInstance { subnet, address: None, namespace, command: vec![], tags: Tags::new() }
    }

    #[test]
    fn an_instance_gets_the_lowest_free_address_and_port() {
        let (mut world, subnet) = world();
        let ids: Vec<InstanceId> = (0..3).map(|_| world.make(consumer(), instance(subnet, None))).collect();
        let seen = |world: &World, id| {
            let eni = world.state.eni_of_instance(id).unwrap();
            assert_eq!(eni.role, EniRole::Instance(id));
            (eni.address, eni.port, eni.generation)
        };
        assert_eq!(seen(&world, ids[0]), (Ipv4Addr::new(10, 0, 1, 4), 2, 1));
        assert_eq!(seen(&world, ids[1]), (Ipv4Addr::new(10, 0, 1, 5), 3, 2));
        assert_eq!(seen(&world, ids[2]), (Ipv4Addr::new(10, 0, 1, 6), 4, 3));
        world.run(consumer(), Command::DeleteInstance { id: ids[1] }).unwrap();
        let again: InstanceId = world.make(consumer(), instance(subnet, None));
        // Address and slot are used again, the generation is not.
        assert_eq!(seen(&world, again), (Ipv4Addr::new(10, 0, 1, 5), 3, 4));
    }

    #[test]
    fn bad_addresses_are_refused() {
        let (mut world, subnet) = world();
        let taken = world.instance(consumer(), subnet, "10.0.1.7").to_string();
        let invalid = ErrorCode::InvalidParameterValue;
        for (address, code, word) in [
            ("10.0.2.7", invalid, "10.0.1.4 to 10.0.1.14"),
            ("10.0.1.0", invalid, "reserved"),
            ("10.0.1.1", invalid, "reserved"),
            ("10.0.1.3", invalid, "10.0.1.4 to 10.0.1.14"),
            ("10.0.1.15", invalid, "reserved"),
            ("10.0.1.7", ErrorCode::AlreadyExists, taken.as_str()),
        ] {
            world.refuse(consumer(), instance(subnet, Some(address)), code, "address", &[word]);
        }
        for _ in 0..10 {
            world.make::<InstanceId>(consumer(), instance(subnet, None));
        }
        world.refuse(consumer(), instance(subnet, None), ErrorCode::LimitExceeded, "subnet", &["10.0.1.0/28"]);
        world.refuse(provider(), instance(subnet, None), ErrorCode::NotFound, "subnet", &[]);
    }

    #[test]
    fn bad_namespaces_and_commands_are_refused() {
        let (mut world, subnet) = world();
        world.make::<InstanceId>(consumer(), attach(subnet, "/run/netns/web", "eth0"));
        world.make::<InstanceId>(consumer(), attach(subnet, "/run/netns/web", "eth1"));
        let invalid = ErrorCode::InvalidParameterValue;
        for (path, interface, code, field) in [
            ("netns/web", "eth0", invalid, "path"),
            ("", "eth0", invalid, "path"),
            ("/run/netns/web", "", invalid, "interface"),
            ("/run/netns/web", "sixteen-letters.", invalid, "interface"),
            ("/run/netns/web", "a/b", invalid, "interface"),
            ("/run/netns/web", "a b", invalid, "interface"),
            ("/run/netns/web", "lo", invalid, "interface"),
            ("//run/./netns/web", "eth1", ErrorCode::AlreadyExists, "interface"),
        ] {
            world.refuse(consumer(), attach(subnet, path, interface), code, field, &[]);
        }
        for words in [vec![String::new()], vec!["a\0b".to_owned()], vec!["x".repeat(70_000)]] {
            let namespace = Namespace::Created;
            let command =
                Command::CreateInstance { subnet, address: None, namespace, command: words, tags: Tags::new() };
            world.refuse(consumer(), command, invalid, "command", &[]);
        }
    }

    #[test]
    fn what_the_reconciler_saw_is_kept_once() {
        let (mut world, subnet) = world();
        let id: InstanceId = world.make(consumer(), instance(subnet, None));
        let observe = |problem: Option<&str>| Command::ObserveInstance {
            id,
            running: problem.is_none(),
            problem: problem.map(str::to_owned),
        };
        assert_eq!(world.decide(provider(), observe(None)).unwrap().changes.len(), 1);
        world.run(provider(), observe(None)).unwrap();
        assert_eq!(world.state.instances[&id].state, InstanceState::Running);
        assert!(world.decide(provider(), observe(None)).unwrap().changes.is_empty());
        world.run(provider(), observe(Some("no such namespace"))).unwrap();
        let seen = &world.state.instances[&id];
        assert_eq!((seen.state, seen.problem.as_deref()), (InstanceState::Pending, Some("no such namespace")));
        world.run(consumer(), Command::DeleteInstance { id }).unwrap();
        world.refuse(consumer(), observe(None), ErrorCode::NotFound, "instance", &[]);
    }

    #[test]
    fn a_deleted_instance_is_no_longer_a_target_by_its_id() {
        let mut scene = Scene::new(true);
        let world = &mut scene.world;
        let web = world.instance(provider(), scene.provider_subnets[0], "10.0.1.10");
        let command = target_group("by-id", scene.provider_vpc, TargetType::Instance, ListenerProtocol::Tcp);
        let group: Arn = world.make(provider(), command);
        for (arn, id) in [(group.clone(), web.to_string()), (scene.target_group.clone(), "10.0.1.10".to_owned())] {
            let command = Command::RegisterTargets { arn: arn.clone(), targets: vec![(id, None)] };
            assert_eq!(world.run(provider(), command).unwrap(), Reply::Id(arn.to_string()));
        }
        world.refuse(consumer(), Command::DeleteInstance { id: web }, ErrorCode::NotFound, "instance", &[]);
        world.run(provider(), Command::DeleteInstance { id: web }).unwrap();
        assert!(world.state.target_groups[&group].targets.is_empty());
        assert_eq!(world.state.target_groups[&scene.target_group].targets.len(), 1);
        assert!(world.state.eni_at(scene.provider_vpc, Ipv4Addr::new(10, 0, 1, 10)).is_none());
        let tag = Command::Tag { resource: web.to_string(), set: name("x"), remove: vec![] };
        world.refuse(provider(), tag, ErrorCode::NotFound, "resource", &[]);
    }
}
