//! How often one account may decrypt.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use strongroom_kamus::Identity;
use tokio::time::Instant;

/// Accounts that are remembered: one that is forgotten begins with a full bucket, which costs little.
const ACCOUNTS: usize = 10_000;

/// A bucket of tokens for each account.
pub(crate) struct Rates {
    /// Decryptions a second in the long run; 0 for any number.
    rate: f64,
    /// Decryptions at once after a pause.
    burst: f64,
    buckets: Mutex<HashMap<Identity, (f64, Instant)>>,
}

impl Rates {
    pub(crate) fn new(rate: f64, burst: f64) -> Self {
        Self { rate, burst: burst.max(1.0), buckets: Mutex::default() }
    }

    /// Takes a token, or says how long there is none.
    pub(crate) fn take(&self, identity: &Identity, now: Instant) -> Result<(), Duration> {
        if self.rate <= 0.0 {
            return Ok(());
        }
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= ACCOUNTS && !buckets.contains_key(identity) {
            let full = |(tokens, since): &(f64, Instant)| self.filled(*tokens, *since, now) >= self.burst;
            buckets.retain(|_, bucket| !full(bucket));
            if buckets.len() >= ACCOUNTS {
                buckets.clear();
            }
        }
        let (tokens, since) = buckets.entry(identity.clone()).or_insert((self.burst, now));
        let filled = self.filled(*tokens, *since, now);
        *since = now;
        if filled < 1.0 {
            *tokens = filled;
            return Err(Duration::from_secs_f64((1.0 - filled) / self.rate));
        }
        *tokens = filled - 1.0;
        Ok(())
    }

    fn filled(&self, tokens: f64, since: Instant, now: Instant) -> f64 {
        (tokens + now.saturating_duration_since(since).as_secs_f64() * self.rate).min(self.burst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_account_has_a_bucket_of_its_own_that_fills_again() {
        let rates = Rates::new(10.0, 3.0);
        let identity = |name: &str| Identity::new("team-a", name).unwrap();
        let start = Instant::now();
        let check = |name: &str, after: u64, expected: Result<(), u64>| {
            let taken = rates.take(&identity(name), start + Duration::from_millis(after));
            assert_eq!(
                taken.map_err(|pause| pause.as_millis().try_into().unwrap()),
                expected,
                "{name} after {after} ms"
            );
        };
        for _ in 0..3 {
            check("web", 0, Ok(()));
        }
        check("web", 0, Err(100));
        check("other", 0, Ok(()));
        check("web", 50, Err(50));
        check("web", 100, Ok(()));
        check("web", 100, Err(100));
        for _ in 0..3 {
            check("web", 10_000, Ok(()));
        }
        check("web", 10_000, Err(100));
        assert_eq!(Rates::new(0.0, 0.0).take(&identity("web"), start), Ok(()));
    }
}
