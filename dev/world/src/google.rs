//! A stand-in for Google Secret Manager v1, Cloud KMS v1, Pub/Sub v1 and the token services around them, written from
//! the public REST descriptions.
//!
//! [`secrets`] knows secrets and their states, [`keys`] keys, [`topics`] messages, [`tokens`] who gets a token,
//! [`answer`] the form of answers; here they are put behind listeners. Google's own Python clients agree with it in the
//! tests.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hyper::http::request;
use hyper::service::service_fn;
use hyper::{Request, Response};
use rustls::ServerConfig;
use serde_json::{Value as Json, json};
use tokio::net::TcpListener;

use crate::cache::RunFolder;
use crate::certificates::Authority;
use crate::service::{Background, Body, collect, lock, serve_connection};
use answer::{Refusal, api, json_body, text};
use keys::Keys;
use secrets::{Ask, State, Store, project_number, secret_name};
use tokens::{Fields, Identities, OauthRefusal, Tokens};
use topics::Topics;

mod answer;
mod keys;
mod secrets;
mod tokens;
mod topics;

/// The project of the metadata server and of the service account.
const PROJECT: &str = "strongroom-test";

/// How long a pull waits for a message; Google's own takes longer.
const PULL_HELD: Duration = Duration::from_secs(3);

/// The names that the stand-in's certificate is for.
const NAMES: [&str; 4] =
    ["localhost", "127.0.0.1", "*.googleapis.com", "secretmanager.europe-west3.rep.googleapis.com"];

/// A running stand-in: Secret Manager, Cloud KMS, OAuth, STS, IAM credentials and a metadata server.
///
/// Everything that Google serves over TLS it serves over TLS, with a certificate of its own authority for `localhost`,
/// `127.0.0.1` and `*.googleapis.com`; the metadata server is plain HTTP as Google's. Nothing can be read without a
/// token that it gave out, or that its service account signed, and that has not expired. Dropping it ends it.
pub struct GoogleStandIn {
    authority: Authority,
    endpoint: String,
    host_port: String,
    metadata_host: String,
    desk: Arc<Desk>,
    files: CredentialFiles,
    directory: RunFolder,
    _background: Background,
}

/// Files with credentials in Google's JSON formats, as in `GOOGLE_APPLICATION_CREDENTIALS`.
#[derive(Clone, Debug)]
pub struct CredentialFiles {
    /// A service account's key.
    pub service_account: PathBuf,
    /// A user's refresh token.
    pub authorized_user: PathBuf,
    /// Workload identity federation: the token in a file is exchanged at `/v1/token`, and the result used as it is.
    pub external_account: PathBuf,
    /// The same, with a service account's token asked of IAM credentials in the end.
    pub impersonating_account: PathBuf,
}

impl GoogleStandIn {
    /// Starts it on free ports.
    ///
    /// # Errors
    /// When no port is free.
    pub fn start() -> Result<Self> {
        let authority = Authority::new()?;
        let background = Background::start("google")?;
        let identities = Identities::new(PROJECT, &project_number(PROJECT))?;
        let desk = Arc::new(Desk {
            identities,
            store: Mutex::default(),
            keys: Mutex::default(),
            topics: Mutex::default(),
            tokens: Mutex::new(Tokens::new()),
        });
        let (secure, secure_address) = background.listen()?;
        let (plain, plain_address) = background.listen()?;
        let (metadata, metadata_address) = background.listen()?;
        background.spawn(accept(Arc::clone(&desk), secure, Some(authority.server_config(&NAMES)?), Face::Services));
        background.spawn(accept(Arc::clone(&desk), plain, None, Face::Services));
        background.spawn(accept(Arc::clone(&desk), metadata, None, Face::Metadata));
        let directory = RunFolder::new().context("cannot make a directory for credentials")?;
        let endpoint = format!("https://{secure_address}");
        let files = write_credentials(&desk.identities, &endpoint, directory.path())?;
        Ok(Self {
            authority,
            endpoint,
            host_port: plain_address.to_string(),
            metadata_host: metadata_address.to_string(),
            desk,
            files,
            directory,
            _background: background,
        })
    }

    /// `https://127.0.0.1:PORT`: Secret Manager, Cloud KMS, `/token` (OAuth), `/v1/token` (STS) and IAM credentials.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// `127.0.0.1:PORT` of the same services without TLS, for `Switchboard::with_tls(google.host_port(),
    /// google.authority())`.
    pub fn host_port(&self) -> &str {
        &self.host_port
    }

