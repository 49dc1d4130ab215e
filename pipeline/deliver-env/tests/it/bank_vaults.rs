//! What bank-vaults' users have besides whole references: values composed of several, and secrets that are spread.

use jiff::Timestamp;
use strongroom_deliver_env::{Entry, Environment, Resolved, Spread, deliver, fill, find};
use strongroom_failure::Failure;
use strongroom_reference::parse_paths;
use strongroom_secret::SecretBytes;

fn entries(texts: &[&str]) -> Vec<Entry> {
    texts.iter().map(|text| Entry::from_bytes(text.as_bytes().to_vec())).collect()
}

fn bytes(text: &str) -> SecretBytes {
    SecretBytes::from(text.to_owned())
}

fn shown(environment: &Environment) -> Vec<String> {
    environment.entries.iter().map(|entry| String::from_utf8_lossy(entry.expose()).into_owned()).collect()
}

/// What `A=value` comes to when its references come to `values`; `None` where it is left out.
fn filled(value: &str, values: &[Option<&str>]) -> Result<Option<String>, Failure> {
    let given = entries(&[&format!("A={value}")]);
    let wanted = find(&given, &[]).map_err(|failures| failures[0].clone())?.remove(0);
    assert_eq!(wanted.value.references().count(), values.len(), "{value}");
    let values = values.iter().map(|value| value.map(bytes)).collect();
    Ok(match fill(&given[0], &wanted, values, Timestamp::UNIX_EPOCH)? {
        Resolved::Value(value) => Some(value.expose_text().unwrap().to_owned()),
        Resolved::Absent => None,
    })
}

#[test]
fn references_inside_a_value_are_replaced_and_all_else_stays() {
    let check = |value: &str, values: &[&str], expected: &str| {
        let values: Vec<_> = values.iter().copied().map(Some).collect();
        assert_eq!(filled(value, &values).unwrap().as_deref(), Some(expected), "{value}");
    };
    check("${vault:a/b#c}", &["v"], "v");
    check("é${vault:a/b#u}:${>>bao:a/b#p}@${db}", &["ü", "${vault:a/b#c}"], "éü:${vault:a/b#c}@${db}");
    check(r#"{"a":"${vault:a/b#c}","b":{}}"#, &["v"], r#"{"a":"v","b":{}}"#);
    check("vault:a/b#c", &["v"], "v");
}

#[test]
fn a_template_prints_keys_of_its_secret() {
    let secret = r#"{"user":"app","port":12345678,"rate":1.50,"on":true,"tags":["x",1]}"#;
    let check = |value: &str, expected: &str| {
        assert_eq!(filled(value, &[Some(secret)]).unwrap().as_deref(), Some(expected), "{value}");
    };
    check("vault:a/b#${.user}:${.port}", "app:12345678");
    check("vault:a/b#${ .user | upper | b64enc }", "QVBQ");
    check("vault:a/b#${.rate} ${.on} ${range .tags}<${.}>${end}", "1.50 true <x><1>");
    check("x=${vault:a/b#${.user}-${.user}};", "x=app-app;");
}

#[test]
fn a_template_that_fails_names_its_key_and_no_value() {
    let check = |value: &str, secret: &str, words: &str| {
        let failure = filled(value, &[Some(secret)]).unwrap_err();
        let shown = format!("{failure} {failure:?}");
        assert!(shown.contains(words) && shown.contains("a/b") && !shown.contains("canary"), "{value}: {shown}");
    };
    check("vault:a/b#${.nothing}", r#"{"user":"canary"}"#, "nothing");
    check("vault:a/b#${.user", r#"{"user":"canary"}"#, "template");
    check("vault:a/b#${awskms .user}", r#"{"user":"canary"}"#, "awskms");
    check("vault:a/b#${.user}", "canary", "no keys");
    check("vault:a/b#${.user | fail}", r#"{"user":"canary"}"#, "fail");
}

#[test]
fn nothing_of_a_value_is_delivered_while_a_part_is_missing() {
    assert_eq!(filled("x${vault:a/b?optional#c}${vault:a/b#d}", &[None, Some("v")]).unwrap(), None);
}

/// Delivers `given` and the secrets of `paths`, which come to `secrets`.
fn spread(given: &[&str], paths: &str, secrets: &[Option<&str>]) -> Result<Environment, Vec<Failure>> {
    let resolved = |secret: &Option<&str>| secret.map_or(Resolved::Absent, |text| Resolved::Value(bytes(text)));
    let spread = |reference| {
        let mut spread = Spread { origin: "VAULT_FROM_PATH".to_owned(), reference, tells_missing: false };
        spread.leave_out_if_missing();
        spread
    };
    let wanted = parse_paths(paths).unwrap().into_iter().map(spread);
    deliver(entries(given), Vec::new(), wanted.zip(secrets.iter().map(resolved)).collect(), &[])
}

#[test]
fn every_key_of_a_spread_secret_becomes_a_variable() {
    let secret = r#"{"A":"1","port":5432,"tls":true,"none":null}"#;
    let environment = spread(&["X=0"], "a/b", &[Some(secret)]).unwrap();
    assert_eq!(shown(&environment), ["X=0", "A=1", "port=5432", "tls=true", "none="]);
    assert!(environment.warnings.is_empty());
}

#[test]
fn a_written_variable_wins_over_a_path_and_the_later_path_over_the_earlier() {
    let secrets = [Some(r#"{"X":"canary","K":"canary"}"#), Some(r#"{"K":"2","PATH":"canary"}"#)];
    let environment = spread(&["X=0"], "a/b,c/d", &secrets).unwrap();
    assert_eq!(shown(&environment), ["X=0", "K=2"]);
    let told = environment.warnings.join("\n");
    for words in ["\"X\" gives way", "\"K\" takes the place of that of VAULT_FROM_PATH (a/b)", "\"PATH\" changes how"] {
        assert!(told.contains(words), "{words}: {told}");
    }
    assert!(environment.warnings.len() == 3 && !told.contains("canary"));
}

#[test]
fn a_path_that_may_be_missing_is_told() {
    let environment = spread(&["X=0"], "a/b,c/d?optional", &[None, None]).unwrap();
    assert_eq!(shown(&environment), ["X=0"]);
    assert_eq!(environment.warnings, ["VAULT_FROM_PATH: sr://vault/a/b does not exist and is left out"]);
}

#[test]
fn a_secret_that_cannot_be_spread_is_refused_by_name() {
    for (secret, words) in [("canary", "no keys"), (r#"{"K":{"a":"canary"}}"#, "\"K\" is no plain value")] {
        let failures = spread(&[], "a/b", &[Some(secret)]).unwrap_err();
        let shown = failures[0].to_string();
        assert!(shown.contains("VAULT_FROM_PATH (a/b)") && shown.contains(words), "{shown}");
        assert!(!shown.contains("canary"));
    }
}
