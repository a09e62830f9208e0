//! What the host looks like, before and after: a run must leave it as it was.

use std::collections::BTreeSet;
use std::fs;
use std::os::linux::fs::MetadataExt;
use std::path::Path;

const NAMESPACES: &str = "/run/netns";
const LINKS: &str = "/sys/class/net";
const PINS: &str = "/sys/fs/bpf";

/// The names that exist at one moment.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Host {
    namespaces: BTreeSet<String>,
    links: BTreeSet<String>,
    pins: BTreeSet<String>,
    /// Those in network namespaces of instances: `pid command`.
    processes: BTreeSet<String>,
}

impl Host {
    /// Looks at the host. `inside` are the network namespaces whose processes count.
    pub(super) fn look(inside: &BTreeSet<u64>) -> Host {
        let mut pins = BTreeSet::new();
        walk(Path::new(PINS), &mut pins);
        Host { namespaces: names(NAMESPACES), links: names(LINKS), pins, processes: processes(inside) }
    }

    /// What is there now and was not before, or the other way round. Other agents of test runs come and go beside this
    /// one, and are not its business.
    pub(super) fn differences(&self, after: &Host, own_name: &str) -> Vec<String> {
        let kinds = [
            ("namespace", &self.namespaces, &after.namespaces),
            ("link", &self.links, &after.links),
            ("pin", &self.pins, &after.pins),
            ("process", &self.processes, &after.processes),
        ];
        let mut found = Vec::new();
        for (kind, before, after) in kinds {
            let own = |name: &&String| !is_foreign(name.trim_start_matches("/sys/fs/bpf/"), own_name);
            found.extend(after.difference(before).filter(own).map(|name| format!("the {kind} {name} is left")));
            found.extend(before.difference(after).filter(own).map(|name| format!("the {kind} {name} is gone")));
        }
        found
    }
}

/// Whether a name belongs to another test run, which comes and goes beside this one.
fn is_foreign(name: &str, own_name: &str) -> bool {
    let is_test = |name: &str| {
        name.strip_prefix("plink-t").is_some_and(|rest| rest.starts_with(|letter: char| letter.is_ascii_digit()))
    };
    is_test(name) && !(is_test(own_name) && name.starts_with(own_name))
}

/// The inode numbers of this run's network namespaces: those that have a name now and had none before.
pub(super) fn new_namespaces(before: &Host, own_name: &str) -> BTreeSet<u64> {
    let new = names(NAMESPACES).into_iter().filter(|name| !before.namespaces.contains(name));
    let own = new.filter(|name| !is_foreign(name, own_name));
    own.filter_map(|name| fs::metadata(Path::new(NAMESPACES).join(name)).ok()).map(|data| data.st_ino()).collect()
}

fn names(folder: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

fn walk(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        found.insert(entry.path().display().to_string());
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            walk(&entry.path(), found);
        }
    }
}

fn processes(inside: &BTreeSet<u64>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for pid in names("/proc").into_iter().filter(|name| name.bytes().all(|byte| byte.is_ascii_digit())) {
        let folder = Path::new("/proc").join(&pid);
        let Ok(namespace) = fs::metadata(folder.join("ns/net")) else { continue };
        if inside.contains(&namespace.st_ino()) {
            let command = fs::read_to_string(folder.join("comm")).unwrap_or_default();
            found.insert(format!("{pid} {}", command.trim()));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(namespaces: &[&str]) -> Host {
        let namespaces = namespaces.iter().map(|name| (*name).to_owned()).collect();
        Host { namespaces, links: BTreeSet::new(), pins: BTreeSet::new(), processes: BTreeSet::new() }
    }

    #[test]
    fn what_stays_and_what_went_is_named_and_other_test_runs_are_not() {
        let differences = host(&["a"]).differences(&host(&["plink-hub", "plink-t1-hub"]), "plink");
        assert_eq!(differences, ["the namespace plink-hub is left", "the namespace a is gone"]);
        let differences = host(&[]).differences(&host(&["plink-t1-hub"]), "plink-t1");
        assert_eq!(differences, ["the namespace plink-t1-hub is left"]);
    }
}
