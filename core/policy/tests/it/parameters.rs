//! What a request must bring and must not, and how long its answer may be wrapped.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use strongroom_policy::acl::{Argument, Decision, Operation, Request};

use super::acl;

/// `name=value` pairs as texts of a query.
fn arguments(pairs: &str) -> Vec<(&str, Argument<'_>)> {
    let pairs = pairs.split_whitespace().map(|pair| pair.split_once('=').unwrap());
    pairs.map(|(name, value)| (name, Argument::Text(value))).collect()
}

fn decide(limits: &str, operation: Operation, pairs: &str, wrapping: Option<u64>) -> String {
    let acl = acl(&[&format!(
        "path \"a\" {{ capabilities = [\"create\", \"read\", \"update\", \"patch\", \"delete\", \"list\"]\n{limits} }}"
    )]);
    let parameters = arguments(pairs);
    let wrapping = wrapping.map(Duration::from_secs);
    let decision = acl.check(&Request { path: "a", operation, parameters: &parameters, wrapping });
    match decision {
        Decision::Allowed(grant) => format!("allowed {:?}", grant.page_limit),
        Decision::Denied(_) => decision.to_string(),
    }
}

const ALLOWED: &str = "allowed None";

#[test]
fn parameters_are_looked_at_where_something_is_read_or_written() {
    let limits = "allowed_parameters = { \"x\" = [] }";
    for operation in [Operation::Create, Operation::Read, Operation::Update, Operation::Patch] {
        assert_eq!(
            decide(limits, operation, "y=1", None),
            "denied: path \"a\" (policy \"p0\", line 1) does not allow the parameter \"y\", or what it is set to"
        );
        assert_eq!(decide(limits, operation, "x=1", None), ALLOWED);
        assert_eq!(decide(limits, operation, "", None), ALLOWED);
    }
    for operation in [Operation::Delete, Operation::List] {
        assert_eq!(decide(limits, operation, "y=1", None), ALLOWED);
    }
}

#[test]
fn parameters_are_allowed_denied_and_required() {
    let check = |limits: &str, pairs: &str, expected: bool| {
        let decision = decide(limits, Operation::Update, pairs, None);
        assert_eq!(decision == ALLOWED, expected, "{limits} {pairs}: {decision}");
    };
    check("allowed_parameters = { n = [\"a*\"] }", "n=ab", true);
    check("allowed_parameters = { n = [\"a*\"] }", "N=ab", true);
    check("allowed_parameters = { n = [\"a*\"] }", "n=ab N=x", false);
    check("allowed_parameters = { n = [\"a\"], \"*\" = [] }", "m=1", true);
    check("allowed_parameters = { n = [\"a\"], \"*\" = [] }", "n=b", false);
    check("allowed_parameters = { \"*\" = [\"z\"] }", "n=b", true);
    check("allowed_parameters = {}", "n=b", true);
    check("denied_parameters = { \"*\" = [\"x\"] }", "n=b", false);
    check("denied_parameters = { \"*\" = [] }", "", true);
    check("denied_parameters = { n = [] }", "N=b", false);
    check("denied_parameters = { n = [\"a\"] }", "n=b", true);
    check("allowed_parameters = { n = [] } denied_parameters = { n = [\"a\"] }", "n=a", false);
    check("required_parameters = [\"n\"]", "n=b", true);
    check("required_parameters = [\"N\"]", "n=b", true);
    check("required_parameters = [\"n\"]", "N=b", false);
    check("required_parameters = [\"n\"]", "", false);
    // One that is there twice must be fine both times.
    check("denied_parameters = { n = [\"a\"] }", "n=b n=a", false);
}

#[test]
fn answers_are_wrapped_within_the_bounds() {
    let check = |limits: &str, wrapping: Option<u64>, expected: bool| {
        for operation in [Operation::Read, Operation::List, Operation::Delete] {
            assert_eq!(decide(limits, operation, "", wrapping) == ALLOWED, expected, "{limits} {wrapping:?}");
        }
    };
    check("min_wrapping_ttl = \"1m\"", None, false);
    check("min_wrapping_ttl = \"1m\"", Some(59), false);
    check("min_wrapping_ttl = \"1m\"", Some(60), true);
    check("max_wrapping_ttl = 90", None, false);
    check("max_wrapping_ttl = 90", Some(91), false);
    check("max_wrapping_ttl = 90", Some(90), true);
    check("min_wrapping_ttl = 0", None, true);
}

#[test]
fn lists_are_paged_where_the_policy_says_so() {
    let check = |limits: &str, pairs: &str, expected: &str| {
        let decision = decide(limits, Operation::List, pairs, None);
        let decision = if decision.starts_with("denied") { "denied".to_owned() } else { decision };
        assert_eq!(decision, expected, "{limits} {pairs}");
    };
    check("pagination_limit = 5", "", "allowed Some(5)");
    check("pagination_limit = 5", "limit=5", "allowed Some(5)");
    check("pagination_limit = 5", "limit=6", "denied");
    check("pagination_limit = 5", "limit=max", "allowed Some(5)");
    check("pagination_limit = 5", "limit=0", "allowed Some(5)");
    check("pagination_limit = 5", "limit=-1", "allowed Some(5)");
    check("pagination_limit = 5", "limit=x", "denied");
    check("pagination_limit = 5", "limit=5 limit=6", "denied");
    check("pagination_limit = 5", "limit=99999999999999999999", "denied");
    check("pagination_limit = 5 required_parameters = [\"limit\"]", "", "denied");
    check("pagination_limit = 5 required_parameters = [\"limit\"]", "limit=max", "allowed Some(5)");
    check("pagination_limit = 0", "limit=6", ALLOWED);
}

