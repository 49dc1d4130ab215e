//! `auth/kubernetes/`: pods that log in by the token of their service account, which the API server reviews
//! (governance.md §10.4).

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use strongroom_barrier::View;
use strongroom_crypto::sha256;
use strongroom_jwt::Token;
use strongroom_policy::acl::Operation;
use strongroom_secret::SecretBytes;

use super::by_role::ByRole;
use crate::engine::Call;
use crate::exchange::{Fault, Response};
use crate::login::{Login, TokenSettings};
use crate::members::Members;
use crate::outside::{ask, client};
use crate::records::{read, write};

const CONFIG: &str = "config";

/// What a pod finds of its own service account.
const LOCAL_TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";
const LOCAL_AUTHORITY: &str = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt";

/// How long a review counts: a token that was revoked logs in no longer than this.
const REMEMBERED: Duration = Duration::from_secs(30);
/// Reviews that are remembered.
const MOST: usize = 10_000;

#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
struct Config {
    kubernetes_host: String,
    kubernetes_ca_cert: String,
    token_reviewer_jwt: String,
    disable_local_ca_jwt: bool,
}

#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Role {
    bound_service_account_names: Vec<String>,
    bound_service_account_namespaces: Vec<String>,
    audience: String,
    alias_name_source: String,
    #[serde(flatten)]
    token: TokenSettings,
}

/// Whose token it is.
#[derive(Clone)]
struct Account {
    namespace: String,
    name: String,
    uid: String,
}

/// Reviews by the hash of the token and its audience, and when each was made: by a clock that does not jump.
type Reviews = HashMap<[u8; 32], (Account, Instant)>;

/// The engine of a Kubernetes mount.
pub(super) struct Kubernetes {
    view: View,
    reviews: Mutex<Reviews>,
}

fn refused() -> Fault {
    Fault::bad_token()
}

fn forbidden(words: &str) -> Fault {
    Fault::new(strongroom_http::StatusCode::FORBIDDEN, words)
}

impl Kubernetes {
    pub(super) fn new(view: View) -> Self {
        Self { view, reviews: Mutex::default() }
    }

    async fn configured(&self) -> Result<Option<Config>, Fault> {
        Ok(read(&self.view, CONFIG).await?.map(|(config, _)| config))
    }

    /// Whose token it is, by a review of the last seconds or a new one.
    async fn account(&self, role: &Role, token: &SecretBytes, now: i64) -> Result<Account, Fault> {
        let text = token.expose_text().ok_or_else(refused)?;
        let parsed = Token::parse(text).map_err(|_| refused())?;
        let ends = parsed.unproved().moment("exp").unwrap_or(i64::MAX);
        if ends <= now {
            return Err(refused());
        }
        let key = sha256(&[role.audience.as_bytes(), b"\0", token.expose()].concat());
        if let Some((account, made)) = self.reviews.lock().unwrap_or_else(PoisonError::into_inner).get(&key)
            && made.elapsed() < REMEMBERED
        {
            return Ok(account.clone());
        }
        let config = self.configured().await?;
        let config = config.ok_or_else(|| Fault::invalid("could not load backend configuration"))?;
        let account = reviewed(&config, role, token).await.map_err(|words| {
            // Whoever logs in is told nothing: what is wrong is for those who run the store.
            tracing::warn!(reason = words, "a service account's token was not taken");
            refused()
        })?;
        let mut reviews = self.reviews.lock().unwrap_or_else(PoisonError::into_inner);
        if reviews.len() >= MOST {
            reviews.retain(|_, (_, made)| made.elapsed() < REMEMBERED);
        }
        if reviews.len() < MOST {
            reviews.insert(key, (account.clone(), Instant::now()));
        }
        Ok(account)
    }
}

