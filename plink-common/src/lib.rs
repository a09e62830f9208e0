//! What the kernel program and the agent share: map layouts ([`abi`]), wire formats, and the packet logic itself.
//!
//! The packet logic knows neither the kernel nor a clock: frames come through one trait, tables through another, time
//! is an argument. The same source is the XDP program and the subject of the host's tests.
#![cfg_attr(not(any(test, feature = "std")), no_std)]
#![forbid(unsafe_code)]

pub mod abi;
pub mod checksum;
pub mod datapath;
pub mod drop_reason;
#[cfg(feature = "std")]
pub mod host;
#[cfg(feature = "std")]
pub mod maglev;
pub mod wire;
