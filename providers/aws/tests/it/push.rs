//! Writing to both stores.

use serde_json::{Value as Json, json};
use strongroom_aws::Deletion;
use strongroom_failure::{Class, Failure};
use strongroom_provider::{Content, Deleted, Place, Provider, Push, Pushed, RemoteKey, SecretBytes, Source};
use world::moto::Value;
use world::switchboard::Fault;

use crate::common::{CANARY, Line, REGION, Store, assert_clean, moto, put_parameter, put_secret};

pub(crate) fn place(key: &str, property: Option<&str>) -> Place {
    Place { key: key.to_owned(), property: property.map(str::to_owned), ..Place::default() }
}

fn one(key: &str, property: Option<&str>, value: &str) -> Push {
    let content = Content::One(SecretBytes::from(value.to_owned()));
    Push { place: place(key, property), content, metadata: None, source: Source::default(), only_if_absent: false }
}

pub(crate) fn with(push: Push, spec: Json) -> Push {
    let (version, kind) = ("kubernetes.external-secrets.io/v1alpha1", "PushSecretMetadata");
    Push { metadata: Some(json!({"apiVersion": version, "kind": kind, "spec": spec})), ..push }
}

pub(crate) async fn pushed(store: &dyn Provider, pushes: &[Push]) -> Vec<Pushed> {
    store.push(pushes).await.into_iter().map(|answer| answer.unwrap_or_else(|failure| panic!("{failure}"))).collect()
}

pub(crate) async fn refused(store: &dyn Provider, push: Push) -> Failure {
    let failure = store.push(&[push]).await.remove(0).expect_err("a failure");
    assert_clean(&failure);
    failure
}

pub(crate) async fn deleted(store: &dyn Provider, places: &[Place]) -> Vec<Deleted> {
    store.delete(places).await.into_iter().map(|answer| answer.unwrap_or_else(|failure| panic!("{failure}"))).collect()
}

/// The value as JSON or text; nothing where there is none.
async fn stored(store: &dyn Provider, name: &str) -> Option<Json> {
    match store.read(&[RemoteKey::current(name)]).await.remove(0) {
        Ok(read) => {
            let text = read.value.expose_text().expect("text").to_owned();
            Some(serde_json::from_str(&text).unwrap_or(Json::String(text)))
        }
        Err(failure) if failure.class == Class::NotFound => None,
        Err(failure) => panic!("{failure}"),
    }
}

fn tags(store: Store, name: &str) -> Json {
    let (target, body, list) = match store {
        Store::SecretsManager => ("secretsmanager.DescribeSecret", json!({"SecretId": name}), "Tags"),
        Store::ParameterStore => {
            let body = json!({"ResourceType": "Parameter", "ResourceId": name});
            ("AmazonSSM.ListTagsForResource", body, "TagList")
        }
    };
    let answer = moto().call(REGION, target, &body).expect("the tags");
    let tags = answer[list].as_array().cloned().unwrap_or_default();
    tags.into_iter().map(|tag| (tag["Key"].as_str().expect("a key").to_owned(), tag["Value"].clone())).collect()
}

fn writes(line: &Line) -> usize {
    let writes = ["CreateSecret", "PutSecretValue", "UpdateSecret", "TagResource", "UntagResource"];
    let more = ["PutParameter", "AddTagsToResource", "RemoveTagsFromResource"];
    writes.iter().chain(&more).map(|operation| line.count(operation)).sum()
}

#[tokio::test]
async fn properties_of_one_secret_are_one_write_and_what_is_there_is_not_written_again() {
    for store in Store::BOTH {
        let line = Line::new();
        let provider = store.open(&line.session);
        let wanted = [one("/push/app", Some("user"), "app"), one("/push/app", Some("db.key"), CANARY)];
        assert_eq!(pushed(&*provider, &wanted).await, [Pushed::Written; 2]);
        assert_eq!(writes(&line), 1, "{store:?}");
        assert!(stored(&*provider, "/push/app").await == Some(json!({"user": "app", "db": {"key": CANARY}})));
        assert_eq!(tags(store, "/push/app"), json!({"managed-by": "external-secrets"}));
        assert_eq!(pushed(&*provider, &wanted).await, [Pushed::Unchanged; 2]);
        assert_eq!(writes(&line), 1, "{store:?}");
        let changed = [one("/push/app", Some("user"), "db"), wanted[1].clone()];
        assert_eq!(pushed(&*provider, &changed).await, [Pushed::Written, Pushed::Unchanged]);
        assert_eq!(writes(&line), 2, "{store:?}");
        assert!(stored(&*provider, "/push/app").await == Some(json!({"user": "db", "db": {"key": CANARY}})));
    }
}

