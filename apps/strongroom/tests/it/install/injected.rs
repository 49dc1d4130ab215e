//! Pods that the chart's admission changed, on a real node: their programs see the values, no Kubernetes Secret, pod or
//! log holds them, and while admission itself is replaced none is refused or slips through.

mod files;
pub(super) mod guides;
pub(super) mod traces;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use world::image::Image;
use world::moto;
use world::node::{Node, Options};
use world::registry::Access;
use world::shipped;

use self::files::Followers;
use self::guides::Guides;
use super::node::{can_run, import_as, install, upgrade};
use super::{path, written};
use crate::admission::support::{Stream, asking, with_account};
use crate::operator::api::Api;
use crate::operator::support::eventually;
use crate::{AWS, CANARY, REGION, VAULT};

/// The images, by the names that the guides have.
const PROGRAM: &str = concat!("registry.example/strongroom:", env!("CARGO_PKG_VERSION"));
pub(super) const INIT: &str = concat!("registry.example/strongroom-init:", env!("CARGO_PKG_VERSION"));
/// A shell, and the program [`SCRIPT`].
const APP: &str = "registry.example/app:1";

/// What is `/app`: it prints what it was given as one line, which appears once it is whole, and runs until it is told to
/// end.
const SCRIPT: &str = r#"#!/busybox sh
trap 'exit 0' TERM
printf %s "$DB_PASSWORD$PASSWORD"
[ ! -e /secrets/password ] || /busybox cat /secrets/password
echo
while :; do /busybox sleep 60 & wait $!; done
"#;

/// Who may pull.
const IDENTITY: Access<'_> = Access::Basic("puller", "pull");

const NAMESPACES: &str = "
{apiVersion: v1, kind: Namespace, metadata: {name: strongroom, labels: {pod-security.kubernetes.io/enforce: restricted}}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: team, labels: {pod-security.kubernetes.io/enforce: restricted,
strongroom.dev/native-secrets: \"true\", secrets: strongroom}}}
---
{apiVersion: v1, kind: ServiceAccount, metadata: {name: app, namespace: team}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: default, labels: {secrets: strongroom}}}
";

/// `HOST:PORT` of a store, as pods reach it.
fn exposed(node: &Node, host_port: &str) -> String {
    let port = host_port.rsplit(':').next().unwrap().parse().unwrap();
    format!("http://{}", node.expose_to_pods(port).unwrap())
}

/// What a program needs to reach the world's AWS.
fn cloud(node: &Node) -> Vec<(&'static str, String)> {
    vec![
        ("AWS_ENDPOINT_URL", exposed(node, AWS.host_port())),
        ("AWS_REGION", REGION.to_owned()),
        ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "not-a-real-key".to_owned()),
    ]
}

/// The image of the small program, whose file is made in `folder`.
pub(super) fn small_program(folder: &Path) -> Image {
    let program = folder.join("strongroom-init");
    // Built by its own tests, which run before these: the two programs are never built together.
    let built = Path::new(env!("CARGO_BIN_EXE_strongroom")).with_file_name("strongroom-init");
    assert!(built.is_file(), "there is no {}: build -p strongroom-init with the same profile", built.display());
    assert!(Command::new("strip").arg("-o").arg(&program).arg(built).status().unwrap().success());
    let authorities = std::fs::read("/etc/ssl/certs/ca-certificates.crt").unwrap();
    shipped::init(INIT, &program, &authorities)
}

fn import_images(node: &Node) {
    import_as(node, PROGRAM);
    let folder = tempfile::tempdir().unwrap();
    let app = Image::new(APP).file("busybox", &world::binaries::busybox().unwrap(), 0o755);
    let app = app.bytes("app", SCRIPT.as_bytes(), 0o755).entrypoint(&["/app"]);
    let app = app.bytes("follow", files::SCRIPT.as_bytes(), 0o755);
    for mut image in [small_program(folder.path()), app] {
        // What a cloud's identity webhook would give to a pod.
        for (name, value) in cloud(node) {
            image = image.variable(name, &value);
        }
        let archive = folder.path().join("image.tar");
        image.write(&archive).unwrap();
        node.import_image(&archive).unwrap();
    }
}

/// Lets pods of `team` read two paths of OpenBao as themselves.
fn trust_pods(node: &Node) {
    let folder = tempfile::tempdir().unwrap();
    let policy = folder.path().join("app.hcl");
    std::fs::write(
        &policy,
        r#"path "secret/data/db" { capabilities = ["read"] } path "secret/data/files" { capabilities = ["read"] }"#,
    )
    .unwrap();
    let authority = std::fs::read_to_string(node.certificate_authority()).unwrap();
    let commands: [&[&str]; 4] = [
        &["auth", "enable", "kubernetes"],
        &["policy", "write", "app", policy.to_str().unwrap()],
        &[
            "write",
            "auth/kubernetes/config",
            &format!("kubernetes_host={}", node.server()),
            &format!("kubernetes_ca_cert={authority}"),
            &format!("token_reviewer_jwt={}", node.token_reviewer().unwrap()),
        ],
        &[
            "write",
            "auth/kubernetes/role/app",
            "bound_service_account_names=app",
            "bound_service_account_namespaces=team",
            "policies=app",
        ],
    ];
    for command in commands {
        VAULT.command(command).unwrap();
    }
    VAULT.command(&["kv", "put", "secret/db", &format!("password={CANARY}")]).unwrap();
}

