use std::time::{Duration, Instant};

use super::complain;

/// How often whoever waits is told something.
const PAUSE: Duration = Duration::from_secs(3);

/// How far long work is, on standard error.
pub(super) struct Progress {
    what: &'static str,
    total: usize,
    done: usize,
    told: Instant,
}

impl Progress {
    pub(super) fn of(total: usize, what: &'static str) -> Self {
        Self { what, total, done: 0, told: Instant::now() }
    }

    /// One more is done; `failed` texts so far are as they were.
    pub(super) fn step(&mut self, failed: usize) {
        self.done += 1;
        if self.told.elapsed() >= PAUSE && self.done < self.total {
            self.told = Instant::now();
            let failed = if failed > 0 { format!("; {failed} texts stay as they are") } else { String::new() };
            complain(&format!("{} of {} {}{failed}\n", self.done, self.total, self.what));
        }
    }
}
