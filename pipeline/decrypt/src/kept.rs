use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use strongroom_secret::SecretBytes;
use tokio::time::Instant;

/// Fresh keys of texts, each for a while, the oldest out first and wiped.
#[derive(Debug)]
pub(crate) struct Kept {
    keys: HashMap<[u8; 32], (SecretBytes, Instant)>,
    /// In the order in which they came, which is that of their ends.
    order: VecDeque<[u8; 32]>,
    capacity: usize,
    lifetime: Duration,
}

impl Kept {
    pub(crate) fn new(capacity: usize, lifetime: Duration) -> Self {
        Self { keys: HashMap::new(), order: VecDeque::new(), capacity, lifetime }
    }

    pub(crate) fn get(&mut self, fingerprint: &[u8; 32], now: Instant) -> Option<SecretBytes> {
        self.tidy(now);
        self.keys.get(fingerprint).map(|(key, _)| key.clone())
    }

    pub(crate) fn put(&mut self, fingerprint: [u8; 32], key: SecretBytes, now: Instant) {
        self.tidy(now);
        // One that is there keeps its time.
        if self.capacity == 0 || self.keys.contains_key(&fingerprint) {
            return;
        }
        while self.order.len() >= self.capacity {
            self.drop_oldest();
        }
        self.keys.insert(fingerprint, (key, now));
        self.order.push_back(fingerprint);
    }

    /// Wipes those whose time is over.
    pub(crate) fn tidy(&mut self, now: Instant) {
        let lifetime = self.lifetime;
        let is_over = |(_, since): &(SecretBytes, Instant)| now.saturating_duration_since(*since) >= lifetime;
        while self.order.front().and_then(|oldest| self.keys.get(oldest)).is_some_and(is_over) {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some(oldest) = self.order.pop_front() {
            self.keys.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn keys_are_kept_for_a_while_and_only_so_many() {
        let key = |byte| SecretBytes::new(vec![byte]);
        let mut kept = Kept::new(2, Duration::from_secs(60));
        let start = Instant::now();
        for byte in 1..=3 {
            kept.put([byte; 32], key(byte), start + Duration::from_secs(byte.into()));
        }
        let check = |kept: &mut Kept, byte: u8, after: u64, expected: bool| {
            let got = kept.get(&[byte; 32], start + Duration::from_secs(after));
            assert_eq!(got.map(|key| key.expose().to_vec()), expected.then(|| vec![byte]), "{byte} after {after} s");
        };
        check(&mut kept, 1, 3, false);
        check(&mut kept, 2, 61, true);
        check(&mut kept, 2, 62, false);
        check(&mut kept, 3, 62, true);
        // What is asked for, or put again, is not kept for longer.
        kept.put([3; 32], key(3), start + Duration::from_secs(62));
        check(&mut kept, 3, 63, false);
        assert_eq!((kept.keys.len(), kept.order.len()), (0, 0));
        kept.put([4; 32], key(4), start + Duration::from_secs(100));
        kept.tidy(start + Duration::from_secs(159));
        assert_eq!((kept.keys.len(), kept.order.len()), (1, 1));
        kept.tidy(start + Duration::from_secs(160));
        assert_eq!((kept.keys.len(), kept.order.len()), (0, 0));
        let mut none = Kept::new(0, Duration::from_secs(60));
        none.put([1; 32], key(1), start);
        check(&mut none, 1, 0, false);
    }
}