/// A pod whose program must not start.
fn pod_that_waits(name: &str, variables: &[(&str, String)], annotations: &Value) -> Value {
    let env: Vec<Value> = variables.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "team", "annotations": annotations},
        "spec": {
            "restartPolicy": "Never",
            "securityContext": {"runAsNonRoot": true, "runAsUser": 12345, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{
                "name": "app", "image": APP, "env": env, "command": ["/busybox", "echo", "started"],
                "securityContext": guides::restricted(),
            }],
        },
    })
}

/// Waits for something about a pod, and gives what it printed.
fn printed(node: &Node, name: &str, condition: &str) -> String {
    let waited = node.kubectl(&["wait", &format!("--for={condition}"), "pod", name, "-n", "team", "--timeout=90s"]);
    let described = || node.kubectl(&["describe", "pod", name, "-n", "team"]).unwrap_or_default();
    assert!(waited.is_ok(), "{waited:?}\n{}", described());
    node.kubectl(&["logs", name, "-n", "team", "-c", "app"]).unwrap_or_default()
}

/// One test, for one node: what comes later replaces the pods whose logs were looked at before.
#[test]
fn pods_of_each_guide_start_with_their_values_and_not_without_and_none_slips_through() {
    if !can_run() {
        return;
    }
    let node = Node::start(&Options::default()).unwrap();
    import_images(&node);
    trust_pods(&node);
    node.apply(NAMESPACES).unwrap();
    let stored = AWS.put_secret(REGION, "node/injected", moto::Value::Text(CANARY)).unwrap();
    let guides = Guides::read(&node, &stored.arn);
    let (_registry, mirror) = guides::start_registry(&node);
    let extra: Vec<Value> = cloud(&node).iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
    let of_world = json!({"image": {"repository": "registry.example/strongroom"}, "admission": {"extraEnv": extra, "agent": {"leastRefresh": "1s"},
        "extraArgs": {"sidecar-image": INIT, "registry-mirror": format!("registry.example={mirror}")}}});
    let mut files = guides.values();
    files.push(written(&of_world.to_string()));
    let values: Vec<&str> = files.iter().flat_map(|file| ["--values", path(file)]).collect();
    // The tag is that of the chart.
    let values = [&values[..], &["--set", "image.tag="]].concat();
    install(&node, &values);
    guides.keep_manifests(&node);
    // Pods are ready a moment before the node leads there what is for their Service.
    let probe = written(&asking("probe").to_string());
    eventually("admission is reached", || node.kubectl(&["create", "--dry-run=server", "-f", path(&probe)]));
    native(&node);
    let programs = ["/strongroom admission", "/helper/bin/secrets-init ", "/strongroom-init agent ", "/app"];
    let followers = traces::without_values_in_arguments(&node, &programs, || {
        let followers = Followers::create(&node);
        pods_of_guides(&node, &guides);
        followers.a_change_arrives();
        followers
    });
    followers.the_job_ends();
    nothing_starts_without(&node, &stored.arn);
    followers.nothing_starts_before_its_store_answers();
    no_value_is_shown(&node);
    traces::memory_goes_with_the_pod(&node, "from-aws-sidecar-injector", "secret-vol");
    guides.kept_manifests_serve(&node);
    no_pod_slips_through(&node, &values);
}

fn pods_of_guides(node: &Node, guides: &Guides) {
    let pods = guides.pods();
    for pod in &pods {
        node.apply(&pod.to_string()).unwrap();
    }
    for pod in &pods {
        let name = pod["metadata"]["name"].as_str().unwrap();
        printed(node, name, "condition=Ready");
        eventually(name, || match printed(node, name, "condition=Ready") {
            value if value == format!("{CANARY}\n") => Ok(()),
            other => Err(format!("it printed {} bytes that are not the value", other.len())),
        });
    }
}

