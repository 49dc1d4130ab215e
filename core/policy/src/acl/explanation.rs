//! Why one rule decided and the others did not, for people who wonder.

use std::fmt;

use super::access::Acl;
use super::capability::Operation;
use super::decision::{Decision, Request};
use super::rule::Rule;

/// The most rules that are told where none speaks of a path.
const NEAREST: usize = 3;

/// A decision with what stood beside it.
#[derive(Debug)]
pub struct Explanation<'a> {
    /// What was decided about a request without parameters, and which rule decided.
    pub decision: Decision<'a>,
    /// Rules that match as well and did not decide, the most specific first.
    pub passed_over: Vec<PassedOver<'a>>,
    /// Where no rule matches: those that name the most of the path's first segments.
    pub nearest: Vec<&'a Rule>,
}

/// A rule that matches and did not decide.
#[derive(Clone, Copy, Debug)]
pub struct PassedOver<'a> {
    /// The rule.
    pub rule: &'a Rule,
    /// Why the other goes before it.
    pub why: Precedence,
}

/// Why one rule goes before another (governance.md §8.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precedence {
    /// It names the path itself, without a wildcard.
    Exact,
    /// It speaks of the folder with its slash, the other of the one without.
    WithSlash,
    /// Its first wildcard stands later.
    LaterWildcard,
    /// It does not end in `*`.
    NoStar,
    /// It has fewer `+`.
    FewerPluses,
    /// It is longer.
    Longer,
    /// It comes later by its letters.
    LaterLetters,
}

impl fmt::Display for Precedence {
    /// What the rule that decided has over the other: `its first wildcard stands later`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Exact => "it has no wildcard",
            Self::WithSlash => "it speaks of the folder with its slash",
            Self::LaterWildcard => "its first wildcard stands later",
            Self::NoStar => "it does not end in *",
            Self::FewerPluses => "it has fewer +",
            Self::Longer => "it is longer",
            Self::LaterLetters => "it comes later by its letters",
        })
    }
}

impl Acl {
    /// Decides about a request without parameters, and says why other rules did not.
    pub fn explain<'a>(&'a self, path: &'a str, operation: Operation) -> Explanation<'a> {
        let decision = self.check(&Request { path, operation, parameters: &[], wrapping: None });
        let path = path.trim_start_matches('/');
        let matching = self.matching(path, operation);
        let Some((decider, others)) = matching.split_first() else {
            let nearest = if self.is_root() { Vec::new() } else { self.nearest(path) };
            return Explanation { decision, passed_over: Vec::new(), nearest };
        };
        let passed_over = others.iter().map(|rule| PassedOver { rule, why: why(decider, rule, path) }).collect();
        Explanation { decision, passed_over, nearest: Vec::new() }
    }

    fn nearest(&self, path: &str) -> Vec<&Rule> {
        let common = |rule: &Rule| {
            let pairs = rule.path().split('/').zip(path.split('/'));
            pairs.take_while(|(one, other)| one == other || *one == "+").count()
        };
        let mut rules: Vec<&Rule> = self.rules().iter().filter(|rule| common(rule) > 0).collect();
        rules.sort_by_key(|rule| std::cmp::Reverse(common(rule)));
        rules.truncate(NEAREST);
        rules
    }
}

fn why(decider: &Rule, other: &Rule, path: &str) -> Precedence {
    match (decider.is_glob(), other.is_glob()) {
        (false, true) => Precedence::Exact,
        // Only a list of a folder is met by what does not match its path.
        _ if decider.pattern.matches(path) && !other.pattern.matches(path) => Precedence::WithSlash,
        _ => decider.pattern.precedence_over(&other.pattern),
    }
}
