//! When a value that ends is renewed, or another one made. Times are seconds since 1970.

/// The shortest lease that is taken, in seconds: it is renewed or replaced at two thirds, and each time is a login at the
/// server and some writes to the cluster.
pub const SHORTEST_LEASE: u64 = 10;

/// How long a value is given for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// When it was made, or renewed last.
    pub obtained: i64,
    /// For how many seconds from then on; 0 where it has no end.
    pub duration: u64,
    /// For how many it was given at first: each renewal asks for as many.
    pub first: u64,
    /// Whether it can be renewed.
    pub renewable: bool,
}

/// What is to be done about a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseDue {
    /// Nothing, ever.
    Never,
    /// Nothing before this moment.
    At(i64),
    /// It is to be renewed.
    Renew,
    /// Another value is to be made while this one still holds.
    Replace,
}

impl Lease {
    /// When it ends; nothing where it does not.
    pub fn end(&self) -> Option<i64> {
        (self.duration > 0).then(|| self.obtained.saturating_add_unsigned(self.duration))
    }

    /// Whether it is over.
    pub fn is_over(&self, now: i64) -> bool {
        self.end().is_some_and(|end| now >= end)
    }

    /// Whether the last renewal gave less than half of what was asked for: the server's own limit is near.
    fn nears_its_limit(&self) -> bool {
        self.duration > 0 && self.duration < self.first / 2
    }

    /// What is to be done at `now`. `is_kept`: whether the value is to stay as long as it lasts, and no other is made.
    pub fn due(&self, now: i64, is_kept: bool) -> LeaseDue {
        let Some(end) = self.end() else { return LeaseDue::Never };
        let is_over = now >= end;
        if is_kept && (is_over || !self.renewable) {
            return LeaseDue::Never;
        }
        if is_over || (self.nears_its_limit() && !is_kept) {
            return LeaseDue::Replace;
        }
        // Two thirds, and never at once: what the server renews for a moment only must not keep anybody busy.
        let moment = self.obtained.saturating_add_unsigned((self.duration - self.duration / 3).max(1));
        match (now >= moment, self.renewable) {
            (false, _) => LeaseDue::At(moment),
            (true, true) => LeaseDue::Renew,
            (true, false) => LeaseDue::Replace,
        }
    }

    /// When a renewal that failed at `now` is tried again: soon enough for several more before the end.
    pub fn retry(&self, now: i64) -> i64 {
        let left = self.end().map_or(i64::MAX, |end| end.saturating_sub(now));
        now.saturating_add((left / 6).clamp(1, 60))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_renewed_at_two_thirds_and_its_value_replaced_where_that_cannot_be() {
        let check = |(duration, first, renewable): (u64, u64, bool), after: i64, is_kept, expected| {
            let lease = Lease { obtained: 1_000, duration, first, renewable };
            assert_eq!(lease.due(1_000 + after, is_kept), expected, "{after} s after {lease:?}, kept: {is_kept}");
        };
        let renewable = (60, 60, true);
        check(renewable, 0, false, LeaseDue::At(1_040));
        check(renewable, 39, false, LeaseDue::At(1_040));
        check(renewable, 40, false, LeaseDue::Renew);
        check(renewable, 59, false, LeaseDue::Renew);
        check(renewable, 60, false, LeaseDue::Replace);
        let fixed = (60, 60, false);
        check(fixed, 39, false, LeaseDue::At(1_040));
        check(fixed, 40, false, LeaseDue::Replace);
        // Less than half of what was asked for: the server renews no further.
        let limited = (29, 60, true);
        check(limited, 0, false, LeaseDue::Replace);
        check((30, 60, true), 0, false, LeaseDue::At(1_020));
        // Who keeps a value has it renewed to the last, and then no more.
        check(renewable, 40, true, LeaseDue::Renew);
        check(limited, 0, true, LeaseDue::At(1_020));
        check(renewable, 60, true, LeaseDue::Never);
        check(fixed, 40, true, LeaseDue::Never);
        // Without an end, and with a very short one.
        check((0, 0, true), 1_000_000, false, LeaseDue::Never);
        check((1, 1, true), 0, false, LeaseDue::At(1_001));
        // The clock was set back.
        check(renewable, -500, false, LeaseDue::At(1_040));
    }

    #[test]
    fn a_renewal_that_failed_is_tried_several_times_before_the_end() {
        let check = |duration, after: i64, expected: i64| {
            let lease = Lease { obtained: 0, duration, first: duration, renewable: true };
            assert_eq!(lease.retry(after) - after, expected);
        };
        check(60, 40, 3);
        check(86_400, 57_600, 60);
        check(6, 5, 1);
        check(0, 0, 60);
    }
}
