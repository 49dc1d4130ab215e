//! The YAML of the guides that lead from other systems to admission, as people copy it.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use world::certificates::Authority;
use world::node::Node;
use world::registry::Registry;

use super::super::{path, read, written};
use super::{APP, IDENTITY, exposed};
use crate::VAULT;
use crate::admission::support::push_as;
use crate::operator::support::eventually;

/// Each guide, with what it calls the blocks that are applied here.
const GUIDES: [(&str, &[&str]); 4] = [
    ("from-kube-secrets-init", &["container", "pod", "values"]),
    ("from-aws-sidecar-injector", &["container", "files", "pod", "values"]),
    ("from-nase", &["container", "values"]),
    ("from-bank-vaults", &["pod", "selector", "values"]),
];

/// What comes before such a block.
const MARK: &str = "<!-- applied: ";

/// All marked blocks, by guide and name, with what this world has at other places.
pub(super) struct Guides(BTreeMap<(&'static str, String), Value>);

impl Guides {
    /// Reads them. `secret` is the ARN of what stands for each secret of AWS.
    pub(super) fn read(node: &Node, secret: &str) -> Self {
        // The only strings that are not applied as they are written.
        let elsewhere = [
            ("arn:aws:secretsmanager:eu-west-1:111122223333:secret:prod/db-Ab12Cd", secret.to_owned()),
            ("arn:aws:secretsmanager:eu-west-1:111122223333:secret:db-Ab12Cd", secret.to_owned()),
            ("https://vault.example:8200", exposed(node, VAULT.host_port())),
        ];
        let mut found = BTreeMap::new();
        for (guide, names) in GUIDES {
            let text = read(&format!("docs/guides/{guide}.md"));
            let blocks = blocks(&text);
            assert_eq!(blocks.keys().map(String::as_str).collect::<Vec<_>>(), names, "blocks of {guide}");
            for (name, block) in blocks {
                let here = elsewhere.iter().fold(block, |block, (there, here)| block.replace(there, here));
                let value = serde_saphyr::from_str(&here).unwrap_or_else(|error| panic!("{guide}, {name}: {error}"));
                found.insert((guide, name), value);
            }
        }
        Self(found)
    }

    fn block(&self, guide: &'static str, name: &str) -> &Value {
        &self.0[&(guide, name.to_owned())]
    }

    /// Files with the values of all guides, in their order.
    pub(super) fn values(&self) -> Vec<tempfile::NamedTempFile> {
        let is_of_chart = |name: &str| ["values", "selector"].contains(&name);
        let of_chart = GUIDES.iter().flat_map(|(guide, names)| names.iter().map(|name| (*guide, *name)));
        of_chart.filter(|(_, name)| is_of_chart(name)).map(|it| written(&self.block(it.0, it.1).to_string())).collect()
    }

    /// A pod for each guide, which bears its name, in `team`, and one with files of our own.
    pub(super) fn pods(&self) -> Vec<Value> {
        let mut pods: Vec<_> = GUIDES
            .iter()
            .filter(|(_, names)| names.contains(&"pod"))
            .map(|(guide, _)| pod(guide, self.block(guide, "pod")))
            .collect();
        // NASE's guide shows the variables of a container.
        let mut container = self.block("from-nase", "container").clone();
        container["name"] = json!("app");
        pods.push(pod("from-nase", &json!({"spec": {"containers": [container]}})));
        pods.push(pod("in-place-of-an-injector", self.block("from-aws-sidecar-injector", "files")));
        // What AWS' injector gave to containers alone, init containers may see too.
        let injected = pods.iter_mut().find(|pod| pod["metadata"]["name"] == "from-aws-sidecar-injector").unwrap();
        let first = json!({"name": "first", "image": APP, "command": ["/busybox", "test", "-s", "/secrets/password"],
            "securityContext": restricted()});
        injected["spec"]["initContainers"] = json!([first]);
        pods
    }

    /// Runs admission in place of two old webhooks, by the manifests that the old ones had.
    pub(super) fn keep_manifests(&self, node: &Node) {
        let authority = Authority::new().unwrap();
        for kept in &KEPT {
            node.apply(&kept.manifests(&authority, self.block(kept.guide, "container")).to_string()).unwrap();
        }
    }

    /// Waits until the API server stores pods as these say.
    pub(super) fn kept_manifests_serve(&self, node: &Node) {
        for kept in &KEPT {
            let mut pod = pod("kept", self.block(kept.guide, "pod"));
            pod["metadata"]["namespace"] = json!(kept.namespace);
            let file = written(&pod.to_string());
            let words = ["create", "--dry-run=server", "-o", "json", "-f", path(&file)];
            let stored = eventually(kept.guide, || {
                node.kubectl(&words).map_err(|error| format!("{error}\n{}", kept.state(node)))
            });
            let stored: Value = serde_json::from_str(&stored).unwrap();
            let ours = stored["spec"]["initContainers"].as_array().unwrap();
            assert_eq!(ours.len(), 1, "{}: {ours:?}", kept.guide);
            assert_eq!((&ours[0]["name"], &ours[0]["image"]), (&json!(kept.adds), &json!(super::INIT)));
        }
    }
}

/// The marked blocks of a page, by name.
pub(in crate::install) fn blocks(page: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for part in page.split(MARK).skip(1) {
        let (name, rest) = part.split_once(" -->\n").unwrap();
        let fence = rest.lines().next().unwrap();
        let indent = fence.len() - fence.trim_start().len();
        assert_eq!(fence.trim_start(), "```yaml", "what follows {name}");
        let lines = rest.lines().skip(1).take_while(|line| line.trim() != "```");
        let lines: Vec<_> = lines.map(|line| line.get(indent..).unwrap_or_default()).collect();
        assert!(found.insert(name.to_owned(), lines.join("\n")).is_none(), "two blocks are {name}");
    }
    found
}

/// A pod as a guide writes the part that matters, with what Pod Security `restricted` wants besides.
fn pod(name: &str, part: &Value) -> Value {
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "team"},
        "spec": {
            "restartPolicy": "Never", "containers": [{"name": "app", "image": APP}],
            "securityContext": {"runAsNonRoot": true, "runAsUser": 12345, "seccompProfile": {"type": "RuntimeDefault"}},
        },
    });
    for section in ["metadata", "spec"] {
        let written = part[section].as_object().cloned().unwrap_or_default();
        pod[section].as_object_mut().unwrap().extend(written);
    }
    for container in pod["spec"]["containers"].as_array_mut().unwrap() {
        container["securityContext"] = restricted();
        container["image"] = json!(APP);
    }
    pod
}

