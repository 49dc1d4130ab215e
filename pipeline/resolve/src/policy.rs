use std::time::Duration;

use strongroom_failure::Class;

use crate::cache::CacheSettings;

/// A store that asks for more is asked again all the same; the sum of a clock and a hostile number must not overflow.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(3600);

/// When to ask again, and what may be kept: the one policy for every store (the stores' own retries are off).
#[derive(Clone, Debug)]
pub struct Policy {
    /// The most times that one key is asked for.
    pub attempts: u32,
    /// The longest pause before the second attempt; each further one doubles it.
    pub first_pause: Duration,
    /// The longest pause that we choose ourselves; a store's `Retry-After` may be longer.
    pub longest_pause: Duration,
    /// The longest that one call may take, whatever the store's client says.
    pub call_limit: Duration,
    /// Values that may be answered without asking; none are kept when absent.
    pub cache: Option<CacheSettings>,
}

impl Default for Policy {
    /// Five attempts over about six seconds, which outlasts a leader election of a store; no cache.
    fn default() -> Self {
        Self {
            attempts: 5,
            first_pause: Duration::from_millis(200),
            longest_pause: Duration::from_secs(5),
            call_limit: Duration::from_secs(15),
            cache: None,
        }
    }
}

impl Policy {
    /// How long to wait before asking again after `attempts` failed ones, or `None` to give up.
    ///
    /// `chance` in 0..1 spreads clients that failed together ("full jitter", with a floor of half the pause so that a
    /// retry is never immediate). A store's `Retry-After` is a lower bound.
    pub fn pause(&self, class: Class, attempts: u32, chance: f64) -> Option<Duration> {
        if !class.can_retry() || attempts >= self.attempts {
            return None;
        }
        let doubled = self.first_pause.saturating_mul(1 << attempts.saturating_sub(1).min(16));
        let own = doubled.min(self.longest_pause).mul_f64(0.5 + chance / 2.0);
        match class {
            Class::Throttled { retry_after: Some(asked) } => Some(own.max(asked.min(LONGEST_RETRY_AFTER))),
            _ => Some(own),
        }
    }

    /// How long a store that throttles is left alone, also when the key at hand is given up.
    pub(crate) fn patience(pause: Option<Duration>, retry_after: Option<Duration>) -> Option<Duration> {
        pause.or(retry_after.map(|asked| asked.min(LONGEST_RETRY_AFTER)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_are_bounded_and_honour_retry_after() {
        let policy = Policy::default();
        let check = |class, attempts, expected: Option<u64>| {
            assert_eq!(policy.pause(class, attempts, 1.0).map(|pause| pause.as_millis()), expected.map(u128::from));
        };
        check(Class::Unavailable, 1, Some(200));
        check(Class::Unavailable, 2, Some(400));
        check(Class::Unavailable, 4, Some(1600));
        check(Class::Unavailable, 5, None);
        check(Class::NotFound, 1, None);
        check(Class::Denied, 1, None);
        check(Class::Throttled { retry_after: None }, 1, Some(200));
        check(Class::Throttled { retry_after: Some(Duration::from_secs(7)) }, 1, Some(7000));
        check(Class::Throttled { retry_after: Some(Duration::MAX) }, 1, Some(3_600_000));
        assert_eq!(policy.pause(Class::Unavailable, 1, 0.0), Some(Duration::from_millis(100)));
    }
}
