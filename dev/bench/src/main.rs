//! Measures Strongroom's programs beside others that do the same work: time from spawn to the child's `main`, calls
//! made, memory, size. Prints a table and writes JSON under `out/bench/`; `docs/benchmarks.md` says what each row means.
//!
//! A missed target is told and is no failure; only what cannot be measured is. Figures come from this run, except those
//! of absent peers, which are marked and carry their date.

#![forbid(unsafe_code)]

mod admission;
mod client;
mod flow;
mod kamus;
mod launch;
mod machine;
mod operator;
mod process;
mod programs;
mod recorded;
mod report;
mod results;
mod scenarios;
mod server;
mod stand_in;

use std::ffi::OsStr;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::Parser;

use crate::programs::Programs;
use crate::scenarios::{Bench, Effort, SCENARIOS, Scenario};
use crate::server::Load;
use crate::stand_in::StandIn;

/// Measure Strongroom beside its peers
///
/// Peers are the programs that BENCH_SECRETS_INIT, BENCH_CHAMBER, BENCH_TINI and BENCH_CATATONIT name; Debian's tini and
/// catatonit are found by themselves.
#[derive(Debug, Parser)]
#[command(name = "bench")]
struct Arguments {
    /// Few runs: enough to see that everything works, too few to quote
    #[arg(long)]
    quick: bool,

    /// Only the scenarios whose names contain this text
    #[arg(long, value_name = "PATTERN")]
    only: Option<String>,
}

impl Arguments {
    fn effort(&self) -> Effort {
        match self.quick {
            true => Effort {
                quick_starts: 10,
                slow_starts: 5,
                budget: Duration::from_secs(5),
                pods: 1_000,
                started_pods: 3,
                load: Load { time: Duration::from_secs(2), secrets: 1_000, secrets_of_large_store: 5_000 },
            },
            false => Effort {
                quick_starts: 200,
                slow_starts: 50,
                budget: Duration::from_secs(30),
                pods: 10_000,
                started_pods: 30,
                load: Load { time: Duration::from_secs(10), secrets: 10_000, secrets_of_large_store: 100_000 },
            },
        }
    }

    fn scenarios(&self) -> Result<Vec<&'static Scenario>> {
        // A soak takes half an hour: only who names it wants it.
        let is_wanted = |scenario: &&Scenario| match &self.only {
            Some(pattern) => scenario.name.contains(pattern.as_str()),
            None => scenario.name != operator::SOAK,
        };
        let wanted: Vec<_> = SCENARIOS.iter().filter(is_wanted).collect();
        let names: Vec<_> = SCENARIOS.iter().map(|scenario| scenario.name).collect();
        ensure!(!wanted.is_empty(), "no scenario's name contains that; there are: {}", names.join(", "));
        Ok(wanted)
    }
}

fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1);
    let result = match words.next().as_deref().and_then(OsStr::to_str) {
        Some(stand_in::WORD) => stand_in::run().map(|()| true),
        Some(launch::PEAK_WORD) => launch::tell_peak(words).map(|()| true),
        _ => measure(&Arguments::parse()),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Measures what was asked for; false where something of it could not be.
fn measure(arguments: &Arguments) -> Result<bool> {
    let scenarios = arguments.scenarios()?;
    let machine = results::Machine::look();
    machine.warn_of_noise();
    const ROLES: [&str; 4] = ["operator", server::PREFIX, admission::PREFIX, kamus::PREFIX];
    let is_start = |scenario: &&Scenario| {
        scenario.name == admission::STARTS.name || ROLES.iter().all(|role| !scenario.name.starts_with(role))
    };
    let starts = scenarios.iter().any(is_start);
    let (programs, stand_in) = (Programs::find(starts)?, StandIn::start()?);
    let mut bench = Bench { programs, stand_in, effort: arguments.effort(), rows: Vec::new(), failures: Vec::new() };
    for scenario in scenarios {
        eprintln!("bench: {}", scenario.name);
        if let Err(error) = (scenario.measure)(&mut bench) {
            bench.failures.push(format!("{}: {error:#}", scenario.name));
        }
    }
    let Bench { programs, rows, failures, .. } = bench;
    write!(std::io::stdout(), "\n{}", report::table(&rows))?;
    let file = results::keep(&programs.root, arguments.quick, machine, &rows, &failures)?;
    eprintln!("bench: written to {}", file.display());
    for failure in &failures {
        eprintln!("bench: could not measure {failure}");
    }
    Ok(failures.is_empty())
}
