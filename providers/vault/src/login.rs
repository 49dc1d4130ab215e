use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize};
use strongroom_failure::{Class, Failure};
use strongroom_http::{Response, json_body};
use strongroom_provider::SecretBytes;
use zeroize::Zeroizing;

use crate::api::{Api, Ask, failure_of};
use crate::credential::Place;
use crate::{AppRole, Auth, Aws, Certificate, Credential, Jwt, Password};

/// The header that binds a signed request to one server.
const SERVER_ID: &str = "X-Vault-AWS-IAM-Server-ID";

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
    /// By what others can renew or revoke it; an agent's answers have none.
    #[serde(default)]
    pub(crate) accessor: String,
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

#[derive(Serialize)]
struct PasswordLogin<'a> {
    password: &'a str,
}

#[derive(Serialize)]
struct CertificateLogin<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
}

#[derive(Serialize)]
struct AwsLogin<'a> {
    role: &'a str,
    iam_http_request_method: &'a str,
    iam_request_url: &'a str,
    iam_request_body: &'a str,
    iam_request_headers: &'a str,
}

/// A login's request, and what must not be shown when it is refused.
struct Request {
    body: SecretBytes,
    known: Vec<SecretBytes>,
}

impl Auth {
    /// Whether a new token can be had from the server.
    pub(crate) fn can_log_in(&self) -> bool {
        !matches!(self, Self::Token(_) | Self::Agent)
    }

    /// Where the method is mounted, without slashes around it.
    fn mount(&self) -> &str {
        let (mount, default) = match self {
            Self::Token(_) | Self::Agent => (&None, "token"),
            Self::Kubernetes(Jwt { mount, .. }) => (mount, "kubernetes"),
            Self::Jwt(Jwt { mount, .. }) => (mount, "jwt"),
            Self::AppRole(AppRole { mount, .. }) => (mount, "approle"),
            Self::Ldap(Password { mount, .. }) => (mount, "ldap"),
            Self::UserPass(Password { mount, .. }) => (mount, "userpass"),
            Self::Certificate(Certificate { mount, .. }) => (mount, "cert"),
            Self::Aws(Aws { mount, .. }) => (mount, "aws"),
        };
        mount.as_deref().unwrap_or(default).trim_matches('/')
    }

    /// Where the login is asked for, below `/v1/`.
    fn path(&self) -> Result<String, Failure> {
        let mount = self.mount();
        match self {
            Self::Ldap(Password { username, .. }) | Self::UserPass(Password { username, .. }) => {
                // It becomes a part of the path and must not lead elsewhere.
                if matches!(username.as_str(), "" | "." | "..") || username.contains('/') {
                    return Err(Failure::new(Class::Invalid, format!("\"{username}\" is not the name of a user")));
                }
                Ok(format!("auth/{mount}/login/{username}"))
            }
            _ => Ok(format!("auth/{mount}/login")),
        }
    }
}

/// The identity in people's words.
impl fmt::Display for Auth {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mount = self.mount();
        match self {
            Self::Token(token) => write!(formatter, "token from {}", token.0),
            Self::Agent => formatter.write_str("the token of the agent at the address"),
            Self::Kubernetes(Jwt { role, jwt, .. }) | Self::Jwt(Jwt { role, jwt, .. }) => {
                match role {
                    Some(role) => write!(formatter, "role {role}")?,
                    None => formatter.write_str("the default role")?,
                }
                write!(formatter, " by auth/{mount} with the token {}", Place(jwt))
            }
            Self::AppRole(AppRole { role_id, secret_id, .. }) => {
                write!(formatter, "the AppRole of {role_id} by auth/{mount}")?;
                match secret_id {
                    None => Ok(()),
                    Some(secret_id) => write!(formatter, " with the secret id {}", Place(secret_id)),
                }
            }
            Self::Ldap(Password { username, password, .. }) | Self::UserPass(Password { username, password, .. }) => {
                write!(formatter, "user {username} by auth/{mount} with the password {}", Place(password))
            }
            Self::Certificate(Certificate { role, .. }) => {
                write!(formatter, "the client certificate by auth/{mount}")?;
                role.as_ref().map_or(Ok(()), |role| write!(formatter, " in role {role}"))
            }
            Self::Aws(Aws { role, caller, .. }) => {
                write!(formatter, "role {role} by auth/{mount} as {}", caller.describe())
            }
        }
    }
}

