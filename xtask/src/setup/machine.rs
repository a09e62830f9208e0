//! The machine itself: system, user, kernel, BTF, JIT and the BPF file system.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use nix::mount::{MsFlags, mount};
use nix::sys::statfs::statfs;

use super::{Check, Found, Missing, missing, require};
use crate::output;

/// XDP programs with fragments on veth, and redirects between such devices.
const OLDEST_KERNEL: (u32, u32) = (5, 18);
const BPFFS: &str = "/sys/fs/bpf";
const BPFFS_MAGIC: i64 = 0xcafe_4a11;

pub(super) const CHECKS: &[Check] = &[system, root, kernel, btf, jit, bpffs];

/// Fails on the first thing that cannot be had, and mounts the BPF file system if nothing has.
pub(super) fn ensure() -> Result<()> {
    require(&[system, root, kernel, btf, jit])?;
    let step = output::Step::start();
    match bpffs()? {
        Found::There(text) => step.ok(&text),
        Found::Lacking(_) => {
            mount(Some("bpf"), BPFFS, Some("bpf"), MsFlags::empty(), Some("mode=0700")).map_err(|error| {
                Missing(format!(
                    "{BPFFS} has no BPF file system and mounting it failed ({}): a container needs it mounted from outside",
                    error.desc()
                ))
            })?;
            step.ok(&format!("bpffs: mounted on {BPFFS}"));
        }
    }
    Ok(())
}

fn system() -> Result<Found> {
    let name = nix::sys::utsname::uname().context("uname")?;
    let (system, architecture) = (name.sysname().to_string_lossy(), name.machine().to_string_lossy());
    if system != "Linux" || !["x86_64", "aarch64"].contains(&architecture.as_ref()) {
        return missing(format!("plink runs on Linux on x86_64 or aarch64, and this is {system} on {architecture}"));
    }
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let pretty =
        release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME=")).unwrap_or("an unnamed distribution");
    Ok(Found::There(format!("system: {}, {architecture}", pretty.trim_matches('"'))))
}

fn root() -> Result<Found> {
    if !nix::unistd::geteuid().is_root() {
        return missing(
            "plink makes network namespaces and loads programs into the kernel, so this has to run as root: try it with sudo -E",
        );
    }
    Ok(Found::There("user: root".to_owned()))
}

fn kernel() -> Result<Found> {
    let name = nix::sys::utsname::uname().context("uname")?;
    let release = name.release().to_string_lossy();
    let (major, minor) = OLDEST_KERNEL;
    match version(&release) {
        Some(found) if found < OLDEST_KERNEL => missing(format!(
            "the kernel is {release}, and plink needs {major}.{minor} or newer (XDP with fragments on veth): boot a newer one"
        )),
        _ => Ok(Found::There(format!("kernel: {release}"))),
    }
}

/// Major and minor of a kernel release such as `6.1.0-28-amd64`.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|character: char| !character.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

fn btf() -> Result<Found> {
    const BTF: &str = "/sys/kernel/btf/vmlinux";
    if !Path::new(BTF).exists() {
        return missing(format!(
            "{BTF} is not there: the kernel was built without CONFIG_DEBUG_INFO_BTF, take one with it (Debian's have it)"
        ));
    }
    Ok(Found::There("BTF: the kernel describes its types".to_owned()))
}

fn jit() -> Result<Found> {
    // The file is absent where the JIT is always on.
    let value = fs::read_to_string("/proc/sys/net/core/bpf_jit_enable").unwrap_or_else(|_| "1".to_owned());
    if value.trim() == "0" {
        return missing(
            "the kernel would interpret BPF programs instead of compiling them: sysctl net.core.bpf_jit_enable=1",
        );
    }
    Ok(Found::There("BPF JIT: on".to_owned()))
}

fn bpffs() -> Result<Found> {
    let Ok(found) = statfs(BPFFS) else {
        return missing(format!(
            "{BPFFS} is not there: the kernel was built without CONFIG_BPF_SYSCALL, take one with it"
        ));
    };
    if found.filesystem_type().0 == BPFFS_MAGIC {
        return Ok(Found::There(format!("bpffs: on {BPFFS}")));
    }
    Ok(Found::Lacking(format!("bpffs: would be mounted on {BPFFS}")))
}

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn kernel_releases_are_read() {
        assert_eq!(version("6.1.0-28-amd64"), Some((6, 1)));
        assert_eq!(version("5.18-rc1"), Some((5, 18)));
        assert_eq!(version("strange"), None);
    }
}
