//! Kamus on a real node, installed by the chart: what the clients send and the guides say leads values from Git to the
//! pods of their account and to nobody else, and nothing shows them.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use world::image::Image;
use world::node::{Node, Options};
use world::part::{Part, free_port};

use super::injected::guides::blocks;
use super::injected::{INIT, small_program, traces};
use super::node::{can_run, import, install};
use super::{path, read, written};
use crate::kamus::{encrypted_by_command, exchange, request_of_original_command, request_of_original_init_container};
use crate::operator::support::{eventually, scrape};
use crate::{CANARY, strongroom};

/// A shell, git and kubectl, by the name that the guide has.
const TOOLS: &str = "registry.example/git-and-kubectl:1";

const NAMESPACES: &str = "
{apiVersion: v1, kind: Namespace, metadata: {name: strongroom, labels: {pod-security.kubernetes.io/enforce: restricted}}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: team-a}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: team-b}}
---
{apiVersion: v1, kind: ServiceAccount, metadata: {name: shop, namespace: team-a}}
---
{apiVersion: v1, kind: ServiceAccount, metadata: {name: other, namespace: team-a}}
---
{apiVersion: v1, kind: ServiceAccount, metadata: {name: shop, namespace: team-b}}
---
{apiVersion: v1, kind: Secret, metadata: {name: kamus-local-key, namespace: strongroom},
 stringData: {key: tWG4dk8ARsETnFL3jCf1xtMVe05imlx9vimER7iky2s=}}
";

const VALUES: &str = "
admission: {enabled: true}
kamus: {enabled: true, keys: {management: local, localKey: {secretName: kamus-local-key}}}
";

/// Secrets that are there to hold values.
const TARGETS: [&str; 3] = ["my-tls-secret", "older", "from-git"];

#[test]
fn values_in_git_reach_the_pods_of_their_account_and_nobody_else_and_nothing_shows_them() {
    if !can_run() {
        return;
    }
    let node = Node::start(&Options::default()).unwrap();
    import(&node);
    import_images(&node);
    node.apply(NAMESPACES).unwrap();
    install(&node, &["--values", path(&written(VALUES))]);
    let kamus = Kamus::of(&node);
    // The init containers are gone too fast to be seen each time.
    let programs = ["/strongroom kamus encryptor", "/strongroom kamus decryptor", "/strongroom operator"];
    let programs = [&programs[..], &["kubectl apply --server-side"]].concat();
    traces::without_values_in_arguments(&node, &programs, || {
        kamus.pods_are_made();
        let git = Git::applied(&kamus);
        kamus.requests_of_the_originals_are_served();
        kamus.kamus_secrets_are_kept();
        kamus.the_pod_of_the_account_starts();
        kamus.others_do_not_start_and_say_why();
        git.a_commit_arrives();
        git.who_may_not_name_an_account_is_refused();
    });
    kamus.nothing_shows_a_value();
}

/// The small program, and [`TOOLS`] of the machine's git, which is linked dynamically, and the world's kubectl.
fn import_images(node: &Node) {
    let folder = tempfile::tempdir().unwrap();
    let mut tools = Image::new(TOOLS)
        .file("bin/busybox", &world::binaries::busybox().unwrap(), 0o755)
        .file("usr/bin/kubectl", &world::binaries::control_plane().unwrap().kubectl, 0o755)
        .file("usr/bin/git", Path::new("/usr/bin/git"), 0o755)
        .variable("PATH", "/usr/bin:/bin");
    for applet in ["sh", "cat", "sleep"] {
        tools = tools.link(&format!("bin/{applet}"), "busybox");
    }
    let needed = Command::new("ldd").arg("/usr/bin/git").output().unwrap();
    let needed = String::from_utf8(needed.stdout).unwrap();
    for library in needed.split_whitespace().filter(|word| word.starts_with('/')) {
        tools = tools.file(library, &PathBuf::from(library).canonicalize().unwrap(), 0o755);
    }
    for image in [small_program(folder.path()), tools] {
        let archive = folder.path().join("image.tar");
        image.write(&archive).unwrap();
        node.import_image(&archive).unwrap();
    }
}

/// The services on the node.
struct Kamus<'a> {
    node: &'a Node,
    encryptor: SocketAddr,
    decryptor: SocketAddr,
}

