//! Results on disk, with what one must know to compare them with others.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::report::Row;

/// A machine of which others use more than this share is busy.
const QUIET: f64 = 0.1;

/// How long others are watched; the load average would still speak of the build that ended a moment ago.
const WATCHED: Duration = Duration::from_millis(500);

/// The machine that figures were taken on.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Machine {
    cores: usize,
    processor: String,
    memory_bytes: u64,
    kernel: String,
    /// The share of all cores, 0 to 1, that others used just before.
    busy: f64,
}

#[derive(Serialize)]
struct Results<'a> {
    at: String,
    commit: Option<String>,
    /// Few runs: not to be quoted.
    quick: bool,
    machine: Machine,
    rows: &'a [Row],
    failures: &'a [String],
}

impl Machine {
    /// What `/proc` tells; what it does not is left empty.
    pub(crate) fn look() -> Self {
        let read = |file: &str| std::fs::read_to_string(file).unwrap_or_default();
        let field = |text: &str, name: &str| {
            let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
            line.split_once(':').map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
        };
        let memory = field(&read("/proc/meminfo"), "MemTotal");
        let kilobytes: u64 = memory.trim_end_matches(" kB").parse().unwrap_or_default();
        Self {
            cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            processor: field(&read("/proc/cpuinfo"), "model name"),
            memory_bytes: kilobytes * 1024,
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            busy: busy(),
        }
    }

    /// Says so where figures will be those of a busy machine.
    pub(crate) fn warn_of_noise(&self) {
        if self.busy > QUIET {
            let percent = self.busy * 100.0;
            eprintln!("bench: others use {percent:.0} % of this machine: times will be too long; look at ratios");
        }
    }
}

/// The share of all cores that was in use while this process slept; 0 where the kernel does not tell.
fn busy() -> f64 {
    let ticks = || ticks_of(&std::fs::read_to_string("/proc/stat").unwrap_or_default());
    let before = ticks();
    std::thread::sleep(WATCHED);
    let (before, after) = match (before, ticks()) {
        (Some(before), Some(after)) => (before, after),
        _ => return 0.0,
    };
    let (idle, all) = (after.0.saturating_sub(before.0), after.1.saturating_sub(before.1));
    if all == 0 { 0.0 } else { 1.0 - idle as f64 / all as f64 }
}

/// Idle ticks and all ticks of all cores, from `/proc/stat`.
fn ticks_of(stat: &str) -> Option<(u64, u64)> {
    let line = stat.lines().next()?.strip_prefix("cpu ")?;
    // user nice system idle iowait irq softirq steal; what follows is counted in user already.
    let ticks: Vec<u64> = line.split_whitespace().take(8).map(|word| word.parse().ok()).collect::<Option<_>>()?;
    Some((ticks.get(3)? + ticks.get(4)?, ticks.iter().sum()))
}

/// Writes `out/bench/<date>.json` and `out/bench/latest.json`; gives the first.
pub(crate) fn keep(root: &Path, quick: bool, machine: Machine, rows: &[Row], failures: &[String]) -> Result<PathBuf> {
    let at = OffsetDateTime::now_utc().truncate_to_second().format(&Rfc3339)?;
    // Sorts by time, and is fit for every file system.
    let name = format!("{}.json", at.replace(':', ""));
    let results = Results { at, commit: commit(root), quick, machine, rows, failures };
    let text = serde_json::to_string_pretty(&results)? + "\n";
    let folder = root.join("out/bench");
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let file = folder.join(name);
    for path in [&file, &folder.join("latest.json")] {
        let written = File::create(path).and_then(|mut file| file.write_all(text.as_bytes()));
        written.with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(file)
}

/// The commit that is checked out, marked where files differ from it.
fn commit(root: &Path) -> Option<String> {
    let output = Command::new("git").current_dir(root).args(["describe", "--always", "--dirty"]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_ticks_are_told_apart() {
        let check = |stat, expected| assert_eq!(ticks_of(stat), expected, "{stat:?}");
        check("cpu  10 1 5 100 20 2 3 4 50 60\ncpu0 1 2 3\n", Some((120, 145)));
        check("cpu  10 1\n", None);
        check("intr 1\n", None);
        check("", None);
    }
}
