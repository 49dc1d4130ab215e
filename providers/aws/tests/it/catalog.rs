//! Searching, reading tags, and prefixes, for both stores.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use strongroom_failure::Class;
use strongroom_provider::{Facet, Find, Found, Pattern, Provider, RemoteKey, Version};
use world::moto::Value;
use world::switchboard::{Fault, Which};

use crate::common::{
    Line, REGION, Store, assert_all, assert_clean, class, failure, moto, put_parameter, put_secret, text, value_of,
};

fn by_name(pattern: &str, path: Option<&str>) -> Find {
    Find { name: Some(Pattern::new(pattern).unwrap()), path: path.map(str::to_owned), ..Find::default() }
}

fn by_tags(tags: &[(&str, &str)], path: Option<&str>) -> Find {
    let tags = tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    Find { tags, path: path.map(str::to_owned), ..Find::default() }
}

/// Stores the value of [`value_of`] under `name`, with tags.
fn put_tagged(store: Store, name: &str, tags: &[(&str, &str)]) {
    let tags: Vec<_> = tags.iter().map(|(key, value)| json!({"Key": key, "Value": value})).collect();
    store.put(name, &value_of(name));
    let (target, request) = match store {
        Store::SecretsManager => ("secretsmanager.TagResource", json!({"SecretId": name, "Tags": tags})),
        Store::ParameterStore => {
            ("AmazonSSM.AddTagsToResource", json!({"ResourceType": "Parameter", "ResourceId": name, "Tags": tags}))
        }
    };
    moto().call(REGION, target, &request).unwrap();
}

fn names(found: &[Found]) -> BTreeSet<&str> {
    found.iter().map(|found| found.name.as_str()).collect()
}

/// Fails unless everything that was found has its value, with the search or by its key.
async fn assert_readable(provider: &dyn Provider, found: &[Found]) {
    let (with, without): (Vec<_>, Vec<_>) = found.iter().partition(|found| found.value.is_some());
    for found in with {
        let value = found.value.as_ref().unwrap();
        assert!(value.value.expose() == value_of(&found.name).as_bytes(), "another value for {}", found.name);
    }
    let keys: Vec<_> = without.iter().map(|found| found.key.clone()).collect();
    for (found, answer) in without.iter().zip(provider.read(&keys).await) {
        assert!(text(&answer) == value_of(&found.name), "another value for {}", found.name);
    }
}

#[tokio::test]
async fn more_than_a_hundred_are_found_below_a_path_and_by_name() {
    for store in Store::BOTH {
        let line = Line::new();
        let keys: Vec<_> = (0..130).map(|place| RemoteKey::current(format!("/find-many/{place:03}"))).collect();
        store.put_all(&keys);
        store.put("/find-more/000", "canary");
        let provider = store.open(&line.session);
        let found = provider.find(&by_name(".*", Some("/find-many"))).await.unwrap();
        assert_eq!(names(&found).len(), 130, "{store:?}");
        assert!(found.iter().all(|found| found.value.is_some() && found.key.name == found.name));
        assert_readable(provider.as_ref(), &found).await;
        // Values came along: a page holds as many as AWS gives, and nothing was read singly.
        assert!(line.switchboard.counts().requests <= 14, "{store:?}: {:?}", line.switchboard.counts());
        assert_clean(&found);

        line.switchboard.reset_counts();
        let found = provider.find(&by_name("^/find-many/0[0-4][05]$", None)).await.unwrap();
        let expected = ["00", "05", "10", "15", "20", "25", "30", "35", "40", "45"];
        assert!(names(&found).into_iter().eq(expected.iter().map(|end| format!("/find-many/0{end}"))), "{found:?}");
        assert_readable(provider.as_ref(), &found).await;
        if store == Store::SecretsManager {
            let (pages, batches) = (line.count("ListSecrets"), line.count("BatchGetSecretValue"));
            assert!(pages >= 2 && batches == 1, "{:?}", line.switchboard.counts());
        }
    }
}

