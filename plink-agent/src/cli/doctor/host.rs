//! What plink needs of the host.

use std::{fs, path::Path};

use super::{Report, Verdict};
use crate::datapath;

/// What the agent may have to do, by capability (`linux/capability.h`).
const CAPABILITIES: [(&str, u32); 3] = [("CAP_NET_ADMIN", 12), ("CAP_SYS_ADMIN", 21), ("CAP_BPF", 39)];

pub(super) fn check(report: &mut Report) {
    let missing = missing_capabilities(&read("/proc/self/status"));
    let found = if missing.is_empty() {
        "may make namespaces and load programs".to_owned()
    } else {
        format!("this user has no {}", missing.join(", no "))
    };
    report.add("privileges", missing.is_empty(), found, "run as root; in a container, give it these capabilities");

    let release = read("/proc/sys/kernel/osrelease");
    let recent = version(&release).is_some_and(|version| version >= (5, 18));
    report.add("kernel", recent, &*release, "Linux 5.18 or newer is needed (XDP with fragments)");

    let btf = Path::new("/sys/kernel/btf/vmlinux").exists();
    let found = if btf { "the kernel describes its types" } else { "no /sys/kernel/btf/vmlinux" };
    report.add("BTF", btf, found, "use a kernel that is built with CONFIG_DEBUG_INFO_BTF");

    let advice = "sysctl net.core.bpf_jit_enable=1 makes the program several times faster";
    match read("/proc/sys/net/core/bpf_jit_enable").as_str() {
        "" => report.push("BPF JIT", Verdict::Warn, "the kernel does not say", "use one with CONFIG_BPF_JIT"),
        "0" => report.push("BPF JIT", Verdict::Warn, "off", advice),
        _ => report.push("BPF JIT", Verdict::Ok, "on", ""),
    }

    let mounted = datapath::is_bpffs_mounted();
    let found = if mounted { "on /sys/fs/bpf" } else { "not mounted" };
    let verdict = if mounted { Verdict::Ok } else { Verdict::Warn };
    report.push("bpffs", verdict, found, "the agent mounts it when it makes its first instance");
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

/// Major and minor version of a kernel release.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut parts = release.split(|letter: char| !letter.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// Those of [`CAPABILITIES`] that `/proc/<pid>/status` does not have as effective ones.
fn missing_capabilities(status: &str) -> Vec<&'static str> {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let held = line.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok()).unwrap_or_default();
    CAPABILITIES.iter().filter(|(_, bit)| held & (1 << bit) == 0).map(|(name, _)| *name).collect()
}

#[cfg(test)]
mod tests {
    use super::{missing_capabilities, version};

    #[test]
    fn releases_are_compared_as_numbers() {
        assert!(version("6.1.0-28-cloud-amd64") >= Some((5, 18)));
        assert!(version("5.4.0") < Some((5, 18)));
        assert_eq!(version("?"), None);
    }

    #[test]
    fn capabilities_are_read_bit_by_bit() {
        assert!(missing_capabilities("Name:\tx\nCapEff:\t000001ffffffffff\n").is_empty());
        assert_eq!(missing_capabilities("CapEff:\t0000000000201000\n"), ["CAP_BPF"]);
        assert_eq!(missing_capabilities("").len(), 3);
    }
}
