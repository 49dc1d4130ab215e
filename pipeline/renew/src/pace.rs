use std::time::Duration;

use tokio::time::Instant;

/// How often references are read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Between two rounds that went well; each is spread by a tenth to both sides, so that a fleet that started
    /// together does not ask together.
    pub refresh: Duration,
    /// The longest pause after the first failed round; each further one doubles it. Also the shortest between two
    /// rounds that only a lease asks for.
    pub first_pause: Duration,
    /// The longest pause after failed rounds; `refresh` where that is shorter.
    pub longest_pause: Duration,
}

impl Default for Pace {
    /// Every five minutes; after failures from one second to a minute.
    fn default() -> Self {
        Self {
            refresh: Duration::from_secs(300),
            first_pause: Duration::from_secs(1),
            longest_pause: Duration::from_secs(60),
        }
    }
}

/// When the next round is due. Pure: the caller brings the time and the chance in 0..1.
#[derive(Debug)]
pub(crate) struct Rounds {
    pace: Pace,
    failed: u32,
    due: Instant,
}

impl Rounds {
    pub(crate) fn begin(pace: Pace, now: Instant) -> Self {
        Self { pace, failed: 0, due: now }
    }

    pub(crate) fn due(&self) -> Instant {
        self.due
    }

    pub(crate) fn hasten(&mut self, now: Instant) {
        self.due = self.due.min(now);
    }

    /// After a round that ended `now`, with the moments at which leases want to be renewed.
    pub(crate) fn end(&mut self, now: Instant, is_failed: bool, leases: impl Iterator<Item = Instant>, chance: f64) {
        self.failed = if is_failed { self.failed.saturating_add(1) } else { 0 };
        let pause = if is_failed { self.pause(chance) } else { self.pace.refresh.mul_f64(0.9 + chance / 5.0) };
        // A lease that could not be renewed is tried again after the pause, like everything else that failed.
        let soonest = leases.filter(|at| !is_failed || *at > now).min();
        let earliest = now + self.pace.first_pause.min(pause);
        self.due = soonest.map_or(now + pause, |at| at.max(earliest).min(now + pause));
    }

    fn pause(&self, chance: f64) -> Duration {
        let doubled = self.pace.first_pause.saturating_mul(1 << self.failed.saturating_sub(1).min(16));
        doubled.min(self.pace.longest_pause).min(self.pace.refresh).mul_f64(0.5 + chance / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(rounds: &mut Rounds, is_failed: bool, leases: &[f64], chance: f64) -> f64 {
        let now = rounds.due();
        let leases = leases.iter().map(|seconds| match *seconds {
            past if past < 0.0 => now - Duration::from_secs_f64(-past),
            seconds => now + Duration::from_secs_f64(seconds),
        });
        rounds.end(now, is_failed, leases, chance);
        (rounds.due() - now).as_secs_f64()
    }

    #[tokio::test(start_paused = true)]
    async fn good_rounds_are_spread_and_come_earlier_for_leases() {
        tokio::time::advance(Duration::from_secs(100)).await;
        let mut check = {
            let mut rounds = Rounds::begin(Pace::default(), Instant::now());
            move |leases: &[f64], chance: f64, expected: f64| {
                let due = after(&mut rounds, false, leases, chance);
                assert!((due - expected).abs() < 0.001, "{leases:?} {chance}: {due}");
            }
        };
        check(&[], 0.0, 270.0);
        check(&[], 0.5, 300.0);
        check(&[], 1.0, 330.0);
        check(&[400.0, 600.0], 0.5, 300.0);
        check(&[400.0, 40.0], 0.5, 40.0);
        check(&[0.1], 0.5, 1.0);
        check(&[-5.0], 0.5, 1.0);
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_after_failed_rounds_double_up_to_their_bound() {
        tokio::time::advance(Duration::from_secs(100)).await;
        let check = |pace: Pace, expected: &[f64]| {
            let mut rounds = Rounds::begin(pace, Instant::now());
            let pauses: Vec<f64> = expected.iter().map(|_| after(&mut rounds, true, &[-5.0], 1.0)).collect();
            assert_eq!(pauses, expected, "{pace:?}");
            let good = after(&mut rounds, false, &[], 0.5);
            assert!((good - pace.refresh.as_secs_f64()).abs() < 0.001);
            assert!((after(&mut rounds, true, &[], 0.0) - expected[0] / 2.0).abs() < 0.001, "half of it at least");
        };
        check(Pace::default(), &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]);
        check(Pace { refresh: Duration::from_secs(5), ..Pace::default() }, &[1.0, 2.0, 4.0, 5.0, 5.0]);
        let mut rounds = Rounds::begin(Pace { refresh: Duration::from_secs(3600), ..Pace::default() }, Instant::now());
        let last = (0..100).map(|_| after(&mut rounds, true, &[], 1.0)).last();
        assert_eq!(last, Some(60.0));
        assert!((after(&mut rounds, true, &[7.0], 1.0) - 7.0).abs() < 0.001, "a lease that was not tried yet");
    }
}
