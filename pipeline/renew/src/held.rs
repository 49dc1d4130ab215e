use std::time::Duration;

use strongroom_secret::{Lease, RemoteValue, SecretBytes};
use tokio::time::Instant;

/// A value that is lent, until when, and when to see to it. Pure: the caller brings the time and the chance in 0..1.
#[derive(Debug)]
pub(crate) struct Held {
    value: SecretBytes,
    lease: Lease,
    /// The longest that it was lent for at once.
    longest: Duration,
    /// When it should be renewed, or replaced where it cannot be.
    touch: Instant,
    end: Instant,
}

/// What a key needs in a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    Nothing,
    Renewal,
    Reading,
}

impl Held {
    /// What was read by a round that began at `asked`; nothing where it is not lent, or has no end.
    pub(crate) fn new(read: &RemoteValue, asked: Instant, chance: f64) -> Option<Self> {
        let lease = read.lease.clone().filter(|lease| !lease.duration.is_zero())?;
        let (longest, end) = (lease.duration, asked + lease.duration);
        Some(Self { value: read.value.clone(), longest, touch: touch(asked, lease.duration, chance), end, lease })
    }

    pub(crate) fn need(&self, now: Instant) -> Need {
        match now {
            now if now >= self.end => Need::Reading,
            now if now < self.touch => Need::Nothing,
            _ if self.lease.is_renewable => Need::Renewal,
            _ => Need::Reading,
        }
    }

    pub(crate) fn lease(&self) -> &Lease {
        &self.lease
    }

    pub(crate) fn touch(&self) -> Instant {
        self.touch
    }

    /// Whether its store still lends it.
    pub(crate) fn is_good(&self, now: Instant) -> bool {
        now < self.end
    }

    /// The value while it is good.
    pub(crate) fn value(&self, now: Instant) -> Option<RemoteValue> {
        self.is_good(now).then(|| RemoteValue::new(self.value.clone(), None))
    }

    /// It was renewed by a call that began at `asked`; whether that will do. A lease that gets less than half of what it
    /// got once nears the most that its store gives: it is replaced while the one before still lives.
    pub(crate) fn renewed(&mut self, lease: Lease, asked: Instant, chance: f64) -> bool {
        let is_enough = lease.duration >= self.longest / 2;
        self.longest = self.longest.max(lease.duration);
        self.end = asked + lease.duration;
        self.touch = if is_enough { touch(asked, lease.duration, chance) } else { asked };
        self.lease = Lease { is_renewable: lease.is_renewable && is_enough, ..lease };
        is_enough
    }

    /// Sees to it in the next round, where that costs nobody a new value.
    pub(crate) fn hasten(&mut self, now: Instant) {
        if self.lease.is_renewable {
            self.touch = self.touch.min(now);
        }
    }
}

/// When two thirds of its life are over, a little earlier by chance.
fn touch(asked: Instant, duration: Duration, chance: f64) -> Instant {
    asked + duration.mul_f64(2.0 / 3.0 - chance / 15.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(seconds: u64, is_renewable: bool) -> Lease {
        Lease { id: "a/1".to_owned(), login: 1, duration: Duration::from_secs(seconds), is_renewable }
    }

    fn held(lease: Lease, asked: Instant) -> Option<Held> {
        let value = RemoteValue::new(SecretBytes::from("canary".to_owned()), Some("1".to_owned()));
        Held::new(&RemoteValue { lease: Some(lease), ..value }, asked, 0.0)
    }

    #[tokio::test]
    async fn a_lease_is_seen_to_when_two_thirds_are_over() {
        let asked = Instant::now();
        let check = |is_renewable: bool, seconds: f64, expected: Need, is_good: bool| {
            let held = held(lease(60, is_renewable), asked).unwrap();
            let now = asked + Duration::from_secs_f64(seconds);
            assert_eq!((held.need(now), held.value(now).is_some()), (expected, is_good), "{is_renewable} {seconds}");
        };
        check(true, 39.9, Need::Nothing, true);
        check(true, 40.1, Need::Renewal, true);
        check(false, 39.9, Need::Nothing, true);
        check(false, 40.1, Need::Reading, true);
        check(true, 60.0, Need::Reading, false);
        assert!(held(lease(0, true), asked).is_none(), "without an end there is nothing to see to");
        let early = touch(asked, Duration::from_secs(60), 1.0) - asked;
        assert!((early.as_secs_f64() - 36.0).abs() < 0.001);
    }

    #[tokio::test]
    async fn a_renewal_that_gives_little_is_not_enough() {
        let asked = Instant::now();
        let check = |seconds: u64, is_enough: bool, later: Need| {
            let mut held = held(lease(60, true), asked).unwrap();
            let again = asked + Duration::from_secs(40);
            assert_eq!(held.renewed(lease(seconds, true), again, 0.0), is_enough, "{seconds}");
            assert_eq!(held.need(again + Duration::from_secs(1)), later, "{seconds}");
            assert!(held.value(again + Duration::from_secs(1)).is_some());
        };
        check(60, true, Need::Nothing);
        check(30, true, Need::Nothing);
        check(29, false, Need::Reading);
    }

    #[tokio::test]
    async fn only_what_can_be_renewed_is_hastened_and_nothing_is_shown() {
        let asked = Instant::now();
        for (is_renewable, expected) in [(true, Need::Renewal), (false, Need::Nothing)] {
            let mut held = held(lease(60, is_renewable), asked).unwrap();
            held.hasten(asked);
            assert_eq!(held.need(asked), expected);
            assert!(!format!("{held:?}").contains("canary"));
        }
    }
}
