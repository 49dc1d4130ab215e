//! Label selectors with Kubernetes' meaning.

use std::collections::BTreeMap;

use strongroom_failure::{Class, Failure};

/// A selector as it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SelectorSource {
    /// Labels that must have these values.
    pub labels: BTreeMap<String, String>,
    /// What else must hold.
    pub expressions: Vec<Expression>,
}

/// One condition on one label, as it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expression {
    /// The label.
    pub key: String,
    /// `In`, `NotIn`, `Exists` or `DoesNotExist`.
    pub operator: String,
    /// What `In` and `NotIn` compare with.
    pub values: Vec<String>,
}

/// A selector that was understood. The empty one selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelSelector(Vec<Requirement>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Requirement {
    key: String,
    operator: Operator,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Operator {
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
    DoesNotExist,
}

impl LabelSelector {
    /// Understands a selector.
    ///
    /// # Errors
    /// `Invalid`, in the field `matchExpressions[…]`, for an operator that Kubernetes does not have and for one with
    /// too few or too many values.
    pub fn new(source: &SelectorSource) -> Result<Self, Failure> {
        let labels = source
            .labels
            .iter()
            .map(|(key, value)| Ok(Requirement { key: key.clone(), operator: Operator::In(vec![value.clone()]) }));
        let expressions = source.expressions.iter().enumerate().map(|(place, expression)| {
            let operator =
                operator(expression).map_err(|failure| failure.in_field(format!("matchExpressions[{place}]")))?;
            Ok(Requirement { key: expression.key.clone(), operator })
        });
        labels.chain(expressions).collect::<Result<_, _>>().map(Self)
    }

    /// Whether something with these labels is selected.
    pub fn selects(&self, labels: &BTreeMap<String, String>) -> bool {
        self.0.iter().all(|requirement| {
            let value = labels.get(&requirement.key);
            match &requirement.operator {
                Operator::In(values) => value.is_some_and(|value| values.contains(value)),
                Operator::NotIn(values) => value.is_none_or(|value| !values.contains(value)),
                Operator::Exists => value.is_some(),
                Operator::DoesNotExist => value.is_none(),
            }
        })
    }
}

fn operator(expression: &Expression) -> Result<Operator, Failure> {
    let values = &expression.values;
    match expression.operator.as_str() {
        "In" | "NotIn" if values.is_empty() => {
            Err(Failure::new(Class::Invalid, format!("the operator {} needs values", expression.operator)))
        }
        "In" => Ok(Operator::In(values.clone())),
        "NotIn" => Ok(Operator::NotIn(values.clone())),
        "Exists" | "DoesNotExist" if !values.is_empty() => {
            Err(Failure::new(Class::Invalid, format!("the operator {} takes no values", expression.operator)))
        }
        "Exists" => Ok(Operator::Exists),
        "DoesNotExist" => Ok(Operator::DoesNotExist),
        _ => Err(Failure::new(Class::Invalid, "the operator is none of In, NotIn, Exists and DoesNotExist")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expression(key: &str, operator: &str, values: &[&str]) -> Expression {
        let values = values.iter().map(|value| (*value).to_owned()).collect();
        Expression { key: key.to_owned(), operator: operator.to_owned(), values }
    }

    #[test]
    fn labels_are_selected_as_by_kubernetes() {
        let check = |expressions: &[Expression], labels: &[(&str, &str)], expected: bool| {
            let source = SelectorSource { expressions: expressions.to_vec(), ..SelectorSource::default() };
            let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
            assert_eq!(LabelSelector::new(&source).unwrap().selects(&labels), expected, "{expressions:?} {labels:?}");
        };
        check(&[], &[], true);
        check(&[], &[("a", "1")], true);
        check(&[expression("a", "In", &["1", "2"])], &[("a", "2")], true);
        check(&[expression("a", "In", &["1", "2"])], &[("a", "3")], false);
        check(&[expression("a", "In", &["1"])], &[], false);
        check(&[expression("a", "NotIn", &["1"])], &[("a", "1")], false);
        check(&[expression("a", "NotIn", &["1"])], &[("a", "2")], true);
        check(&[expression("a", "NotIn", &["1"])], &[], true);
        check(&[expression("a", "Exists", &[])], &[("a", "")], true);
        check(&[expression("a", "Exists", &[])], &[], false);
        check(&[expression("a", "DoesNotExist", &[])], &[], true);
        check(&[expression("a", "DoesNotExist", &[])], &[("a", "")], false);
        check(&[expression("a", "Exists", &[]), expression("b", "In", &["1"])], &[("a", "x"), ("b", "2")], false);
    }

    #[test]
    fn labels_and_expressions_must_all_hold() {
        let source = SelectorSource {
            labels: BTreeMap::from([("a".to_owned(), "1".to_owned())]),
            expressions: vec![expression("b", "Exists", &[])],
        };
        let selector = LabelSelector::new(&source).unwrap();
        assert!(selector.selects(&BTreeMap::from([("a".into(), "1".into()), ("b".into(), String::new())])));
        assert!(!selector.selects(&BTreeMap::from([("a".into(), "1".into())])));
        assert!(!selector.selects(&BTreeMap::from([("b".into(), "1".into())])));
    }

    #[test]
    fn what_kubernetes_refuses_is_refused() {
        let check = |wrong: Expression, expected: &str| {
            let source = SelectorSource { expressions: vec![wrong], ..SelectorSource::default() };
            assert_eq!(
                LabelSelector::new(&source).unwrap_err().to_string(),
                format!("matchExpressions[0]: {expected}")
            );
        };
        check(expression("a", "In", &[]), "the operator In needs values");
        check(expression("a", "NotIn", &[]), "the operator NotIn needs values");
        check(expression("a", "Exists", &["1"]), "the operator Exists takes no values");
        check(expression("a", "Like", &["1"]), "the operator is none of In, NotIn, Exists and DoesNotExist");
    }
}
