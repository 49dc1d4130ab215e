//! Why a rule decided and others did not.

use strongroom_policy::acl::{Acl, Operation, Precedence};

use super::acl;

/// `pattern=capability`, separated by blanks, each a policy of its own.
fn of(rules: &str) -> Acl {
    let block = |rule: &str| {
        let (path, capability) = rule.rsplit_once('=').unwrap();
        format!("path \"{path}\" {{ capabilities = [\"{capability}\"] }}\n")
    };
    let policies: Vec<String> = rules.split_whitespace().map(block).collect();
    acl(&policies.iter().map(String::as_str).collect::<Vec<_>>())
}

#[test]
fn what_did_not_decide_is_told_with_the_reason() {
    let check = |rules: &str, operation: Operation, path: &str, decider: &str, others: &[(&str, Precedence)]| {
        let acl = of(rules);
        let explanation = acl.explain(path, operation);
        assert_eq!(explanation.decision.rule().map(|rule| rule.path()), Some(decider), "{path} of {rules}");
        let got: Vec<_> = explanation.passed_over.iter().map(|passed| (passed.rule.path(), passed.why)).collect();
        assert_eq!(got, others, "{path} of {rules}");
        assert!(explanation.nearest.is_empty());
    };
    let read = Operation::Read;
    check("a/b=read", read, "a/b", "a/b", &[]);
    check(
        "a/b=read a/*=list a/+=deny c=read",
        read,
        "a/b",
        "a/b",
        &[("a/+", Precedence::Exact), ("a/*", Precedence::Exact)],
    );
    check("a/b*=read a/*=list", read, "a/bc", "a/b*", &[("a/*", Precedence::LaterWildcard)]);
    check("a/+=read a/*=list", read, "a/b", "a/+", &[("a/*", Precedence::NoStar)]);
    check("a/+/b=read a/+/+=list", read, "a/x/b", "a/+/b", &[("a/+/+", Precedence::FewerPluses)]);
    check("+/a/b*=read +/a/*=list", read, "x/a/bc", "+/a/b*", &[("+/a/*", Precedence::Longer)]);
    check("+/a/+/d=read +/+/c/d=list", read, "x/a/c/d", "+/a/+/d", &[("+/+/c/d", Precedence::LaterLetters)]);
    let list = Operation::List;
    check("a/b=list a/b/=list", list, "a/b/", "a/b/", &[("a/b", Precedence::WithSlash)]);
    check("a/*=list a/b/*=deny", list, "a/b/", "a/b/*", &[("a/*", Precedence::LaterWildcard)]);
    check("+/b=list a/*=deny", list, "a/b/", "a/*", &[("+/b", Precedence::WithSlash)]);
}

#[test]
fn where_no_rule_speaks_of_a_path_the_nearest_are_told() {
    let acl = of("secret/data/web/+=read secret/metadata/*=list other=read secret/data/app=read secret/x=read");
    let explanation = acl.explain("secret/data/web", Operation::Read);
    assert!(!explanation.decision.is_allowed() && explanation.passed_over.is_empty());
    let nearest: Vec<&str> = explanation.nearest.iter().map(|rule| rule.path()).collect();
    assert_eq!(nearest.first(), Some(&"secret/data/web/+"));
    assert!(nearest.len() == 3 && !nearest.contains(&"other"), "{nearest:?}");
    let root = Acl::root();
    let explanation = root.explain("secret/data/web", Operation::Read);
    assert!(explanation.decision.is_allowed() && explanation.nearest.is_empty());
}
