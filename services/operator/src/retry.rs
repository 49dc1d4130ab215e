//! Pauses of what is tried again for ever.

use std::time::Duration;

use strongroom_failure::Failure;

/// The pause after the first failure, doubled up to the longest.
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);

/// How long to wait after a failure, and whether it is news.
#[derive(Debug)]
pub(crate) struct Retry {
    pause: Duration,
    last: Option<String>,
}

impl Retry {
    /// Nothing has failed so far.
    pub(crate) fn new() -> Self {
        Self { pause: FIRST, last: None }
    }

    /// The next failure is news again, and waits for the first pause.
    pub(crate) fn succeeded(&mut self) {
        *self = Self::new();
    }

    /// How long to wait now, and whether the failure is another one than the last.
    pub(crate) fn failed(&mut self, failure: &Failure) -> (Duration, bool) {
        let is_news = self.last.as_ref() != Some(&failure.words);
        self.last = Some(failure.words.clone());
        let pause = self.pause;
        self.pause = LONGEST.min(pause * 2);
        (pause, is_news)
    }
}

#[cfg(test)]
mod tests {
    use strongroom_failure::Class;

    use super::*;

    #[test]
    fn pauses_grow_to_the_longest_and_the_same_failure_is_no_news() {
        let down = Failure::new(Class::Unavailable, "down");
        let mut retry = Retry::new();
        assert_eq!(retry.failed(&down), (FIRST, true));
        assert_eq!(retry.failed(&down), (FIRST * 2, false));
        assert_eq!(retry.failed(&Failure::new(Class::Denied, "no")), (FIRST * 4, true));
        for _ in 0..10 {
            retry.failed(&down);
        }
        assert_eq!(retry.failed(&down), (LONGEST, false));
        retry.succeeded();
        assert_eq!(retry.failed(&down), (FIRST, true));
    }
}
