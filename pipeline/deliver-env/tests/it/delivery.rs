use proptest::prelude::*;
use strongroom_deliver_env::{Entry, Environment, LONGEST_ENTRY, Resolved, deliver, find};
use strongroom_failure::Failure;
use strongroom_secret::SecretBytes;

fn entries(texts: &[&str]) -> Vec<Entry> {
    texts.iter().map(|text| Entry::from_bytes(text.as_bytes().to_vec())).collect()
}

/// Delivers `given`, whose references come to `values` in their order (`None`: absent).
fn delivered(given: &[&str], values: &[Option<&[u8]>], allowed: &[&str]) -> Result<Environment, Vec<Failure>> {
    let wanted = find(&entries(given), &[]).unwrap();
    assert_eq!(wanted.len(), values.len(), "references in {given:?}");
    let resolved = values
        .iter()
        .map(|value| value.map_or(Resolved::Absent, |value| Resolved::Value(SecretBytes::new(value.to_vec()))));
    let allowed: Vec<String> = allowed.iter().map(|&name| name.to_owned()).collect();
    deliver(entries(given), wanted.into_iter().zip(resolved).collect(), Vec::new(), &allowed)
}

fn check(given: &[&str], values: &[Option<&[u8]>], expected: &[&str]) -> Environment {
    let environment = delivered(given, values, &[]).unwrap();
    let shown: Vec<_> =
        environment.entries.iter().map(|entry| String::from_utf8_lossy(entry.expose()).into_owned()).collect();
    assert_eq!(shown, expected);
    environment
}

const SECRET: &str = "A=arn:aws:secretsmanager:eu-west-1:111122223333:secret:app-a1b2c3";
const PARAMETER: &str = "A=arn:aws:ssm:eu-west-1:111122223333:parameter/app/password";

#[test]
fn si_01_an_environment_without_references_stays_as_it_is() {
    check(&["A=1", "B=x=y", "odd", "C=", "=weird"], &[], &["A=1", "B=x=y", "odd", "C=", "=weird"]);
    check(&["A=1", "B=2", "A=3"], &[], &["A=3", "B=2"]);
}

#[test]
fn si_09_a_plain_value_takes_the_place_of_its_reference() {
    check(&["X=1", SECRET, "Y=2"], &[Some(b"s3cr=t")], &["X=1", "A=s3cr=t", "Y=2"]);
}

