//! What was measured, as a table and as JSON.

use std::{fmt::Write as _, fs};

use serde_json::{Value, json};

use crate::{
    calls::Call,
    generator::{Counted, FRAME_BYTES},
};

/// One run.
pub(crate) struct Sample {
    pub(crate) path: &'static str,
    pub(crate) flows: u32,
    pub(crate) round: usize,
    pub(crate) counted: Counted,
}

impl Sample {
    /// Millions of packets a second that arrived.
    fn rate(&self) -> f64 {
        self.counted.received as f64 / self.counted.time.as_secs_f64() / 1e6
    }
}

/// All runs.
pub(crate) struct Report {
    calls: Vec<Call>,
    samples: Vec<Sample>,
}

impl Report {
    pub(crate) fn new(calls: Vec<Call>) -> Self {
        Self { calls, samples: vec![] }
    }

    pub(crate) fn add(&mut self, sample: Sample) {
        self.samples.push(sample);
    }

    pub(crate) fn table(&self) -> String {
        let mut text = format!("{}\n", machine_line());
        let _ = writeln!(
            text,
            "{:>7}  {:<10} {:>8} {:>8} {:>8}  {:>9}  ratio",
            "flows", "path", "median", "min", "max", "arrived"
        );
        for (flows, path) in self.groups() {
            let mut rates: Vec<f64> = self.of(flows, path).map(Sample::rate).collect();
            rates.sort_by(f64::total_cmp);
            let (sent, received) = self.of(flows, path).fold((0, 0), |(sent, received), sample| {
                (sent + sample.counted.sent, received + sample.counted.received)
            });
            let ratio = self.ratio(flows, path).map_or(String::new(), |ratio| format!("{ratio:.2}"));
            let arrived = received as f64 * 100.0 / sent as f64;
            let _ = writeln!(
                text,
                "{flows:>7}  {path:<10} {:>8.3} {:>8.3} {:>8.3}  {arrived:>8.2}%  {ratio}",
                rates[rates.len() / 2],
                rates[0],
                rates[rates.len() - 1]
            );
        }
        let _ = write!(
            text,
            "Millions of packets a second, one core, {} bytes each on the wire; ratio: to the first path's median, from \
             pairs of the same round.",
            FRAME_BYTES + 4
        );
        for call in &self.calls {
            let [p50, p99] = [0.5, 0.99].map(|share| call.quantile(share).as_secs_f64() * 1e3);
            let _ = write!(text, "\n{}: p50 {p50:.2} ms, p99 {p99:.2} ms ({} calls)", call.name, call.times.len());
        }
        text
    }

    /// The median over the rounds of the first path's rate divided by this path's.
    fn ratio(&self, flows: u32, path: &str) -> Option<f64> {
        let first = self.samples.first()?.path;
        if path == first {
            return None;
        }
        let mut ratios: Vec<f64> =
            self.of(flows, first).zip(self.of(flows, path)).map(|(a, b)| a.rate() / b.rate()).collect();
        ratios.sort_by(f64::total_cmp);
        ratios.get(ratios.len() / 2).copied()
    }

    fn of<'a>(&'a self, flows: u32, path: &'a str) -> impl Iterator<Item = &'a Sample> {
        self.samples.iter().filter(move |sample| sample.flows == flows && sample.path == path)
    }

    fn groups(&self) -> Vec<(u32, &'static str)> {
        let mut groups = vec![];
        for sample in &self.samples {
            if !groups.contains(&(sample.flows, sample.path)) {
                groups.push((sample.flows, sample.path));
            }
        }
        groups
    }

    pub(crate) fn json(&self) -> Value {
        let samples: Vec<Value> = self
            .samples
            .iter()
            .map(|sample| {
                json!({
                    "path": sample.path,
                    "flows": sample.flows,
                    "round": sample.round,
                    "sent": sample.counted.sent,
                    "received": sample.counted.received,
                    "seconds": sample.counted.time.as_secs_f64(),
                    "mpps": sample.rate(),
                })
            })
            .collect();
        let calls: Vec<Value> = self
            .calls
            .iter()
            .map(|call| {
                let milliseconds: Vec<f64> = call.times.iter().map(|time| time.as_secs_f64() * 1e3).collect();
                json!({ "call": call.name, "milliseconds": milliseconds })
            })
            .collect();
        json!({ "calls": calls, "machine": machine_line(), "frame_bytes": FRAME_BYTES + 4, "samples": samples })
    }
}

/// Processor, cores and kernel.
fn machine_line() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let model = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split(':').nth(1))
        .unwrap_or("?")
        .trim()
        .to_owned();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{model}, {cores} cores, Linux {}", read("/proc/sys/kernel/osrelease").trim())
}