#[tokio::test]
async fn tags_alone_are_applied_and_description_too() {
    for store in Store::BOTH {
        let line = Line::new();
        let provider = store.open(&line.session);
        let push = |spec| with(one("/push/tags", None, CANARY), spec);
        let first = json!({"tags": {"team": "a", "old": "x"}, "description": "first"});
        assert_eq!(pushed(&*provider, &[push(first.clone())]).await, [Pushed::Written]);
        assert_eq!(tags(store, "/push/tags"), json!({"managed-by": "external-secrets", "team": "a", "old": "x"}));
        assert_eq!(pushed(&*provider, &[push(first)]).await, [Pushed::Unchanged], "{store:?}");
        let second = json!({"tags": {"team": "b"}, "description": "second"});
        assert_eq!(pushed(&*provider, &[push(second.clone())]).await, [Pushed::Written]);
        assert_eq!(tags(store, "/push/tags"), json!({"managed-by": "external-secrets", "team": "b"}));
        assert_eq!(pushed(&*provider, &[push(second)]).await, [Pushed::Unchanged], "{store:?}");
        assert_eq!(pushed(&*provider, &[one("/push/tags", None, CANARY)]).await, [Pushed::Unchanged]);
        let failure = refused(&*provider, push(json!({"tagz": {}}))).await;
        assert!(failure.class == Class::Invalid && failure.words.contains("`tagz`"), "{failure}");
        let failure = refused(&*provider, push(json!({"tags": {"managed-by": "me"}}))).await;
        assert!(failure.class == Class::Invalid && failure.words.contains("managed-by"), "{failure}");
    }
}

#[tokio::test]
async fn what_others_keep_is_refused_and_stays() {
    put_secret("/push/foreign", Value::Text(CANARY));
    put_parameter("/push/foreign", CANARY);
    for store in Store::BOTH {
        let line = Line::new();
        let provider = store.open(&line.session);
        let failure = refused(&*provider, one("/push/foreign", None, "x")).await;
        assert_eq!((failure.class, failure.subject.key.as_deref()), (Class::Denied, Some("/push/foreign")));
        let kept = Push { only_if_absent: true, ..one("/push/foreign", None, "x") };
        assert_eq!(pushed(&*provider, &[kept]).await, [Pushed::Kept]);
        assert_eq!(deleted(&*provider, &[place("/push/foreign", None)]).await, [Deleted::Foreign]);
        assert!(stored(&*provider, "/push/foreign").await == Some(json!(CANARY)));
    }
}

#[tokio::test]
async fn a_secret_goes_with_its_last_property() {
    for store in Store::BOTH {
        let line = Line::new();
        let provider = store.open(&line.session);
        let key = "/push/gone";
        pushed(&*provider, &[one(key, Some("a"), "1"), one(key, Some("b"), "2")]).await;
        let kept = Push { only_if_absent: true, ..one(key, Some("a"), "9") };
        assert_eq!(pushed(&*provider, &[kept]).await, [Pushed::Kept]);
        let places = [place(key, Some("a")), place(key, Some("c"))];
        assert_eq!(deleted(&*provider, &places).await, [Deleted::Removed, Deleted::Absent]);
        assert!(stored(&*provider, key).await == Some(json!({"b": "2"})));
        assert_eq!(deleted(&*provider, &[place(key, Some("b"))]).await, [Deleted::Removed]);
        assert!(stored(&*provider, key).await.is_none());
        assert_eq!(deleted(&*provider, &[place(key, Some("b"))]).await, [Deleted::Absent]);
    }
}

#[tokio::test]
async fn a_value_without_an_object_has_no_properties() {
    for store in Store::BOTH {
        let line = Line::new();
        let provider = store.open(&line.session);
        pushed(&*provider, &[one("/push/plain", None, CANARY)]).await;
        let failure = refused(&*provider, one("/push/plain", Some("a"), "1")).await;
        assert!(failure.class == Class::Invalid && failure.words.contains("no JSON object"), "{failure}");
        assert!(stored(&*provider, "/push/plain").await == Some(json!(CANARY)));
    }
}

