//! `plinkctl load-balancer` and `plinkctl listener`.

use clap::{ArgAction, Subcommand};

use super::{
    Failure,
    output::bytes,
    session::{Labels, Session, TagArgs, both, only, tag_lines},
};
use crate::api::local::{
    protocol::{Kind, Request},
    view::{InterfaceView, ListenerView, LoadBalancerView, StatsView},
};

/// The verbs of load balancers.
#[derive(Debug, Subcommand)]
pub(super) enum LoadBalancer {
    /// Make a load balancer with one node a subnet
    Create {
        /// Its name, unique in the account
        #[arg(long)]
        name: String,
        /// Its subnets (IDs or names), at most one a zone, separated by commas
        #[arg(long, required = true, value_delimiter = ',', value_name = "SUBNET")]
        subnets: Vec<String>,
        /// Let each node use the targets of all zones
        #[arg(long)]
        cross_zone: bool,
        #[command(flatten)]
        tags: TagArgs,
    },
    /// Change a load balancer
    Modify {
        /// ARN or name
        load_balancer: String,
        /// Whether each node uses the targets of all zones
        #[arg(long, required = true, action = ArgAction::Set, value_name = "true|false")]
        cross_zone: bool,
    },
    /// List all load balancers
    List,
    /// Show a load balancer
    Show {
        /// ARN or name
        load_balancer: String,
    },
    /// Delete load balancers with their listeners; not while an endpoint service uses them
    Delete {
        /// ARNs or names
        #[arg(required = true)]
        load_balancers: Vec<String>,
    },
}

impl LoadBalancer {
    pub(super) fn run(self, session: &mut Session) -> Result<(), Failure> {
        match self {
            Self::Create { name, subnets, cross_zone, tags } => {
                let request = Request::CreateLoadBalancer { name, subnets, cross_zone, tags: tags.tags() };
                session.report(request, "created load-balancer")
            }
            Self::Modify { load_balancer, cross_zone } => {
                let request = Request::ModifyLoadBalancer { load_balancer, cross_zone: Some(cross_zone) };
                session.report(request, "changed load-balancer")
            }
            Self::List => {
                let balancers = session.list(Kind::LoadBalancer)?.load_balancers;
                let rows: Vec<_> = balancers.iter().map(row).collect();
                session.printer.document(&balancers, |printer| {
                    printer.table(&["NAME", "ARN", "VPC", "NODES", "CROSS-ZONE"], &rows, "no load balancers");
                });
                Ok(())
            }
            Self::Show { load_balancer } => {
                let it = only(session.show(Kind::LoadBalancer, load_balancer)?.load_balancers)?;
                session.printer.document(&it, |printer| {
                    let mut fields = vec![
                        ("name", it.name.clone()),
                        ("arn", it.id.clone()),
                        ("account", both(&it.account)),
                        ("vpc", both(&it.vpc)),
                        ("nodes", interfaces(&it.nodes)),
                        ("cross-zone", on_off(it.cross_zone)),
                        ("tags", tag_lines(&it.tags)),
                    ];
                    fields.extend(stats(&it.stats));
                    printer.fields(&fields);
                });
                Ok(())
            }
            Self::Delete { load_balancers } => session.delete(Kind::LoadBalancer, load_balancers, false),
        }
    }
}

fn row(it: &LoadBalancerView) -> Vec<String> {
    vec![it.name.clone(), it.id.clone(), it.vpc.label().to_owned(), places(&it.nodes), on_off(it.cross_zone)]
}

/// The verbs of listeners.
#[derive(Debug, Subcommand)]
pub(super) enum Listener {
    /// Make a listener
    Create {
        /// Its load balancer: ARN or name
        #[arg(long)]
        load_balancer: String,
        /// Its protocol
        #[arg(long, default_value = "TCP", ignore_case = true, value_parser = ["TCP", "UDP", "TCP_UDP"])]
        protocol: String,
        /// Its port
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..=65_535))]
        port: u32,
        /// Where it forwards to: ARN or name
        #[arg(long)]
        target_group: String,
        /// After how many idle seconds a TCP flow is forgotten: 60 to 6000, 350 if left out
        #[arg(long, value_name = "SECONDS")]
        tcp_idle_timeout: Option<u32>,
        #[command(flatten)]
        labels: Labels,
    },
    /// List all listeners
    List,
    /// Show a listener
    Show {
        /// ARN or name
        listener: String,
    },
    /// Delete listeners
    Delete {
        /// ARNs or names
        #[arg(required = true)]
        listeners: Vec<String>,
    },
}

impl Listener {
    pub(super) fn run(self, session: &mut Session) -> Result<(), Failure> {
        match self {
            Self::Create { load_balancer, protocol, port, target_group, tcp_idle_timeout, labels } => {
                let tags = labels.tags();
                let request =
                    Request::CreateListener { load_balancer, protocol, port, target_group, tcp_idle_timeout, tags };
                session.report(request, "created listener")
            }
            Self::List => {
                let listeners = session.list(Kind::Listener)?.listeners;
                let row = |it: &ListenerView| {
                    let (balancer, group) = (it.load_balancer.label().to_owned(), it.target_group.label().to_owned());
                    vec![it.name.clone(), it.id.clone(), balancer, it.protocol.clone(), it.port.to_string(), group]
                };
                let rows: Vec<_> = listeners.iter().map(row).collect();
                session.printer.document(&listeners, |printer| {
                    let headers = ["NAME", "ARN", "LOAD-BALANCER", "PROTOCOL", "PORT", "TARGET-GROUP"];
                    printer.table(&headers, &rows, "no listeners");
                });
                Ok(())
            }
            Self::Show { listener } => {
                let it = only(session.show(Kind::Listener, listener)?.listeners)?;
                session.printer.document(&it, |printer| {
                    printer.fields(&[
                        ("name", it.name.clone()),
                        ("arn", it.id.clone()),
                        ("account", both(&it.account)),
                        ("load balancer", both(&it.load_balancer)),
                        ("protocol", it.protocol.clone()),
                        ("port", it.port.to_string()),
                        ("target group", both(&it.target_group)),
                        ("tcp idle timeout", format!("{} s", it.tcp_idle_timeout)),
                        ("tags", tag_lines(&it.tags)),
                    ]);
                });
                Ok(())
            }
            Self::Delete { listeners } => session.delete(Kind::Listener, listeners, false),
        }
    }
}

/// Addresses with their zones, in one cell.
pub(super) fn places(interfaces: &[InterfaceView]) -> String {
    interfaces.iter().map(|at| format!("{}@{}", at.address, at.zone)).collect::<Vec<_>>().join(" ")
}

/// The same with all that is known, one a line.
pub(super) fn interfaces(interfaces: &[InterfaceView]) -> String {
    let line = |at: &InterfaceView| format!("{}  {}  {}  {}", at.address, at.zone, both(&at.subnet), at.eni);
    interfaces.iter().map(line).collect::<Vec<_>>().join("\n")
}

pub(super) fn stats(stats: &StatsView) -> Vec<(&'static str, String)> {
    vec![
        ("from clients", format!("{} packets, {}", stats.forward_packets, bytes(stats.forward_bytes))),
        ("from targets", format!("{} packets, {}", stats.reply_packets, bytes(stats.reply_bytes))),
        ("flows made", stats.new_flows.to_string()),
        ("dropped", format!("{} packets", stats.drops)),
    ]
}

pub(super) fn on_off(value: bool) -> String {
    if value { "on" } else { "off" }.to_owned()
}
