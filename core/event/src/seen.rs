//! What was delivered before.

use std::collections::{HashSet, VecDeque};

/// The most messages that are remembered: about 100 bytes each. Whatever is forgotten too soon costs one read.
const MOST: usize = 10_000;

/// Remembers what came within the last seconds, so that a second delivery costs nothing.
#[derive(Debug)]
pub struct Seen<T> {
    window: i64,
    known: HashSet<T>,
    order: VecDeque<(i64, T)>,
}

impl<T: Clone + Eq + std::hash::Hash> Seen<T> {
    /// Remembers for `window` seconds.
    pub fn within(window: i64) -> Self {
        Self { window, known: HashSet::new(), order: VecDeque::new() }
    }

    /// Whether `message` comes for the first time; `now` in seconds since some moment.
    pub fn is_new(&mut self, message: T, now: i64) -> bool {
        while let Some((came, _)) = self.order.front()
            && (self.order.len() >= MOST || now.saturating_sub(*came) > self.window)
        {
            if let Some((_, oldest)) = self.order.pop_front() {
                self.known.remove(&oldest);
            }
        }
        let is_new = self.known.insert(message.clone());
        if is_new {
            self.order.push_back((now, message));
        }
        is_new
    }
}
