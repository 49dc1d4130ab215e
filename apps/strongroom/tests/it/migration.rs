//! `docs/migrate-from-eso.md` with the real External Secrets Operator: over to ours, back, and over again, by the page's
//! own commands where it has some.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use world::binaries::{self, ExternalSecretsOperator};
use world::control_plane::{ControlPlane, Options};
use world::moto;
use world::part::Part;

use crate::operator::support::{Operator, condition, eventually};
use crate::{AWS, REGION, VAULT};

const GUIDE: &str = include_str!("../../../../docs/migrate-from-eso.md");
const STORES: &str = include_str!("migration/stores.yaml");
const EXTERNAL_SECRETS: &str = include_str!("migration/external-secrets.yaml");
const CLUSTER: &str = include_str!("migration/cluster.yaml");
const UNSERVED: &str = include_str!("migration/unserved.yaml");

/// What is to fail, with either controller.
const FAILING: [&str; 3] = ["before/broken", "during/broken", "asked/generated"];

/// What keeps the values that it got first.
const READ_ONCE: [&str; 2] = ["never-again", "once"];

/// Every object of a kind, by `NAMESPACE/NAME`.
type Objects = BTreeMap<String, Value>;

/// A cluster with the definitions of External Secrets Operator, and a person's shell before it.
struct Site {
    cluster: ControlPlane,
    other: ExternalSecretsOperator,
    /// Where the person works, and where files of the page's commands lie.
    desk: tempfile::TempDir,
}

impl Site {
    fn start() -> Self {
        binaries::require_jq().unwrap();
        let other = binaries::external_secrets_operator().unwrap();
        let cluster = ControlPlane::start(&Options { controllers: true, ..Options::default() }).unwrap();
        cluster.kubectl(&["apply", "--server-side", "-f", other.definitions.to_str().unwrap()]).unwrap();
        for crd in strongroom_api::crds().iter().filter(|crd| crd.spec.group == "strongroom.dev") {
            cluster.apply(&serde_json::to_string(crd).unwrap()).unwrap();
        }
        cluster.kubectl(&["wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"]).unwrap();
        Self { cluster, other, desk: tempfile::tempdir().unwrap() }
    }

