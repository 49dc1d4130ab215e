use jiff::Timestamp;
use serde_json::{Value, json};
use strongroom_failure::{Class, Failure};
use strongroom_kamus_secret::{identity, items, status, wanted, wish};
use strongroom_secret::SecretBytes;
use strongroom_sync::Values;
use strongroom_sync::owned::{Current, Plan};

use super::object;

fn bytes(text: &str) -> SecretBytes {
    SecretBytes::from(text.to_owned())
}

#[test]
fn data_is_base64_but_for_what_the_first_version_wrote() {
    let fields = json!({"f:data": {"f:old": {}, "f:both": {}}});
    let newer = json!({"f:data": {"f:both": {}}});
    let entry =
        |version: &str, fields: Value| json!({"apiVersion": format!("soluto.com/{version}"), "fieldsV1": fields});
    let managed = json!([entry("v1alpha1", fields), entry("v1alpha2", newer)]);
    let object = object(json!({
        "data": {"old": "1", "both": "2", "new": "3", "twice": "4"}, "stringData": {"text": "5", "twice": "6"},
        "managedFields": managed,
    }));
    let mut found = Vec::new();
    for item in items(&object) {
        // `aGk=` is `hi`.
        let value = item.value(bytes("aG\nk= ")).unwrap();
        found.push(format!("{} {} {}", item.field(), item.encrypted, value.expose_text().unwrap().trim_end()));
    }
    let expected = [
        "stringData[\"text\"] 5 aG\nk=",
        "stringData[\"twice\"] 6 aG\nk=",
        "data[\"both\"] 2 hi",
        "data[\"new\"] 3 hi",
        "data[\"old\"] 1 aG\nk=",
    ];
    assert_eq!(found, expected);
    let failure = items(&object)[3].value(bytes("canary!")).unwrap_err();
    assert_eq!(failure.to_string(), "data[\"new\"]: what was encrypted is no base64");
    assert!(!format!("{failure:?}").contains("canary"));
}

#[test]
fn the_account_is_one_of_the_objects_own_namespace() {
    let of = |account: &str| identity(&object(json!({"serviceAccount": account}))).map(|identity| identity.to_string());
    assert_eq!(of("web").unwrap(), "team-a:web");
    for wrong in ["", "team-b:web", "team-b/web", "Web"] {
        assert!(of(wrong).unwrap_err().to_string().starts_with("serviceAccount: "), "{wrong}");
    }
}

fn values() -> Values {
    Values::from([("key".to_owned(), bytes("hello"))])
}