    /// The authority that signed its certificate.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// That authority's certificate as a PEM file.
    pub fn certificate_file(&self) -> &Path {
        self.authority.certificate_file()
    }

    /// `127.0.0.1:PORT`, as in `GCE_METADATA_HOST`.
    pub fn metadata_host(&self) -> &str {
        &self.metadata_host
    }

    /// The project that the metadata server and the service account name.
    pub fn project(&self) -> &str {
        PROJECT
    }

    /// A project's number, which stands in the names that the service answers with.
    pub fn project_number(&self, project: &str) -> String {
        project_number(project)
    }

    /// The outside token that the security token service takes, as in [`GoogleStandIn::external_account_file`], and the
    /// audience that it must be asked for; the cluster's own (`world` in `europe-west3`) is taken as well.
    pub fn subject_token(&self) -> (&str, &str) {
        (&self.desk.identities.subject_token, &self.desk.identities.audience)
    }

    /// The e-mail address of the service account.
    pub fn service_account(&self) -> &str {
        &self.desk.identities.client_email
    }

    /// Sets a secret's labels.
    ///
    /// # Errors
    /// When there is no such secret.
    pub fn label(&self, project: &str, secret: &str, labels: &[(&str, &str)]) -> Result<()> {
        let done = lock(&self.desk.store).set(&secret_name(project, None, secret), "labels", labels);
        done.map_err(|refusal| anyhow!(refusal.message))
    }

    /// Sets a secret's annotations.
    ///
    /// # Errors
    /// When there is no such secret.
    pub fn annotate(&self, project: &str, secret: &str, annotations: &[(&str, &str)]) -> Result<()> {
        let done = lock(&self.desk.store).set(&secret_name(project, None, secret), "annotations", annotations);
        done.map_err(|refusal| anyhow!(refusal.message))
    }

    /// Adds a version to a secret, which is made if need be; returns the version's number.
    pub fn put(&self, project: &str, secret: &str, value: &[u8]) -> u64 {
        lock(&self.desk.store).put(&secret_name(project, None, secret), value)
    }

    /// The same for a regional secret, `projects/P/locations/L/secrets/S`.
    pub fn put_regional(&self, project: &str, location: &str, secret: &str, value: &[u8]) -> u64 {
        lock(&self.desk.store).put(&secret_name(project, Some(location), secret), value)
    }

    /// Disables a version: reading it fails with `FAILED_PRECONDITION`.
    ///
    /// # Errors
    /// When there is no such version.
    pub fn disable(&self, project: &str, secret: &str, version: u64) -> Result<()> {
        self.set_state(project, secret, version, State::Disabled)
    }

    /// Destroys a version: its value is gone, and reading it fails with `FAILED_PRECONDITION`.
    ///
    /// # Errors
    /// When there is no such version.
    pub fn destroy(&self, project: &str, secret: &str, version: u64) -> Result<()> {
        self.set_state(project, secret, version, State::Destroyed)
    }

    fn set_state(&self, project: &str, secret: &str, version: u64, state: State) -> Result<()> {
        let name = secret_name(project, None, secret);
        let changed = lock(&self.desk.store).set_state(&name, &version.to_string(), state);
        changed.map(|_| ()).map_err(|refusal| anyhow!(refusal.message))
    }

    /// Gives a version an alias, taking it from the version that has it.
    ///
    /// # Errors
    /// When there is no such version.
    pub fn alias(&self, project: &str, secret: &str, alias: &str, version: u64) -> Result<()> {
        let done = lock(&self.desk.store).alias(&secret_name(project, None, secret), alias, version);
        done.map_err(|refusal| anyhow!(refusal.message))
    }

    /// From now on answers `PERMISSION_DENIED` for this secret, whether it exists or not.
    pub fn deny(&self, project: &str, secret: &str) {
        lock(&self.desk.store).deny(&secret_name(project, None, secret), true);
    }

    /// Takes [`GoogleStandIn::deny`] back.
    pub fn allow(&self, project: &str, secret: &str) {
        lock(&self.desk.store).deny(&secret_name(project, None, secret), false);
    }

    /// From now on answers reads of this secret with a checksum that does not fit its value.
    pub fn corrupt(&self, project: &str, secret: &str) {
        lock(&self.desk.store).corrupt(&secret_name(project, None, secret));
    }

