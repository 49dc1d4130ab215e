//! Which namespaces a cluster store admits: External Secrets' `conditions`.

use std::collections::BTreeMap;

use strongroom_failure::Failure;
use strongroom_pattern::Pattern;

use crate::selector::{LabelSelector, SelectorSource};

/// A namespace, as far as it decides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Namespace {
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

/// One entry of a store's conditions, as it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConditionSource {
    /// Namespaces by labels.
    pub selector: Option<SelectorSource>,
    /// Namespaces by name.
    pub names: Vec<String>,
    /// Namespaces by a regular expression that matches anywhere in the name.
    pub patterns: Vec<String>,
}

/// The conditions of one store: any part of any entry admits a namespace, and without entries every one is admitted.
#[derive(Clone, Debug, Default)]
pub struct NamespaceConditions {
    is_open: bool,
    selectors: Vec<LabelSelector>,
    names: Vec<String>,
    patterns: Vec<Pattern>,
}

impl NamespaceConditions {
    /// Understands a store's conditions.
    ///
    /// # Errors
    /// Every part that could not be understood, with its field below `spec`. Such a store admits nobody.
    pub fn new(sources: &[ConditionSource]) -> Result<Self, Vec<Failure>> {
        let mut conditions = Self { is_open: sources.is_empty(), ..Self::default() };
        let mut problems = Vec::new();
        for (place, source) in sources.iter().enumerate() {
            match source.selector.as_ref().map(LabelSelector::new).transpose() {
                Ok(selector) => conditions.selectors.extend(selector),
                Err(failure) => {
                    let inner = failure.subject.field.clone().unwrap_or_default();
                    problems.push(failure.in_field(format!("spec.conditions[{place}].namespaceSelector.{inner}")));
                }
            }
            conditions.names.extend_from_slice(&source.names);
            for (index, pattern) in source.patterns.iter().enumerate() {
                match Pattern::new(pattern) {
                    Ok(pattern) => conditions.patterns.push(pattern),
                    Err(failure) => {
                        problems.push(failure.in_field(format!("spec.conditions[{place}].namespaceRegexes[{index}]")))
                    }
                }
            }
        }
        if problems.is_empty() { Ok(conditions) } else { Err(problems) }
    }

    /// Whether the store may be used from `namespace`.
    pub fn admits(&self, namespace: &Namespace) -> bool {
        self.is_open
            || self.selectors.iter().any(|selector| selector.selects(&namespace.labels))
            || self.names.contains(&namespace.name)
            || self.patterns.iter().any(|pattern| pattern.is_match(&namespace.name))
    }
}

#[cfg(test)]
mod tests {
    use std::slice;

    use super::*;
    use crate::selector::Expression;

    fn namespace(name: &str, labels: &[(&str, &str)]) -> Namespace {
        let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Namespace { name: name.to_owned(), labels }
    }

    fn labelled(key: &str, value: &str) -> Option<SelectorSource> {
        let labels = BTreeMap::from([(key.to_owned(), value.to_owned())]);
        Some(SelectorSource { labels, expressions: Vec::new() })
    }

    #[test]
    fn any_part_of_any_condition_admits_a_namespace() {
        let check = |conditions: &[ConditionSource], expected: &[&str]| {
            let conditions = NamespaceConditions::new(conditions).unwrap();
            let all = [namespace("a", &[("team", "x")]), namespace("b", &[("team", "y")]), namespace("team-c", &[])];
            let admitted: Vec<&str> =
                all.iter().filter(|one| conditions.admits(one)).map(|one| one.name.as_str()).collect();
            assert_eq!(admitted, expected);
        };
        let by_label = ConditionSource { selector: labelled("team", "x"), ..ConditionSource::default() };
        let by_name = ConditionSource { names: vec!["b".to_owned()], ..ConditionSource::default() };
        let by_pattern = ConditionSource { patterns: vec!["^team-".to_owned()], ..ConditionSource::default() };
        let everything = ConditionSource { selector: Some(SelectorSource::default()), ..ConditionSource::default() };
        check(&[], &["a", "b", "team-c"]);
        check(&[ConditionSource::default()], &[]);
        check(slice::from_ref(&by_label), &["a"]);
        check(slice::from_ref(&by_name), &["b"]);
        check(slice::from_ref(&by_pattern), &["team-c"]);
        check(&[ConditionSource { names: by_name.names.clone(), ..by_label.clone() }], &["a", "b"]);
        check(&[by_label, by_name, by_pattern], &["a", "b", "team-c"]);
        check(&[everything], &["a", "b", "team-c"]);
        // As in External Secrets, an expression without anchors matches anywhere in the name.
        check(&[ConditionSource { patterns: vec!["am-".to_owned()], ..ConditionSource::default() }], &["team-c"]);
    }

    #[test]
    fn what_cannot_be_understood_is_named_and_admits_nobody() {
        let expression = Expression { key: "a".into(), operator: "Like".into(), values: Vec::new() };
        let wrong = ConditionSource {
            selector: Some(SelectorSource { expressions: vec![expression], ..SelectorSource::default() }),
            patterns: vec!["fine".to_owned(), "(".to_owned()],
            ..ConditionSource::default()
        };
        let problems = NamespaceConditions::new(&[ConditionSource::default(), wrong]).unwrap_err();
        let fields: Vec<_> = problems.iter().filter_map(|problem| problem.subject.field.as_deref()).collect();
        assert_eq!(
            fields,
            ["spec.conditions[1].namespaceSelector.matchExpressions[0]", "spec.conditions[1].namespaceRegexes[1]"]
        );
    }
}
