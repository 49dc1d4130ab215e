//! Reviews at a fixed rate, whether or not those before them are answered.
//!
//! Each connection has a thread of its own, which sleeps until its next request is due: a runtime's timers tick in whole
//! milliseconds, which is as much as an answer takes. A latency counts from the moment at which the request was due, so
//! that a server that falls behind is seen to.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};

use super::webhooks::Webhooks;
use crate::client::{Answer, Connection};
use crate::process;
use crate::report::percentile;

/// Connections that one API server may have open at this rate: far more than answers that are waited for.
const CONNECTIONS: usize = 8;

/// Within this all connections have made their handshakes.
const OPENING: Duration = Duration::from_secs(1);

/// A stream of reviews.
#[derive(Debug)]
pub(crate) struct Flow {
    /// As they are sent, one after the other and from the beginning again.
    pub(crate) requests: Vec<Vec<u8>>,
    /// What each is answered with.
    pub(crate) expected: Expected,
    /// Reviews a second.
    pub(crate) rate: u32,
}

/// A right answer. One that is cheap because it is wrong is no figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    /// Allowed without a patch.
    Unchanged,
    /// Allowed with a patch.
    Changed,
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

    /// What so many of 100 reviews stayed below, in milliseconds.
    ///
    /// # Errors
    /// Where none was sent.
    pub(crate) fn percentile(&self, percent: usize) -> Result<f64> {
        percentile(&self.latencies, percent).context("no review was answered")
    }

    /// Answers a second, from the first request to the last answer.
    pub(crate) fn rate(&self) -> f64 {
        self.latencies.len() as f64 / self.time.as_secs_f64()
    }

    /// The server's processor time for one review, in microseconds.
    pub(crate) fn processor_of_one(&self) -> f64 {
        self.processor.as_secs_f64() * 1e6 / self.latencies.len().max(1) as f64
    }
}

/// Sends reviews for `time`.
///
/// # Errors
/// An answer that is not the expected one.
pub(crate) fn send(webhooks: &Webhooks, flow: &Flow, time: Duration) -> Result<Answered> {
    let count = (f64::from(flow.rate) * time.as_secs_f64()) as usize;
    let begun = Instant::now() + OPENING;
    std::thread::scope(|scope| {
        let lanes = (0..CONNECTIONS).map(|lane| {
            let numbers = (lane..count).step_by(CONNECTIONS);
            scope.spawn(move || ask(webhooks, flow, numbers, begun))
        });
        let lanes: Vec<_> = lanes.collect();
        wait_until(begun);
        let before = process::processor_time(webhooks.id())?;
        let mut latencies = Vec::with_capacity(count);
        for lane in lanes {
            latencies.extend(lane.join().map_err(|_| anyhow!("a client panicked"))??);
        }
        let time = begun.elapsed();
        let processor = process::processor_time(webhooks.id())?.saturating_sub(before);
        latencies.sort_by(f64::total_cmp);
        Ok(Answered { latencies, time, processor })
    })
}

/// Sends the requests of these numbers on one connection, each when it is due or, where the answer before it came later
/// than that, at once.
fn ask(webhooks: &Webhooks, flow: &Flow, numbers: impl Iterator<Item = usize>, begun: Instant) -> Result<Vec<f64>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let mut connection = runtime.block_on(Connection::open_tls(webhooks.address(), webhooks.connector()))?;
    ensure!(Instant::now() < begun, "the connections were not open after {OPENING:?}");
    let mut latencies = Vec::new();
    for number in numbers {
        let due = begun + Duration::from_secs_f64(number as f64 / f64::from(flow.rate));
        wait_until(due);
        let answer = runtime.block_on(connection.ask(&flow.requests[number % flow.requests.len()]))?;
        latencies.push(due.elapsed().as_secs_f64() * 1e3);
        flow.expected.check(answer)?;
    }
    Ok(latencies)
}

fn wait_until(moment: Instant) {
    std::thread::sleep(moment.saturating_duration_since(Instant::now()));
}

impl Expected {
    fn check(self, answer: Answer<'_>) -> Result<()> {
        let has = |part: &str| answer.body.windows(part.len()).any(|window| window == part.as_bytes());
        let is_right = answer.status == 200 && has("\"allowed\":true") && has("\"patch\":") == (self == Self::Changed);
        ensure!(is_right, "a review was answered with {}: {}", answer.status, String::from_utf8_lossy(answer.body));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_those_of_one_review() {
        let latencies = (1..=200).map(f64::from).collect();
        let answered = Answered { latencies, time: Duration::from_secs(2), processor: Duration::from_millis(20) };
        assert_eq!((answered.rate(), answered.processor_of_one()), (100.0, 100.0));
        assert_eq!((answered.percentile(50).unwrap(), answered.percentile(99).unwrap()), (100.0, 198.0));
        assert!(Answered::default().percentile(99).is_err());
    }

    #[test]
    fn an_answer_that_is_not_the_expected_one_is_no_figure() {
        let check = |expected: Expected, status, body: &str, is_right| {
            assert_eq!(
                expected.check(Answer { status, body: body.as_bytes() }).is_ok(),
                is_right,
                "{expected:?} {body}"
            );
        };
        let (plain, patched) = (r#"{"response":{"allowed":true}}"#, r#"{"response":{"allowed":true,"patch":"W10="}}"#);
        check(Expected::Unchanged, 200, plain, true);
        check(Expected::Unchanged, 200, patched, false);
        check(Expected::Changed, 200, patched, true);
        check(Expected::Changed, 200, plain, false);
        check(Expected::Unchanged, 500, plain, false);
        check(Expected::Changed, 200, r#"{"response":{"allowed":false,"patch":""}}"#, false);
    }
}
