//! Which rule decides: governance.md §8.1, row by row.

use strongroom_policy::acl::{Acl, Decision, Operation, Policy, Refusal, Request};

use super::{acl, is_allowed, parsed};

/// `pattern=capability`, separated by blanks.
fn block(rules: &str) -> String {
    let block = |rule: &str| {
        let (path, capability) = rule.rsplit_once('=').unwrap();
        format!("path \"{path}\" {{ capabilities = [\"{capability}\"] }}\n")
    };
    rules.split_whitespace().map(block).collect()
}

fn check(rules: &str, path: &str, expected: &[&str]) {
    assert_eq!(acl(&[&block(rules)]).capability_names(path), expected, "{path} of {rules}");
}

#[test]
fn what_no_rule_grants_is_denied() {
    check("", "a", &["deny"]);
    check("a=read", "b", &["deny"]);
    check("a=read", "a/b", &["deny"]);
    check("a=read", "ab", &["deny"]);
    assert!(matches!(
        acl(&[]).check(&Request { path: "a", operation: Operation::Read, parameters: &[], wrapping: None }),
        Decision::Denied(Refusal::NoRule)
    ));
    // A path without capabilities is spoken of, and denied.
    assert_eq!(acl(&["path \"a\" {}"]).capability_names("a"), ["deny"]);
}

#[test]
fn an_exact_path_goes_before_every_pattern() {
    check("a/b=read a/b*=list a/+=update *=delete", "a/b", &["read"]);
    check("a/b=deny a/*=read", "a/b", &["deny"]);
    check("a/b=deny a/*=read", "a/bc", &["read"]);
}

#[test]
fn of_two_patterns_the_one_whose_first_wildcard_is_later_decides() {
    check("foo/a*=read foo/+=list", "foo/ab", &["read"]);
    check("foo/bar/+/baz=read foo/+/bar/baz=list", "foo/bar/bar/baz", &["read"]);
    check("a/*=read a/b/*=list a/b/c/*=update", "a/b/c/d", &["update"]);
    check("a/*=read a/b/*=list a/b/c/*=update", "a/b/d", &["list"]);
}

#[test]
fn of_two_patterns_the_one_without_a_star_decides() {
    check("foo/+/bar=read foo/+/ba*=list", "foo/x/bar", &["read"]);
    check("foo/+=read foo/*=list", "foo/x", &["read"]);
    check("foo/+=read foo/*=list", "foo/x/y", &["list"]);
}

#[test]
fn of_two_patterns_the_one_with_fewer_pluses_decides() {
    check("foo/+/bar/baz=read foo/+/+/baz=list", "foo/x/bar/baz", &["read"]);
    check("+/+=read +/a=list", "c/a", &["list"]);
}

#[test]
fn of_two_patterns_the_longer_then_the_greater_decides() {
    check("foo/+/bar/ba*=read foo/+/bar/b*=list", "foo/x/bar/baz", &["read"]);
    check("foo/+/a/+=read foo/+/+/a=list", "foo/x/a/a", &["read"]);
}

#[test]
fn the_same_pattern_adds_up_over_policies() {
    let acl = acl(&[&block("a/*=read b=list"), &block("a/*=list"), &block("a/*=sudo")]);
    assert_eq!(acl.capability_names("a/x"), ["list", "read", "sudo"]);
    let rule = acl.rules().iter().find(|rule| rule.path() == "a/*").unwrap();
    assert_eq!(rule.to_string(), "path \"a/*\" (policy \"p0\", line 1; policy \"p1\", line 1; policy \"p2\", line 1)");
}

#[test]
fn deny_wins_over_everything_on_its_path_and_nowhere_else() {
    for policies in [["a/*=read", "a/*=deny"], ["a/*=deny", "a/*=read"]] {
        let texts = policies.map(block);
        let acl = acl(&[&texts[0], &texts[1], &block("a/b/*=list")]);
        assert_eq!(acl.capability_names("a/x"), ["deny"]);
        assert_eq!(acl.capability_names("a/b/c"), ["list"]);
    }
    assert_eq!(acl(&["path \"a\" { capabilities = [\"read\", \"deny\", \"list\"] }"]).capability_names("a"), ["deny"]);
}