#[tokio::test]
async fn tags_are_compared_whole_and_together_with_a_name() {
    for store in Store::BOTH {
        put_tagged(store, "/find-tags/a", &[("find-env", "prod"), ("find-team", "x")]);
        put_tagged(store, "/find-tags/b", &[("find-env", "production"), ("find-team", "x")]);
        put_tagged(store, "/find-tags/c", &[("find-env", "test"), ("find-team-old", "prod")]);
        put_tagged(store, "/find-tags/d", &[("find-env", "prod")]);
        put_tagged(store, "/find-tags-elsewhere/a", &[("find-env", "prod"), ("find-team", "x")]);
        let check = async |query: Find, expected: &[&str]| {
            let line = Line::new();
            let provider = store.open(&line.session);
            let found = provider.find(&query).await.unwrap();
            assert!(names(&found).into_iter().eq(expected.iter().copied()), "{store:?} {query:?}: {found:?}");
            assert_readable(provider.as_ref(), &found).await;
        };
        check(by_tags(&[("find-env", "prod")], None), &["/find-tags-elsewhere/a", "/find-tags/a", "/find-tags/d"])
            .await;
        check(by_tags(&[("find-env", "prod")], Some("/find-tags/")), &["/find-tags/a", "/find-tags/d"]).await;
        check(by_tags(&[("find-env", "prod"), ("find-team", "x")], Some("/find-tags/")), &["/find-tags/a"]).await;
        check(by_tags(&[("find-team", "prod")], None), &[]).await;
        let named = by_tags(&[("find-env", "prod")], None);
        check(Find { name: Some(Pattern::new("/d$").unwrap()), ..named }, &["/find-tags/d"]).await;
    }
}

#[tokio::test]
async fn more_than_a_hundred_are_found_by_tags() {
    for store in Store::BOTH {
        let line = Line::new();
        for place in 0..105 {
            put_tagged(store, &format!("/find-tagged/{place}"), &[("find-tagged", "yes")]);
        }
        let provider = store.open(&line.session);
        let found = provider.find(&by_tags(&[("find-tagged", "yes")], None)).await.unwrap();
        assert_eq!(names(&found).len(), 105, "{store:?}");
        assert_readable(provider.as_ref(), &found).await;
    }
}

#[tokio::test]
async fn what_a_batch_could_not_read_is_found_and_fails_by_itself() {
    let line = Line::new();
    let provider = line.session.secrets_manager(None);
    let body = json!({
        "SecretValues": [{"Name": "find-errors/a", "SecretString": "canary", "VersionId": "1"}],
        "Errors": [
            {"SecretId": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:find-errors/b-AbCdEf",
             "ErrorCode": "AccessDeniedException", "Message": "no"},
            {"SecretId": "find-errors/gone", "ErrorCode": "ResourceNotFoundException", "Message": "no"},
        ],
    });
    let headers = [("Content-Type", "application/x-amz-json-1.1")];
    let answer = Fault::answer(200, &headers, &body.to_string());
    line.switchboard.add(answer.on_operation("BatchGetSecretValue").times(1));
    let found = provider.find(&by_name(".*", Some("find-errors/"))).await.unwrap();
    let shown: Vec<_> = found.iter().map(|found| (found.name.as_str(), found.value.is_some())).collect();
    assert_eq!(shown, [("find-errors/a", true), ("find-errors/b", false)]);
    line.switchboard.add(Fault::aws("AccessDeniedException").on_operation("GetSecretValue"));
    assert_eq!(class(&provider.read(&[found[1].key.clone()]).await[0]), Class::Denied);
}

