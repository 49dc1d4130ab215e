//! From the selectors of kinds to those that decide.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use strongroom_failure::Failure;
use strongroom_policy::{ConditionSource, Expression, NamespaceConditions, SelectorSource};

use crate::external_secrets::{NamespaceCondition, SecretStoreSpec};

/// The selector in plain words.
pub(crate) fn selector_source(selector: &LabelSelector) -> SelectorSource {
    let expressions = selector.match_expressions.iter().flatten().map(|requirement| Expression {
        key: requirement.key.clone(),
        operator: requirement.operator.clone(),
        values: requirement.values.clone().unwrap_or_default(),
    });
    SelectorSource { labels: selector.match_labels.clone().unwrap_or_default(), expressions: expressions.collect() }
}

/// The selector, ready to select.
///
/// # Errors
/// `Invalid`, in the field `matchExpressions[…]`, where Kubernetes would not understand it.
pub fn label_selector(selector: &LabelSelector) -> Result<strongroom_policy::LabelSelector, Failure> {
    strongroom_policy::LabelSelector::new(&selector_source(selector))
}

impl SecretStoreSpec {
    /// Which namespaces a ClusterSecretStore admits.
    ///
    /// # Errors
    /// Every part of the conditions that could not be understood; the store then admits nobody.
    pub fn namespace_conditions(&self) -> Result<NamespaceConditions, Vec<Failure>> {
        let sources: Vec<ConditionSource> = self.conditions.iter().map(NamespaceCondition::source).collect();
        NamespaceConditions::new(&sources)
    }
}

impl NamespaceCondition {
    fn source(&self) -> ConditionSource {
        ConditionSource {
            selector: self.namespace_selector.as_ref().map(selector_source),
            names: self.namespaces.clone(),
            patterns: self.namespace_regexes.clone(),
        }
    }
}
