//! `plinkctl exec`: a command inside an instance's namespace.

use std::{fs::File, os::unix::process::CommandExt, process::Command};

use clap::Args;
use nix::sched::{CloneFlags, setns};

use super::{
    Failure,
    session::{Session, only},
};
use crate::api::local::protocol::Kind;

/// Run a command inside an instance's namespace (needs root).
#[derive(Debug, Args)]
pub(super) struct Exec {
    /// The instance: ID or name
    instance: String,
    /// The command and its arguments
    #[arg(required = true, last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

impl Exec {
    pub(super) fn run(self, session: &mut Session) -> Result<(), Failure> {
        let it = only(session.show(Kind::Instance, self.instance)?.instances)?;
        let netns = File::open(&it.netns).map_err(|error| Failure::Refused {
            message: format!("cannot open the namespace {} of instance {}: {error}", it.netns, it.id),
            hint: Some(it.problem.clone().unwrap_or_else(|| "`plinkctl status` shows the agent's problems".into())),
        })?;
        // One thread only, which the command then replaces.
        setns(netns, CloneFlags::CLONE_NEWNET).map_err(|error| Failure::Refused {
            message: format!("cannot enter the namespace of instance {}: {error}", it.id),
            hint: Some("entering a namespace needs root (CAP_SYS_ADMIN)".to_owned()),
        })?;
        let [program, arguments @ ..] = self.command.as_slice() else {
            return Err(Failure::refused("a command is needed"));
        };
        let mut command = Command::new(program);
        command.args(arguments).env("PLINK_INSTANCE_ID", &it.id).env("PLINK_ADDRESS", &it.address);
        if !it.name.is_empty() {
            command.env("PLINK_INSTANCE_NAME", &it.name);
        }
        let error = command.exec();
        Err(Failure::refused(format!("cannot run `{program}`: {error}")))
    }
}
