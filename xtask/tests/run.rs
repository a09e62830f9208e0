//! `cargo xtask run` as a person uses it: to its end, interrupted, and after a run that was killed.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A run under a name of its own, so that the tests go side by side and leave other agents alone.
struct Run {
    name: String,
}

impl Run {
    fn new(letter: char) -> Run {
        Run { name: format!("plink-t{}{letter}", std::process::id()) }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command.args(["run", "--name", &self.name]).args(arguments).stdin(Stdio::null());
        command
    }

    fn once(&self) -> Output {
        self.command(&["--once"]).output().expect("the task starts")
    }

    fn run_dir(&self) -> PathBuf {
        Path::new("/run").join(&self.name)
    }

    /// Everything on the host that carries this run's name.
    fn left(&self) -> Vec<PathBuf> {
        let named = |folder: &str| {
            let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
            entries.filter(|path| path.file_name().is_some_and(|file| file.to_string_lossy().starts_with(&self.name)))
        };
        named("/run/netns").chain(named("/sys/fs/bpf")).chain(named("/run")).collect()
    }
}

/// Waits until the run has printed a line with this text.
fn wait_for(child: &mut Child, text: &str) {
    let output = child.stdout.take().expect("the output is piped");
    let mut lines = BufReader::new(output).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.contains(text)), "the run ended without saying {text:?}");
    // Nobody reads on, and the run has more to say.
    thread::spawn(move || lines.for_each(drop));
}

fn wait(child: &mut Child) -> std::process::ExitStatus {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(status) = child.try_wait().expect("the task can be waited for") {
            return status;
        }
        assert!(Instant::now() < end, "the run did not end");
        thread::sleep(Duration::from_millis(20));
    }
}

fn signal(child: &Child, signal: Signal) {
    kill(Pid::from_raw(child.id().try_into().expect("a pid")), signal).expect("the run is there");
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn the_quickstart_goes_through_and_leaves_nothing() {
    let run = Run::new('a');
    let output = run.once();
    let text = text(&output);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("every step went as it should") && text.contains("the host is as it was"), "{text}");
    assert_eq!(run.left(), Vec::<PathBuf>::new());
}

#[test]
fn an_interrupted_run_leaves_nothing() {
    let run = Run::new('b');
    let mut child = run.command(&["--no-lab"]).stdout(Stdio::piped()).spawn().expect("the task starts");
    wait_for(&mut child, "Serving until Ctrl-C");
    signal(&child, Signal::SIGINT);
    assert!(wait(&mut child).success());
    assert_eq!(run.left(), Vec::<PathBuf>::new());
}

#[test]
fn a_run_whose_agent_was_killed_is_cleared_away_by_the_next() {
    let run = Run::new('c');
    let mut child = run.command(&[]).stdout(Stdio::piped()).spawn().expect("the task starts");
    wait_for(&mut child, "Serving until Ctrl-C");
    let second = run.once();
    assert!(!second.status.success() && text(&second).contains("already runs"), "{}", text(&second));

    let record = fs::read_to_string(run.run_dir().join("agent.json")).expect("the agent says who it is");
    let record: serde_json::Value = serde_json::from_str(&record).expect("the record is JSON");
    let agent = record["pid"].as_i64().expect("a pid");
    // First the parent, so that nobody cleans up, then at once the agent.
    signal(&child, Signal::SIGSTOP);
    kill(Pid::from_raw(agent.try_into().expect("a pid")), Signal::SIGKILL).expect("the agent is there");
    signal(&child, Signal::SIGKILL);
    wait(&mut child);
    assert_ne!(run.left(), Vec::<PathBuf>::new(), "a killed run leaves its kernel objects");

    let next = run.once();
    assert!(next.status.success(), "{}", text(&next));
    assert!(text(&next).contains("removed what a former run left"), "{}", text(&next));
    assert_eq!(run.left(), Vec::<PathBuf>::new());
}

#[test]
fn what_cannot_be_run_is_refused_with_a_sentence() {
    let run = Run::new('d');
    for (arguments, sentence) in [
        (&["--datapath", "tcx"][..], "--datapath tcx is not there yet"),
        (&["--lab", "nowhere.toml"], "the lab file nowhere.toml is not there"),
    ] {
        let output = run.command(arguments).output().expect("the task starts");
        assert_eq!(output.status.code(), Some(1));
        assert!(text(&output).contains(sentence), "{}", text(&output));
    }
}
