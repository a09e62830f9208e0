//! The packet logic, case by case: each runs on the host build and on the loaded program, with the whole frame and the
//! counters compared.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails where it stands")]

mod fixtures;
mod flows;
mod icmp;
mod mtu;
mod program;
mod properties;
mod support;
