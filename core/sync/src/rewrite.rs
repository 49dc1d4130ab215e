//! Rewriting the keys of what a store gave: by a regular expression, by a template, by merging JSON objects.

use std::collections::BTreeSet;

use serde_json::{Map, Value};
use strongroom_failure::{Class, Failure};
use strongroom_pattern::Pattern;

use crate::Values;
use crate::json::{self, EscapeHtml};
use crate::render::Render;

/// One step of rewriting; steps are applied in order, each to what the one before it made.
#[derive(Clone, Debug, PartialEq)]
pub enum Rewrite {
    /// Every match of a pattern in a key is replaced.
    Pattern {
        /// What is looked for.
        source: Pattern,
        /// What it becomes, `$1` and `${name}` standing for groups.
        target: String,
    },
    /// A key becomes what a template makes of it, as `.value`.
    Transform {
        /// The template's text.
        template: String,
    },
    /// Values that are JSON objects become one.
    Merge(Merge),
}

/// How values that are JSON objects become one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Merge {
    /// What becomes of the members.
    pub strategy: MergeStrategy,
    /// The keys whose members win, the last one above all; the others come before them in alphabetical order.
    pub priority: Vec<String>,
    /// Whether a key of `priority` may be missing.
    pub may_miss_priority: bool,
    /// Whether the later of two members of one name wins; else two are an error.
    pub may_conflict: bool,
}

/// What becomes of the members of merged objects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum MergeStrategy {
    /// Each becomes a value of its own, and nothing else is left.
    #[default]
    Extract,
    /// They become one JSON object under this key, beside the values that it was made of.
    Json(String),
}

/// `values` after all `steps`. `field` is the path of what they belong to: `spec.dataFrom[0]`.
///
/// # Errors
/// `Invalid`, in the field of the step (`spec.dataFrom[0].rewrite[1]`), naming keys but no values.
pub fn rewrite(steps: &[Rewrite], values: Values, render: &dyn Render, field: &str) -> Result<Values, Failure> {
    steps.iter().enumerate().try_fold(values, |values, (index, step)| {
        apply(step, values, render).map_err(|failure| failure.in_field(format!("{field}.rewrite[{index}]")))
    })
}

fn apply(step: &Rewrite, values: Values, render: &dyn Render) -> Result<Values, Failure> {
    match step {
        Rewrite::Pattern { source, target } => {
            Ok(values.into_iter().map(|(key, value)| (source.replace_all(&key, target), value)).collect())
        }
        Rewrite::Transform { template } => {
            values.into_iter().map(|(key, value)| Ok((transformed(template, &key, render)?, value))).collect()
        }
        Rewrite::Merge(merge) => merged(merge, values),
    }
}

fn transformed(template: &str, key: &str, render: &dyn Render) -> Result<String, Failure> {
    let input = Values::from([("value".to_owned(), key.to_owned().into())]);
    let made = render.render("transform", template, &input).map_err(|mut failure| {
        failure.words = format!("key {key:?}: {}", failure.words);
        failure
    })?;
    let text = made.expose_text().map(str::to_owned);
    text.ok_or_else(|| Failure::new(Class::Invalid, format!("key {key:?}: the template makes bytes that are no text")))
}

fn merged(merge: &Merge, mut values: Values) -> Result<Values, Failure> {
    let mut members = Map::new();
    let outcome = collect(merge, &values, &mut members).map(|()| match &merge.strategy {
        MergeStrategy::Extract => members.iter().map(|(key, value)| (key.clone(), json::bytes(value))).collect(),
        MergeStrategy::Json(into) => {
            let mut whole = Value::Object(std::mem::take(&mut members));
            values.insert(into.clone(), json::written(&whole, EscapeHtml::No));
            json::wipe(&mut whole);
            std::mem::take(&mut values)
        }
    });
    members.values_mut().for_each(json::wipe);
    outcome
}

/// Puts the members of all values into `members`, in the order of their precedence.
fn collect(merge: &Merge, values: &Values, members: &mut Map<String, Value>) -> Result<(), Failure> {
    let mut conflicts = BTreeSet::new();
    let others = values.keys().filter(|key| !merge.priority.contains(key));
    for key in others.chain(&merge.priority) {
        let Some(value) = values.get(key) else {
            if merge.may_miss_priority {
                continue;
            }
            return Err(Failure::new(Class::Invalid, format!("the key {key:?} of priority is not there"))
                .with_hint("priorityPolicy: IgnoreNotFound lets a key of priority be missing"));
        };
        let object = json::object(value).map_err(|failure| on_member(key, failure))?;
        for (name, mut value) in object {
            if let Some(earlier) = members.get_mut(&name) {
                std::mem::swap(earlier, &mut value);
                json::wipe(&mut value);
                conflicts.insert(name);
            } else {
                members.insert(name, value);
            }
        }
    }
    if conflicts.is_empty() || merge.may_conflict {
        return Ok(());
    }
    let names: Vec<_> = conflicts.iter().map(|name| format!("{name:?}")).collect();
    Err(Failure::new(Class::Invalid, format!("more than one of the merged values has {}", names.join(", ")))
        .with_hint("conflictPolicy: Ignore lets the later value win"))
}

fn on_member(key: &str, mut failure: Failure) -> Failure {
    failure.words = format!("key {key:?}: {}", failure.words);
    failure
}
