//! Pauses of what is tried again for ever.

use std::future::Future;
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

/// Does `round` until it is aborted: again at once while that works, after a pause where it failed. `tell` hears of every
/// failure, and whether it is another one than the last.
pub(crate) async fn again_and_again<F>(round: impl Fn() -> F, tell: impl Fn(&Failure, bool))
where
    F: Future<Output = Result<(), Failure>>,
{
    let mut retry = Retry::new();
    loop {
        let Err(failure) = round().await else {
            retry.succeeded();
            continue;
        };
        let (pause, is_news) = retry.failed(&failure);
        tell(&failure, is_news);
        tokio::time::sleep(pause).await;
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

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

    #[tokio::test(start_paused = true)]
    async fn what_fails_is_done_again_after_a_pause_and_told_once() {
        let (rounds, told) = (Cell::new(0), RefCell::new(Vec::new()));
        let round = || async {
            rounds.set(rounds.get() + 1);
            match rounds.get() {
                1 | 2 | 4 => Err(Failure::new(Class::Unavailable, "down")),
                3 => Ok(()),
                _ => std::future::pending().await,
            }
        };
        let start = tokio::time::Instant::now();
        let tell = |_: &Failure, is_news| told.borrow_mut().push((start.elapsed().as_secs(), is_news));
        let ended = tokio::time::timeout(Duration::from_secs(3600), again_and_again(round, tell)).await;
        assert!(ended.is_err() && rounds.get() == 5);
        // After a success the same failure is news again.
        assert_eq!(*told.borrow(), [(0, true), (1, false), (3, true)]);
    }
}
