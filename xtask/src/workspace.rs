//! Where things are.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The root of the workspace.
pub(crate) fn root() -> PathBuf {
    // Cargo sets the variable for `cargo xtask`; the built-in value is for the binary started by hand.
    let package =
        env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    package.parent().map_or_else(|| package.clone(), Path::to_path_buf)
}

/// Cargo's target folder.
pub(crate) fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// The workspace's own tools: `bin/` below it comes first on `PATH` in everything that the tasks start.
pub(crate) fn tools() -> PathBuf {
    root().join("target/tools")
}

/// `PATH` with the workspace's tools first, and with the folders of system programs, which some logins leave out.
pub(crate) fn path() -> OsString {
    let inherited = env::var_os("PATH").unwrap_or_default();
    let mut folders = vec![tools().join("bin")];
    folders.extend(env::split_paths(&inherited));
    for system in ["/usr/sbin", "/sbin"] {
        if !folders.iter().any(|folder| folder == Path::new(system)) {
            folders.push(system.into());
        }
    }
    env::join_paths(folders).unwrap_or(inherited)
}

/// The first executable of that name on our `PATH`.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    env::split_paths(&path()).map(|folder| folder.join(name)).find(|candidate| candidate.is_file())
}
