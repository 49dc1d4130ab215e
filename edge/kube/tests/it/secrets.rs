//! Writes of Secrets: exact, never over another's, and refusals that quote nothing.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::Api;
use serde_json::json;
use strongroom_failure::Class;
use strongroom_kube::{
    Preconditions, SecretObject, Secrets, WriteFailure, merge_patch, merge_patch_status, replace_finalizers,
};
use strongroom_secret::SecretBytes;

use crate::{cluster, connect, namespace};

const CANARY: &str = "canary-7f3a9c51";

fn secret(namespace: &str, name: &str, value: &str) -> SecretObject {
    let metadata = ObjectMeta {
        name: Some(name.to_owned()),
        namespace: Some(namespace.to_owned()),
        labels: Some(BTreeMap::from([("a".to_owned(), "b".to_owned())])),
        ..ObjectMeta::default()
    };
    let data = BTreeMap::from([
        ("password".to_owned(), SecretBytes::from(value.to_owned())),
        ("raw".to_owned(), SecretBytes::new(vec![0, 159, 255])),
        ("empty".to_owned(), SecretBytes::default()),
    ]);
    SecretObject { metadata, type_: Some("Opaque".to_owned()), immutable: None, data }
}

#[tokio::test]
async fn a_secret_is_made_read_replaced_and_deleted() {
    let cluster = cluster();
    let namespace = namespace(cluster);
    let connection = connect(cluster.kubeconfig()).await;
    let secrets = Secrets::new(connection.client(), "external-secrets");
    let mut wanted = secret(&namespace, "db", CANARY);
    assert!(secrets.read(&namespace, "db").await.unwrap().is_none());
    let made = secrets.create(&wanted).await.unwrap();
    assert_eq!(made.managed_fields.as_ref().unwrap()[0].manager.as_deref(), Some("external-secrets"));
    assert_eq!(secrets.create(&wanted).await, Err(WriteFailure::AlreadyExists));

    let read = secrets.read(&namespace, "db").await.unwrap().unwrap();
    assert_eq!(read.metadata.resource_version, made.resource_version);
    assert_eq!(read.type_.as_deref(), Some("Opaque"));
    assert_eq!(read.data["password"].expose(), CANARY.as_bytes());
    assert_eq!(read.data["raw"].expose(), [0, 159, 255]);
    assert!(read.data["empty"].is_empty());

    // Without a resource version it would be written over whatever is there.
    assert_eq!(secrets.replace(&wanted).await, Err(WriteFailure::Conflict));
    wanted.metadata.resource_version.clone_from(&made.resource_version);
    wanted.data.insert("password".to_owned(), SecretBytes::from("other".to_owned()));
    let replaced = secrets.replace(&wanted).await.unwrap();
    assert_ne!(replaced.resource_version, made.resource_version);
    assert_eq!(secrets.replace(&wanted).await, Err(WriteFailure::Conflict));
    let get = ["get", "secret", "db", "-n", &namespace, "-o", "jsonpath={.data.password}"];
    assert_eq!(cluster.kubectl(&get).unwrap(), "b3RoZXI=");

    let old = Preconditions { uid: made.uid.clone(), resource_version: made.resource_version };
    assert_eq!(secrets.delete(&namespace, "db", &old).await, Err(WriteFailure::Conflict));
    let another =
        Preconditions { uid: Some("6b0fd3d1-0000-0000-0000-000000000000".to_owned()), ..Preconditions::default() };
    assert_eq!(secrets.delete(&namespace, "db", &another).await, Err(WriteFailure::Conflict));
    let now = Preconditions { uid: made.uid, resource_version: replaced.resource_version };
    assert_eq!(secrets.delete(&namespace, "db", &now).await, Ok(()));
    assert_eq!(secrets.delete(&namespace, "db", &now).await, Err(WriteFailure::NotFound));
    assert_eq!(secrets.replace(&wanted).await, Err(WriteFailure::NotFound));
    assert_eq!(connection.traffic().count("create", "secrets"), 2);
    assert_eq!(connection.traffic().count("update", "secrets"), 3);
}

#[tokio::test]
async fn what_cannot_be_changed_is_told_apart() {
    let cluster = cluster();
    let namespace = namespace(cluster);
    let secrets = Secrets::new(connect(cluster.kubeconfig()).await.client(), "test");
    let mut sealed = SecretObject { immutable: Some(true), ..secret(&namespace, "sealed", CANARY) };
    sealed.metadata = secrets.create(&sealed).await.unwrap();
    sealed.data.insert("password".to_owned(), SecretBytes::from("other".to_owned()));
    let data = WriteFailure::Immutable { field: "data".to_owned() };
    assert_eq!(secrets.replace(&sealed).await, Err(data));

    let mut open = secret(&namespace, "open", CANARY);
    open.metadata = secrets.create(&open).await.unwrap();
    open.type_ = Some("example.com/other".to_owned());
    let kind = WriteFailure::Immutable { field: "type".to_owned() };
    assert_eq!(secrets.replace(&open).await, Err(kind));
}

