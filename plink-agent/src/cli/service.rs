//! `plinkctl service`.

use clap::{ArgAction, Subcommand};

use super::{
    Failure,
    endpoint::endpoint_table,
    session::{Labels, Session, both, only, tag_lines},
};
use crate::api::local::{
    protocol::{Kind, Request},
    view::{Named, ServiceView},
};

/// The verbs of endpoint services.
#[derive(Debug, Subcommand)]
pub(super) enum Service {
    /// Make an endpoint service
    Create {
        /// Its load balancers (ARNs or names), separated by commas
        #[arg(long, required = true, value_delimiter = ',', value_name = "LOAD_BALANCER")]
        load_balancers: Vec<String>,
        /// Whether the provider has to accept each endpoint
        #[arg(long, default_value = "true", action = ArgAction::Set, value_name = "true|false")]
        acceptance_required: bool,
        /// Who may create endpoints beside the owner: *, accounts (IDs or names) or ARNs, separated by commas
        #[arg(long, value_delimiter = ',', value_name = "PRINCIPAL")]
        allowed_principals: Vec<String>,
        #[command(flatten)]
        labels: Labels,
    },
    /// Change an endpoint service
    #[command(arg_required_else_help = true)]
    Modify {
        /// ID, name or consumer name
        service: String,
        /// Whether the provider has to accept each endpoint
        #[arg(long, action = ArgAction::Set, value_name = "true|false")]
        acceptance_required: Option<bool>,
        /// Load balancers to add (ARNs or names), separated by commas
        #[arg(long, value_delimiter = ',', value_name = "LOAD_BALANCER")]
        add_load_balancers: Vec<String>,
        /// Load balancers to remove
        #[arg(long, value_delimiter = ',', value_name = "LOAD_BALANCER")]
        remove_load_balancers: Vec<String>,
        /// Principals to allow: *, accounts (IDs or names) or ARNs, separated by commas
        #[arg(long, value_delimiter = ',', value_name = "PRINCIPAL")]
        add_principals: Vec<String>,
        /// Principals to allow no longer; their connections stay
        #[arg(long, value_delimiter = ',', value_name = "PRINCIPAL")]
        remove_principals: Vec<String>,
    },
    /// List all endpoint services
    List,
    /// Show an endpoint service, with the name that consumers use for it
    Show {
        /// ID or name
        service: String,
    },
    /// List the endpoints of a service
    Connections {
        /// ID or name
        service: String,
    },
    /// Delete endpoint services
    Delete {
        /// IDs or names
        #[arg(required = true)]
        services: Vec<String>,
        /// Reject live connections first
        #[arg(long)]
        cascade: bool,
    },
}

impl Service {
    pub(super) fn run(self, session: &mut Session) -> Result<(), Failure> {
        match self {
            Self::Create { load_balancers, acceptance_required, allowed_principals, labels } => {
                let tags = labels.tags();
                let request = Request::CreateService { load_balancers, acceptance_required, allowed_principals, tags };
                session.report(request, "created service")
            }
            Self::Modify {
                service,
                acceptance_required,
                add_load_balancers,
                remove_load_balancers,
                add_principals,
                remove_principals,
            } => {
                let lists = [&add_load_balancers, &remove_load_balancers, &add_principals, &remove_principals];
                if acceptance_required.is_none() && lists.iter().all(|list| list.is_empty()) {
                    return Err(Failure::Usage {
                        message: "nothing to change was given".to_owned(),
                        hint: Some("`plinkctl service modify --help` lists what can be changed".to_owned()),
                    });
                }
                let request = Request::ModifyService {
                    service,
                    acceptance_required,
                    add_load_balancers,
                    remove_load_balancers,
                    add_principals,
                    remove_principals,
                };
                session.report(request, "changed service")
            }
            Self::List => {
                let services = session.list(Kind::Service)?.services;
                let rows: Vec<_> = services.iter().map(row).collect();
                session.printer.document(&services, |printer| {
                    let headers = ["NAME", "ID", "LOAD-BALANCERS", "ACCEPTANCE", "CONNECTIONS", "ACCOUNT"];
                    printer.table(&headers, &rows, "no endpoint services");
                });
                Ok(())
            }
            Self::Show { service } => {
                let it = only(session.show(Kind::Service, service)?.services)?;
                session.printer.document(&it, |printer| printer.fields(&fields(&it)));
                Ok(())
            }
            Self::Connections { service } => {
                let endpoints = session.objects(Request::ServiceConnections { service })?.endpoints;
                endpoint_table(session.printer, &endpoints, "no connections");
                Ok(())
            }
            Self::Delete { services, cascade } => session.delete(Kind::Service, services, cascade),
        }
    }
}

fn row(it: &ServiceView) -> Vec<String> {
    vec![
        it.name.clone(),
        it.id.clone(),
        it.load_balancers.iter().map(Named::label).collect::<Vec<_>>().join(" "),
        if it.acceptance_required { "required" } else { "automatic" }.to_owned(),
        connections(it),
        it.account.label().to_owned(),
    ]
}

fn connections(it: &ServiceView) -> String {
    it.connections.iter().map(|(state, count)| format!("{count} {state}")).collect::<Vec<_>>().join(", ")
}

fn fields(it: &ServiceView) -> Vec<(&'static str, String)> {
    let acceptance = if it.acceptance_required { "required" } else { "automatic" };
    vec![
        ("name", it.name.clone()),
        ("id", it.id.clone()),
        ("consumer name", it.service_name.clone()),
        ("account", both(&it.account)),
        ("load balancers", it.load_balancers.iter().map(both).collect::<Vec<_>>().join("\n")),
        ("acceptance", acceptance.to_owned()),
        ("allowed principals", it.allowed_principals.join("\n")),
        ("connections", connections(it)),
        ("tags", tag_lines(&it.tags)),
    ]
}
