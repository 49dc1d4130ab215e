//! What of a Secret goes where.

use std::collections::BTreeMap;

use strongroom_api::external_secrets::{PushSecretSpec, SecretStoreKind, SyncedPushSecrets};
use strongroom_sync::push::{
    Content, Removal, Share, Source, Store, entries, place_key, removals, store_key, store_of_key, synced, templated,
    united, without_duplicates,
};

use crate::{Engine, shown, values};

fn spec(text: &str) -> PushSecretSpec {
    serde_saphyr::from_str(&format!("{{secretStoreRefs: [{{name: s}}], selector: {{secret: {{name: a}}}}, {text}}}"))
        .unwrap()
}

fn store() -> Store {
    let labels = BTreeMap::from([("team".to_owned(), "a".to_owned())]);
    Store { kind: SecretStoreKind::SecretStore, name: "s".to_owned(), labels }
}

fn source(data: &[(&str, &str)]) -> Source {
    Source { name: "app".to_owned(), data: values(data), ..Source::default() }
}

/// Places with their contents, and what failed.
fn planned(text: &str, data: &[(&str, &str)]) -> (Vec<String>, Vec<String>) {
    let (entries, failed) = entries(&spec(text), &store(), &source(data), &Engine);
    let line = |entry: &strongroom_sync::push::Entry| {
        let content = match &entry.content {
            Content::One(value) => value.expose_text().unwrap().to_owned(),
            Content::Whole(values) => format!("{:?}", shown(values)),
        };
        format!("{}={content}", place_key(entry.place()))
    };
    (entries.iter().map(line).collect(), failed.iter().map(ToString::to_string).collect())
}

