//! Values in settings as a store.

#![cfg(test)]

use strongroom_failure::{Class, Failure};
use strongroom_fake::{Fake, Settings};
use strongroom_provider::{Find, Pattern, Provider, RemoteKey, SecretBytes, Validation, Version};

fn store(yaml: &str) -> Fake {
    Fake::open(serde_saphyr::from_str::<Settings>(yaml).unwrap()).unwrap()
}

#[tokio::test]
async fn values_are_what_the_settings_say() {
    let check = async |yaml: &str, name: &str, expected: &str| {
        let answers = store(yaml).read(&[RemoteKey::current(name)]).await;
        assert_eq!(answers[0].as_ref().unwrap().value.expose_text(), Some(expected), "{yaml}");
    };
    check("data: [{key: a, value: text}]", "a", "text").await;
    check("data: [{key: a, value: ''}]", "a", "").await;
    check("data: [{key: /a/b, value: '1'}]", "/a/b", "1").await;
    check("data: [{key: a, value: 12}]", "a", "12").await;
    check("data: [{key: a, value: true}]", "a", "true").await;
    check("data: [{key: a, value: {user: bob, ports: [1, 2]}}]", "a", r#"{"user":"bob","ports":[1,2]}"#).await;
    check(r#"data: [{key: a, valueMap: {z: 'q"', b: 1}}]"#, "a", r#"{"b":1,"z":"q\""}"#).await;
    check("data: [{key: a, version: '', value: text}]", "a", "text").await;
}

#[tokio::test]
async fn versions_are_met_letter_by_letter() {
    let store =
        store("data: [{key: a, value: now}, {key: a, version: v1, value: old}, {key: b, version: v1, value: x}]");
    let id = |name: &str| RemoteKey::at(name, Version::Id("v1".to_owned()));
    let stage = RemoteKey::at("a", Version::Stage("v1".to_owned()));
    let gone = RemoteKey::at("a", Version::Id("V1".to_owned()));
    let answers = store.read(&[RemoteKey::current("a"), id("a"), stage, gone, RemoteKey::current("b")]).await;
    let text = |place: usize| answers[place].as_ref().unwrap().value.expose_text().unwrap();
    assert_eq!((text(0), text(1), text(2)), ("now", "old", "old"));
    assert_eq!(answers[1].as_ref().unwrap().version.as_deref(), Some("v1"));
    let words = |place: usize| answers[place].as_ref().unwrap_err().to_string();
    assert_eq!(words(3), "cannot read \"a\" from the fake store: no entry with this key and version \"V1\"");
    assert_eq!(words(4), "cannot read \"b\" from the fake store: no entry with this key and no version");
    assert_eq!(answers[4].as_ref().unwrap_err().class, Class::NotFound);
}

/// A store with External Secrets Operator's rules.
fn newest(entries: &[(&str, &str, &str)]) -> Fake {
    let entries = entries.iter().map(|(key, version, value)| {
        ((*key).to_owned(), (*version).to_owned(), SecretBytes::from((*value).to_owned()))
    });
    Fake::with_newest(entries, Ok(Validation::Valid))
}

#[tokio::test]
async fn a_key_of_versions_alone_stands_for_the_newest() {
    let store = newest(&[
        ("a", "v1", "old"),
        ("a", "v2", "new"),
        ("b", "v9", "versioned"),
        ("b", "", "plain"),
        ("c", "", "first"),
        ("c", "", "last"),
        ("d", "v10", "ten"),
        ("d", "v9", "nine"),
    ]);
    let check = async |name: &str, version: Option<&str>, expected: Option<&str>| {
        let version = version.map(|version| Version::Stage(version.to_owned()));
        let key = RemoteKey { version, ..RemoteKey::current(name) };
        let answer = store.read(&[key]).await.remove(0);
        assert_eq!(answer.as_ref().ok().map(|read| read.value.expose_text().unwrap()), expected, "{name}");
        if let Err(failure) = answer {
            assert_eq!(failure.class, Class::NotFound);
        }
    };
    check("a", None, Some("new")).await;
    check("a", Some("v1"), Some("old")).await;
    check("a", Some("v3"), None).await;
    check("b", None, Some("plain")).await;
    check("b", Some("v9"), Some("versioned")).await;
    check("c", None, Some("last")).await;
    check("d", None, Some("nine")).await;
    check("e", None, None).await;
}

#[tokio::test]
async fn the_newest_of_each_name_is_found() {
    let store = newest(&[("app/a", "v1", "old"), ("app/a", "v2", "new"), ("app/b", "", "plain"), ("other", "", "x")]);
    let by_name = |name: &str| Find { name: Some(Pattern::new(name).unwrap()), ..Find::default() };
    let found = store.find(&by_name("^app/")).await.unwrap();
    let shown: Vec<_> = found
        .iter()
        .map(|found| (found.name.as_str(), found.value.as_ref().unwrap().value.expose_text().unwrap()))
        .collect();
    assert_eq!(shown, [("app/a", "new"), ("app/b", "plain")]);
    let keys: Vec<_> = found.into_iter().map(|found| found.key).collect();
    let read = store.read(&keys).await;
    assert_eq!(read[0].as_ref().unwrap().value.expose(), b"new");
    for query in [
        Find::default(),
        Find { path: Some("app".to_owned()), ..by_name(".") },
        Find { tags: [("a".to_owned(), "b".to_owned())].into(), ..by_name(".") },
    ] {
        assert_eq!(store.find(&query).await.unwrap_err().class, Class::Invalid);
    }
}

#[tokio::test]
async fn validating_comes_to_what_was_asked_for() {
    assert_eq!(newest(&[]).validate().await.unwrap(), Validation::Valid);
    assert_eq!(Fake::with_newest([], Ok(Validation::Unknown)).validate().await.unwrap(), Validation::Unknown);
    let failing = Fake::with_newest([], Err(Failure::new(Class::Invalid, "as asked")));
    assert_eq!(failing.validate().await.unwrap_err().to_string(), "the fake store: as asked");
}

#[test]
fn settings_are_checked_whole() {
    let check = |yaml: &str, expected: &str| {
        let failure = Fake::open(serde_saphyr::from_str::<Settings>(yaml).unwrap()).unwrap_err();
        assert_eq!(failure.to_string(), expected);
    };
    check("data: [{key: '', value: x}]", "data[0]: key must not be empty");
    check("data: [{key: a, value: x}, {key: b}]", "data[1]: one of value and valueMap is needed");
    check("data: [{key: a, value: x, valueMap: {}}]", "data[0]: value and valueMap exclude each other");
    check(
        "data: [{key: a, value: x}, {key: a, version: '', value: y}]",
        "data[1]: an entry before it has the same key and version",
    );
    assert!(serde_saphyr::from_str::<Settings>("data: [{key: a, valeu: x}]").is_err());
    assert!(serde_saphyr::from_str::<Settings>("{}").is_err());
}

#[test]
fn nothing_shows_a_value() {
    let settings: Settings =
        serde_saphyr::from_str("data: [{key: a, value: canary}, {key: b, valueMap: {c: canary}}]").unwrap();
    let shown = format!("{settings:?} {:?}", Fake::open(settings.clone()).unwrap());
    assert!(!shown.contains("canary"), "a value is shown");
}
