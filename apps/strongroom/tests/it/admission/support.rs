//! A running `strongroom admission`, and configurations that have the API server call it.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::sync::LazyLock;
use std::time::Duration;

use serde_json::{Value, json};
use world::certificates::Authority;
use world::moto::Moto;
use world::part::Part;

use crate::operator::support::{CLUSTER, eventually};
use crate::{AWS, REGION};

/// The label of namespaces whose objects the shared webhooks see.
pub(crate) const SEEN: (&str, &str) = ("admission-tests", "seen");

static AUTHORITY: LazyLock<Authority> = LazyLock::new(|| Authority::new().unwrap());

/// The webhooks that most tests share, with a configuration in [`CLUSTER`] that calls each of their paths for namespaces
/// with the label [`SEEN`].
pub(crate) static SHARED: LazyLock<Admission> = LazyLock::new(|| {
    let admission = Admission::start(&[]);
    admission.called_for("admission-tests", &[SEEN]);
    admission
});

/// A running `strongroom admission`; dropping it kills it.
pub(crate) struct Admission {
    part: Part,
    _folder: tempfile::TempDir,
    address: String,
}

impl Admission {
    /// Starts one with a certificate for 127.0.0.1.
    pub(crate) fn start(flags: &[&str]) -> Self {
        let (certificate, key) = AUTHORITY.issue_files(&["127.0.0.1"]).unwrap();
        let flags = [
            &["--tls-cert-file", certificate.to_str().unwrap(), "--tls-private-key-file", key.to_str().unwrap()],
            flags,
        ];
        Self::spawn(&flags.concat())
    }

    /// Starts one by plain HTTP, for requests that no API server would send.
    pub(crate) fn plain() -> Self {
        Self::spawn(&[])
    }

    fn spawn(flags: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("env");
        command.args(["-i", "PATH=/usr/bin:/bin", "AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE"]);
        command.args(["AWS_SECRET_ACCESS_KEY=not-a-real-key", &format!("AWS_REGION={REGION}")]);
        command.arg(format!("AWS_ENDPOINT_URL={}", Moto::endpoint(&AWS)));
        command.arg(env!("CARGO_BIN_EXE_strongroom"));
        command.args(["admission", "--log-level=debug", "server", "--listen-address", "127.0.0.1:0"]);
        command.args(["--linger-seconds", "0", "--kubeconfig"]).arg(CLUSTER.kubeconfig()).args(flags);
        let part = Part::start("admission", &command, folder.path()).unwrap();
        let mut admission = Self { part, _folder: folder, address: String::new() };
        admission.address = eventually("admission listens", || {
            let logged = admission.logged();
            let line = logged.lines().find(|line| line.contains("serving reviews"));
            let address = line.and_then(|line| line.split("address=").nth(1)).map(|rest| rest.trim().to_owned());
            address.ok_or(logged)
        });
        admission
    }

    /// What it logged so far.
    pub(crate) fn logged(&self) -> String {
        std::fs::read_to_string(self.part.log()).unwrap_or_default()
    }

    /// Has the API server call it for objects of namespaces with these labels.
    pub(crate) fn called_for(&self, name: &str, labels: &[(&str, &str)]) {
        let labels: serde_json::Map<String, Value> =
            labels.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        let hook = |path: &str, group: &str, resources: &[&str], operations: &[&str]| {
            json!({
                "name": format!("{}.{name}.example.com", path.trim_start_matches('/')),
                "clientConfig": {"url": format!("https://{}{path}", self.address), "caBundle": bundle()},
                "rules": [{
                    "apiGroups": [group], "apiVersions": ["*"], "operations": operations, "resources": resources,
                }],
                "namespaceSelector": {"matchLabels": labels},
                "sideEffects": "NoneOnDryRun", "admissionReviewVersions": ["v1", "v1beta1"], "failurePolicy": "Fail",
                "timeoutSeconds": 10,
            })
        };
        let changes =
            [hook("/pods", "", &["pods"], &["CREATE"]), hook("/secrets", "", &["secrets"], &["CREATE", "UPDATE"])];
        let judges = [
            hook("/validate", "external-secrets.io", &["*"], &["CREATE", "UPDATE"]),
            hook("/injected-pods", "", &["pods"], &["CREATE"]),
        ];
        for (kind, hooks) in [("Mutating", &changes), ("Validating", &judges)] {
            let configuration = json!({
                "apiVersion": "admissionregistration.k8s.io/v1", "kind": format!("{kind}WebhookConfiguration"),
                "metadata": {"name": name}, "webhooks": hooks,
            });
            CLUSTER.apply(&configuration.to_string()).unwrap();
        }
    }

    /// Sends a request, and gives status and body of the answer.
    pub(crate) fn send(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(15))).unwrap();
        let length = body.len();
        let head =
            format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
    }
}

fn bundle() -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(AUTHORITY.certificate_pem())
}
