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

mod calls;
mod generator;
mod paths;
mod report;

use std::{io::IsTerminal as _, time::Duration};

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
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--quick" => (options.rounds, options.seconds) = (3, 0.3),
            "--json" => options.json = true,
            rounds if rounds.starts_with("--rounds=") => {
                let value = &rounds["--rounds=".len()..];
                let number = value.parse().ok().filter(|number| *number > 0);
                options.rounds = number.ok_or_else(|| format!("--rounds takes a number from 1 on, not {value:?}"))?;
            }
            other => return Err(format!("unknown option {other}; there are --quick, --rounds=N and --json")),
        }
    }
    Ok(options)
}

fn main() {
    let options = options().unwrap_or_else(|error| {
        eprintln!("error: {error}");
        std::process::exit(2);
    });
    let terminal = std::io::stderr().is_terminal();
    let generator = Generator::load();
    let plink = Plink::new();
    let calls = calls::measure(plink.agent(), if options.rounds > 3 { 300 } else { 50 });
    let paths: [Box<dyn Path>; 2] = [Box::new(plink), Box::new(NftRouter::new())];
    paths.iter().for_each(|path| generator.attach_sink(&path.sink_namespace()));

    let mut report = Report::new(calls);
    for flows in &options.flows {
        for path in &paths {
            // Makes the flows, which is not what is measured here.
            generator.run(&path.wire(), *flows, Duration::from_secs_f64(options.seconds));
        }
        for round in 0..options.rounds {
            for path in &paths {
                if terminal {
                    eprint!("\r{flows} flows, round {} of {}: {}        ", round + 1, options.rounds, path.name());
                }
                let counted = generator.run(&path.wire(), *flows, Duration::from_secs_f64(options.seconds));
                report.add(Sample { path: path.name(), flows: *flows, round, counted });
            }
        }
    }
    if terminal {
        eprintln!();
    }
    if options.json {
        println!("{}", report.json());
    } else {
        println!("{}", report.table());
    }
}
