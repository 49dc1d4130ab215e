//! Searches.

use std::collections::BTreeMap;

use strongroom_azure::Settings;
use strongroom_failure::Class;
use strongroom_provider::{Find, Found, Pattern, Provider};
use world::azure::{AzureStandIn, Denial, Kind, Object};
use world::switchboard::{Fault, Switchboard};

use crate::{check_failure, open, settings};

fn names(found: &[Found]) -> Vec<&str> {
    found.iter().map(|found| found.name.as_str()).collect()
}

#[tokio::test]
async fn secrets_are_found_by_name_and_tags_over_many_pages() {
    let azure = AzureStandIn::start().unwrap();
    for number in 0..60 {
        azure.put_secret(&format!("app-{number:02}"), "x");
    }
    let tagged = |team: &str| Object::new(serde_json::json!("x")).with_tag("team", team).with_tag("env", "prod");
    azure.put(Kind::Secret, "tagged-a", tagged("a"));
    azure.put(Kind::Secret, "tagged-b", tagged("b"));
    azure.put_secret("app-off", "x");
    azure.disable(Kind::Secret, "app-off");
    let store = open(settings(&azure));
    assert_eq!(store.find(&Find::default()).await.unwrap().len(), 62);
    let by_name = Find { name: Some(Pattern::new("^app-(0[12]|off|59)$").unwrap()), ..Find::default() };
    let found = store.find(&by_name).await.unwrap();
    assert_eq!(names(&found), ["app-01", "app-02", "app-59"]);
    assert!(found.iter().all(|found| found.value.is_none() && found.key.name == found.name));
    let tags = |pairs: &[(&str, &str)]| {
        let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Find { tags: pairs.collect::<BTreeMap<_, _>>(), ..Find::default() }
    };
    assert_eq!(names(&store.find(&tags(&[("env", "prod")])).await.unwrap()), ["tagged-a", "tagged-b"]);
    assert_eq!(names(&store.find(&tags(&[("env", "prod"), ("team", "b")])).await.unwrap()), ["tagged-b"]);
    assert!(store.find(&tags(&[("env", "test")])).await.unwrap().is_empty());
    assert_eq!(azure.tokens_issued(), 1);
}

#[tokio::test]
async fn a_search_that_cannot_be_made_fails_as_a_whole() {
    let azure = AzureStandIn::start().unwrap();
    let board = Switchboard::with_tls(azure.host_port(), azure.authority()).unwrap();
    let store = open(Settings { vault_url: board.address().to_owned(), ..settings(&azure) });
    let below = Find { path: Some("app".to_owned()), ..Find::default() };
    let failure = store.find(&below).await.unwrap_err();
    assert_eq!((failure.class, failure.subject.field.as_deref()), (Class::Invalid, Some("find.path")));
    azure.deny("", Denial::Role);
    let denied = store.find(&Find::default()).await.map(|_| unreachable!());
    check_failure(&denied, Class::Denied, "Azure Key Vault (127.0.0.1:");
    azure.allow("");
    // A list that leads elsewhere would take the token along.
    let elsewhere = r#"{"value":[],"nextLink":"https://evil.example/secrets?api-version=7.4"}"#;
    for link in [elsewhere, &elsewhere.replace("https", "http"), &elsewhere.replace("evil.example", "127.0.0.1:9")] {
        board.clear();
        board.add(Fault::answer(200, &[], link).on_path("/secrets"));
        let answer = store.find(&Find::default()).await.map(|_| unreachable!());
        check_failure(&answer, Class::Invalid, "continues its list at another host");
    }
    // A list without an end ends.
    board.clear();
    let endless = format!(r#"{{"value":[],"nextLink":"{}/secrets?again"}}"#, board.address());
    board.add(Fault::answer(200, &[], &endless).on_path("/secrets"));
    let answer = store.find(&Find::default()).await.map(|_| unreachable!());
    check_failure(&answer, Class::Invalid, "more than 25000 secrets");
}
