//! Bundles: kept where they are ours, and nothing else is touched.

use serde_json::{Value, json};
use strongroom_certificates::Kind;

use crate::support::{
    Replica, access, apply, bundle_becomes, bundles, cluster, configuration, eventually, get, held, namespace,
    settings, webhook,
};

/// What of an object is not ours to change.
fn without_bundles_of_ours(mut object: Value) -> Value {
    object["metadata"] = object["metadata"]["labels"].clone();
    let hooks = object["webhooks"].as_array_mut().unwrap();
    hooks[0]["clientConfig"]["caBundle"] = Value::Null;
    object
}

#[test]
fn a_bundle_that_is_changed_is_put_back_and_foreign_webhooks_stay_as_they_are() {
    let (namespace, folder) = (namespace(), tempfile::tempdir().unwrap());
    let ours = settings(&namespace, "hook", &[Kind::Mutating, Kind::Validating]);
    let other = settings(&namespace, "other", &[]);
    let name = ours.configurations[0].name.clone();
    let mut foreign = webhook("b.example.com", &other);
    let theirs = strongroom_crypto::KeyedCertificate::authority(
        &["other.svc".to_owned()],
        strongroom_crypto::Validity { begins: 0, ends: 1 << 31 },
    );
    let theirs = theirs.unwrap().certificate;
    foreign["clientConfig"]["caBundle"] = json!(k8s_openapi::ByteString(theirs.clone().into_bytes()));
    let mut by_url = webhook("c.example.com", &other);
    by_url["clientConfig"] = json!({"url": "https://elsewhere.example/hook"});
    let hooks = [webhook("a.example.com", &ours), foreign, by_url];
    apply(&[configuration(Kind::Mutating, &name, &hooks), configuration(Kind::Validating, &name, &hooks)]);
    let read = |kind: Kind| get(kind.as_str(), "default", &name).unwrap();
    let before = [Kind::Mutating, Kind::Validating].map(read).map(without_bundles_of_ours);
    let _replica = Replica::start(&ours, access(&ours, true, &folder));
    let in_place = || {
        let authority = held(&namespace, "hook", "ca.crt");
        let expected = [authority.clone(), theirs.clone(), String::new()];
        for kind in [Kind::Mutating, Kind::Validating] {
            eventually("bundles", || match bundles(kind, &name) {
                found if found == expected && !authority.is_empty() => Ok(()),
                found => Err(format!("{found:?}")),
            });
        }
    };
    eventually(
        "the Secret",
        || if held(&namespace, "hook", "ca.crt").is_empty() { Err(String::new()) } else { Ok(()) },
    );
    in_place();
    let damage = |kind: Kind, operation: Value| {
        let patch = operation.to_string();
        cluster().kubectl(&["patch", kind.as_str(), &name, "--type=json", "-p", &patch]).unwrap();
    };
    let place = "/webhooks/0/clientConfig/caBundle";
    damage(Kind::Mutating, json!([{"op": "remove", "path": place}]));
    in_place();
    damage(Kind::Validating, json!([{"op": "replace", "path": place, "value": "bm8gUEVN"}]));
    damage(
        Kind::Mutating,
        json!([{"op": "replace", "path": place, "value": k8s_openapi::ByteString(theirs.clone().into_bytes())}]),
    );
    in_place();
    // Nothing but our bundles was written, and nothing else is ours.
    assert_eq!([Kind::Mutating, Kind::Validating].map(read).map(without_bundles_of_ours), before);
    for kind in [Kind::Mutating, Kind::Validating] {
        let managers = read(kind)["metadata"]["managedFields"].as_array().unwrap().clone();
        let fields =
            &managers.iter().find(|fields| fields["manager"] == "strongroom-certificates").unwrap()["fieldsV1"];
        let expected = json!({"f:webhooks": {"k:{\"name\":\"a.example.com\"}":
            {".": {}, "f:clientConfig": {"f:caBundle": {}}, "f:name": {}}}});
        assert_eq!(*fields, expected);
    }
}

#[test]
fn a_configuration_that_comes_later_is_waited_for() {
    let (namespace, folder) = (namespace(), tempfile::tempdir().unwrap());
    let settings = settings(&namespace, "hook", &[Kind::Mutating]);
    let name = settings.configurations[0].name.clone();
    let replica = Replica::start(&settings, access(&settings, true, &folder));
    replica.first();
    let authority = held(&namespace, "hook", "ca.crt");
    for _ in 0..2 {
        apply(&[configuration(Kind::Mutating, &name, &[webhook("a.example.com", &settings)])]);
        bundle_becomes(Kind::Mutating, &name, &authority);
        cluster().kubectl(&["delete", Kind::Mutating.as_str(), &name]).unwrap();
    }
}

#[test]
fn the_bundle_of_a_conversion_is_kept() {
    let (namespace, folder) = (namespace(), tempfile::tempdir().unwrap());
    let settings = settings(&namespace, "hook", &[Kind::Conversion]);
    let name = settings.configurations[0].name.clone();
    let group = name.strip_prefix("things.").unwrap();
    let schema = json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
    let version = |name: &str, stored: bool| json!({"name": name, "served": true, "storage": stored, "schema": schema});
    apply(&[json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": name},
        "spec": {
            "group": group, "scope": "Namespaced", "names": {"plural": "things", "singular": "thing", "kind": "Thing"},
            "versions": [version("v1", true), version("v2", false)],
            "conversion": {"strategy": "Webhook", "webhook": {"conversionReviewVersions": ["v1"],
                "clientConfig": {"service": {"namespace": namespace, "name": "hook", "path": "/convert"}}}},
        },
    })]);
    let replica = Replica::start(&settings, access(&settings, true, &folder));
    replica.first();
    bundle_becomes(Kind::Conversion, &name, &held(&namespace, "hook", "ca.crt"));
    let conversion = get(Kind::Conversion.as_str(), "default", &name).unwrap()["spec"]["conversion"].clone();
    assert_eq!(conversion["strategy"], "Webhook");
    assert_eq!(conversion["webhook"]["clientConfig"]["service"]["path"], "/convert");
}
