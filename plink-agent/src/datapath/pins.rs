//! Where the kernel's objects are pinned: `/sys/fs/bpf/<name>/v<abi version>/{maps,programs,links}`.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use nix::mount::{MsFlags, mount};
use plink_common::abi::VERSION;

/// Where bpffs is mounted.
const BPFFS: &str = "/sys/fs/bpf";
/// Its magic number.
const BPF_FS_MAGIC: i64 = 0xcafe_4a11;

/// The pin folders of one agent's name.
#[derive(Clone, Debug)]
pub struct Pins {
    root: PathBuf,
}

impl Pins {
    /// Those of an agent's name. Nothing is made yet.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self { root: Path::new(BPFFS).join(name) }
    }

    /// Mounts bpffs if nothing is mounted there, and makes the folders.
    pub(super) fn prepare(&self) -> Result<()> {
        if !is_bpffs() {
            mount(Some("bpf"), BPFFS, Some("bpf"), MsFlags::empty(), None::<&str>)
                .with_context(|| format!("cannot mount bpffs on {BPFFS}"))?;
            if !is_bpffs() {
                bail!("bpffs was mounted on {BPFFS} but is not there");
            }
        }
        for folder in [self.maps(), self.programs(), self.links()] {
            fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        }
        Ok(())
    }

    /// Whether anything is pinned under this name, of whatever version.
    #[must_use]
    pub fn exist(&self) -> bool {
        is_bpffs() && self.root.exists()
    }

    /// The folder of all that is pinned under this name, if anything is.
    #[must_use]
    pub fn path_if_there(&self) -> Option<&Path> {
        self.exist().then_some(&*self.root)
    }

    /// Whether program and maps of this version are all there.
    pub(super) fn are_complete(&self) -> bool {
        super::load::MAPS.iter().all(|name| self.map(name).exists())
            && self.program(super::PROGRAM).exists()
            && self.links().exists()
    }

    /// Removes everything that is pinned under this name: the links first, which detaches the program.
    pub fn remove(&self) -> Result<()> {
        if !self.exist() {
            return Ok(());
        }
        for folder in [self.links(), self.root.clone()] {
            match fs::remove_dir_all(&folder) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(error).with_context(|| format!("cannot remove {}", folder.display()));
                }
                _ => {}
            }
        }
        Ok(())
    }

    pub(super) fn map(&self, name: &str) -> PathBuf {
        self.maps().join(name)
    }

    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.programs().join(name)
    }

    pub(super) fn link(&self, name: &str) -> PathBuf {
        self.links().join(name)
    }

    /// The names of the pinned links.
    pub(super) fn link_names(&self) -> Result<Vec<String>> {
        let entries = fs::read_dir(self.links()).context("cannot list the pinned links")?;
        Ok(entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect())
    }

    fn maps(&self) -> PathBuf {
        self.version().join("maps")
    }

    fn programs(&self) -> PathBuf {
        self.version().join("programs")
    }

    fn links(&self) -> PathBuf {
        self.version().join("links")
    }

    fn version(&self) -> PathBuf {
        self.root.join(format!("v{VERSION}"))
    }
}

/// Whether bpffs is where it belongs.
pub fn is_bpffs() -> bool {
    nix::sys::statfs::statfs(BPFFS).is_ok_and(|info| i64::from(info.filesystem_type().0 as u32) == BPF_FS_MAGIC)
}
