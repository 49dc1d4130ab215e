//! Rewriting keys, step by step.

use strongroom_pattern::Pattern;
use strongroom_sync::rewrite::{Merge, MergeStrategy, Rewrite, rewrite};

use crate::{Engine, shown, values};

fn pattern(source: &str, target: &str) -> Rewrite {
    Rewrite::Pattern { source: Pattern::new(source).unwrap(), target: target.to_owned() }
}

fn check(steps: &[Rewrite], before: &[(&str, &str)], expected: &[(&str, &str)]) {
    let made = rewrite(steps, values(before), &Engine, "spec.dataFrom[0]").unwrap();
    assert_eq!(shown(&made), expected, "{steps:?}");
}

fn check_failure(steps: &[Rewrite], before: &[(&str, &str)], expected: &str) {
    let failure = rewrite(steps, values(before), &Engine, "spec.dataFrom[0]").unwrap_err();
    assert_eq!(failure.to_string(), expected);
}

#[test]
fn steps_are_applied_in_order() {
    let steps =
        [pattern("^prod/(.*)", "$1"), pattern("/", "_"), Rewrite::Transform { template: "x-{{ .value }}".into() }];
    check(&steps, &[("prod/db/user", "1"), ("other", "2")], &[("x-db_user", "1"), ("x-other", "2")]);
    check(&[], &[("a", "1")], &[("a", "1")]);
    // Keys that become one: the last of them wins.
    check(&[pattern(".*", "k")], &[("a", "1"), ("b", "2")], &[("k", "2")]);
}

#[test]
fn a_step_that_fails_is_named_and_shows_no_value() {
    let steps = [pattern("a", "b"), Rewrite::Transform { template: "{{ .other }}".into() }];
    check_failure(&steps, &[("a", "canary")], "spec.dataFrom[0].rewrite[1]: key \"b\": transform: no key \"other\"");
}

#[test]
fn merging_extracts_members_and_leaves_nothing_else() {
    let merge = |merge: Merge| [Rewrite::Merge(merge)];
    let before = [
        ("a", r#"{"user": "a", "n": 1.50, "big": 12345678901234567890, "o": {"z": "<", "y": 1e21}}"#),
        ("b", r#"{"pass": null, "l": [1, true]}"#),
    ];
    check(
        &merge(Merge::default()),
        &before,
        &[
            ("big", "12345678901234567890"),
            ("l", "[1,true]"),
            ("n", "1.5"),
            ("o", r#"{"y":1e+21,"z":"\u003c"}"#),
            ("pass", ""),
            ("user", "a"),
        ],
    );
}

#[test]
fn merging_into_a_key_leaves_what_it_was_made_of() {
    let strategy = MergeStrategy::Json("all".to_owned());
    let steps = [Rewrite::Merge(Merge { strategy, ..Merge::default() })];
    check(
        &steps,
        &[("a", r#"{"z": "<&>", "y": 0.0000001}"#), ("b", r#"{"x": "\u2028\b"}"#)],
        &[
            ("a", r#"{"z": "<&>", "y": 0.0000001}"#),
            ("all", "{\"x\":\"\\u2028\\b\",\"y\":1e-7,\"z\":\"<&>\"}"),
            ("b", r#"{"x": "\u2028\b"}"#),
        ],
    );
}

#[test]
fn keys_of_priority_win_and_others_follow_the_alphabet() {
    let before = [("a", r#"{"k": "a"}"#), ("b", r#"{"k": "b"}"#), ("c", r#"{"k": "c"}"#)];
    let merge = |priority: &[&str]| {
        let priority = priority.iter().map(|key| (*key).to_owned()).collect();
        [Rewrite::Merge(Merge { priority, may_conflict: true, ..Merge::default() })]
    };
    check(&merge(&[]), &before, &[("k", "c")]);
    check(&merge(&["a"]), &before, &[("k", "a")]);
    check(&merge(&["a", "b"]), &before, &[("k", "b")]);
}

#[test]
fn conflicts_and_missing_keys_are_errors_unless_they_are_allowed() {
    let before = [("a", r#"{"k": "canary"}"#), ("b", r#"{"k": "canary", "m": 1}"#)];
    let conflict = "spec.dataFrom[0].rewrite[0]: more than one of the merged values has \"k\"";
    check_failure(&[Rewrite::Merge(Merge::default())], &before, conflict);
    let priority = vec!["gone".to_owned()];
    let mut merge = Merge { priority, may_conflict: true, ..Merge::default() };
    let missing = "spec.dataFrom[0].rewrite[0]: the key \"gone\" of priority is not there";
    check_failure(&[Rewrite::Merge(merge.clone())], &before, missing);
    merge.may_miss_priority = true;
    check(&[Rewrite::Merge(merge)], &before, &[("k", "canary"), ("m", "1")]);
    let no_object = "spec.dataFrom[0].rewrite[0]: key \"a\": the value is not a JSON object";
    check_failure(&[Rewrite::Merge(Merge::default())], &[("a", "canary")], no_object);
}
