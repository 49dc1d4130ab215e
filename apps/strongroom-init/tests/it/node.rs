//! A pod on a real node: an image that holds nothing but the application, the init copied in by an init container, any
//! uid, a read-only root, no capabilities, seccomp; secrets from AWS and from Vault with the pod's own token.

use std::io::Read as _;
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};
use world::image::Image;
use world::moto::{Kind, Value};
use world::node::{Node, Options};

use crate::program::{path, places};
use crate::stores::{AWS, REGION, VAULT};

const INIT_IMAGE: &str = "docker.io/strongroom/strongroom-init:test";
/// One static program and nothing else: no shell links, no /etc, no certificates.
const APP_IMAGE: &str = "docker.io/strongroom/app:test";

struct World {
    node: Node,
    /// What the pods' variables say of the stores.
    variables: Vec<Json>,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let node = Node::start(&Options::default()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let init = Image::new(INIT_IMAGE)
        .file("strongroom-init", &path("strongroom-init"), 0o755)
        .entrypoint(&["/strongroom-init"]);
    let app = Image::new(APP_IMAGE).file("busybox", &world::binaries::busybox().unwrap(), 0o755);
    for (name, image) in [("init.tar", init), ("app.tar", app)] {
        image.write(&folder.path().join(name)).unwrap();
        node.import_image(&folder.path().join(name)).unwrap();
    }
    AWS.put_secret(REGION, "node/db", Value::Text(r#"{"password":"from secrets manager"}"#)).unwrap();
    AWS.put_parameter(REGION, "/node/license", Kind::SecureString, "from parameter store").unwrap();
    trust_pods(&node);
    let exposed = |host_port: &str| {
        let port = host_port.rsplit(':').next().unwrap().parse().unwrap();
        format!("http://{}", node.expose_to_pods(port).unwrap())
    };
    let variables = [
        ("AWS_ENDPOINT_URL", exposed(AWS.host_port())),
        ("AWS_REGION", REGION.to_owned()),
        ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "not-a-real-key".to_owned()),
        ("VAULT_ADDR", exposed(VAULT.host_port())),
        ("VAULT_AUTH_METHOD", "kubernetes".to_owned()),
        ("VAULT_ROLE", "app".to_owned()),
    ];
    let variables = variables.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
    World { node, variables }
});

/// Lets OpenBao ask the API server who a pod is, and pods of `default` read one path.
fn trust_pods(node: &Node) {
    let authority = std::fs::read_to_string(node.certificate_authority()).unwrap();
    let reviewer = node.token_reviewer().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let policy = folder.path().join("app.hcl");
    std::io::Write::write_all(
        &mut std::fs::File::create(&policy).unwrap(),
        br#"path "secret/data/app" { capabilities = ["read"] }"#,
    )
    .unwrap();
    let commands: [&[&str]; 4] = [
        &["auth", "enable", "kubernetes"],
        &["policy", "write", "app", policy.to_str().unwrap()],
        &[
            "write",
            "auth/kubernetes/config",
            &format!("kubernetes_host={}", node.server()),
            &format!("kubernetes_ca_cert={authority}"),
            &format!("token_reviewer_jwt={reviewer}"),
        ],
        &[
            "write",
            "auth/kubernetes/role/app",
            "bound_service_account_names=default",
            "bound_service_account_namespaces=default",
            "policies=app",
            "ttl=10m",
        ],
    ];
    for command in commands {
        VAULT.command(command).unwrap();
    }
}

/// A pod whose application runs `script` under the init, with `variables` of its own.
fn pod(name: &str, script: &str, variables: &[(&str, &str)]) -> String {
    let own = variables.iter().map(|(name, value)| json!({"name": name, "value": value}));
    let variables: Vec<Json> = WORLD.variables.iter().cloned().chain(own).collect();
    let locked = json!({
        "runAsUser": 12345, "runAsNonRoot": true, "readOnlyRootFilesystem": true, "allowPrivilegeEscalation": false,
        "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"},
    });
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {
            "restartPolicy": "Never", "terminationGracePeriodSeconds": 20,
            "initContainers": [{
                "name": "copy-init", "image": INIT_IMAGE, "imagePullPolicy": "Never", "args": ["copy", "/helper"],
                "securityContext": locked, "volumeMounts": [{"name": "helper", "mountPath": "/helper"}],
            }],
            "containers": [{
                "name": "app", "image": APP_IMAGE, "imagePullPolicy": "Never",
                "command": ["/helper/strongroom-init", "--", "/busybox", "sh", "-c", script],
                "env": variables, "securityContext": locked,
                "volumeMounts": [{"name": "helper", "mountPath": "/helper", "readOnly": true}],
            }],
            "volumes": [{"name": "helper", "emptyDir": {"medium": "Memory"}}],
        },
    })
    .to_string()
}

