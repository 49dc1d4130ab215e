//! A stand-in for Azure Key Vault and the token services around it, written from the public REST description.
//!
//! [`vault`] knows objects, versions and their states, [`keys`] what keys do, [`login`] who gets a token, [`answer`] the
//! form of answers; here they are put behind listeners. Azure's own Python clients agree with it in the tests.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Result, anyhow};
use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, HOST, HeaderValue, WWW_AUTHENTICATE};
use hyper::http::request;
use hyper::service::service_fn;
use hyper::{Request, Response};
use rustls::ServerConfig;
use serde_json::{Value as Json, json};
use tokio::net::TcpListener;

use crate::certificates::Authority;
use crate::service::{Background, Body, collect, lock, serve_connection};
use answer::{Refusal, api, json_body};
use login::{Fields, LoginRefusal, Logins};
use vault::{Ask, Vault};

mod answer;
mod imports;
mod keys;
mod login;
mod vault;

pub use vault::{Denial, Kind, Object};

/// The names that the stand-in's certificate is for: its address, and Azure's own hosts in three clouds.
const NAMES: [&str; 11] = [
    "localhost",
    "127.0.0.1",
    "*.vault.azure.net",
    "*.vault.usgovcloudapi.net",
    "*.vault.local.azurestack.external",
    "*.azurecr.io",
    "*.azurecr.cn",
    "login.microsoftonline.com",
    "login.microsoftonline.us",
    "login.windows.net",
    "login.local.azurestack.external",
];

/// What tokens for the public cloud's vaults are for.
const RESOURCE: &str = "https://vault.azure.net";

/// A running stand-in: one vault, the login of one tenant, and the two forms of managed identity.
///
/// A registry's exchange of tokens for logins is there as well, at any host of ACR.
///
/// Vault and login answer over TLS at one address, with a certificate of its own authority for `127.0.0.1` and for the
/// names that Azure's own hosts have; managed identities are plain HTTP as Azure's. Nothing can be read without a token
/// that it gave out for this vault's resource and that has not expired. Dropping it ends it.
pub struct AzureStandIn {
    authority: Authority,
    endpoint: String,
    host_port: String,
    metadata_host: String,
    desk: Arc<Desk>,
    _background: Background,
}

impl AzureStandIn {
    /// Starts it on free ports.
    ///
    /// # Errors
    /// When no port is free.
    pub fn start() -> Result<Self> {
        let authority = Authority::new()?;
        let background = Background::start("azure")?;
        let logins = Mutex::new(Logins::new()?);
        let desk = Arc::new(Desk { logins, vault: Mutex::default(), resource: Mutex::new(RESOURCE.to_owned()) });
        let (secure, secure_address) = background.listen()?;
        let (plain, plain_address) = background.listen()?;
        let (metadata, metadata_address) = background.listen()?;
        background.spawn(accept(Arc::clone(&desk), secure, Some(authority.server_config(&NAMES)?), Face::Services));
        background.spawn(accept(Arc::clone(&desk), plain, None, Face::Services));
        background.spawn(accept(Arc::clone(&desk), metadata, None, Face::Metadata));
        Ok(Self {
            authority,
            endpoint: format!("https://{secure_address}"),
            host_port: plain_address.to_string(),
            metadata_host: metadata_address.to_string(),
            desk,
            _background: background,
        })
    }

    /// `https://127.0.0.1:PORT`: the vault, and the login below `/TENANT/`.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// `127.0.0.1:PORT` of the same services without TLS, for `Switchboard::with_tls(azure.host_port(),
    /// azure.authority())`.
    pub fn host_port(&self) -> &str {
        &self.host_port
    }

    /// The authority that signed its certificate.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// `127.0.0.1:PORT` of the managed identities: `/metadata/identity/oauth2/token` as machines have it, and
    /// `/msi/token` as App Service has it.
    pub fn metadata_host(&self) -> &str {
        &self.metadata_host
    }

    /// The tenant that exists.
    pub fn tenant(&self) -> String {
        lock(&self.desk.logins).tenant.clone()
    }

    /// The application that exists.
    pub fn client_id(&self) -> String {
        lock(&self.desk.logins).client_id.clone()
    }

