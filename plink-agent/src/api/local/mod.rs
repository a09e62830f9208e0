//! The local API: newline-delimited JSON over a unix socket, for `plinkctl` and for scripts on the host.
//!
//! [`protocol`] and [`view`] are the wire types, [`Server`] answers them for any [`Backend`] (the agent), [`Client`]
//! sends them. In between, names become objects (`resolve`), requests commands (`translate`), and objects what people
//! see of them (`describe`).

mod backend;
mod client;
mod describe;
mod handle;
pub mod protocol;
mod resolve;
mod server;
#[cfg(test)]
mod tests;
mod translate;
pub mod view;

pub use backend::{Backend, Flow, Site};
pub use client::{CallError, Client, Transport};
pub use handle::handle;
pub(crate) use resolve::nearest;
pub use server::{Server, serve_stream};
