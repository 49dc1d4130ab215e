use std::collections::BTreeMap;

use strongroom_kes::Settings;
use strongroom_kes::permission::check;

use super::object;

const NAMING: &str = "externalsecrets.kubernetes-client.io/permitted-key-name";
const ROLE: &str = "iam.amazonaws.com/permitted";

/// Annotations of the namespace, the object's spec, and whether that is allowed.
type Row<'a> = (&'a [(&'a str, &'a str)], &'a str, bool);

fn allowed(annotations: &[(&str, &str)], spec: &str, settings: &Settings) -> Result<(), String> {
    let annotations: BTreeMap<_, _> =
        annotations.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let spec = format!("{{backendType: secretsManager, {spec}}}");
    let object = object(&spec);
    check("team/app", &annotations, object.spec.as_ref().unwrap(), settings).map_err(|failure| failure.words)
}

#[test]
fn ke_11_annotations_of_the_namespace_say_which_keys_and_roles_are_allowed() {
    let own = "dev/team-a/.*";
    let table: &[Row] = &[
        (&[], "data: []", true),
        (&[(NAMING, "")], "data: [{key: whatever, name: a}]", true),
        (&[(NAMING, ".*")], "data: [{key: whatever, name: a}]", true),
        (&[(NAMING, own)], "data: [{key: dev/team-a/secret, name: a}]", true),
        (&[(NAMING, own)], "data: [{key: dev/team-b/secret, name: a}]", false),
        (&[(NAMING, own)], "data: [{path: dev/team-a/secret}]", true),
        (&[(NAMING, own)], "data: [{path: dev/team-b/secret}]", false),
        (&[(NAMING, own)], "data: [{key: dev/team-a/secret, name: a, path: ''}]", false),
        (&[(NAMING, own)], "data: [{key: dev/team-a/secret, name: a}, {path: dev/team-b/secret}]", false),
        (&[(NAMING, own)], "data: [{key: dev/team-b/secret, name: a}, {path: dev/team-a/secret}]", false),
        (&[(NAMING, own)], "dataFrom: [dev/team-a/secret]", true),
        (&[(NAMING, own)], "dataFrom: [dev/team-b/secret]", false),
        (&[(NAMING, own)], "data: [{key: dev/team-a/secret, name: a}], dataFrom: [dev/team-b/secret]", false),
        (&[(NAMING, own)], "data: [{key: dev/team-b/secret, name: a}], dataFrom: [dev/team-a/secret]", false),
        (&[(NAMING, "")], "dataFrom: [any]", true),
        (&[(ROLE, "")], "data: []", true),
        (&[(ROLE, ".*")], "data: [], roleArn: whatever", true),
        (&[(ROLE, "^$")], "data: [], roleArn: whatever", false),
        (
            &[(ROLE, "arn:aws:iam::123456789012:role/.*")],
            "data: [], roleArn: 'arn:aws:iam::123456789012:role/somerole'",
            true,
        ),
        (&[(ROLE, "^(foo|bar)")], "data: [], roleArn: let-me-be-root", false),
        (&[(NAMING, ".*"), (ROLE, "a")], "data: [], roleArn: b", false),
        (&[(NAMING, ".*"), (ROLE, "a")], "data: [], vaultRole: b", false),
        (&[(NAMING, ".*"), (ROLE, "a")], "data: [], roleArn: a", true),
        (&[(NAMING, ".*"), (ROLE, "a")], "data: [], vaultRole: a", true),
    ];
    for anchored in [true, false] {
        let settings = Settings { are_patterns_anchored: anchored, ..Settings::default() };
        for (annotations, spec, expected) in table {
            assert_eq!(allowed(annotations, spec, &settings).is_ok(), *expected, "{annotations:?} {spec}");
        }
    }
}

#[test]
fn ke_11_enforced_a_namespace_without_annotations_allows_nothing() {
    let settings = Settings { is_enforced: true, ..Settings::default() };
    let table: &[Row] = &[
        (&[], "data: []", false),
        (&[(NAMING, "")], "data: []", false),
        (&[(ROLE, "")], "data: []", false),
        (&[(NAMING, "a")], "dataFrom: [a], roleArn: a", false),
        (&[(NAMING, "a"), (ROLE, "")], "dataFrom: [a], roleArn: a", false),
        (&[(NAMING, "a"), (ROLE, "b")], "dataFrom: [a]", true),
    ];
    for (annotations, spec, expected) in table {
        assert_eq!(allowed(annotations, spec, &settings).is_ok(), *expected, "{annotations:?} {spec}");
    }
    let words = allowed(&[(NAMING, "a")], "dataFrom: [a], roleArn: a", &settings).unwrap_err();
    let expected =
        format!("not allowed to fetch secret: team/app: Missing required annotation {ROLE} on namespace team");
    assert_eq!(words, expected);
}

/// Every path to a key that the original forgot.
#[test]
fn s3_every_path_to_a_key_is_asked_about() {
    let naming = [(NAMING, "ours/.*")];
    let table = [
        "dataFromWithOptions: [{key: theirs/a}]",
        "dataFromWithOptions: [{key: ours/a}, {key: theirs/a, versionStage: X}]",
        "properties: [{key: theirs/a, name: a}]",
    ];
    for spec in table {
        let words = allowed(&naming, spec, &Settings::default()).unwrap_err();
        assert_eq!(
            words,
            "not allowed to fetch secret: team/app: key name theirs/a does not match naming convention ours/.*"
        );
    }
    let settings = Settings { vault_role: Some("root".to_owned()), ..Settings::default() };
    let spec = object("{backendType: vault, data: []}").spec.unwrap();
    let rules = BTreeMap::from([(ROLE.to_owned(), "reader".to_owned())]);
    let words = check("team/app", &rules, &spec, &settings).unwrap_err().words;
    assert_eq!(words, "not allowed to fetch secret: team/app: namespace does not allow to assume role root");
}

#[test]
fn s3_a_pattern_matches_the_whole_key_unless_told_otherwise() {
    let unanchored = Settings { are_patterns_anchored: false, ..Settings::default() };
    for (pattern, key) in [("foo", "xfoox"), ("dev/a", "prod/dev/a"), ("a|b", "ab")] {
        let spec = format!("dataFrom: ['{key}']");
        assert!(allowed(&[(NAMING, pattern)], &spec, &Settings::default()).is_err(), "{pattern} {key}");
        assert!(allowed(&[(NAMING, pattern)], &spec, &unanchored).is_ok(), "{pattern} {key}");
    }
}

#[test]
fn a_pattern_that_cannot_be_matched_in_bounded_time_allows_nothing_and_is_named() {
    for pattern in ["(", "(?!a)b", r"(a)\1"] {
        let words = allowed(&[(NAMING, pattern)], "dataFrom: [b]", &Settings::default()).unwrap_err();
        assert!(words.starts_with(&format!("the annotation {NAMING} of namespace team: ")), "{words}");
    }
}