/// Has the API server look at a token.
async fn reviewed(config: &Config, role: &Role, token: &SecretBytes) -> Result<Account, String> {
    let local = |path: &str| std::fs::read_to_string(path).ok().filter(|_| !config.disable_local_ca_jwt);
    let authority = Some(config.kubernetes_ca_cert.clone()).filter(|pem| !pem.is_empty());
    let client = client(authority.or_else(|| local(LOCAL_AUTHORITY)).as_deref())?;
    let reviewer = match config.token_reviewer_jwt.as_str() {
        "" => local(LOCAL_TOKEN).map(|text| SecretBytes::from(text.trim().to_owned())),
        own => Some(SecretBytes::from(own.to_owned())),
    };
    let audiences: Vec<&str> =
        Some(role.audience.as_str()).filter(|audience| !audience.is_empty()).into_iter().collect();
    let body = json!({
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenReview",
        "spec": {"token": token.expose_text().unwrap_or_default(), "audiences": audiences},
    });
    let address = format!("{}/apis/authentication.k8s.io/v1/tokenreviews", config.kubernetes_host);
    let answer = ask(&client, &address, Some(reviewer.as_ref().unwrap_or(token)), Some(&body)).await?;
    if !answer.status.is_success() {
        return Err(format!("the API server answered the review with {}", answer.status));
    }
    let answer: Value = answer.json().map_err(|error| error.to_string())?;
    let status = &answer["status"];
    if status["authenticated"] != Value::Bool(true) {
        return Err(format!("the API server does not know it: {}", status["error"].as_str().unwrap_or_default()));
    }
    // A server that does not know of audiences answers without them, and has not looked at any.
    let known = status["audiences"].as_array().cloned().unwrap_or_default();
    if !role.audience.is_empty() && !known.iter().any(|known| known.as_str() == Some(&role.audience)) {
        return Err("it is not for the role's audience".to_owned());
    }
    let user = status["user"]["username"].as_str().unwrap_or_default();
    let account = user.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':'));
    let (namespace, name) = account.ok_or_else(|| "it is not a service account's".to_owned())?;
    let uid = status["user"]["uid"].as_str().unwrap_or_default();
    Ok(Account { namespace: namespace.to_owned(), name: name.to_owned(), uid: uid.to_owned() })
}

/// Whether a name is in a list, of which an item may end with a star.
fn is_bound(list: &[String], name: &str) -> bool {
    list.iter().any(|item| match item.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix),
        None => item == name,
    })
}

#[async_trait]
impl ByRole for Kubernetes {
    type Role = Role;

    fn view(&self) -> &View {
        &self.view
    }

    async fn config(&self, call: &Call<'_>) -> Result<Response, Fault> {
        let data = &call.request.data;
        match call.operation {
            Operation::Read => {
                let config = self.configured().await?.ok_or_else(Fault::absent)?;
                let data = Members::default()
                    .with("kubernetes_host", config.kubernetes_host)
                    .with("kubernetes_ca_cert", config.kubernetes_ca_cert)
                    .with("token_reviewer_jwt_set", !config.token_reviewer_jwt.is_empty())
                    .with("disable_local_ca_jwt", config.disable_local_ca_jwt)
                    .with("pem_keys", Vec::<Value>::new())
                    .with("issuer", "")
                    .with("disable_iss_validation", true);
                Ok(Response::of(data))
            }
            Operation::Create | Operation::Update => {
                let host = data.text("kubernetes_host")?.filter(|host| !host.is_empty());
                let host = host.ok_or_else(|| Fault::invalid("no host provided"))?;
                let config = Config {
                    kubernetes_host: host.trim_end_matches('/').to_owned(),
                    kubernetes_ca_cert: data.text("kubernetes_ca_cert")?.unwrap_or_default(),
                    token_reviewer_jwt: data.text("token_reviewer_jwt")?.unwrap_or_default(),
                    disable_local_ca_jwt: data.flag("disable_local_ca_jwt")?.unwrap_or_default(),
                };
                if config.disable_local_ca_jwt && config.kubernetes_ca_cert.is_empty() {
                    return Err(Fault::invalid("kubernetes_ca_cert must be given when disable_local_ca_jwt is true"));
                }
                if data.texts("pem_keys")?.is_some_and(|keys| !keys.is_empty()) {
                    return Err(Fault::invalid(
                        "pem_keys are not served: every token is reviewed by the API server; use a jwt mount for keys",
                    ));
                }
                client(Some(&config.kubernetes_ca_cert))
                    .map_err(|error| Fault::invalid(format!("kubernetes_ca_cert: {error}")))?;
                write(&self.view, CONFIG, &config).await?;
                self.reviews.lock().unwrap_or_else(PoisonError::into_inner).clear();
                Ok(Response::empty())
            }
            _ => Err(Fault::unsupported()),
        }
    }