    /// Runs commands as a person would, and gives what they print.
    fn run(&self, commands: &str) -> String {
        let kubectl = binaries::control_plane().unwrap().kubectl;
        let path = format!("{}:/usr/local/bin:/usr/bin:/bin", kubectl.parent().unwrap().display());
        let mut shell = Command::new("sh");
        shell.args(["-eu", "-c", commands]).current_dir(self.desk.path()).env_clear().env("PATH", path);
        shell.env("KUBECONFIG", self.cluster.kubeconfig()).env("KUBECACHEDIR", self.desk.path().join("cache"));
        let output = shell.stdin(Stdio::null()).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (said, complained) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "{commands}\n{}\n{said}\n{complained}", output.status);
        said
    }

    /// Runs the page's commands that have these words in them.
    fn follow(&self, words: &str) -> String {
        self.run(block(words))
    }

    /// As [`Site::follow`], but one line of the block.
    fn follow_line(&self, words: &str) -> String {
        let line = block(words).lines().find(|line| line.contains(words)).unwrap();
        self.run(line)
    }

    /// Applies manifests; where the namespace is empty, they say it themselves.
    fn apply(&self, namespace: &str, manifests: &str) {
        let file = self.desk.path().join("manifests.yaml");
        fs::write(&file, manifests).unwrap();
        // As a person does it: with the annotation that it leaves behind, which goes on to the Secrets.
        self.cluster.kubectl(&["apply", "-n", namespace, "-f", file.to_str().unwrap()]).unwrap();
    }

    /// The stores of a namespace, where the values that are to change begin with `word`.
    fn apply_stores(&self, namespace: &str, word: &str) {
        let authority = BASE64_STANDARD.encode(fs::read(self.cluster.certificate_authority()).unwrap());
        let words = [
            ("NAMESPACE", namespace),
            ("VAULT_TOKEN", VAULT.root_token()),
            ("VAULT_SERVER", VAULT.address()),
            ("REGION", REGION),
            ("API_SERVER", self.cluster.server()),
            ("API_AUTHORITY", &authority),
            ("FIRST", word),
        ];
        let manifests = words.iter().fold(STORES.to_owned(), |text, (name, value)| text.replace(name, value));
        self.apply(namespace, &manifests);
    }

    fn make_namespace(&self, name: &str) {
        let labels = "{shared: \"yes\"}";
        let namespace = format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {name}, labels: {labels}}}}}");
        self.cluster.apply(&namespace).unwrap();
    }

    fn list(&self, kind: &str, more: &[&str]) -> Objects {
        let words = [&["get", kind, "-A", "-o", "json", "--show-managed-fields"], more].concat();
        let mut list: Value = serde_json::from_str(&self.cluster.kubectl(&words).unwrap()).unwrap();
        let items = list["items"].as_array_mut().map(std::mem::take).unwrap_or_default();
        items.into_iter().map(|item| (name_of(&item), item)).collect()
    }

    /// The Secrets that a controller manages.
    fn secrets(&self) -> Objects {
        self.list("secrets", &["-l", "reconcile.external-secrets.io/managed=true"])
    }

    fn external_secrets(&self) -> Objects {
        self.list("externalsecrets.external-secrets.io", &[])
    }

    /// Waits until each ExternalSecret was read, by either controller, and is as it should be.
    fn wait_until_read(&self) {
        eventually("all ExternalSecrets are read", || {
            let wrong: Vec<_> =
                self.external_secrets().into_iter().filter(|(name, object)| !is_read(name, object)).collect();
            let told = |(name, object): &(String, Value)| format!("{name}: {}", object["status"]);
            if wrong.is_empty() { Ok(()) } else { Err(wrong.iter().map(told).collect::<Vec<_>>().join("\n")) }
        });
    }

    /// Takes from every ExternalSecret that is read more than once what says that it was ever read, so that whoever comes
    /// next reads it.
    fn forget(&self) {
        let patch = r#"{"status":{"refreshTime":null,"syncedResourceVersion":null}}"#;
        for name in self.external_secrets().keys() {
            let (namespace, name) = name.split_once('/').unwrap();
            if READ_ONCE.contains(&name) {
                continue;
            }
            let words = ["patch", "externalsecrets.external-secrets.io", name, "-n", namespace];
            self.cluster
                .kubectl(&[&words[..], &["--subresource=status", "--type=merge", "-p", patch]].concat())
                .unwrap();
        }
    }

    /// Does what a kubelet would: tells that the pods of the other controller's Deployment are ready.
    fn be_its_kubelet(&self) {
        eventually("a pod of the Deployment is ready", || {
            let pods = self.list("pods", &["-l", "app.kubernetes.io/name=external-secrets"]);
            let name = pods.keys().next().ok_or("there is no pod")?.trim_start_matches("external-secrets/").to_owned();
            let patch = r#"{"status":{"phase":"Running","conditions":[{"type":"Ready","status":"True"}]}}"#;
            let words = ["patch", "pod", &name, "-n", "external-secrets", "--subresource=status"];
            self.cluster.kubectl(&[&words[..], &["--type=merge", "-p", patch]].concat()).map_err(|_| "it is gone")?;
            Ok::<_, &str>(())
        });
    }

    /// Starts the other controller.
    fn start_other(&self, flags: &[&str]) -> Other {
        let mut command = Command::new(&self.other.controller);
        command.args(["--metrics-addr=0", "--live-addr=0", "--loglevel=debug"]).args(flags);
        command.env_clear().env("KUBECONFIG", self.cluster.kubeconfig()).env("HOME", self.desk.path());
        command.envs(aws_variables());
        Other(Part::start("external-secrets", &command, self.desk.path()).unwrap())
    }

    /// Starts ours; it may have to wait.
    fn spawn_ours(&self, flags: &[&str]) -> Operator {
        let pod = [("POD_NAME", "strongroom-0"), ("POD_NAMESPACE", "default")];
        let variables = [&aws_variables()[..], &pod].concat();
        Operator::spawn(&self.cluster, &[&["--allow-local-addresses", "--spread=1s"], flags].concat(), &variables)
    }
}

