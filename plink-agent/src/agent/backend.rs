//! The agent behind the local API.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use plink_common::{
    abi::{Counter, FlowDirection, FlowEntry, FrontendStats},
    drop_reason::DropReason,
};

use super::Agent;
use crate::{
    api::local::{
        Backend, Flow, Site,
        view::{MapFill, StatusView},
    },
    control::{Command, Reply},
    datapath,
    model::{AccountId, ControlError, State},
};

impl Backend for Agent {
    fn site(&self) -> &Site {
        &self.shared.site
    }

    fn state(&self) -> Arc<State> {
        self.shared.state()
    }

    async fn execute(&self, caller: AccountId, command: Command) -> Result<Reply, ControlError> {
        Self::execute(self, caller, command).await
    }

    async fn settled(&self, timeout: Duration) -> Result<(), Vec<String>> {
        Self::settled(self, timeout).await
    }

    fn status(&self) -> StatusView {
        let shared = &self.shared;
        let datapath = shared.doors.datapath();
        let mut problems = shared.passed.borrow().problems.clone();
        let ports = match datapath.as_ref().map(|datapath| datapath.links()) {
            Some(Ok(links)) => links.values().filter(|link| link.interface != 0).count(),
            Some(Err(error)) => {
                problems.push(format!("{error:#}"));
                0
            }
            None => 0,
        };
        let outcomes =
            [("delivered", Counter::Delivered), ("translated", Counter::Translated), ("answered", Counter::Answered)];
        let counted = |counter: Counter| datapath.as_ref().and_then(|it| it.counter(counter as u32).ok()).unwrap_or(0);
        StatusView {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            name: shared.config.name.clone(),
            pid: std::process::id(),
            uptime_s: shared.started.elapsed().as_secs(),
            region: shared.config.region.clone(),
            state_dir: shared.config.state_dir.display().to_string(),
            hub: datapath.is_some().then(|| shared.config.hub()),
            program_id: datapath.as_ref().map(|datapath| datapath.program_id()),
            mtu: shared.config.datapath.mtu,
            ports,
            objects: BTreeMap::new(),
            endpoints: BTreeMap::new(),
            maps: Vec::new(),
            counters: outcomes.map(|(name, counter)| (name.to_owned(), counted(counter))).into(),
            drops: 0,
            problems,
        }
    }

    fn drops(&self) -> Vec<(DropReason, u64)> {
        let drops = self.shared.doors.datapath().and_then(|datapath| datapath.drops().ok());
        drops.unwrap_or_else(|| DropReason::ALL.iter().map(|reason| (*reason, 0)).collect())
    }

    fn frontend_stats(&self, slot: u32) -> FrontendStats {
        let stats = self.shared.doors.datapath().and_then(|datapath| datapath.frontend_stats(slot).ok());
        stats.unwrap_or_default()
    }

    fn flows(&self, limit: usize, keep: &(dyn Fn(&FlowEntry) -> bool + Sync)) -> Vec<Flow> {
        let Some(datapath) = self.shared.doors.datapath() else { return Vec::new() };
        let mut found = Vec::new();
        let visited = datapath.flows.visit(|key, entry| {
            if found.len() < limit && entry.direction == FlowDirection::Forward as u8 && keep(&entry) {
                found.push((key, entry));
            }
        });
        if let Err(error) = visited {
            tracing::warn!("cannot read the flows: {error:#}");
        }
        let reply = |key: &plink_common::abi::FlowKey, entry: &FlowEntry| {
            datapath.flows.get(&entry.partner(key.protocol)).ok().flatten()
        };
        found.into_iter().map(|(key, forward)| Flow { key, forward, reply: reply(&key, &forward) }).collect()
    }

    fn now(&self) -> u32 {
        datapath::now()
    }

    fn map_fill(&self) -> Vec<MapFill> {
        let fill = self.shared.doors.datapath().and_then(|datapath| datapath.fill().ok()).unwrap_or_default();
        fill.into_iter().map(|(name, used, size)| MapFill { name: name.to_owned(), used, size }).collect()
    }
}