#[tokio::test]
async fn a_whole_secret_is_kept_as_external_secrets_operator_keeps_it() {
    let all = [("a".to_owned(), SecretBytes::from(CANARY.to_owned()))];
    let all = Push { content: Content::Whole(all.into()), ..one("/push/whole", None, "") };
    let line = Line::new();
    let provider = Store::SecretsManager.open(&line.session);
    assert_eq!(pushed(&*provider, std::slice::from_ref(&all)).await, [Pushed::Written]);
    assert!(stored(&*provider, "/push/whole").await == Some(json!({"a": CANARY})));
    let line = Line::new();
    let provider = Store::ParameterStore.open(&line.session);
    assert_eq!(pushed(&*provider, std::slice::from_ref(&all)).await, [Pushed::Written]);
    assert!(stored(&*provider, "/push/whole").await == Some(json!({"a": "Y2FuYXJ5"})));
    let decoded = with(all, json!({"encodeAsDecoded": true}));
    assert_eq!(pushed(&*provider, &[decoded]).await, [Pushed::Written]);
    assert!(stored(&*provider, "/push/whole").await == Some(json!({"a": CANARY})));
}

#[tokio::test]
async fn a_parameter_is_as_secure_as_the_settings_say_and_stays_so() {
    let line = Line::new();
    let provider = Store::ParameterStore.open(&line.session);
    let secure = |value| with(one("/push/secure", None, value), json!({"secretType": "SecureString"}));
    assert_eq!(pushed(&*provider, &[secure("1")]).await, [Pushed::Written]);
    assert_eq!(pushed(&*provider, &[one("/push/secure", None, "2")]).await, [Pushed::Written]);
    let read = moto().call(REGION, "AmazonSSM.GetParameter", &json!({"Name": "/push/secure"})).expect("a parameter");
    assert_eq!(read["Parameter"]["Type"], "SecureString");
}

#[tokio::test]
async fn a_secret_is_bytes_or_text_and_deleted_as_the_store_says() {
    let line = Line::new();
    let provider = line.session.secrets_manager(None).with_prefix("/pre/").with_deletion(Deletion::Final);
    let binary = async |name| provider.read(&[RemoteKey::current(name)]).await.remove(0).expect("a value").is_binary;
    pushed(&provider, &[one("bytes", None, "1"), with(one("text", None, "1"), json!({"secretPushFormat": "string"}))])
        .await;
    assert!(binary("bytes").await && !binary("text").await);
    assert_eq!(tags(Store::SecretsManager, "/pre/text"), json!({"managed-by": "external-secrets"}));
    assert_eq!(deleted(&provider, &[place("bytes", None)]).await, [Deleted::Removed]);
    assert_eq!(pushed(&provider, &[one("bytes", None, "1")]).await, [Pushed::Written], "its name is free at once");
    let recoverable = line.session.secrets_manager(None).with_deletion(Deletion::Recoverable(Some(7)));
    assert_eq!(deleted(&recoverable, &[place("/pre/text", None)]).await, [Deleted::Removed]);
    assert_eq!(deleted(&recoverable, &[place("/pre/text", None)]).await, [Deleted::Absent]);
    let failure = refused(&recoverable, one("/pre/text", None, "1")).await;
    assert!(failure.words.contains("scheduled for deletion"), "{failure}");
}

#[tokio::test]
async fn refusals_are_told_apart_and_spoil_one_secret() {
    for (store, operation) in [(Store::SecretsManager, "CreateSecret"), (Store::ParameterStore, "PutParameter")] {
        let line = Line::new();
        let provider = store.open(&line.session);
        line.switchboard.add(Fault::aws("AccessDeniedException").on_operation(operation).times(1));
        assert_eq!(refused(&*provider, one("/push/denied", None, CANARY)).await.class, Class::Denied);
        line.switchboard.add(Fault::aws("ThrottlingException").on_operation(operation).times(1));
        let answers = provider.push(&[one("/push/t1", None, CANARY), one("/push/t2", None, CANARY)]).await;
        let throttled =
            |answer: &&Result<_, Failure>| matches!(answer, Err(Failure { class: Class::Throttled { .. }, .. }));
        assert_eq!(answers.iter().filter(throttled).count(), 1);
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    }
}

/// The policy of a secret, as moto keeps it.
fn policy(name: &str) -> Option<Json> {
    let body = json!({"SecretId": name});
    let answer = moto().call(REGION, "secretsmanager.GetResourcePolicy", &body).expect("a policy");
    answer["ResourcePolicy"].as_str().map(|text| serde_json::from_str(text).expect("a policy in JSON"))
}

