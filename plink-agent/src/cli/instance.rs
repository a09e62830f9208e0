//! `plinkctl instance`.

use std::path::PathBuf;

use clap::Subcommand;

use super::{
    Failure,
    session::{Labels, Session, both, only, tag_lines},
};
use crate::api::local::{
    protocol::{Attach, Kind, Request},
    view::InstanceView,
};

/// The verbs of instances.
#[derive(Debug, Subcommand)]
pub(super) enum Instance {
    /// Make an instance in a namespace of its own
    Create {
        /// Its subnet: ID or name
        #[arg(long)]
        subnet: String,
        /// Its address; the lowest free one if left out
        #[arg(long)]
        address: Option<String>,
        #[command(flatten)]
        labels: Labels,
        /// A program to keep running in it, after `--`
        #[arg(last = true, value_name = "COMMAND")]
        command: Vec<String>,
    },
    /// Make an existing namespace, a container's for example, an instance
    Attach {
        /// Where the namespace can be opened, for example /run/netns/web or /proc/4711/ns/net
        #[arg(long, value_name = "PATH")]
        netns: PathBuf,
        /// The name of the interface in it
        #[arg(long, default_value = "eth0", value_name = "NAME")]
        interface: String,
        /// Its subnet: ID or name
        #[arg(long)]
        subnet: String,
        /// Its address; the lowest free one if left out
        #[arg(long)]
        address: Option<String>,
        #[command(flatten)]
        labels: Labels,
    },
    /// List all instances
    List,
    /// Show an instance
    Show {
        /// ID or name
        instance: String,
    },
    /// Delete instances: created ones with their namespace, attached ones lose their interface
    Delete {
        /// IDs or names
        #[arg(required = true)]
        instances: Vec<String>,
    },
}

impl Instance {
    pub(super) fn run(self, session: &mut Session) -> Result<(), Failure> {
        match self {
            Self::Create { subnet, address, labels, command } => {
                let request = Request::CreateInstance { subnet, address, attach: None, command, tags: labels.tags() };
                session.report(request, "created instance")
            }
            Self::Attach { netns, interface, subnet, address, labels } => {
                let netns = std::path::absolute(&netns).unwrap_or(netns).display().to_string();
                let attach = Some(Attach { netns, interface });
                let tags = labels.tags();
                let request = Request::CreateInstance { subnet, address, attach, command: Vec::new(), tags };
                session.report(request, "attached instance")
            }
            Self::List => {
                let instances = session.list(Kind::Instance)?.instances;
                let rows: Vec<_> = instances.iter().map(row).collect();
                session.printer.document(&instances, |printer| {
                    let headers = ["NAME", "ID", "STATE", "ADDRESS", "ZONE", "VPC", "SUBNET", "COMMAND"];
                    printer.table(&headers, &rows, "no instances");
                });
                Ok(())
            }
            Self::Show { instance } => {
                let it = only(session.show(Kind::Instance, instance)?.instances)?;
                session.printer.document(&it, |printer| printer.fields(&fields(&it)));
                Ok(())
            }
            Self::Delete { instances } => session.delete(Kind::Instance, instances, false),
        }
    }
}

fn row(it: &InstanceView) -> Vec<String> {
    let state = if it.problem.is_some() { "failed".to_owned() } else { it.state.clone() };
    vec![
        it.name.clone(),
        it.id.clone(),
        state,
        it.address.clone(),
        it.zone.clone(),
        it.vpc.label().to_owned(),
        it.subnet.label().to_owned(),
        it.command.join(" "),
    ]
}

fn fields(it: &InstanceView) -> Vec<(&'static str, String)> {
    let netns = if it.attached { format!("{} (attached)", it.netns) } else { it.netns.clone() };
    vec![
        ("name", it.name.clone()),
        ("id", it.id.clone()),
        ("account", both(&it.account)),
        ("state", it.state.clone()),
        ("problem", it.problem.clone().unwrap_or_default()),
        ("address", it.address.clone()),
        ("mac", it.mac.clone()),
        ("zone", it.zone.clone()),
        ("vpc", both(&it.vpc)),
        ("subnet", both(&it.subnet)),
        ("eni", it.eni.clone()),
        ("namespace", netns),
        ("interface", it.interface.clone()),
        ("hub interface", format!("{} (index {})", it.hub_interface, it.port)),
        ("command", it.command.join(" ")),
        ("tags", tag_lines(&it.tags)),
    ]
}
