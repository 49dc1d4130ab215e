use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};

use strongroom_failure::Failure;
use tokio::sync::Mutex;

/// Something that is asked for by one and used by all: who comes while it is being asked for shares the answer,
/// a failure too, so that a hundred reads do not wait for the same dead server one after the other.
pub struct Shared<T> {
    last: Mutex<Option<Result<T, Failure>>>,
    asked: AtomicU64,
}

impl<T> Default for Shared<T> {
    fn default() -> Self {
        Self { last: Mutex::new(None), asked: AtomicU64::new(0) }
    }
}

impl<T: Clone> Shared<T> {
    /// What is kept where it `is_good`, else what `ask` gives. A failure is never kept for those who come later.
    ///
    /// # Errors
    /// What `ask` failed with, for all who waited for it.
    pub async fn get(
        &self,
        is_good: impl Fn(&T) -> bool,
        ask: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let before = self.asked.load(Ordering::Acquire);
        let mut last = self.last.lock().await;
        match &*last {
            Some(Ok(value)) if is_good(value) => return Ok(value.clone()),
            // It was asked while this caller waited.
            Some(Err(failure)) if self.asked.load(Ordering::Acquire) != before => return Err(failure.clone()),
            _ => {}
        }
        let answer = ask.await;
        self.asked.fetch_add(1, Ordering::Release);
        *last = Some(answer.clone());
        answer
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use strongroom_failure::Class;

    use super::*;

    #[tokio::test]
    async fn those_who_wait_share_the_answer_and_later_ones_ask_again() {
        let shared = Shared::<u64>::default();
        let asked = AtomicU64::new(0);
        let fail = || async {
            asked.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(20)).await;
            Err(Failure::new(Class::Unavailable, "down"))
        };
        let all = futures_util::future::join_all((0..50).map(|_| shared.get(|_| true, fail()))).await;
        assert!(all.iter().all(Result::is_err));
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        assert_eq!(shared.get(|_| true, async { Ok(7) }).await, Ok(7));
        assert_eq!(shared.get(|_| true, fail()).await, Ok(7));
        assert_eq!(shared.get(|kept| *kept != 7, async { Ok(8) }).await, Ok(8));
        assert_eq!(asked.load(Ordering::SeqCst), 1);
    }
}
