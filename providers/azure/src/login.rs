//! Asking for one access token, by each of the ways that Azure knows.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Deserialize;
use serde_json::Value;
use strongroom_failure::{Class, Failure, outside_words};
use strongroom_http::{
    Client, HeaderName, HeaderValue, Proxy, Request, Response, StatusCode, Timeouts, form_body, header, secret_header,
};
use strongroom_provider::TokenSource;
use strongroom_secret::SecretBytes;

use crate::assertion::Certificate;
use crate::settings::{Credentials, ManagedEndpoint};

const ASSERTION_TYPE: &[u8] = b"urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// A machine's first token takes seconds; a machine that is none of Azure's answers nothing at all.
const MANAGED_TIMEOUTS: Timeouts =
    Timeouts { connect: Duration::from_secs(2), wait: Duration::from_secs(10), total: Duration::from_secs(10) };

/// Tokens are a few KiB at most.
const MANAGED_BODY_LIMIT: usize = 64 * 1024;

/// A token fresh from its issuer.
pub(crate) struct Grant {
    pub(crate) token: SecretBytes,
    pub(crate) lifetime: Duration,
}

/// One identity, and where it is proven.
pub(crate) enum Login {
    /// An application, at the login of its tenant.
    Application { client: Client, address: String, tenant: String, client_id: String, proof: Proof },
    /// The identity of the machine or pod.
    Managed { client: Client, endpoint: ManagedEndpoint, id: Option<String> },
}

/// What proves an application.
pub(crate) enum Proof {
    Secret(SecretBytes),
    Certificate(Certificate),
    Federated(Arc<dyn TokenSource>),
}

impl Login {
    /// An application logs in at `login` (`https://login.microsoftonline.com`). Asks nobody.
    pub(crate) fn new(credentials: &Credentials, login: &str, client: &Client) -> Result<Self, Failure> {
        let application = |tenant: &str, client_id: &str, proof| {
            let address = token_address(login, tenant)?;
            if client_id.is_empty() {
                return Err(Failure::new(Class::Invalid, "the client id is missing"));
            }
            let (tenant, client_id) = (tenant.to_owned(), client_id.trim().to_owned());
            Ok(Self::Application { client: client.clone(), address, tenant, client_id, proof })
        };
        match credentials {
            Credentials::Secret { tenant, client_id, secret } => {
                application(tenant, client_id, Proof::Secret(secret.clone()))
            }
            Credentials::Certificate { tenant, client_id, pem } => {
                let certificate = Certificate::from_pem(pem, is_local(tenant))?;
                application(tenant, client_id, Proof::Certificate(certificate))
            }
            Credentials::Federated { tenant, client_id, tokens } => {
                application(tenant, client_id, Proof::Federated(Arc::clone(tokens)))
            }
            Credentials::Managed { id, endpoint } => {
                let settings = strongroom_http::Settings {
                    proxy: Proxy::none(),
                    timeouts: MANAGED_TIMEOUTS,
                    body_limit: MANAGED_BODY_LIMIT,
                    ..strongroom_http::Settings::default()
                };
                Ok(Self::Managed { client: Client::new(settings)?, endpoint: endpoint.clone(), id: id.clone() })
            }
        }
    }

    /// Who that is, in people's words.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Application { tenant, client_id, proof, .. } => {
                let proof = match proof {
                    Proof::Secret(_) => "its secret".to_owned(),
                    Proof::Certificate(_) => "its certificate".to_owned(),
                    Proof::Federated(tokens) => tokens.describe(),
                };
                format!("application {client_id} of tenant {tenant} by {proof}")
            }
            Self::Managed { id: Some(id), .. } => format!("the managed identity {id}"),
            Self::Managed { id: None, .. } => "the managed identity of this machine".to_owned(),
        }
    }

    /// The name of asking for a token, for metrics.
    pub(crate) fn operation(&self) -> &'static str {
        match self {
            Self::Application { .. } => "azure:GetToken",
            Self::Managed { .. } => "azure:GetManagedIdentityToken",
        }
    }

    /// Asks for a token for `resource`.
    pub(crate) async fn ask(&self, resource: &str) -> Result<Grant, Failure> {
        match self {
            Self::Application { client, address, client_id, proof, .. } => {
                let (proven, known) = prove(proof, client_id, address).await?;
                let scope = format!("{resource}/.default");
                let mut fields: Vec<(&str, &[u8])> = vec![
                    ("grant_type", b"client_credentials"),
                    ("client_id", client_id.as_bytes()),
                    ("scope", scope.as_bytes()),
                ];
                fields.extend(proven.iter().map(|(name, value)| (*name, value.expose())));
                let mut request = Request::post(address).body(form_body(&fields)).map_err(|_| no_login())?;
                let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
                request.headers_mut().insert(header::CONTENT_TYPE, kind);
                understand(&client.send(request).await?, host(address), &[&known])
            }
            Self::Managed { client, endpoint, id } => managed(client, endpoint, id.as_deref(), resource).await,
        }
    }
}

