//! Why a store cannot be used. Each text names the file and the way out.

use std::{io, path::PathBuf};

use crate::model::{ControlError, ErrorCode};

/// Why a store cannot be opened, read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process holds it.
    #[error(
        "{path} is in use by process {holder}: stop that agent first, or give this one another --state-dir",
        path = path.display()
    )]
    InUse {
        /// The state folder.
        path: PathBuf,
        /// What is known of the process.
        holder: String,
    },
    /// The file is not one of ours.
    #[error(
        "{path} is not a store of plink ({reason}) and is left as it is: move it away, or use another --state-dir",
        path = path.display()
    )]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What it has that ours have not, or the reverse.
        reason: String,
    },
    /// The file is one of ours, but not what was written.
    #[error(
        "{path} is damaged ({reason}) and is left as it is: put a backup in its place, or move it away to begin with \
         an empty state",
        path = path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        reason: String,
    },
    /// The file was written by a later version.
    #[error(
        "{path} has schema {found}, this version reads {supported}, so it is left as it is: use the plink that wrote \
         it or a newer one, or another --state-dir",
        path = path.display()
    )]
    NewerSchema {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: u32,
        /// Ours.
        supported: u32,
    },
    /// The file system failed.
    #[error("cannot {action} {path}: {source}", path = path.display())]
    Io {
        /// What was attempted.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// How it failed.
        source: io::Error,
    },
    /// A commit failed.
    #[error(
        "cannot write to {path}: {reason}; nothing was changed. See whether the file system is full or failing, then \
         restart the agent",
        path = path.display()
    )]
    Write {
        /// The file.
        path: PathBuf,
        /// How it failed.
        reason: String,
    },
}

impl From<StoreError> for ControlError {
    fn from(error: StoreError) -> Self {
        Self::new(ErrorCode::Internal, error.to_string())
    }
}
