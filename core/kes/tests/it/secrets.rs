use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use strongroom_kes::Values;
use strongroom_kes::secret::{Current, Place, Plan, Wanted, is_template, pieces, wanted};
use strongroom_secret::SecretBytes;

use super::object;

fn bytes(text: &str) -> SecretBytes {
    SecretBytes::from(text.to_owned())
}

/// What an object with this spec wants, whose template is rendered as it stands.
fn made(spec: &str, values: &[(&str, &str)]) -> Result<Wanted, String> {
    let object = object(spec);
    let spec = object.spec.as_ref().unwrap();
    let pieces = pieces(spec).map_err(|failure| failure.to_string())?;
    let pieces = pieces.into_iter().map(|(place, text)| (place, SecretBytes::from(text))).collect();
    let values: Values = values.iter().map(|(name, value)| ((*name).to_owned(), bytes(value))).collect();
    wanted(&object, spec, values, pieces).map_err(|failure| failure.to_string())
}

fn shown(wanted: &Wanted) -> String {
    let data: Vec<_> =
        wanted.data.iter().map(|(name, value)| format!("{name}={}", value.expose_text().unwrap())).collect();
    format!("{} {} {:?} {:?}", wanted.kind, data.join(","), wanted.labels, wanted.annotations)
}

#[test]
fn ke_31_the_template_adds_and_what_was_read_wins() {
    let check = |spec: &str, expected: &str| {
        let spec = format!("{{backendType: vault, data: [], {spec}}}");
        assert_eq!(shown(&made(&spec, &[("a", "read")]).unwrap()), expected, "{spec}");
    };
    check("", "Opaque a=read {} {}");
    check("type: kubernetes.io/tls", "kubernetes.io/tls a=read {} {}");
    check("type: x, template: {type: z}", "z a=read {} {}");
    check(
        "template: {metadata: {name: other, labels: {l: '1'}, annotations: {n: null}}}",
        r#"Opaque a=read {"l": "1"} {"n": ""}"#,
    );
    check("template: {data: {a: bG9zdA==, b: a2VwdA==}}", "Opaque a=read,b=kept {} {}");
    check("template: {stringData: {a: wins, c: more}}", "Opaque a=wins,c=more {} {}");
    let owner = made("{backendType: vault, data: []}", &[]).unwrap().owner;
    assert_eq!(
        (owner.api_version.as_str(), owner.kind.as_str(), owner.name.as_str(), owner.uid.as_str(), owner.controller),
        ("kubernetes-client.io/v1", "ExternalSecret", "app", "u-1", Some(true))
    );
    for wrong in ["stringData: {a: 1}", "metadata: {labels: {a: true}}", "data: {a: '%'}"] {
        let words =
            made(&format!("{{backendType: vault, data: [], template: {{{wrong}}}}}"), &[]).map(drop).unwrap_err();
        assert!(words.starts_with("template."), "{words}");
    }
}

#[test]
fn texts_without_delimiters_need_no_engine() {
    for (text, expected) in [("plain", false), ("<%= data.a %>", true), ("${data.a}", true), ("a < b % c $d", false)] {
        assert_eq!(is_template(text), expected, "{text}");
    }
    let spec =
        object("{backendType: vault, data: [], template: {metadata: {labels: {a: x}}, stringData: {b: z}}}").spec;
    let expected =
        [(Place::Label("a".to_owned()), "x".to_owned()), (Place::StringData("b".to_owned()), "z".to_owned())];
    assert_eq!(pieces(&spec.unwrap()).unwrap(), expected);
}

const SPEC: &str = "{backendType: vault, data: [], template: {metadata: {labels: {ours: x}}}}";

/// The Secret that `wanted` comes to, as the API server keeps it.
fn current(wanted: &Wanted) -> Current {
    let Plan::Create(metadata) = wanted.plan(None).unwrap() else { panic!("there is none") };
    let fields = serde_json::json!({"f:data": {"f:a": {}}, "f:metadata": {"f:labels": {"f:ours": {}, "f:former": {}}}});
    let written = serde_json::from_value(serde_json::json!([{"manager": "axios", "fieldsV1": fields}])).unwrap();
    let metadata = ObjectMeta { resource_version: Some("7".to_owned()), managed_fields: written, ..metadata };
    Current { metadata, kind: wanted.kind.clone(), immutable: false, data: wanted.data.clone() }
}

#[test]
fn ke_28_only_what_differs_is_written() {
    let wanted = made(SPEC, &[("a", "1")]).unwrap();
    let plan = |change: &dyn Fn(&mut Current)| {
        let mut current = current(&wanted);
        change(&mut current);
        match wanted.plan(Some(&current)) {
            Ok(Plan::Replace(metadata)) => format!("{:?}", metadata.labels.unwrap_or_default()),
            Ok(other) => format!("{other:?}"),
            Err(failure) => failure.words,
        }
    };
    let labels = |current: &mut Current, name: &str, value: &str| {
        current.metadata.labels.get_or_insert_default().insert(name.to_owned(), value.to_owned());
    };
    assert_eq!(plan(&|_| {}), "Nothing");
    assert_eq!(plan(&|current| labels(current, "others", "z")), "Nothing");
    let replaced = r#"{"ours": "x"}"#;
    assert_eq!(plan(&|current| labels(current, "former", "z")), replaced);
    assert_eq!(plan(&|current| labels(current, "ours", "y")), replaced);
    assert_eq!(plan(&|current| drop(current.data.insert("a".to_owned(), bytes("2")))), replaced);
    assert_eq!(plan(&|current| drop(current.data.insert("b".to_owned(), bytes("2")))), replaced);
    assert_eq!(
        plan(&|current| current.metadata.owner_references = None),
        "the Secret app exists, and this ExternalSecret did not make it"
    );
    assert_eq!(plan(&|current| current.kind = "x".to_owned()), "the Secret's type is x, and a type never changes");
    assert_eq!(
        plan(&|current| {
            current.immutable = true;
            current.data = BTreeMap::new();
        }),
        "the Secret is immutable and would have to change"
    );
}

#[test]
fn s5_a_secret_of_somebody_else_is_not_overwritten() {
    let wanted = made(SPEC, &[("a", "1")]).unwrap();
    let with_owner = |change: &dyn Fn(&mut Current)| {
        let mut current = current(&wanted);
        current.data.clear();
        change(&mut current);
        wanted.plan(Some(&current)).is_ok()
    };
    let owner = |current: &mut Current, api_version: &str, name: &str| {
        let owners = current.metadata.owner_references.as_mut().unwrap();
        (owners[0].api_version, owners[0].name) = (api_version.to_owned(), name.to_owned());
        owners[0].uid = "former".to_owned();
    };
    assert!(with_owner(&|current| owner(current, "kubernetes-client.io/v1", "app")), "made anew under its name");
    assert!(!with_owner(&|current| owner(current, "kubernetes-client.io/v1", "other")));
    assert!(!with_owner(&|current| owner(current, "external-secrets.io/v1", "app")));
    let adopt = ("strongroom.dev/adopt".to_owned(), "true".to_owned());
    assert!(with_owner(&|current| {
        current.metadata.owner_references = None;
        current.metadata.annotations = Some(BTreeMap::from([adopt.clone()]));
    }));
}
