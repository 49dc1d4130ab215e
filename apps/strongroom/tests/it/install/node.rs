//! The chart on a real node: the image that is shipped, in a namespace that enforces Pod Security `restricted`, with
//! nothing but the rights that the chart gives.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use world::node::{Node, Options};
use world::shipped;

use super::{HELM, chart, file, read};

/// Its repository is the chart's own.
const IMAGE: &str = "docker.io/strongroom/strongroom:test";

const NAMESPACES: &str = "
{apiVersion: v1, kind: Namespace, metadata: {name: strongroom, labels: {pod-security.kubernetes.io/enforce: restricted}}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: team, labels: {team: a}}}
";

/// One of each kind, and an account by which a store reads Secrets of its own namespace.
const OBJECTS: &str = "
apiVersion: external-secrets.io/v1
kind: SecretStore
metadata: {name: fake, namespace: team}
spec: {provider: {fake: {data: [{key: /token, value: t0k3n}]}}}
---
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: app, namespace: team}
spec:
  secretStoreRef: {name: fake}
  data: [{secretKey: token, remoteRef: {key: /token}}]
---
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: goes-along, namespace: team}
spec:
  secretStoreRef: {name: fake}
  target: {deletionPolicy: Delete}
  data: [{secretKey: token, remoteRef: {key: /token}}]
---
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: lost, namespace: team}
spec:
  secretStoreRef: {name: fake}
  data: [{secretKey: token, remoteRef: {key: /absent}}]
---
{apiVersion: v1, kind: ServiceAccount, metadata: {name: reader, namespace: team}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader, namespace: team}
rules: [{apiGroups: [''], resources: [secrets], verbs: [get, list, watch]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reader, namespace: team}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects: [{kind: ServiceAccount, name: reader, namespace: team}]
---
{apiVersion: v1, kind: Secret, metadata: {name: source, namespace: team}, stringData: {token: from-a-secret}}
---
apiVersion: external-secrets.io/v1
kind: SecretStore
metadata: {name: cluster, namespace: team}
spec:
  provider:
    kubernetes:
      remoteNamespace: team
      server: {caProvider: {type: ConfigMap, name: kube-root-ca.crt, key: ca.crt}}
      auth: {serviceAccount: {name: reader}}
---
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: copied, namespace: team}
spec:
  secretStoreRef: {name: cluster}
  data: [{secretKey: token, remoteRef: {key: source, property: token}}]
---
apiVersion: external-secrets.io/v1
kind: ClusterSecretStore
metadata: {name: shared}
spec: {provider: {fake: {data: [{key: /token, value: for-all}]}}}
---
apiVersion: external-secrets.io/v1
kind: ClusterExternalSecret
metadata: {name: everywhere}
spec:
  namespaceSelectors: [{matchLabels: {team: a}}]
  externalSecretSpec:
    secretStoreRef: {kind: ClusterSecretStore, name: shared}
    data: [{secretKey: token, remoteRef: {key: /token}}]
";

/// Whether this user can run a node; CI must.
pub(crate) fn can_run() -> bool {
    if nix::unistd::geteuid().is_root() {
        return true;
    }
    assert!(std::env::var_os("CI").is_none(), "CI must run these tests as root: a node needs it");
    eprintln!("NOT RUN on a node, which needs root: sudo make test-node");
    false
}

/// Brings the image to a node.
pub(crate) fn import(node: &Node) {
    import_as(node, IMAGE);
}

/// The same under another name.
pub(super) fn import_as(node: &Node, image: &str) {
    let folder = tempfile::tempdir().unwrap();
    let (program, archive) = (folder.path().join("strongroom"), folder.path().join("image.tar"));
    // What debuggers read is most of a test's program, and is not shipped.
    let mut strip = Command::new("strip");
    assert!(strip.arg("-o").arg(&program).arg(env!("CARGO_BIN_EXE_strongroom")).status().unwrap().success());
    let authorities = std::fs::read("/etc/ssl/certs/ca-certificates.crt").unwrap();
    shipped::strongroom(image, &program, &authorities).write(&archive).unwrap();
    node.import_image(&archive).unwrap();
}

fn helm(node: &Node, words: &[&str]) -> String {
    let said = HELM.run_on(node, &[words, &["-n", "strongroom"]].concat());
    said.unwrap_or_else(|error| {
        let pods = node.kubectl(&["describe", "pods", "-n", "strongroom"]).unwrap_or_default();
        panic!("{error}\n{pods}\n{}", logs(node))
    })
}

