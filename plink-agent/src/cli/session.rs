//! A connection to the agent with the options of the command line, and what all verb groups do alike.

use std::collections::BTreeMap;

use clap::Args;

use super::{Failure, Global, Printer};
use crate::api::local::{
    Client, Transport,
    protocol::{Answer, Envelope, Kind, Request, Tags},
    view::{Inventory, Named},
};

pub(super) struct Session {
    client: Client,
    account: Option<String>,
    wait_ms: Option<u64>,
    pub(super) printer: Printer,
}

impl Session {
    pub(super) fn connect(global: &Global) -> Result<Self, Failure> {
        let client = Client::connect(&global.run_dir)?;
        let wait_ms = global.no_wait.then_some(0);
        Ok(Self { client, account: global.account.clone(), wait_ms, printer: Printer::new(global.json) })
    }

    pub(super) fn call(&mut self, request: Request) -> Result<Answer, Failure> {
        let envelope = Envelope { account: self.account.clone(), wait_ms: self.wait_ms, request };
        Ok(self.client.call(envelope)?)
    }

    pub(super) fn objects(&mut self, request: Request) -> Result<Inventory, Failure> {
        match self.call(request)? {
            Answer::Objects(found) => Ok(*found),
            _ => Err(unexpected()),
        }
    }

    pub(super) fn list(&mut self, kind: Kind) -> Result<Inventory, Failure> {
        self.objects(Request::List { kind: Some(kind) })
    }

    pub(super) fn show(&mut self, kind: Kind, object: String) -> Result<Inventory, Failure> {
        self.objects(Request::Show { kind, object })
    }

    /// Sends a request that changes something; says what the kernel does not hold yet.
    pub(super) fn change(&mut self, request: Request) -> Result<Option<String>, Failure> {
        match self.call(request)? {
            Answer::Changed { id, problems } => {
                for problem in problems {
                    eprintln!("warning: {problem}");
                }
                Ok(id)
            }
            _ => Err(unexpected()),
        }
    }

    /// The same, and prints `done` with the ID of what was made or changed.
    pub(super) fn report(&mut self, request: Request, done: &str) -> Result<(), Failure> {
        let id = self.change(request)?;
        let text = match &id {
            Some(id) => format!("{done} {id}"),
            None => done.to_owned(),
        };
        self.printer.document(&BTreeMap::from([("id", id)]), |printer| printer.line(&text));
        Ok(())
    }

    pub(super) fn delete(&mut self, kind: Kind, objects: Vec<String>, cascade: bool) -> Result<(), Failure> {
        let mut deleted = Vec::new();
        for object in objects {
            self.change(Request::Delete { kind, object: object.clone(), cascade })?;
            self.printer.line(&format!("deleted {kind} {object}"));
            deleted.push(object);
        }
        if self.printer.json {
            self.printer.document(&BTreeMap::from([("deleted", deleted)]), |_| ());
        }
        Ok(())
    }
}

pub(super) fn unexpected() -> Failure {
    Failure::Refused {
        message: "the agent answered something else than was asked".to_owned(),
        hint: Some("is the agent of the same version?".to_owned()),
    }
}

/// Name and tags of what is made.
#[derive(Debug, Args)]
pub(super) struct Labels {
    /// A name for it (the tag Name)
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    tags: TagArgs,
}

/// Tags of what is made.
#[derive(Debug, Args)]
pub(super) struct TagArgs {
    /// A tag; may be given more than once
    #[arg(long = "tag", value_name = "KEY=VALUE", value_parser = key_value)]
    tags: Vec<(String, String)>,
}

impl Labels {
    pub(super) fn tags(self) -> Tags {
        let name = self.name.map(|name| ("Name".to_owned(), name));
        self.tags.tags.into_iter().chain(name).collect()
    }
}

impl TagArgs {
    pub(super) fn tags(self) -> Tags {
        self.tags.into_iter().collect()
    }
}

fn key_value(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').filter(|(key, _)| !key.is_empty());
    pair.map(|(key, value)| (key.to_owned(), value.to_owned())).ok_or_else(|| "a tag is KEY=VALUE".to_owned())
}

/// `name (id)`, or what there is of it.
pub(super) fn both(it: &Named) -> String {
    match (it.name.as_str(), it.id.as_str()) {
        ("", id) => id.to_owned(),
        (name, id) => format!("{name} ({id})"),
    }
}

pub(super) fn tag_lines(tags: &Tags) -> String {
    tags.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join("\n")
}

/// The only object of a `show`.
pub(super) fn only<T>(list: Vec<T>) -> Result<T, Failure> {
    list.into_iter().next().ok_or_else(unexpected)
}
