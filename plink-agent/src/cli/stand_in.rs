//! An agent inside `plinkctl`, for as long as one command takes: what a dead one left can be taken down without starting
//! it again.

use std::path::Path;

use tokio::runtime::{Builder, Runtime};

use super::Failure;
use crate::{
    agent::{self, Agent, AgentRecord},
    api::local::{
        CallError, Transport, handle,
        protocol::{Answer, Envelope, Response},
    },
};

/// An agent without a socket.
pub(super) struct StandIn {
    agent: Agent,
    runtime: Runtime,
}

impl StandIn {
    /// In place of the last agent of a run folder; none if there was none.
    pub(super) fn start(run_dir: &Path) -> Result<Option<Self>, Failure> {
        let Some(record) = AgentRecord::read(run_dir)? else { return Ok(None) };
        if record.is_running() {
            return Err(Failure::Refused {
                message: format!("the agent {:?} (pid {}) runs, but does not answer", record.name, record.pid),
                hint: Some("wait until it has started, or look at its log".to_owned()),
            });
        }
        let runtime =
            Builder::new_multi_thread().worker_threads(1).enable_all().build().map_err(anyhow::Error::from)?;
        Ok(Some(Self { agent: Agent::start(record.to_config(run_dir)?)?, runtime }))
    }

    /// Stops. When no objects are left, nothing of the agent stays on the host.
    pub(super) fn end(self) -> Result<(), Failure> {
        let config = self.agent.config().clone();
        let is_empty = self.agent.state().keys().next().is_none();
        self.agent.stop();
        if is_empty {
            agent::purge(&config)?;
        }
        Ok(())
    }
}

impl Transport for StandIn {
    fn call(&mut self, envelope: Envelope) -> Result<Answer, CallError> {
        match self.runtime.block_on(handle(&self.agent, envelope)) {
            Response::Ok(answer) => Ok(answer),
            Response::Error(error) => Err(CallError::Refused(error)),
        }
    }
}