#[test]
fn each_entry_names_a_key_or_the_whole_secret_and_a_missing_key_spoils_only_its_own() {
    let (made, failed) = planned(
        "data: [{match: {secretKey: a, remoteRef: {remoteKey: x}}}, \
                {match: {secretKey: no, remoteRef: {remoteKey: y}}}, \
                {match: {secretKey: b, remoteRef: {remoteKey: x, property: p}}}, \
                {match: {remoteRef: {remoteKey: all}}}]",
        &[("a", "1"), ("b", "2")],
    );
    assert_eq!(made, ["x=1", "x/p=2", r#"all=[("a", "1"), ("b", "2")]"#]);
    assert_eq!(failed, [r#"spec.data[1].match.secretKey: secret key no does not exist in Secret "app""#]);
}

#[test]
fn codes_of_letters_become_letters_again_and_two_keys_never_one() {
    let one = "data: [{match: {secretKey: 'a b', remoteRef: {remoteKey: x}}, conversionStrategy: ReverseUnicode}]";
    assert_eq!(planned(one, &[("a_U0020_b", "1")]).0, ["x=1"]);
    assert_eq!(planned(&one.replace("ReverseUnicode", "None"), &[("a_U0020_b", "1")]).0, Vec::<String>::new());
    // A surrogate is no letter.
    let kept = one.replace("a b", "a_Ud800_b");
    assert_eq!(planned(&kept, &[("a_Ud800_b", "1")]).0, ["x=1"]);
    let (_, failed) = planned(one, &[("a_U0020_b", "1"), ("a_U00020_b", "2")]);
    assert!(failed[0].contains("both become"), "{failed:?}");
}

#[test]
fn many_keys_go_at_once_under_rewritten_names_and_data_wins() {
    let data = [("db_user", "u"), ("db_password", "p"), ("other", "o")];
    let check = |text: &str, expected: &[&str]| {
        assert_eq!(
            planned(text, &data),
            (expected.iter().map(|line| (*line).to_owned()).collect(), Vec::new()),
            "{text}"
        )
    };
    check("dataTo: [{storeRef: {name: s}}]", &["db_password=p", "db_user=u", "other=o"]);
    check("dataTo: [{storeRef: {name: t}}]", &[]);
    check("dataTo: [{storeRef: {labelSelector: {matchLabels: {team: a}}}, match: {regexp: ^oth}}]", &["other=o"]);
    check("dataTo: [{storeRef: {labelSelector: {matchLabels: {team: b}}}}]", &[]);
    check(
        "dataTo: [{storeRef: {name: s}, match: {regexp: ^db_}, remoteKey: app/db}]",
        &[r#"app/db=[("db_password", "p"), ("db_user", "u")]"#],
    );
    check(
        "dataTo: [{storeRef: {name: s}, match: {regexp: ^db_}, rewrite: [{regexp: {source: ^db_, target: app/}}, \
         {transform: {template: 'x-{{ .value }}'}}]}]",
        &["x-app/password=p", "x-app/user=u"],
    );
    check(
        "data: [{match: {secretKey: db_user, remoteRef: {remoteKey: special}}}], \
         dataTo: [{storeRef: {name: s}, match: {regexp: ^db_}}]",
        &["special=u", "db_password=p"],
    );
    check("dataTo: [{storeRef: {name: s}, match: {regexp: nothing}, remoteKey: x}]", &[]);
}

#[test]
fn two_values_for_one_place_are_both_refused() {
    let spec = spec("dataTo: [{storeRef: {name: s}, rewrite: [{regexp: {source: '[12]', target: ''}}]}]");
    let source = source(&[("a1", "1"), ("a2", "2"), ("b", "3")]);
    let (made, _) = entries(&spec, &store(), &source, &Engine);
    let share = |entry| Share { store: store().key(), source: 0, entry };
    let (kept, failed) = without_duplicates(made.into_iter().map(share).collect(), std::slice::from_ref(&source));
    assert_eq!(kept.iter().map(|share| place_key(share.entry.place())).collect::<Vec<_>>(), ["b"]);
    assert_eq!(failed.len(), 1);
    let words = failed[0].to_string();
    assert!(words.contains(r#""a1" of Secret "app""#) && words.contains(r#""a2" of Secret "app""#), "{words}");
    assert_eq!(synced(&kept)["SecretStore/s"]["b"].matching.secret_key.as_deref(), Some("b"));
}

#[test]
fn templates_add_to_what_the_secret_has() {
    let spec = spec("template: {type: example.com/t, data: {url: 'db://{{ .user }}'}, metadata: {labels: {l: x}}}");
    let shaped = |data: &[(&str, &str)]| templated(spec.template.as_ref(), source(data), &BTreeMap::new(), &Engine);
    let made = shaped(&[("user", "ann")]).unwrap();
    assert_eq!(shown(&made.data), [("url", "db://ann"), ("user", "ann")]);
    assert_eq!((made.kind.as_deref(), made.labels["l"].as_str()), (Some("example.com/t"), "x"));
    let failed = shaped(&[]).unwrap_err();
    assert_eq!(failed[0].subject.field.as_deref(), Some("spec.template.data.url"));
}

fn pushed(text: &str) -> SyncedPushSecrets {
    let at = |place: &str| {
        let (key, property) = place.split_once('/').map_or((place, None), |(key, property)| (key, Some(property)));
        let property = property.map(|property| format!(", property: {property}")).unwrap_or_default();
        let data = format!("{{match: {{secretKey: k, remoteRef: {{remoteKey: {key}{property}}}}}}}");
        (place.to_owned(), serde_saphyr::from_str(&data).unwrap())
    };
    let mut synced = SyncedPushSecrets::new();
    for place in text.split_whitespace() {
        let (store, place) = place.split_once(':').unwrap();
        synced.entry(format!("SecretStore/{store}")).or_default().extend([at(place)]);
    }
    synced
}

#[test]
fn what_is_wanted_no_more_is_removed_and_nothing_else() {
    let check = |before: &str, after: &str, expected: &[(&str, &str, bool)]| {
        let removals = removals(&pushed(before), &pushed(after));
        let found: Vec<_> = removals
            .iter()
            .map(|Removal { store, key, is_first, .. }| (store.as_str(), key.as_str(), *is_first))
            .collect();
        assert_eq!(found, expected, "{before} -> {after}");
    };
    check("s:a s:b", "s:a s:b", &[]);
    check("s:a s:b/p s:b/q", "s:b/q", &[("SecretStore/s", "a", false), ("SecretStore/s", "b/p", false)]);
    check("s:a t:a", "t:a", &[("SecretStore/s", "a", false)]);
    check("s:a t:b", "", &[("SecretStore/s", "a", false), ("SecretStore/t", "b", false)]);
    // A whole secret takes its properties with it, and makes room for a property before that is written.
    check("s:a/p", "s:a", &[]);
    check("s:a", "s:a/p", &[("SecretStore/s", "a", true)]);
    assert_eq!(united(&pushed("s:a t:b"), &pushed("s:c")), pushed("s:a s:c t:b"));
}

#[test]
fn what_was_pushed_to_another_namespace_is_removed_there() {
    let check = |metadata: &str, expected: Option<&str>| {
        let data = format!("{{match: {{remoteRef: {{remoteKey: a}}}}{metadata}}}");
        let places = [("a".to_owned(), serde_saphyr::from_str(&data).unwrap())];
        let synced = SyncedPushSecrets::from([("ClusterSecretStore/s".to_owned(), places.into())]);
        let removals = removals(&synced, &SyncedPushSecrets::new());
        assert_eq!(removals[0].namespace.as_deref(), expected, "{metadata}");
    };
    check("", None);
    check(", metadata: {spec: {remoteNamespace: ''}}", None);
    check(", metadata: {spec: {tags: {a: b}}}", None);
    check(", metadata: {spec: {remoteNamespace: team-b}}", Some("team-b"));
}

#[test]
fn stores_are_named_in_the_status_as_external_secrets_names_them() {
    assert_eq!(store_key(SecretStoreKind::ClusterSecretStore, "s"), "ClusterSecretStore/s");
    assert_eq!(store_of_key("ClusterSecretStore/s"), Some((SecretStoreKind::ClusterSecretStore, "s")));
    assert_eq!(store_of_key("SecretStore/s"), Some((SecretStoreKind::SecretStore, "s")));
    assert_eq!((store_of_key("Other/s"), store_of_key("s")), (None, None));
}
