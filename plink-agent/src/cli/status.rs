//! `plinkctl status`.

use std::collections::BTreeMap;

use super::{
    Failure,
    output::span,
    session::{Session, unexpected},
};
use crate::api::local::{
    protocol::{Answer, Request},
    view::StatusView,
};

pub(super) fn run(session: &mut Session) -> Result<(), Failure> {
    let Answer::Status(status) = session.call(Request::Status {})? else { return Err(unexpected()) };
    session.printer.document(&status, |printer| {
        printer.fields(&fields(&status));
        if !status.problems.is_empty() {
            printer.heading("\nproblems (the agent keeps trying)");
            for problem in &status.problems {
                printer.line(&format!("  {problem}"));
            }
        }
    });
    Ok(())
}

fn fields(it: &StatusView) -> Vec<(&'static str, String)> {
    let maps: Vec<_> = it.maps.iter().map(|map| fill(&map.name, map.used, map.size)).collect();
    vec![
        ("agent", format!("plink-agent {}, pid {}, up {}", it.version, it.pid, span(it.uptime_s))),
        ("name", it.name.clone()),
        ("region", it.region.clone()),
        ("state", it.state_dir.clone()),
        ("hub", it.hub.clone().unwrap_or_else(|| "none, as there is no instance".to_owned())),
        ("program", it.program_id.map_or_else(|| "not loaded".to_owned(), |id| format!("id {id}"))),
        ("ports", it.ports.to_string()),
        ("objects", counts(&it.objects)),
        ("endpoints", counts(&it.endpoints)),
        ("maps", maps.join("\n")),
        ("packets", it.counters.iter().map(|(name, count)| format!("{count} {name}")).collect::<Vec<_>>().join(", ")),
        ("dropped", if it.drops == 0 { "0".to_owned() } else { format!("{} (see `plinkctl drops`)", it.drops) }),
    ]
}

fn counts(counts: &BTreeMap<String, usize>) -> String {
    let some = counts.iter().filter(|(_, count)| **count != 0);
    let text = some.map(|(name, count)| format!("{count} {name}")).collect::<Vec<_>>().join(", ");
    if text.is_empty() { "none".to_owned() } else { text }
}

fn fill(name: &str, used: u64, size: u64) -> String {
    let percent = if size == 0 { 0.0 } else { used as f64 * 100.0 / size as f64 };
    format!("{name} {used} of {size} ({percent:.1} %)")
}