#[test]
fn si_10_an_object_becomes_its_members_and_the_variable_goes() {
    check(&[SECRET, "X=1"], &[Some(br#"{"TEST_1":"v1","TEST_2":"v2"}"#)], &["X=1", "TEST_1=v1", "TEST_2=v2"]);
}

#[test]
fn si_11_numbers_and_booleans_expand_as_their_json_text() {
    check(
        &[SECRET],
        &[Some(br#"{"port":3306,"tls":true,"ratio":1.50,"host":"db"}"#)],
        &["port=3306", "tls=true", "ratio=1.50", "host=db"],
    );
}

#[test]
fn si_12_anything_but_an_object_of_plain_members_stays_text() {
    for text in [
        "12345",
        "true",
        "null",
        "\"quoted\"",
        "[1]",
        "{\"a\":{\"b\":1}}",
        "{\"a\":null}",
        "{\"a\":[1]}",
        "{broken",
        "{}x",
        "{}",
    ] {
        check(&[SECRET], &[Some(text.as_bytes())], &[&format!("A={text}")]);
    }
}

#[test]
fn a_parameter_and_a_property_never_expand() {
    check(&[PARAMETER], &[Some(br#"{"a":"b"}"#)], &[r#"A={"a":"b"}"#]);
    check(&[&format!("{SECRET}#inner")], &[Some(br#"{"a":"b"}"#)], &[r#"A={"a":"b"}"#]);
}

#[test]
fn an_absent_optional_value_leaves_its_variable_out() {
    check(&["X=1", &format!("{SECRET}?optional")], &[None], &["X=1"]);
}

#[test]
fn a_written_variable_wins_over_a_member_and_the_owner_is_told() {
    let environment = check(&[SECRET, "port=1"], &[Some(br#"{"port":"canary","host":"db"}"#)], &["port=1", "host=db"]);
    assert_eq!(environment.warnings.len(), 1);
    assert!(environment.warnings[0].contains("\"port\"") && !environment.warnings[0].contains("canary"));
}

#[test]
fn members_that_change_how_programs_run_need_leave() {
    let value: &[u8] = br#"{"LD_PRELOAD":"/canary.so","PATH":"/canary","BASH_ENV":"x","NODE_OPTIONS":"y","ok":"1"}"#;
    let environment = check(&[SECRET], &[Some(value)], &["ok=1"]);
    assert_eq!(environment.warnings.len(), 4);
    assert!(environment.warnings.iter().all(|warning| warning.contains("--allow-env") && !warning.contains("canary")));
    let allowed = delivered(&[SECRET], &[Some(value)], &["PATH"]).unwrap();
    assert!(allowed.entries.iter().any(|entry| entry.expose() == b"PATH=/canary"));
}

#[test]
fn what_an_environment_cannot_hold_is_refused_and_files_are_named() {
    let check = |value: &[u8], words: &str| {
        let failures = delivered(&[PARAMETER], &[Some(value)], &[]).unwrap_err();
        let failure = &failures[0];
        assert!(failure.to_string().starts_with("A: ") && failure.to_string().contains(words), "{failure}");
        assert!(failure.hint.as_ref().unwrap().contains("--file"));
    };
    check(b"a\0b", "binary");
    check(&[0xff, 0xfe], "binary");
    check(&vec![b'x'; LONGEST_ENTRY - 1], "131072 bytes");
    let fits = vec![b'x'; LONGEST_ENTRY - 2];
    assert!(delivered(&[PARAMETER], &[Some(&fits)], &[]).is_ok());
    assert!(delivered(&[SECRET], &[Some(br#"{"a=b":"c"}"#)], &[]).is_err());
}

#[test]
fn a_malformed_reference_names_its_variable() {
    let failures = find(&entries(&["X=1", "BAD=sr://nowhere/x"]), &[]).unwrap_err();
    assert!(failures[0].to_string().starts_with("BAD: "), "{}", failures[0]);
}

#[test]
fn a_kept_variable_is_ordinary_whatever_it_holds() {
    let given = entries(&["CIPHERTEXT=vault:v1:abc", SECRET]);
    let wanted = find(&given, &["CIPHERTEXT".to_owned()]).unwrap();
    assert_eq!(wanted.iter().map(|wanted| wanted.name.as_str()).collect::<Vec<_>>(), ["A"]);
    assert!(find(&given, &[]).is_err());
}

#[test]
fn a_reference_that_is_not_utf_8_is_no_ordinary_value() {
    let odd = |bytes: &[u8]| find(&[Entry::from_bytes(bytes.to_vec())], &["K\u{fffd}".to_owned()]);
    assert!(odd(b"A=vault:secret/data/\xe4#x").is_err());
    assert!(odd(b"N\xff=sr://aws-sm/x").is_err());
    assert!(odd(b"A=\xff\xfe").unwrap().is_empty());
    assert!(odd(b"K\xff=sr://aws-sm/x").unwrap().is_empty(), "kept by name");
}

#[test]
fn five_hundred_references_fit_one_environment() {
    let given: Vec<String> =
        (0..500).map(|number| format!("V{number}=arn:aws:ssm:eu-west-1:1:parameter/app/{number}")).collect();
    let given: Vec<&str> = given.iter().map(String::as_str).collect();
    let environment = delivered(&given, &vec![Some(&b"v"[..]); 500], &[]).unwrap();
    assert_eq!(environment.entries.len(), 500);
}

/// The last entry of each name, in the place of the first; the slow and plain way.
fn last_of_each_name(given: &[Vec<u8>]) -> Vec<&[u8]> {
    let name =
        |entry: &[u8]| entry.iter().position(|&byte| byte == b'=').map_or(entry.to_vec(), |at| entry[..at].to_vec());
    let mut kept: Vec<&[u8]> = Vec::new();
    for entry in given {
        match kept.iter_mut().find(|other| name(other) == name(entry)) {
            Some(other) => *other = entry,
            None => kept.push(entry),
        }
    }
    kept
}

proptest! {
    #[test]
    fn what_is_not_a_reference_reaches_the_child_byte_for_byte(given in proptest::collection::vec(proptest::collection::vec(1u8.., 0..40), 0..20)) {
        let entries: Vec<Entry> = given.iter().cloned().map(Entry::from_bytes).collect();
        if let Ok(wanted) = find(&entries, &[]) && wanted.is_empty() {
            let environment = deliver(entries, Vec::new(), Vec::new(), &[]).unwrap();
            let got: Vec<&[u8]> = environment.entries.iter().map(Entry::expose).collect();
            prop_assert_eq!(got, last_of_each_name(&given));
        }
    }
}