/// A running External Secrets Operator.
struct Other(Part);

impl Other {
    /// Ends it as a kubelet does.
    fn end(mut self) {
        kill(Pid::from_raw(i32::try_from(self.0.id()).unwrap()), Signal::SIGTERM).unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let logged = fs::read_to_string(self.0.log()).unwrap_or_default();
            let lines: Vec<&str> = logged.lines().filter(|line| !line.contains("\"level\":\"debug\"")).collect();
            eprintln!("the other controller's log ends:\n{}", lines[lines.len().saturating_sub(60)..].join("\n"));
        }
    }
}

fn aws_variables() -> [(&'static str, &'static str); 3] {
    ["AWS_SECRETSMANAGER_ENDPOINT", "AWS_SSM_ENDPOINT", "AWS_STS_ENDPOINT"].map(|name| (name, AWS.endpoint()))
}

/// The page's block of commands that has these words in it.
fn block(words: &str) -> &'static str {
    let blocks = GUIDE.split("```sh\n").skip(1).filter_map(|rest| rest.split_once("```").map(|(block, _)| block));
    let found: Vec<_> = blocks.filter(|block| block.contains(words)).collect();
    assert_eq!(found.len(), 1, "blocks of the page with `{words}`: {found:#?}");
    found[0]
}

fn name_of(object: &Value) -> String {
    let text = |name: &str| object["metadata"][name].as_str().unwrap_or_default().to_owned();
    format!("{}/{}", text("namespace"), text("name"))
}

/// Whether an ExternalSecret was read and is ready, or was tried and fails where it is to fail.
fn is_read(name: &str, object: &Value) -> bool {
    let ready = condition(object, "Ready").map(|(status, ..)| status);
    match FAILING.contains(&name) {
        true => ready.as_deref() == Some("False"),
        false => ready.as_deref() == Some("True") && object["status"]["syncedResourceVersion"].is_string(),
    }
}

/// The names of what is not as it was, with what differs.
fn changes(before: &Objects, after: &Objects) -> BTreeMap<String, String> {
    let names = before.keys().chain(after.keys());
    let changed = names.filter(|name| before.get(*name) != after.get(*name));
    changed.map(|name| (name.clone(), difference(before.get(name), after.get(name)))).collect()
}

fn difference(before: Option<&Value>, after: Option<&Value>) -> String {
    let text = |object: Option<&Value>| object.map(|object| format!("{object:#}")).unwrap_or_default();
    let (before, after) = (text(before), text(after));
    let only = |some: &str, others: &str, mark: &str| {
        let others: Vec<&str> = others.lines().collect();
        let lines = some.lines().filter(|line| !others.contains(line)).map(|line| format!("{mark}{line}\n"));
        lines.collect::<Vec<_>>().concat()
    };
    only(&before, &after, "-") + &only(&after, &before, "+")
}

fn assert_unchanged(what: &str, before: &Objects, after: &Objects) {
    let changed = changes(before, after);
    let told: Vec<String> = changed.iter().map(|(name, difference)| format!("{name}\n{difference}")).collect();
    assert!(told.is_empty(), "{what}: {}", told.join("\n"));
}

/// The Secrets of one namespace without what tells two namespaces, two moments and two objects apart.
fn anonymous(secrets: &Objects, namespace: &str) -> Objects {
    let own = secrets.iter().filter_map(|(name, secret)| Some((name.strip_prefix(namespace)?, secret)));
    let anonymous = own.map(|(name, secret)| {
        let mut text = secret.to_string().replace(namespace, "NAMESPACE");
        if let Some(owner) = secret["metadata"]["ownerReferences"][0]["uid"].as_str() {
            text = text.replace(owner, "OWNER");
        }
        let mut secret: Value = serde_json::from_str(&text).unwrap();
        let metadata = secret["metadata"].as_object_mut().unwrap();
        for field in ["uid", "resourceVersion", "creationTimestamp"] {
            metadata.remove(field);
        }
        metadata["labels"]["reconcile.external-secrets.io/created-by"].take();
        // The API server has them in the order of their times, which may be the same.
        let managers = metadata["managedFields"].as_array_mut().unwrap();
        managers.iter_mut().for_each(|entry| drop(entry["time"].take()));
        managers.sort_by_key(Value::to_string);
        (name.to_owned(), secret)
    });
    anonymous.collect()
}

