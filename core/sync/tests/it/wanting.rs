//! What a specification asks for.

use serde_json::{Value, json};
use strongroom_api::external_secrets::ExternalSecretSpec;
use strongroom_secret::Facet;
use strongroom_select::Decode;
use strongroom_sync::keys::Conversion;
use strongroom_sync::rewrite::{MergeStrategy, Rewrite};
use strongroom_sync::wants::{Naming, Want, What, wants};

pub(crate) fn spec(spec: Value) -> ExternalSecretSpec {
    serde_json::from_value(spec).unwrap()
}

fn wanted(value: Value) -> Vec<Want> {
    wants(&spec(value)).unwrap()
}

#[test]
fn entries_come_in_the_order_in_which_they_count() {
    let wants = wanted(json!({
        "secretStoreRef": {"name": "main"},
        "data": [
            {"secretKey": "a", "remoteRef": {"key": "one"}},
            {"secretKey": "b", "remoteRef": {"key": "two"}, "sourceRef": {"storeRef": {"name": "shared", "kind": "ClusterSecretStore"}}},
        ],
        "dataFrom": [
            {"extract": {"key": "all"}},
            {"find": {"name": {"regexp": "^db-"}, "path": "/prod", "tags": {"team": "a"}}},
            {"sourceRef": {"generatorRef": {"kind": "Password", "name": "pw"}}},
        ],
    }));
    let seen: Vec<_> = wants
        .iter()
        .map(|want| {
            let store = want.store().map(|store| format!("{:?} {}", store.kind, store.name));
            (want.field.as_str(), store, want.key())
        })
        .collect();
    let main = || Some("SecretStore main".to_owned());
    assert_eq!(
        seen,
        [
            ("spec.dataFrom[0]", main(), Some("all")),
            ("spec.dataFrom[1]", main(), None),
            ("spec.dataFrom[2]", None, None),
            ("spec.data[0]", main(), Some("one")),
            ("spec.data[1]", Some("ClusterSecretStore shared".to_owned()), Some("two")),
        ]
    );
    let What::Find { find, naming, conversion, .. } = &wants[1].what else { panic!() };
    assert_eq!((find.path.as_deref(), find.tags["team"].as_str()), (Some("/prod"), "a"));
    assert!(find.name.as_ref().unwrap().is_match("db-1"));
    assert_eq!((naming, *conversion), (&Naming::Convert(Conversion::Underscore), Conversion::Underscore));
    let What::Generator { generator, naming } = &wants[2].what else { panic!() };
    assert_eq!((generator.kind.as_str(), naming), ("Password", &Naming::Keep));
}

#[test]
fn strategies_and_policies_have_their_defaults() {
    let wants = wanted(json!({
        "secretStoreRef": {"name": "main"},
        "data": [
            {"secretKey": "a", "remoteRef": {"key": "one"}},
            {"secretKey": "b", "remoteRef": {"key": "two", "property": "p", "version": "7", "metadataPolicy": "Fetch",
                "decodingStrategy": "Base64URL", "nullBytePolicy": "Fail"}},
        ],
        "dataFrom": [
            {"extract": {"key": "x", "conversionStrategy": "Unicode", "decodingStrategy": "Auto"}},
            {"extract": {"key": "x", "conversionStrategy": "Unicode"}, "rewrite": [{"regexp": {"source": "a", "target": "b"}}]},
        ],
    }));
    let decodes: Vec<_> = wants.iter().map(|want| (want.decode, want.forbids_nul)).collect();
    let plain = (Decode::None, false);
    assert_eq!(decodes, [(Decode::Auto, false), plain, plain, (Decode::Base64Url, true)]);
    let What::Value { part, secret_key, .. } = &wants[3].what else { panic!() };
    assert_eq!((secret_key.as_str(), part.property.as_deref(), part.version.as_deref()), ("b", Some("p"), Some("7")));
    assert_eq!(part.facet, Facet::Metadata);
    let namings: Vec<_> = wants[..2]
        .iter()
        .map(|want| match &want.what {
            What::Extract { naming, .. } => naming.clone(),
            _ => panic!(),
        })
        .collect();
    assert_eq!(namings[0], Naming::Convert(Conversion::Unicode));
    assert!(matches!(&namings[1], Naming::Rewrite(steps) if steps.len() == 1), "rewritten keys are not converted");
}

#[test]
fn merges_are_read_with_all_their_options() {
    let wants = wanted(json!({
        "secretStoreRef": {"name": "main"},
        "dataFrom": [{"extract": {"key": "x"}, "rewrite": [
            {"merge": {}},
            {"merge": {"strategy": "JSON", "into": "all", "priority": ["a"], "priorityPolicy": "IgnoreNotFound", "conflictPolicy": "Ignore"}},
            {"transform": {"template": "{{ .value }}"}},
        ]}],
    }));
    let What::Extract { naming: Naming::Rewrite(steps), .. } = &wants[0].what else { panic!() };
    let [Rewrite::Merge(plain), Rewrite::Merge(full), Rewrite::Transform { .. }] = &steps[..] else { panic!() };
    assert_eq!((&plain.strategy, plain.may_conflict, plain.may_miss_priority), (&MergeStrategy::Extract, false, false));
    assert_eq!(full.strategy, MergeStrategy::Json("all".to_owned()));
    assert_eq!((&full.priority[..], full.may_conflict, full.may_miss_priority), (&["a".to_owned()][..], true, true));
}

#[test]
fn what_is_wrong_is_told_in_its_field() {
    let check = |value: Value, expected: &str| {
        let failure = wants(&spec(value)).unwrap_err().to_string();
        assert!(failure.starts_with(expected), "{failure}");
    };
    let entry = json!({"secretKey": "a", "remoteRef": {"key": "one"}});
    check(json!({"data": [entry]}), "spec.data[0]: no store is named");
    let with_main = |from: Value| json!({"secretStoreRef": {"name": "main"}, "dataFrom": [from]});
    check(with_main(json!({})), "spec.dataFrom[0]: exactly one of extract, find");
    check(with_main(json!({"extract": {"key": "a"}, "find": {}})), "spec.dataFrom[0]: exactly one of extract, find");
    check(
        with_main(json!({"find": {"name": {"regexp": "("}}})),
        "spec.dataFrom[0].find.name.regexp: this is not a regular",
    );
    let rewrite = |step: Value| with_main(json!({"extract": {"key": "a"}, "rewrite": [{"merge": {}}, step]}));
    check(rewrite(json!({})), "spec.dataFrom[0].rewrite[1]: exactly one of regexp");
    check(
        rewrite(json!({"regexp": {"source": "(", "target": ""}})),
        "spec.dataFrom[0].rewrite[1].regexp.source: this is",
    );
    check(rewrite(json!({"merge": {"strategy": "JSON"}})), "spec.dataFrom[0].rewrite[1].merge.into: the strategy JSON");
    let generated = json!({"secretKey": "a", "remoteRef": {"key": "one"}, "sourceRef": {"generatorRef": {"kind": "K", "name": "n"}}});
    check(
        json!({"secretStoreRef": {"name": "main"}, "data": [generated]}),
        "spec.data[0].sourceRef.generatorRef: an entry",
    );
}
