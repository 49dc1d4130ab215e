use strongroom_failure::Class;
use strongroom_provider::{Provider as _, RemoteKey, Version};
use world::switchboard::{Fault, Which};

use crate::common::{Line, REGION, Store, assert_all, class, failure, keys, moto, put_parameter, text};

fn at(name: &str, version: u64) -> RemoteKey {
    RemoteKey::at(name, Version::Id(version.to_string()))
}

#[tokio::test]
async fn a_parameter_is_read_with_its_version() {
    let line = Line::new();
    put_parameter("/ps/one", "canary one");
    let answers = line.session.parameter_store(None).read(&[RemoteKey::current("/ps/one")]).await;
    assert!(text(&answers[0]) == "canary one");
    assert_eq!(answers[0].as_ref().unwrap().version.as_deref(), Some("1"));
    assert_eq!((line.count("GetParameter"), line.count("GetParameters")), (1, 0));
}

#[tokio::test]
async fn one_bad_key_spoils_only_its_own_answer() {
    let line = Line::new();
    let keys = keys("ps-bad", 10);
    Store::ParameterStore.put_all(&keys[1..]);
    let answers = line.session.parameter_store(None).read(&keys).await;
    assert_all(&keys[1..], &answers[1..]);
    assert_eq!(
        failure(&answers[0]).to_string(),
        "cannot read \"/ps-bad/0\" from AWS Parameter Store (eu-west-1): there is no such parameter, version or label"
    );
    assert_eq!((class(&answers[0]), line.switchboard.counts().requests), (Class::NotFound, 1));
}

#[tokio::test]
async fn versions_and_labels_of_one_parameter_take_a_call_each() {
    let line = Line::new();
    let first = put_parameter("/ps/versions", "canary first");
    let second = put_parameter("/ps/versions", "canary second");
    moto().label_parameter(REGION, "/ps/versions", first, &["live"]).unwrap();
    put_parameter("/ps/versions-other", "canary other");
    let asked = [
        at("/ps/versions", first),
        at("/ps/versions", second),
        RemoteKey::at("/ps/versions", Version::Stage("live".to_owned())),
        RemoteKey::current("/ps/versions"),
        RemoteKey::current("/ps/versions-other"),
        RemoteKey::current("/ps/versions:live"),
    ];
    let store = line.session.parameter_store(None);
    let places: Vec<_> = store.plan(&asked).into_iter().map(|call| call.keys).collect();
    assert_eq!(places, [vec![0, 4], vec![1], vec![2], vec![3], vec![5]]);
    let answers = store.read(&asked).await;
    let found: Vec<_> = answers.iter().map(text).collect();
    assert!(
        found == ["canary first", "canary second", "canary first", "canary second", "canary other", "canary first"]
    );
    let missing = store.read(&[at("/ps/versions", 99), RemoteKey::current("/ps/versions-other")]).await;
    assert_eq!(class(&missing[0]), Class::NotFound);
    let alone = store.read(&[RemoteKey::at("/ps/versions", Version::Stage("none".to_owned()))]).await;
    assert_eq!(class(&alone[0]), Class::NotFound);
}

/// SI-13: the ARN of `foo` and of `/foo` is the same, and who writes it means the one that exists.
#[tokio::test]
async fn si_13_a_name_without_a_path_is_found_with_and_without_its_slash() {
    let line = Line::new();
    put_parameter("ps-bare", "canary bare");
    put_parameter("/ps-slash", "canary slash");
    put_parameter("/ps/path", "canary path");
    // The emulator takes both names for one; AWS does not, and answers like this.
    let unknown = Which::Body("\"/ps-bare\"".to_owned());
    line.switchboard.add(Fault::aws("ParameterNotFound").on(unknown.clone()).times(1));
    let store = line.session.parameter_store(None);
    let alone = store.read(&[RemoteKey::current("/ps-bare")]).await;
    assert!(text(&alone[0]) == "canary bare");
    assert_eq!(line.count("GetParameter"), 2);
    let others = r#"{"Parameters": [{"Name": "/ps-slash", "Value": "slash", "Version": 1},
        {"Name": "/ps/path", "Value": "path", "Version": 1}], "InvalidParameters": ["/ps-bare", "/ps-none"]}"#;
    line.switchboard.add(Fault::answer(200, &[], others).on(unknown).times(1));
    let keys = ["/ps-bare", "/ps-slash", "/ps/path", "/ps-none"].map(RemoteKey::current);
    let answers = store.read(&keys).await;
    let found: Vec<_> = answers[..3].iter().map(text).collect();
    assert!(found == ["canary bare", "slash", "path"]);
    assert_eq!(class(&answers[3]), Class::NotFound);
    assert_eq!(line.count("GetParameters"), 2);
}

