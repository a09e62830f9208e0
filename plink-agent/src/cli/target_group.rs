//! `plinkctl target-group`.

use clap::Subcommand;

use super::{
    Failure,
    session::{Session, TagArgs, both, only, tag_lines, unexpected},
};
use crate::api::local::{
    protocol::{Answer, Kind, Request, TargetRef},
    view::{TargetGroupView, TargetHealthView, TargetView},
};

/// The verbs of target groups.
#[derive(Debug, Subcommand)]
pub(super) enum TargetGroup {
    /// Make a target group
    Create {
        /// Its name, unique in the account
        #[arg(long)]
        name: String,
        /// Its VPC: ID or name
        #[arg(long)]
        vpc: String,
        /// The protocol of the listeners that may use it
        #[arg(long, default_value = "TCP", ignore_case = true, value_parser = ["TCP", "UDP", "TCP_UDP"])]
        protocol: String,
        /// The port of targets that are registered without one
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..=65_535))]
        port: u32,
        /// How its targets are named
        #[arg(long, default_value = "instance", value_parser = ["instance", "ip"])]
        target_type: String,
        #[command(flatten)]
        tags: TagArgs,
    },
    /// Register targets
    Register {
        /// ARN or name
        target_group: String,
        /// Instances (IDs or names) or, in a group of type ip, addresses; with a port if it is not the group's
        #[arg(required = true, value_name = "TARGET[:PORT]", value_parser = target)]
        targets: Vec<TargetRef>,
    },
    /// Deregister targets; without a port all of that instance or address
    Deregister {
        /// ARN or name
        target_group: String,
        /// Instances (IDs or names) or addresses
        #[arg(required = true, value_name = "TARGET[:PORT]", value_parser = target)]
        targets: Vec<TargetRef>,
    },
    /// Show the health of a group's targets
    Health {
        /// ARN or name
        target_group: String,
    },
    /// List all target groups
    List,
    /// Show a target group
    Show {
        /// ARN or name
        target_group: String,
    },
    /// Delete target groups that no listener uses
    Delete {
        /// ARNs or names
        #[arg(required = true)]
        target_groups: Vec<String>,
    },
}

impl TargetGroup {
    pub(super) fn run(self, session: &mut Session) -> Result<(), Failure> {
        match self {
            Self::Create { name, vpc, protocol, port, target_type, tags } => {
                let tags = tags.tags();
                let request = Request::CreateTargetGroup { name, vpc, target_type, protocol, port, tags };
                session.report(request, "created target-group")
            }
            Self::Register { target_group, targets } => {
                let done = format!("registered {}", count(targets.len()));
                session.report(Request::RegisterTargets { target_group, targets }, &format!("{done} in"))
            }
            Self::Deregister { target_group, targets } => {
                let done = format!("deregistered {}", count(targets.len()));
                session.report(Request::DeregisterTargets { target_group, targets }, &format!("{done} from"))
            }
            Self::Health { target_group } => {
                let Answer::Health(health) = session.call(Request::TargetHealth { target_group })? else {
                    return Err(unexpected());
                };
                let rows: Vec<_> = health.iter().map(health_row).collect();
                session.printer.document(&health, |printer| {
                    printer.table(&["NAME", "TARGET", "ADDRESS", "PORT", "STATE", "REASON"], &rows, "no targets");
                });
                Ok(())
            }
            Self::List => {
                let groups = session.list(Kind::TargetGroup)?.target_groups;
                let rows: Vec<_> = groups.iter().map(row).collect();
                session.printer.document(&groups, |printer| {
                    let headers = ["NAME", "ARN", "VPC", "PROTOCOL", "PORT", "TYPE", "TARGETS"];
                    printer.table(&headers, &rows, "no target groups");
                });
                Ok(())
            }
            Self::Show { target_group } => {
                let it = only(session.show(Kind::TargetGroup, target_group)?.target_groups)?;
                let targets: Vec<_> = it.targets.iter().map(target_line).collect();
                session.printer.document(&it, |printer| {
                    printer.fields(&[
                        ("name", it.name.clone()),
                        ("arn", it.id.clone()),
                        ("account", both(&it.account)),
                        ("vpc", both(&it.vpc)),
                        ("protocol", it.protocol.clone()),
                        ("port", it.port.to_string()),
                        ("target type", it.target_type.clone()),
                        ("targets", targets.join("\n")),
                        ("tags", tag_lines(&it.tags)),
                    ]);
                });
                Ok(())
            }
            Self::Delete { target_groups } => session.delete(Kind::TargetGroup, target_groups, false),
        }
    }
}

fn count(targets: usize) -> String {
    if targets == 1 { "1 target".to_owned() } else { format!("{targets} targets") }
}

fn row(it: &TargetGroupView) -> Vec<String> {
    vec![
        it.name.clone(),
        it.id.clone(),
        it.vpc.label().to_owned(),
        it.protocol.clone(),
        it.port.to_string(),
        it.target_type.clone(),
        it.targets.iter().map(label).collect::<Vec<_>>().join(" "),
    ]
}

fn label(it: &TargetView) -> String {
    let name = if it.name.is_empty() { &it.id } else { &it.name };
    format!("{name}:{}", it.port)
}

fn target_line(it: &TargetView) -> String {
    format!("{}  {}  {}", label(it), it.id, it.address.as_deref().unwrap_or("no address in this VPC"))
}

fn health_row(it: &TargetHealthView) -> Vec<String> {
    vec![
        it.name.clone(),
        it.id.clone(),
        it.address.clone().unwrap_or_default(),
        it.port.to_string(),
        it.state.clone(),
        it.reason.clone().unwrap_or_default(),
    ]
}

fn target(text: &str) -> Result<TargetRef, String> {
    let Some((target, port)) = text.rsplit_once(':') else {
        return Ok(TargetRef { target: text.to_owned(), port: None });
    };
    match port.parse::<u32>() {
        Ok(port @ 1..=65_535) => Ok(TargetRef { target: target.to_owned(), port: Some(port) }),
        _ => Err(format!("port `{port}` is out of range: 1 to 65535")),
    }
}
