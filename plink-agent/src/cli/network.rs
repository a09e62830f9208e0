//! `plinkctl vpc` and `plinkctl subnet`.

use clap::Subcommand;

use super::{
    Failure,
    session::{Labels, Session, both, only, tag_lines},
};
use crate::api::local::protocol::{Kind, Request};

/// The verbs of VPCs.
#[derive(Debug, Subcommand)]
pub(super) enum Vpc {
    /// Make a VPC
    Create {
        /// Its CIDR; other VPCs may have the same
        #[arg(long, value_name = "CIDR", help = "Its CIDR, for example 10.0.0.0/16; other VPCs may have the same")]
        cidr: String,
        #[command(flatten)]
        labels: Labels,
    },
    /// List all VPCs
    List,
    /// Show a VPC
    Show {
        /// ID or name
        vpc: String,
    },
    /// Delete empty VPCs
    Delete {
        /// IDs or names
        #[arg(required = true)]
        vpcs: Vec<String>,
    },
}

impl Vpc {
    pub(super) fn run(self, session: &mut Session) -> Result<(), Failure> {
        match self {
            Self::Create { cidr, labels } => {
                session.report(Request::CreateVpc { cidr, tags: labels.tags() }, "created vpc")
            }
            Self::List => {
                let vpcs = session.list(Kind::Vpc)?.vpcs;
                let rows: Vec<_> = vpcs
                    .iter()
                    .map(|it| vec![it.name.clone(), it.id.clone(), it.cidr.clone(), it.account.label().to_owned()])
                    .collect();
                session.printer.document(&vpcs, |printer| {
                    printer.table(&["NAME", "ID", "CIDR", "ACCOUNT"], &rows, "no VPCs");
                });
                Ok(())
            }
            Self::Show { vpc } => {
                let it = only(session.show(Kind::Vpc, vpc)?.vpcs)?;
                session.printer.document(&it, |printer| {
                    printer.fields(&[
                        ("name", it.name.clone()),
                        ("id", it.id.clone()),
                        ("account", both(&it.account)),
                        ("cidr", it.cidr.clone()),
                        ("tags", tag_lines(&it.tags)),
                    ]);
                });
                Ok(())
            }
            Self::Delete { vpcs } => session.delete(Kind::Vpc, vpcs, false),
        }
    }
}

/// The verbs of subnets.
#[derive(Debug, Subcommand)]
pub(super) enum Subnet {
    /// Make a subnet
    Create {
        /// Its VPC: ID or name
        #[arg(long)]
        vpc: String,
        /// Its CIDR, inside the VPC's, /16 to /28
        #[arg(long)]
        cidr: String,
        /// Its availability zone; the first one if left out
        #[arg(long)]
        zone: Option<String>,
        #[command(flatten)]
        labels: Labels,
    },
    /// List all subnets
    List,
    /// Show a subnet
    Show {
        /// ID or name
        subnet: String,
    },
    /// Delete empty subnets
    Delete {
        /// IDs or names
        #[arg(required = true)]
        subnets: Vec<String>,
    },
}

impl Subnet {
    pub(super) fn run(self, session: &mut Session) -> Result<(), Failure> {
        match self {
            Self::Create { vpc, cidr, zone, labels } => {
                session.report(Request::CreateSubnet { vpc, cidr, zone, tags: labels.tags() }, "created subnet")
            }
            Self::List => {
                let subnets = session.list(Kind::Subnet)?.subnets;
                let row = |it: &crate::api::local::view::SubnetView| {
                    let (vpc, account) = (it.vpc.label().to_owned(), it.account.label().to_owned());
                    vec![it.name.clone(), it.id.clone(), it.cidr.clone(), it.zone.clone(), vpc, account]
                };
                let rows: Vec<_> = subnets.iter().map(row).collect();
                session.printer.document(&subnets, |printer| {
                    printer.table(&["NAME", "ID", "CIDR", "ZONE", "VPC", "ACCOUNT"], &rows, "no subnets");
                });
                Ok(())
            }
            Self::Show { subnet } => {
                let it = only(session.show(Kind::Subnet, subnet)?.subnets)?;
                session.printer.document(&it, |printer| {
                    printer.fields(&[
                        ("name", it.name.clone()),
                        ("id", it.id.clone()),
                        ("account", both(&it.account)),
                        ("vpc", both(&it.vpc)),
                        ("cidr", it.cidr.clone()),
                        ("zone", it.zone.clone()),
                        ("tags", tag_lines(&it.tags)),
                    ]);
                });
                Ok(())
            }
            Self::Delete { subnets } => session.delete(Kind::Subnet, subnets, false),
        }
    }
}