#[tokio::test]
async fn the_same_name_with_and_without_a_slash_keeps_its_own_versions() {
    let line = Line::new();
    let first = put_parameter("ps-twice", "canary first");
    let second = put_parameter("ps-twice", "canary second");
    let keys = [at("/ps-twice", first), at("ps-twice", second), RemoteKey::current("/ps-twice")];
    let answers = line.session.parameter_store(None).read(&keys).await;
    let found: Vec<_> = answers.iter().map(text).collect();
    assert!(found == ["canary first", "canary second", "canary second"]);
}

#[tokio::test]
async fn arns_are_names_too() {
    let line = Line::new();
    put_parameter("/ps/arn", "canary arn");
    put_parameter("/ps/arn-other", "canary other");
    let arn = format!("arn:aws:ssm:{REGION}:123456789012:parameter/ps/arn");
    let keys = [arn.as_str(), "/ps/arn-other", "/ps/arn"].map(RemoteKey::current);
    let answers = line.session.parameter_store(None).read(&keys).await;
    let found: Vec<_> = answers.iter().map(text).collect();
    assert!(found == ["canary arn", "canary other", "canary arn"]);
}

#[tokio::test]
async fn the_largest_value_arrives_whole() {
    let line = Line::new();
    let largest = "\\".repeat(8_192);
    put_parameter("/ps/largest", &largest);
    put_parameter("/ps/small", "canary");
    let store = line.session.parameter_store(None);
    for asked in [vec!["/ps/largest"], vec!["/ps/largest", "/ps/small"]] {
        let keys: Vec<_> = asked.into_iter().map(RemoteKey::current).collect();
        assert!(text(&store.read(&keys).await[0]) == largest);
    }
}

#[tokio::test]
async fn a_name_that_denies_the_whole_call_is_asked_alone_from_then_on() {
    let line = Line::new();
    let mut keys = keys("ps-spoilt", 9);
    Store::ParameterStore.put_all(&keys);
    keys.push(RemoteKey::current("/ps-spoiler"));
    line.switchboard.add(Fault::aws("AccessDeniedException").on(Which::Body("ps-spoiler".to_owned())));
    let store = line.session.parameter_store(None);
    for (batches, singles) in [(2, 10), (2, 1)] {
        line.switchboard.reset_counts();
        let answers = store.read(&keys).await;
        assert_all(&keys[..9], &answers[..9]);
        assert_eq!(class(&answers[9]), Class::Denied);
        // A denied single read is tried by the other operation before it is called denied.
        assert_eq!((line.count("GetParameters"), line.count("GetParameter")), (batches, singles));
    }
    // That is one name's fault and no reason to give batches up.
    assert_eq!(line.batch_denials(), 0);
}

#[tokio::test]
async fn a_name_that_is_none_does_not_spoil_the_others() {
    let line = Line::new();
    let mut keys = keys("ps-misspelt", 3);
    Store::ParameterStore.put_all(&keys);
    keys.push(RemoteKey::current("/ps no name"));
    line.switchboard.add(Fault::aws("ValidationException").on(Which::Body("ps no name".to_owned())));
    let store = line.session.parameter_store(None);
    for _ in 0..2 {
        let answers = store.read(&keys).await;
        assert_all(&keys[..3], &answers[..3]);
        assert_eq!(class(&answers[3]), Class::Invalid);
    }
    assert_eq!(line.count("GetParameters"), 2);
}

#[tokio::test]
async fn who_may_only_call_the_batch_operation_can_read_one() {
    let line = Line::new();
    put_parameter("/ps/batch-only", "canary");
    line.switchboard.add(Fault::aws("AccessDeniedException").on_operation("GetParameter"));
    let answers = line.session.parameter_store(None).read(&[RemoteKey::current("/ps/batch-only")]).await;
    assert!(text(&answers[0]) == "canary");
}
