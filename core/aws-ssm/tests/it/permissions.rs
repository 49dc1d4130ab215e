use std::collections::BTreeMap;

use strongroom_aws_ssm::permission::{PARAMETERS, ROLES, check, check_found, manifest};
use strongroom_aws_ssm::{Kind, Request};
use strongroom_policy::{Namespace, Policy, PolicySource, RuleSource, StorePolicies};

const ROLE: &str = "arn:aws:iam::111122223333:role/reader";

fn policies(stores: &[&str], keys: &[&str]) -> StorePolicies {
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let rule = RuleSource { names: texts(&["team"]), keys: texts(keys), ..RuleSource::default() };
    let source = PolicySource { name: "p".into(), stores: texts(stores), rules: vec![rule] };
    StorePolicies::new([Policy::new(&source)])
}

fn namespace(name: &str) -> Namespace {
    Namespace { name: name.to_owned(), labels: BTreeMap::new() }
}

fn request(name: &str, kind: Kind, role: Option<&str>) -> Request {
    Request { name: name.to_owned(), kind, role: role.map(str::to_owned) }
}

#[test]
fn nothing_is_read_that_no_policy_allows() {
    let check = |policies: &StorePolicies, name: &str, request: &Request, expected: bool| {
        let outcome = check(policies, &namespace(name), "s", request);
        assert_eq!(outcome.is_ok(), expected, "{name} {request:?} {outcome:?}");
    };
    let plain = request("/team/db", Kind::String, None);
    check(&StorePolicies::default(), "team", &plain, false);
    check(&policies(&["other"], &["/team/**"]), "team", &plain, false);
    let open = policies(&[PARAMETERS], &["/team/**", "arn:aws:iam::111122223333:role/*"]);
    check(&open, "team", &plain, true);
    check(&open, "else", &plain, false);
    check(&open, "team", &request("/else/db", Kind::String, None), false);
    // A role is a key of another store.
    check(&open, "team", &request("/team/db", Kind::String, Some(ROLE)), false);
    check(
        &policies(&[PARAMETERS, ROLES], &["/team/**", ROLE]),
        "team",
        &request("/team/db", Kind::String, Some(ROLE)),
        true,
    );
}

#[test]
fn each_parameter_of_a_directory_is_asked_about() {
    let policies = policies(&[PARAMETERS], &["/team/db/*"]);
    let asked = request("/team", Kind::Directory, None);
    assert!(check(&policies, &namespace("team"), "s", &asked).is_ok());
    assert!(check(&policies, &namespace("else"), "s", &asked).is_err());
    assert!(check_found(&policies, &namespace("team"), "s", &asked, "/team/db/user").is_ok());
    let failure = check_found(&policies, &namespace("team"), "s", &asked, "/team/root").unwrap_err();
    assert_eq!(failure.words, "no StorePolicy lets the namespace team read the parameter /team/root");
}

#[test]
fn the_refusal_holds_the_manifest_that_allows_it() {
    let asked = request("/team/db/", Kind::Directory, Some(ROLE));
    let failure = check(&StorePolicies::default(), &namespace("team"), "app", &asked).unwrap_err();
    let expected = manifest("team", "app", &asked);
    assert_eq!(failure.hint.as_deref(), Some(format!("to allow it, kubectl apply this: {expected}").as_str()));
    let manifest: serde_json::Value = serde_json::from_str(&expected).unwrap();
    assert_eq!(manifest["metadata"]["name"], "aws-ssm.team.app");
    let keys: Vec<&str> =
        manifest["spec"]["rules"][0]["keys"].as_array().unwrap().iter().map(|key| key.as_str().unwrap()).collect();
    assert_eq!(keys, ["/team/db/**", ROLE]);
    let allowed = policies(&[PARAMETERS, ROLES], &keys);
    assert!(check(&allowed, &namespace("team"), "app", &asked).is_ok());
    assert!(check_found(&allowed, &namespace("team"), "app", &asked, "/team/db/user").is_ok());
    // Half a manifest helps nobody.
    let long = check(&allowed, &namespace("team"), "app", &request(&"x".repeat(900), Kind::String, None)).unwrap_err();
    assert!(long.hint.unwrap().ends_with("write a StorePolicy for the store aws-ssm.strongroom.dev"));
}