/// The security context of a container that Pod Security `restricted` admits.
pub(super) fn restricted() -> Value {
    json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": true})
}

/// Manifests of an old webhook, of which the container alone is replaced.
struct Kept {
    guide: &'static str,
    /// The namespace whose pods are sent there, and the name of everything else.
    namespace: &'static str,
    path: &'static str,
    port: u16,
    /// Where the certificate is, and the names of the files.
    folder: &'static str,
    files: [&'static str; 2],
    /// The init container that pods get.
    adds: &'static str,
}

const KEPT: [Kept; 2] = [
    Kept {
        guide: "from-kube-secrets-init",
        namespace: "secrets-init-webhook",
        path: "/pods",
        port: 8443,
        folder: "/etc/webhook/certs",
        files: ["cert.pem", "key.pem"],
        adds: "copy-secrets-init",
    },
    Kept {
        guide: "from-aws-sidecar-injector",
        namespace: "aws-secret-inject",
        path: "/mutating-pods",
        port: 443,
        folder: "/tls",
        files: ["tls.crt", "tls.key"],
        adds: "secrets-init-container",
    },
];

impl Kept {
    /// What the webhook's pods say, for who looks for a failure.
    fn state(&self, node: &Node) -> String {
        let pods = format!("webhook={}", self.namespace);
        let ask = |words: &[&str]| node.kubectl(&[words, &["-n", "strongroom", "-l", &pods]].concat());
        ask(&["logs"]).or_else(|_| ask(&["describe", "pods,replicasets"])).unwrap_or_default()
    }

    fn manifests(&self, authority: &Authority, container: &Value) -> Value {
        use base64::Engine as _;
        let (name, labels) = (self.namespace, json!({"webhook": self.namespace}));
        let (certificate, key) = authority.issue(&[&format!("{name}.strongroom.svc")]).unwrap();
        let bundle = base64::engine::general_purpose::STANDARD.encode(authority.certificate_pem());
        let metadata = json!({"name": name, "namespace": "strongroom"});
        let mut container = container.clone();
        container["name"] = json!("webhook");
        container["securityContext"] = restricted();
        container["volumeMounts"] = json!([{"name": "certificate", "mountPath": self.folder}]);
        let spec = json!({
            // As the chart's, which has the rights that the guide names.
            "serviceAccountName": "strongroom-admission", "automountServiceAccountToken": true,
            "containers": [container],
            "volumes": [{"name": "certificate", "secret": {"secretName": name}}],
            "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
        });
        let hook = json!({
            "name": format!("{name}.example.com"), "admissionReviewVersions": ["v1"], "sideEffects": "None",
            "clientConfig": {"caBundle": bundle,
                "service": {"name": name, "namespace": "strongroom", "path": self.path, "port": self.port}},
            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}},
        });
        json!({"apiVersion": "v1", "kind": "List", "items": [
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}},
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "app", "namespace": name}},
            {"apiVersion": "v1", "kind": "Secret", "metadata": metadata,
             "stringData": {self.files[0]: certificate, self.files[1]: key}},
            {"apiVersion": "v1", "kind": "Service", "metadata": metadata,
             "spec": {"selector": labels, "ports": [{"port": self.port, "targetPort": self.port}]}},
            {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": {
                "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": spec}}},
            {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
             "metadata": {"name": name}, "webhooks": [hook]},
        ]})
    }
}

/// A registry that tells what [`APP`] starts to those who have the pull secret that the guide's values name.
pub(super) fn start_registry(node: &Node) -> (Registry, String) {
    let registry = Registry::start(IDENTITY).unwrap();
    let (name, tag) = APP.trim_start_matches("registry.example/").split_once(':').unwrap();
    push_as(&registry, name, tag, &json!({"Entrypoint": ["/app"]}));
    let address = exposed(node, registry.host_port());
    let host = address.trim_start_matches("http://");
    let login = json!({"auths": {host: {"username": "puller", "password": "pull"}}}).to_string();
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/dockerconfigjson",
        "metadata": {"name": "registry", "namespace": "default"}, "stringData": {".dockerconfigjson": login}});
    node.apply(&secret.to_string()).unwrap();
    (registry, address)
}
