//! Store policies: which keys of a cluster store a namespace may read, and into what they may be written.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use strongroom_failure::{Class, Failure};

use crate::key_pattern::{KeyPattern, NamePattern};
use crate::namespace::Namespace;
use crate::selector::{LabelSelector, SelectorSource};

/// A policy as it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicySource {
    /// What it is called.
    pub name: String,
    /// The cluster stores that it is about, by name.
    pub stores: Vec<String>,
    /// What is allowed.
    pub rules: Vec<RuleSource>,
}

/// One rule as it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleSource {
    /// The namespaces by patterns of names, and every one where there is none.
    pub names: Vec<String>,
    /// The namespaces by labels. One that both fields speak of must match both.
    pub selector: Option<SelectorSource>,
    /// Patterns of the keys that these may read.
    pub keys: Vec<String>,
    /// The kinds of object, besides Secrets, into which these may have the values written.
    pub targets: Vec<TargetKind>,
}

/// A kind of object that values are written into.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TargetKind {
    /// Its group and version.
    pub api_version: String,
    /// Its kind.
    pub kind: String,
}

impl TargetKind {
    /// Kubernetes' own Secret, the usual one.
    pub fn secret() -> Self {
        Self { api_version: "v1".to_owned(), kind: "Secret".to_owned() }
    }
}

impl fmt::Display for TargetKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} ({})", self.kind, self.api_version)
    }
}

/// A policy that was understood, as far as it could be.
#[derive(Clone, Debug)]
pub struct Policy {
    name: String,
    stores: BTreeSet<String>,
    /// With each rule's place in the source.
    rules: Vec<(usize, Rule)>,
    problems: Vec<Failure>,
}

#[derive(Clone, Debug)]
struct Rule {
    names: Vec<NamePattern>,
    selector: Option<LabelSelector>,
    keys: Vec<KeyPattern>,
    targets: Vec<TargetKind>,
}

impl Policy {
    /// Understands a policy. What cannot be understood allows nothing, and the policy's stores are under it all the
    /// same.
    pub fn new(source: &PolicySource) -> Self {
        let mut problems = Vec::new();
        let rules = source.rules.iter().enumerate();
        let rules = rules.filter_map(|(place, rule)| Some((place, understood(place, rule, &mut problems)?))).collect();
        Self { name: source.name.clone(), stores: source.stores.iter().cloned().collect(), rules, problems }
    }

    /// What could not be understood, with its field below the policy: `spec.rules[0].keys[1]`.
    pub fn problems(&self) -> &[Failure] {
        &self.problems
    }
}

/// What one rule allows; `None` where it is unclear for whom.
fn understood(place: usize, source: &RuleSource, problems: &mut Vec<Failure>) -> Option<Rule> {
    let field = format!("spec.rules[{place}]");
    let selector = match source.selector.as_ref().map(LabelSelector::new).transpose() {
        Ok(selector) => selector,
        Err(failure) => {
            let inner = failure.subject.field.clone().unwrap_or_default();
            problems.push(failure.in_field(format!("{field}.namespaces.selector.{inner}")));
            return None;
        }
    };
    let names = patterns(&source.names, &format!("{field}.namespaces.names"), NamePattern::new, problems);
    // Without its wrong names, a rule for some namespaces must not become one for all.
    if names.is_empty() && !source.names.is_empty() {
        return None;
    }
    let keys = patterns(&source.keys, &format!("{field}.keys"), KeyPattern::new, problems);
    Some(Rule { names, selector, keys, targets: source.targets.clone() })
}

fn patterns<T>(
    sources: &[String],
    field: &str,
    understand: impl Fn(&str) -> Result<T, Failure>,
    problems: &mut Vec<Failure>,
) -> Vec<T> {
    let mut patterns = Vec::new();
    for (place, source) in sources.iter().enumerate() {
        match understand(source) {
            Ok(pattern) => patterns.push(pattern),
            Err(failure) => problems.push(failure.in_field(format!("{field}[{place}]"))),
        }
    }
    patterns
}

impl Rule {
    fn is_for(&self, namespace: &Namespace) -> bool {
        (self.names.is_empty() || self.names.iter().any(|name| name.matches(&namespace.name)))
            && self.selector.as_ref().is_none_or(|selector| selector.selects(&namespace.labels))
    }

    fn key(&self, key: &str, namespace: &Namespace) -> Option<&KeyPattern> {
        self.keys.iter().find(|pattern| pattern.matches(key, namespace))
    }

    fn lets_into(&self, target: &TargetKind) -> bool {
        *target == TargetKind::secret() || self.targets.contains(target)
    }
}

/// All policies of a cluster.
#[derive(Clone, Debug, Default)]
pub struct StorePolicies {
    /// The policies of each store, by name.
    by_store: BTreeMap<String, Vec<Policy>>,
}

