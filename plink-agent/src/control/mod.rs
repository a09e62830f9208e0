//! The control core: a command goes in, changes and a reply come out. No I/O, no clock, no randomness of its own.
//!
//! [`decide`] reads the state and either refuses with a [`ControlError`], leaving everything as it was, or returns an
//! [`Outcome`]. The caller ([`crate::agent`]) makes its changes durable in one transaction, applies them to the state
//! in memory and only then answers. An outcome that opens or closes a frontend is written to the kernel's map before
//! the answer as well ([`Outcome::doors`]).

#![allow(dead_code)]
mod command;

pub use command::{Command, Context, Outcome, Reply};