#[test]
fn a_plus_is_one_segment_and_an_empty_one_too() {
    check("s/+=read", "s/a", &["read"]);
    check("s/+=read", "s/a/b", &["deny"]);
    check("s/+=read", "s", &["deny"]);
    check("s/+/b=read", "s//b", &["read"]);
    check("s/+/*=read", "s/x", &["deny"]);
    check("s/+/*=read", "s/x/", &["read"]);
    check("s/+/b*=read", "s/x/b/c", &["read"]);
    // Elsewhere than alone in a segment it is a plus, and so is a star in the middle a star.
    check("s/a+b=read", "s/a+b", &["read"]);
    check("s/a+b=read", "s/axb", &["deny"]);
    check("s/+b=read", "s/xb", &["deny"]);
    check("s/*/b=read", "s/x/b", &["deny"]);
    check("s/*/b=read", "s/*/b", &["read"]);
}

#[test]
fn a_folder_is_listed_with_and_without_its_slash() {
    let check = |rules: &str, operation: Operation, path: &str, expected: bool| {
        assert_eq!(is_allowed(&acl(&[&block(rules)]), operation, path), expected, "{operation:?} {path} of {rules}");
    };
    use Operation::{List, Read, Scan};
    check("s/a=list", List, "s/a/", true);
    check("s/a=list", List, "s/a", true);
    check("s/a/=list", List, "s/a", false);
    check("s/+=list", List, "s/a/", true);
    check("s/a/*=list", List, "s/a/", true);
    check("s/a/*=list", List, "s/a", false);
    check("s/a=read", Read, "s/a/", false);
    check("s/+=read", Read, "s/a/", false);
    check("s/a=scan", Scan, "s/a/", true);
    check("s/+=scan", Scan, "s/a/", true);
    // An exact rule decides with or without the slash, and before every wildcard.
    check("s/a=deny s/a/*=list", List, "s/a/", false);
    check("s/a=list s/a/*=deny", List, "s/a/", true);
    check("s/a*=deny s/a/=list", List, "s/a/", true);
}

#[test]
fn ghsa_xp3c_3jw3_4vcr_a_denied_folder_is_not_listed_without_its_slash() {
    let acl = acl(&[&block("kv/metadata/*=list kv/metadata/private/*=deny +/metadata/+=list")]);
    for operation in super::OPERATIONS {
        assert!(!is_allowed(&acl, operation, "kv/metadata/private/"), "{operation:?}");
    }
    assert!(is_allowed(&acl, Operation::List, "kv/metadata/public/"));
    assert_eq!(acl.capability_names("kv/metadata/private/"), ["deny"]);
}

#[test]
fn old_shorthands_stand_for_capabilities() {
    let check = |text: &str, expected: &[&str]| assert_eq!(acl(&[text]).capability_names("a"), expected, "{text}");
    check("path \"a\" { policy = \"read\" }", &["list", "read"]);
    check("path \"a\" { policy = \"write\" }", &["create", "delete", "list", "read", "update"]);
    check("path \"a\" { policy = \"sudo\" }", &["create", "delete", "list", "read", "sudo", "update"]);
    check("path \"a\" { policy = \"deny\" capabilities = [\"read\"] }", &["deny"]);
    check("path \"a\" { policy = \"read\" capabilities = [\"sudo\"] }", &["list", "read", "sudo"]);
    check("path \"a\" { policy = \"\" }", &["deny"]);
}

#[test]
fn each_operation_needs_its_own_capability() {
    let named = |operation: Operation| operation.capability().name();
    for granted in super::OPERATIONS {
        let acl = acl(&[&block(&format!("a={}", named(granted)))]);
        for asked in super::OPERATIONS {
            assert_eq!(is_allowed(&acl, asked, "a"), asked == granted, "{asked:?} of {granted:?}");
        }
    }
}