#[tokio::test]
async fn refusals_have_a_class_and_quote_no_value() {
    let cluster = cluster();
    let namespace = namespace(cluster);
    let secrets = Secrets::new(connect(cluster.kubeconfig()).await.client(), "test");
    let check = async |change: &dyn Fn(&mut SecretObject), class: Class, words: &str| {
        let mut wanted = secret(&namespace, "refused", CANARY);
        change(&mut wanted);
        let Err(WriteFailure::Other(failure)) = secrets.create(&wanted).await else { panic!("{words}: it was taken") };
        assert_eq!((failure.class, failure.to_string().contains(words)), (class, true), "{failure}");
        assert!(!failure.to_string().contains("canary"), "{failure}");
    };
    let key = |wanted: &mut SecretObject| {
        wanted.data.insert(format!("no key {CANARY}"), SecretBytes::from(CANARY.to_owned()));
        wanted.data.insert("no key".to_owned(), SecretBytes::from(CANARY.to_owned()));
        wanted.data.retain(|key, _| !key.contains("canary"));
    };
    check(&key, Class::Invalid, "the API server finds it invalid: data[no key] (FieldValueInvalid)").await;
    let label = |wanted: &mut SecretObject| {
        wanted.metadata.labels = Some(BTreeMap::from([("a".to_owned(), format!("no label {CANARY}"))]));
    };
    check(&label, Class::Invalid, "metadata.labels (FieldValueInvalid)").await;
    let tls = |wanted: &mut SecretObject| wanted.type_ = Some("kubernetes.io/tls".to_owned());
    check(&tls, Class::Invalid, "data[tls.crt] (FieldValueRequired), data[tls.key] (FieldValueRequired)").await;
    let large = |wanted: &mut SecretObject| {
        wanted.data.insert("large".to_owned(), SecretBytes::from(CANARY.repeat(100_000)));
    };
    check(&large, Class::Invalid, "data (FieldValueTooLong)").await;
    let name = |wanted: &mut SecretObject| wanted.metadata.namespace = Some("../nodes".to_owned());
    check(&name, Class::Invalid, "\"../nodes\" is not a name of a Kubernetes object").await;
    let nowhere = SecretObject {
        metadata: ObjectMeta { namespace: Some("nowhere".to_owned()), ..secret("", "a", "").metadata },
        ..secret("", "a", "")
    };
    assert_eq!(secrets.create(&nowhere).await, Err(WriteFailure::NotFound));
}

#[tokio::test]
async fn parts_of_objects_are_patched() {
    let cluster = cluster();
    let namespace = namespace(cluster);
    let client = connect(cluster.kubeconfig()).await.client();
    cluster.kubectl(&["create", "configmap", "a", "-n", &namespace, "--from-literal=k=v"]).unwrap();
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), &namespace);
    let patch = json!({"metadata": {"labels": {"mine": "yes"}}});
    let patched = merge_patch(&maps, "a", &patch, "test").await.unwrap();
    assert_eq!(patched.labels.unwrap()["mine"], "yes");
    let stale = json!({"metadata": {"resourceVersion": "1", "labels": {"mine": "no"}}});
    assert_eq!(merge_patch(&maps, "a", &stale, "test").await, Err(WriteFailure::Conflict));
    assert_eq!(merge_patch(&maps, "b", &patch, "test").await, Err(WriteFailure::NotFound));
    let namespaces: Api<Namespace> = Api::all(client);
    let status = json!({"conditions": [{"type": "Tested", "status": "True"}]});
    merge_patch_status(&namespaces, &namespace, &status, "test").await.unwrap();
    let get = ["get", "namespace", &namespace, "-o", "jsonpath={.status.conditions[0].type}"];
    assert_eq!(cluster.kubectl(&get).unwrap(), "Tested");
}

#[tokio::test]
async fn finalizers_are_replaced_on_the_version_that_was_seen() {
    let cluster = cluster();
    let namespace = namespace(cluster);
    cluster.kubectl(&["create", "configmap", "a", "-n", &namespace]).unwrap();
    let maps: Api<ConfigMap> = Api::namespaced(connect(cluster.kubeconfig()).await.client(), &namespace);
    let seen = maps.get("a").await.unwrap().metadata;
    let ours = ["tests.example/ours".to_owned()];
    assert_eq!(replace_finalizers(&maps, &seen, &ours, "test").await, Ok(true));
    // The object is a newer one now: what somebody else may have put on stays.
    assert_eq!(replace_finalizers(&maps, &seen, &[], "test").await, Ok(false));
    let seen = maps.get("a").await.unwrap().metadata;
    assert_eq!(seen.finalizers.as_deref(), Some(&ours[..]));
    assert_eq!(replace_finalizers(&maps, &seen, &[], "test").await, Ok(true));
    cluster.kubectl(&["delete", "configmap", "a", "-n", &namespace]).unwrap();
    assert_eq!(replace_finalizers(&maps, &seen, &ours, "test").await, Ok(true), "nothing is left to be held");
    let refused = ObjectMeta { name: Some("../a".to_owned()), ..seen };
    let failure = replace_finalizers(&maps, &refused, &ours, "test").await.unwrap_err();
    assert!(failure.to_string().contains("\"../a\" is not a name of a Kubernetes object"), "{failure}");
}
