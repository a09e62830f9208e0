//! What a test run that was killed left behind: namespaces, pins and processes of the name `plink-t<pid>…` with a dead pid.
//!
//! Tests clean up after themselves; this is for those that could not.

use std::fs;
use std::os::linux::fs::MetadataExt;
use std::path::Path;

use nix::mount::{MntFlags, umount2};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::output;

const NAMESPACES: &str = "/run/netns";
const PINS: &str = "/sys/fs/bpf";

/// Removes what dead test runs left, and says what it was.
pub(super) fn remove() {
    for name in left_in(NAMESPACES) {
        let path = Path::new(NAMESPACES).join(&name);
        end_processes(&path);
        let gone = umount2(&path, MntFlags::MNT_DETACH).is_ok() | fs::remove_file(&path).is_ok();
        output::line(&format!(
            "{} leftover namespace {name}",
            if gone { "removed the" } else { "could not remove the" }
        ));
    }
    for name in left_in(PINS) {
        let gone = fs::remove_dir_all(Path::new(PINS).join(&name)).is_ok();
        output::line(&format!("{} leftover pins of {name}", if gone { "removed the" } else { "could not remove the" }));
    }
}

/// The entries of the folder that dead test runs named.
fn left_in(folder: &str) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| test_pid(name).is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists())).collect()
}

/// The pid in a name such as `plink-t4711-hub`.
fn test_pid(name: &str) -> Option<u32> {
    let rest = name.strip_prefix("plink-t")?;
    let digits = rest.find(|character: char| !character.is_ascii_digit()).unwrap_or(rest.len());
    rest[..digits].parse().ok()
}

/// Ends the processes inside a namespace: the instances of a lab, whose agent is gone.
fn end_processes(namespace: &Path) {
    let Ok(wanted) = fs::metadata(namespace) else { return };
    // A namespace file whose mount is gone belongs to no process.
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        let Ok(own) = fs::metadata(entry.path().join("ns/net")) else { continue };
        if (own.st_dev(), own.st_ino()) == (wanted.st_dev(), wanted.st_ino()) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::test_pid;

    #[test]
    fn only_names_of_test_runs_have_a_pid() {
        assert_eq!(test_pid("plink-t4711-hub"), Some(4711));
        assert_eq!(test_pid("plink-t4711"), Some(4711));
        assert_eq!(test_pid("plink-hub"), None);
        assert_eq!(test_pid("plink-test"), None);
    }
}
