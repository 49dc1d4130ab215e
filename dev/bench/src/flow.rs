//! Requests by TLS at a fixed rate, whether or not those before them are answered.
//!
//! Each connection has a thread of its own, which sleeps until its next request is due: a runtime's timers tick in whole
//! milliseconds, which is as much as an answer takes. A latency counts from the moment at which the request was due, so
//! that a server that falls behind is seen to.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use tokio_rustls::TlsConnector;

use crate::client::{Answer, Connection};
use crate::process;
use crate::report::percentile;

/// Connections that are kept: far more than answers that are waited for.
const CONNECTIONS: usize = 8;

/// Within this all connections have made their handshakes.
const OPENING: Duration = Duration::from_secs(1);

/// Who answers.
#[derive(Clone, Copy)]
pub(crate) struct Served<'a> {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// What trusts its certificate.
    pub(crate) connector: &'a TlsConnector,
    /// The process.
    pub(crate) process: u32,
}

/// A stream of requests.
#[derive(Debug)]
pub(crate) struct Flow {
    /// As they are sent, one after the other and from the beginning again.
    pub(crate) requests: Vec<Vec<u8>>,
    /// Whether an answer is right. One that is cheap because it is wrong is no figure.
    pub(crate) is_right: fn(Answer<'_>) -> bool,
    /// Requests a second.
    pub(crate) rate: u32,
}

/// What was measured.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answered {
    /// In milliseconds, the shortest first.
    latencies: Vec<f64>,
    time: Duration,
    processor: Duration,
}

impl Answered {
    /// All latencies in milliseconds, the shortest first.
    pub(crate) fn latencies(&self) -> Vec<f64> {
        self.latencies.clone()
    }

    /// What so many of 100 requests stayed below, in milliseconds.
    ///
    /// # Errors
    /// Where none was sent.
    pub(crate) fn percentile(&self, percent: usize) -> Result<f64> {
        percentile(&self.latencies, percent).context("no request was answered")
    }

    /// Answers a second, from the first request to the last answer.
    pub(crate) fn rate(&self) -> f64 {
        self.latencies.len() as f64 / self.time.as_secs_f64()
    }

    /// The server's processor time for one request, in microseconds.
    pub(crate) fn processor_of_one(&self) -> f64 {
        self.processor.as_secs_f64() * 1e6 / self.latencies.len().max(1) as f64
    }
}

/// Sends requests for `time`, after a fifth of it that does not count.
///
/// # Errors
/// As [`send`].
pub(crate) fn steady(served: Served<'_>, flow: &Flow, time: Duration) -> Result<Answered> {
    send(served, flow, time / 5)?;
    send(served, flow, time)
}

/// Sends requests for `time`.
///
/// # Errors
/// An answer that is not right.
pub(crate) fn send(served: Served<'_>, flow: &Flow, time: Duration) -> Result<Answered> {
    let count = (f64::from(flow.rate) * time.as_secs_f64()) as usize;
    let begun = Instant::now() + OPENING;
    std::thread::scope(|scope| {
        let lanes = (0..CONNECTIONS).map(|lane| {
            let numbers = (lane..count).step_by(CONNECTIONS);
            scope.spawn(move || ask(served, flow, numbers, begun))
        });
        let lanes: Vec<_> = lanes.collect();
        wait_until(begun);
        let before = process::processor_time(served.process)?;
        let mut latencies = Vec::with_capacity(count);
        for lane in lanes {
            latencies.extend(lane.join().map_err(|_| anyhow!("a client panicked"))??);
        }
        let time = begun.elapsed();
        let processor = process::processor_time(served.process)?.saturating_sub(before);
        latencies.sort_by(f64::total_cmp);
        Ok(Answered { latencies, time, processor })
    })
}

/// Sends the requests of these numbers on one connection, each when it is due or, where the answer before it came later
/// than that, at once.
fn ask(served: Served<'_>, flow: &Flow, numbers: impl Iterator<Item = usize>, begun: Instant) -> Result<Vec<f64>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let mut connection = runtime.block_on(Connection::open_tls(served.address, served.connector))?;
    ensure!(Instant::now() < begun, "the connections were not open after {OPENING:?}");
    let mut latencies = Vec::new();
    for number in numbers {
        let due = begun + Duration::from_secs_f64(number as f64 / f64::from(flow.rate));
        wait_until(due);
        let answer = runtime.block_on(connection.ask(&flow.requests[number % flow.requests.len()]))?;
        latencies.push(due.elapsed().as_secs_f64() * 1e3);
        // What succeeded holds values.
        let told = if answer.status == 200 { "".into() } else { String::from_utf8_lossy(answer.body) };
        ensure!((flow.is_right)(answer), "a request was answered with {}: {told}", answer.status);
    }
    Ok(latencies)
}

fn wait_until(moment: Instant) {
    std::thread::sleep(moment.saturating_duration_since(Instant::now()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_those_of_one_request() {
        let latencies = (1..=200).map(f64::from).collect();
        let answered = Answered { latencies, time: Duration::from_secs(2), processor: Duration::from_millis(20) };
        assert_eq!((answered.rate(), answered.processor_of_one()), (100.0, 100.0));
        assert_eq!((answered.percentile(50).unwrap(), answered.percentile(99).unwrap()), (100.0, 198.0));
        assert!(Answered::default().percentile(99).is_err());
    }
}
