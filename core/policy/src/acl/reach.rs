//! Questions about all paths that a pattern stands for: is there one on which something is granted, or one on which it
//! is not?
//!
//! A few paths answer for all. Where neither the question nor a rule says what a segment is, a segment that no rule
//! names is put there: what matches it matches every other segment in its place as well, so that no rule is met that
//! would not be met otherwise, and whichever rule decided about another path decides about this one, too. What is left
//! to try is how many segments there are, and there, more than the longest pattern has are all alike.

use super::access::Acl;
use super::capability::Operation;
use super::identity::Filled;
use super::pattern::{Form, Pattern, Segment};
use super::policy::Policy;
use super::rule::Rule;

/// Characters for the segment that no rule names, the first that stands in no pattern. The first two read well.
const UNNAMED: [char; 2] = ['…', '※'];

/// A path that answers a question about many.
#[derive(Clone, Debug)]
pub struct Found<'a> {
    /// The path; what its segments may be called as one likes is written `…`.
    pub path: String,
    /// The rule that decides about it; none where none speaks of it, and for root.
    pub rule: Option<&'a Rule>,
}

/// A pattern as segments alone.
struct Shape {
    segments: Vec<Segment>,
    /// What the segment after those begins with, and whatever may follow it.
    tail: Option<String>,
}

/// What one segment must be.
enum Want<'a> {
    Text(&'a str),
    Beginning(&'a str),
    /// There must be none.
    Nothing,
}

impl Acl {
    /// A path that `target` stands for and on which `operation` is granted, whatever it takes: bounds of parameters and
    /// wrapping are not looked at. `target` is written as in a policy, with `+` and a `*` at its end, without templates.
    /// Paths with empty segments are left out, except for a slash at the end: no store takes them.
    pub fn reaches(&self, target: &str, operation: Operation) -> Option<Found<'_>> {
        self.search(target, operation, true)
    }

    /// A path that `target` stands for and on which `operation` is not granted, where there is one.
    pub fn misses(&self, target: &str, operation: Operation) -> Option<Found<'_>> {
        self.search(target, operation, false)
    }

    fn search(&self, target: &str, operation: Operation, is_granted: bool) -> Option<Found<'_>> {
        let target = Target::new(target, self.rules().iter().map(Rule::path));
        let everything = || target.paths(&Shape::everything()).into_iter();
        if self.is_root() {
            return everything().next().filter(|_| is_granted).map(|path| Found { path, rule: None });
        }
        let is_names = matches!(operation, Operation::List | Operation::Scan);
        let of_rule = |rule: &Rule| {
            let shape = Shape::of(&rule.pattern);
            // A rule about a folder decides about its names, which are asked for with a slash.
            let with_slash = if is_names { shape.with_slash() } else { None };
            let mut paths = target.paths(&shape);
            paths.extend(with_slash.iter().flat_map(|shape| target.paths(shape)));
            paths
        };
        let paths = self.rules().iter().rev().flat_map(of_rule).chain(everything());
        paths.map(|path| (self.decider(&path, operation), path)).find_map(|(rule, path)| {
            let grants = rule.is_some_and(|rule| rule.capabilities().contain(operation.capability()));
            (grants == is_granted).then_some(Found { path, rule })
        })
    }
}

impl Policy {
    /// The lines of blocks whose path has a template that for some login may stand for a path of `target`, and that
    /// grant `operation` there: what such a block says is known only when somebody logs in. More specific rules may
    /// take it back, which is not looked at.
    pub fn lines_that_may_fill(&self, target: &str, operation: Operation) -> Vec<u32> {
        let target = Target::new(target, self.blocks.iter().map(|block| block.path.beginning()));
        let blocks = self.blocks.iter().filter(|block| block.path.has_values());
        let granting = blocks.filter(|block| block.capabilities.contain(operation.capability()));
        let is_met = |beginning: &str| {
            let shape = Shape::of(&pattern(&format!("{beginning}*")));
            !target.paths(&shape).is_empty()
        };
        granting.filter(|block| is_met(block.path.beginning())).map(|block| block.line).collect()
    }
}

