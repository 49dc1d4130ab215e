//! What applies to one pattern: the blocks of all policies that name it, as one.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::capability::{Capabilities, Capability};
use super::parameters::{Listed, join};
use super::pattern::Pattern;

/// The most words about where a rule comes from: a path may be named by a thousand policies.
const SHOWN_SOURCES: usize = 3;

/// Everything that the policies of one access list say about one pattern.
#[derive(Clone, Debug)]
pub struct Rule {
    pub(super) pattern: Pattern,
    pub(super) capabilities: Capabilities,
    pub(super) sources: Vec<Source>,
    pub(super) limits: Limits,
}

/// A block of a policy that a rule was made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The policy's name.
    pub policy: Arc<str>,
    /// The line of its text on which the block begins, from 1.
    pub line: u32,
    /// What this block grants.
    pub capabilities: Capabilities,
}

/// What a request must keep to, beyond its capability.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Limits {
    /// If there are any, others are not allowed.
    pub(super) allowed: Listed,
    pub(super) denied: Listed,
    /// In small letters.
    pub(super) required: BTreeSet<String>,
    pub(super) min_wrapping: Option<Duration>,
    pub(super) max_wrapping: Option<Duration>,
    /// The most names that one answer to a list may hold.
    pub(super) page: Option<u64>,
}

impl Rule {
    pub(super) fn new(pattern: Pattern) -> Self {
        let limits = Limits::default();
        Self { pattern, capabilities: Capabilities::default(), sources: Vec::new(), limits }
    }

    /// Adds a block: what is granted adds up, and so do limits, of times and pages the shorter; `deny` leaves nothing.
    pub(super) fn add(&mut self, source: Source, limits: &Limits) {
        self.capabilities = self.capabilities.union(source.capabilities);
        self.sources.push(source);
        if self.capabilities.contain(Capability::Deny) {
            self.limits = Limits::default();
            return;
        }
        join(&mut self.limits.allowed, limits.allowed.clone());
        join(&mut self.limits.denied, limits.denied.clone());
        self.limits.required.extend(limits.required.iter().cloned());
        self.limits.min_wrapping = shorter(self.limits.min_wrapping, limits.min_wrapping);
        self.limits.max_wrapping = shorter(self.limits.max_wrapping, limits.max_wrapping);
        self.limits.page = shorter(self.limits.page, limits.page);
    }

    /// The pattern, without a leading slash, with its wildcards: `secret/data/+/db*`.
    pub fn path(&self) -> &str {
        &self.pattern.text
    }

    /// Whether the pattern has wildcards. It tells `exact_paths` from `glob_paths` of a resultant ACL.
    pub fn is_glob(&self) -> bool {
        self.pattern.is_glob()
    }

    /// What it grants; `deny` alone where one block denies.
    pub fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    /// The blocks that it was made of, in the order of the policies.
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// The blocks that grant, or with `deny` refuse, `capability`.
    pub fn sources_of(&self, capability: Capability) -> impl Iterator<Item = &Source> {
        self.sources.iter().filter(move |source| source.capabilities.contain(capability))
    }
}

impl fmt::Display for Rule {
    /// `path "secret/*" (policy "team", line 3; policy "ops", line 1)`
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "path {:?} (", self.path())?;
        for (place, source) in self.sources.iter().take(SHOWN_SOURCES).enumerate() {
            let separator = if place == 0 { "" } else { "; " };
            write!(formatter, "{separator}policy {:?}, line {}", source.policy, source.line)?;
        }
        match self.sources.len().saturating_sub(SHOWN_SOURCES) {
            0 => formatter.write_str(")"),
            more => write!(formatter, "; and {more} more)"),
        }
    }
}

fn shorter<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}
