//! Who belongs to whom, looked up from one side.

use std::collections::BTreeSet;

/// Pairs of an `A` and a `B`, in one tree: most have one partner, and a set for each of them would be mostly empty room.
#[derive(Debug)]
pub(crate) struct Pairs<A, B>(BTreeSet<(A, B)>);

impl<A, B> Default for Pairs<A, B> {
    fn default() -> Self {
        Self(BTreeSet::new())
    }
}

impl<A: Ord + Clone, B: Ord + Clone + Default> Pairs<A, B> {
    pub(crate) fn insert(&mut self, one: &A, other: &B) {
        self.0.insert((one.clone(), other.clone()));
    }

    pub(crate) fn remove(&mut self, one: &A, other: &B) {
        self.0.remove(&(one.clone(), other.clone()));
    }

    /// The partners of `one`, in order.
    pub(crate) fn of(&self, one: &A) -> impl Iterator<Item = &B> {
        // Nothing comes before the default of what is asked for here: names, of which the empty one is the first.
        let partners = self.0.range((one.clone(), B::default())..);
        partners.take_while(move |(found, _)| found == one).map(|(_, other)| other)
    }

    /// Whether `one` has a partner.
    pub(crate) fn has(&self, one: &A) -> bool {
        self.of(one).next().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partners_are_found_from_one_side_until_they_are_removed() {
        let mut pairs = Pairs::<&str, &str>::default();
        for (one, other) in [("b", "2"), ("a", "9"), ("b", "1"), ("bb", "0"), ("b", "1")] {
            pairs.insert(&one, &other);
        }
        assert_eq!(pairs.of(&"b").collect::<Vec<_>>(), [&"1", &"2"]);
        pairs.remove(&"b", &"1");
        pairs.remove(&"b", &"2");
        pairs.remove(&"none", &"2");
        assert!(!pairs.has(&"b") && pairs.has(&"a") && pairs.has(&"bb"));
    }
}
