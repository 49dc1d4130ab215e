//! What the kernel tells of a process that runs, and where it lets it run.

use std::time::Duration;

use anyhow::{Context, Result};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// Processor time of the process so far, of all its threads.
///
/// # Errors
/// Where there is no such process.
pub(crate) fn processor_time(id: u32) -> Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat"))?;
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let ticks: u64 =
        fields.get(11).context("stat")?.parse::<u64>()? + fields.get(12).context("stat")?.parse::<u64>()?;
    // A hundred a second on every Linux that is measured.
    Ok(Duration::from_millis(ticks * 10))
}

/// A size in `/proc/PID/status`, such as `VmRSS:`, in bytes.
///
/// # Errors
/// Where there is no such process, or no such size.
pub(crate) fn memory(id: u32, name: &str) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)).context("/proc/PID/status")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? * 1024.0)
}

/// A processor, of those that this process may run on.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Processor {
    /// For who is measured, alone.
    First,
    /// For all else that takes part.
    Second,
}

/// Does `work` on one processor: this thread, and the threads and processes that it starts, for as long as they run. On a
/// machine with one processor both are the same.
///
/// # Errors
/// Those of the kernel, and of `work`.
pub(crate) fn on_processor<T>(processor: Processor, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let myself = Pid::from_raw(0);
    let all = sched_getaffinity(myself).context("sched_getaffinity")?;
    let allowed: Vec<usize> = (0..CpuSet::count()).filter(|number| all.is_set(*number) == Ok(true)).collect();
    let chosen = match processor {
        Processor::First => allowed.first(),
        Processor::Second => allowed.get(1).or(allowed.first()),
    };
    let mut one = CpuSet::new();
    one.set(*chosen.context("there is no processor")?)?;
    sched_setaffinity(myself, &one).context("sched_setaffinity")?;
    let done = work();
    sched_setaffinity(myself, &all).context("sched_setaffinity")?;
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_has_one_processor_and_its_thread_all_of_them_again() {
        let allowed = || sched_getaffinity(Pid::from_raw(0)).unwrap();
        let count = |set: CpuSet| (0..CpuSet::count()).filter(|number| set.is_set(*number).unwrap()).count();
        let before = count(allowed());
        let during = on_processor(Processor::Second, || Ok(count(allowed()))).unwrap();
        assert_eq!((during, count(allowed())), (1, before));
    }
}