    /// Makes a key of Cloud KMS with one version, in this ring (`projects/P/locations/L/keyRings/R`), which is made if
    /// need be; returns the key's name.
    ///
    /// # Errors
    /// When it exists.
    pub fn make_key(&self, ring: &str, key: &str) -> Result<String> {
        lock(&self.desk.keys).make(ring, key).map_err(|refusal| anyhow!(refusal.message))
    }

    /// Makes a version of a key, which encrypts from now on; older ones decrypt what they encrypted. Returns its number.
    ///
    /// # Errors
    /// When there is no such key.
    pub fn rotate_key(&self, key: &str) -> Result<usize> {
        lock(&self.desk.keys).renew(key).map_err(|refusal| anyhow!(refusal.message))
    }

    /// Enables or disables a key's primary version: while it is disabled, using it fails with `FAILED_PRECONDITION`.
    ///
    /// # Errors
    /// When there is no such key.
    pub fn enable_key(&self, key: &str, is_enabled: bool) -> Result<()> {
        lock(&self.desk.keys).set_enabled(key, None, is_enabled).map_err(|refusal| anyhow!(refusal.message))
    }

    /// From now on answers `PERMISSION_DENIED` for this key, whether it exists or not.
    pub fn deny_key(&self, key: &str) {
        lock(&self.desk.keys).deny(key, true);
    }

    /// From now on answers with checksums that do not fit what this key makes.
    pub fn corrupt_key(&self, key: &str) {
        lock(&self.desk.keys).corrupt(key);
    }

    /// Makes a topic and a subscription to it, both of this name in the project; returns the subscription's.
    ///
    /// # Errors
    /// When one of them exists.
    pub fn subscribe(&self, name: &str, deadline: Duration) -> Result<String> {
        let (topic, subscription) =
            (format!("projects/{PROJECT}/topics/{name}"), format!("projects/{PROJECT}/subscriptions/{name}"));
        let body = json!({"topic": topic, "ackDeadlineSeconds": deadline.as_secs()}).to_string();
        for path in [&topic, &subscription] {
            let made = lock(&self.desk.topics).answer("PUT", path, body.as_bytes()).context("this is no name")?;
            made.map_err(|refusal| anyhow!(refusal.message))?;
        }
        Ok(subscription)
    }

    /// Publishes a message with these attributes and no data.
    ///
    /// # Errors
    /// When there is no such topic.
    pub fn publish(&self, topic: &str, attributes: &[(&str, &str)]) -> Result<()> {
        let attributes: BTreeMap<&str, &str> = attributes.iter().copied().collect();
        let topic = format!("projects/{PROJECT}/topics/{topic}");
        let published = lock(&self.desk.topics).publish(&topic, &json!({"messages": [{"attributes": attributes}]}));
        published.map(drop).map_err(|refusal| anyhow!(refusal.message))
    }

    /// How many messages of a subscription are not acknowledged.
    pub fn unacknowledged(&self, subscription: &str) -> usize {
        lock(&self.desk.topics).left(subscription)
    }

    /// Every token given out or seen so far stops working: `UNAUTHENTICATED`. A token that a service account signs
    /// itself is the same token when it is signed again within the same second, and stays refused.
    pub fn expire_tokens(&self) {
        lock(&self.desk.tokens).expire();
    }

    /// How long tokens are good that are given out from now on; an hour unless told otherwise.
    pub fn set_token_lifetime(&self, lifetime: Duration) {
        lock(&self.desk.tokens).set_lifetime(lifetime);
    }

    /// Tokens given out so far, by every way.
    pub fn tokens_issued(&self) -> usize {
        lock(&self.desk.tokens).issued
    }

    /// A service account's key file (JSON) whose `token_uri` is this stand-in.
    pub fn service_account_file(&self) -> &Path {
        &self.files.service_account
    }

    /// A user's credentials (JSON, `authorized_user`) whose `token_uri` is this stand-in.
    pub fn authorized_user_file(&self) -> &Path {
        &self.files.authorized_user
    }

    /// Workload identity federation (JSON, `external_account`): the subject token comes from a file, is exchanged at
    /// `/v1/token`, and the result is used as it is.
    pub fn external_account_file(&self) -> &Path {
        &self.files.external_account
    }

    /// The same with service-account impersonation through IAM credentials.
    pub fn impersonating_account_file(&self) -> &Path {
        &self.files.impersonating_account
    }

    /// The four files once more, naming `endpoint` in place of this stand-in: a switchboard's address, for example.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn credentials_through(&self, endpoint: &str) -> Result<CredentialFiles> {
        let directory = tempfile::tempdir_in(self.directory.path())?.keep();
        write_credentials(&self.desk.identities, endpoint, &directory)
    }
}