impl<'a> Kamus<'a> {
    /// Waits until both answer, and until admission does.
    fn of(node: &'a Node) -> Self {
        let service = |name: &str| {
            let address = ["get", "service", name, "-n", "strongroom", "-o", "jsonpath={.spec.clusterIP}"];
            let address = node.kubectl(&address).unwrap().parse().unwrap();
            let outside = node.forward(SocketAddr::new(address, 80)).unwrap();
            eventually(name, || match scrape(&outside.to_string(), "/readyz") {
                (200, _) => Ok(()),
                other => Err(format!("{other:?}")),
            });
            outside
        };
        let kamus = Self { node, encryptor: service("kamus-encryptor"), decryptor: service("kamus-decryptor") };
        let probe = kamus_secret(
            "v1alpha2",
            "probe",
            &json!({"stringData": {"a": kamus.encrypted("team-a", "shop", "a probe")}}),
        );
        let probe = written(&probe.to_string());
        eventually("admission is reached", || node.kubectl(&["create", "--dry-run=server", "-f", path(&probe)]));
        kamus
    }

    fn encrypted(&self, namespace: &str, account: &str, value: &str) -> String {
        encrypted_by_command(&format!("http://{}/", self.encryptor), namespace, account, value)
    }

    fn get(&self, words: &[&str]) -> String {
        self.node.kubectl(&[&["get"], words].concat()).unwrap_or_else(|error| error.to_string())
    }