#[tokio::test]
async fn a_denied_way_to_search_is_replaced_by_the_other() {
    for (store, denied, other) in [
        (Store::SecretsManager, "BatchGetSecretValue", "ListSecrets"),
        (Store::ParameterStore, "GetParametersByPath", "DescribeParameters"),
    ] {
        let line = Line::new();
        let keys: Vec<_> = (0..3).map(|place| RemoteKey::current(format!("/find-denied/{place}"))).collect();
        store.put_all(&keys);
        line.switchboard.add(Fault::aws("AccessDeniedException").on_operation(denied));
        let provider = store.open(&line.session);
        let query = by_name(".*", Some("/find-denied/"));
        let found = provider.find(&query).await.unwrap();
        assert!(found.iter().all(|found| found.value.is_none()));
        assert_readable(provider.as_ref(), &found).await;
        assert_eq!((names(&found).len(), line.count(other)), (3, 1), "{store:?}");
        // Where neither is allowed, nothing found would be a lie.
        line.switchboard.add(Fault::aws("AccessDeniedException").on_operation(other));
        let refused = provider.find(&query).await.unwrap_err();
        assert_eq!(refused.class, Class::Denied);
        assert!(refused.to_string().starts_with(&provider.describe()), "{refused}");
    }
}

#[tokio::test]
async fn a_search_that_is_throttled_or_broken_off_fails_whole() {
    for store in Store::BOTH {
        let keys: Vec<_> = (0..25).map(|place| RemoteKey::current(format!("/find-broken/{place}"))).collect();
        store.put_all(&keys);
        let query = by_name(".*", Some("/find-broken/"));
        let check = async |fault: Fault, is_expected: fn(Class) -> bool| {
            let line = Line::new();
            line.switchboard.add(fault);
            let refused = store.open(&line.session).find(&query).await.unwrap_err();
            assert!(is_expected(refused.class), "{store:?}: {refused}");
            assert_clean(&refused);
        };
        // The second page says where it begins.
        let later = Which::Body("NextToken".to_owned());
        check(Fault::aws("ThrottlingException"), |class| matches!(class, Class::Throttled { .. })).await;
        check(Fault::cut_body(), |class| class == Class::Unavailable).await;
        check(Fault::aws("ThrottlingException").on(later), |class| matches!(class, Class::Throttled { .. })).await;
    }
}