impl StorePolicies {
    /// Puts `policies` together.
    pub fn new(policies: impl IntoIterator<Item = Policy>) -> Self {
        let mut by_store: BTreeMap<String, Vec<Policy>> = BTreeMap::new();
        for policy in policies {
            for store in &policy.stores {
                by_store.entry(store.clone()).or_default().push(policy.clone());
            }
        }
        for policies in by_store.values_mut() {
            // So that the same rule is named whichever way the policies came.
            policies.sort_by(|one, other| one.name.cmp(&other.name));
        }
        Self { by_store }
    }

    /// Whether any policy is about the cluster store `store`.
    pub fn govern(&self, store: &str) -> bool {
        self.by_store.contains_key(store)
    }

    /// Whether any rule about `store` is for `namespace`, whatever its keys: where none is, nothing needs to be asked.
    pub fn concern(&self, store: &str, namespace: &Namespace) -> bool {
        let mut policies = self.by_store.get(store).into_iter().flatten();
        policies.any(|policy| policy.rules.iter().any(|(_, rule)| rule.is_for(namespace)))
    }

    /// Whether `namespace` may read `key` of the cluster store `store` and have it written into a `target`.
    ///
    /// `key` is the store's name for the secret as the asker wrote it, before the store's own prefix; of what was
    /// found by name or tags, each one's key is asked for. One rule must allow all of it.
    pub fn allows(&self, store: &str, namespace: &Namespace, key: &str, target: &TargetKind) -> Decision {
        let Some(policies) = self.by_store.get(store) else {
            return Decision::NotGoverned;
        };
        let mut is_for_other_targets = false;
        for policy in policies {
            for (place, rule) in policy.rules.iter().filter(|(_, rule)| rule.is_for(namespace)) {
                let Some(pattern) = rule.key(key, namespace) else { continue };
                if rule.lets_into(target) {
                    let pattern = pattern.source().to_owned();
                    return Decision::Allowed { policy: policy.name.clone(), rule: *place, pattern };
                }
                is_for_other_targets = true;
            }
        }
        Decision::Denied(denial(policies, namespace, key, is_for_other_targets.then_some(target)))
    }
}

/// Why nothing allowed it. Names no pattern: they may tell a tenant what others have.
fn denial(policies: &[Policy], namespace: &Namespace, key: &str, target: Option<&TargetKind>) -> Failure {
    let names: Vec<&str> = policies.iter().map(|policy| policy.name.as_str()).collect();
    let kind = if names.len() == 1 { "StorePolicy" } else { "StorePolicies" };
    let rules = format!("no rule of {kind} {} allows namespace {}", names.join(", "), namespace.name);
    let (words, cure) = match target {
        Some(target) => (
            format!("{rules} to have it written into a {target}"),
            "add the kind to targets of the rule that allows the key, or write a Secret",
        ),
        None => (
            format!("{rules} to read it"),
            "add a rule whose keys match it; keys are compared as they are written, and a * stays within its segment",
        ),
    };
    Failure::new(Class::Denied, words).on_key(key).with_hint(cure)
}

/// A decision and what it rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// No policy is about the store: its own conditions alone decide.
    NotGoverned,
    /// A rule allows it.
    Allowed {
        /// The policy's name.
        policy: String,
        /// The rule's place in it, from 0.
        rule: usize,
        /// The pattern that matched the key.
        pattern: String,
    },
    /// No rule allows it, for the reason that a person reads.
    Denied(Failure),
}

