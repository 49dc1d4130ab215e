//! Google: a service account's key and a user's login; tokens of the cluster's own accounts, exchanged as GKE does and
//! by a pool; and the operator's own identity.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use world::switchboard::Switchboard;

use super::super::world_of_stores::{Asked, World, core, send, serve};
use super::{Forms, account, key, reviewed, token, user, with, within};

const SECRET: &str = "forms";
const VALUE: &str = "of Google";

/// Whom a token must be for that the pool takes.
const POOL: &str = "https://iam.googleapis.com/pool/world";

/// Where the accounts of GKE's clusters are exchanged, and those of all others.
const BINDING: &str = "/v1/identitybindingtoken";
const EXCHANGE: &str = "/v1/token";

/// The services around the stand-in that know this cluster's accounts.
pub(super) struct Services {
    _exchange: Switchboard,
    impersonation: Switchboard,
    /// Where a token was exchanged, and whose.
    exchanged: Arc<Mutex<BTreeSet<(String, String)>>>,
    email: String,
}

impl Services {
    /// The stand-in knows one token of an outside issuer. Before it stands what trusts this cluster: it has tokens
    /// reviewed, and trades those that are meant for it.
    fn start(world: &World) -> Self {
        let google = &world.google;
        let exchanged = Arc::new(Mutex::new(BTreeSet::new()));
        let (seen, target) = (Arc::clone(&exchanged), google.host_port().to_owned());
        let (pool, known) = (format!("{}.svc.id.goog", google.project()), google.subject_token().0.to_owned());
        let exchange = serve(move |asked| {
            let path = asked.what().trim_start_matches("POST ");
            let audience = if path == BINDING { &pool } else { POOL };
            let Some((subject, user)) = subject(asked).and_then(|text| Some((text, reviewed(text, audience)?))) else {
                return (400, r#"{"error":"invalid_grant"}"#.to_owned());
            };
            seen.lock().unwrap().insert((path.to_owned(), user));
            let kind = asked.header("content-type").unwrap_or_default();
            let body = asked.body.replace(subject, &known);
            send(&target, "POST", path, &[("Content-Type", kind)], &body).unwrap_or_default()
        });
        let front = |target: &str, names: &[&str]| {
            let front = Switchboard::with_tls_for(target, google.authority(), names).unwrap();
            names.iter().for_each(|name| world.proxy.route(name, front.socket()));
            front
        };
        Self {
            _exchange: front(&exchange, &["sts.googleapis.com", "securetoken.googleapis.com"]),
            impersonation: front(google.host_port(), &["iamcredentials.googleapis.com"]),
            exchanged,
            email: google.service_account().to_owned(),
        }
    }

    /// Whose tokens were exchanged where, and as whom they acted.
    pub(super) fn check(&self, forms: &Forms) {
        let expected = [
            (BINDING, &forms.home, "google-bare"),
            (BINDING, &forms.home, "google-app"),
            (BINDING, &forms.away, "google-bare"),
            (EXCHANGE, &forms.home, "google-bare"),
            (EXCHANGE, &forms.home, "google-app"),
            (EXCHANGE, &forms.home, "google-other"),
            (EXCHANGE, &forms.home, "google-file"),
            (EXCHANGE, &forms.home, "google-address"),
            (EXCHANGE, &forms.away, "google-bare"),
        ];
        let expected = expected.map(|(path, namespace, name)| (path.to_owned(), user(namespace, name)));
        assert_eq!(*self.exchanged.lock().unwrap(), BTreeSet::from(expected));
        let acted: Vec<_> = self.impersonation.requests().into_iter().map(|seen| seen.path).collect();
        // google-workload-app, google-pool-app, google-pool-email and google-address-email.
        assert!(acted.len() >= 4, "{acted:?}");
        assert!(acted.iter().all(|path| path.contains(&self.email)), "{acted:?}");
    }
}

/// The outside token of a request, as a form or as JSON.
fn subject(asked: &Asked) -> Option<&str> {
    let (_, form) = asked.body.split_once("subject_token=").unzip();
    let (_, json) = asked.body.split_once(r#""subject_token":""#).unzip();
    form.or(json)?.split(['&', '"']).next()
}

fn json_of(file: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

pub(super) fn add(forms: &mut Forms, world: &World) -> Services {
    let google = &world.google;
    let (home, away) = (forms.home.clone(), forms.away.clone());
    google.put(google.project(), SECRET, VALUE.as_bytes());
    forms.variables.push(("GCE_METADATA_HOST", google.metadata_host().to_owned()));
    keys(forms, world);
    account(&home, "google-app", &json!({"iam.gke.io/gcp-service-account": google.service_account()}));
    let nobody = "nobody@example.iam.gserviceaccount.com";
    account(&home, "google-other", &json!({"iam.gke.io/gcp-service-account": nobody}));
    ["google-bare", "google-file", "google-address"].iter().for_each(|name| account(&home, name, &json!({})));
    account(&away, "google-bare", &json!({}));
    let [file, address] = written(forms, world);
    own(forms, world, &address);
    of_clusters(forms, world, &file);
    Services::start(world)
}

/// A key in a Secret.
fn secret(name: &str) -> Value {
    json!({"secretRef": {"secretAccessKeySecretRef": key("google", name)}})
}

/// An account of a cluster of GKE.
fn workload(world: &World, account: &Value) -> Value {
    json!({"workloadIdentity": {
        "serviceAccountRef": account, "clusterProjectID": world.google.project(), "clusterLocation": "europe-west3",
        "clusterName": "world",
    }})
}

/// An account that a pool trusts.
fn pool(world: &World, account: &Value) -> Value {
    let account = with(account, &json!({"audiences": [POOL]}));
    json!({"workloadIdentityFederation": {"serviceAccountRef": account, "audience": world.google.subject_token().1}})
}

fn store(world: &World, auth: &Value) -> Value {
    json!({"gcpsm": {"projectID": world.google.project(), "auth": auth}})
}

fn remote() -> Value {
    json!({"key": SECRET})
}

fn own(forms: &mut Forms, world: &World, address: &Value) {
    let named = |name: &str| json!({"name": name});
    let acting = json!({"gcpServiceAccountEmail": world.google.service_account()});
    let by_email = pool(world, &named("google-other"))["workloadIdentityFederation"].take();
    let federated = |more: &Value| json!({"workloadIdentityFederation": more});
    let all = [
        ("google-key", secret("key")),
        ("google-user", secret("user")),
        ("google-acting", secret("acting")),
        ("google-workload", workload(world, &named("google-bare"))),
        // Which cluster this is, its machines' metadata service tells.
        ("google-workload-app", json!({"workloadIdentity": {"serviceAccountRef": named("google-app")}})),
        ("google-pool", pool(world, &named("google-bare"))),
        ("google-pool-app", pool(world, &named("google-app"))),
        ("google-pool-email", federated(&with(&by_email, &acting))),
        ("google-address", federated(address)),
        ("google-address-email", federated(&with(address, &acting))),
    ];
    for (name, auth) in all {
        forms.own(name, store(world, &auth), remote(), VALUE);
    }
}

fn of_clusters(forms: &mut Forms, world: &World, file: &Value) {
    let home = forms.home.clone();
    let named_key = json!({"secretRef": {"secretAccessKeySecretRef": within(&home, &key("google", "key"))}});
    let bare = json!({"name": "google-bare"});
    let cluster = [
        ("google-named-key", named_key),
        ("google-named-workload", workload(world, &within(&home, &bare))),
        ("google-file", json!({"workloadIdentityFederation": file})),
    ];
    for (name, auth) in cluster {
        forms.cluster(name, store(world, &auth), remote(), VALUE);
    }
    forms.cluster("google-own", json!({"gcpsm": {"projectID": world.google.project()}}), remote(), VALUE);
    let referent = [
        ("google-askers-key", secret("key")),
        ("google-askers-workload", workload(world, &bare)),
        ("google-askers-pool", pool(world, &bare)),
    ];
    for (name, auth) in referent {
        forms.referent(name, store(world, &auth), [(); 2].map(|()| (remote(), VALUE.to_owned())));
    }
}

/// Credentials that lie in Secrets; under the same name another kind lies in each of the namespaces.
fn keys(forms: &mut Forms, world: &World) {
    let google = &world.google;
    let (account, user) = (json_of(google.service_account_file()), json_of(google.authorized_user_file()));
    let address = json_of(google.impersonating_account_file())["service_account_impersonation_url"].take();
    let acting = json!({
        "type": "impersonated_service_account", "service_account_impersonation_url": address,
        "delegates": [], "source_credentials": user,
    });
    let (account_text, user_text, acting) = (account.to_string(), user.to_string(), acting.to_string());
    let (home, away) = (forms.home.clone(), forms.away.clone());
    forms.secret(&home, "google", &[], &[("key", &account_text), ("user", &user_text), ("acting", &acting)]);
    forms.secret(&away, "google", &[], &[("key", &user_text)]);
    let parts = [&account["private_key"], &user["client_secret"], &user["refresh_token"]];
    parts.iter().for_each(|part| forms.hide(part.as_str().unwrap()));
}

/// Credentials that are written in a ConfigMap: an account's token in a file of the operator's, and one that an address
/// gives to who asks for it properly.
fn written(forms: &mut Forms, world: &World) -> [Value; 2] {
    let home = forms.home.clone();
    let audience = world.google.subject_token().1;
    let (in_file, at_address) = (token(&home, "google-file", &[POOL]), token(&home, "google-address", &[POOL]));
    [&in_file, &at_address].iter().for_each(|token| forms.hide(token));
    let path = world.folder().join("google-token");
    std::fs::write(&path, in_file).unwrap();
    let given = json!({"id_token": at_address}).to_string();
    let host_port = serve(move |asked| match asked.header("x-world") {
        Some("google") => (200, given.clone()),
        _ => (403, String::new()),
    });
    let address = format!("http://{host_port}/token");
    let file = json!({"type": "external_account", "audience": audience, "credential_source": {"file": path}});
    // What the store says of the audience stands over what is written here.
    let asked = json!({"type": "external_account", "audience": "//nobody", "credential_source": {
        "url": address, "headers": {"X-World": "google"},
        "format": {"type": "json", "subject_token_field_name": "id_token"},
    }});
    let data = json!({"file": file.to_string(), "address": asked.to_string()});
    core(&home, "ConfigMap", "google", &json!({"data": data}));
    let [file, asked] = ["file", "address"].map(|name| json!({"credConfig": key("google", name)}));
    let more = json!({"externalTokenEndpoint": address, "audience": audience});
    [json!({"credConfig": within(&home, &file["credConfig"])}), with(&asked, &more)]
}