/// What is asked about.
struct Target {
    shape: Shape,
    unnamed: String,
    /// The most segments that are worth a try.
    longest: usize,
}

impl Target {
    fn new<'a>(target: &str, patterns: impl Iterator<Item = &'a str>) -> Self {
        let mut longest = target.split('/').count();
        let mut taken = target.to_owned();
        for pattern in patterns {
            longest = longest.max(pattern.split('/').count());
            taken.push_str(pattern);
        }
        // Private characters after those; more than there are in all patterns together are never needed.
        let mut characters = UNNAMED.into_iter().chain('\u{e000}'..='\u{f8ff}').chain('\u{f0000}'..='\u{ffffd}');
        let unnamed = characters.find(|character| !taken.contains(*character)).unwrap_or('…').to_string();
        Self { shape: Shape::of(&pattern(target)), unnamed, longest: longest + 1 }
    }

    /// Paths that both stand for, one of each length, with as few rules about them as can be.
    fn paths(&self, other: &Shape) -> Vec<String> {
        (1..=self.longest).filter_map(|length| self.path(other, length)).collect()
    }

    fn path(&self, other: &Shape, length: usize) -> Option<String> {
        if !self.shape.has_length(length) || !other.has_length(length) {
            return None;
        }
        let mut path = String::new();
        for place in 0..length {
            let segment = self.segment(&self.shape.at(place), &other.at(place))?;
            if segment.is_empty() && (place == 0 || place + 1 < length) {
                return None;
            }
            if place > 0 {
                path.push('/');
            }
            path.push_str(&segment);
        }
        Some(path)
    }

    fn segment(&self, one: &Want<'_>, other: &Want<'_>) -> Option<String> {
        match (one, other) {
            (Want::Nothing, _) | (_, Want::Nothing) => None,
            (Want::Text(one), Want::Text(other)) => (one == other).then(|| (*one).to_owned()),
            (Want::Text(text), Want::Beginning(beginning)) | (Want::Beginning(beginning), Want::Text(text)) => {
                text.starts_with(beginning).then(|| (*text).to_owned())
            }
            (Want::Beginning(one), Want::Beginning(other)) => {
                let (long, short) = if one.len() > other.len() { (one, other) } else { (other, one) };
                long.starts_with(short).then(|| format!("{long}{}", self.unnamed))
            }
        }
    }
}

impl Shape {
    fn of(pattern: &Pattern) -> Self {
        let literal = |segment: &str| Segment::Literal(segment.to_owned());
        match &pattern.form {
            Form::Exact => Self { segments: pattern.text.split('/').map(literal).collect(), tail: None },
            Form::Prefix(prefix) => {
                let (before, tail) = prefix.rsplit_once('/').map_or((None, prefix.as_str()), |(a, b)| (Some(a), b));
                let segments = before.into_iter().flat_map(|before| before.split('/')).map(literal).collect();
                Self { segments, tail: Some(tail.to_owned()) }
            }
            Form::Segments { segments, tail, .. } => Self { segments: segments.clone(), tail: tail.clone() },
        }
    }

    fn everything() -> Self {
        Self { segments: Vec::new(), tail: Some(String::new()) }
    }

    /// The same with a slash at the end; `None` where the end is open anyway.
    fn with_slash(&self) -> Option<Self> {
        let mut segments = self.segments.clone();
        segments.push(Segment::Literal(String::new()));
        self.tail.is_none().then_some(Self { segments, tail: None })
    }

    fn has_length(&self, length: usize) -> bool {
        match self.tail {
            Some(_) => length > self.segments.len(),
            None => length == self.segments.len(),
        }
    }

    fn at(&self, place: usize) -> Want<'_> {
        match (self.segments.get(place), &self.tail) {
            (Some(Segment::Literal(text)), _) => Want::Text(text),
            (Some(Segment::Any), _) => Want::Beginning(""),
            (None, Some(tail)) if place == self.segments.len() => Want::Beginning(tail),
            (None, Some(_)) => Want::Beginning(""),
            (None, None) => Want::Nothing,
        }
    }
}

fn pattern(text: &str) -> Pattern {
    Pattern::new(&Filled { text: text.to_owned(), values: Vec::new() })
}
