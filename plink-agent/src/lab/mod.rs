//! Labs: a TOML file that says what should exist, by names, and the commands that make it so.
//!
//! A file is read ([`Lab`]) and checked as a whole, then compared with what the agent holds under the same lab's tag
//! ([`LAB_TAG`]), and the difference becomes requests in the order of their dependencies. So `up` can be repeated, and
//! it sends nothing if anything in the file is wrong.

mod check;
mod diff;
mod file;
mod run;
#[cfg(test)]
mod tests;

pub use check::Lab;
pub use diff::LAB_TAG;
pub use file::{LabError, lab_name};
pub use run::{LabFailure, Outcome, Summary, down, up};