fn write_credentials(identities: &Identities, endpoint: &str, directory: &Path) -> Result<CredentialFiles> {
    let write = |name: &str, content: &str| -> Result<PathBuf> {
        let path = directory.join(name);
        std::fs::File::create(&path)?.write_all(content.as_bytes())?;
        Ok(path)
    };
    let email = &identities.client_email;
    let subject_token = write("subject-token", &identities.subject_token)?;
    let mut external = json!({
        "type": "external_account", "universe_domain": "googleapis.com",
        "audience": identities.audience,
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": format!("{endpoint}/v1/token"),
        "credential_source": {"file": subject_token, "format": {"type": "text"}},
    });
    let external_account = write("external-account.json", &external.to_string())?;
    external["service_account_impersonation_url"] =
        json!(format!("{endpoint}/v1/projects/-/serviceAccounts/{email}:generateAccessToken"));
    let service_account = json!({
        "type": "service_account", "universe_domain": "googleapis.com",
        "project_id": PROJECT, "client_email": email, "client_id": identities.client_id,
        "private_key_id": identities.key_id, "private_key": identities.private_key_pem()?,
        "token_uri": format!("{endpoint}/token"),
    });
    let user = json!({
        "type": "authorized_user", "universe_domain": "googleapis.com", "quota_project_id": PROJECT,
        "client_id": identities.client_id, "client_secret": identities.client_secret,
        "refresh_token": identities.refresh_token, "token_uri": format!("{endpoint}/token"),
    });
    Ok(CredentialFiles {
        service_account: write("service-account.json", &service_account.to_string())?,
        authorized_user: write("authorized-user.json", &user.to_string())?,
        external_account,
        impersonating_account: write("impersonating-account.json", &external.to_string())?,
    })
}

/// What a listener serves.
#[derive(Clone, Copy)]
enum Face {
    Services,
    Metadata,
}

/// What all listeners share.
struct Desk {
    identities: Identities,
    store: Mutex<Store>,
    keys: Mutex<Keys>,
    topics: Mutex<Topics>,
    tokens: Mutex<Tokens>,
}

async fn accept(desk: Arc<Desk>, listener: TcpListener, tls: Option<Arc<ServerConfig>>, face: Face) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of file descriptors, for example: some will come back.
            tokio::time::sleep(Duration::from_millis(5)).await;
            continue;
        };
        let (desk, tls) = (Arc::clone(&desk), tls.clone());
        tokio::spawn(async move {
            let service = service_fn(|request| answer(&desk, face, request));
            serve_connection(stream, tls, service).await;
        });
    }
}

async fn answer(desk: &Desk, face: Face, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let (head, body) = request.into_parts();
    Ok(match (face, collect(body).await) {
        (_, Err(_)) => text(400, "the body cannot be read"),
        (Face::Metadata, Ok(_)) => desk.metadata(&head),
        (Face::Services, Ok(body)) if head.uri.path().ends_with(":pull") => desk.pulled(&head, &body).await,
        (Face::Services, Ok(body)) => desk.service(&head, &body),
    })
}

impl Desk {
    fn service(&self, head: &request::Parts, body: &Bytes) -> Response<Body> {
        let path = head.uri.path();
        match (head.method.as_str(), path) {
            ("POST", "/token") => oauth(lock(&self.tokens).oauth(&self.identities, &fields(head, body))),
            ("POST", "/v1/token" | "/v1/identitybindingtoken") => {
                oauth(lock(&self.tokens).exchange(&self.identities, &fields(head, body)))
            }
            ("POST", path) if path.ends_with(":generateAccessToken") => api(self.impersonate(head, path)),
            ("GET", path) if path == format!("/v1/projects/{}", project_number(PROJECT)) => api(self.project(head)),
            (method, path) => api(self.secret_manager(head, method, path, body)),
        }
    }

