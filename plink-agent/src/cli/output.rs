//! What goes to the terminal: tables for people, JSON for scripts.
#![allow(clippy::print_stdout, reason = "this is the command line's only way out")]

use std::io::{IsTerminal, Write};

use serde::Serialize;

/// Prints in the way that was asked for.
#[derive(Clone, Copy, Debug)]
pub struct Printer {
    /// One JSON document instead of tables.
    pub json: bool,
    colour: bool,
}

/// How a cell looks on a terminal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Tone {
    Plain,
    Good,
    Waiting,
    Bad,
}

impl Printer {
    /// Colours are for terminals, and not for those who set NO_COLOR.
    #[must_use]
    pub fn new(json: bool) -> Self {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { json, colour: !json && !refused && std::io::stdout().is_terminal() }
    }

    /// A line for people; nothing in JSON.
    pub fn line(&self, text: &str) {
        if !self.json {
            emit(text);
        }
    }

    /// One JSON document, or what `people` prints.
    pub fn document(&self, value: &impl Serialize, people: impl FnOnce(&Self)) {
        if self.json {
            match serde_json::to_string_pretty(value) {
                Ok(text) => emit(&text),
                Err(error) => eprintln!("error: {error}"),
            }
        } else {
            people(self);
        }
    }

    /// A table, or a sentence if it has no rows.
    pub fn table(&self, headers: &[&str], rows: &[Vec<String>], empty: &str) {
        if rows.is_empty() {
            emit(empty);
        } else {
            emit(render(headers, rows, self.colour).trim_end());
        }
    }

    /// Names and values, one a line.
    pub fn fields(&self, fields: &[(&str, String)]) {
        let width = fields.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
        for (name, value) in fields.iter().filter(|(_, value)| !value.is_empty()) {
            let value = value.replace('\n', &format!("\n{:width$}  ", ""));
            emit(&format!("{}  {}", paint(&format!("{name:width$}"), "1", self.colour), toned(&value, self.colour)));
        }
    }

    /// A heading.
    pub fn heading(&self, text: &str) {
        self.line(&paint(text, "1", self.colour));
    }

    /// A value in the colour of its meaning.
    #[must_use]
    pub fn toned(&self, value: &str) -> String {
        toned(value, self.colour)
    }
}

/// Writes a line; a reader that went away (`| head`) is no error.
fn emit(text: &str) {
    let mut out = std::io::stdout().lock();
    if writeln!(out, "{text}").is_err() {
        std::process::exit(0);
    }
}

fn render(headers: &[&str], rows: &[Vec<String>], colour: bool) -> String {
    let mut widths: Vec<usize> = headers.iter().map(|header| header.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    let mut put = |cells: &[String], style: &dyn Fn(&str) -> String| {
        let last = cells.len().saturating_sub(1);
        for (index, (cell, width)) in cells.iter().zip(&widths).enumerate() {
            let shown = if cell.is_empty() { "-" } else { cell };
            text.push_str(&style(shown));
            if index != last {
                text.extend(std::iter::repeat_n(' ', (width + 2).saturating_sub(shown.chars().count())));
            }
        }
        text.push('\n');
    };
    let headers: Vec<String> = headers.iter().map(|header| (*header).to_owned()).collect();
    put(&headers, &|cell| paint(cell, "1", colour));
    for row in rows {
        put(row, &|cell| toned(cell, colour));
    }
    text
}

fn tone(value: &str) -> Tone {
    match value {
        "available" | "running" | "healthy" | "ok" => Tone::Good,
        "pendingAcceptance" | "pending" | "warn" | "initial" | "draining" => Tone::Waiting,
        "rejected" | "failed" | "fail" | "unhealthy" | "closed" => Tone::Bad,
        _ => Tone::Plain,
    }
}

fn toned(value: &str, colour: bool) -> String {
    match tone(value) {
        Tone::Plain => value.to_owned(),
        Tone::Good => paint(value, "32", colour),
        Tone::Waiting => paint(value, "33", colour),
        Tone::Bad => paint(value, "31", colour),
    }
}

fn paint(text: &str, code: &str, colour: bool) -> String {
    if colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
}

/// A number of bytes with its unit.
#[must_use]
pub(super) fn bytes(count: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = count as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{count} B") } else { format!("{value:.1} {}", units[unit]) }
}

/// A time span with the two units that matter.
#[must_use]
pub(super) fn span(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min {} s", seconds % 60),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows =
            vec![vec!["orders".into(), "available".into(), String::new()], vec!["x".into(), "ü".into(), "end".into()]];
        let expected = "NAME    STATE      PROBLEM\norders  available  -\nx       ü          end\n";
        assert_eq!(render(&["NAME", "STATE", "PROBLEM"], &rows, false), expected);
    }

    #[test]
    fn colours_do_not_move_columns() {
        let rows = vec![vec!["available".into(), "x".into()]];
        let plain: String = render(&["STATE", "B"], &rows, true).replace("\x1b[1m", "").replace("\x1b[32m", "");
        assert_eq!(plain.replace("\x1b[0m", ""), render(&["STATE", "B"], &rows, false));
    }

    #[test]
    fn numbers_are_for_people() {
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(64 << 20), "64.0 MiB");
        assert_eq!(span(59), "59 s");
        assert_eq!(span(3_725), "1 h 2 min");
        assert_eq!(span(90_000), "1 d 1 h");
    }
}
