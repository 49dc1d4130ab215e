//! What is read of objects that others wrote.

use std::time::Duration;

use kube_core::error_boundary::DeserializeGuard;
use serde_json::{Value, json};
use strongroom_api::external_secrets::{
    ClusterSecretStore, CreationPolicy, DeletionPolicy, ExternalSecret, RefreshPolicy, SecretStore, SecretStoreKind,
    StoreInterval,
};

fn external_secret(spec: Value) -> ExternalSecret {
    let object = json!({"apiVersion": "external-secrets.io/v1", "kind": "ExternalSecret", "metadata": {"name": "a"}, "spec": spec});
    serde_json::from_value(object).unwrap()
}

#[test]
fn an_empty_text_is_none_where_go_writes_it_for_nothing() {
    let read = external_secret(json!({
        "secretStoreRef": {"name": "", "kind": ""},
        "refreshPolicy": "",
        "refreshInterval": "",
        "target": {"name": "", "creationPolicy": "", "deletionPolicy": "", "template": {"type": "", "engineVersion": ""}},
        "data": [{"secretKey": "k", "remoteRef": {"key": "x", "property": "", "version": "", "metadataPolicy": "",
            "conversionStrategy": "", "decodingStrategy": "", "nullBytePolicy": ""}}],
    }));
    let plain = external_secret(json!({
        "secretStoreRef": {},
        "target": {"template": {}},
        "data": [{"secretKey": "k", "remoteRef": {"key": "x"}}],
    }));
    assert_eq!(read.spec, plain.spec);
    assert_eq!(read.spec.refresh_policy.unwrap_or_default(), RefreshPolicy::Periodic);
    let target = read.spec.target.unwrap();
    assert_eq!(target.creation_policy.unwrap_or_default(), CreationPolicy::Owner);
    assert_eq!(target.deletion_policy.unwrap_or_default(), DeletionPolicy::Retain);
}

#[test]
fn an_empty_path_is_not_no_path() {
    let read = external_secret(json!({"dataFrom": [{"find": {"path": ""}}, {"find": {}}]}));
    let paths: Vec<_> = read.spec.data_from.iter().map(|entry| entry.find.as_ref().unwrap().path.as_deref()).collect();
    assert_eq!(paths, [Some(""), None]);
}

#[test]
fn what_is_not_known_is_passed_over() {
    let read = external_secret(json!({"fromTheFuture": {"a": 1}, "data": [{"secretKey": "k", "new": 1,
        "remoteRef": {"key": "x", "newer": []}}]}));
    assert_eq!(read.spec.data[0].remote_ref.key, "x");
}

#[test]
fn a_wrong_duration_does_not_spoil_its_object() {
    let read = external_secret(json!({"refreshInterval": "soon"}));
    let interval = read.spec.refresh_interval.unwrap();
    assert_eq!(interval.text(), "soon");
    assert_eq!(interval.duration().unwrap_err().to_string(), "this is not a duration");
}

#[test]
fn what_is_written_is_what_was_read() {
    let check = |spec: Value| {
        let written = serde_json::to_value(external_secret(spec.clone()).spec).unwrap();
        assert_eq!(written, spec);
    };
    check(json!({}));
    check(json!({
        "secretStoreRef": {"name": "aws", "kind": "ClusterSecretStore"},
        "target": {"name": "t", "creationPolicy": "CreateOrMerge", "deletionPolicy": "Retain",
            "template": {"type": "Opaque", "engineVersion": "v2", "mergePolicy": "Merge",
                "metadata": {"annotations": {"a": "b"}, "labels": {"c": "d"}, "finalizers": ["e/f"]},
                "data": {"k": "{{ .k }}"},
                "templateFrom": [
                    {"configMap": {"name": "c", "items": [{"key": "k", "templateAs": "KeysAndValues"}]}, "target": "Labels"},
                    {"literal": "a: b", "target": "spec.x[0].y", "valuesDecodingStrategy": "Base64URL"}]},
            "manifest": {"apiVersion": "v1", "kind": "ConfigMap"}, "immutable": true},
        "refreshPolicy": "OnChange",
        "refreshInterval": "1h30m",
        "syncWindows": {"kind": "deny", "windows": [{"schedule": "0 22 * * 1-5", "duration": "8h"}]},
        "data": [{"secretKey": "k", "remoteRef": {"key": "x", "metadataPolicy": "Fetch", "property": "p",
            "version": "v", "conversionStrategy": "Unicode", "decodingStrategy": "Auto", "nullBytePolicy": "Fail"},
            "sourceRef": {"storeRef": {"name": "other", "kind": "SecretStore"}}}],
        "dataFrom": [
            {"extract": {"key": "x"}, "rewrite": [{"regexp": {"source": "a", "target": "b"}},
                {"transform": {"template": "{{ .value }}"}},
                {"merge": {"into": "all", "priority": ["a"], "priorityPolicy": "IgnoreNotFound",
                    "conflictPolicy": "Ignore", "strategy": "JSON"}}]},
            {"find": {"path": "p", "name": {"regexp": ".*"}, "tags": {"a": "b"}}},
            {"sourceRef": {"generatorRef": {"apiVersion": "generators.external-secrets.io/v1alpha1",
                "kind": "Password", "name": "p"}}}],
    }));
}