    /// As Pub/Sub does, holds a pull for a while until there is a message.
    async fn pulled(&self, head: &request::Parts, body: &Bytes) -> Response<Body> {
        let start = Instant::now();
        loop {
            let answer = self.secret_manager(head, head.method.as_str(), head.uri.path(), body);
            if answer != Ok(json!({})) || start.elapsed() > PULL_HELD {
                return api(answer);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn secret_manager(&self, head: &request::Parts, method: &str, path: &str, body: &[u8]) -> Result<Json, Refusal> {
        self.check_token(head)?;
        let path = path.strip_prefix("/v1/").ok_or_else(|| Refusal::not_found("Method not found.".to_owned()))?;
        if let Some(answer) = lock(&self.topics).answer(method, path, body) {
            return answer;
        }
        let query = form(head.uri.query().unwrap_or_default());
        if let Some(answer) = lock(&self.keys).answer(method, path, &query, body) {
            return answer;
        }
        lock(&self.store).answer(&Ask { method, path, query: &query, body })
    }

    fn impersonate(&self, head: &request::Parts, path: &str) -> Result<Json, Refusal> {
        self.check_token(head)?;
        let account = path.strip_prefix("/v1/projects/-/serviceAccounts/");
        let account = account.and_then(|account| account.strip_suffix(":generateAccessToken")).unwrap_or_default();
        lock(&self.tokens).impersonate(&self.identities, &decoded(account))
    }

    /// Resource Manager's answer, by which clients learn the project's id.
    fn project(&self, head: &request::Parts) -> Result<Json, Refusal> {
        self.check_token(head)?;
        let number = project_number(PROJECT);
        Ok(json!({"projectId": PROJECT, "projectNumber": number, "lifecycleState": "ACTIVE"}))
    }

    fn check_token(&self, head: &request::Parts) -> Result<(), Refusal> {
        let authorization = head.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        lock(&self.tokens).check(&self.identities, authorization)
    }

    fn metadata(&self, head: &request::Parts) -> Response<Body> {
        let mut answer = match head.headers.get("metadata-flavor") {
            Some(flavor) if flavor == "Google" => self.metadata_value(head.uri.path()),
            // Guards the real server against requests that someone tricked a program into.
            _ => text(403, "Missing Metadata-Flavor:Google header."),
        };
        answer.headers_mut().insert("Metadata-Flavor", HeaderValue::from_static("Google"));
        answer
    }

    fn metadata_value(&self, path: &str) -> Response<Body> {
        let email = &self.identities.client_email;
        let scope = "https://www.googleapis.com/auth/cloud-platform";
        let Some(path) = path.strip_prefix("/computeMetadata/v1/") else {
            return if path == "/" { text(200, "computeMetadata/\n") } else { text(404, "Not Found") };
        };
        let account = path.strip_prefix("instance/service-accounts/").and_then(|rest| rest.split_once('/'));
        match (path, account) {
            ("project/project-id", _) => text(200, PROJECT),
            ("project/numeric-project-id", _) => text(200, project_number(PROJECT)),
            ("universe/universe-domain" | "universe/universe_domain", _) => text(200, "googleapis.com"),
            ("instance/attributes/cluster-name", _) => text(200, "world"),
            ("instance/attributes/cluster-location", _) => text(200, "europe-west3"),
            ("instance/zone", _) => text(200, format!("projects/{}/zones/europe-west3-a", project_number(PROJECT))),
            (_, Some((name, field))) if name == "default" || name == email => match field {
                "" => json_body(200, &json!({"aliases": ["default"], "email": email, "scopes": [scope]})),
                "email" => text(200, email.as_str()),
                "scopes" => text(200, scope),
                "token" => oauth(lock(&self.tokens).issue()),
                _ => text(404, "Not Found"),
            },
            _ => text(404, "Not Found"),
        }
    }
}

fn oauth(answer: Result<Json, OauthRefusal>) -> Response<Body> {
    match answer {
        Ok(answer) => json_body(200, &answer),
        Err((code, words)) => {
            let status = if code == "invalid_client" { 401 } else { 400 };
            json_body(status, &json!({"error": code, "error_description": words}))
        }
    }
}

/// A token request's fields: a form, or JSON where the client says so.
fn fields(head: &request::Parts, body: &[u8]) -> Fields {
    let content_type = head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !content_type.starts_with("application/json") {
        return form(&String::from_utf8_lossy(body));
    }
    let document: BTreeMap<String, Json> = serde_json::from_slice(body).unwrap_or_default();
    document.into_iter().filter_map(|(name, value)| Some((camel_to_snake(&name), value.as_str()?.to_owned()))).collect()
}

/// JSON clients of the token exchange write `subjectToken`, forms `subject_token`.
fn camel_to_snake(name: &str) -> String {
    let mut snake = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

fn form(text: &str) -> Fields {
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.map(|(name, value)| (decoded(name), decoded(&value.replace('+', " ")))).collect()
}

fn decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}
