use serde_json::json;
use strongroom_failure::Class;
use strongroom_provider::{Provider as _, RemoteKey, Version};
use world::moto::Value;

use crate::common::{Line, REGION, Store, assert_all, assert_clean, class, failure, keys, moto, put_secret, text};

#[tokio::test]
async fn a_secret_is_read_with_its_version() {
    let line = Line::new();
    let stored = put_secret("sm/one", Value::Text("canary one"));
    let answers = line.session.secrets_manager(None).read(&[RemoteKey::current("sm/one")]).await;
    assert!(text(&answers[0]) == "canary one");
    assert_eq!(answers[0].as_ref().unwrap().version.as_deref(), Some(stored.version.as_str()));
    // One key alone needs no more than the permission that everybody has.
    assert_eq!((line.count("GetSecretValue"), line.count("BatchGetSecretValue")), (1, 0));
    assert_clean(&answers);
}

#[tokio::test]
async fn one_bad_key_spoils_only_its_own_answer() {
    let line = Line::new();
    let keys = keys("sm-bad", 20);
    Store::SecretsManager.put_all(&keys[..10]);
    Store::SecretsManager.put_all(&keys[11..]);
    let answers = line.session.secrets_manager(None).read(&keys).await;
    assert_all(&keys[..10], &answers[..10]);
    assert_all(&keys[11..], &answers[11..]);
    assert_eq!(class(&answers[10]), Class::NotFound);
    assert_eq!(
        failure(&answers[10]).to_string(),
        "cannot read \"/sm-bad/10\" from AWS Secrets Manager (eu-west-1): it does not exist"
    );
    assert_eq!(line.switchboard.counts().requests, 1);
}

#[tokio::test]
async fn names_arns_and_partial_arns_of_one_secret_are_answered_in_one_call() {
    let line = Line::new();
    let stored = put_secret("sm/many-names", Value::Text("canary many"));
    put_secret("sm/many", Value::Text("canary few"));
    let partial = &stored.arn[..stored.arn.len() - 7];
    let names = ["sm/many-names", &stored.arn, "sm/many", partial, "sm/many-names"];
    let keys: Vec<_> = names.into_iter().map(RemoteKey::current).collect();
    let answers = line.session.secrets_manager(None).read(&keys).await;
    let found: Vec<_> = answers.iter().map(text).collect();
    assert!(found == ["canary many", "canary many", "canary few", "canary many", "canary many"]);
    assert_eq!(line.switchboard.counts().requests, 1);
}

#[tokio::test]
async fn versions_and_stages_are_read_singly_beside_the_batch() {
    let line = Line::new();
    let first = put_secret("sm/versions", Value::Text("canary first"));
    moto().put_secret_version(REGION, "sm/versions", Value::Text("canary second"), &[]).unwrap();
    put_secret("sm/versions-other", Value::Text("canary other"));
    let asked = [
        RemoteKey::at("sm/versions", Version::Id(first.version.clone())),
        RemoteKey::at("sm/versions", Version::Stage("AWSPREVIOUS".to_owned())),
        RemoteKey::current("sm/versions"),
        RemoteKey::current("sm/versions-other"),
        RemoteKey::at("sm/versions", Version::Stage("NOSUCH".to_owned())),
        RemoteKey::at("sm/versions", Version::Id("00000000-0000-0000-0000-000000000000".to_owned())),
    ];
    let store = line.session.secrets_manager(None);
    let planned: Vec<_> = store.plan(&asked).into_iter().map(|call| (call.operation, call.keys)).collect();
    let single = "secretsmanager:GetSecretValue".to_owned();
    assert_eq!(
        planned,
        [
            ("secretsmanager:BatchGetSecretValue".to_owned(), vec![2, 3]),
            (single.clone(), vec![0]),
            (single.clone(), vec![1]),
            (single.clone(), vec![4]),
            (single, vec![5]),
        ]
    );
    let answers = store.read(&asked).await;
    let found: Vec<_> = answers[..4].iter().map(text).collect();
    assert!(found == ["canary first", "canary first", "canary second", "canary other"]);
    assert_eq!(answers[0].as_ref().unwrap().version.as_deref(), Some(first.version.as_str()));
    assert_eq!((class(&answers[4]), class(&answers[5])), (Class::NotFound, Class::NotFound));
}

