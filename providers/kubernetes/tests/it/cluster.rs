//! One control plane for all tests that run at the same time; it ends with the last of them.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use strongroom_failure::Failure;
use strongroom_http::{Pem, Roots, TlsSettings};
use strongroom_kubernetes::{ConnectionSettings, Secrets, Token};
use strongroom_provider::{Answer, Meter, Provider, RemoteKey, SecretBytes};
use world::control_plane::{ControlPlane, Options};

/// In every stored value of these tests: must be in no error and no Debug output.
pub(crate) const CANARY: &str = "canary-31c7";

pub(crate) fn shared() -> Arc<ControlPlane> {
    static RUNNING: Mutex<Weak<ControlPlane>> = Mutex::new(Weak::new());
    let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(cluster) = running.upgrade() {
        return cluster;
    }
    let cluster = Arc::new(ControlPlane::start(&Options::default()).unwrap());
    *running = Arc::downgrade(&cluster);
    cluster
}

pub(crate) fn namespace(cluster: &ControlPlane, name: &str) {
    cluster.apply(&format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {name}}}}}")).unwrap();
}

/// A service account that may do `verbs` to `resource` of `group` in its namespace, and its token.
pub(crate) fn account(
    cluster: &ControlPlane,
    namespace: &str,
    name: &str,
    verbs: &str,
    group: &str,
    resource: &str,
) -> String {
    let token = cluster.service_account_token(namespace, name, &[]).unwrap();
    let role = format!(
        "{{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {{name: {name}, namespace: {namespace}}},
          rules: [{{apiGroups: ['{group}'], resources: [{resource}], verbs: [{verbs}]}}]}}
---
{{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {{name: {name}, namespace: {namespace}}},
  roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: {name}}},
  subjects: [{{kind: ServiceAccount, name: {name}, namespace: {namespace}}}]}}"
    );
    cluster.apply(&role).unwrap();
    token
}

/// The API server with its own authority alone.
pub(crate) fn connection(cluster: &ControlPlane, token: Option<&str>) -> ConnectionSettings {
    ConnectionSettings {
        server: cluster.server().to_owned(),
        tls: trusting(cluster),
        token: token.map(|token| Token::Fixed(SecretBytes::from(token.to_owned()))),
        ..ConnectionSettings::default()
    }
}

pub(crate) fn trusting(cluster: &ControlPlane) -> TlsSettings {
    let authority = Pem::File(cluster.certificate_authority().to_owned());
    TlsSettings { roots: Roots::Only(vec![authority]), ..TlsSettings::default() }
}

pub(crate) fn open(settings: ConnectionSettings, namespace: &str) -> (Secrets, Arc<Meter>) {
    let meter = Arc::new(Meter::default());
    (Secrets::open(settings, namespace, Arc::clone(&meter)).unwrap(), meter)
}

pub(crate) async fn read(store: &dyn Provider, name: &str) -> Answer {
    store.read(&[RemoteKey::current(name)]).await.remove(0)
}

/// Text of a value that must be there.
pub(crate) fn text(answer: &Answer) -> &str {
    answer.as_ref().unwrap().value.expose_text().unwrap()
}

/// The words of a failure, once they were searched for what must not be in them.
pub(crate) fn words(failure: &Failure) -> String {
    let words = format!("{failure} {}", failure.hint.as_deref().unwrap_or_default());
    assert!(!words.contains(CANARY), "{words}");
    words
}
