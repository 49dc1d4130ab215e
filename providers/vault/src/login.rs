use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};
use strongroom_failure::{Class, Failure};
use strongroom_http::{Method, Response, json_body};
use strongroom_provider::SecretBytes;

use crate::api::{Api, Ask, failure_of};
use crate::{AppRole, Auth, Credential, Jwt};

/// What a login, a renewal or a look-up says about a token.
#[derive(Debug, Deserialize)]
pub(crate) struct Grant {
    /// The token; an answer to a look-up has none.
    #[serde(default, deserialize_with = "secret")]
    pub(crate) client_token: SecretBytes,
    /// Seconds from now; 0 for one that lasts.
    #[serde(alias = "ttl")]
    pub(crate) lease_duration: u64,
    #[serde(default)]
    pub(crate) renewable: bool,
}

#[derive(Deserialize)]
struct LoggedIn {
    auth: Option<Grant>,
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SecretBytes, D::Error> {
    String::deserialize(deserializer).map(SecretBytes::from)
}

#[derive(Serialize)]
struct JwtLogin<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'a str>,
    jwt: &'a str,
}

#[derive(Serialize)]
struct AppRoleLogin<'a> {
    role_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret_id: Option<&'a str>,
}

/// A login's request, and what must not be shown when it is refused.
struct Request {
    body: SecretBytes,
    known: Vec<SecretBytes>,
}

impl Auth {
    /// Whether a new token can be had from the server.
    pub(crate) fn can_log_in(&self) -> bool {
        !matches!(self, Self::Token(_))
    }

    /// Where the method is mounted, without slashes around it.
    fn mount(&self) -> &str {
        let (mount, default) = match self {
            Self::Token(_) => (None, "token"),
            Self::Kubernetes(Jwt { mount, .. }) => (mount.as_deref(), "kubernetes"),
            Self::Jwt(Jwt { mount, .. }) => (mount.as_deref(), "jwt"),
            Self::AppRole(AppRole { mount, .. }) => (mount.as_deref(), "approle"),
        };
        mount.unwrap_or(default).trim_matches('/')
    }
}

/// The identity in people's words.
impl fmt::Display for Auth {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mount = self.mount();
        match self {
            Self::Token(token) => write!(formatter, "token from {}", token.0),
            Self::Kubernetes(Jwt { role, jwt, .. }) | Self::Jwt(Jwt { role, jwt, .. }) => {
                match role {
                    Some(role) => write!(formatter, "role {role}")?,
                    None => formatter.write_str("the default role")?,
                }
                match jwt {
                    Credential::File(path) => {
                        write!(formatter, " by auth/{mount} with the token in {}", path.display())
                    }
                    Credential::Value { .. } => write!(formatter, " by auth/{mount} with the token from {jwt}"),
                }
            }
            Self::AppRole(AppRole { role_id, secret_id, .. }) => {
                write!(formatter, "the AppRole of {role_id} by auth/{mount}")?;
                match secret_id {
                    None => Ok(()),
                    Some(Credential::File(path)) => write!(formatter, " with the secret id in {}", path.display()),
                    Some(value) => write!(formatter, " with the secret id from {value}"),
                }
            }
        }
    }
}

/// Logs in once. `unwrapped` keeps what a wrapping token gave, since it gives it only once.
pub(crate) async fn log_in(api: &Api, auth: &Auth, unwrapped: &mut Option<SecretBytes>) -> Result<Grant, Failure> {
    let Request { body, known } = match auth {
        Auth::Token(token) => {
            // Nothing to ask: how long it lasts is found out later, by whoever runs long enough to need it.
            return Ok(Grant { client_token: token.0.read()?, lease_duration: 0, renewable: false });
        }
        Auth::Kubernetes(jwt) | Auth::Jwt(jwt) => jwt_request(jwt)?,
        Auth::AppRole(role) => app_role_request(api, role, unwrapped).await?,
    };
    let path = format!("auth/{}/login", auth.mount());
    let ask = Ask { operation: "vault:login", method: Method::POST, path: &path, version: None, token: None, body };
    let response = api.send(ask).await?;
    if !response.status.is_success() {
        return Err(refused(&response, auth, &known));
    }
    let logged_in: LoggedIn = response.json()?;
    logged_in.auth.filter(|grant| !grant.client_token.is_empty()).ok_or_else(|| {
        Failure::new(Class::Unauthenticated, format!("the login ({auth}) gave no token; it may want a second factor"))
    })
}

