//! A map that forgets what was used longest ago.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

/// At most so many entries and bytes; a value larger than all of it is not kept.
#[derive(Debug)]
pub(crate) struct Lru<K, V> {
    most_entries: usize,
    most_bytes: usize,
    bytes: usize,
    clock: u64,
    entries: HashMap<K, Entry<V>>,
    /// Keys by when they were last used.
    order: BTreeMap<u64, K>,
}

#[derive(Debug)]
struct Entry<V> {
    value: V,
    bytes: usize,
    used: u64,
}

impl<K: Clone + Eq + Hash, V: Clone> Lru<K, V> {
    pub(crate) fn new(most_entries: usize, most_bytes: usize) -> Self {
        Self { most_entries, most_bytes, bytes: 0, clock: 0, entries: HashMap::new(), order: BTreeMap::new() }
    }

    /// The value, which counts as used now.
    pub(crate) fn get(&mut self, key: &K) -> Option<V> {
        let entry = self.entries.get_mut(key)?;
        self.clock += 1;
        if let Some(key) = self.order.remove(&entry.used) {
            self.order.insert(self.clock, key);
        }
        entry.used = self.clock;
        Some(entry.value.clone())
    }

    /// Keeps `value`, which with its key takes about `bytes`.
    pub(crate) fn insert(&mut self, key: K, value: V, bytes: usize) {
        self.remove(&key);
        if bytes > self.most_bytes || self.most_entries == 0 {
            return;
        }
        while self.entries.len() >= self.most_entries || self.bytes + bytes > self.most_bytes {
            let Some((_, oldest)) = self.order.first_key_value() else { return };
            self.remove(&oldest.clone());
        }
        self.clock += 1;
        self.bytes += bytes;
        self.order.insert(self.clock, key.clone());
        self.entries.insert(key, Entry { value, bytes, used: self.clock });
    }

    pub(crate) fn remove(&mut self, key: &K) {
        if let Some(entry) = self.entries.remove(key) {
            self.bytes -= entry.bytes;
            self.order.remove(&entry.used);
        }
    }

    /// Whether any key fits; none counts as used by that.
    pub(crate) fn any(&self, fits: impl Fn(&K) -> bool) -> bool {
        self.entries.keys().any(fits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_longest_ago_goes_first() {
        let kept = |lru: &Lru<u8, ()>| {
            let mut keys: Vec<_> = lru.entries.keys().copied().collect();
            keys.sort_unstable();
            (keys, lru.bytes, lru.order.len())
        };
        let mut lru = Lru::new(3, 100);
        for key in [1, 2, 3] {
            lru.insert(key, (), 10);
        }
        assert_eq!(lru.get(&1), Some(()));
        lru.insert(4, (), 10);
        assert_eq!(kept(&lru), (vec![1, 3, 4], 30, 3));
        lru.insert(3, (), 85);
        assert_eq!(kept(&lru), (vec![3, 4], 95, 2));
        lru.insert(5, (), 101);
        assert_eq!(kept(&lru), (vec![3, 4], 95, 2));
        lru.insert(3, (), 101);
        assert_eq!(kept(&lru), (vec![4], 10, 1));
        assert_eq!((lru.get(&3), lru.any(|key| *key == 4), lru.any(|key| *key == 3)), (None, true, false));
        let mut nothing = Lru::new(0, 100);
        nothing.insert(1, (), 1);
        assert_eq!(kept(&nothing), (vec![], 0, 0));
    }
}
