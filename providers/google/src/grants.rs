//! Asking for one access token, by each of the ways that Google knows.

use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use strongroom_failure::{Class, Failure};
use strongroom_http::{
    Client, HeaderName, HeaderValue, Request, Response, StatusCode, form_body, header, json_body, secret_header,
};
use strongroom_secret::SecretBytes;
use zeroize::Zeroizing;

use crate::answer::{ErrorWords, patience};
use crate::credentials::{AuthorizedUser, ExternalAccount, Impersonation, Source, read_field, read_file};
use crate::metadata::Metadata;
use crate::settings::{Exchange, Federation, secret};

/// Secret Manager has no narrower scope; what may be read is decided by roles.
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";

/// How forms are named.
const FORM: &str = "application/x-www-form-urlencoded";

/// A token fresh from its issuer.
pub(crate) struct Grant {
    pub(crate) token: SecretBytes,
    pub(crate) lifetime: Duration,
}

/// Asks `source` for a token, with one call or, for federation and impersonation, two or three.
pub(crate) async fn ask(source: &Source, client: &Client, metadata: &Metadata) -> Result<Grant, Failure> {
    match source {
        Source::Metadata => {
            let response = metadata.token(SCOPE).await.map_err(no_credentials)?;
            understand(&response, metadata.host(), &[])
        }
        Source::ServiceAccount { email, key, address, .. } => {
            let assertion = key
                .assertion(email, address, SCOPE, SystemTime::now())
                .ok_or_else(|| Failure::new(Class::Invalid, "the key cannot sign"))?;
            let grant_type: &[u8] = b"urn:ietf:params:oauth:grant-type:jwt-bearer";
            let fields = [("grant_type", grant_type), ("assertion", assertion.expose())];
            let response = post(client, address, form_body(&fields), FORM, None).await?;
            understand(&response, address, &[&assertion])
        }
        Source::Person { user, .. } => refresh(user, client).await,
        Source::Federated { account, .. } => exchange(account, client).await,
        Source::Workload { federation, address } => exchange_given(federation, address, client).await,
        Source::Impersonated { base, target } => {
            let base = Box::pin(ask(base, client, metadata)).await?;
            impersonate(target, &base.token, client).await
        }
    }
}

/// Nothing else was found, and there is no metadata server either.
fn no_credentials(failure: Failure) -> Failure {
    let class = if failure.class == Class::Invalid { Class::Unauthenticated } else { failure.class };
    Failure { class, ..failure }.with_hint(
        "outside Google Cloud, name a file of credentials in GOOGLE_APPLICATION_CREDENTIALS \
         or run: gcloud auth application-default login",
    )
}

async fn refresh(user: &AuthorizedUser, client: &Client) -> Result<Grant, Failure> {
    let body = form_body(&[
        ("grant_type", b"refresh_token"),
        ("client_id", user.client_id.as_bytes()),
        ("client_secret", user.client_secret.expose()),
        ("refresh_token", user.refresh_token.expose()),
    ]);
    let response = post(client, &user.token_uri, body, FORM, None).await?;
    understand(&response, &user.token_uri, &[&user.client_secret, &user.refresh_token])
}

const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";

/// The same trade, as the service behind the workload identity of GKE wants it written.
#[derive(Serialize)]
struct Binding<'a> {
    grant_type: &'a str,
    subject_token_type: &'a str,
    requested_token_type: &'a str,
    subject_token: &'a str,
    audience: &'a str,
    scope: &'a str,
}

