//! Named network namespaces as `ip netns` knows them, and a record of which are ours.
//!
//! The record lies in the run directory, one file a namespace: an empty one before it is made, its inode number after.
//! Only a namespace whose name and inode are recorded is ever removed.

use std::{
    fs::{self, File},
    io::ErrorKind,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail, ensure};
use nix::{
    errno::Errno,
    mount::{MntFlags, MsFlags, mount, umount2},
    sched::{CloneFlags, unshare},
};

/// Where `ip netns` keeps namespaces.
const FOLDER: &str = "/run/netns";

/// The path of a named namespace.
#[must_use]
pub fn namespace_path(name: &str) -> PathBuf {
    Path::new(FOLDER).join(name)
}

/// Opens a namespace by path. `/proc/<pid>/ns/net` works as well.
pub fn open_namespace(path: &Path) -> Result<File> {
    let file = File::open(path).with_context(|| format!("cannot open the network namespace {}", path.display()))?;
    // A file of /run/netns that nothing is mounted on is a leftover, not a namespace.
    let magic = nix::sys::statfs::fstatfs(&file).map(|info| info.filesystem_type().0);
    ensure!(magic == Ok(libc::NSFS_MAGIC), "{} is not a network namespace", path.display());
    Ok(file)
}

/// The namespaces that this agent made.
pub struct Namespaces {
    records: PathBuf,
}

impl Namespaces {
    /// With the records in a folder of the run directory.
    pub fn new(run_dir: &Path) -> Result<Self> {
        let records = run_dir.join("namespaces");
        fs::create_dir_all(&records).with_context(|| format!("cannot make {}", records.display()))?;
        Ok(Self { records })
    }

    /// Opens a namespace of ours, and makes it first if there is none.
    pub fn ensure(&self, name: &str) -> Result<File> {
        let path = namespace_path(name);
        match open_namespace(&path) {
            Ok(file) if self.is_ours(name) => return Ok(file),
            Ok(_) => bail!("the network namespace {name} exists and was not made by this agent; remove or rename it"),
            Err(_) if path.exists() && !self.is_ours(name) => {
                bail!("{} exists and is not a network namespace of this agent", path.display())
            }
            Err(_) => {}
        }
        self.remove(name)?;
        fs::write(self.record(name), "").context("cannot record the namespace")?;
        make(&path).with_context(|| format!("cannot make the network namespace {name}"))?;
        let file = open_namespace(&path)?;
        fs::write(self.record(name), file.metadata()?.ino().to_string()).context("cannot record the namespace")?;
        Ok(file)
    }

    /// Removes a namespace of ours; one that is gone is no error.
    pub fn remove(&self, name: &str) -> Result<()> {
        if !self.is_ours(name) {
            // Someone made another of that name since: theirs stays, our record goes.
            let _ = fs::remove_file(self.record(name));
            return Ok(());
        }
        let path = namespace_path(name);
        match umount2(&path, MntFlags::MNT_DETACH) {
            // EINVAL: nothing is mounted there.
            Ok(()) | Err(Errno::EINVAL | Errno::ENOENT) => {}
            Err(error) => return Err(error).with_context(|| format!("cannot unmount {}", path.display())),
        }
        for file in [path, self.record(name)] {
            match fs::remove_file(&file) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(error).with_context(|| format!("cannot remove {}", file.display()));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The names of all namespaces of ours.
    pub fn list(&self) -> Result<Vec<String>> {
        let entries = fs::read_dir(&self.records).context("cannot list the namespaces' records")?;
        Ok(entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect())
    }

    /// The inode number of a namespace of ours.
    #[must_use]
    pub fn inode(&self, name: &str) -> Option<u64> {
        fs::read_to_string(self.record(name)).ok()?.trim().parse().ok()
    }

    /// Whether the namespace of this name, if there is one, is ours: recorded, and the one that was recorded. A record
    /// without an inode is of a namespace whose making was cut short.
    #[must_use]
    pub fn is_ours(&self, name: &str) -> bool {
        let Ok(recorded) = fs::read_to_string(self.record(name)) else { return false };
        let Ok(namespace) = open_namespace(&namespace_path(name)) else { return true };
        recorded.trim().is_empty()
            || namespace.metadata().is_ok_and(|metadata| metadata.ino().to_string() == recorded.trim())
    }

    fn record(&self, name: &str) -> PathBuf {
        self.records.join(name)
    }
}

/// Makes a namespace and mounts it at `path`, as `ip netns add` does.
fn make(path: &Path) -> Result<()> {
    share_folder()?;
    File::create_new(path)?;
    let made = std::thread::scope(|scope| {
        let thread = scope.spawn(|| -> Result<()> {
            unshare(CloneFlags::CLONE_NEWNET)?;
            quieten()?;
            mount(Some("/proc/thread-self/ns/net"), path, None::<&str>, MsFlags::MS_BIND, None::<&str>)?;
            Ok(())
        });
        thread.join().unwrap_or_else(|_| bail!("the thread that makes the namespace panicked"))
    });
    if made.is_err() {
        let _ = fs::remove_file(path);
    }
    made
}

/// Makes `/run/netns` a shared mount point of its own. `ip netns add` does the same when it finds none, by a bind mount
/// that would hide, and keep alive, every namespace that was mounted there before.
fn share_folder() -> Result<()> {
    fs::create_dir_all(FOLDER)?;
    let shared = MsFlags::MS_SHARED | MsFlags::MS_REC;
    let share = || mount(None::<&str>, FOLDER, None::<&str>, shared, None::<&str>);
    match share() {
        Err(Errno::EINVAL) => {
            mount(Some(FOLDER), FOLDER, None::<&str>, MsFlags::MS_BIND | MsFlags::MS_REC, None::<&str>)?;
            Ok(share()?)
        }
        result => Ok(result?),
    }
}

/// Switches IPv6 and forwarding off in the current thread's new namespace: the kernel has nothing to say there of its
/// own. (IPv4's defaults, forwarding among them, come from the host's namespace.)
fn quieten() -> Result<()> {
    for (key, value) in
        [("ipv6/conf/all/disable_ipv6", "1"), ("ipv6/conf/default/disable_ipv6", "1"), ("ipv4/ip_forward", "0")]
    {
        let path = format!("/proc/sys/net/{key}");
        match fs::read_to_string(&path) {
            Ok(now) if now.trim() != value => {
                fs::write(&path, value).with_context(|| format!("cannot write {path}"))?;
            }
            // Without IPv6 in the kernel there is nothing to switch off.
            _ => {}
        }
    }
    Ok(())
}
