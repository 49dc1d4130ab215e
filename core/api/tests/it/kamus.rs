//! Kamus' kind: its definition in a real API server, and how it is read.

use std::path::Path;

use serde_json::{Value, json};
use strongroom_api::kamus::{KamusSecret, crd_yaml};
use world::control_plane::{ControlPlane, Options};

fn read(rest: &Value) -> KamusSecret {
    let mut object = json!({"apiVersion": "soluto.com/v1alpha2", "kind": "KamusSecret", "metadata": {}});
    object.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
    serde_json::from_value(object).unwrap()
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a developer's own checkout, which nobody reads meanwhile")]
fn the_committed_definition_is_that_of_the_type() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/crds/kamus.yaml");
    let made = crd_yaml().unwrap();
    if std::env::var_os("UPDATE_CRDS").is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == made,
        "deploy/crds/kamus.yaml is not what the type says: run UPDATE_CRDS=1 cargo test -p strongroom-api, and commit \
         the file"
    );
}

#[test]
fn one_wrong_field_spoils_only_itself() {
    let check = |rest: Value, expected: &[&str]| {
        let problems: Vec<String> = read(&rest).problems().iter().map(ToString::to_string).collect();
        assert_eq!(problems, expected, "{rest}");
    };
    check(json!({"serviceAccount": "web", "stringData": {"a": "x"}}), &[]);
    check(json!({"serviceAccount": "web", "data": {"a": "x"}, "type": null, "propagateAnnotations": true}), &[]);
    check(json!({}), &["serviceAccount: is missing", "stringData: there are no values"]);
    check(json!({"serviceAccount": "", "data": {"a": "x"}}), &["serviceAccount: is missing"]);
    let wrong =
        json!({"serviceAccount": "web", "data": {"a": 1, "b": "x"}, "stringData": [], "propagateAnnotations": 1});
    check(
        wrong.clone(),
        &[
            "propagateAnnotations: is of the wrong type",
            "data[\"a\"]: is of the wrong type",
            "stringData: is of the wrong type",
        ],
    );
    assert_eq!(read(&wrong).data.into_keys().collect::<Vec<_>>(), ["b"]);
}

#[test]
fn what_is_written_is_read_again() {
    let rest = json!({
        "metadata": {"name": "a", "namespace": "n"}, "data": {"a": "x"}, "stringData": {"b": "y"},
        "serviceAccount": "web", "type": "TlsSecret", "propagateAnnotations": true,
        "status": {"conditions": [{"type": "Ready", "status": "True"}], "observedGeneration": 3},
    });
    let object = read(&rest);
    let mut written = serde_json::to_value(&object).unwrap();
    assert_eq!(serde_json::from_value::<KamusSecret>(written.clone()).unwrap(), object);
    let members = written.as_object_mut().unwrap();
    assert_eq!(
        (members.remove("apiVersion"), members.remove("kind")),
        (Some(json!("soluto.com/v1alpha2")), Some(json!("KamusSecret")))
    );
    assert_eq!(written, rest);
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a file of the test's own, which kubectl reads afterwards")]
fn both_versions_are_served_and_the_older_ones_data_is_known_as_text() {
    let cluster = ControlPlane::start(&Options::default()).unwrap();
    cluster.apply(&crd_yaml().unwrap()).unwrap();
    cluster.kubectl(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"]).unwrap();
    let apply = |version: &str, manager: &str, rest: &str| {
        let text = format!(
            "{{apiVersion: soluto.com/{version}, kind: KamusSecret, metadata: {{name: a, namespace: default}}, serviceAccount: web, {rest}}}"
        );
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let name = file.path().to_str().unwrap();
        let manager = format!("--field-manager={manager}");
        cluster.kubectl(&["apply", "--server-side", "--force-conflicts", &manager, "-f", name]).unwrap();
        let read = ["get", "kamussecrets.v1alpha2.soluto.com", "a", "-o", "json", "--show-managed-fields"];
        serde_json::from_str::<KamusSecret>(&cluster.kubectl(&read).unwrap()).unwrap()
    };
    let old = apply("v1alpha1", "old", "data: {a: x, b: w}");
    assert_eq!((old.texts.into_iter().collect::<Vec<_>>(), old.data.len()), (vec!["a".to_owned(), "b".to_owned()], 2));
    // Written anew by the newer version, a key has the newer meaning.
    let both = apply("v1alpha2", "new", "data: {b: z}, stringData: {c: x}");
    assert_eq!(both.texts.into_iter().collect::<Vec<_>>(), ["a"]);
    assert!(both.data["b"] == "z" && both.string_data["c"] == "x");
    // The older one takes nothing away.
    let again = apply("v1alpha1", "old", "data: {a: x}, stringData: {c: x}");
    assert!(again.data.len() == 2 && again.string_data.len() == 1, "{again:?}");
}
