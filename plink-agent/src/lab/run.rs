//! Bringing a lab up and down.

use std::{collections::BTreeMap, fmt};

use super::{
    check::Lab,
    diff::{Tagged, plan, tagged},
    file::LabError,
};
use crate::api::local::{
    CallError, Transport,
    protocol::{Answer, Envelope, Kind, Request},
    view::Inventory,
};

/// How long to wait at the end until the kernel holds everything.
const SETTLE_MS: u64 = 60_000;

/// Why a lab is not as it should be.
#[derive(Debug)]
pub enum LabFailure {
    /// The file is wrong; nothing was sent.
    File(LabError),
    /// The agent did not answer.
    Call(CallError),
    /// A request was refused; those before it were done.
    Step {
        /// What was tried, for example `create vpc provider`.
        what: String,
        /// Why it was refused.
        cause: CallError,
    },
}

impl fmt::Display for LabFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(error) => error.fmt(f),
            Self::Call(error) => error.fmt(f),
            Self::Step { what, cause } => write!(f, "cannot {what}: {cause}"),
        }
    }
}

impl std::error::Error for LabFailure {}

impl From<LabError> for LabFailure {
    fn from(error: LabError) -> Self {
        Self::File(error)
    }
}

impl From<CallError> for LabFailure {
    fn from(error: CallError) -> Self {
        Self::Call(error)
    }
}

/// What became of an object.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct Outcome {
    /// `create`, `change`, `fill`, `accept`, `delete` or `failed`.
    pub verb: String,
    /// The object's kind.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// Its ID or ARN.
    pub id: String,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// What was done.
#[derive(Clone, PartialEq, Eq, Debug, Default, serde::Serialize)]
pub struct Summary {
    /// The lab's name.
    pub lab: String,
    /// Each request, in order.
    pub done: Vec<Outcome>,
    /// Objects that were as the file says.
    pub kept: usize,
    /// Objects that the file no longer has, and that were left alone.
    pub left: Vec<String>,
    /// What the kernel does not hold yet, and why.
    pub problems: Vec<String>,
}

impl Summary {
    /// How many objects of a kind, by what was done.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<(Kind, &str), usize> {
        let mut counts = BTreeMap::new();
        for it in &self.done {
            *counts.entry((it.kind, it.verb.as_str())).or_default() += 1;
        }
        counts
    }
}

/// Makes what the file says. `progress` gets each outcome at once.
pub fn up(
    lab: &Lab,
    transport: &mut dyn Transport,
    plinkctl: &str,
    prune: bool,
    progress: &mut dyn FnMut(&Outcome),
) -> Result<Summary, LabFailure> {
    let held = inventory(transport)?;
    let plan = plan(lab, &held, plinkctl)?;
    let mut ids = plan.ids;
    let mut summary = Summary { lab: lab.name.clone(), kept: plan.kept, ..Summary::default() };
    for step in plan.steps {
        let envelope = Envelope { wait_ms: Some(0), ..(step.make)(&ids) };
        let what = || format!("{} {} `{}`", step.verb, step.kind, step.name);
        let answer = transport.call(envelope).map_err(|cause| LabFailure::Step { what: what(), cause })?;
        let key = (step.kind, step.name.clone());
        if let (Answer::Changed { id: Some(id), .. }, "create") = (answer, step.verb) {
            ids.insert(key.clone(), id);
        }
        let id = ids.get(&key).cloned().unwrap_or_default();
        let outcome = Outcome { verb: step.verb.to_owned(), kind: step.kind, name: step.name, id, problem: None };
        progress(&outcome);
        summary.done.push(outcome);
    }
    if prune {
        delete(&plan.extra, transport, &mut summary, progress)?;
    } else {
        summary.left = plan.extra.iter().map(|it| format!("{} `{}` ({})", it.kind, it.name, it.id)).collect();
    }
    summary.problems = settle(transport)?;
    Ok(summary)
}

/// Removes all objects of a lab. An object that cannot be removed does not keep the others.
pub fn down(
    lab: &str,
    transport: &mut dyn Transport,
    progress: &mut dyn FnMut(&Outcome),
) -> Result<Summary, LabFailure> {
    let held = inventory(transport)?;
    let mut summary = Summary { lab: lab.to_owned(), ..Summary::default() };
    delete(&tagged(lab, &held), transport, &mut summary, progress)?;
    summary.problems = settle(transport)?;
    Ok(summary)
}

fn delete(
    objects: &[Tagged],
    transport: &mut dyn Transport,
    summary: &mut Summary,
    progress: &mut dyn FnMut(&Outcome),
) -> Result<(), LabFailure> {
    for Tagged { kind, name, id } in objects {
        // Live connections of others to the lab's service are cut with it.
        let request = Request::Delete { kind: *kind, object: id.clone(), cascade: true };
        let problem = match transport.call(Envelope { account: None, wait_ms: Some(0), request }) {
            Ok(_) => None,
            // Gone with what it belonged to: a load balancer takes its listeners along.
            Err(CallError::Refused(error)) if error.code == "NotFound" => None,
            Err(CallError::Refused(error)) => Some(error.message),
            Err(error) => return Err(error.into()),
        };
        let verb = if problem.is_some() { "failed" } else { "delete" };
        let outcome = Outcome { verb: verb.to_owned(), kind: *kind, name: name.clone(), id: id.clone(), problem };
        progress(&outcome);
        summary.done.push(outcome);
    }
    Ok(())
}

fn inventory(transport: &mut dyn Transport) -> Result<Inventory, CallError> {
    match transport.call(Request::List { kind: None }.into())? {
        Answer::Objects(held) => Ok(*held),
        other => Err(CallError::Broken(format!("the agent answered a list with something else: {other:?}"))),
    }
}

fn settle(transport: &mut dyn Transport) -> Result<Vec<String>, CallError> {
    let envelope = Envelope { account: None, wait_ms: Some(SETTLE_MS), request: Request::Settle {} };
    match transport.call(envelope)? {
        Answer::Changed { problems, .. } => Ok(problems),
        _ => Ok(Vec::new()),
    }
}