    /// The application's secret.
    pub fn client_secret(&self) -> String {
        lock(&self.desk.logins).client_secret.clone()
    }

    /// The application's certificate and its private key, as PEM.
    pub fn client_certificate(&self) -> String {
        lock(&self.desk.logins).client_certificate.clone()
    }

    /// Client id and resource id of the managed identity that a user assigned; the system's has no name.
    pub fn user_assigned_identity(&self) -> (String, String) {
        let logins = lock(&self.desk.logins);
        (logins.managed_client_id.clone(), logins.managed_resource_id.clone())
    }

    /// What App Service puts into `IDENTITY_HEADER`.
    pub fn identity_header(&self) -> String {
        lock(&self.desk.logins).identity_header.clone()
    }

    /// Lets the application be proven by tokens that `issuer` signed for `subject` with one of `keys`: a JSON Web Key
    /// Set, as an API server gives it at `/openid/v1/jwks`.
    ///
    /// # Errors
    /// When `keys` is no set of RSA keys.
    pub fn trust_issuer(&self, issuer: &str, subject: &str, keys: &str) -> Result<()> {
        lock(&self.desk.logins).trust_issuer(issuer, subject, keys)
    }

    /// A token that an issuer of the stand-in's own signed, for a subject that the application trusts, meant for
    /// `audience` (`api://AzureADTokenExchange`).
    ///
    /// # Errors
    /// When it cannot be signed.
    pub fn federated_token(&self, audience: &str) -> Result<String> {
        lock(&self.desk.logins).federated_token(audience)
    }

    /// What tokens for this vault must be for, in place of the public cloud's `https://vault.azure.net`.
    pub fn set_resource(&self, resource: &str) {
        resource.clone_into(&mut lock(&self.desk.resource));
    }

    /// Issuer and subject of [`AzureStandIn::federated_token`], and the issuer's keys as a JSON Web Key Set, for another
    /// stand-in that is to trust them.
    pub fn issuer(&self) -> (&'static str, &'static str, String) {
        let keys = lock(&self.desk.logins).issuer_keys();
        (login::OWN_ISSUER, login::OWN_SUBJECT, keys)
    }

    /// Adds a version to an object, which is made if need be; returns the version's name.
    pub fn put(&self, kind: Kind, name: &str, object: Object) -> String {
        lock(&self.desk.vault).put(kind, name, object)
    }

    /// A secret without tags: the most usual [`AzureStandIn::put`].
    pub fn put_secret(&self, name: &str, value: &str) -> String {
        self.put(Kind::Secret, name, Object::new(json!(value)))
    }

    /// Makes an RSA key of 2048 bits, which encrypts and decrypts, or a new version of it; returns the version's name.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn make_key(&self, name: &str) -> Result<String> {
        lock(&self.desk.vault).make_key(name).map_err(|refusal| anyhow!(refusal.message))
    }

    /// Disables an object's newest version: it cannot be read or used, and lists show it as disabled.
    pub fn disable(&self, kind: Kind, name: &str) {
        lock(&self.desk.vault).disable(kind, name);
    }

    /// From now on refuses whatever is asked of objects with this name, whether they exist or not; of lists where it is
    /// empty.
    pub fn deny(&self, name: &str, denial: Denial) {
        lock(&self.desk.vault).deny(name, Some(denial));
    }

    /// Takes [`AzureStandIn::deny`] back.
    pub fn allow(&self, name: &str) {
        lock(&self.desk.vault).deny(name, None);
    }

    /// Every token given out so far stops working.
    pub fn expire_tokens(&self) {
        lock(&self.desk.logins).expire();
    }

    /// How long tokens are good that are given out from now on; an hour unless told otherwise.
    pub fn set_token_lifetime(&self, lifetime: Duration) {
        lock(&self.desk.logins).lifetime = lifetime;
    }

    /// Tokens given out so far, by every way.
    pub fn tokens_issued(&self) -> usize {
        lock(&self.desk.logins).issued
    }
}

/// What a listener serves.
#[derive(Clone, Copy)]
enum Face {
    Services,
    Metadata,
}

