//! Every way in which a store that was written for External Secrets Operator says as whom it is read: one operator, one
//! store a way, each against the real thing or its stand-in, and each with something that no other identity may read
//! where the store can tell identities apart.

mod aws;
mod azure;
mod google;
mod kubernetes;
mod pod;
mod vault;
mod webhook;

use std::process::Command;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::super::install::node;
use super::api::API;
use super::support::{CLUSTER, ON_NODE, Shared, condition, namespace};
use super::world_of_stores::{World, core, create, post, wait_until_read};

/// The operator's class: it has an environment of its own, and stores of its own.
const CLASS: &str = "forms";

const VALID: &str = "Valid";
const UNKNOWN: &str = "ValidationUnknown";

/// One store with one way to log in, and who reads it.
struct Form {
    name: String,
    is_cluster: bool,
    provider: Value,
    /// The reason of the store's condition.
    reason: &'static str,
    readers: Vec<Reader>,
}

/// Who asks, for what (a `remoteRef`), and what is there.
struct Reader {
    namespace: String,
    key: Value,
    value: String,
}

/// The forms in which stores are written, with all that is around them.
struct Forms {
    /// The namespace of the SecretStores, and of what ClusterSecretStores name.
    home: String,
    /// Another one, which asks ClusterSecretStores.
    away: String,
    forms: Vec<Form>,
    /// What the operator has in its environment: its own identities.
    variables: Vec<(&'static str, String)>,
    /// Credentials, line by line.
    hidden: Vec<String>,
}

impl Forms {
    fn new() -> Self {
        let [home, away] = [(); 2].map(|()| namespace(&CLUSTER, &[]));
        Self { home, away, forms: Vec::new(), variables: Vec::new(), hidden: Vec::new() }
    }

    /// A SecretStore.
    fn own(&mut self, name: &str, provider: Value, key: Value, value: &str) -> &mut Form {
        let readers = vec![Reader { namespace: self.home.clone(), key, value: value.to_owned() }];
        self.add(name.to_owned(), false, provider, VALID, readers)
    }

    /// A ClusterSecretStore that names every namespace, or uses the operator's own identity.
    fn cluster(&mut self, name: &str, provider: Value, key: Value, value: &str) -> &mut Form {
        let readers = vec![Reader { namespace: self.away.clone(), key, value: value.to_owned() }];
        self.add(format!("{}-{name}", self.home), true, provider, VALID, readers)
    }

    /// A ClusterSecretStore that leaves namespaces out: it is opened with what it finds in the namespace of who asks.
    fn referent(&mut self, name: &str, provider: Value, [home, away]: [(Value, String); 2]) -> &mut Form {
        let readers = [(&self.home, home), (&self.away, away)];
        let readers = readers.map(|(namespace, (key, value))| Reader { namespace: namespace.clone(), key, value });
        self.add(format!("{}-{name}", self.home), true, provider, UNKNOWN, readers.into())
    }

    fn add(
        &mut self,
        name: String,
        is_cluster: bool,
        provider: Value,
        reason: &'static str,
        readers: Vec<Reader>,
    ) -> &mut Form {
        self.forms.push(Form { name, is_cluster, provider, reason, readers });
        self.forms.last_mut().unwrap()
    }

    /// Makes a Secret; what is `hidden` of it must be shown nowhere.
    fn secret(&mut self, namespace: &str, name: &str, shown: &[(&str, &str)], hidden: &[(&str, &str)]) {
        let data: serde_json::Map<String, Value> =
            shown.iter().chain(hidden).map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
        core(namespace, "Secret", name, &json!({"stringData": data}));
        hidden.iter().for_each(|(_, value)| self.hide(value));
    }

    /// A credential that must be shown nowhere, nor any line of it.
    fn hide(&mut self, text: &str) {
        let lines = text.lines().filter(|line| line.len() >= 8 && !line.starts_with("-----"));
        self.hidden.extend(lines.map(str::to_owned));
    }

    fn create(&self) {
        for Form { name, is_cluster, provider, readers, .. } in &self.forms {
            let kind = if *is_cluster { "ClusterSecretStore" } else { "SecretStore" };
            let place = if *is_cluster { "" } else { &self.home };
            create(place, kind, name, &json!({"controller": CLASS, "provider": provider}));
            for Reader { namespace, key, .. } in readers {
                let data = [json!({"secretKey": "value", "remoteRef": key})];
                let spec = json!({"secretStoreRef": {"name": name, "kind": kind}, "data": data});
                create(namespace, "ExternalSecret", name, &spec);
            }
        }
    }

    fn wait_until_read(&self) {
        for namespace in [&self.home, &self.away] {
            let readers = self.forms.iter().flat_map(|form| form.readers.iter().map(move |reader| (form, reader)));
            let readers = readers.filter(|(_, reader)| reader.namespace == *namespace);
            let expected: Vec<_> =
                readers.map(|(form, reader)| (form.name.as_str(), format!("value={}", reader.value))).collect();
            let expected: Vec<_> = expected.iter().map(|(name, line)| (*name, line.as_str())).collect();
            assert!(!expected.is_empty());
            wait_until_read(namespace, &expected);
        }
    }

