//! Scenarios: an agent, namespaces, real sockets.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails where it stands")]

mod adoption;
mod cli;
mod errors;
mod isolation;
mod reject;
mod stability;
