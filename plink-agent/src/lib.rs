//! The agent of plink as a library; `plink-agent` and `plinkctl` are its two binaries.

pub mod api;
pub mod cli;
pub mod config;
pub mod control;
pub mod datapath;
pub mod lab;
pub mod model;
pub mod net;
pub mod plan;
pub mod serve;
pub mod store;
