use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use strongroom_secret::SecretBytes;
use tokio::time::Instant;

/// Fresh keys of texts, each for a while, the oldest out first.
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

    pub(crate) fn get(&self, fingerprint: &[u8; 32], now: Instant) -> Option<SecretBytes> {
        let (key, since) = self.keys.get(fingerprint)?;
        (now.saturating_duration_since(*since) < self.lifetime).then(|| key.clone())
    }

    pub(crate) fn put(&mut self, fingerprint: [u8; 32], key: SecretBytes, now: Instant) {
        while let Some(oldest) = self.order.front() {
            let is_over = |(_, since): &(SecretBytes, Instant)| now.saturating_duration_since(*since) >= self.lifetime;
            if self.order.len() < self.capacity && !self.keys.get(oldest).is_some_and(is_over) {
                break;
            }
            self.keys.remove(oldest);
            self.order.pop_front();
        }
        if self.capacity > 0 && self.keys.insert(fingerprint, (key, now)).is_none() {
            self.order.push_back(fingerprint);
        }
    }

    pub(crate) fn forget(&mut self) {
        self.keys.clear();
        self.order.clear();
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
        let check = |kept: &Kept, byte: u8, after: u64, expected: bool| {
            let got = kept.get(&[byte; 32], start + Duration::from_secs(after));
            assert_eq!(got.map(|key| key.expose().to_vec()), expected.then(|| vec![byte]), "{byte} after {after} s");
        };
        check(&kept, 1, 3, false);
        check(&kept, 2, 61, true);
        check(&kept, 2, 62, false);
        check(&kept, 3, 62, true);
        kept.put([4; 32], key(4), start + Duration::from_secs(100));
        assert_eq!((kept.keys.len(), kept.order.len()), (1, 1));
        kept.put([4; 32], key(5), start + Duration::from_secs(101));
        assert_eq!((kept.keys.len(), kept.order.len()), (1, 1));
        kept.forget();
        check(&kept, 4, 101, false);
    }
}