/// What cannot be had keeps the program from starting, and the pod's status says why.
fn nothing_starts_without(node: &Node, arn: &str) {
    let last_words = |name: &str, list: &str| {
        let path = format!("jsonpath={{.status.{list}[0].state.terminated.message}}");
        node.kubectl(&["get", "pod", name, "-n", "team", "-o", &path]).unwrap()
    };
    let gone = [("VALUE", format!("{arn}-gone"))];
    let missing = json!({"secrets.k8s.aws/secret-arn": arn.replace("injected", "absent")});
    for pod in [pod_that_waits("without", &gone, &json!({})), pod_that_waits("no-file", &[], &missing)] {
        node.apply(&pod.to_string()).unwrap();
    }
    let failed = "jsonpath={.status.phase}=Failed";
    for name in ["without", "no-file"] {
        assert!(!printed(node, name, failed).contains("started"), "{name}");
    }
    let words = last_words("without", "containerStatuses");
    assert!(words.contains("VALUE") && words.contains("Secrets Manager"), "{words}");
    let words = last_words("no-file", "initContainerStatuses");
    assert!(words.contains("node/absent"), "{words}");
}

fn no_value_is_shown(node: &Node) {
    let ours = "app.kubernetes.io/component=admission";
    let logs = node.kubectl(&["logs", "-n", "strongroom", "-l", ours, "--tail=-1"]).unwrap();
    let described = node.kubectl(&["describe", "pods,events", "-n", "team"]).unwrap();
    let written = node.kubectl(&["get", "pods,events,configmaps", "-n", "team", "-o", "yaml"]).unwrap();
    for (place, text) in [("logs", logs), ("what describe shows", described), ("objects", written)] {
        assert!(!text.is_empty() && !text.contains(CANARY), "a value is in {place}");
    }
}

/// Pods are created all the time while every replica is replaced, the authority and the certificate are, and in the
/// middle of that the replica that leads ends.
fn no_pod_slips_through(node: &Node, values: &[&str]) {
    let certificate = |key: &str| {
        let path = format!("jsonpath={{.data.{key}}}");
        node.kubectl(&["get", "secret", CERTIFICATE, "-n", "strongroom", "-o", &path]).unwrap()
    };
    let (authority, serving) = (certificate(r"ca\.crt"), certificate(r"tls\.crt"));
    let namespace = with_account(node, &[("secrets", "strongroom")]);
    let stream = Stream::start(Api::of(node), &namespace, Duration::from_millis(120));
    // The new replicas want authorities that hold for less long than the one that is there: its time has come.
    let changes = "admission.podAnnotations.round=second,admission.extraArgs.authority-life=4000h";
    upgrade(node, &[values, &["--set", changes]].concat());
    eventually("there is a new authority", || differs(&authority, &certificate(r"ca\.crt")));
    let holder = ["get", "lease", CERTIFICATE, "-n", "strongroom", "-o", "jsonpath={.spec.holderIdentity}"];
    let leader = eventually("somebody leads", || {
        let holder = node.kubectl(&holder).unwrap();
        holder.split_once('_').map(|(pod, _)| pod.to_owned()).ok_or(holder)
    });
    node.kubectl(&["delete", "pod", &leader, "-n", "strongroom", "--wait=false"]).unwrap();
    eventually("there is a new certificate", || differs(&serving, &certificate(r"tls\.crt")));
    eventually("all replicas serve it", || served_by_all(node));
    std::thread::sleep(Duration::from_secs(2));
    let streamed = stream.end();
    // A figure for people, not a condition.
    world::cache::progress(&format!("{streamed} pods were created meanwhile"));
    assert!(streamed > 150, "{streamed}");
}

/// The Secret with the certificate, and the Lease of the replica that renews it.
const CERTIFICATE: &str = "strongroom-admission-certificate";

fn differs(before: &str, now: &str) -> Result<(), &'static str> {
    if before == now || now.is_empty() { Err("it is the one before") } else { Ok(()) }
}

/// Whether each replica that is there has taken a second certificate, by its log, or began with it.
fn served_by_all(node: &Node) -> Result<(), String> {
    let ours = "app.kubernetes.io/component=admission";
    let pods = ["get", "pods", "-n", "strongroom", "-l", ours, "--field-selector=status.phase=Running", "-o", "name"];
    for pod in node.kubectl(&pods).unwrap().split_whitespace() {
        let logs = node.kubectl(&["logs", pod, "-n", "strongroom"]).unwrap_or_default();
        let taken = logs.matches("the webhook's certificate is served").count();
        if taken < 2 {
            return Err(format!("{pod} has taken {taken}"));
        }
    }
    Ok(())
}

/// NASE's Secret, by the chart's own rights.
fn native(node: &Node) {
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "somesecret", "namespace": "team"},
        "stringData": {"nase": CANARY}});
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret.json");
    std::fs::write(&file, secret.to_string()).unwrap();
    node.kubectl(&["create", "-f", file.to_str().unwrap()]).unwrap();
    let kept = node.kubectl(&["get", "secret", "somesecret", "-n", "team", "-o", "jsonpath={.data.nase}"]).unwrap();
    use base64::Engine as _;
    let kept = base64::engine::general_purpose::STANDARD.decode(kept).unwrap();
    assert!(String::from_utf8(kept).is_ok_and(|arn| arn.starts_with("arn:aws:secretsmanager:")), "it did not move");
}
