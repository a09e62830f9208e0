//! `plinkctl doctor`.
use clap::Args;

use super::{Failure, Global};

/// Check the host, the agent and every port, and say what to do about problems.
#[derive(Debug, Args)]
pub(super) struct Doctor {}

impl Doctor {
    pub(super) fn run(self, _global: &Global) -> Result<(), Failure> {
        Ok(())
    }
}
