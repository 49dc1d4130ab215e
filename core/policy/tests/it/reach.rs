//! Questions about all paths of a pattern, against trying all small ones.

use proptest::prelude::*;
use strongroom_policy::acl::{Acl, Capability, Operation, Policy};

use super::{OPERATIONS, acl, is_allowed};

fn check(rules: &str, operation: Operation, target: &str, reaches: Option<&str>, misses: Option<&str>) {
    let block = |rule: &str| {
        let (path, capability) = rule.rsplit_once('=').unwrap();
        format!("path \"{path}\" {{ capabilities = [\"{capability}\"] }}\n")
    };
    let text: String = rules.split_whitespace().map(block).collect();
    let acl = acl(&[&text]);
    let path = |found: Option<strongroom_policy::acl::Found<'_>>| found.map(|found| found.path);
    assert_eq!(path(acl.reaches(target, operation)).as_deref(), reaches, "{target} of {rules}");
    assert_eq!(path(acl.misses(target, operation)).as_deref(), misses, "{target} of {rules}");
}

#[test]
fn a_path_is_found_wherever_there_is_one() {
    let read = Operation::Read;
    check("", read, "s/a/*", None, Some("s/a/…"));
    check("s/*=read", read, "s/a/*", Some("s/a/…"), None);
    check("s/a/+=read", read, "s/a/*", Some("s/a/…"), Some("s/a/…/…"));
    check("s/a/b=read", read, "s/a/*", Some("s/a/b"), Some("s/a/…"));
    check("s/b=read", read, "s/a/*", None, Some("s/a/…"));
    check("s/*=read s/a/*=deny", read, "s/a/*", None, Some("s/a/…"));
    check("s/*=read s/a/+=deny", read, "s/a/*", Some("s/a/…/…"), Some("s/a/…"));
    check("s/*=read s/a/+/*=deny", read, "s/a/*", Some("s/a/…"), Some("s/a/…/…"));
    check("+/+/b=read", read, "s/a/*", Some("s/a/b"), Some("s/a/…"));
    check("s/team*=read", read, "s/team-a/*", Some("s/team-a/…"), None);
    check("s/te=read", read, "s/t*", Some("s/te"), Some("s/t…"));
    check("s/a/b=read s/a/*=list", read, "s/a/b", Some("s/a/b"), None);
    check("s/+/x=read", read, "s/a+/x", Some("s/a+/x"), None);
    check("s/+/x=read s/a/x=deny", read, "s/+/x", Some("s/…/x"), Some("s/a/x"));
    // A folder is asked for with a slash, and decided about by what speaks of it without.
    check("s/a=list", Operation::List, "s/a/*", Some("s/a/"), Some("s/a/…"));
    check("s/a=list s/a/*=deny", Operation::List, "s/a/*", Some("s/a/"), Some("s/a/…"));
    check("s/+=list s/a/*=deny", Operation::List, "s/a/*", None, Some("s/a/…"));
    // Characters that a policy uses stand for themselves.
    check("s/a/…=read", read, "s/a/*", Some("s/a/…"), Some("s/a/※"));
}

#[test]
fn root_reaches_everything() {
    let root = Acl::root();
    assert!(root.reaches("s/a/*", Operation::Read).is_some_and(|found| found.rule.is_none()));
    assert!(root.misses("s/a/*", Operation::Read).is_none());
}

#[test]
fn a_template_may_stand_for_a_path_of_somebody_else() {
    let policy = "path \"s/{{identity.entity.name}}/x\" { capabilities = [\"read\"] }\n\
                  path \"s/a-{{identity.entity.name}}/x\" { capabilities = [\"list\"] }\n\
                  path \"s/a/x\" { capabilities = [\"read\"] }";
    let policy = Policy::parse("p", policy).unwrap();
    let check = |target: &str, operation: Operation, expected: &[u32]| {
        assert_eq!(policy.lines_that_may_fill(target, operation), expected, "{target}");
    };
    check("s/a/*", Operation::Read, &[1]);
    check("s/a/x", Operation::Read, &[1]);
    check("t/*", Operation::Read, &[]);
    check("s/a/*", Operation::List, &[]);
    check("s/a*", Operation::List, &[2]);
    check("*", Operation::List, &[2]);
    check("s/a/*", Operation::Delete, &[]);
}

/// Paths of one to four segments, with a slash at the end and without; `z` and `…` stand in no policy.
fn small_paths() -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    let mut longest = vec![String::new()];
    for length in 0..4 {
        let segments = ["a", "b", "ab", "z", "az", "bz", "abz"];
        let extended = |path: &String| {
            let path = path.clone();
            segments.map(|segment| if length == 0 { segment.to_owned() } else { format!("{path}/{segment}") })
        };
        longest = longest.iter().flat_map(extended).collect();
        all.extend(longest.iter().cloned());
        all.extend(longest.iter().map(|path| format!("{path}/")));
    }
    all
}

fn pattern() -> impl Strategy<Value = String> {
    let segment = prop_oneof![3 => "a|b|ab", 2 => Just("+".to_owned())];
    (prop::collection::vec(segment, 0..3), prop_oneof![3 => "a|b|ab|\\+", 3 => "a?\\*", 1 => Just(String::new())])
        .prop_filter_map("empty", |(mut segments, last)| {
            segments.push(last);
            Some(segments.join("/")).filter(|pattern| !pattern.is_empty() && !pattern.contains("+*"))
        })
}

/// An access list that allows to read what the pattern stands for.
fn pattern_alone(pattern: &str) -> Acl {
    acl(&[&format!("path \"{pattern}\" {{ capabilities = [\"read\"] }}")])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_found_is_so_and_what_is_not_found_is_nowhere(
        rules in prop::collection::vec((pattern(), prop::sample::select(Capability::ALL.to_vec())), 0..7),
        target in pattern(),
        operation in prop::sample::select(OPERATIONS.to_vec()),
    ) {
        let rules: String = rules
            .iter()
            // Half of them about what is asked, so that there is something to be found.
            .enumerate()
            .map(|(place, (path, capability))| {
                let word = if place % 2 == 0 { operation.capability().name() } else { capability.name() };
                format!("path \"{path}\" {{ capabilities = [\"{word}\"] }}\n")
            })
            .collect();
        let acl = acl(&[&rules]);
        let asked = pattern_alone(&target);
        let is_asked = |path: &str| is_allowed(&asked, Operation::Read, path);
        for (is_granted, found) in [(true, acl.reaches(&target, operation)), (false, acl.misses(&target, operation))] {
            match found {
                Some(found) => {
                    prop_assert!(is_asked(&found.path), "{} is not in {target}", found.path);
                    prop_assert_eq!(is_allowed(&acl, operation, &found.path), is_granted, "{} of {}", found.path, rules);
                }
                None => {
                    let other = small_paths().into_iter().find(|path| {
                        is_asked(path) && is_allowed(&acl, operation, path) == is_granted
                    });
                    prop_assert_eq!(other, None, "{:?} {} {} of {}", operation, is_granted, target, rules);
                }
            }
        }
    }
}