impl Decision {
    /// `Ok` where it is allowed or not governed.
    ///
    /// # Errors
    /// `Denied`, with the key, the policies and what to change.
    pub fn into_result(self) -> Result<(), Failure> {
        match self {
            Self::NotGoverned | Self::Allowed { .. } => Ok(()),
            Self::Denied(failure) => Err(failure),
        }
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotGoverned => formatter.write_str("no StorePolicy names the store"),
            Self::Allowed { policy, rule, pattern } => {
                write!(formatter, "StorePolicy {policy} allows it: spec.rules[{rule}] with \"{pattern}\"")
            }
            Self::Denied(failure) => write!(formatter, "{}", failure.words),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::selector::Expression;

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    fn namespace(name: &str) -> Namespace {
        let labels = BTreeMap::from([("team".to_owned(), name.trim_start_matches("team-").to_owned())]);
        Namespace { name: name.to_owned(), labels }
    }

    fn config_map() -> TargetKind {
        TargetKind { api_version: "v1".to_owned(), kind: "ConfigMap".to_owned() }
    }

    fn labelled(operator: &str, values: &[&str]) -> Option<SelectorSource> {
        let expression = Expression { key: "team".into(), operator: operator.into(), values: texts(values) };
        Some(SelectorSource { labels: BTreeMap::new(), expressions: vec![expression] })
    }

    fn policies() -> StorePolicies {
        let own =
            RuleSource { names: texts(&["team-*"]), keys: texts(&["{{ .namespace }}/**"]), ..RuleSource::default() };
        let shared = RuleSource { keys: texts(&["shared/*"]), targets: vec![config_map()], ..RuleSource::default() };
        let labelled =
            RuleSource { selector: labelled("In", &["ops"]), keys: texts(&["ops/**"]), ..RuleSource::default() };
        let both = RuleSource {
            names: texts(&["team-*"]),
            selector: labelled_as_ops(),
            keys: texts(&["both"]),
            ..RuleSource::default()
        };
        let first = PolicySource { name: "a".into(), stores: texts(&["aws"]), rules: vec![own, shared] };
        let second = PolicySource { name: "b".into(), stores: texts(&["aws", "vault"]), rules: vec![labelled, both] };
        let nothing = PolicySource { name: "c".into(), stores: texts(&["closed"]), rules: Vec::new() };
        StorePolicies::new([second, first, nothing].iter().map(Policy::new))
    }

    fn labelled_as_ops() -> Option<SelectorSource> {
        labelled("In", &["ops"])
    }

    #[test]
    fn what_no_rule_allows_is_denied() {
        let check = |store: &str, name: &str, key: &str, expected: &str| {
            let decision = policies().allows(store, &namespace(name), key, &TargetKind::secret());
            assert_eq!(decision.to_string(), expected, "{store} {name} {key}");
        };
        check("free", "team-a", "anything", "no StorePolicy names the store");
        check("aws", "team-a", "team-a/db", "StorePolicy a allows it: spec.rules[0] with \"{{ .namespace }}/**\"");
        check("aws", "team-a", "team-b/db", "no rule of StorePolicies a, b allows namespace team-a to read it");
        check("aws", "x", "x/db", "no rule of StorePolicies a, b allows namespace x to read it");
        check("aws", "x", "shared/ca", "StorePolicy a allows it: spec.rules[1] with \"shared/*\"");
        check("vault", "x", "shared/ca", "no rule of StorePolicy b allows namespace x to read it");
        check("vault", "ops", "ops/db", "StorePolicy b allows it: spec.rules[0] with \"ops/**\"");
        check("vault", "ops", "both", "no rule of StorePolicy b allows namespace ops to read it");
        check("vault", "team-ops", "both", "StorePolicy b allows it: spec.rules[1] with \"both\"");
        check("vault", "team-a", "both", "no rule of StorePolicy b allows namespace team-a to read it");
        check("closed", "team-a", "x", "no rule of StorePolicy c allows namespace team-a to read it");
        assert!(policies().govern("closed") && !policies().govern("free"));
        assert!(policies().concern("vault", &namespace("ops")) && policies().concern("aws", &namespace("x")));
        assert!(!policies().concern("vault", &namespace("x")) && !policies().concern("free", &namespace("ops")));
    }

    #[test]
    fn values_are_written_into_secrets_unless_the_rule_names_other_kinds() {
        let check = |key: &str, target: &TargetKind, expected: Option<&str>| {
            let decision = policies().allows("aws", &namespace("team-a"), key, target);
            assert_eq!(decision.into_result().err().map(|failure| failure.to_string()).as_deref(), expected);
        };
        check("shared/ca", &config_map(), None);
        check("team-a/db", &TargetKind::secret(), None);
        check(
            "team-a/db",
            &config_map(),
            Some(
                "key \"team-a/db\": no rule of StorePolicies a, b allows namespace team-a to have it written into a \
                 ConfigMap (v1)",
            ),
        );
        let other = TargetKind { api_version: "example.com/v1".to_owned(), kind: "ConfigMap".to_owned() };
        assert!(policies().allows("aws", &namespace("a"), "shared/ca", &other).into_result().is_err());
        assert!(policies().allows("free", &namespace("a"), "x", &other).into_result().is_ok());
    }

    #[test]
    fn what_cannot_be_understood_allows_nothing_and_is_named() {
        let wrong_name = RuleSource { names: texts(&["a/b"]), keys: texts(&["**"]), ..RuleSource::default() };
        let wrong_selector =
            RuleSource { selector: labelled("Like", &["a"]), keys: texts(&["**"]), ..RuleSource::default() };
        let wrong_key = RuleSource { keys: texts(&["a**", "good"]), ..RuleSource::default() };
        let rules = vec![wrong_name, wrong_selector, wrong_key];
        let policy = Policy::new(&PolicySource { name: "p".into(), stores: texts(&["aws"]), rules });
        let fields: Vec<_> = policy.problems().iter().filter_map(|one| one.subject.field.clone()).collect();
        assert_eq!(
            fields,
            [
                "spec.rules[0].namespaces.names[0]",
                "spec.rules[1].namespaces.selector.matchExpressions[0]",
                "spec.rules[2].keys[0]"
            ]
        );
        let policies = StorePolicies::new([policy]);
        let allows = |key: &str| policies.allows("aws", &namespace("a"), key, &TargetKind::secret()).into_result();
        assert!(allows("anything").is_err());
        assert!(allows("good").is_ok());
    }
}
