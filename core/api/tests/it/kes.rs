//! The kind of kubernetes-external-secrets: its definition in a real API server, and how it is read.

use std::path::Path;
use std::sync::LazyLock;

use serde_json::{Value, json};
use strongroom_api::kes::{Backend, ExternalSecret, crd, crd_yaml};
use world::control_plane::{ControlPlane, Options};

/// An API server with this definition alone: the short name is External Secrets' where both are.
static CLUSTER: LazyLock<ControlPlane> = LazyLock::new(|| {
    let cluster = ControlPlane::start(&Options::default()).unwrap();
    cluster.apply(&crd_yaml().unwrap()).unwrap();
    cluster.kubectl(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"]).unwrap();
    cluster
});

fn manifest(name: &str, rest: &str) -> String {
    format!("{{apiVersion: kubernetes-client.io/v1, kind: ExternalSecret, metadata: {{name: {name}}}, {rest}}}")
}

fn read(rest: &Value) -> ExternalSecret {
    let mut object = json!({"apiVersion": "kubernetes-client.io/v1", "kind": "ExternalSecret", "metadata": {}});
    object.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
    serde_json::from_value(object).unwrap()
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a developer's own checkout, which nobody reads meanwhile")]
fn the_committed_definition_is_that_of_the_type() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/crds/kubernetes-external-secrets.yaml");
    let made = crd_yaml().unwrap();
    if std::env::var_os("UPDATE_CRDS").is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == made,
        "deploy/crds/kubernetes-external-secrets.yaml is not what the type says: run UPDATE_CRDS=1 cargo test -p \
         strongroom-api, and commit the file"
    );
}

#[test]
fn the_operators_own_definitions_are_without_it() {
    let own = strongroom_api::crds();
    assert!(own.iter().all(|own| own.metadata.name != crd().unwrap().metadata.name));
}

/// Each row twice: what the API server says of it, and what `problems` says.
#[test]
fn ke_29_the_definition_takes_and_refuses_what_the_original_does() {
    let check = |rest: &str, expected: Option<&str>| {
        let text = manifest("table", rest);
        let object: ExternalSecret = serde_saphyr::from_str(&text).unwrap();
        let problems = object.problems();
        match (expected, CLUSTER.apply(&text)) {
            (None, answer) => {
                answer.unwrap_or_else(|error| panic!("{rest}: {error:#}"));
                assert_eq!(problems, [], "{rest}");
                CLUSTER.kubectl(&["delete", "es", "table"]).unwrap();
            }
            (Some(words), Ok(_)) => panic!("{rest} was taken, not refused with {words}"),
            (Some(words), Err(error)) => {
                assert!(format!("{error:#}").contains(words), "{rest}: {error:#}");
            }
        }
        assert_eq!(problems.is_empty(), expected.is_none(), "{rest}");
    };
    let data = "data: [{key: k, name: v}]";
    for backend in Backend::ALL {
        let vault = if backend == Backend::AzureKeyVault { ", keyVaultName: v" } else { "" };
        check(&format!("spec: {{backendType: {}, {data}{vault}}}", backend.name()), None);
    }
    check("spec: {backendType: secretsManager, data: []}", None);
    check("spec: {backendType: secretsManager, dataFrom: [k]}", None);
    check("spec: {backendType: secretsManager, dataFromWithOptions: [{key: k, versionStage: AWSPREVIOUS}]}", None);
    check("spec: {backendType: systemManager, data: [{path: /p, recursive: true}]}", None);
    check("spec: {backendType: gcpSecretsManager, data: [{key: k, name: v, version: 1}]}", None);
    check("spec: {backendType: gcpSecretsManager, data: [{key: k, name: v, version: '1'}]}", None);
    check(&format!("spec: {{backendType: vault, kvVersion: 1, {data}}}"), None);

    check(&format!("spec: {{backendType: unknown, {data}}}"), Some("spec.backendType: Unsupported value"));
    check(&format!("spec: {{{data}}}"), Some("spec.backendType: Required value"));
    check(
        &format!("spec: {{backendType: secretManager, {data}}}").replace("secretManager", "secretmanager"),
        Some("spec.backendType"),
    );
    check(&format!("spec: {{backendType: vault, kvVersion: 3, {data}}}"), Some("spec.kvVersion"));
    check(&format!("spec: {{backendType: vault, kvVersion: 0, {data}}}"), Some("spec.kvVersion"));
    check(&format!("spec: {{backendType: azureKeyVault, {data}}}"), Some("spec.keyVaultName: Required value"));
    check("spec: {backendType: secretsManager}", Some("must validate at least one schema (anyOf)"));
    check("spec: {backendType: secretsManager, data: [{key: k}]}", Some("spec.data[0]"));
    check("spec: {backendType: systemManager, data: [{key: k, name: v, path: /p}]}", Some("spec.data[0]"));
    check("spec: {backendType: secretsManager, dataFromWithOptions: [{versionId: v}]}", Some("Required value"));
    check("spec: {backendType: secretsManager, data: 1}", Some("spec.data"));
}

/// By a client that does not look at the definition itself, as KES's own tests have it.
#[test]
#[expect(clippy::disallowed_methods, reason = "a file of this test alone")]
fn ke_29_the_first_versions_spelling_alone_is_refused() {
    let file = std::env::temp_dir().join(format!("kes-descriptor-{}.yaml", std::process::id()));
    let descriptor = "secretDescriptor: {backendType: secretsManager, data: [{key: k, name: v}]}";
    std::fs::write(&file, manifest("descriptor", descriptor)).unwrap();
    let answer = CLUSTER.kubectl(&["create", "--validate=false", "-f", file.to_str().unwrap()]);
    std::fs::remove_file(&file).unwrap();
    let told = format!("{:#}", answer.unwrap_err());
    assert!(told.contains("spec: Required value"), "{told}");
}