/// Whether this user can run a node; CI must.
fn can_run() -> bool {
    places().len() > 1
}

const REFERENCES: &[(&str, &str)] = &[
    ("DB", "sr://aws-sm/node%2Fdb#password"),
    ("LICENSE", "sr://aws-ssm/%2Fnode%2Flicense"),
    ("TOKEN", "vault:secret/data/app#token"),
];

fn exit_code(name: &str) -> String {
    let code = "jsonpath={.status.containerStatuses[0].state.terminated.exitCode}";
    WORLD.node.kubectl(&["get", "pod", name, "-o", code]).unwrap()
}

fn wait_for_end(name: &str, phase: &str) {
    let condition = format!("--for=jsonpath={{.status.phase}}={phase}");
    let waited = WORLD.node.kubectl(&["wait", &condition, "pod", name, "--timeout=90s"]);
    assert!(waited.is_ok(), "{waited:?}\n{}", WORLD.node.kubectl(&["describe", "pod", name]).unwrap());
}

#[test]
fn a_pod_in_an_empty_image_sees_its_secrets_and_gives_its_exit_code() {
    if !can_run() {
        return;
    }
    let script = "echo \"$DB, $LICENSE, $TOKEN\"; /busybox cat /proc/1/environ 2>/dev/null | /busybox wc -c; exit 7";
    WORLD.node.apply(&pod("reader", script, REFERENCES)).unwrap();
    wait_for_end("reader", "Failed");
    let logs = WORLD.node.kubectl(&["logs", "reader"]).unwrap();
    assert_eq!(
        logs, "from secrets manager, from parameter store, t0k3n\n0\n",
        "the first process keeps no environment"
    );
    assert_eq!(exit_code("reader"), "7");
}

#[test]
fn deleting_a_pod_ends_it_with_its_own_goodbye() {
    if !can_run() {
        return;
    }
    let script = "trap 'echo goodbye; exit 0' TERM; echo \"hello $TOKEN\"; while :; do /busybox sleep 0.1; done";
    WORLD.node.apply(&pod("leaver", script, REFERENCES)).unwrap();
    let ready = WORLD.node.kubectl(&["wait", "--for=condition=Ready", "pod", "leaver", "--timeout=90s"]);
    assert!(ready.is_ok(), "{ready:?}\n{}", WORLD.node.kubectl(&["describe", "pod", "leaver"]).unwrap());
    let kubectl = world::binaries::control_plane().unwrap().kubectl;
    let mut command = Command::new(kubectl);
    command.arg("--kubeconfig").arg(WORLD.node.kubeconfig()).args(["logs", "--follow", "leaver"]);
    let mut following = command.stdout(Stdio::piped()).spawn().unwrap();
    let start = Instant::now();
    WORLD.node.kubectl(&["delete", "pod", "leaver", "--timeout=60s"]).unwrap();
    assert!(start.elapsed() < Duration::from_secs(15), "it did not have to be killed: {:?}", start.elapsed());
    let mut logs = String::new();
    following.stdout.take().unwrap().read_to_string(&mut logs).unwrap();
    following.wait().unwrap();
    // The shell tells of its sleep, which the signal to the whole group ended too.
    assert_eq!(logs.replace("Terminated\n", ""), "hello t0k3n\ngoodbye\n");
}

#[test]
fn a_pod_whose_secret_is_missing_does_not_start_and_its_log_says_why() {
    if !can_run() {
        return;
    }
    WORLD.node.apply(&pod("lost", "echo started", &[("OTHER", "vault:secret/data/other#token")])).unwrap();
    wait_for_end("lost", "Failed");
    let logs = WORLD.node.kubectl(&["logs", "lost"]).unwrap();
    assert!(!logs.contains("started"), "{logs}");
    // The policy covers secret/data/app alone.
    assert!(
        logs.contains("OTHER: ") && logs.contains("secret/data/other") && logs.contains("class=AccessDenied"),
        "{logs}"
    );
    assert_eq!(exit_code("lost"), "1");
}
