//! What the local API needs of the agent, so that its tests need no kernel.

use std::{future::Future, sync::Arc, time::Duration};

use plink_common::{
    abi::{FlowEntry, FlowKey, FrontendStats},
    drop_reason::DropReason,
};

use super::view::{MapFill, StatusView};
use crate::{
    control::{Command, Reply},
    model::{Account, AccountId, ControlError, State, Zone},
};

/// What the requests are translated against.
#[derive(Clone, Debug)]
pub struct Site {
    /// The name of the agent's kernel objects.
    pub name: String,
    /// The configured accounts.
    pub accounts: Vec<Account>,
    /// The configured zones.
    pub zones: Vec<Zone>,
}

/// A flow's two entries.
#[derive(Clone, Copy, Debug)]
pub struct Flow {
    /// The key of the forward entry.
    pub key: FlowKey,
    /// The forward entry.
    pub forward: FlowEntry,
    /// The reply entry, unless it went meanwhile.
    pub reply: Option<FlowEntry>,
}

/// The agent, as the local API sees it.
pub trait Backend: Send + Sync + 'static {
    /// The configuration.
    fn site(&self) -> &Site;
    /// The objects.
    fn state(&self) -> Arc<State>;
    /// Decides a command and makes it durable.
    fn execute(&self, caller: AccountId, command: Command) -> impl Future<Output = Result<Reply, ControlError>> + Send;
    /// Waits until the kernel holds the present state; the problems that remain.
    fn settled(&self, timeout: Duration) -> impl Future<Output = Result<(), Vec<String>>> + Send;
    /// The agent's own part of the status; objects are counted by the caller.
    fn status(&self) -> StatusView;
    /// Packets by reason.
    fn drops(&self) -> Vec<(DropReason, u64)>;
    /// What passed a frontend.
    fn frontend_stats(&self, slot: u32) -> FrontendStats;
    /// Up to `limit` flows whose forward entry `keep` likes.
    fn flows(&self, limit: usize, keep: &(dyn Fn(&FlowEntry) -> bool + Sync)) -> Vec<Flow>;
    /// The tick of now, as flow entries have it.
    fn now(&self) -> u32;
    /// How full the maps are; may be slow, since the kernel does not count.
    fn map_fill(&self) -> Vec<MapFill>;
}
