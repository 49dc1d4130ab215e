//! The machine itself, with nothing to do: what no program on it can stay below.
//!
//! A guest's memory is mapped twice, and its host may take the second mapping away for a moment, to move pages or to see
//! which are used. Whoever touches many pages then becomes many times slower for some milliseconds, without a switch that
//! the guest could see. Latencies of programs beside this are to be read with it.

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::report::{Figure, Row, Unit, percentile};
use crate::scenarios::{Bench, Scenario};

/// By the name that `--only` looks for.
pub(crate) const MACHINE: Scenario = Scenario { name: "machine", measure };

/// Bytes that are touched: about what a server, its API server and who asks them use together.
const SIZE: usize = 64 << 20;

/// Of each page one byte.
const PAGE: usize = 4096;

/// Between two passes.
const PAUSE: Duration = Duration::from_micros(500);

/// A pass that takes so many times as long as the median is a stall.
const STALL: f64 = 5.0;

fn measure(bench: &mut Bench) -> Result<()> {
    let memory = vec![1_u8; SIZE];
    let began = Instant::now();
    let mut passes = Vec::new();
    while began.elapsed() < bench.effort.load.time {
        let pass = Instant::now();
        black_box(memory.iter().step_by(PAGE).fold(0_u8, |sum, byte| sum.wrapping_add(*byte)));
        passes.push(pass.elapsed().as_secs_f64() * 1e3);
        std::thread::sleep(PAUSE);
    }
    let time = began.elapsed().as_secs_f64();
    passes.sort_by(f64::total_cmp);
    let median = percentile(&passes, 50).context("there was no pass")?;
    let longest = passes.last().copied().unwrap_or_default();
    let stalled: f64 = passes.iter().filter(|pass| **pass > STALL * median).sum();
    let row = |id: &str, what: &str, value: f64| {
        let metric = format!("this machine, a pass over 64 MiB of pages: {what}");
        Row::new(&format!("machine-{id}"), metric, Unit::Milliseconds, Figure::exact(value))
    };
    bench.rows.push(row("pass", "median", median));
    bench.rows.push(row("longest", "the longest", longest));
    bench.rows.push(row("stalls", "of a second in passes five times as long", stalled / time));
    Ok(())
}
