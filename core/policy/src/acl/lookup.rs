//! Finds the most specific pattern of a path in time that hardly grows with the number of patterns.

use std::collections::HashMap;

use super::pattern::{Form, Pattern, Segment};

/// All patterns of one access list, each with the number of its rule. Of two numbers the greater is the more specific
/// rule, so that the greatest that matches decides.
#[derive(Debug, Default)]
pub(super) struct Lookup {
    exact: HashMap<String, usize>,
    prefixes: Prefixes,
    /// Patterns with `+`, as a tree of segments; the first is the root, if there are any.
    nodes: Vec<Node>,
}

#[derive(Debug, Default)]
struct Node {
    literal: HashMap<String, usize>,
    any: Option<usize>,
    /// The rule whose pattern ends here.
    end: Option<usize>,
    /// Patterns that end in a segment with `*`: its beginnings.
    tails: Prefixes,
}

impl Lookup {
    /// Takes patterns by the numbers of their rules, from the least specific to the most.
    pub(super) fn new<'a>(patterns: impl Iterator<Item = (usize, &'a Pattern)>) -> Self {
        let mut lookup = Self::default();
        for (rule, pattern) in patterns {
            match &pattern.form {
                Form::Exact => {
                    lookup.exact.insert(pattern.text.clone(), rule);
                }
                Form::Prefix(prefix) => lookup.prefixes.insert(prefix, rule),
                Form::Segments { segments, tail, .. } => lookup.insert_segments(segments, tail.as_deref(), rule),
            }
        }
        lookup.prefixes.finish();
        lookup.nodes.iter_mut().for_each(|node| node.tails.finish());
        lookup
    }

    fn insert_segments(&mut self, segments: &[Segment], tail: Option<&str>, rule: usize) {
        if self.nodes.is_empty() {
            self.nodes.push(Node::default());
        }
        let mut at = 0;
        for segment in segments {
            let fresh = self.nodes.len();
            let Some(node) = self.nodes.get_mut(at) else { return };
            at = match segment {
                Segment::Any => *node.any.get_or_insert(fresh),
                Segment::Literal(text) => *node.literal.entry(text.clone()).or_insert(fresh),
            };
            if at == fresh {
                self.nodes.push(Node::default());
            }
        }
        let Some(node) = self.nodes.get_mut(at) else { return };
        match tail {
            Some(tail) => node.tails.insert(tail, rule),
            None => node.end = Some(rule),
        }
    }

    /// The rule of exactly this path.
    pub(super) fn exact(&self, path: &str) -> Option<usize> {
        self.exact.get(path).copied()
    }

    /// The most specific rule with a wildcard that matches.
    pub(super) fn glob(&self, path: &str) -> Option<usize> {
        self.prefixes.longest(path).max(self.segments(path))
    }

    /// Walks all branches at once. No node is met twice, so that the tree's size bounds the walk.
    fn segments(&self, path: &str) -> Option<usize> {
        let mut best = None;
        let mut open: Vec<(&Node, Option<&str>)> =
            self.nodes.first().map(|root| (root, Some(path))).into_iter().collect();
        while let Some((node, rest)) = open.pop() {
            let Some(rest) = rest else {
                best = best.max(node.end);
                continue;
            };
            let (segment, after) = match rest.split_once('/') {
                Some((segment, after)) => (segment, Some(after)),
                None => (rest, None),
            };
            best = best.max(node.tails.longest(segment));
            let below = [node.literal.get(segment).copied(), node.any];
            open.extend(below.into_iter().flatten().filter_map(|place| Some((self.nodes.get(place)?, after))));
        }
        best
    }
}

/// Texts of which the longest that begins another is wanted.
#[derive(Debug, Default)]
struct Prefixes {
    /// In the order of their bytes.
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    prefix: String,
    rule: usize,
    /// The longest other one that this one begins with.
    shorter: Option<usize>,
}

impl Prefixes {
    fn insert(&mut self, prefix: &str, rule: usize) {
        self.entries.push(Entry { prefix: prefix.to_owned(), rule, shorter: None });
    }

    /// To be called after the last insertion and before the first question.
    fn finish(&mut self) {
        self.entries.sort_unstable_by(|one, other| one.prefix.cmp(&other.prefix));
        // Those that the current one begins with, each longer than the one before.
        let mut chain: Vec<(usize, String)> = Vec::new();
        for (place, entry) in self.entries.iter_mut().enumerate() {
            while chain.last().is_some_and(|(_, last)| !entry.prefix.starts_with(last.as_str())) {
                chain.pop();
            }
            entry.shorter = chain.last().map(|(place, _)| *place);
            chain.push((place, entry.prefix.clone()));
        }
    }

    /// The last entry that is not greater than `text` begins with every entry that `text` begins with, so that the
    /// wanted one is it or one of those shorter ones.
    fn longest(&self, text: &str) -> Option<usize> {
        let place = self.entries.partition_point(|entry| entry.prefix.as_str() <= text).checked_sub(1)?;
        let mut entry = self.entries.get(place)?;
        let common = entry.prefix.bytes().zip(text.bytes()).take_while(|(one, other)| one == other).count();
        while entry.prefix.len() > common {
            entry = self.entries.get(entry.shorter?)?;
        }
        Some(entry.rule)
    }
}
