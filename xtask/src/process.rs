//! Starting programs.

use std::env;
use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::workspace;

/// A command in the workspace's root, with the workspace's tools first on its `PATH`.
pub(crate) fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command.current_dir(workspace::root()).env("PATH", workspace::path());
    command
}

/// The cargo that started this task, so that the toolchain stays the same.
pub(crate) fn cargo() -> Command {
    command(&env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned()))
}

/// What the command prints on standard output, if it ends well.
pub(crate) fn stdout_of(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("{name} cannot be started"))?;
    if !output.status.success() {
        bail!("{name}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs the command with everything that it prints in a log file. The error is the log's last telling line.
pub(crate) fn logged(command: &mut Command, log: &Path) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let folder = log.parent().context("the log has no folder")?;
    std::fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    let file = File::create(log).with_context(|| format!("{} cannot be written", log.display()))?;
    let status = command
        .stdin(Stdio::null())
        .stdout(file.try_clone()?)
        .stderr(file)
        .status()
        .with_context(|| format!("{name} cannot be started"))?;
    if !status.success() {
        let text = std::fs::read_to_string(log).unwrap_or_default();
        bail!("{} (everything it said: {})", telling_line(&text), log.display());
    }
    Ok(())
}

/// What says why: the first line that calls itself an error, with the innermost of its causes, else the last line.
fn telling_line(text: &str) -> String {
    let is_error = |line: &&str| line.starts_with("E: ") || line.starts_with("error");
    let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty());
    let last = lines().next_back().unwrap_or("it failed and said nothing");
    match lines().find(is_error) {
        Some(error) if error != last && lines().any(|line| line == "Caused by:") => format!("{error}: {last}"),
        Some(error) => error.to_owned(),
        None => last.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::telling_line;

    #[test]
    fn the_telling_line_is_the_first_error_else_the_last_line() {
        assert_eq!(
            telling_line("Reading lists\nE: Unable to locate package x\nmore\n"),
            "E: Unable to locate package x"
        );
        assert_eq!(telling_line("one\n two \n\n"), "two");
        assert_eq!(telling_line(""), "it failed and said nothing");
        assert_eq!(
            telling_line("error: no index\n\nCaused by:\n  b\n\nCaused by:\n  no network\n"),
            "error: no index: no network"
        );
    }
}
