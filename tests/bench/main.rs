//! `plink-bench`, run by `cargo xtask bench`: packets a second through plink's XDP program and, in the same run and the
//! same shape, through a Linux router with an nftables DNAT and masquerade.
//!
//! The generator runs in the kernel (`bench_source`) on one CPU, and everything behind it runs there too, in the same
//! softirq: what is compared is the cost of a packet on one core. Rounds are interleaved, and the ratio is taken within
//! each round.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a tool at a terminal"
)]

mod generator;
mod paths;
mod report;

use std::time::Duration;

use generator::Generator;
use paths::{NftRouter, Path, Plink};
use report::{Report, Sample};

struct Options {
    rounds: usize,
    seconds: f64,
    json: bool,
    flows: Vec<u32>,
}

fn options() -> Result<Options, String> {
    let mut options = Options { rounds: 5, seconds: 1.0, json: false, flows: vec![1, 1_000, 60_000] };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--quick" => (options.rounds, options.seconds) = (3, 0.3),
            "--json" => options.json = true,
            "--rounds" => {
                let value = arguments.next().unwrap_or_default();
                options.rounds = value.parse().map_err(|_| format!("--rounds takes a number, not {value:?}"))?;
            }
            other => return Err(format!("unknown option {other}; there are --quick, --rounds N and --json")),
        }
    }
    Ok(options)
}

fn main() {
    let options = options().unwrap_or_else(|error| {
        eprintln!("error: {error}");
        std::process::exit(2);
    });
    let generator = Generator::load();
    let paths: [Box<dyn Path>; 2] = [Box::new(Plink::new()), Box::new(NftRouter::new())];
    paths.iter().for_each(|path| generator.attach_sink(&path.sink_namespace()));

    let mut report = Report::new();
    for flows in &options.flows {
        for path in &paths {
            // Makes the flows, which is not what is measured here.
            generator.run(&path.wire(), *flows, Duration::from_secs_f64(options.seconds));
        }
        for round in 0..options.rounds {
            for path in &paths {
                eprint!("\r{flows} flows, round {} of {}: {}        ", round + 1, options.rounds, path.name());
                let counted = generator.run(&path.wire(), *flows, Duration::from_secs_f64(options.seconds));
                report.add(Sample { path: path.name(), flows: *flows, round, counted });
            }
        }
    }
    eprintln!();
    if options.json {
        println!("{}", report.json());
    } else {
        println!("{}", report.table());
    }
}