#[test]
fn limits_of_the_same_path_add_up() {
    let both = |one: &str, other: &str, pairs: &str, wrapping: Option<u64>| {
        let block = |limits: &str| format!("path \"a\" {{ capabilities = [\"update\"]\n{limits} }}");
        let (one, other) = (block(one), block(other));
        let parameters = arguments(pairs);
        let wrapping = wrapping.map(Duration::from_secs);
        let request = Request { path: "a", operation: Operation::Update, parameters: &parameters, wrapping };
        let allowed = acl(&[&one, &other]).check(&request).is_allowed();
        assert_eq!(acl(&[&other, &one]).check(&request).is_allowed(), allowed, "{one} {other}");
        allowed
    };
    let allowed = "allowed_parameters = { n = [\"a\"] }";
    assert!(both(allowed, "allowed_parameters = { n = [\"b\"] }", "n=a", None));
    assert!(both(allowed, "allowed_parameters = { n = [\"b\"] }", "n=b", None));
    assert!(!both(allowed, "allowed_parameters = { n = [\"b\"] }", "n=c", None));
    assert!(both(allowed, "allowed_parameters = { n = [] }", "n=c", None));
    // A block without limits does not lift those of another.
    assert!(!both(allowed, "", "n=c", None));
    assert!(!both("denied_parameters = { n = [\"a\"] }", "denied_parameters = { n = [] }", "n=c", None));
    assert!(!both("required_parameters = [\"n\"]", "required_parameters = [\"m\"]", "n=c", None));
    assert!(both("max_wrapping_ttl = 90", "max_wrapping_ttl = 60", "", Some(60)));
    assert!(!both("max_wrapping_ttl = 90", "max_wrapping_ttl = 60", "", Some(61)));
    assert!(both("min_wrapping_ttl = 90", "min_wrapping_ttl = 60", "", Some(60)));
    // Between them no time is left.
    assert!(!both("min_wrapping_ttl = 90", "max_wrapping_ttl = 60", "", Some(60)));
    assert!(!both("min_wrapping_ttl = 90", "max_wrapping_ttl = 60", "", Some(90)));
}

/// For each parameter the values that are listed for it.
type Lists = BTreeMap<&'static str, Vec<&'static str>>;

fn lists() -> impl Strategy<Value = Lists> {
    let name = prop::sample::select(vec!["p", "q", "r", "*"]);
    let value = prop::sample::select(vec!["x", "x*", "*y", "*x*", "*"]);
    prop::collection::btree_map(name, prop::collection::vec(value, 0..3), 0..3)
}

fn written(lists: &Lists) -> String {
    format!(
        "{{ {} }}",
        lists.iter().map(|(name, values)| format!("{name:?} = {values:?}")).collect::<Vec<_>>().join(", ")
    )
}

fn is_among(value: &str, list: &[&str]) -> bool {
    let stands_for = |glob: &str| match glob {
        "x*" => value.starts_with('x'),
        "*y" => value.ends_with('y'),
        "*x*" => value.contains('x'),
        exact => exact == value,
    };
    list.is_empty() || list.iter().any(|glob| stands_for(glob))
}

/// Two blocks' lists as one: a name with an empty list has every value.
fn together(one: &Lists, other: &Lists) -> Lists {
    let mut both = one.clone();
    for (name, values) in other {
        let merged = match one.get(name) {
            Some(present) if present.is_empty() || values.is_empty() => Vec::new(),
            Some(present) => [present.clone(), values.clone()].concat(),
            None => values.clone(),
        };
        both.insert(name, merged);
    }
    both
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn parameters_are_decided_as_by_the_naive_model(
        allowed in (lists(), lists()),
        denied in (lists(), lists()),
        required in prop::collection::btree_set(prop::sample::select(vec!["p", "q"]), 0..2),
        given in prop::collection::btree_map(
            prop::sample::select(vec!["p", "q", "r", "s"]), prop::sample::select(vec!["x", "xy", "yx", "z", "*"]), 0..4),
    ) {
        let required: Vec<_> = required.into_iter().collect();
        let block = |allowed: &Lists, denied: &Lists| format!(
            "path \"a\" {{ capabilities = [\"update\"]\nallowed_parameters = {}\ndenied_parameters = {}\n\
             required_parameters = {required:?} }}", written(allowed), written(denied));
        let acl = acl(&[&block(&allowed.0, &denied.0), &block(&allowed.1, &denied.1)]);
        let (allowed, denied) = (together(&allowed.0, &allowed.1), together(&denied.0, &denied.1));
        let expected = required.iter().all(|name| given.contains_key(name))
            && given.iter().all(|(name, value)| {
                let is_denied = denied.contains_key("*") || denied.get(name).is_some_and(|list| is_among(value, list));
                let is_allowed = match allowed.get(name) {
                    Some(list) => is_among(value, list),
                    None => allowed.is_empty() || allowed.contains_key("*"),
                };
                !is_denied && is_allowed
            });
        let parameters: Vec<_> = given.iter().map(|(name, value)| (*name, Argument::Text(value))).collect();
        let request = Request { path: "a", operation: Operation::Update, parameters: &parameters, wrapping: None };
        let decision = acl.check(&request);
        prop_assert_eq!(decision.is_allowed(), expected, "{:?} {:?} {:?}: {}", allowed, denied, given, decision);
    }
}
