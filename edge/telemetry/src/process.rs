use std::fmt;
use std::fs;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

pub(crate) const CPU: &str = "process_cpu_seconds_total";

/// How many ticks a second has in `/proc`: the same in every Linux that userland sees.
const TICKS: f64 = 100.0;

/// What the kernel says of this process, asked whenever somebody looks. What it does not say is left out.
#[derive(Debug)]
pub(crate) struct Process;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let bytes = |name: &str| status_number(&status, name).map(|kibibytes| kibibytes * 1024.0);
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let descriptors = fs::read_dir("/proc/self/fd").ok().map(|entries| entries.count() as f64);
        let gauge = MetricType::Gauge;
        let all = [
            // Without a type for the library, which would give it another name; see `Metrics::text`.
            (CPU, "Processor time in user and kernel mode.", MetricType::Unknown, cpu_seconds(&stat)),
            ("process_resident_memory_bytes", "Resident memory.", gauge, bytes("VmRSS:")),
            ("process_virtual_memory_bytes", "Virtual memory.", gauge, bytes("VmSize:")),
            ("process_threads", "Threads.", gauge, status_number(&status, "Threads:")),
            ("process_open_fds", "Open file descriptors.", gauge, descriptors),
            ("process_max_fds", "The most file descriptors that may be open.", gauge, descriptor_limit()),
            ("process_start_time_seconds", "Start, in seconds since 1970.", gauge, start_time(&stat)),
        ];
        for (name, help, kind, value) in all {
            let Some(value) = value else { continue };
            ConstGauge::new(value).encode(encoder.encode_descriptor(name, help, None, kind)?)?;
        }
        Ok(())
    }
}

fn status_number(status: &str, name: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The field of that number in proc(5), which counts from 1; the second is the program's name in brackets and may hold
/// spaces and brackets itself.
fn stat_field(stat: &str, number: usize) -> Option<f64> {
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(number.checked_sub(3)?)?.parse().ok()
}

fn cpu_seconds(stat: &str) -> Option<f64> {
    Some((stat_field(stat, 14)? + stat_field(stat, 15)?) / TICKS)
}

fn start_time(stat: &str) -> Option<f64> {
    let system = fs::read_to_string("/proc/stat").ok()?;
    let boot: f64 = system.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    Some(boot + stat_field(stat, 22)? / TICKS)
}

fn descriptor_limit() -> Option<f64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_may_have_any_name() {
        let numbers: Vec<String> = (4..=30).map(|number| number.to_string()).collect();
        let stat = format!("1 (a) b (c) S {}", numbers.join(" "));
        assert_eq!(stat_field(&stat, 14), Some(14.0));
        assert_eq!(stat_field(&stat, 22), Some(22.0));
        assert_eq!(stat_field(&stat, 2), None);
        assert_eq!(stat_field("", 14), None);
    }
}