    async fn log_in(&self, call: &Call<'_>) -> Result<Response, Fault> {
        let data = &call.request.data;
        let name = data.text("role")?.filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| Fault::invalid("missing role"))?;
        let token = data.text("jwt")?.filter(|token| !token.is_empty());
        let token = SecretBytes::from(token.ok_or_else(|| Fault::invalid("missing jwt"))?);
        let role = self.role(&name).await?.ok_or_else(|| Fault::invalid(format!("invalid role name {name:?}")))?;
        let account = self.account(&role, &token, call.request.now.as_second()).await?;
        if !is_bound(&role.bound_service_account_namespaces, &account.namespace) {
            return Err(forbidden("namespace not authorized"));
        }
        if !is_bound(&role.bound_service_account_names, &account.name) {
            return Err(forbidden("service account name not authorized"));
        }
        let alias = match role.alias_name_source.as_str() {
            "serviceaccount_name" => format!("{}/{}", account.namespace, account.name),
            _ => account.uid.clone(),
        };
        let metadata = [
            ("role", name),
            ("service_account_name", account.name.clone()),
            ("service_account_namespace", account.namespace.clone()),
            ("service_account_secret_name", String::new()),
            ("service_account_uid", account.uid),
        ];
        let login = Login {
            display_name: format!("kubernetes-{}-{}", account.namespace, account.name),
            alias,
            metadata: metadata.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<BTreeMap<_, _>>(),
            bound_cidrs: Vec::new(),
        };
        role.token.log_in(call, login).await
    }

    fn changed(&self, before: Role, data: &Members) -> Result<(Role, Vec<String>), Fault> {
        if data.text("bound_service_account_namespace_selector")?.is_some_and(|text| !text.is_empty()) {
            return Err(Fault::invalid(
                "bound_service_account_namespace_selector is not served: name namespaces, or \"team-*\"",
            ));
        }
        let names = data.texts("bound_service_account_names")?.unwrap_or(before.bound_service_account_names);
        let spaces = data.texts("bound_service_account_namespaces")?;
        let spaces = spaces.unwrap_or(before.bound_service_account_namespaces);
        for (what, list) in [("names", &names), ("namespaces", &spaces)] {
            if list.is_empty() {
                return Err(Fault::invalid(format!("\"bound_service_account_{what}\" can not be empty")));
            }
        }
        let source = data.text("alias_name_source")?.unwrap_or(before.alias_name_source);
        if !matches!(source.as_str(), "" | "serviceaccount_uid" | "serviceaccount_name") {
            return Err(Fault::invalid("alias_name_source is serviceaccount_uid or serviceaccount_name"));
        }
        let role = Role {
            bound_service_account_names: names,
            bound_service_account_namespaces: spaces,
            audience: data.text("audience")?.unwrap_or(before.audience),
            alias_name_source: source,
            token: before.token.changed(data)?,
        };
        let warning = "the role has no audience: tokens that were issued for others log in as well";
        let warnings = role.audience.is_empty().then(|| warning.to_owned());
        Ok((role, warnings.into_iter().collect()))
    }

    fn shown(&self, role: &Role) -> Members {
        let source = Some(role.alias_name_source.as_str()).filter(|source| !source.is_empty());
        let mut shown = role.token.shown();
        shown.set("bound_service_account_names", json!(role.bound_service_account_names));
        shown.set("bound_service_account_namespaces", json!(role.bound_service_account_namespaces));
        shown.set("audience", role.audience.clone());
        shown.set("alias_name_source", source.unwrap_or("serviceaccount_uid"));
        shown
    }
}
