//! Requests on many connections at once, each of which waits for its answer before it asks again.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::store::Store;
use crate::client::Connection;
use crate::process;
use crate::report::percentile;

/// Each measurement is taken in this many parts, between which others have their turn.
const ROUNDS: u32 = 2;

/// Requests of which any may come next.
#[derive(Debug)]
pub(crate) struct Work {
    /// As they are sent.
    pub(crate) requests: Vec<Vec<u8>>,
    /// The least bytes of a right answer's body: an answer without the value is none.
    pub(crate) least_bytes: usize,
}

/// What was measured.
#[derive(Clone, Debug, Default)]
pub(crate) struct Measured {
    /// From each request's first byte to its answer's last, in milliseconds, the shortest first.
    latencies: Vec<f64>,
    time: Duration,
    processor: Duration,
}

impl Measured {
    /// Requests a second.
    pub(crate) fn rate(&self) -> f64 {
        self.latencies.len() as f64 / self.time.as_secs_f64()
    }

    /// What 99 of 100 requests stayed below, in milliseconds.
    pub(crate) fn p99(&self) -> f64 {
        percentile(&self.latencies, 99).unwrap_or(f64::NAN)
    }

    /// The server's processor time for 10,000 requests, in milliseconds.
    pub(crate) fn processor(&self) -> f64 {
        self.processor.as_secs_f64() * 1e3 * 10_000.0 / self.latencies.len().max(1) as f64
    }
}

/// Has each store in turn do its work, for `time` in all, and gives what was measured of each.
///
/// # Errors
/// An answer that is not the one that was asked for.
pub(crate) async fn race(lanes: &[(&Store, &Arc<Work>)], connections: usize, time: Duration) -> Result<Vec<Measured>> {
    let mut all = vec![Measured::default(); lanes.len()];
    let part = time / ROUNDS;
    for _ in 0..ROUNDS {
        for ((store, work), measured) in lanes.iter().zip(&mut all) {
            // What the others displaced comes back.
            drive(store.address(), work, connections, part / 5).await?;
            let before = process::processor_time(store.id())?;
            let (latencies, took) = drive(store.address(), work, connections, part).await?;
            measured.processor += process::processor_time(store.id())?.saturating_sub(before);
            measured.latencies.extend(latencies);
            measured.time += took;
        }
    }
    all.iter_mut().for_each(|measured| measured.latencies.sort_by(f64::total_cmp));
    Ok(all)
}

/// Asks for `time`; the latencies in milliseconds, and how long it took to the last answer.
async fn drive(
    address: SocketAddr,
    work: &Arc<Work>,
    connections: usize,
    time: Duration,
) -> Result<(Vec<f64>, Duration)> {
    let mut opened = Vec::with_capacity(connections);
    for _ in 0..connections {
        opened.push(Connection::open(address).await?);
    }
    let begun = Instant::now();
    let asking = opened
        .into_iter()
        .enumerate()
        .map(|(number, connection)| tokio::spawn(ask_until(begun + time, connection, Arc::clone(work), number as u64)));
    let asking: Vec<_> = asking.collect();
    let mut latencies = Vec::new();
    for asked in asking {
        latencies.extend(asked.await??);
    }
    Ok((latencies, begun.elapsed()))
}

async fn ask_until(end: Instant, mut connection: Connection, work: Arc<Work>, seed: u64) -> Result<Vec<f64>> {
    let mut latencies = Vec::new();
    let mut state = seed;
    let mut now = Instant::now();
    while now < end {
        let request = &work.requests[random(&mut state) % work.requests.len()];
        let answer = connection.ask(request).await?;
        let (status, length) = (answer.status, answer.body.len());
        ensure!(status == 200 && length >= work.least_bytes, "an answer was {status}, with {length} bytes");
        let after = Instant::now();
        latencies.push((after - now).as_secs_f64() * 1e3);
        now = after;
    }
    Ok(latencies)
}

/// Sends the requests that `make` makes of each number below `count`, those of one number one after the other.
///
/// # Errors
/// An answer that is no success.
pub(crate) async fn send_all(
    address: SocketAddr,
    connections: usize,
    count: usize,
    make: impl Fn(usize) -> Vec<Vec<u8>> + Send + Sync + 'static,
) -> Result<()> {
    let (make, next) = (Arc::new(make), Arc::new(AtomicUsize::new(0)));
    let sending = (0..connections).map(|_| {
        let (make, next) = (Arc::clone(&make), Arc::clone(&next));
        tokio::spawn(async move {
            let mut connection = Connection::open(address).await?;
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    return anyhow::Ok(());
                }
                for request in make(number) {
                    let answer = connection.ask(&request).await?;
                    ensure!(matches!(answer.status, 200 | 204), "a write was answered with {}", answer.status);
                }
            }
        })
    });
    let sending: Vec<_> = sending.collect();
    for sent in sending {
        sent.await??;
    }
    Ok(())
}

/// The next of numbers that look random: the same ones in every run. Knuth's constants.
fn random(state: &mut u64) -> usize {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    usize::try_from(*state >> 33).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_and_rates_are_those_of_all_parts() {
        let latencies: Vec<f64> = (1..=200).map(f64::from).collect();
        let (time, processor) = (Duration::from_secs(2), Duration::from_secs(1));
        let measured = Measured { latencies, time, processor };
        assert_eq!((measured.rate(), measured.p99(), measured.processor()), (100.0, 198.0, 50_000.0));
        assert!(Measured::default().p99().is_nan());
    }

    #[test]
    fn every_request_comes_up() {
        let mut state = 3;
        let mut seen = [0; 100];
        (0..10_000).for_each(|_| seen[random(&mut state) % 100] += 1);
        assert!(seen.iter().all(|count| (50..200).contains(count)), "{seen:?}");
    }
}
