//! One cluster with the kind of kubernetes-external-secrets, its stores, and one operator for both.

use std::sync::LazyLock;

use serde_json::{Value, json};
use strongroom_api::kes::crd_yaml;
use world::control_plane::{ControlPlane, Options};

use super::super::operator::api::{Api, KES, line};
use super::super::operator::support::{self, Operator, eventually};
use super::super::operator::world_of_stores::World;
use crate::{REGION, VAULT};

/// How often the operator asks its stores.
pub(super) const INTERVAL_MILLISECONDS: u64 = 1_000;

/// What must never be shown.
pub(super) const CANARY: &str = "canary-5c1e-kes";

/// With controllers: what an object owns goes with it.
pub(super) static CLUSTER: LazyLock<ControlPlane> = LazyLock::new(|| cluster(true));

/// A new cluster with all kinds.
pub(crate) fn cluster(controllers: bool) -> ControlPlane {
    let cluster = ControlPlane::start(&Options { controllers, ..Options::default() }).unwrap();
    support::add_kinds(&cluster);
    cluster.apply(&crd_yaml().unwrap()).unwrap();
    let established =
        ["wait", "--for=condition=Established", "--timeout=60s", "crd/externalsecrets.kubernetes-client.io"];
    cluster.kubectl(&established).unwrap();
    cluster
}

pub(super) static API: LazyLock<Api> = LazyLock::new(|| Api::of(&CLUSTER));

pub(super) static WORLD: LazyLock<World> = LazyLock::new(World::start);

pub(super) static OPERATOR: LazyLock<Operator> = LazyLock::new(|| {
    let operator =
        Operator::spawn(&CLUSTER, &[], &variables().iter().map(|(a, b)| (*a, b.as_str())).collect::<Vec<_>>());
    operator.wait_until_ready();
    operator
});

/// What kubernetes-external-secrets would have in its environment.
pub(super) fn variables() -> Vec<(&'static str, String)> {
    let mut variables = WORLD.variables();
    variables.extend([
        ("POLLER_INTERVAL_MILLISECONDS", INTERVAL_MILLISECONDS.to_string()),
        ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "not-a-real-key".to_owned()),
        ("AWS_REGION", REGION.to_owned()),
        ("VAULT_ADDR", VAULT.address().to_owned()),
        ("VAULT_TOKEN", VAULT.root_token().to_owned()),
        ("AZURE_TENANT_ID", WORLD.azure.tenant()),
        ("AZURE_CLIENT_ID", WORLD.azure.client_id()),
        ("AZURE_CLIENT_SECRET", WORLD.azure.client_secret()),
        ("GOOGLE_APPLICATION_CREDENTIALS", WORLD.google.service_account_file().display().to_string()),
    ]);
    variables
}

/// A namespace with these annotations.
pub(super) fn namespace(annotations: &Value) -> String {
    LazyLock::force(&OPERATOR);
    let name = support::namespace(&CLUSTER, &[]);
    API.patch("namespaces", "", &name, &json!({"metadata": {"annotations": annotations}}));
    name
}

/// Makes an ExternalSecret from its spec, in YAML.
pub(super) fn create(namespace: &str, name: &str, spec: &str) {
    let spec: Value = serde_saphyr::from_str(spec).unwrap();
    let object = json!({
        "apiVersion": "kubernetes-client.io/v1", "kind": "ExternalSecret", "metadata": {"name": name}, "spec": spec,
    });
    assert_eq!(API.create(KES, namespace, &object), (201, String::new()), "{name}");
}

pub(super) fn status(namespace: &str, name: &str) -> Option<String> {
    let object = API.get(KES, namespace, name)?;
    object["status"]["status"].as_str().map(str::to_owned)
}

/// Waits until a Secret has this data, as `a=1 b=2`, and its ExternalSecret says SUCCESS.
pub(super) fn wait_for(namespace: &str, name: &str, data: &str) -> Value {
    eventually(&format!("{name} is {data}"), || {
        let secret = API.get("secrets", namespace, name);
        let (found, status) = (secret.as_ref().map(line), status(namespace, name));
        match (found, status.as_deref()) {
            (Some(found), Some("SUCCESS")) if found == data => Ok(secret.unwrap()),
            other => Err(format!("{other:?}")),
        }
    })
}

/// Waits until the status is an error that has these words; there must be no Secret.
pub(super) fn wait_for_error(namespace: &str, name: &str, words: &str) {
    let found = eventually(&format!("{name} is an error"), || match status(namespace, name) {
        Some(status) if status.starts_with("ERROR, ") => Ok(status),
        other => Err(format!("{other:?}")),
    });
    assert!(found.contains(words), "{name}: {found}");
    assert_eq!(API.get("secrets", namespace, name), None, "{name}: an error makes no Secret");
}
