use std::time::Duration;

/// How long a failing key waits before it is tried again.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    /// After the first failure; each further one doubles it.
    pub first: Duration,
    /// The longest.
    pub longest: Duration,
}

impl Default for Backoff {
    /// 1 s to 7 min, as External Secrets Operator waits.
    fn default() -> Self {
        Self { first: Duration::from_secs(1), longest: Duration::from_secs(7 * 60) }
    }
}

impl Backoff {
    /// The pause after `failures` failures in a row, from three quarters of the doubled pause to all of it by `chance`
    /// in 0..1, so that what failed together does not come back together.
    pub fn pause(&self, failures: u32, chance: f64) -> Duration {
        let doubled = self.first.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(self.longest);
        doubled.mul_f64(0.75 + chance.clamp(0.0, 1.0) / 4.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let check = |failures, chance, expected: u64| {
            assert_eq!(Backoff::default().pause(failures, chance), Duration::from_millis(expected));
        };
        check(1, 1.0, 1_000);
        check(2, 1.0, 2_000);
        check(4, 0.0, 6_000);
        check(9, 1.0, 256_000);
        check(10, 1.0, 420_000);
        check(4_000_000, 1.0, 420_000);
    }
}