    fn check_stores(&self) {
        let [own, cluster] = [API.list("secretstores", &self.home), API.list("clustersecretstores", "")];
        for Form { name, is_cluster, reason, .. } in &self.forms {
            let stores = if *is_cluster { &cluster } else { &own };
            let (status, found, message) = condition(&stores[name], "Ready").unwrap();
            assert_eq!((status.as_str(), found.as_str()), ("True", *reason), "{name}: {message}");
        }
    }

    fn check_hidden(&self, logged: String, scraped: String) {
        let mut shown = vec![("the log".to_owned(), logged), ("the metrics".to_owned(), scraped)];
        // How tokens begin that stores and clusters gave out meanwhile, and private keys.
        for beginning in ["eyJhbGciOi", "eyJ0eXAi", "ya29.", "PRIVATE KEY"] {
            assert!(shown.iter().all(|(_, text)| !text.contains(beginning)), "something with {beginning} is shown");
        }
        for namespace in [&self.home, &self.away] {
            for kind in ["externalsecrets", "secretstores", "events"] {
                shown.push((kind.to_owned(), json!(API.list(kind, namespace)).to_string()));
            }
        }
        shown.push(("clustersecretstores".to_owned(), json!(API.list("clustersecretstores", "")).to_string()));
        assert!(self.hidden.len() > 30, "{} credentials", self.hidden.len());
        for (place, text) in &shown {
            assert!(!text.is_empty() && self.hidden.iter().all(|value| !text.contains(value)), "shown in {place}");
        }
    }
}

/// `base` with the fields of `more`.
fn with(base: &Value, more: &Value) -> Value {
    let mut whole = base.clone();
    whole.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    whole
}

/// A key of a Secret, in the store's own namespace or that of who asks.
fn key(name: &str, key: &str) -> Value {
    json!({"name": name, "key": key})
}

/// The same, or another selector, in this namespace.
fn within(namespace: &str, selector: &Value) -> Value {
    with(selector, &json!({"namespace": namespace}))
}

fn encoded(text: &str) -> String {
    BASE64_STANDARD.encode(text)
}

/// Makes a service account.
fn account(namespace: &str, name: &str, annotations: &Value) {
    core(namespace, "ServiceAccount", name, &json!({"metadata": {"annotations": annotations}}));
}

/// A token of a service account, for these audiences (the API server's own when there are none).
fn token(namespace: &str, account: &str, audiences: &[&str]) -> String {
    let request = json!({
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"audiences": audiences},
    });
    let made = post(&format!("/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"), &request);
    made["status"]["token"].as_str().unwrap().to_owned()
}

/// Whose token this is, where the API server knows it as meant for `audience`.
fn reviewed(token: &str, audience: &str) -> Option<String> {
    let review = json!({
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
        "spec": {"token": token, "audiences": [audience]},
    });
    let status = post("/apis/authentication.k8s.io/v1/tokenreviews", &review)["status"].take();
    let user = status["user"]["username"].as_str().map(str::to_owned);
    user.filter(|_| status["authenticated"] == true)
}

/// The user name of a service account.
fn user(namespace: &str, account: &str) -> String {
    format!("system:serviceaccount:{namespace}:{account}")
}

#[test]
fn every_way_to_log_in_reads_what_it_may() {
    let (world, mut forms) = (World::start(), Forms::new());
    let aws = aws::add(&mut forms);
    let google = google::add(&mut forms, &world);
    azure::add(&mut forms, &world);
    kubernetes::add(&mut forms);
    let _vault = vault::add(&mut forms, &world, &aws);
    let _webhook = webhook::add(&mut forms);
    forms.create();
    let check = || {
        forms.wait_until_read();
        forms.check_stores();
        aws.check(&forms, &world);
        google.check(&forms);
    };
    match &*CLUSTER {
        Shared::ControlPlane(_) => {
            let operator = world.operator(CLASS, &forms.variables);
            check();
            forms.check_hidden(operator.logged(), operator.scraped());
            let (code, took) = operator.stop();
            assert!(code == Some(0) && took < Duration::from_secs(5), "{code:?} {took:?}");
        }
        Shared::Node(node) => {
            let pod = pod::Pod::start(node, &world, &forms);
            check();
            let logged = pod.logged();
            assert!(logged.contains("the operator works") && !logged.contains("forbidden"), "{logged}");
            forms.check_hidden(logged, pod.scraped());
        }
    }
}

#[test]
fn every_way_to_log_in_works_from_a_pod_with_the_charts_rights() {
    if !node::can_run() {
        return;
    }
    // The same test in a process of its own, whose cluster is a node.
    let mut same = Command::new(std::env::current_exe().unwrap());
    same.args(["--exact", "operator::auth_forms::every_way_to_log_in_reads_what_it_may", "--nocapture"]);
    let ended = same.env(ON_NODE, "1").output().unwrap();
    let printed = String::from_utf8_lossy(&ended.stdout);
    assert!(
        ended.status.success() && printed.contains("1 passed"),
        "{printed}{}",
        String::from_utf8_lossy(&ended.stderr)
    );
}
