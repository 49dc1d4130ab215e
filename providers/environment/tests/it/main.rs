//! Environment variables as a store.

#![cfg(test)]

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use strongroom_environment::{Environment, Settings};
use strongroom_failure::Class;
use strongroom_provider::{Provider, RemoteKey, Version};

fn variables() -> Vec<(OsString, OsString)> {
    let text = |name: &str, value: &str| (OsString::from(name), OsString::from(value));
    let bytes = (OsString::from("BINARY"), OsString::from_vec(vec![0xff, 0x80]));
    vec![text("TOKEN", "canary-1"), text("EMPTY", ""), bytes, text("TOKEN", "canary-2")]
}

#[tokio::test]
async fn each_key_is_a_variable_and_has_its_own_answer() {
    let store = Environment::of(variables());
    let names = ["TOKEN", "MISSING", "EMPTY", "BINARY", "token", ""];
    let answers = store.read(&names.map(RemoteKey::current)).await;
    let found: Vec<_> = answers.iter().map(|answer| answer.as_ref().ok().map(|read| read.value.expose())).collect();
    assert_eq!(found, [Some(&b"canary-1"[..]), None, Some(b""), Some(&[0xff, 0x80]), None, None]);
    let failure = answers[1].as_ref().unwrap_err();
    assert_eq!(failure.class, Class::NotFound);
    assert_eq!(failure.to_string(), "cannot read \"MISSING\" from the environment: no such variable");
}

#[tokio::test]
async fn versions_are_refused_and_nothing_shows_a_value() {
    let store = Environment::of(variables());
    let answers = store.read(&[RemoteKey::at("TOKEN", Version::Stage("old".to_owned()))]).await;
    assert_eq!(answers[0].as_ref().unwrap_err().class, Class::Invalid);
    assert!(!format!("{store:?} {answers:?}").contains("canary"));
    assert_eq!(store.plan(&[RemoteKey::current("A"), RemoteKey::current("B")]).len(), 2);
}

#[test]
fn settings_refuse_what_they_do_not_know() {
    assert!(serde_json::from_str::<Settings>("{}").is_ok());
    assert!(serde_json::from_str::<Settings>(r#"{"prefix": "X"}"#).is_err());
}
