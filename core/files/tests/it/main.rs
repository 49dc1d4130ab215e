//! Lists of files, as people write them and as they go wrong.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use jiff::Timestamp;
use strongroom_failure::{Class, Failure};
use strongroom_files::{File, LARGEST_FILE, Owner, parse};
use strongroom_secret::SecretBytes;

/// What must not come back in any failure.
const CANARY: &str = "canary-7f3a";

fn one(text: &str) -> File {
    let mut files = parse(text).unwrap();
    assert_eq!(files.len(), 1);
    files.remove(0)
}

fn refused(text: &str) -> Failure {
    let failure = parse(text).unwrap_err();
    assert_eq!(failure.class, Class::Invalid);
    assert!(!format!("{failure:?}").contains("canary"), "{failure:?}");
    failure
}

fn references(file: &File) -> Vec<String> {
    file.references().map(ToString::to_string).collect()
}

fn rendered(file: &File, values: &[Option<&str>]) -> Result<Option<String>, String> {
    let values = values.iter().map(|value| value.map(|text| SecretBytes::from(text.to_owned()))).collect();
    let now = Timestamp::from_second(1_700_000_000).unwrap();
    let text = |value: SecretBytes| value.expose_text().unwrap().to_owned();
    file.render(values, now).map(|value| value.map(text)).map_err(|failure| failure.to_string())
}

