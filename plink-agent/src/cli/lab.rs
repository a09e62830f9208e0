//! `plinkctl lab`.

use std::path::{Path, PathBuf};

use clap::Subcommand;

use super::{Failure, Global, Printer, stand_in::StandIn};
use crate::{
    api::local::{CallError, Client},
    lab::{self, Outcome, Summary},
};

/// The verbs of labs.
#[derive(Debug, Subcommand)]
pub(super) enum Lab {
    /// Make what the file says; what is there already stays
    Up {
        /// The lab file
        file: PathBuf,
        /// Delete the lab's objects that the file no longer has
        #[arg(long)]
        prune: bool,
    },
    /// Delete everything that the lab made, also without a running agent
    Down {
        /// The lab file
        file: PathBuf,
    },
}

impl Lab {
    pub(super) fn run(self, global: &Global) -> Result<(), Failure> {
        let printer = Printer::new(global.json);
        let mut progress = |outcome: &Outcome| printer.line(&line(&printer, outcome));
        match self {
            Self::Up { file, prune } => {
                let lab = lab::Lab::read(&file).map_err(file_error)?;
                let mut client = Client::connect(&global.run_dir)?;
                let summary = lab::up(&lab, &mut client, &plinkctl(), prune, &mut progress)?;
                finish(printer, &summary, "up")
            }
            Self::Down { file } => {
                let name = lab_name(&file)?;
                let summary = match Client::connect(&global.run_dir) {
                    Ok(mut client) => lab::down(&name, &mut client, &mut progress)?,
                    Err(error @ CallError::NoAgent { .. }) if !error.is_denied() => {
                        let Some(mut stand_in) = StandIn::start(&global.run_dir)? else { return Err(error.into()) };
                        printer.line("no agent runs: acting in place of the last one");
                        let summary = lab::down(&name, &mut stand_in, &mut progress)?;
                        stand_in.end()?;
                        summary
                    }
                    Err(error) => return Err(error.into()),
                };
                finish(printer, &summary, "down")
            }
        }
    }
}

fn file_error(error: anyhow::Error) -> Failure {
    match error.downcast::<lab::LabError>() {
        Ok(error) => lab::LabFailure::File(error).into(),
        Err(error) => error.into(),
    }
}

fn lab_name(file: &Path) -> Result<String, Failure> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| Failure::refused(format!("cannot read the lab file {}: {error}", file.display())))?;
    Ok(lab::lab_name(file, &text).map_err(lab::LabFailure::File)?)
}

/// The plinkctl that the instances of a lab run: beside the running program, which may be another one of the project.
fn plinkctl() -> String {
    let own = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("plinkctl"));
    own.with_file_name("plinkctl").display().to_string()
}

fn line(printer: &Printer, outcome: &Outcome) -> String {
    let verb = match outcome.verb.as_str() {
        "create" => "created",
        "change" => "changed",
        "fill" => "filled",
        "accept" => "accepted",
        "delete" => "deleted",
        other => other,
    };
    let problem = outcome.problem.as_ref().map(|problem| format!(": {problem}")).unwrap_or_default();
    let verb = format!("{}{:width$}", printer.toned(verb), "", width = 9_usize.saturating_sub(verb.len()));
    format!("{verb} {:14} {}  {}{problem}", outcome.kind.label(), outcome.name, outcome.id)
}

fn finish(printer: Printer, summary: &Summary, direction: &str) -> Result<(), Failure> {
    printer.document(summary, |printer| {
        let rows: Vec<_> = summary
            .counts()
            .into_iter()
            .map(|((kind, verb), count)| vec![kind.to_string(), verb.to_owned(), count.to_string()])
            .collect();
        if rows.is_empty() {
            printer.line(&match direction {
                "up" => format!("lab {} is up: all {} objects are as the file says", summary.lab, summary.kept),
                _ => format!("lab {} has no objects", summary.lab),
            });
            return;
        }
        printer.line("");
        printer.table(&["KIND", "ACTION", "COUNT"], &rows, "");
        let kept = if summary.kept == 0 { String::new() } else { format!(", {} kept as they were", summary.kept) };
        printer.line(&format!("lab {} is {direction}{kept}", summary.lab));
    });
    for left in &summary.left {
        eprintln!("warning: {left} is not in the file any more and was left alone; --prune deletes it");
    }
    for problem in &summary.problems {
        eprintln!("warning: {problem}");
    }
    let failed = summary.done.iter().filter(|outcome| outcome.verb == "failed").count();
    if failed != 0 {
        return Err(Failure::Refused {
            message: format!("{failed} objects could not be deleted"),
            hint: Some("delete what uses them, then repeat this command".to_owned()),
        });
    }
    if summary.problems.is_empty() { Ok(()) } else { Err(Failure::Said(1)) }
}
