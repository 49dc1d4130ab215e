//! The API server by plain HTTP, through one `kubectl proxy`: a look costs a millisecond, not the start of a program.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::sync::LazyLock;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use world::control_plane::Cluster;
use world::part::Part;

use super::support::{CLUSTER, PATIENCE};

/// The API of the shared cluster.
pub(crate) static API: LazyLock<Api> = LazyLock::new(|| Api::of(&CLUSTER));

/// A way to an API server, as an administrator.
pub(crate) struct Api {
    _proxy: Part,
    _folder: tempfile::TempDir,
    address: String,
}

impl Api {
    pub(crate) fn of(cluster: &Cluster) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(world::binaries::control_plane().unwrap().kubectl);
        command.arg("--kubeconfig").arg(cluster.kubeconfig()).args(["proxy", "--port=0"]);
        command.env("KUBECACHEDIR", folder.path());
        let mut proxy = Part::start("proxy", &command, folder.path()).unwrap();
        let log = proxy.log().to_owned();
        let said = || std::fs::read_to_string(&log).unwrap_or_default();
        proxy.wait_until(PATIENCE, || said().ends_with('\n')).unwrap();
        let said = said();
        let address = said.trim().rsplit(' ').next().unwrap().to_owned();
        Self { _proxy: proxy, _folder: folder, address }
    }

    /// `127.0.0.1:PORT`, for whoever is to meet the API server by plain HTTP.
    pub(crate) fn host_port(&self) -> &str {
        &self.address
    }

    /// One request: status and JSON, or 0 where nobody answers.
    pub(crate) fn ask(&self, method: &str, path: &str, kind: &str, body: &str) -> (u16, Value) {
        // HTTP/1.0 has no chunks and ends with the connection.
        let request = format!(
            "{method} {path} HTTP/1.0\r\nHost: {}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        );
        let Ok(mut stream) = TcpStream::connect(&self.address) else { return (0, Value::Null) };
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let mut answer = Vec::new();
        if stream.write_all(request.as_bytes()).and_then(|()| stream.read_to_end(&mut answer)).is_err() {
            return (0, Value::Null);
        }
        let answer = String::from_utf8_lossy(&answer);
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
        let body = answer.split_once("\r\n\r\n").map(|(_, body)| body).unwrap_or_default();
        (status, serde_json::from_str(body).unwrap_or(Value::Null))
    }

    /// An object, or `None` where there is none.
    pub(crate) fn get(&self, kind: &str, namespace: &str, name: &str) -> Option<Value> {
        match self.ask("GET", &format!("{}/{name}", path(kind, namespace)), "application/json", "") {
            (200, object) => Some(object),
            (404, _) => None,
            other => panic!("get {kind} {namespace}/{name}: {other:?}"),
        }
    }

    /// All objects of a kind in a namespace, by name.
    pub(crate) fn list(&self, kind: &str, namespace: &str) -> BTreeMap<String, Value> {
        let (status, mut list) = self.ask("GET", &path(kind, namespace), "application/json", "");
        assert_eq!(status, 200, "list {kind} in {namespace}: {list}");
        let items = list["items"].as_array_mut().map(std::mem::take).unwrap_or_default();
        items.into_iter().map(|item| (item["metadata"]["name"].as_str().unwrap().to_owned(), item)).collect()
    }

    /// Merges `patch` into an object.
    pub(crate) fn patch(&self, kind: &str, namespace: &str, name: &str, patch: &Value) -> Value {
        let path = format!("{}/{name}", path(kind, namespace));
        let (status, object) = self.ask("PATCH", &path, "application/merge-patch+json", &patch.to_string());
        assert_eq!(status, 200, "patch {kind} {namespace}/{name}: {object}");
        object
    }

    /// Sets an annotation, which changes the object for the operator.
    pub(crate) fn touch(&self, namespace: &str, name: &str, value: &str) {
        let patch = json!({"metadata": {"annotations": {"force-sync": value}}});
        self.patch("externalsecrets", namespace, name, &patch);
    }

    /// Makes an object; the status that the API server answered with, and its words.
    pub(crate) fn create(&self, kind: &str, namespace: &str, object: &Value) -> (u16, String) {
        let (status, answer) = self.ask("POST", &path(kind, namespace), "application/json", &object.to_string());
        (status, answer["message"].as_str().unwrap_or_default().to_owned())
    }

    /// Deletes an object, and whether there was one.
    pub(crate) fn delete(&self, kind: &str, namespace: &str, name: &str) -> bool {
        let (status, answer) = self.ask("DELETE", &format!("{}/{name}", path(kind, namespace)), "application/json", "");
        assert!(matches!(status, 200 | 202 | 404), "delete {kind} {namespace}/{name}: {answer}");
        status != 404
    }
}

/// The kind of kubernetes-external-secrets, which has the plural of another one.
pub(crate) const KES: &str = "externalsecrets.kubernetes-client.io";

/// The path of a kind, by its plural; a cluster's kind where the namespace is empty.
fn path(kind: &str, namespace: &str) -> String {
    let group = match kind {
        KES => return format!("/apis/kubernetes-client.io/v1/namespaces/{namespace}/externalsecrets"),
        "externalsecrets" | "secretstores" | "clustersecretstores" | "clusterexternalsecrets" => {
            "/apis/external-secrets.io/v1"
        }
        "pushsecrets" | "clusterpushsecrets" => "/apis/external-secrets.io/v1alpha1",
        "storepolicies" => "/apis/strongroom.dev/v1alpha1",
        "generatorstates" | "vaultdynamicsecrets" => "/apis/generators.external-secrets.io/v1alpha1",
        "kamussecrets" => "/apis/soluto.com/v1alpha2",
        "leases" => "/apis/coordination.k8s.io/v1",
        _ => "/api/v1",
    };
    if namespace.is_empty() { format!("{group}/{kind}") } else { format!("{group}/namespaces/{namespace}/{kind}") }
}

/// The data of a Secret as text.
pub(crate) fn data(secret: &Value) -> BTreeMap<String, String> {
    let text = |(key, value): (&String, &Value)| {
        let bytes = BASE64_STANDARD.decode(value.as_str().unwrap()).unwrap();
        (key.clone(), String::from_utf8_lossy(&bytes).into_owned())
    };
    secret["data"].as_object().into_iter().flatten().map(text).collect()
}

/// The data of a Secret in one line: `a=1 b=2`.
pub(crate) fn line(secret: &Value) -> String {
    let entries: Vec<String> = data(secret).iter().map(|(key, value)| format!("{key}={value}")).collect();
    entries.join(" ")
}
