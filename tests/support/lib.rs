//! Support for the tests: frames, a small world of two VPCs, the loaded program behind BPF_PROG_TEST_RUN.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test that cannot go on fails where it stands"
)]

pub mod agent;
pub mod frame;
pub mod kernel;
pub mod labs;
pub mod net;
pub mod runner;
pub mod world;