fn logs(node: &Node) -> String {
    node.kubectl(&["logs", "-n", "strongroom", "-l", OURS, "--tail=-1"]).unwrap_or_default()
}

const OURS: &str = "app.kubernetes.io/name=strongroom";

const INSTALLED: &[&str] = &["--set", "image.tag=test,image.pullPolicy=Never", "--wait", "--timeout", "2m"];

pub(super) fn install(node: &Node, values: &[&str]) {
    helm(node, &[&["install", "strongroom", &chart()], INSTALLED, values].concat());
}

pub(super) fn upgrade(node: &Node, values: &[&str]) {
    helm(node, &[&["upgrade", "strongroom", &chart()], INSTALLED, values].concat());
}

/// What a cluster's tenant can install alone: Roles in one namespace, no ClusterRole at all.
const SCOPED: &[&str] = &["--set", "scope.namespaces={team},rbac.detectOtherControllers=false"];

fn wait(node: &Node, object: &str, status: &str) {
    let condition = format!("--for=condition=Ready={status}");
    let waited = node.kubectl(&["wait", &condition, "-n", "team", object, "--timeout=60s"]);
    assert!(waited.is_ok(), "{waited:?}\n{}", logs(node));
}

fn field(node: &Node, object: &str, path: &str) -> String {
    node.kubectl(&["get", object, "-n", "team", "-o", &format!("jsonpath={path}"), "--ignore-not-found"]).unwrap()
}

/// The token in a Secret of `team`, as base64.
fn token(node: &Node, secret: &str) -> String {
    field(node, &format!("secret/{secret}"), "{.data.token}")
}

fn metrics(node: &Node, path: &[&str]) -> String {
    let addresses = node.kubectl(&[&["get", "-n", "strongroom"], path].concat()).unwrap();
    let scrape = |address: &str| {
        let inside = SocketAddr::new(address.parse().unwrap(), 8080);
        let mut stream = TcpStream::connect(node.forward(inside).unwrap()).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        assert!(text.starts_with("HTTP/1.1 200"), "{text}");
        text
    };
    addresses.split_whitespace().map(scrape).collect()
}

#[test]
fn the_chart_installs_upgrades_and_goes_and_secrets_stay() {
    if !can_run() {
        return;
    }
    let node = Node::start(&Options::default()).unwrap();
    import(&node);
    node.apply(NAMESPACES).unwrap();
    let start = Instant::now();
    install(&node, &[]);
    // A figure for people, not a condition.
    world::cache::progress(&format!("the operator was ready {:?} after helm install", start.elapsed()));
    everything_is_served(&node);
    boards_ask_for_what_is_counted(&node);
    nothing_was_denied(&node);
    upgrade(&node, &["--set", "log.level=debug"]);
    node.apply(&later("later")).unwrap();
    wait(&node, "externalsecret/later", "True");
    nothing_was_denied(&node);
    let version = field(&node, "secret/app", "{.metadata.resourceVersion}");
    helm(&node, &["uninstall", "strongroom", "--wait"]);
    // Helm waits for what it made, and pods are made by the Deployment.
    node.kubectl(&["wait", "--for=delete", "pod", "-n", "strongroom", "-l", OURS, "--timeout=30s"]).unwrap();
    let left = node.kubectl(&["get", "all,pdb,networkpolicy,role", "-n", "strongroom", "-o", "name"]).unwrap();
    assert_eq!(left, "", "nothing of the release is left in its namespace");
    assert_eq!(token(&node, "app"), "dDBrM24=", "the Secret stays");
    assert_eq!(field(&node, "externalsecret/app", "{.metadata.name}"), "app", "and with it what asked for it");
    // The definitions that stayed are the release's own when it comes back, here for one namespace.
    install(&node, SCOPED);
    node.apply(&later("much-later")).unwrap();
    wait(&node, "externalsecret/much-later", "True");
    assert_eq!(field(&node, "secret/app", "{.metadata.resourceVersion}"), version, "nothing was rewritten");
    nothing_was_denied(&node);
}

fn later(name: &str) -> String {
    format!(
        "
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {{name: {name}, namespace: team}}
spec:
  secretStoreRef: {{name: fake}}
  data: [{{secretKey: token, remoteRef: {{key: /token}}}}]
"
    )
}

