use std::time::Duration;

use strongroom_provider::Limits;
use tokio::time::Instant;

/// A token bucket: at most `burst` calls at once after a pause, `rate` a second in the long run.
#[derive(Debug)]
pub(crate) struct Bucket {
    tokens: f64,
    burst: f64,
    rate: f64,
    filled: Instant,
}

impl Bucket {
    pub(crate) fn full(limits: Limits, now: Instant) -> Self {
        let burst = limits.burst.max(1) as f64;
        // A rate of nothing would never let a call through again: a provider that says 0 means "one a second".
        Self { tokens: burst, burst, rate: if limits.rate > 0.0 { limits.rate } else { 1.0 }, filled: now }
    }

    /// Takes one token, or says how long until there is one.
    pub(crate) fn take(&mut self, now: Instant) -> Result<(), Duration> {
        let passed = now.saturating_duration_since(self.filled).as_secs_f64();
        self.tokens = (self.tokens + passed * self.rate).min(self.burst);
        self.filled = now;
        if self.tokens >= 1.0 {
            self.tokens -= 1.0;
            return Ok(());
        }
        // Rounded up to a millisecond: the clock's own step, so that the waiter does not come back too early for ever.
        Err(Duration::from_secs_f64((1.0 - self.tokens) / self.rate) + Duration::from_millis(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_its_burst_then_its_rate() {
        let start = Instant::now();
        let mut bucket = Bucket::full(Limits { concurrency: 1, rate: 10.0, burst: 2 }, start);
        assert!(bucket.take(start).is_ok());
        assert!(bucket.take(start).is_ok());
        let wait = bucket.take(start).expect_err("the burst is spent");
        assert!(wait >= Duration::from_millis(100) && wait < Duration::from_millis(110), "{wait:?}");
        assert!(bucket.take(start + wait).is_ok());
        assert!(bucket.take(start + wait).is_err());
    }
}