    /// A pod with the guide's init container, whose program prints the file that this wrote, after this change of its
    /// spec.
    fn make_pod(&self, namespace: &str, name: &str, account: &str, change: impl FnOnce(&mut Value)) {
        let page = read("docs/guides/from-kamus.md");
        let part = &blocks(&page)["pod"];
        // The only strings that are not applied as they are written.
        let part = part.replace("registry.example/strongroom-init:0.1.0", INIT);
        let part = part.replace("kamus-decryptor.default.svc", "kamus-decryptor.strongroom.svc");
        let mut spec: Value = serde_saphyr::from_str(&part).unwrap();
        spec["serviceAccountName"] = json!(account);
        spec["restartPolicy"] = json!("Never");
        spec["containers"] = json!([{
            "name": "app", "image": TOOLS, "command": ["sh", "-c", "cat /decrypted-secrets/config.json"],
            "volumeMounts": [{"name": "decrypted-secrets", "mountPath": "/decrypted-secrets"}],
        }]);
        change(&mut spec);
        let metadata = json!({"name": name, "namespace": namespace});
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec});
        self.node.apply(&pod.to_string()).unwrap();
    }

    fn pods_are_made(&self) {
        let data = json!({
            "password": self.encrypted("team-a", "shop", &format!("{CANARY}-p")),
            "settings": self.encrypted("team-a", "shop", &format!(r#"{{"token": "{CANARY}-t", "port": 1.0}}"#)),
        });
        for namespace in ["team-a", "team-b"] {
            let metadata = json!({"name": "encrypted-secrets-cm", "namespace": namespace});
            let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data});
            self.node.apply(&map.to_string()).unwrap();
        }
        self.make_pod("team-a", "owner", "shop", |_| ());
        self.make_pod("team-a", "other-account", "other", |_| ());
        self.make_pod("team-b", "other-namespace", "shop", |_| ());
        self.make_pod("team-a", "foreign-token", "shop", |spec| {
            let token = json!({"serviceAccountToken": {"path": "token", "audience": "vault"}});
            let volume = json!({"name": "token", "projected": {"sources": [token]}});
            spec["volumes"].as_array_mut().unwrap().push(volume);
            let init = &mut spec["initContainers"][0];
            let mount = json!({"name": "token", "mountPath": "/token"});
            init["volumeMounts"].as_array_mut().unwrap().push(mount);
            let variable = json!({"name": "TOKEN_FILE_PATH", "value": "/token/token"});
            init["env"].as_array_mut().unwrap().push(variable);
        });
    }

    fn the_pod_of_the_account_starts(&self) {
        let expected = format!(
            "{{ \n    \"password\":\"{CANARY}-p\",\n    \"settings\":{{\"token\":\"{CANARY}-t\",\"port\":1}}\n}}"
        );
        self.prints("owner", &expected);
    }

    /// Waits until the program of a pod of `team-a` has printed this.
    fn prints(&self, pod: &str, expected: &str) {
        let logs = || self.node.kubectl(&["logs", pod, "-n", "team-a", "-c", "app"]).unwrap_or_default();
        eventually(&format!("{pod} prints its values"), || match logs() {
            printed if printed == expected => Ok(()),
            printed => {
                let pod = self.node.kubectl(&["describe", "pod", pod, "-n", "team-a"]).unwrap_or_default();
                Err(format!("it printed {} bytes that are not the values\n{pod}", printed.len()))
            }
        });
    }

    fn others_do_not_start_and_say_why(&self) {
        for (namespace, pod, words) in [
            ("team-a", "other-account", "400"),
            ("team-b", "other-namespace", "400"),
            ("team-a", "foreign-token", "401"),
        ] {
            let status = || -> Value {
                serde_json::from_str(&self.get(&["pod", pod, "-n", namespace, "-o", "json"])).unwrap_or_default()
            };
            let status = eventually(pod, || match status()["status"].take() {
                status if status["phase"] == "Failed" => Ok(status),
                status => Err(status.to_string()),
            });
            let ended = &status["initContainerStatuses"][0]["state"]["terminated"];
            let told = format!("Failed to run init container: Error: request to decrypt API failed: {words}\n");
            assert_eq!(ended["exitCode"], 1, "{pod}");
            assert!(ended["message"].as_str().unwrap_or_default().contains(&told), "{pod}: {ended}");
            assert!(status["containerStatuses"][0]["state"]["terminated"].is_null(), "{pod} has started: {status}");
        }
    }

    fn requests_of_the_originals_are_served(&self) {
        let value = format!("{CANARY} \"raw\"");
        let request = request_of_original_command("kamus-encryptor.example", "team-a", "shop", &value);
        let (status, head, text) = exchange(&self.encryptor.to_string(), &request);
        assert!(status == 200 && head.contains("content-type: text/plain; charset=utf-8"), "{head}");
        let host = "kamus-decryptor.strongroom.svc.cluster.local";
        for (namespace, account, expected) in
            [("team-a", "shop", 200), ("team-a", "other", 400), ("team-b", "shop", 400)]
        {
            let token = self.node.kubectl(&["create", "token", account, "-n", namespace]).unwrap();
            let request = request_of_original_init_container(host, token.trim(), &text);
            let (status, _, body) = exchange(&self.decryptor.to_string(), &request);
            assert_eq!((status, body == value), (expected, expected == 200), "{namespace}/{account}");
            assert!(status == 200 || body.contains("not encrypted for this service account"), "{body}");
        }
    }

    /// Both versions of the kind, and a pod that has mounted what comes of them.
    fn kamus_secrets_are_kept(&self) {
        let text = |ending: &str| self.encrypted("team-a", "shop", &format!("{CANARY}-{ending}"));
        let bytes = self.encrypted("team-a", "shop", &BASE64_STANDARD.encode(format!("{CANARY}-bytes")));
        let newer = json!({"type": "TlsSecret", "stringData": {"key": text("text")}, "data": {"key3": bytes}});
        let older = json!({"type": "Opaque", "data": {"password": text("older")}});
        self.node.apply(&kamus_secret("v1alpha2", "my-tls-secret", &newer).to_string()).unwrap();
        self.node.apply(&kamus_secret("v1alpha1", "older", &older).to_string()).unwrap();
        let shown = "cat /newer/key /newer/key3 /older/password";
        let spec = json!({
            "restartPolicy": "Never",
            "containers": [{
                "name": "app", "image": TOOLS, "command": ["sh", "-c", shown],
                "volumeMounts": [{"name": "newer", "mountPath": "/newer"}, {"name": "older", "mountPath": "/older"}],
            }],
            "volumes": [
                {"name": "newer", "secret": {"secretName": "my-tls-secret"}},
                {"name": "older", "secret": {"secretName": "older"}},
            ],
        });
        for name in ["my-tls-secret", "older"] {
            let object = format!("kamussecrets.soluto.com/{name}");
            let ready = ["wait", "--for=condition=Ready", "-n", "team-a", "--timeout=60s", &object];
            let waited = self.node.kubectl(&ready);
            assert!(waited.is_ok(), "{waited:?}\n{}", self.get(&["kamussecrets", "-A", "-o", "yaml"]));
        }
        let metadata = json!({"name": "reads-secrets", "namespace": "team-a"});
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec});
        self.node.apply(&pod.to_string()).unwrap();
        self.prints("reads-secrets", &format!("{CANARY}-text{CANARY}-bytes{CANARY}-older"));
        assert_eq!(self.get(&["secret", "my-tls-secret", "-n", "team-a", "-o", "jsonpath={.type}"]), "TlsSecret");
    }

    /// What a value of the Secret that comes from Git is.
    fn applied_value(&self) -> String {
        let read = ["secret", "from-git", "-n", "team-a", "-o", "jsonpath={.data.password}", "--ignore-not-found"];
        String::from_utf8(BASE64_STANDARD.decode(self.get(&read)).unwrap_or_default()).unwrap_or_default()
    }

    /// After all of that: what programs said and counted, what the node's parts logged, and what lies in the cluster.
    fn nothing_shows_a_value(&self) {
        let node = self.node;
        let ours = ["-n", "strongroom", "-l", "app.kubernetes.io/name=strongroom"];
        let logs =
            node.kubectl(&[&["logs", "--tail=-1", "--prefix", "--max-log-requests=20"], &ours[..]].concat()).unwrap();
        for words in ["kamus/decrypt", "the operator works"] {
            assert!(logs.contains(words), "the logs lack {words}");
        }
        let mut shown = vec![("logs and the audit trail".to_owned(), logs)];
        for service in [self.encryptor, self.decryptor] {
            shown.push((format!("metrics of {service}"), scrape(&service.to_string(), "/metrics").1));
        }
        let operators = ["-n", "strongroom", "-l", "app.kubernetes.io/component=operator"];
        let addresses = ["pods", "-o", "jsonpath={range .items[*]}{.status.podIP} {end}"];
        let addresses = self.get(&[&addresses[..], &operators].concat());
        assert!(!addresses.trim().is_empty(), "there is no operator");
        for address in addresses.split_whitespace() {
            let outside = node.forward(SocketAddr::new(address.parse().unwrap(), 8080)).unwrap();
            let metrics = scrape(&outside.to_string(), "/metrics").1;
            shown.push((format!("metrics of the operator at {address}"), metrics));
        }
        // One of them leads.
        assert!(shown.iter().any(|(_, text)| text.contains("strongroom_kamus_syncs_total{")), "nothing is counted");
        for pod in ["owner", "other-account", "foreign-token"] {
            let logs = node.kubectl(&["logs", pod, "-n", "team-a", "-c", "kamus-init"]).unwrap();
            shown.push((format!("what the init container of {pod} says"), logs));
        }
        let applied = node.kubectl(&["logs", "deployment/apply-from-git", "-n", "team-a"]).unwrap();
        shown.push(("what the loop says".to_owned(), applied));
        let kinds = "pods,events,configmaps,kamussecrets,deployments,replicasets,services,serviceaccounts,leases";
        shown.push(("objects".to_owned(), node.kubectl(&["get", kinds, "-A", "-o", "yaml"]).unwrap()));
        shown.push(("other Secrets".to_owned(), self.other_secrets()));
        for part in ["kubelet", "containerd", "kube-apiserver", "kube-controller-manager"] {
            shown.push((format!("the log of {part}"), node.logs(part).unwrap()));
        }
        // How base64 of all values begins.
        let encoded = BASE64_STANDARD.encode(&CANARY[..12]);
        for (place, text) in shown {
            assert!(!text.is_empty(), "{place} cannot be seen");
            assert!(!text.contains(CANARY) && !text.contains(&encoded), "a value is in {place}");
        }
    }

    /// All Secrets, their data decoded, and of those that are to hold values what is not data.
    fn other_secrets(&self) -> String {
        let mut all: Value = serde_json::from_str(&self.get(&["secrets", "-A", "-o", "json"])).unwrap();
        for secret in all["items"].as_array_mut().unwrap() {
            let is_target = TARGETS.iter().any(|name| secret["metadata"]["name"] == *name);
            let data = secret["data"].take();
            if !is_target {
                let decoded = data.as_object().into_iter().flatten().map(|(key, value)| {
                    let bytes = BASE64_STANDARD.decode(value.as_str().unwrap()).unwrap();
                    format!("{key}={}", String::from_utf8_lossy(&bytes))
                });
                secret["data"] = json!(decoded.collect::<Vec<_>>());
            }
        }
        assert!(TARGETS.iter().all(|name| all.to_string().contains(name)), "Secrets are missing");
        all.to_string()
    }
}

