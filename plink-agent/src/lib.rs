//! The agent of plink as a library; `plink-agent` and `plinkctl` are its two binaries.

pub mod control;
pub mod model;
pub mod store;
