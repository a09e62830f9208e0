//! What a person sees: lines with a mark, colours only on a terminal, plain ASCII where the locale is not UTF-8.

use std::env;
use std::io::{IsTerminal, Write, stdout};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// How wide the text of a step is before its time.
const TEXT_WIDTH: usize = 84;

static TERMINAL: LazyLock<bool> = LazyLock::new(|| stdout().is_terminal() && env::var_os("NO_COLOR").is_none());
static UTF8: LazyLock<bool> = LazyLock::new(|| {
    let locale =
        ["LC_ALL", "LC_CTYPE", "LANG"].iter().filter_map(|name| env::var(name).ok()).find(|value| !value.is_empty());
    stdout().is_terminal() && locale.is_some_and(|locale| locale.to_lowercase().replace('-', "").contains("utf8"))
});

/// The colours that the tasks use, by meaning.
#[derive(Clone, Copy)]
pub(crate) enum Colour {
    Good,
    Bad,
    Dim,
    Strong,
}

/// The text in a colour, or as it is where nobody sees colours.
pub(crate) fn paint(colour: Colour, text: &str) -> String {
    if !*TERMINAL {
        return text.to_owned();
    }
    let code = match colour {
        Colour::Good => "32",
        Colour::Bad => "31",
        Colour::Dim => "2",
        Colour::Strong => "1",
    };
    format!("\x1b[{code}m{text}\x1b[0m")
}

/// One line. A closed pipe ends nothing: the task has more to do than to talk.
pub(crate) fn line(text: &str) {
    let mut out = stdout().lock();
    let _ = writeln!(out, "{text}");
    let _ = out.flush();
}

/// A heading with an empty line before it.
pub(crate) fn heading(text: &str) {
    line(&format!("\n{}", paint(Colour::Strong, text)));
}

/// What went wrong, with its causes, on standard error.
pub(crate) fn error(error: &anyhow::Error) {
    let _ = writeln!(std::io::stderr(), "{} {error:#}", paint(Colour::Bad, "error:"));
}

/// The mark of a step of a demonstration that went as it should, or not.
pub(crate) fn mark(good: bool) -> String {
    match (good, *UTF8) {
        (true, true) => paint(Colour::Good, "✓"),
        (false, true) => paint(Colour::Bad, "✗"),
        (true, false) => paint(Colour::Good, "ok  "),
        (false, false) => paint(Colour::Bad, "FAIL"),
    }
}

/// A step under way: its line is written when it ends, with what was found or done and how long it took.
pub(crate) struct Step {
    started: Instant,
    announced: bool,
}

impl Step {
    /// Starts the clock.
    pub(crate) fn start() -> Step {
        Step { started: Instant::now(), announced: false }
    }

    /// How long it has taken so far.
    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Says what a step that takes a while is doing. On a terminal the line is replaced by the step's end.
    pub(crate) fn announce(&mut self, text: &str) {
        if *TERMINAL && self.announced {
            self.erase();
        }
        self.announced = true;
        if *TERMINAL {
            let mut out = stdout().lock();
            let _ = write!(out, "[ .. ] {text}");
            let _ = out.flush();
        } else {
            line(&format!("[ .. ] {text}"));
        }
    }

    /// Ends the step well.
    pub(crate) fn ok(self, text: &str) {
        self.end(&paint(Colour::Good, " ok "), text);
    }

    /// Ends the step badly.
    pub(crate) fn failed(self, text: &str) {
        self.end(&paint(Colour::Bad, "FAIL"), text);
    }

    /// Ends the step with something that is there to be done.
    pub(crate) fn missing(self, text: &str) {
        self.end(&paint(Colour::Bad, "miss"), text);
    }

    fn end(self, mark: &str, text: &str) {
        if *TERMINAL && self.announced {
            self.erase();
        }
        let time = paint(Colour::Dim, &seconds(self.started.elapsed()));
        line(&format!("[{mark}] {text:<TEXT_WIDTH$} {time}"));
    }

    fn erase(&self) {
        let _ = write!(stdout(), "\r\x1b[K");
    }
}

/// A duration as people read it: `0.04 s`, `3.2 s`, `61 s`, `4 min 05 s`.
pub(crate) fn seconds(duration: Duration) -> String {
    let exact = duration.as_secs_f64();
    match exact {
        _ if exact < 1.0 => format!("{exact:.2} s"),
        _ if exact < 10.0 => format!("{exact:.1} s"),
        _ if exact < 120.0 => format!("{exact:.0} s"),
        _ => format!("{} min {:02} s", duration.as_secs() / 60, duration.as_secs() % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_well() {
        let read = |millis| seconds(Duration::from_millis(millis));
        assert_eq!([read(42), read(3210), read(61_000), read(245_000)], ["0.04 s", "3.2 s", "61 s", "4 min 05 s"]);
    }
}
