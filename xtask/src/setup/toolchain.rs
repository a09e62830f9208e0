//! What turns Rust into a BPF object: the compiler's own sources for `core`, and bpf-linker with the LLVM that it needs.

use std::path::PathBuf;

use anyhow::{Context, Result};

use super::{Check, Found, Missing, missing, packages};
use crate::{output, process, workspace};

const LINKER_VERSION: &str = "0.13.0";
/// bpf-linker must read what rustc's LLVM writes: the linker's LLVM has to be at least as new.
const LLVM: u32 = 22;
const LLVM_PREFIX: &str = "/usr/lib/llvm-22";
/// `c++` because the LLVM crates link the C++ library; the others are what building bpf-linker needs.
const LLVM_PACKAGES: &[&str] = &["g++", "llvm-22-dev", "libpolly-22-dev", "libzstd-dev", "zlib1g-dev"];
/// rustup's components beside the compiler: the program for people and the tests, in the order of a file that each has.
const COMPONENTS: &[(&str, &str)] = &[
    ("rust-src", "lib/rustlib/src/rust/library/core/src/lib.rs"),
    ("rustfmt", "bin/rustfmt"),
    ("clippy", "bin/cargo-clippy"),
];

pub(super) const CHECKS: &[Check] = &[compiler, components, linker];

pub(super) fn ensure() -> Result<()> {
    super::require(&[compiler])?;
    ensure_components()?;
    ensure_linker()
}

fn compiler() -> Result<Found> {
    let text = process::stdout_of(process::command("rustc").arg("-vV")).map_err(|error| {
        Missing(format!("rustc is not there ({error:#}): install Rust with rustup and open a new shell"))
    })?;
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("unknown").trim();
    let (release, llvm) = (field("release:"), field("LLVM version:"));
    let major = llvm.split('.').next().and_then(|major| major.parse::<u32>().ok());
    if major.is_some_and(|major| major > LLVM) {
        return missing(format!(
            "rustc {release} is built on LLVM {llvm}, and bpf-linker {LINKER_VERSION} here reads at most LLVM {LLVM}'s objects: \
             use a toolchain with LLVM {LLVM}, for example by 'rustup override set 1.95.0'"
        ));
    }
    Ok(Found::There(format!("rustc: {release}, LLVM {llvm}")))
}

/// Those of rustup's components that are not there.
fn lacking_components() -> Result<Vec<&'static str>> {
    let sysroot = process::stdout_of(process::command("rustc").args(["--print", "sysroot"]))?;
    let sysroot = PathBuf::from(sysroot.trim());
    Ok(COMPONENTS.iter().filter(|(_, file)| !sysroot.join(file).exists()).map(|(name, _)| *name).collect())
}

fn all_components() -> String {
    COMPONENTS.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

fn components() -> Result<Found> {
    let lacking = lacking_components()?;
    if lacking.is_empty() {
        return Ok(Found::There(format!("toolchain: {}", all_components())));
    }
    Ok(Found::Lacking(format!("toolchain: would add {}", lacking.join(" "))))
}

fn ensure_components() -> Result<()> {
    let mut step = output::Step::start();
    let lacking = lacking_components()?;
    if lacking.is_empty() {
        step.ok(&format!("toolchain: {}", all_components()));
        return Ok(());
    }
    let wanted = lacking.join(" ");
    step.announce(&format!("rustup component add {wanted}"));
    let log = workspace::tools().join("log/rustup.log");
    process::logged(process::command("rustup").args(["component", "add"]).args(&lacking), &log).map_err(|error| {
        Missing(format!("the toolchain lacks {wanted}, and 'rustup component add {wanted}' failed: {error:#}"))
    })?;
    step.ok(&format!("toolchain: added {wanted}"));
    Ok(())
}

/// The version of the workspace's own linker, if it is there and runs (its LLVM library may have gone).
fn linker_version() -> Option<String> {
    let program = workspace::tools().join("bin/bpf-linker");
    let text = process::stdout_of(process::command(program.to_str()?).arg("--version")).ok()?;
    text.trim().strip_prefix("bpf-linker ").map(str::to_owned)
}

fn linker() -> Result<Found> {
    Ok(match linker_version() {
        Some(version) if version == LINKER_VERSION => Found::There(format!("bpf-linker: {version}")),
        Some(version) => Found::Lacking(format!("bpf-linker: would replace {version} by {LINKER_VERSION}")),
        None => Found::Lacking(format!("bpf-linker: would build {LINKER_VERSION} into target/tools (about a minute)")),
    })
}

fn ensure_linker() -> Result<()> {
    let step = output::Step::start();
    if let Found::There(text) = linker()? {
        step.ok(&text);
        return Ok(());
    }
    ensure_llvm(step)?;
    let mut step = output::Step::start();
    step.announce(&format!("bpf-linker {LINKER_VERSION}: building into target/tools (about a minute)"));
    let mut cargo = process::cargo();
    cargo
        .args(["install", "bpf-linker", "--version", LINKER_VERSION, "--locked", "--force"])
        .args(["--no-default-features", "--features", &format!("llvm-{LLVM}")])
        .arg("--root")
        .arg(workspace::tools())
        .env("LLVM_PREFIX", LLVM_PREFIX);
    process::logged(&mut cargo, &workspace::tools().join("log/bpf-linker.log"))
        .map_err(|error| Missing(format!("bpf-linker {LINKER_VERSION} could not be built: {error:#}")))?;
    linker_version().with_context(|| "bpf-linker was built and does not run")?;
    step.ok(&format!("bpf-linker {LINKER_VERSION}: built into target/tools"));
    Ok(())
}

fn ensure_llvm(mut step: output::Step) -> Result<()> {
    let lacking = packages::lacking(LLVM_PACKAGES);
    if lacking.is_empty() {
        step.ok(&format!("LLVM {LLVM}: {LLVM_PREFIX}"));
        return Ok(());
    }
    packages::install(&lacking, &mut step)?;
    step.ok(&format!("LLVM {LLVM}: installed {}", lacking.join(" ")));
    Ok(())
}