#[test]
fn sudo_is_told_and_left_to_the_caller() {
    let check = |rules: &str, expected: Option<bool>| {
        let acl = acl(&[&block(rules)]);
        let request = Request { path: "sys/raw/a", operation: Operation::Read, parameters: &[], wrapping: None };
        let has_sudo = match acl.check(&request) {
            Decision::Allowed(grant) => Some(grant.has_sudo),
            Decision::Denied(_) => None,
        };
        assert_eq!(has_sudo, expected, "{rules}");
    };
    check("sys/raw/*=read", Some(false));
    check("sys/raw/*=read sys/raw/*=sudo", Some(true));
    check("sys/raw/*=sudo", None);
}

#[test]
fn root_may_do_everything() {
    let acl = Acl::root();
    assert_eq!(acl.capability_names("any/thing"), ["root"]);
    assert!(acl.is_root() && acl.reaches_into("secret/"));
    for operation in super::OPERATIONS {
        assert!(is_allowed(&acl, operation, "sys/raw/x"));
    }
}

#[test]
fn t9_a_token_with_any_right_on_a_mount_reaches_it() {
    let check = |rules: &str, expected: bool| {
        assert_eq!(acl(&[&block(rules)]).reaches_into("secret/"), expected, "{rules}");
    };
    check("secret/data/x=read", true);
    check("secret/data/*=list", true);
    check("sec*=read", true);
    check("*=read", true);
    check("secret=list", true);
    check("+/data/x=read", true);
    check("+/d*=read", true);
    check("+=read", true);
    check("secret/+/x=read", true);
    check("secret/data/x=deny", false);
    check("*=deny", false);
    check("secrets/x=read", false);
    check("other/+/x=read", false);
    check("", false);
    // A wide denial does not hide what a closer rule grants.
    check("secret/*=deny secret/data/x=read", true);
}

#[test]
fn a_decision_names_the_rule_that_decided() {
    let acl = acl(&["\npath \"s/*\" { capabilities = [\"read\"] }", &block("s/x*=deny s/l=list")]);
    let check = |operation: Operation, path: &str, expected: &str| {
        let decision = acl.check(&Request { path, operation, parameters: &[], wrapping: None });
        assert_eq!(decision.to_string(), expected);
    };
    check(Operation::Read, "s/a", "allowed: path \"s/*\" (policy \"p0\", line 2) grants read");
    check(Operation::Read, "t", "denied: no policy speaks of the path");
    check(Operation::Read, "s/xy", "denied: path \"s/x*\" (policy \"p1\", line 1) denies everything");
    check(
        Operation::Delete,
        "s/a",
        "denied: path \"s/*\" (policy \"p0\", line 2) is the most specific, and does not grant delete",
    );
    let matching: Vec<&str> = acl.matching("s/xy", Operation::Read).iter().map(|rule| rule.path()).collect();
    assert_eq!(matching, ["s/x*", "s/*"]);
    let matching: Vec<&str> = acl.matching("s/l/", Operation::List).iter().map(|rule| rule.path()).collect();
    assert_eq!(matching, ["s/l", "s/*"]);
}

#[test]
fn a_block_holds_until_it_expires() {
    let policies: Vec<Policy> = [
        parsed(0, "path \"a\" { capabilities = [\"read\"] expiration = \"1970-01-01T00:01:40Z\" }"),
        parsed(1, "path \"a\" { capabilities = [\"list\"] expiration = \"200\" }"),
        parsed(2, "path \"a\" { capabilities = [\"sudo\"] }"),
    ]
    .into();
    let check = |now: i64, expected: &[&str], valid_until: Option<i64>| {
        let acl = Acl::new(&policies, &Default::default(), now);
        assert_eq!((acl.capability_names("a"), acl.valid_until()), (expected.to_vec(), valid_until), "{now}");
        assert!(acl.skipped().iter().all(|skipped| skipped.is_expired));
    };
    check(100, &["list", "read", "sudo"], Some(100));
    check(101, &["list", "sudo"], Some(200));
    check(201, &["sudo"], None);
}
