//! `plinkctl endpoint`.

use clap::Subcommand;

use super::{
    Failure, Printer,
    load_balancer::{interfaces, places, stats},
    session::{Labels, Session, both, only, tag_lines},
};
use crate::api::local::{
    protocol::{EndpointSubnet, Kind, Request},
    view::EndpointView,
};

/// The verbs of interface endpoints.
#[derive(Debug, Subcommand)]
pub(super) enum Endpoint {
    /// Make an interface endpoint, with one address a subnet
    Create {
        /// The consumer's VPC: ID or name
        #[arg(long)]
        vpc: String,
        /// The service: ID, name, or consumer name (com.amazonaws.vpce.…)
        #[arg(long)]
        service: String,
        /// Its subnets (IDs or names), at most one a zone, separated by commas; with an address, if not the lowest
        /// free one
        #[arg(long, required = true, value_delimiter = ',', value_name = "SUBNET[=ADDRESS]", value_parser = place)]
        subnets: Vec<EndpointSubnet>,
        #[command(flatten)]
        labels: Labels,
    },
    /// Accept endpoints, as the service's owner
    Accept {
        /// IDs or names
        #[arg(required = true)]
        endpoints: Vec<String>,
    },
    /// Reject endpoints, as the service's owner: cuts their flows at once
    Reject {
        /// IDs or names
        #[arg(required = true)]
        endpoints: Vec<String>,
    },
    /// List all endpoints
    List,
    /// Show an endpoint
    Show {
        /// ID or name
        endpoint: String,
    },
    /// Delete endpoints, as their owner
    Delete {
        /// IDs or names
        #[arg(required = true)]
        endpoints: Vec<String>,
    },
}

impl Endpoint {
    pub(super) fn run(self, session: &mut Session) -> Result<(), Failure> {
        match self {
            Self::Create { vpc, service, subnets, labels } => {
                let request = Request::CreateEndpoint { vpc, service, subnets, tags: labels.tags() };
                session.report(request, "created endpoint")
            }
            Self::Accept { endpoints } => {
                each(session, "accepted", endpoints, |endpoint| Request::AcceptEndpoint { endpoint })
            }
            Self::Reject { endpoints } => {
                each(session, "rejected", endpoints, |endpoint| Request::RejectEndpoint { endpoint })
            }
            Self::List => {
                let endpoints = session.list(Kind::Endpoint)?.endpoints;
                endpoint_table(session.printer, &endpoints, "no endpoints");
                Ok(())
            }
            Self::Show { endpoint } => {
                let it = only(session.show(Kind::Endpoint, endpoint)?.endpoints)?;
                session.printer.document(&it, |printer| printer.fields(&fields(&it)));
                Ok(())
            }
            Self::Delete { endpoints } => session.delete(Kind::Endpoint, endpoints, false),
        }
    }
}

fn each(
    session: &mut Session,
    done: &str,
    endpoints: Vec<String>,
    request: impl Fn(String) -> Request,
) -> Result<(), Failure> {
    let mut changed = Vec::new();
    for endpoint in endpoints {
        session.change(request(endpoint.clone()))?;
        let it = only(session.show(Kind::Endpoint, endpoint)?.endpoints)?;
        session.printer.line(&format!("{done} endpoint {}", both_of(&it)));
        changed.push(it);
    }
    if session.printer.json {
        session.printer.document(&changed, |_| ());
    }
    Ok(())
}

fn both_of(it: &EndpointView) -> String {
    if it.name.is_empty() { it.id.clone() } else { format!("{} ({})", it.name, it.id) }
}

/// Endpoints as a table.
pub(super) fn endpoint_table(printer: Printer, endpoints: &[EndpointView], empty: &str) {
    let row = |it: &EndpointView| {
        let packets = it.stats.forward_packets + it.stats.reply_packets;
        vec![
            it.name.clone(),
            it.id.clone(),
            it.state.clone(),
            it.service.label().to_owned(),
            places(&it.interfaces),
            packets.to_string(),
            it.stats.new_flows.to_string(),
            it.account.label().to_owned(),
        ]
    };
    let rows: Vec<_> = endpoints.iter().map(row).collect();
    printer.document(&endpoints, |printer| {
        let headers = ["NAME", "ID", "STATE", "SERVICE", "ADDRESSES", "PACKETS", "FLOWS", "ACCOUNT"];
        printer.table(&headers, &rows, empty);
    });
}

fn fields(it: &EndpointView) -> Vec<(&'static str, String)> {
    let mut fields = vec![
        ("name", it.name.clone()),
        ("id", it.id.clone()),
        ("account", both(&it.account)),
        ("state", it.state.clone()),
        ("problem", it.problem.clone().unwrap_or_default()),
        ("vpc", both(&it.vpc)),
        ("service", both(&it.service)),
        ("service name", it.service_name.clone()),
        ("addresses", interfaces(&it.interfaces)),
        ("tags", tag_lines(&it.tags)),
    ];
    fields.extend(stats(&it.stats));
    fields
}

fn place(text: &str) -> Result<EndpointSubnet, String> {
    let (subnet, address) = match text.split_once('=') {
        Some((subnet, address)) => (subnet, Some(address)),
        None => (text, None),
    };
    if let Some(address) = address {
        let parsed = address.parse::<std::net::Ipv4Addr>();
        parsed.map_err(|_| format!("`{address}` is not an IPv4 address, for example 10.0.1.100"))?;
    }
    Ok(EndpointSubnet { subnet: subnet.to_owned(), address: address.map(str::to_owned) })
}