/// Trades a token that this process was given for one of Google's (RFC 8693).
async fn exchange_given(federation: &Federation, address: &str, client: &Client) -> Result<Grant, Failure> {
    let subject = federation.tokens.token().await?;
    let no_text = || Failure::new(Class::Unauthenticated, "the source of the token gives no text");
    let binding = Binding {
        grant_type: TOKEN_EXCHANGE,
        subject_token_type: JWT,
        requested_token_type: ACCESS_TOKEN,
        subject_token: subject.expose_text().ok_or_else(no_text)?,
        audience: &federation.audience,
        scope: SCOPE,
    };
    let (body, kind) = match federation.exchange {
        Exchange::IdentityBinding => (json_body(&binding)?, "application/json"),
        Exchange::SecurityTokenService => {
            let fields = [
                ("grant_type", TOKEN_EXCHANGE.as_bytes()),
                ("audience", binding.audience.as_bytes()),
                ("scope", SCOPE.as_bytes()),
                ("requested_token_type", ACCESS_TOKEN.as_bytes()),
                ("subject_token", subject.expose()),
                ("subject_token_type", JWT.as_bytes()),
            ];
            (form_body(&fields), FORM)
        }
    };
    let response = post(client, address, body, kind, None).await?;
    understand(&response, address, &[&subject])
}

/// Trades the somebody else's token for one of Google's (RFC 8693).
async fn exchange(account: &ExternalAccount, client: &Client) -> Result<Grant, Failure> {
    let subject = subject_token(account, client).await?;
    let user_project = account.workforce_pool_user_project.as_ref().filter(|_| account.client_id.is_none());
    let options = user_project.map(|project| serde_json::json!({"userProject": project}).to_string());
    let mut fields: Vec<(&str, &[u8])> = vec![
        ("grant_type", TOKEN_EXCHANGE.as_bytes()),
        ("audience", account.audience.as_bytes()),
        ("scope", SCOPE.as_bytes()),
        ("requested_token_type", ACCESS_TOKEN.as_bytes()),
        ("subject_token", subject.expose()),
        ("subject_token_type", account.subject_token_type.as_bytes()),
    ];
    fields.extend(options.as_ref().map(|options| ("options", options.as_bytes())));
    let authorization = client_authorization(account)?;
    let response = post(client, &account.token_url, form_body(&fields), FORM, authorization).await?;
    let unknown = SecretBytes::default();
    let client_secret = account.client_secret.as_ref().unwrap_or(&unknown);
    understand(&response, &account.token_url, &[&subject, client_secret])
}

/// The token that somebody else issued; a file is read each time, because its owner renews it.
async fn subject_token(account: &ExternalAccount, client: &Client) -> Result<SecretBytes, Failure> {
    let source = &account.credential_source;
    let content = match (&source.file, &source.url) {
        // A projected token may be a moment late when a pod starts: asking again can help.
        (Some(file), _) => read_file(file).map_err(|failure| Failure { class: Class::Unauthenticated, ..failure })?,
        (None, Some(url)) => {
            let mut request = Request::get(url).body(SecretBytes::default()).map_err(|_| no_address(url))?;
            for (name, value) in &source.headers {
                let name = HeaderName::try_from(name).map_err(|_| no_header())?;
                let mut value = HeaderValue::try_from(value).map_err(|_| no_header())?;
                value.set_sensitive(true);
                request.headers_mut().insert(name, value);
            }
            let response = client.send(request).await?;
            if !response.status.is_success() {
                return Err(refusal(&response, url, &[]));
            }
            response.body
        }
        (None, None) => return Err(Failure::new(Class::Invalid, "the credentials name no source of a token")),
    };
    let token = match source.format.kind.as_str() {
        "json" => read_field(content.expose(), &source.format.subject_token_field_name),
        _ => content.expose_text().map(|text| SecretBytes::from(text.trim().to_owned())),
    };
    token
        .filter(|token| !token.is_empty())
        .ok_or_else(|| Failure::new(Class::Unauthenticated, "the source of the token holds none"))
}

fn client_authorization(account: &ExternalAccount) -> Result<Option<HeaderValue>, Failure> {
    let (Some(id), Some(secret)) = (&account.client_id, &account.client_secret) else { return Ok(None) };
    let plain = Zeroizing::new([id.as_bytes(), b":", secret.expose()].concat());
    Ok(Some(secret_header("Basic ", &SecretBytes::from(STANDARD.encode(&plain)))?))
}