#[test]
fn a_list_says_path_source_mode_and_owner() {
    let files = parse(
        r#"
- path: db/password
  from: sr://aws-sm/prod/db#password
- path: db.conf
  values:
    user: vault:secret/data/db#user
    password: sr://aws-sm/prod/db?optional#password
  template: |
    user={{ .user }}
  mode: "0440"
  owner: "1000:2000"
- {path: token, from: sr://fake/t, mode: 0400, owner: 1000}
"#,
    )
    .unwrap();
    let told: Vec<_> = files.iter().map(|file| (file.path.as_str(), file.mode, file.owner, references(file))).collect();
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    assert_eq!(
        told,
        [
            ("db/password", 0o644, None, owned(&["sr://aws-sm/prod/db#password"])),
            (
                "db.conf",
                0o440,
                Some(Owner { user: 1000, group: Some(2000) }),
                owned(&["sr://aws-sm/prod/db?optional#password", "sr://vault/secret/data/db#user"])
            ),
            ("token", 0o400, Some(Owner { user: 1000, group: None }), owned(&["sr://fake/t"])),
        ]
    );
    assert!(parse("[]").unwrap().is_empty());
}

#[test]
fn a_mistake_is_named_by_its_place_and_not_repeated() {
    let check = |text: &str, field: &str, words: &str| {
        let failure = refused(text);
        assert_eq!(failure.subject.field.as_deref(), Some(field), "{text}: {failure}");
        assert!(failure.to_string().contains(words), "{text}: {failure}");
    };
    check("- {path: a, from: sr://fake/x}\n- {path: b, from: canary-7f3a}", "files[1].from", "not a reference");
    check("- {path: a, from: sr://canary-7f3a/x}", "files[0].from", "not known");
    check("- {path: a, values: {user: canary-7f3a}, template: x}", "files[0].values.user", "not a reference");
    check("- {path: a, values: {canary-7f3a: sr://fake/x}, template: x}", "files[0].values", "letters");
    check("- {path: a, values: {}, template: x}", "files[0].values", "1 to 100");
    check("- {path: a, values: {user: sr://fake/x}}", "files[0]", "no template");
    check("- {path: a, values: {user: sr://fake/x}, from: sr://fake/x}", "files[0]", "both");
    check("- {path: a, template: canary-7f3a}", "files[0]", "needs from");
    check("- {path: a, from: }", "files[0]", "needs from");
    check("- {path: a, from: sr://fake/x, template: '{{ .x'}", "files[0].template", "line 1");
    check("- {path: a, from: sr://fake/x, template: '{{ nosuch .x }}'}", "files[0].template", "\"nosuch\"");
    check("- {path: a, from: sr://fake/x, mode: canary-7f3a}", "files[0].mode", "octal");
    check("- {path: a, from: sr://fake/x, mode: '4755'}", "files[0].mode", "0777");
    check("- {path: a, from: sr://fake/x, mode: '+440'}", "files[0].mode", "octal");
    check("- {path: a, from: sr://fake/x, owner: root}", "files[0].owner", "number");
    check("- {path: a, from: sr://fake/x, owner: '4294967295'}", "files[0].owner", "number");
    check("- {path: a, from: sr://fake/x}\n- {path: a, from: sr://fake/x}", "files[1].path", "files[0]");
    check("- {path: a, from: sr://fake/x}\n- {path: a/b, from: sr://fake/x}", "files[1].path", "below");
    check("- {path: a/b, from: sr://fake/x}\n- {path: a, from: sr://fake/x}", "files[1].path", "below");
    for path in ["''", "/a", "../a", "a/../b", "a/..", "..data/a", "a/..b", "a//b", "a/", ".", "./a", "\"a\\0\""] {
        check(&format!("- {{path: {path}, from: sr://fake/x}}"), "files[0].path", "");
    }
    check(&format!("- {{path: {}, from: sr://fake/x}}", "a".repeat(256)), "files[0].path", "255");
    check(&format!("- {{path: {}b, from: sr://fake/x}}", "a/".repeat(512)), "files[0].path", "1024");
    // The text itself.
    check(
        "- path: a\n  from: sr://fake/x\n  canary: x",
        "files",
        "line 3, column 3: an unknown key, expected one of path",
    );
    check("- from: sr://fake/x", "files", "\"path\" is missing");
    check("- path: a\n  path: canary-7f3a", "files", "twice");
    check("- {path: a, values: {u: sr://fake/x, u: sr://fake/y}, template: x}", "files", "twice");
    check("path: canary-7f3a", "files", "expected");
    check("canary-7f3a", "files", "");
    for nothing in ["", "  \n", "# canary-7f3a", "~"] {
        check(nothing, "files", "nothing is listed");
    }
    check("- {path: [canary-7f3a], from: sr://fake/x}", "files", "");
    check("- &a {path: a, from: sr://fake/x}\n- *a", "files", "anchors");
    check("- path: \"canary-7f3a", "files", "YAML");
    check("[]\n---\n- canary-7f3a", "files", "");
}

#[test]
fn a_name_that_only_begins_alike_lies_beside() {
    let files =
        parse("- {path: a, from: sr://fake/x}\n- {path: a.b, from: sr://fake/x}\n- {path: .a, from: sr://fake/x}");
    assert_eq!(files.unwrap().len(), 3);
}

#[test]
fn lists_are_bounded() {
    let list =
        |count: usize| (0..count).map(|place| format!("- {{path: f{place}, from: sr://fake/x}}\n")).collect::<String>();
    assert_eq!(parse(&list(100)).unwrap().len(), 100);
    assert!(refused(&list(101)).to_string().contains("100 are allowed"));
    let long = format!("{}# {}", list(1), CANARY.repeat(256 * 1024 / CANARY.len()));
    assert!(refused(&long).to_string().contains("262144 are allowed"));
    let values = |count: usize| (0..count).map(|place| format!("v{place}: sr://fake/x")).collect::<Vec<_>>().join(", ");
    let entry = |count: usize| format!("- {{path: a, template: x, values: {{{}}}}}", values(count));
    assert!(parse(&entry(100)).is_ok());
    assert!(refused(&entry(101)).to_string().contains("1 to 100"));
}

#[test]
fn a_file_is_its_value_or_what_a_template_makes_of_it() {
    let check = |entry: &str, values: &[Option<&str>], expected: Result<Option<&str>, &str>| {
        let file = one(entry);
        match (rendered(&file, values), expected) {
            (Ok(text), Ok(expected)) => assert_eq!(text.as_deref(), expected, "{entry}"),
            (Err(words), Err(expected)) => assert!(words.contains(expected) && !words.contains("canary"), "{words}"),
            (got, _) => panic!("{entry}: {got:?}"),
        }
    };
    let plain = "- {path: a, from: sr://fake/x?optional}";
    check(plain, &[Some("v\0")], Ok(Some("v\0")));
    check(plain, &[Some("")], Ok(Some("")));
    check(plain, &[None], Ok(None));
    let object = r#"{"user":"u","port":5432,"big":12345678901234567890,"value":"member","in":{"a":[1,true]}}"#;
    let with = |template: &str| format!("- {{path: a, from: sr://fake/x, template: '{template}'}}");
    check(&with("{{ .user }}:{{ .port }}:{{ .big }}"), &[Some(object)], Ok(Some("u:5432:12345678901234567890")));
    check(&with("{{ .value | len }}"), &[Some(object)], Ok(Some(&object.len().to_string())));
    check(&with("{{ index .in.a 0 }}"), &[Some(object)], Ok(Some("1")));
    check(&with("<{{ .value }}>"), &[Some("no object")], Ok(Some("<no object>")));
    check(&with("{{ get . \"nope\" | default \"5432\" }}"), &[Some(object)], Ok(Some("5432")));
    check(&with("<{{ .value }}>"), &[None], Ok(None));
    check(&with("{{ .missing }}"), &[Some(r#"{"a":"canary"}"#)], Err("a: template line 1, column"));
    check(&with("{{ fail .value }}"), &[Some("canary")], Err("a: template line 1"));
    let several = |template: &str| {
        format!("- {{path: a, values: {{b: sr://fake/b, a: sr://fake/a?optional}}, template: '{template}'}}")
    };
    check(&several("{{ .a }}={{ .b }}"), &[Some("1"), Some("2")], Ok(Some("1=2")));
    check(&several("{{ .a }}={{ .b }}"), &[None, Some("2")], Ok(Some("=2")));
    check(&several("{{ .a | default \"x\" }}={{ .b }}"), &[None, Some("2")], Ok(Some("x=2")));
    check(&several("{{ .c }}"), &[None, Some("canary")], Err("a: template line 1"));
    check(&several("{{ now | date \"2006-01-02\" }}"), &[None, None], Ok(Some("2023-11-14")));
}

#[test]
fn a_file_has_a_greatest_size() {
    let plain = one("- {path: a, from: sr://fake/x}");
    let (fits, large) = ("x".repeat(LARGEST_FILE), "x".repeat(LARGEST_FILE + 1));
    assert!(rendered(&plain, &[Some(&fits)]).is_ok());
    assert!(rendered(&plain, &[Some(&large)]).unwrap_err().contains("1048576 are allowed"));
    let doubled = one("- {path: a, from: sr://fake/x, template: '{{ .value }}{{ .value }}'}");
    assert!(rendered(&doubled, &[Some(&fits)]).is_err());
}

#[test]
fn debug_shows_no_template() {
    let shown = format!("{:?}", parse("- {path: a, values: {u: sr://fake/x}, template: canary-7f3a}").unwrap());
    assert!(!shown.contains("canary"), "{shown}");
    assert!(shown.contains("sr://fake/x"), "{shown}");
}