#[tokio::test]
async fn versions_are_written_as_for_external_secrets_operator() {
    let line = Line::new();
    let first = put_secret("sm/written", Value::Text("canary first"));
    let second = moto().put_secret_version(REGION, "sm/written", Value::Text("canary second"), &[]).unwrap();
    let at = |version: &str| RemoteKey::at("sm/written", Version::Stage(version.to_owned()));
    let asked = [at(&format!("uuid/{}", first.version)), at("AWSPREVIOUS"), at(""), at("AWSCURRENT"), at("uuid/none")];
    let store = line.session.secrets_manager(None);
    let places: Vec<_> = store.plan(&asked).into_iter().map(|call| call.keys).collect();
    assert_eq!(places, [vec![2, 3], vec![0], vec![1], vec![4]]);
    let answers = store.read(&asked).await;
    let found: Vec<_> = answers[..4].iter().map(text).collect();
    assert!(found == ["canary first", "canary first", "canary second", "canary second"]);
    assert_eq!(answers[2].as_ref().unwrap().version.as_deref(), Some(second.version.as_str()));
    // AWS and its emulator call an id that is none by different names.
    assert!(matches!(class(&answers[4]), Class::NotFound | Class::Invalid));
}

#[tokio::test]
async fn binary_and_the_largest_values_arrive_as_they_are() {
    let line = Line::new();
    let binary: Vec<u8> = (0..=255).collect();
    // 65,536 bytes are the most that Secrets Manager stores; quotes double in JSON.
    let largest = "\"".repeat(65_536);
    put_secret("sm/binary", Value::Binary(&binary));
    put_secret("sm/largest", Value::Text(&largest));
    let store = line.session.secrets_manager(None);
    for asked in [vec!["sm/binary", "sm/largest"], vec!["sm/binary"], vec!["sm/largest"]] {
        let keys: Vec<_> = asked.iter().copied().map(RemoteKey::current).collect();
        for (name, answer) in asked.iter().zip(store.read(&keys).await) {
            let expected: &[u8] = if *name == "sm/binary" { &binary } else { largest.as_bytes() };
            assert!(answer.unwrap().value.expose() == expected, "{name}");
        }
    }
}

#[tokio::test]
async fn a_secret_that_waits_for_its_deletion_is_not_found() {
    let line = Line::new();
    put_secret("sm/deleted", Value::Text("canary"));
    put_secret("sm/kept", Value::Text("canary"));
    moto().call(REGION, "secretsmanager.DeleteSecret", &json!({"SecretId": "sm/deleted"})).unwrap();
    let store = line.session.secrets_manager(None);
    let alone = store.read(&[RemoteKey::current("sm/deleted")]).await;
    let together = store.read(&["sm/deleted", "sm/kept"].map(RemoteKey::current)).await;
    for answer in [&alone[0], &together[0]] {
        assert_eq!(class(answer), Class::NotFound);
        assert!(failure(answer).words.contains("scheduled for deletion"), "{}", failure(answer));
    }
    assert!(together[1].is_ok());
}

#[tokio::test]
async fn what_is_no_read_of_aws_is_said_to_be_invalid() {
    let line = Line::new();
    let mut key = RemoteKey::current("sm/one");
    key.request = Some("{}".to_owned());
    let answers = line.session.secrets_manager(None).read(&[key]).await;
    assert_eq!(class(&answers[0]), Class::Invalid);
    assert_eq!(line.switchboard.counts().requests, 0);
}
