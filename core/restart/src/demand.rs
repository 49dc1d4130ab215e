//! Who asks for restarts, and for which Secrets.

use std::collections::BTreeSet;

use strongroom_failure::outside_words;
use strongroom_pattern::Pattern;

use crate::annotations::{Annotations, RESTART, reloader, truth};
use crate::secret::SecretFacts;

/// The longest list of names, in bytes: a pattern has at most 4,096, and all patterns of a list become one.
const LIST_LIMIT: usize = 3072;

/// The most entries of a list. With the brackets around each, the longest list still makes a pattern that is taken.
const ENTRIES_LIMIT: usize = 100;

/// Secrets by names and by patterns that match a whole name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    exact: BTreeSet<Box<str>>,
    /// All patterns of the list in one, so that one bound holds for all of them.
    pattern: Option<Box<Pattern>>,
}

impl Names {
    /// Reads a list with commas. What is wrong with it goes to `problems`; the rest of it counts.
    fn parse(annotation: &str, list: &str, problems: &mut Vec<String>) -> Self {
        let entries: Vec<&str> = list.split(',').map(str::trim).filter(|entry| !entry.is_empty()).collect();
        if list.len() > LIST_LIMIT || entries.len() > ENTRIES_LIMIT {
            problems.push(format!(
                "annotation {annotation}: a list may have {ENTRIES_LIMIT} entries and {LIST_LIMIT} bytes; it does not count"
            ));
            return Self::default();
        }
        let (exact, patterns): (Vec<_>, Vec<_>) = entries.into_iter().partition(|entry| is_plain(entry));
        let mut usable = Vec::new();
        for pattern in patterns {
            // By itself first: brackets that do not match must not reach into its neighbours.
            match Pattern::new(pattern) {
                Ok(_) => usable.push(format!("(?:{pattern})")),
                Err(failure) => {
                    let shown = outside_words(pattern, &[]);
                    problems.push(format!("annotation {annotation}: \"{shown}\" does not count: {}", failure.words));
                }
            }
        }
        let pattern = (!usable.is_empty()).then(|| Pattern::new(&format!(r"\A(?:{})\z", usable.join("|"))));
        let pattern = pattern.transpose().unwrap_or_else(|failure| {
            problems.push(format!("annotation {annotation}: its patterns do not count: {}", failure.words));
            None
        });
        Self { exact: exact.into_iter().map(Into::into).collect(), pattern: pattern.map(Box::new) }
    }

    /// Whether this Secret is among them.
    pub fn contains(&self, name: &str) -> bool {
        self.exact.contains(name) || self.pattern.as_ref().is_some_and(|pattern| pattern.is_match(name))
    }

    /// Whether none can be.
    pub fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.pattern.is_none()
    }
}

/// A name in which no character means anything in a pattern.
fn is_plain(entry: &str) -> bool {
    entry.chars().all(|character| character.is_ascii_alphanumeric() || character == '-')
}

/// What `strongroom.dev/restart` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Wish {
    /// Nothing.
    #[default]
    Unsaid,
    /// Restart at the change of whatever is consumed.
    Consumed,
    /// Never restart, whoever else asks.
    Never,
    /// Restart at the change of these, consumed or not.
    Named(Names),
}

impl Wish {
    /// The wish of an object's annotations, and what is wrong with it.
    pub fn of(annotations: &Annotations) -> (Self, Vec<String>) {
        let mut problems = Vec::new();
        let wish = match annotations.get(RESTART).map(|text| text.trim()) {
            None | Some("") => Self::Unsaid,
            Some(text) => match truth(text) {
                Some(true) => Self::Consumed,
                Some(false) => Self::Never,
                None => Self::Named(Names::parse(RESTART, text, &mut problems)),
            },
        };
        (wish, problems)
    }
}

/// What stakater's Reloader would be asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct ForReloader {
    auto: Option<bool>,
    searches: bool,
    named: Names,
    excluded: BTreeSet<Box<str>>,
}

impl ForReloader {
    fn of(annotations: &Annotations, problems: &mut Vec<String>) -> Self {
        let said = |name: &str| annotations.get(name).and_then(|text| truth(text.trim()));
        let auto = match (said(reloader::AUTO), said(reloader::SECRET_AUTO)) {
            (Some(true), _) | (_, Some(true)) => Some(true),
            (Some(false), _) | (_, Some(false)) => Some(false),
            (None, None) => None,
        };
        let list = |name: &str| annotations.get(name).map_or("", String::as_str);
        let excluded = list(reloader::SECRETS_EXCLUDED);
        let excluded = excluded.split(',').map(str::trim).filter(|name| !name.is_empty()).take(ENTRIES_LIMIT);
        Self {
            auto,
            searches: said(reloader::SEARCH) == Some(true),
            named: Names::parse(reloader::SECRET_RELOAD, list(reloader::SECRET_RELOAD), problems),
            excluded: excluded.map(Into::into).collect(),
        }
    }
}

/// Which Secrets' changes restart a workload, as its own annotations say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Demand {
    wish: Wish,
    reloader: ForReloader,
    problems: Vec<String>,
}

/// Whether a Secret counts for a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Concern {
    /// Its changes restart it.
    Wanted,
    /// They do not.
    Unwanted,
    /// There is no such Secret now, and only the Secret could say.
    Unknown,
}

impl Demand {
    /// The demand of a workload with these annotations. Reloader's are looked for on the workload and, where it has
    /// none of them, on its pod template, which is where Reloader looks.
    pub fn of(annotations: &Annotations, of_template: &Annotations) -> Self {
        let (wish, mut problems) = Wish::of(annotations);
        let is_on_workload = reloader::OF_WORKLOADS.iter().any(|name| annotations.contains_key(*name));
        let place = if is_on_workload { annotations } else { of_template };
        let reloader = ForReloader::of(place, &mut problems);
        Self { wish, reloader, problems }
    }

    /// What is wrong with the annotations, in words for their owner.
    pub fn problems(&self) -> &[String] {
        &self.problems
    }

    /// Whether a Secret can count that is not consumed.
    pub fn names_any(&self, of_namespace: &Wish) -> bool {
        let is_named = |wish: &Wish| matches!(wish, Wish::Named(names) if !names.is_empty());
        !self.reloader.named.is_empty() || is_named(self.wish(of_namespace))
    }

    /// Whether the Secret `name` counts; `secret` is what it says itself, `None` where there is none.
    pub fn concern(&self, of_namespace: &Wish, name: &str, secret: Option<&SecretFacts>, is_consumed: bool) -> Concern {
        let wish = self.wish(of_namespace);
        if matches!(wish, Wish::Never) || secret.is_some_and(SecretFacts::is_silent) {
            return Concern::Unwanted;
        }
        let is_listed = matches!(wish, Wish::Named(names) if names.contains(name));
        if is_listed || self.reloader.named.contains(name) {
            return Concern::Wanted;
        }
        if !is_consumed || self.reloader.excluded.contains(name) {
            return Concern::Unwanted;
        }
        if matches!(wish, Wish::Consumed) || self.reloader.auto == Some(true) {
            return Concern::Wanted;
        }
        let Some(secret) = secret else { return Concern::Unknown };
        let is_found = self.reloader.searches && secret.has_match;
        let is_asked_for = secret.asks == Some(true) && self.reloader.auto != Some(false);
        if is_found || is_asked_for { Concern::Wanted } else { Concern::Unwanted }
    }

    /// Its own wish wins over the namespace's.
    fn wish<'wish>(&'wish self, of_namespace: &'wish Wish) -> &'wish Wish {
        if self.wish == Wish::Unsaid { of_namespace } else { &self.wish }
    }
}