/// What all listeners share.
struct Desk {
    logins: Mutex<Logins>,
    vault: Mutex<Vault>,
    resource: Mutex<String>,
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
        (_, Err(_)) => api(Err(Refusal::bad_parameter("the body cannot be read"))),
        (Face::Metadata, Ok(_)) => desk.metadata(&head),
        (Face::Services, Ok(body)) => desk.service(&head, &body),
    })
}

impl Desk {
    fn service(&self, head: &request::Parts, body: &Bytes) -> Response<Body> {
        let host = head.headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let path = head.uri.path();
        if let Some((tenant, "oauth2/v2.0/token")) = path.trim_start_matches('/').split_once('/') {
            return token(lock(&self.logins).token(tenant, &form(&String::from_utf8_lossy(body))));
        }
        if path == "/oauth2/exchange" {
            let exchanged = lock(&self.logins).exchange(host, &form(&String::from_utf8_lossy(body)));
            return match exchanged {
                Ok(answer) => json_body(200, &answer),
                Err(words) => json_body(401, &json!({"errors": [{"code": "UNAUTHORIZED", "message": words}]})),
            };
        }
        if let Some(tenant) = path.strip_suffix("/v2.0/.well-known/openid-configuration") {
            return json_body(200, &openid_configuration(host, tenant));
        }
        self.vault(head, host, body)
    }

    fn vault(&self, head: &request::Parts, host: &str, body: &Bytes) -> Response<Body> {
        let resource = lock(&self.resource).clone();
        let authorization = head.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let logins = lock(&self.logins);
        if let Err(refusal) = logins.check(authorization, &resource) {
            let challenge = format!(
                "Bearer authorization=\"https://login.windows.net/{}\", resource=\"{resource}\"",
                logins.tenant
            );
            let mut answer = api(Err(refusal));
            if let Ok(challenge) = HeaderValue::try_from(challenge) {
                answer.headers_mut().insert(WWW_AUTHENTICATE, challenge);
            }
            return answer;
        }
        drop(logins);
        let base = format!("https://{host}");
        let query = form(head.uri.query().unwrap_or_default());
        let ask = Ask { method: head.method.as_str(), path: head.uri.path(), query: &query, body, base: &base };
        api(lock(&self.vault).answer(&ask))
    }

    fn metadata(&self, head: &request::Parts) -> Response<Body> {
        let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let query = form(head.uri.query().unwrap_or_default());
        let mut logins = lock(&self.logins);
        match head.uri.path() {
            "/metadata/identity/oauth2/token" if header("metadata").as_deref() == Some("true") => {
                token(logins.managed(&query, "msi_res_id").map(|(answer, _)| answer))
            }
            "/metadata/identity/oauth2/token" => {
                token(Err(LoginRefusal::new(400, "bad_request_102", "Required metadata header not specified")))
            }
            "/msi/token" if header("x-identity-header").is_some_and(|given| given == logins.identity_header) => {
                // App Service tells when the token ends, in place of how long it lasts.
                token(logins.managed(&query, "mi_res_id").map(|(mut answer, expires_on)| {
                    answer.as_object_mut().map(|fields| fields.remove("expires_in"));
                    answer["expires_on"] = json!(expires_on.to_string());
                    answer
                }))
            }
            "/msi/token" => json_body(401, &json!({"statusCode": 401, "message": "The identity header is wrong."})),
            _ => json_body(404, &json!({"error": "not_found", "error_description": "no such path"})),
        }
    }
}

/// The HTTP form of a login's answer.
fn token(answer: Result<Json, LoginRefusal>) -> Response<Body> {
    match answer {
        Ok(answer) => json_body(200, &answer),
        Err(refusal) => json_body(refusal.status, &refusal.body()),
    }
}

/// What Microsoft's clients ask for first.
fn openid_configuration(host: &str, tenant: &str) -> Json {
    let base = format!("https://{host}{tenant}");
    json!({
        "issuer": format!("{base}/v2.0"),
        "authorization_endpoint": format!("{base}/oauth2/v2.0/authorize"),
        "token_endpoint": format!("{base}/oauth2/v2.0/token"),
        "jwks_uri": format!("{base}/discovery/v2.0/keys"),
    })
}

fn form(text: &str) -> Fields {
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.map(|(name, value)| (decoded(name), decoded(&value.replace('+', " ")))).collect::<BTreeMap<_, _>>()
}

fn decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}
