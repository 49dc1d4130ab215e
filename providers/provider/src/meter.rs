use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// How a call to a store ended, as a metric tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// The store answered; single keys may still have failed.
    Answered,
    /// The whole call failed.
    Failed,
    /// A batch operation was denied and single reads take its place (remembered for 10 minutes).
    BatchDenied,
}

/// Counts calls to stores by operation and outcome; shared by the providers of one program.
///
/// Labels are operations, never keys: the number of series stays small.
#[derive(Debug, Default)]
pub struct Meter(Mutex<BTreeMap<(&'static str, Outcome), u64>>);

impl Meter {
    /// Counts one call.
    pub fn record(&self, operation: &'static str, outcome: Outcome) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry((operation, outcome)).or_default() += 1;
    }

    /// What was counted so far, in order of operation.
    pub fn counts(&self) -> Vec<(&'static str, Outcome, u64)> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.iter().map(|(&(operation, outcome), &count)| (operation, outcome, count)).collect()
    }
}
