use std::collections::BTreeMap;

use serde_json::{Value, json};
use strongroom_restart::demand::Concern;
use strongroom_restart::{Demand, Scope, SecretFacts, Wish};

const OURS: &str = "strongroom.dev/restart";
const AUTO: &str = "reloader.stakater.com/auto";
const SECRET_AUTO: &str = "secret.reloader.stakater.com/auto";
const RELOAD: &str = "secret.reloader.stakater.com/reload";
const EXCLUDE: &str = "secrets.exclude.reloader.stakater.com/reload";
const SEARCH: &str = "reloader.stakater.com/search";
const MATCH: &str = "reloader.stakater.com/match";
const IGNORE: &str = "reloader.stakater.com/ignore";
const CONSUMERS: &str = "strongroom.dev/restart-consumers";

fn annotations(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn secret(pairs: &[(&str, &str)]) -> SecretFacts {
    let metadata = json!({"name": "db", "annotations": annotations(pairs)});
    SecretFacts::of(&serde_json::from_value(metadata).unwrap(), Scope::All)
}

/// Whether a change of the Secret `db` restarts a workload that consumes it, and one that does not.
fn check(of_workload: &[(&str, &str)], of_secret: &[(&str, &str)], consumed: bool, not_consumed: bool) {
    let demand = Demand::of(&annotations(of_workload), &BTreeMap::new());
    let facts = secret(of_secret);
    let concern = |is_consumed| demand.concern(&Wish::Unsaid, "db", Some(&facts), is_consumed) == Concern::Wanted;
    assert_eq!((concern(true), concern(false)), (consumed, not_consumed), "{of_workload:?} {of_secret:?}");
    assert_eq!(demand.problems(), [""; 0]);
}

#[test]
fn without_a_word_nothing_restarts() {
    check(&[], &[], false, false);
    check(&[], &[(MATCH, "true")], false, false);
    check(&[(OURS, "")], &[], false, false);
}

#[test]
fn our_annotation_asks_for_what_is_consumed_or_for_names() {
    check(&[(OURS, "true")], &[], true, false);
    check(&[(OURS, " True ")], &[], true, false);
    check(&[(OURS, "false")], &[], false, false);
    check(&[(OURS, "other")], &[], false, false);
    check(&[(OURS, "other, db")], &[], true, true);
    check(&[(OURS, "d.*")], &[], true, true);
}

#[test]
fn ours_says_never_whoever_else_asks() {
    for asks in [(AUTO, "true"), (SECRET_AUTO, "true"), (RELOAD, "db")] {
        check(&[(OURS, "false"), asks], &[(CONSUMERS, "true"), (MATCH, "true")], false, false);
    }
}

#[test]
fn reloaders_annotations_mean_what_they_mean_there() {
    check(&[(AUTO, "true")], &[], true, false);
    check(&[(SECRET_AUTO, "true")], &[], true, false);
    check(&[(AUTO, "1")], &[], true, false);
    check(&[(AUTO, "yes")], &[], false, false);
    check(&[(AUTO, "false"), (SECRET_AUTO, "true")], &[], true, false);
    check(&[("configmap.reloader.stakater.com/auto", "true")], &[], false, false);
    check(&[(RELOAD, "db")], &[], true, true);
    check(&[(RELOAD, "a, db ,c")], &[], true, true);
    check(&[(RELOAD, "d")], &[], false, false);
    check(&[(RELOAD, "d.+")], &[], true, true);
    check(&[(RELOAD, "x|db")], &[], true, true);
    check(&[(SEARCH, "true")], &[], false, false);
    check(&[(SEARCH, "true")], &[(MATCH, "true")], true, false);
    check(&[(SEARCH, "true")], &[(MATCH, "false")], false, false);
}

#[test]
fn what_is_excluded_counts_only_where_it_is_named() {
    check(&[(AUTO, "true"), (EXCLUDE, "a,db")], &[], false, false);
    check(&[(AUTO, "true"), (EXCLUDE, "a")], &[], true, false);
    check(&[(OURS, "true"), (EXCLUDE, "db")], &[(CONSUMERS, "true")], false, false);
    check(&[(RELOAD, "db"), (EXCLUDE, "db")], &[], true, true);
}

#[test]
fn a_secret_asks_or_forbids() {
    check(&[], &[(CONSUMERS, "true")], true, false);
    check(&[(AUTO, "false")], &[(CONSUMERS, "true")], false, false);
    for asks in [(OURS, "true"), (AUTO, "true"), (RELOAD, "db"), (SEARCH, "true")] {
        check(&[asks], &[(MATCH, "true"), (IGNORE, "true")], false, false);
        check(&[asks], &[(MATCH, "true"), (CONSUMERS, "false")], false, false);
    }
}

#[test]
fn a_namespace_speaks_for_those_that_say_nothing() {
    let check = |of_namespace: &str, of_workload: &[(&str, &str)], expected: bool| {
        let (wish, _) = Wish::of(&annotations(&[(OURS, of_namespace)]));
        let demand = Demand::of(&annotations(of_workload), &BTreeMap::new());
        let concern = demand.concern(&wish, "db", Some(&secret(&[])), true);
        assert_eq!(concern == Concern::Wanted, expected, "{of_namespace} {of_workload:?}");
    };
    check("true", &[], true);
    check("true", &[(OURS, "false")], false);
    check("false", &[], false);
    check("false", &[(OURS, "true")], true);
    check("false", &[(AUTO, "true")], false);
    check("db", &[], true);
    check("other", &[(AUTO, "true")], true);
}

#[test]
fn reloaders_annotations_are_looked_for_on_the_template_where_the_workload_has_none() {
    let check = |of_workload: &[(&str, &str)], expected: bool| {
        let demand = Demand::of(&annotations(of_workload), &annotations(&[(AUTO, "true"), (OURS, "true")]));
        let concern = demand.concern(&Wish::Unsaid, "db", Some(&secret(&[])), true);
        assert_eq!(concern == Concern::Wanted, expected, "{of_workload:?}");
    };
    check(&[], true);
    check(&[("other", "x")], true);
    check(&[(RELOAD, "other")], false);
    check(&[(AUTO, "false")], false);
}

#[test]
fn of_a_secret_that_is_gone_only_the_workload_can_speak() {
    let check = |of_workload: &[(&str, &str)], expected: Concern| {
        let demand = Demand::of(&annotations(of_workload), &BTreeMap::new());
        assert_eq!(demand.concern(&Wish::Unsaid, "db", None, true), expected, "{of_workload:?}");
    };
    check(&[(OURS, "true")], Concern::Wanted);
    check(&[(RELOAD, "db")], Concern::Wanted);
    check(&[(SEARCH, "true")], Concern::Unknown);
    check(&[], Concern::Unknown);
    check(&[(OURS, "false")], Concern::Unwanted);
}

#[test]
fn patterns_of_tenants_are_whole_bounded_and_cannot_reach_into_one_another() {
    let check = |list: &str, name: &str, expected: bool, problem: Option<&str>| {
        let demand = Demand::of(&annotations(&[(RELOAD, list)]), &BTreeMap::new());
        let is_wanted = demand.concern(&Wish::Unsaid, name, Some(&secret(&[])), false) == Concern::Wanted;
        assert_eq!(is_wanted, expected, "{list} {name}");
        let problems = demand.problems().join("\n");
        match problem {
            Some(part) => assert!(problems.contains(part), "{list}: {problems}"),
            None => assert_eq!(problems, ""),
        }
    };
    check("a.b", "axb", true, None);
    check("a.*,c.*", "bc", false, None);
    check("a)|(.*", "zzz", false, Some("does not count"));
    check("a(,b.*", "bb", true, Some("does not count"));
    check(r"(?i)DB", "db", true, None);
    check(r"(a)\1", "aa", false, Some("backreferences"));
    check(&format!("db,{}", "x".repeat(3072)), "db", false, Some("may have"));
    check(&format!("db{}", ",x".repeat(100)), "db", false, Some("may have"));
    check("(?:x{100}){100}{100},y.*", "yy", true, Some("does not count"));
    // Many that are good alone and too large together.
    let large = [r"\pL{20}"; 20].join(",");
    check(&large, "a", false, Some("patterns do not count"));
}

#[test]
fn values_that_are_no_texts_are_no_annotations() {
    let object: Value =
        json!({"metadata": {"name": "a", "namespace": "b", "annotations": {OURS: true, AUTO: ["true"]}}});
    let workload = strongroom_restart::Workload::read(strongroom_restart::Kind::Deployment, &object).unwrap();
    assert_eq!(workload.demand, Demand::default());
}