#[test]
fn ke_32_people_see_the_columns_that_they_know() {
    let spec = "spec: {backendType: secretsManager, dataFrom: [k]}";
    CLUSTER.apply(&manifest("columns", spec)).unwrap();
    let status =
        r#"{"status": {"lastSync": "2026-08-08T09:10:11.123Z", "status": "SUCCESS", "observedGeneration": 1}}"#;
    CLUSTER.kubectl(&["patch", "es", "columns", "--subresource=status", "--type=merge", "-p", status]).unwrap();
    let table = CLUSTER.kubectl(&["get", "es", "columns"]).unwrap();
    let lines: Vec<Vec<&str>> =
        table.lines().map(|line| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect()).collect();
    assert_eq!(lines[0], ["NAME", "LAST SYNC", "STATUS", "AGE"]);
    assert_eq!((lines[1][0], lines[1][2]), ("columns", "SUCCESS"));
    let object = CLUSTER.kubectl(&["get", "es", "columns", "-o", "json"]).unwrap();
    let status = serde_json::from_str::<ExternalSecret>(&object).unwrap().status.unwrap();
    assert_eq!(status.last_sync.as_deref(), Some("2026-08-08T09:10:11.123Z"));
    assert_eq!((status.status.as_deref(), status.observed_generation), (Some("SUCCESS"), Some(1)));
}

#[test]
fn what_the_server_stores_is_read_as_it_was_written() {
    let spec = "spec: {backendType: secretsManager, controllerId: c, type: kubernetes.io/tls, roleArn: r, region: e, \
                template: {metadata: {labels: {a: '<%= data.x %>'}}, immutable: true}, dataFrom: [one], data: [{key: \
                k, name: v, property: p, isBinary: true, versionStage: s, versionId: i}], dataFromWithOptions: [{key: \
                k, isBinary: false, versionStage: s, versionId: i}], vaultRole: v, vaultMountPoint: m, kvVersion: 2, \
                keyVaultName: z, projectId: g, keyByName: true}";
    CLUSTER.apply(&manifest("everything", spec)).unwrap();
    let object = CLUSTER.kubectl(&["get", "es", "everything", "-o", "json"]).unwrap();
    let given: Value = serde_json::from_str(&object).unwrap();
    let read: ExternalSecret = serde_json::from_str(&object).unwrap();
    assert_eq!(read.problems(), []);
    let written = serde_json::to_value(&read).unwrap();
    assert_eq!(written["spec"], given["spec"]);
    assert_eq!((&written["apiVersion"], &written["kind"]), (&given["apiVersion"], &given["kind"]));
}

#[test]
fn the_first_versions_spellings_are_read() {
    let old = read(&json!({"secretDescriptor": {
        "backendType": "secretManager",
        "properties": [{"key": "k", "name": "n"}],
    }}));
    let (field, spec) = old.asked().unwrap();
    assert_eq!((field, spec.backend()), ("secretDescriptor", Some(Backend::SecretsManager)));
    let (list, entries) = spec.entries();
    assert_eq!((list, entries[0].key.as_deref()), ("properties", Some("k")));
    assert_eq!(old.problems(), []);

    let both = read(&json!({
        "spec": {"backendType": "vault", "data": [], "properties": [{"key": "k", "name": "n"}]},
        "secretDescriptor": {"backendType": "akeyless"},
    }));
    let (field, spec) = both.asked().unwrap();
    assert_eq!((field, spec.backend(), spec.entries()), ("spec", Some(Backend::Vault), ("data", [].as_slice())));
}

#[test]
fn one_wrong_field_leaves_the_others_readable() {
    let object = read(&json!({"spec": {
        "backendType": "gcpSecretsManager",
        "kvVersion": "2",
        "projectId": 123_456,
        "template": "text",
        "dataFrom": [["list"], "k"],
        "data": [
            {"key": {"a": "b"}, "name": "n", "version": 3},
            "text",
            {"key": "k", "name": "n", "isBinary": "yes", "path": null},
        ],
        "unknown": {},
    }}));
    let (_, spec) = object.asked().unwrap();
    assert_eq!((spec.kv_version, spec.project_id.as_deref()), (Some(2), Some("123456")));
    assert_eq!(spec.entries().1[0].version.as_deref(), Some("3"));
    assert_eq!(spec.entries().1[1].key.as_deref(), Some("k"));
    assert_eq!(spec.data_from.as_deref(), Some(["k".to_owned()].as_slice()));
    assert_eq!(spec.unreadable, ["template", "data[0].key", "data[1]", "data[2].isBinary", "dataFrom[0]"]);
    let fields: Vec<_> = object.problems().into_iter().filter_map(|problem| problem.subject.field).collect();
    assert!(fields.starts_with(&["spec.template".to_owned(), "spec.data[0].key".to_owned()]), "{fields:?}");
    for shape in
        [json!({"spec": 1}), json!({"spec": []}), json!({"spec": {"data": {}}}), json!({}), json!({"status": 1})]
    {
        assert!(!read(&shape).problems().is_empty(), "{shape}");
    }
}