async fn impersonate(target: &Impersonation, base: &SecretBytes, client: &Client) -> Result<Grant, Failure> {
    let lifetime = target.lifetime_seconds;
    let body = serde_json::json!({"delegates": target.delegates, "scope": [SCOPE], "lifetime": format!("{lifetime}s")});
    let authorization = secret_header("Bearer ", base)?;
    let mut request =
        Request::post(&target.address).body(json_body(&body)?).map_err(|_| no_address(&target.address))?;
    request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    request.headers_mut().insert(header::AUTHORIZATION, authorization);
    let response = client.send(request).await?;
    if !response.status.is_success() {
        return Err(refusal(&response, &target.address, &[base]));
    }
    let Impersonated { access_token } = response.json()?;
    // Google refuses a lifetime that it will not give, so the answer's own date says the same.
    Ok(Grant { token: access_token, lifetime: Duration::from_secs(lifetime.into()) })
}

async fn post(
    client: &Client,
    address: &str,
    body: SecretBytes,
    kind: &'static str,
    authorization: Option<HeaderValue>,
) -> Result<Response, Failure> {
    let mut request = Request::post(address).body(body).map_err(|_| no_address(address))?;
    request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    if let Some(authorization) = authorization {
        request.headers_mut().insert(header::AUTHORIZATION, authorization);
    }
    Ok(client.send(request).await?)
}

#[derive(Deserialize)]
struct Issued {
    #[serde(deserialize_with = "secret")]
    access_token: SecretBytes,
    /// Seconds; issuers should tell it. Five minutes where they do not: a refused token is replaced anyway.
    #[serde(default = "five_minutes")]
    expires_in: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Impersonated {
    #[serde(deserialize_with = "secret")]
    access_token: SecretBytes,
}

fn understand(response: &Response, address: &str, known: &[&SecretBytes]) -> Result<Grant, Failure> {
    if !response.status.is_success() {
        return Err(refusal(response, address, known));
    }
    let Issued { access_token, expires_in } = response.json()?;
    // A day: no issuer gives longer ones, and a clock cannot overflow on it.
    Ok(Grant { token: access_token, lifetime: Duration::from_secs(expires_in.min(86_400)) })
}

/// Why an issuer gives no token.
fn refusal(response: &Response, address: &str, known: &[&SecretBytes]) -> Failure {
    let words = ErrorWords::of(response.body.expose());
    let shown = words.shown(response.status, known);
    let host = host(address);
    match response.status {
        StatusCode::FORBIDDEN => Failure::new(Class::Denied, format!("{host} denies it: {shown}")),
        StatusCode::TOO_MANY_REQUESTS => {
            let retry_after = patience(response, &words);
            Failure::new(Class::Throttled { retry_after }, format!("{host} asks for patience: {shown}"))
        }
        status if status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT => {
            Failure::new(Class::Unavailable, format!("{host} could not answer: {shown}"))
        }
        _ => Failure::new(Class::Unauthenticated, format!("{host} refuses the credentials: {shown}")),
    }
}

/// The host of an address, for messages: a path may carry what is nobody's business.
fn host(address: &str) -> &str {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    authority.rsplit('@').next().unwrap_or_default()
}

fn no_address(address: &str) -> Failure {
    Failure::new(Class::Invalid, format!("the credentials name an address that is none: {}", host(address)))
}

fn no_header() -> Failure {
    Failure::new(Class::Invalid, "credential_source.headers holds what cannot be a header")
}

fn five_minutes() -> u64 {
    300
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_name_hosts_only() {
        assert_eq!(host("https://user:canary@sts.googleapis.com/v1/token?x=canary"), "sts.googleapis.com");
        assert_eq!(host("127.0.0.1:80"), "127.0.0.1:80");
    }
}
