//! The front ends. Each has wire types of its own and translates them to [`crate::control::Command`]s: no type of the
//! model is ever on a wire.

pub mod local;