/// Logs in once. `unwrapped` keeps what a wrapping token gave, since it gives it only once.
pub(crate) async fn log_in(api: &Api, auth: &Auth, unwrapped: &mut Option<SecretBytes>) -> Result<Grant, Failure> {
    // Nothing to ask for a token that is there: how long it lasts is found out later, by whoever runs long enough to
    // need it.
    let given = |client_token| Grant { client_token, lease_duration: 0, renewable: false, accessor: String::new() };
    let Request { body, known } = match auth {
        Auth::Token(token) => return token.0.read().await.map(given),
        Auth::Agent => return Ok(given(SecretBytes::default())),
        Auth::Kubernetes(jwt) | Auth::Jwt(jwt) => jwt_request(jwt).await?,
        Auth::AppRole(role) => app_role_request(api, role, unwrapped).await?,
        Auth::Ldap(password) | Auth::UserPass(password) => password_request(password).await?,
        Auth::Certificate(certificate) => certificate_request(certificate)?,
        Auth::Aws(aws) => aws_request(aws).await?,
    };
    let path = auth.path()?;
    let response = api.send(Ask::log_in("vault:login", &path, None, body)).await?;
    if !response.status.is_success() {
        return Err(refused(&response, auth, &known));
    }
    let logged_in: LoggedIn = response.json()?;
    logged_in.auth.filter(|grant| !grant.client_token.is_empty()).ok_or_else(|| {
        Failure::new(Class::Unauthenticated, format!("the login ({auth}) gave no token; it may want a second factor"))
    })
}

async fn jwt_request(method: &Jwt) -> Result<Request, Failure> {
    let jwt = method.jwt.read().await?;
    let body = json_body(&JwtLogin { role: method.role.as_deref(), jwt: text(&jwt, &method.jwt)? })?;
    Ok(Request { body, known: vec![jwt] })
}

async fn app_role_request(api: &Api, role: &AppRole, unwrapped: &mut Option<SecretBytes>) -> Result<Request, Failure> {
    let role_id = role.role_id.read().await?;
    let secret_id = match (&role.secret_id, role.wrapped) {
        (Some(credential), true) => Some((unwrap(api, credential, unwrapped).await?, credential)),
        (Some(credential), false) => Some((credential.read().await?, credential)),
        (None, _) => None,
    };
    let secret_text = secret_id.as_ref().map(|(value, credential)| text(value, credential)).transpose()?;
    let body = json_body(&AppRoleLogin { role_id: text(&role_id, &role.role_id)?, secret_id: secret_text })?;
    let known = [Some(role_id), secret_id.map(|(value, _)| value)].into_iter().flatten().collect();
    Ok(Request { body, known })
}

async fn password_request(method: &Password) -> Result<Request, Failure> {
    let password = method.password.read().await?;
    let body = json_body(&PasswordLogin { password: text(&password, &method.password)? })?;
    Ok(Request { body, known: vec![password] })
}

/// The certificate itself was shown when the connection was made.
fn certificate_request(method: &Certificate) -> Result<Request, Failure> {
    Ok(Request { body: json_body(&CertificateLogin { name: method.role.as_deref() })?, known: Vec::new() })
}

async fn aws_request(method: &Aws) -> Result<Request, Failure> {
    let bound: Vec<_> = method.server_id.iter().map(|id| (SERVER_ID, id.as_str())).collect();
    let signed = method.caller.sign(&bound).await?;
    let mut headers = BTreeMap::new();
    for (name, value) in &signed.headers {
        let value = value.expose_text().ok_or_else(|| Failure::new(Class::Invalid, "a signed header is not text"))?;
        headers.insert(name, [value]);
    }
    let encoded_headers = Zeroizing::new(STANDARD.encode(json_body(&headers)?.expose()));
    let body = json_body(&AwsLogin {
        role: &method.role,
        iam_http_request_method: &signed.method,
        iam_request_url: &STANDARD.encode(&signed.url),
        iam_request_body: &STANDARD.encode(&signed.body),
        iam_request_headers: &encoded_headers,
    })?;
    drop(headers);
    let known = signed.headers.into_iter().filter(|(name, _)| is_secret(name)).map(|(_, value)| value);
    Ok(Request { body, known: known.collect() })
}

/// Whether a header of a signed request is one that its answer must not repeat; the others help to find mistakes.
fn is_secret(header: &str) -> bool {
    ["authorization", "x-amz-security-token"].iter().any(|secret| header.eq_ignore_ascii_case(secret))
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
    let token = credential.read().await?;
    let ask = Ask::log_in("vault:unwrap", "sys/wrapping/unwrap", Some(&token), SecretBytes::default());
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