/// Fills the stores; values that are to change begin with `word`.
fn fill(word: &str) {
    let database = format!(r#"{{"user":"ann","password":"{word}","port":5432}}"#);
    match AWS.put_secret_version(REGION, "migration/db", moto::Value::Text(&database), &[]) {
        Ok(_) => {}
        Err(_) => {
            let tags = json!([{"Key": "for", "Value": "migration"}, {"Key": "team", "Value": "a"}]);
            for (name, value) in [("migration/db", "{\"password\":\"FIRST\"}"), ("migration/plain", "plain")] {
                let secret = json!({"Name": name, "SecretString": value, "Tags": tags});
                AWS.call(REGION, "secretsmanager.CreateSecret", &secret).unwrap();
            }
            AWS.put_secret_version(REGION, "migration/db", moto::Value::Text(&database), &[]).unwrap();
            AWS.put_secret(REGION, "migration/binary", moto::Value::Binary(&[0, 255, 10])).unwrap();
        }
    }
    AWS.put_parameter(REGION, "/migration/license", moto::Kind::SecureString, &format!("{word}-license")).unwrap();
    VAULT.command(&["kv", "put", "secret/migration/app", "user=ann", &format!("password={word}")]).unwrap();
    VAULT.command(&["kv", "put", "secret/migration/deep/a", &format!("a={word}")]).unwrap();
    VAULT.command(&["kv", "metadata", "put", "-custom-metadata=team=a", "secret/migration/app"]).unwrap();
}

#[test]
fn over_to_ours_and_back_rewrites_no_secret() {
    let site = Site::start();
    let other = set_up(&site);
    ask_the_questions(&site);
    site.follow("> secrets-before");
    let (secrets, objects) = (site.secrets(), site.external_secrets());

    let ours =
        wait_for_the_other(&site, other, "Deployment external-secrets/external-secrets with 1 available replicas");
    look_whether_it_is_well(&site);
    assert_unchanged("Secrets after taking over", &secrets, &site.secrets());
    let mut changed = changes(&objects, &site.external_secrets());
    changed.retain(|name, _| !FAILING.contains(&name.as_str()) && name != "before/often");
    assert!(changed.is_empty(), "ExternalSecrets that were written: {changed:#?}");
    ours.stop();

    site.forget();
    let ours = site.spawn_ours(&[]);
    ours.wait_until_ready();
    site.wait_until_read();
    assert_unchanged("Secrets after reading all of them", &secrets, &site.secrets());
    make_with_ours(&site);
    a_part_is_told(&site);
    values_follow(&site);
    deletions_work(&site);
    ours.stop();

    let secrets = site.secrets();
    let other = go_back(&site);
    assert_unchanged("Secrets after going back", &secrets, &site.secrets());

    let lease = "Lease external-secrets/external-secrets-controller held by ";
    let ours = wait_for_the_other(&site, other, lease);
    site.wait_until_read();
    assert_unchanged("Secrets after coming again", &secrets, &site.secrets());
    fan_out_ends(&site);
    ours.stop();
    hashes_are_replaced(&site);
}

#[test]
fn two_controllers_share_a_cluster_by_class() {
    let site = Site::start();
    site.make_namespace("both");
    let flags = "--controller-class=strongroom --take-over --enable-cluster-external-secret-reconciler=false";
    assert!(GUIDE.contains(flags));
    let other = site.start_other(&[]);
    let ours = site.spawn_ours(&flags.split(' ').collect::<Vec<_>>());
    ours.wait_until_ready();
    let store = |class: &str| {
        format!(
            "---\n{{apiVersion: external-secrets.io/v1, kind: SecretStore, metadata: {{name: {class}}}, \
             spec: {{controller: {class}, provider: {{fake: {{data: [{{key: a, value: {class}}}]}}}}}}}}\n"
        )
    };
    let wish = |name: &str, stores: [&str; 2]| {
        let entry = |(place, store): (usize, &str)| {
            format!("{{secretKey: key{place}, remoteRef: {{key: a}}, sourceRef: {{storeRef: {{name: {store}}}}}}}")
        };
        let data = stores.into_iter().enumerate().map(entry).collect::<Vec<_>>().join(", ");
        format!(
            "---\n{{apiVersion: external-secrets.io/v1, kind: ExternalSecret, metadata: {{name: {name}}}, \
             spec: {{target: {{deletionPolicy: Delete}}, data: [{data}]}}}}\n"
        )
    };
    let (both, theirs) = (["strongroom", "default"], ["default", "default"]);
    let manifests = [store("strongroom"), store("default"), wish("nobodys", both), wish("theirs", theirs)];
    site.apply("both", &(manifests.concat() + &wish("ours", ["strongroom", "strongroom"])));
    let writers = |name: &str| {
        let objects = site.external_secrets();
        let managers = objects[&format!("both/{name}")]["metadata"]["managedFields"].as_array().unwrap();
        let of_status = managers.iter().filter(|entry| entry["subresource"] == "status");
        of_status.map(|entry| entry["manager"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    eventually("each has its controller", || {
        let found = ["ours", "theirs"].map(writers);
        if found == [["strongroom-operator"], ["external-secrets"]] { Ok(()) } else { Err(format!("{found:?}")) }
    });
    assert!(writers("nobodys").is_empty(), "an ExternalSecret of two controllers' stores is read");
    let secrets = site.secrets();
    assert!(secrets.keys().eq(["both/ours", "both/theirs"]), "{:?}", secrets.keys());
    site.run("kubectl delete externalsecrets --all -n both --timeout=30s");
    eventually("all is gone", || {
        let left = site.secrets();
        if left.is_empty() { Ok(()) } else { Err(format!("{:?}", left.keys())) }
    });
    ours.stop();
    other.end();
}

/// Makes everything there is before, with the other controller at work.
fn set_up(site: &Site) -> Other {
    fill("FIRST");
    for namespace in ["external-secrets", "before", "asked"] {
        site.make_namespace(namespace);
    }
    site.apply("", CLUSTER);
    site.apply("asked", UNSERVED);
    site.apply_stores("before", "FIRST");
    site.apply("before", EXTERNAL_SECRETS);
    site.be_its_kubelet();
    let other = site.start_other(&[]);
    site.wait_until_read();
    eventually("all namespaces have what all share", || {
        let made = site.external_secrets().keys().filter(|name| name.ends_with("/shared")).count();
        if made == 3 { Ok(()) } else { Err(made) }
    });
    other
}

fn ask_the_questions(site: &Site) {
    let lines = |said: String| said.lines().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(lines(site.follow("secretstores,clustersecretstores")), ["SecretStore asked/unserved: gitlab"]);
    let not_served = lines(site.follow("generatorRef"));
    assert_eq!(not_served[0], "asked/generated");
    assert_eq!(not_served[1..], ["asked/pushed"]);
    let ambient =
        ["aws", "azure", "google", "vault", "vault-by-iam"].map(|name| format!("asked/as-the-operator-on-{name}"));
    assert_eq!(lines(site.follow(".vault.auth.iam")), ambient);
}

/// Starts ours while the other is at work, sees it wait, and ends the other as the page says.
fn wait_for_the_other(site: &Site, other: Other, who: &str) -> Operator {
    let ours = site.spawn_ours(&[]);
    let words = format!("not ready: another controller serves the same objects: {who}");
    eventually("ours waits", || {
        let (status, body) = ours.get(&ours.health, "/readyz");
        if status == 503 && body.contains(&words) { Ok(()) } else { Err(format!("{status} {body}")) }
    });
    assert!(ours.logged().lines().any(|line| line.contains("level=error") && line.contains(who)), "{}", ours.logged());
    let told = site.list("events", &["--field-selector=reason=ForeignController"]);
    assert!(told.values().any(|event| event["message"].as_str().unwrap_or_default().contains(who)), "{told:?}");
    site.follow("scale deployment external-secrets --replicas=0");
    other.end();
    ours.wait_until_ready();
    eventually("ours looked at each ExternalSecret", || {
        let scraped = ours.scraped();
        let is_looked_at = |name: &String| {
            let (namespace, name) = name.split_once('/').unwrap();
            scraped.contains(&format!("externalsecret_reconcile_duration{{name=\"{name}\",namespace=\"{namespace}\"}}"))
        };
        let waiting: Vec<_> = site.external_secrets().into_keys().filter(|name| !is_looked_at(name)).collect();
        if waiting.is_empty() { Ok(()) } else { Err(waiting.join(" ")) }
    });
    ours
}

/// The page's commands afterwards: no Secret differs, and what fails says why.
fn look_whether_it_is_well(site: &Site) {
    site.follow("diff secrets-before secrets-after");
    eventually("what fails says why", || {
        let said = site.follow("select(.type == \"Ready\" and .status != \"True\")");
        let lines: Vec<&str> = said.lines().collect();
        let is_right = lines.len() == 2
            && lines[0].starts_with("asked/generated: ")
            && lines[1].starts_with("before/broken: ")
            && lines[1].contains("/absent");
        if is_right { Ok(()) } else { Err(said) }
    });
}

/// Has ours make from nothing what the other made: there is no difference.
fn make_with_ours(site: &Site) {
    site.make_namespace("during");
    site.apply_stores("during", "FIRST");
    site.apply("during", EXTERNAL_SECRETS);
    site.wait_until_read();
    eventually("what all share is there", || {
        let secrets = site.secrets();
        if secrets.contains_key("during/shared") { Ok(()) } else { Err("not yet") }
    });
    let secrets = site.secrets();
    assert_unchanged("by ours", &anonymous(&secrets, "before"), &anonymous(&secrets, "during"));
}

/// The other's definitions allow no condition but its own, so that the message tells what is missing.
fn a_part_is_told(site: &Site) {
    let broken = EXTERNAL_SECRETS.rsplit("---").next().unwrap();
    let part = broken.replace("{name: broken}", "{name: part, annotations: {strongroom.dev/partial: \"true\"}}");
    assert_ne!(part, broken);
    site.apply("during", &part);
    eventually("a part is told", || {
        let object = site.external_secrets().remove("during/part").unwrap();
        let (status, _, message) = condition(&object, "Ready").ok_or("no condition")?;
        if status == "True" && message.contains("in part: spec.data[1] (other)") { Ok(()) } else { Err("other words") }
    });
    site.run("kubectl delete externalsecret part -n during --timeout=30s");
    eventually("its Secret is gone", || {
        if site.secrets().contains_key("during/part") { Err("it is there") } else { Ok(()) }
    });
}

/// Values change in the stores, and Secrets follow where they are to follow.
fn values_follow(site: &Site) {
    fill("SECOND");
    site.apply_stores("before", "SECOND");
    site.apply_stores("during", "SECOND");
    site.apply("", &CLUSTER.replace("FIRST", "SECOND").replace("replicas: 1", "replicas: 0"));
    site.run("kubectl annotate externalsecrets --all -A force-sync=1");
    let mut kept = Vec::new();
    for namespace in ["before", "during"] {
        kept.extend(READ_ONCE.map(|name| format!("{namespace}/{name}")));
    }
    eventually("Secrets follow", || {
        let secrets = site.secrets();
        let former: Vec<_> = secrets.iter().filter(|(_, secret)| has_former(secret)).map(|(name, _)| name).collect();
        // The ClusterExternalSecret takes off what somebody else puts on its own.
        let marked = secrets.iter().filter(|(name, secret)| name.ends_with("/shared") && is_marked(secret)).count();
        let different = changes(&anonymous(&secrets, "before"), &anonymous(&secrets, "during"));
        let is_right = former.iter().copied().eq(&kept) && marked == 0 && different.is_empty();
        if is_right { Ok(()) } else { Err(format!("{former:?} {marked} {different:#?}")) }
    });
    site.wait_until_read();
}

/// Whether a value begins as those do that were there before.
fn has_former(secret: &Value) -> bool {
    let decoded = |value: &Value| BASE64_STANDARD.decode(value.as_str().unwrap()).unwrap();
    let values = secret["data"].as_object().unwrap().iter().filter(|(key, _)| *key != "former");
    values.map(|(_, value)| decoded(value)).any(|value| value.windows(5).any(|part| part == b"FIRST"))
}

fn is_marked(secret: &Value) -> bool {
    !secret["metadata"]["annotations"]["force-sync"].is_null()
}

/// ExternalSecrets with the other's finalizer go, and their Secrets with them where they are to go.
fn deletions_work(site: &Site) {
    let objects = site.external_secrets();
    let has_finalizer = |name: &str| !objects[name]["metadata"]["finalizers"].is_null();
    let gone = ["ephemeral", "whole", "orphan", "merged", "fixed"];
    for name in gone {
        assert!(has_finalizer(&format!("before/{name}")), "{name} has no finalizer of the other controller");
        site.run(&format!("kubectl delete externalsecret {name} -n before --timeout=30s"));
    }
    eventually("Secrets go with their owners", || {
        let secrets = site.secrets();
        let is_there = |name: &&str| secrets.contains_key(&format!("before/{name}"));
        let kept: Vec<_> = ["ephemeral", "credentials", "orphaned", "shared-with-others", "fixed"]
            .into_iter()
            .filter(is_there)
            .collect();
        if kept == ["orphaned", "shared-with-others"] { Ok(()) } else { Err(format!("{kept:?}")) }
    });
}

/// Starts the other again by the page's words, has it read everything, and sees that it is content.
fn go_back(site: &Site) -> Other {
    site.forget();
    site.follow_line("scale deployment external-secrets --replicas=1");
    let other = site.start_other(&["--enable-leader-election"]);
    site.be_its_kubelet();
    site.follow_line("rollout status deployment external-secrets");
    site.wait_until_read();
    let finalizer = "externalsecrets.external-secrets.io/externalsecret-cleanup";
    for (name, object) in site.external_secrets() {
        assert!(object["metadata"]["finalizers"].to_string().contains(finalizer), "{name} has no finalizer");
    }
    other
}

/// A ClusterExternalSecret goes, with what it made and with the finalizers that the other put on it and on namespaces.
fn fan_out_ends(site: &Site) {
    let marked = || {
        let namespaces = site.list("namespaces", &[]).into_values();
        namespaces.filter(|namespace| namespace["metadata"]["finalizers"].to_string().contains("everywhere")).count()
    };
    assert_eq!(marked(), 4, "namespaces with a finalizer of the other controller");
    site.run("kubectl delete clusterexternalsecret everywhere --timeout=30s");
    eventually("nothing of it is left", || {
        let left = site.external_secrets().into_keys().filter(|name| name.ends_with("/shared")).count() + marked();
        if left == 0 { Ok(()) } else { Err(left) }
    });
}

/// Hashes under a key of ours become the other's again, and nothing else changes.
fn hashes_are_replaced(site: &Site) {
    let key = site.desk.path().join("key");
    fs::write(&key, [7; 32]).unwrap();
    let keyed = ["--data-hash=keyed", "--data-hash-key-file", key.to_str().unwrap()];
    site.forget();
    let ours = site.spawn_ours(&keyed);
    ours.wait_until_ready();
    site.wait_until_read();
    ours.stop();
    let is_keyed = |secret: &Value| {
        let hash = &secret["metadata"]["annotations"]["reconcile.external-secrets.io/data-hash"];
        hash.as_str().is_some_and(|hash| hash.starts_with("hmac-sha256:"))
    };
    let before = site.secrets();
    assert!(before.values().filter(|secret| is_keyed(secret)).count() > 40);

    site.forget();
    let other = site.start_other(&[]);
    site.wait_until_read();
    let after = site.secrets();
    assert!(!after.values().any(is_keyed), "a hash of ours is left");
    assert!(before.keys().eq(after.keys()));
    for (name, secret) in &before {
        assert_eq!(secret["data"], after[name]["data"], "{name}");
    }
    other.end();
}