fn jwt_request(method: &Jwt) -> Result<Request, Failure> {
    let jwt = method.jwt.read()?;
    let body = json_body(&JwtLogin { role: method.role.as_deref(), jwt: text(&jwt, &method.jwt)? })?;
    Ok(Request { body, known: vec![jwt] })
}

async fn app_role_request(api: &Api, role: &AppRole, unwrapped: &mut Option<SecretBytes>) -> Result<Request, Failure> {
    let role_id = role.role_id.read()?;
    let secret_id = match (&role.secret_id, role.wrapped) {
        (Some(credential), true) => Some((unwrap(api, credential, unwrapped).await?, credential)),
        (Some(credential), false) => Some((credential.read()?, credential)),
        (None, _) => None,
    };
    let secret_text = secret_id.as_ref().map(|(value, credential)| text(value, credential)).transpose()?;
    let body = json_body(&AppRoleLogin { role_id: text(&role_id, &role.role_id)?, secret_id: secret_text })?;
    let known = [Some(role_id), secret_id.map(|(value, _)| value)].into_iter().flatten().collect();
    Ok(Request { body, known })
}

#[derive(Deserialize)]
struct Unwrapped {
    data: SecretId,
}

#[derive(Deserialize)]
struct SecretId {
    #[serde(deserialize_with = "secret")]
    secret_id: SecretBytes,
}

async fn unwrap(api: &Api, credential: &Credential, kept: &mut Option<SecretBytes>) -> Result<SecretBytes, Failure> {
    if let Some(secret_id) = kept {
        return Ok(secret_id.clone());
    }
    let token = credential.read()?;
    let ask = Ask { operation: "vault:unwrap", method: Method::POST, ..Ask::get("", "sys/wrapping/unwrap", &token) };
    let response = api.send(ask).await?;
    if !response.status.is_success() {
        let failure = failure_of(&response, &[&token]);
        let words = format!("the wrapping token from {credential} cannot be unwrapped: {}", failure.words);
        return Err(Failure { class: rejected(failure.class), words, ..failure }
            .with_hint("it works once and not for long: if nobody here used it, someone else may have"));
    }
    let Unwrapped { data: SecretId { secret_id } } = response.json()?;
    *kept = Some(secret_id.clone());
    Ok(secret_id)
}

fn text<'a>(value: &'a SecretBytes, credential: &Credential) -> Result<&'a str, Failure> {
    value.expose_text().ok_or_else(|| {
        Failure::new(Class::Unauthenticated, format!("{credential}: is not text, which credentials are"))
    })
}

/// Refused credentials are refused whatever the status says; faults of the server stay what they are.
fn rejected(class: Class) -> Class {
    match class {
        Class::Denied | Class::Invalid | Class::Unauthenticated | Class::NotFound => Class::Unauthenticated,
        Class::Throttled { .. } | Class::Unavailable => class,
    }
}

fn refused(response: &Response, auth: &Auth, known: &[SecretBytes]) -> Failure {
    let failure = failure_of(response, &known.iter().collect::<Vec<_>>());
    let words = format!("the login ({auth}) is refused: {}", failure.words);
    let class = rejected(failure.class);
    let failure = Failure { class, words, ..failure };
    match class {
        // The servers tell a mount that is not there from a refusal as little as they can.
        Class::Unauthenticated => failure.with_hint(
            "check the role and what it is bound to, where the method is mounted, the namespace, and whether the \
             credential has expired",
        ),
        _ => failure,
    }
}
