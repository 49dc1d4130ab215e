//! What the kernel tells of a process that runs.

use std::time::Duration;

use anyhow::{Context, Result};

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