#[tokio::test]
async fn the_policy_of_a_secret_is_compared_before_it_is_written() {
    let line = Line::new();
    let provider = Store::SecretsManager.open(&line.session);
    let allowing = |account: &str| {
        let who = json!({"AWS": format!("arn:aws:iam::{account}:root")});
        json!({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Principal": who, "Action": "secretsmanager:GetSecretValue", "Resource": "*"},
        ]})
    };
    let push = |policy: &str| {
        let spec = json!({"resourcePolicy": {"blockPublicPolicy": true, "policy": policy}});
        with(one("/push/policy", None, CANARY), spec)
    };
    let [first, second] = ["111122223333", "444455556666"].map(allowing);
    assert_eq!(pushed(&*provider, &[push(&first.to_string())]).await, [Pushed::Written]);
    assert_eq!(policy("/push/policy").as_ref(), Some(&first));
    let spaced = serde_json::to_string_pretty(&first).expect("JSON");
    assert_eq!(pushed(&*provider, &[push(&spaced)]).await, [Pushed::Unchanged]);
    assert_eq!(line.count("PutResourcePolicy"), 1);
    assert_eq!(pushed(&*provider, &[push(&second.to_string())]).await, [Pushed::Written]);
    assert_eq!(policy("/push/policy").as_ref(), Some(&second));
    // What nobody writes stays, and is not asked for.
    let asked = line.count("GetResourcePolicy");
    assert_eq!(pushed(&*provider, &[one("/push/policy", None, CANARY)]).await, [Pushed::Unchanged]);
    assert_eq!((policy("/push/policy").as_ref(), line.count("GetResourcePolicy")), (Some(&second), asked));
    let failure = refused(&*provider, push("canary")).await;
    assert!(failure.class == Class::Invalid && failure.words.contains("no JSON object"), "{failure}");
    assert_eq!(pushed(&*provider, &[push("")]).await, [Pushed::Written]);
    assert_eq!(policy("/push/policy"), None);
    assert_eq!(pushed(&*provider, &[push("")]).await, [Pushed::Unchanged]);
    assert_eq!((line.count("PutResourcePolicy"), line.count("DeleteResourcePolicy")), (2, 1));
}

/// The regions of a secret's copies, in order.
fn copies(name: &str) -> Vec<String> {
    let answer = moto().call(REGION, "secretsmanager.DescribeSecret", &json!({"SecretId": name})).expect("a secret");
    let copies = answer["ReplicationStatus"].as_array().cloned().unwrap_or_default();
    let mut regions: Vec<_> = copies.iter().map(|copy| copy["Region"].as_str().expect("a region").to_owned()).collect();
    regions.sort_unstable();
    regions
}

#[tokio::test]
async fn a_secret_has_copies_where_it_shall_and_goes_with_them() {
    let line = Line::new();
    let provider = line.session.secrets_manager(None).with_deletion(Deletion::Final);
    let push = |regions: &[&str]| with(one("/push/copied", None, CANARY), json!({"replicationLocations": regions}));
    assert_eq!(pushed(&provider, &[push(&["us-east-1", "eu-north-1"])]).await, [Pushed::Written]);
    assert_eq!(copies("/push/copied"), ["eu-north-1", "us-east-1"]);
    assert_eq!(line.count("ReplicateSecretToRegions"), 0, "it is made with its copies");
    assert_eq!(pushed(&provider, &[push(&["eu-north-1", "us-east-1"])]).await, [Pushed::Unchanged]);
    assert_eq!(pushed(&provider, &[one("/push/copied", None, CANARY)]).await, [Pushed::Unchanged]);
    assert_eq!(pushed(&provider, &[push(&["eu-north-1", "us-west-2"])]).await, [Pushed::Written]);
    assert_eq!(copies("/push/copied"), ["eu-north-1", "us-west-2"]);
    assert_eq!((line.count("ReplicateSecretToRegions"), line.count("RemoveRegionsFromReplication")), (1, 1));
    assert_eq!(pushed(&provider, &[push(&[])]).await, [Pushed::Written]);
    assert_eq!(copies("/push/copied"), Vec::<String>::new());
    assert_eq!(pushed(&provider, &[push(&["us-west-2"])]).await, [Pushed::Written]);
    assert_eq!(deleted(&provider, &[place("/push/copied", None)]).await, [Deleted::Removed]);
    assert!(stored(&provider, "/push/copied").await.is_none());
}