fn everything_is_served(node: &Node) {
    node.apply(OBJECTS).unwrap();
    for name in ["app", "goes-along", "copied"] {
        wait(node, &format!("externalsecret/{name}"), "True");
    }
    wait(node, "clusterexternalsecret/everywhere", "True");
    wait(node, "externalsecret/everywhere", "True");
    wait(node, "externalsecret/lost", "False");
    // The values that stand above, as base64.
    assert_eq!(token(node, "app"), "dDBrM24=");
    assert_eq!(token(node, "copied"), "ZnJvbS1hLXNlY3JldA==");
    assert_eq!(token(node, "everywhere"), "Zm9yLWFsbA==");
    node.kubectl(&["delete", "externalsecret", "goes-along", "-n", "team", "--timeout=60s"]).unwrap();
    assert_eq!(token(node, "goes-along"), "", "its finalizer is ours to put on and to take off");
    let holder = ["get", "lease", "strongroom-operator", "-n", "strongroom", "-o", "jsonpath={.spec.holderIdentity}"];
    let holder = node.kubectl(&holder).unwrap();
    assert!(holder.starts_with("strongroom-"), "{holder} is a pod");
    let reasons = ["get", "events", "-n", "team", "-o", "jsonpath={.items[*].reason}"];
    eventually("events tell", || node.kubectl(&reasons).unwrap().contains("Created"));
}

fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(30), "not within 30 s: {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// The API server's refusals end in the operator's log, where nobody else can see them.
fn nothing_was_denied(node: &Node) {
    let logs = logs(node);
    assert!(logs.contains("the operator works"), "{logs}");
    for word in ["forbidden", "AccessDenied", "may not"] {
        assert!(!logs.contains(word), "{word} in\n{logs}");
    }
}

/// Every metric that the dashboard and the alerts name is one that a running operator has.
fn boards_ask_for_what_is_counted(node: &Node) {
    let pods = ["pods", "-l", OURS, "-o", "jsonpath={.items[*].status.podIP}"];
    let counted = metrics(node, &pods);
    let service = metrics(node, &["service", "strongroom-metrics", "-o", "jsonpath={.spec.clusterIP}"]);
    assert!(service.contains("process_resident_memory_bytes"), "{service}");
    let mut asked = BTreeSet::new();
    let dashboard: Value = serde_json::from_str(&read("deploy/monitoring/dashboard.json")).unwrap();
    let mut alerts: Value = serde_saphyr::from_str(&read("deploy/monitoring/alerts.yaml")).unwrap();
    // Tests of their own compare the other groups with the metrics of admission, and of pods that were not injected.
    alerts["spec"]["groups"].as_array_mut().unwrap().retain(|group| group["name"] == "strongroom");
    let expressions = [expressions(&dashboard), expressions(&alerts)];
    assert!(expressions.iter().all(|found| found.len() > 5), "{expressions:?}");
    expressions.iter().flatten().for_each(|expression| asked.extend(metric_names(expression)));
    assert!(asked.len() > 10, "{asked:?}");
    let missing: Vec<_> = asked.iter().filter(|name| !counted.contains(&format!("\n# TYPE {name} "))).collect();
    assert!(missing.is_empty(), "{missing:?} in\n{counted}");
}

/// All that is asked of Prometheus in a board or a file of rules.
fn expressions(value: &Value) -> Vec<String> {
    match value {
        Value::Object(entries) => {
            let own = entries.get("expr").or_else(|| entries.get("definition")).and_then(Value::as_str);
            own.map(str::to_owned).into_iter().chain(entries.values().flat_map(expressions)).collect()
        }
        Value::Array(entries) => entries.iter().flat_map(expressions).collect(),
        _ => Vec::new(),
    }
}

/// Words of an expression with an underscore that are neither functions nor variables: our metrics, each of which has
/// one.
fn metric_names(expression: &str) -> Vec<String> {
    let words = expression.split(|character: char| !(character.is_ascii_alphanumeric() || "_$".contains(character)));
    let is_function = |word: &str| expression.contains(&format!("{word}("));
    let is_metric = |word: &&str| word.contains('_') && !word.starts_with('$') && !is_function(word);
    words.filter(is_metric).map(str::to_owned).collect()
}

#[test]
fn the_files_that_the_chart_links_to_are_there() {
    for link in ["crds.yaml", "kamus.yaml", "dashboard.json", "alerts.yaml"] {
        let path = file("deploy/helm/strongroom/files").join(link);
        assert!(Path::new(&path).is_file(), "{link} leads nowhere");
    }
}