/// The fields that prove an application, and the one among them that is a secret.
async fn prove(
    proof: &Proof,
    client_id: &str,
    address: &str,
) -> Result<(Vec<(&'static str, SecretBytes)>, SecretBytes), Failure> {
    let assertion = match proof {
        Proof::Secret(secret) => return Ok((vec![("client_secret", secret.clone())], secret.clone())),
        Proof::Certificate(certificate) => certificate
            .assertion(client_id, address, SystemTime::now())
            .ok_or_else(|| Failure::new(Class::Invalid, "the client certificate's key cannot sign"))?,
        Proof::Federated(tokens) => tokens.token().await?,
    };
    let kind = SecretBytes::new(ASSERTION_TYPE.to_vec());
    Ok((vec![("client_assertion_type", kind), ("client_assertion", assertion.clone())], assertion))
}

/// Where `tenant` asks for tokens.
fn token_address(login: &str, tenant: &str) -> Result<String, Failure> {
    let login = login.trim().trim_end_matches('/');
    if !login.starts_with("https://") || login.contains(['?', '#', '@', ' ']) {
        return Err(no_login());
    }
    if is_local(tenant) {
        // A federation server has one tenant, which some write into its address.
        return Ok(format!("{}/adfs/oauth2/token", login.trim_end_matches("/adfs")));
    }
    let is_tenant = (1..=255).contains(&tenant.len())
        && tenant.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
        && !tenant.starts_with('.');
    if !is_tenant {
        let words = "the tenant is neither an id nor a domain";
        return Err(Failure::new(Class::Invalid, words).in_field("tenantId"));
    }
    Ok(format!("{login}/{tenant}/oauth2/v2.0/token"))
}

/// Whether the tenant is a federation server of one's own, as Azure Stack Hub may have it.
fn is_local(tenant: &str) -> bool {
    tenant.eq_ignore_ascii_case("adfs")
}

fn no_login() -> Failure {
    Failure::new(Class::Invalid, "the address of the login is not https://HOST").in_field("activeDirectoryEndpoint")
}

async fn managed(
    client: &Client,
    endpoint: &ManagedEndpoint,
    id: Option<&str>,
    resource: &str,
) -> Result<Grant, Failure> {
    let (address, version, resource_id) = match endpoint {
        ManagedEndpoint::Machine(host) => {
            (format!("{host}/metadata/identity/oauth2/token"), "2018-02-01", "msi_res_id")
        }
        ManagedEndpoint::AppService { address, .. } => (address.clone(), "2019-08-01", "mi_res_id"),
    };
    let mut fields: Vec<(&str, &[u8])> = vec![("api-version", version.as_bytes()), ("resource", resource.as_bytes())];
    let id_field = |id: &str| if id.starts_with('/') { resource_id } else { "client_id" };
    fields.extend(id.map(|id| (id_field(id), id.as_bytes())));
    let query = form_body(&fields);
    let address = format!("{address}?{}", query.expose_text().unwrap_or_default());
    let no_address = || Failure::new(Class::Invalid, "the address of the managed identities is none");
    let mut request = Request::get(&address).body(SecretBytes::default()).map_err(|_| no_address())?;
    match endpoint {
        ManagedEndpoint::Machine(_) => request.headers_mut().insert("metadata", HeaderValue::from_static("true")),
        ManagedEndpoint::AppService { header, .. } => {
            request.headers_mut().insert(HeaderName::from_static("x-identity-header"), secret_header("", header)?)
        }
    };
    let response = client.send(request).await.map_err(|error| {
        let hint = "managed identities exist on Azure's own machines; elsewhere use workload identity or a secret";
        Failure::from(error).with_hint(hint)
    })?;
    let nothing = SecretBytes::default();
    let known = match endpoint {
        ManagedEndpoint::Machine(_) => &nothing,
        ManagedEndpoint::AppService { header, .. } => header,
    };
    match response.status.as_u16() {
        // The service is being started or updated; a machine without an identity answers 400.
        404 | 410 => {
            let words = refusal(&response, "the machine", &[known]).words;
            Err(Failure::new(Class::Unavailable, words))
        }
        _ => understand(&response, "the machine", &[known]),
    }
}

#[derive(Deserialize)]
struct Issued {
    access_token: String,
    /// Seconds, as a number or as text.
    #[serde(default)]
    expires_in: Option<Value>,
    /// The same as a point in time, in seconds since 1970.
    #[serde(default)]
    expires_on: Option<Value>,
}

impl Issued {
    fn lifetime(&self) -> Duration {
        let number = |value: &Option<Value>| match value {
            Some(Value::String(text)) => text.parse::<u64>().ok(),
            Some(Value::Number(number)) => number.as_u64(),
            _ => None,
        };
        let until = || {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs();
            Some(number(&self.expires_on)?.saturating_sub(now))
        };
        // Five minutes where nothing is said: a refused token is replaced anyway. A day at most, the longest that
        // managed identities have, so that no clock overflows.
        let seconds = number(&self.expires_in).or_else(until).unwrap_or(300);
        Duration::from_secs(seconds.min(86_400))
    }
}

fn understand(response: &Response, place: &str, known: &[&SecretBytes]) -> Result<Grant, Failure> {
    if !response.status.is_success() {
        return Err(refusal(response, place, known));
    }
    let issued: Issued = response.json()?;
    let lifetime = issued.lifetime();
    Ok(Grant { token: SecretBytes::from(issued.access_token), lifetime })
}

#[derive(Default, Deserialize)]
struct Refused {
    #[serde(default)]
    error: Option<String>,
    #[serde(default)]
    error_description: Option<String>,
}

/// Why there is no token.
fn refusal(response: &Response, place: &str, known: &[&SecretBytes]) -> Failure {
    let refused: Refused = serde_json::from_slice(response.body.expose()).unwrap_or_default();
    // What follows is another in each answer, so that the same failure would never look the same.
    let description = refused.error_description.as_deref().and_then(|text| text.split("Trace ID:").next());
    let said: Vec<_> = [refused.error.as_deref(), description].into_iter().flatten().collect();
    let shown = match said.as_slice() {
        [] => format!("HTTP {}", response.status.as_u16()),
        said => outside_words(said.join(": ").trim_end().trim_end_matches('.'), known),
    };
    match response.status {
        _ if refused.error.as_deref() == Some("temporarily_unavailable") => {
            Failure::new(Class::Unavailable, format!("{place} could not answer: {shown}"))
        }
        StatusCode::FORBIDDEN => Failure::new(Class::Denied, format!("{place} denies it: {shown}")),
        StatusCode::TOO_MANY_REQUESTS => {
            let retry_after = response.retry_after();
            Failure::new(Class::Throttled { retry_after }, format!("{place} asks for patience: {shown}"))
        }
        status if status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT => {
            Failure::new(Class::Unavailable, format!("{place} could not answer: {shown}"))
        }
        _ => Failure::new(Class::Unauthenticated, format!("{place} refuses the credentials: {shown}")),
    }
}

/// The host of an address, for messages.
fn host(address: &str) -> &str {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    rest.split('/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_asked_for_where_the_tenant_is() {
        let check = |login: &str, tenant: &str, expected: Option<&str>| {
            assert_eq!(token_address(login, tenant).ok().as_deref(), expected, "{login} {tenant}");
        };
        let public = "https://login.microsoftonline.com";
        check(public, "t-1", Some("https://login.microsoftonline.com/t-1/oauth2/v2.0/token"));
        check("https://login.example/", "corp.example", Some("https://login.example/corp.example/oauth2/v2.0/token"));
        check("https://adfs.example/adfs", "adfs", Some("https://adfs.example/adfs/oauth2/token"));
        check("https://adfs.example/", "adfs", Some("https://adfs.example/adfs/oauth2/token"));
        for (login, tenant) in [
            ("http://login.example", "t"),
            ("login.example", "t"),
            ("https://login.example?x=", "t"),
            ("https://u@login.example", "t"),
            (public, ""),
            (public, "a/b"),
            (public, ".."),
            (public, "t?x"),
        ] {
            check(login, tenant, None);
        }
    }

    #[test]
    fn a_lifetime_is_told_in_four_ways() {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let check = |fields: &str, expected: std::ops::RangeInclusive<u64>| {
            let issued: Issued = serde_json::from_str(&format!("{{\"access_token\":\"x\"{fields}}}")).unwrap();
            assert!(expected.contains(&issued.lifetime().as_secs()), "{fields}");
        };
        check(r#","expires_in":3599"#, 3599..=3599);
        check(r#","expires_in":"86399""#, 86_399..=86_399);
        check(&format!(r#","expires_on":"{}""#, now + 1000), 998..=1000);
        check(&format!(r#","expires_on":{}"#, now + 1000), 998..=1000);
        check(r#","expires_on":"1""#, 0..=0);
        check(r#","expires_in":99999999"#, 86_400..=86_400);
        check("", 300..=300);
    }
}
