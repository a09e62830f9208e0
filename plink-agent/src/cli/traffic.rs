//! `plinkctl flows` and `plinkctl drops`.

use clap::Args;

use super::{
    Failure,
    session::{Session, unexpected},
};
use crate::api::local::{
    protocol::{Answer, Request},
    view::{FlowView, SocketView},
};

/// Show live flows, each once.
#[derive(Debug, Args)]
pub(super) struct Flows {
    /// Only those of this endpoint: ID or name
    #[arg(long)]
    endpoint: Option<String>,
    /// At most so many
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=2_000))]
    limit: u32,
}

impl Flows {
    pub(super) fn run(self, session: &mut Session) -> Result<(), Failure> {
        let limit = Some(self.limit as usize);
        let Answer::Flows(flows) = session.call(Request::Flows { endpoint: self.endpoint, limit })? else {
            return Err(unexpected());
        };
        let rows: Vec<_> = flows.iter().map(row).collect();
        session.printer.document(&flows, |printer| {
            let headers = ["PROTOCOL", "CLIENT", "FRONTEND", "ADDRESS", "SOURCE", "TARGET", "IDLE", "STATE"];
            printer.table(&headers, &rows, "no flows");
            if rows.len() == self.limit as usize {
                printer.line(&format!("(the first {}; --limit shows more)", self.limit));
            }
        });
        Ok(())
    }
}

fn row(it: &FlowView) -> Vec<String> {
    vec![
        it.protocol.clone(),
        socket(&it.client),
        it.frontend.label().to_owned(),
        socket(&it.frontend_address),
        socket(&it.source),
        socket(&it.target),
        format!("{:.1} s", it.idle_s),
        state(it),
    ]
}

fn socket(it: &SocketView) -> String {
    let place = format!("{}:{}", it.address, it.port);
    if it.name.is_empty() { place } else { format!("{} {place}", it.name) }
}

/// Where the flow is in its life, from the flags that each side has sent.
fn state(it: &FlowView) -> String {
    let has = |flags: &[String], flag: &str| flags.iter().any(|it| it == flag);
    let either = |flag| has(&it.forward_flags, flag) || has(&it.reply_flags, flag);
    let both = |flag| has(&it.forward_flags, flag) && has(&it.reply_flags, flag);
    let state = match () {
        () if !it.live => "closed",
        () if either("rst") => "reset",
        () if both("fin") => "ended",
        () if either("fin") => "ending",
        () if has(&it.reply_flags, "seen") => "open",
        () => "unanswered",
    };
    state.to_owned()
}

/// Show how many packets were dropped, and why.
#[derive(Debug, Args)]
pub(super) struct Drops {
    /// Also the reasons that never occurred
    #[arg(long)]
    all: bool,
}

impl Drops {
    pub(super) fn run(self, session: &mut Session) -> Result<(), Failure> {
        let Answer::Drops(mut drops) = session.call(Request::Drops {})? else { return Err(unexpected()) };
        drops.retain(|it| self.all || it.count != 0);
        let rows: Vec<_> =
            drops.iter().map(|it| vec![it.reason.clone(), it.count.to_string(), it.meaning.clone()]).collect();
        session.printer.document(&drops, |printer| {
            printer.table(&["REASON", "PACKETS", "MEANING"], &rows, "no packet was dropped");
        });
        Ok(())
    }
}