#[test]
fn labels_are_copied_and_annotations_where_that_is_asked_for() {
    let annotations = json!({
        "a": "1", "kubectl.kubernetes.io/last-applied-configuration": "{}", "strongroom.dev/kamus-verified": "v1.x",
    });
    let check = |rest: Value, expected: &str| {
        let mut rest = rest;
        rest["labels"] = json!({"app": "x"});
        rest["annotations"] = annotations.clone();
        let wanted = wanted(&object(rest), values());
        assert_eq!(format!("{} {:?} {:?}", wanted.kind, wanted.labels, wanted.annotations), expected);
    };
    check(json!({}), r#"Opaque {"app": "x"} {}"#);
    check(json!({"type": "TlsSecret"}), r#"TlsSecret {"app": "x"} {}"#);
    check(json!({"type": "", "propagateAnnotations": true}), r#"Opaque {"app": "x"} {"a": "1"}"#);
    check(json!({"propagateAnnotations": false}), r#"Opaque {"app": "x"} {}"#);
    let owner = wanted(&object(json!({})), values()).owner;
    assert_eq!(
        serde_json::to_value(owner).unwrap(),
        json!({
            "apiVersion": "soluto.com/v1alpha2", "kind": "KamusSecret", "name": "app", "uid": "u-1",
            "controller": true, "blockOwnerDeletion": true,
        })
    );
}

#[test]
fn s5_a_secret_of_somebody_else_is_not_overwritten_and_one_that_kamus_made_is_ours() {
    let wanted = wanted(&object(json!({})), values());
    let Plan::Create(metadata) = wanted.plan(None).unwrap() else { panic!("there is none") };
    let current = |change: &dyn Fn(&mut Current)| {
        let mut current =
            Current { metadata: metadata.clone(), kind: "Opaque".to_owned(), immutable: false, data: values() };
        change(&mut current);
        match wanted.plan(Some(&current)) {
            Ok(Plan::Nothing) => "nothing".to_owned(),
            Ok(Plan::Replace(_)) => "replace".to_owned(),
            Ok(Plan::Create(_)) => "create".to_owned(),
            Err(failure) => failure.to_string(),
        }
    };
    assert_eq!(current(&|_| {}), "nothing");
    assert_eq!(current(&|current| current.data.clear()), "replace");
    assert_eq!(
        current(&|current| current.metadata.owner_references.as_mut().unwrap()[0].uid = "old".to_owned()),
        "replace"
    );
    assert_eq!(
        current(&|current| current.kind = "x".to_owned()),
        "type: the Secret's type is x, and a type never changes"
    );
    let foreign = "the Secret app exists, and this KamusSecret did not make it";
    assert_eq!(current(&|current| current.metadata.owner_references = None), foreign);
    let owner = |current: &mut Current, version: &str, kind: &str| {
        let owner = &mut current.metadata.owner_references.as_mut().unwrap()[0];
        (owner.api_version, owner.kind) = (version.to_owned(), kind.to_owned());
    };
    assert_eq!(current(&|current| owner(current, "soluto.com/v1alpha1", "KamusSecret")), "replace");
    assert_eq!(current(&|current| owner(current, "other.com/v1alpha2", "KamusSecret")), foreign);
    assert_eq!(current(&|current| owner(current, "external-secrets.io/v1", "ExternalSecret")), foreign);
}

#[test]
fn a_status_is_written_only_where_it_says_something_new() {
    let now: Timestamp = "2026-11-28T08:00:00Z".parse().unwrap();
    let later: Timestamp = "2026-11-28T09:00:00Z".parse().unwrap();
    let mut object = object(json!({}));
    let first = status::next(&object, status::SYNCED, "made", now).unwrap();
    assert_eq!(
        serde_json::to_value(&first).unwrap(),
        json!({
            "observedGeneration": 2,
            "conditions": [{
                "type": "Ready", "status": "True", "reason": "SecretSynced", "message": "made",
                "lastTransitionTime": "2026-11-28T08:00:00Z",
            }],
        })
    );
    object.status = Some(first);
    assert_eq!(status::next(&object, status::SYNCED, "made", later), None);
    let transition = |status: Option<strongroom_api::kamus::KamusSecretStatus>| {
        status.unwrap().conditions[0].last_transition_time.clone().unwrap().0
    };
    assert_eq!(transition(status::next(&object, status::SYNCED, "other", later)), now);
    assert_eq!(transition(status::next(&object, status::CANNOT_DECRYPT, "why", later)), later);
    object.metadata.generation = Some(3);
    assert!(status::next(&object, status::SYNCED, "made", later).is_some());
}

#[test]
fn all_causes_are_told_with_what_to_try_and_not_without_end() {
    let one = Failure::new(Class::Invalid, "is wrong").in_field("data[\"a\"]").with_hint("mend it");
    let other = Failure::new(Class::Unavailable, "no answer");
    assert_eq!(status::words(&[one.clone(), other]), "data[\"a\"]: is wrong (mend it); no answer");
    let many = vec![one; 500];
    assert_eq!(status::words(&many).chars().count(), 2_001);
}

#[test]
fn whatever_decides_about_the_secret_is_a_new_wish() {
    let base = json!({"data": {"a": "x"}, "serviceAccount": "web", "labels": {"l": "1"}});
    let before = wish(&object(base.clone()));
    assert_eq!(wish(&object(base.clone())), before);
    for (name, value) in [
        ("data", json!({"a": "y"})),
        ("stringData", json!({"a": "x"})),
        ("serviceAccount", json!("other")),
        ("type", json!("x")),
        ("propagateAnnotations", json!(true)),
        ("labels", json!({"l": "2"})),
        ("annotations", json!({"a": "1"})),
    ] {
        let mut other = base.clone();
        other[name] = value;
        assert_ne!(wish(&object(other)), before, "{name}");
    }
    let mut told = base;
    told["status"] = json!({"observedGeneration": 1});
    assert_eq!(wish(&object(told)), before);
}
