//! Builds the kernel programs (`plink-ebpf`) and hands the object's path to the library.
//!
//! cargo is called directly rather than through aya-build, which overrides the compiler flags: the programs need
//! `target-cpu=v3` (32-bit atomics with a result). `RUSTC_BOOTSTRAP=1` lets the pinned stable compiler build `core`
//! for the BPF target; its LLVM is the one that bpf-linker was built with.

use std::{
    env,
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

fn main() -> Result<()> {
    let manifest = PathBuf::from(var("CARGO_MANIFEST_DIR")?);
    let workspace = manifest.parent().context("the crate lies in a workspace")?.to_path_buf();
    for source in ["plink-ebpf/src", "plink-ebpf/Cargo.toml", "plink-ebpf/Cargo.lock", "plink-common"] {
        println!("cargo::rerun-if-changed={}", workspace.join(source).display());
    }
    println!("cargo::rerun-if-changed=build.rs");

    let target = target_directory(&PathBuf::from(var("OUT_DIR")?))?;
    let linker = find_linker(&target)?;
    let object = build(&workspace.join("plink-ebpf"), &target.join("ebpf"), &linker)?;
    println!("cargo::rustc-env=PLINK_EBPF_OBJECT={}", object.display());
    Ok(())
}

/// The outer build's target folder: `OUT_DIR` is `<target>/<profile>/build/<package>/out`, with the target's triple
/// before the profile when one was given.
fn target_directory(out: &Path) -> Result<PathBuf> {
    out.ancestors()
        .find(|folder| folder.join("CACHEDIR.TAG").exists() || folder.file_name() == Some(OsStr::new("target")))
        .map(Path::to_path_buf)
        .with_context(|| format!("no target folder above {}", out.display()))
}

fn find_linker(target: &Path) -> Result<PathBuf> {
    let own = target.join("tools/bin/bpf-linker");
    println!("cargo::rerun-if-changed={}", own.display());
    if own.is_file() {
        return Ok(own);
    }
    println!("cargo::rerun-if-env-changed=PATH");
    let path = env::var_os("PATH").unwrap_or_default();
    match env::split_paths(&path).map(|folder| folder.join("bpf-linker")).find(|candidate| candidate.is_file()) {
        Some(found) => Ok(found),
        None => bail!(
            "bpf-linker is neither at {} nor in PATH; `cargo xtask setup` installs it and whatever else is missing",
            own.display()
        ),
    }
}

fn build(package: &Path, target: &Path, linker: &Path) -> Result<PathBuf> {
    let big_endian = var("CARGO_CFG_TARGET_ENDIAN")? == "big";
    let triple = if big_endian { "bpfeb-unknown-none" } else { "bpfel-unknown-none" };
    let architecture = var("CARGO_CFG_TARGET_ARCH")?.into_string().unwrap_or_default();
    let flags = [
        format!("--cfg=bpf_target_arch=\"{architecture}\""),
        "-Ctarget-cpu=v3".to_owned(),
        "-Cdebuginfo=2".to_owned(),
        "-Clink-arg=--btf".to_owned(),
        format!("-Clinker={}", linker.display()),
    ];

    let mut cargo = Command::new(var("CARGO")?);
    cargo.current_dir(package).env_clear().envs(env::vars_os().filter(|(name, _)| is_inherited(name)));
    cargo.env("RUSTC", var("RUSTC")?).env("RUSTC_BOOTSTRAP", "1").env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"));
    cargo.args(["build", "--release", "--locked", "--bins", "-Zbuild-std=core", "--target", triple, "--target-dir"]);
    cargo.arg(target);
    let output = cargo.output().with_context(|| format!("cannot start {cargo:?}"))?;
    if !output.status.success() {
        bail!(
            "the kernel programs do not build ({}); `cargo xtask setup` checks the tools that this needs\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let object = target.join(triple).join("release/plink-ebpf");
    if !object.is_file() {
        bail!("cargo built the kernel programs, but there is no {}", object.display());
    }
    Ok(object)
}

/// Whether the inner build may see a variable: not what the outer cargo set for this package and its compiler.
fn is_inherited(name: &OsStr) -> bool {
    let Some(name) = name.to_str() else { return true };
    let cargo_configuration = ["CARGO_HOME", "CARGO_NET_", "CARGO_HTTP_", "CARGO_REGISTR", "CARGO_TERM_"];
    if name.starts_with("CARGO") {
        return cargo_configuration.iter().any(|prefix| name.starts_with(prefix));
    }
    let outer = ["RUSTC", "RUSTDOC", "RUSTFLAGS", "OUT_DIR", "TARGET", "HOST", "PROFILE", "OPT_LEVEL", "DEBUG", "LD_"];
    !outer.iter().any(|prefix| name.starts_with(prefix))
}

fn var(name: &str) -> Result<OsString> {
    env::var_os(name).with_context(|| format!("cargo did not set {name}"))
}