#[test]
fn a_status_that_external_secrets_wrote_is_read() {
    let check = |status: Value, is_synced: bool| {
        let mut object = serde_json::to_value(external_secret(json!({}))).unwrap();
        object["status"] = status;
        let read: ExternalSecret = serde_json::from_value(object).unwrap();
        assert_eq!(read.status.unwrap().refresh_time.is_some(), is_synced);
    };
    check(json!({"refreshTime": null, "binding": {}}), false);
    check(
        json!({"refreshTime": "2026-08-08T09:10:11Z", "syncedResourceVersion": "1-ab", "binding": {"name": "s"},
            "conditions": [{"type": "Ready", "status": "True", "reason": "SecretSynced", "message": "secret synced",
                "lastTransitionTime": "2026-08-08T09:10:11Z"},
                {"type": "Deleted", "status": "False", "lastTransitionTime": null}]}),
        true,
    );
}

fn store(spec: Value) -> SecretStore {
    serde_json::from_value(json!({"apiVersion": "external-secrets.io/v1", "kind": "SecretStore",
        "metadata": {"name": "a"}, "spec": spec}))
    .unwrap()
}

#[test]
fn a_stores_interval_is_a_number_of_seconds_or_a_duration() {
    let check = |interval: Value, expected: Option<u64>| {
        let read = store(json!({"provider": {}, "refreshInterval": interval}));
        assert_eq!(serde_json::to_value(&read.spec).unwrap()["refreshInterval"], interval);
        let duration = read.spec.refresh_interval.as_ref().map(StoreInterval::duration).unwrap().unwrap();
        assert_eq!(duration, expected.map(Duration::from_secs), "{interval}");
    };
    check(json!(60), Some(60));
    check(json!("90s"), Some(90));
    check(json!("1h"), Some(3600));
    check(json!(0), None);
    check(json!(-5), None);
    check(json!("0s"), None);
}

#[test]
fn slots_that_we_do_not_serve_are_kept() {
    let spec = json!({"provider": {"akeyless": {"akeylessGWApiURL": "https://x", "nested": {"n": 1.50}}}});
    let read = store(spec.clone());
    assert_eq!(serde_json::to_value(&read.spec).unwrap(), spec);
    assert_eq!(read.spec.provider.served(), Vec::<&str>::new());
}

#[test]
fn both_kinds_of_store_hold_the_same() {
    let spec = json!({"provider": {"fake": {"data": []}}, "controller": "x", "retrySettings": {"maxRetries": 3,
        "retryInterval": "10s"}, "conditions": [{"namespaces": ["a"], "namespaceRegexes": ["^b"],
        "namespaceSelector": {"matchLabels": {"c": "d"}}}]});
    let cluster: ClusterSecretStore = serde_json::from_value(json!({"apiVersion": "external-secrets.io/v1",
        "kind": "ClusterSecretStore", "metadata": {"name": "a"}, "spec": spec}))
    .unwrap();
    assert_eq!(cluster.spec.0, store(spec.clone()).spec);
    assert_eq!(serde_json::to_value(&cluster.spec).unwrap(), spec);
    assert_eq!(cluster.spec.retry_settings.as_ref().unwrap().max_retries, Some(3));
}

#[test]
fn a_store_without_a_kind_is_one_of_the_namespace() {
    let read = external_secret(json!({"secretStoreRef": {"name": "a"}}));
    assert_eq!(read.spec.secret_store_ref.unwrap().named(), Some((SecretStoreKind::SecretStore, "a")));
}

#[test]
fn one_wrong_object_does_not_spoil_what_is_read_beside_it() {
    let check = |policy: &str, expected: bool| {
        let object = format!(
            r#"{{"apiVersion": "external-secrets.io/v1", "kind": "ExternalSecret",
                "metadata": {{"name": "a", "generation": 3}}, "spec": {{"refreshPolicy": "{policy}"}}}}"#
        );
        let read: DeserializeGuard<ExternalSecret> = serde_json::from_str(&object).unwrap();
        assert_eq!(read.0.is_ok(), expected, "{policy}: {:?}", read.0.err());
    };
    check("OnChange", true);
    check("FromTheFuture", false);
}
