//! The agent of plink as a library; `plink-agent` and `plinkctl` are its two binaries.

pub mod agent;
pub mod api;
pub mod cli;
pub mod config;
pub mod control;
pub mod datapath;
pub mod expiry;
pub mod lab;
pub mod model;
pub mod net;
pub mod plan;
pub mod process;
pub mod reconcile;
pub mod serve;
pub mod store;