/// A KamusSecret of the account `shop` in `team-a`.
fn kamus_secret(version: &str, name: &str, rest: &Value) -> Value {
    let mut object = json!({
        "apiVersion": format!("soluto.com/{version}"), "kind": "KamusSecret",
        "metadata": {"name": name, "namespace": "team-a"}, "serviceAccount": "shop",
    });
    object.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
    object
}

/// A repository that is served to pods, and the guide's loop, which applies it.
struct Git<'a> {
    kamus: &'a Kamus<'a>,
    folder: tempfile::TempDir,
    public_key: tempfile::NamedTempFile,
    _daemon: Part,
}

impl<'a> Git<'a> {
    fn applied(kamus: &'a Kamus<'a>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (status, public_key) = scrape(&kamus.encryptor.to_string(), "/api/v1/public-key");
        assert_eq!(status, 200);
        let public_key = written(&public_key);
        git(folder.path(), &["init", "--quiet", "--bare", "--initial-branch=main", "served.git"]);
        git(folder.path(), &["clone", "--quiet", "served.git", "work"]);
        std::fs::create_dir(folder.path().join("work/deploy")).unwrap();
        let port = free_port().unwrap();
        // The program itself, which `git daemon` would leave behind.
        let programs = Command::new("git").arg("--exec-path").output().unwrap();
        let programs = String::from_utf8(programs.stdout).unwrap();
        let mut daemon = Command::new(Path::new(programs.trim()).join("git-daemon"));
        daemon.args(["--reuseaddr", "--export-all", "--listen=127.0.0.1", &format!("--port={port}")]);
        daemon.arg(format!("--base-path={}", folder.path().display())).arg(folder.path());
        let daemon = Part::start("git-daemon", &daemon, folder.path()).unwrap();
        let git = Self { kamus, folder, public_key, _daemon: daemon };
        git.commit(&[("database", "from-git", "shop", "1")]);
        let page = read("docs/guides/gitops-with-kamus.md");
        let blocks = blocks(&page);
        let served = format!("git://{}/served.git", kamus.node.expose_to_pods(port).unwrap());
        // The only strings that are not applied as they are written.
        let changed = blocks["loop"].replace("https://git.example/team-a/shop.git", &served);
        let changed = changed.replace(r#"PAUSE, value: "30""#, r#"PAUSE, value: "1""#);
        for manifests in [&blocks["account"], &changed] {
            kamus.node.apply(manifests).unwrap();
        }
        git
    }

    /// Commits Secrets as KamusSecrets: file, name, account, and what its value ends with. They are encrypted where
    /// they stand, as people do it.
    fn commit(&self, secrets: &[(&str, &str, &str, &str)]) {
        let work = self.folder.path().join("work");
        for (file, name, account, ending) in secrets {
            let manifest = format!(
                "apiVersion: v1\nkind: Secret\nmetadata:\n  name: {name}\n  namespace: team-a\nstringData:\n  password: {CANARY}-{ending}\n"
            );
            let file = work.join(format!("deploy/{file}.yaml"));
            std::fs::write(&file, manifest).unwrap();
            let words = ["encrypt", "--in-place", file.to_str().unwrap(), "-a", account, "-n", "team-a"];
            let ended = strongroom(&[&words[..], &["--public-key", path(&self.public_key)]].concat(), &[], b"");
            assert_eq!(ended.code, 0, "{}", ended.stderr);
            assert!(!std::fs::read_to_string(&file).unwrap().contains(CANARY), "{name} is plain");
        }
        git(&work, &["add", "."]);
        git(&work, &["commit", "--quiet", "--message=x"]);
        git(&work, &["push", "--quiet", "origin", "HEAD:main"]);
    }

    fn logged(&self) -> String {
        self.kamus.node.kubectl(&["logs", "deployment/apply-from-git", "-n", "team-a"]).unwrap_or_default()
    }

    fn arrives(&self, ending: &str) {
        eventually("the commit arrives", || match self.kamus.applied_value() {
            value if value == format!("{CANARY}-{ending}") => Ok(()),
            _ => Err(format!("{}\n{}", self.logged(), self.kamus.get(&["kamussecrets", "-A", "-o", "yaml"]))),
        });
    }

    fn a_commit_arrives(&self) {
        self.arrives("1");
        self.commit(&[("database", "from-git", "shop", "2")]);
        self.arrives("2");
    }

    /// By the account's own rights: it has none for `billing`. What it may apply arrives all the same.
    fn who_may_not_name_an_account_is_refused(&self) {
        self.commit(&[("database", "from-git", "shop", "3"), ("a-bill", "stolen", "billing", "4")]);
        let told =
            "system:serviceaccount:team-a:apply-from-git may not create tokens of the service account team-a/billing";
        eventually("the refusal is told", || match self.logged() {
            logged if logged.contains(told) => Ok(()),
            logged => Err(logged),
        });
        self.arrives("3");
        let stolen = ["kamussecrets,secrets", "-n", "team-a", "-o", "name"];
        assert!(!self.kamus.get(&stolen).contains("stolen"));
    }
}

fn git(folder: &Path, words: &[&str]) {
    let mut command = Command::new("git");
    command.args(["-c", "user.name=A", "-c", "user.email=a@example.com"]).args(words).current_dir(folder);
    command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
    let output = command.output().unwrap();
    assert!(output.status.success(), "git {words:?}: {}", String::from_utf8_lossy(&output.stderr));
}