#[tokio::test]
async fn tags_are_read_as_json_beside_the_values() {
    for (store, operation) in
        [(Store::SecretsManager, "secretsmanager:DescribeSecret"), (Store::ParameterStore, "ssm:ListTagsForResource")]
    {
        let line = Line::new();
        put_tagged(store, "/meta/a", &[("team", "x"), ("env", "prod")]);
        put_tagged(store, "/meta/b", &[]);
        let metadata = |name: &str| RemoteKey { facet: Facet::Metadata, ..RemoteKey::current(name) };
        let asked = [
            metadata("/meta/a"),
            RemoteKey::current("/meta/a"),
            metadata("/meta/b"),
            RemoteKey::current("/meta/b"),
            metadata("/meta/none"),
        ];
        let provider = store.open(&line.session);
        let planned: Vec<_> = provider.plan(&asked).into_iter().map(|call| (call.operation, call.keys)).collect();
        assert_eq!(planned[0].1, [1, 3]);
        assert_eq!(planned[1..], [vec![0], vec![2], vec![4]].map(|keys| (operation.to_owned(), keys)));
        let answers = provider.read(&asked).await;
        assert_eq!(text(&answers[0]), r#"{"env":"prod","team":"x"}"#);
        assert_eq!(text(&answers[2]), "{}");
        assert_all(&[asked[1].clone(), asked[3].clone()], &[answers[1].clone(), answers[3].clone()]);
        assert_eq!(class(&answers[4]), Class::NotFound, "{}", failure(&answers[4]));
        assert!(failure(&answers[4]).to_string().starts_with("cannot read \"/meta/none\" from AWS"));
    }
}

#[tokio::test]
async fn a_parameters_tags_are_those_of_all_its_versions() {
    let line = Line::new();
    put_tagged(Store::ParameterStore, "meta-bare", &[("team", "x")]);
    let arn = format!("arn:aws:ssm:{REGION}:123456789012:parameter/meta-bare");
    let keys = [
        RemoteKey::at("meta-bare", Version::Stage("1".to_owned())),
        RemoteKey::current("meta-bare:1"),
        RemoteKey::current("/meta-bare"),
        RemoteKey::current(arn),
    ];
    let keys = keys.map(|key| RemoteKey { facet: Facet::Metadata, ..key });
    for answer in line.session.parameter_store(None).read(&keys).await {
        assert_eq!(text(&answer), r#"{"team":"x"}"#);
    }
}

#[tokio::test]
async fn a_secret_that_waits_for_its_deletion_has_no_tags_either() {
    let line = Line::new();
    put_secret("meta-deleted", Value::Text("canary"));
    moto().call(REGION, "secretsmanager.DeleteSecret", &json!({"SecretId": "meta-deleted"})).unwrap();
    let key = RemoteKey { facet: Facet::Metadata, ..RemoteKey::current("meta-deleted") };
    let answers = line.session.secrets_manager(None).read(&[key]).await;
    assert_eq!(class(&answers[0]), Class::NotFound);
    assert!(failure(&answers[0]).words.contains("scheduled for deletion"), "{}", failure(&answers[0]));
}

#[tokio::test]
async fn a_prefix_stands_before_every_key_once() {
    put_secret("prefixed/a", Value::Text("canary of prefixed/a"));
    put_secret("prefixed/b", Value::Text("canary of prefixed/b"));
    put_secret("unprefixed/a", Value::Text("canary of unprefixed/a"));
    for name in ["/prefixed/a", "/prefixed/b", "/unprefixed/a"] {
        put_parameter(name, &value_of(name));
    }
    let line = Line::new();
    let stores: [(&str, Box<dyn Provider>); 2] = [
        ("prefixed/", Box::new(line.session.secrets_manager(None).with_prefix("prefixed/"))),
        ("/prefixed/", Box::new(line.session.parameter_store(None).with_prefix("/prefixed/"))),
    ];
    for (prefix, provider) in stores {
        let answers = provider.read(&["a", "b", "c"].map(RemoteKey::current)).await;
        for (name, answer) in ["a", "b"].iter().zip(&answers) {
            assert!(text(answer) == value_of(&format!("{prefix}{name}")));
        }
        let shown = failure(&answers[2]).to_string();
        assert!(shown.starts_with(&format!("cannot read \"{prefix}c\" from AWS")), "{shown}");

        // A search shows whole names, and gives keys that are read without a second prefix.
        let mut queries = vec![by_name("a$", None), by_name("a$", Some(prefix))];
        if prefix == "prefixed/" {
            queries.push(by_name("a$", Some("prefixed/a")));
        }
        for query in queries {
            let found = provider.find(&query).await.unwrap();
            let shown: Vec<_> = found.iter().map(|found| (found.name.clone(), found.key.name.as_str())).collect();
            assert_eq!(shown, [(format!("{prefix}a"), "a")], "{query:?}");
            assert_readable(provider.as_ref(), &found).await;
        }
        let outside = provider.find(&by_name(".*", Some("/unprefixed"))).await.unwrap_err();
        assert_eq!(outside.class, Class::Invalid, "{outside}");
        let key = RemoteKey { facet: Facet::Metadata, ..RemoteKey::current("a") };
        assert_eq!(text(&provider.read(&[key]).await[0]), "{}");
    }
}

#[tokio::test]
async fn a_name_that_spoils_batches_is_remembered_with_its_prefix() {
    let line = Line::new();
    let mut expected = BTreeMap::new();
    for name in ["a", "b"] {
        put_parameter(&format!("/spoilt/{name}"), &value_of(name));
        expected.insert(name, value_of(name));
    }
    line.switchboard.add(Fault::aws("ValidationException").on(Which::Body("/spoilt/no name".to_owned())));
    let provider = line.session.parameter_store(None).with_prefix("/spoilt/");
    let keys = ["a", "b", "no name"].map(RemoteKey::current);
    for batches in [1, 1] {
        line.switchboard.reset_counts();
        let answers = provider.read(&keys).await;
        assert!(text(&answers[0]) == expected["a"] && text(&answers[1]) == expected["b"]);
        assert_eq!((class(&answers[2]), line.count("GetParameters")), (Class::Invalid, batches));
    }
}
