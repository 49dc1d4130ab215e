//! Logins for registries of Azure (ACR).

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use strongroom_failure::{Class, Failure, outside_words};
use strongroom_http::{
    AddressPolicy, Client, HeaderValue, Proxy, Request, Response, StatusCode, TlsSettings, form_body, header,
};
use strongroom_provider::{Meter, Outcome};
use strongroom_secret::SecretBytes;

use crate::login::Login;
use crate::settings::{Cloud, Credentials, Timeouts, is_below};
use crate::tokens::Tokens;

/// The largest answer that is read, in bytes: tokens are a few KiB.
const BODY_LIMIT: usize = 64 * 1024;

/// What registries are below in each of Microsoft's clouds, and what a token must be for there. In the public cloud the
/// registries' own: those of the management are refused by registries that are set so.
const AUDIENCES: [(&str, &str); 4] = [
    ("azurecr.io", "https://containerregistry.azure.net"),
    ("azurecr.cn", "https://management.chinacloudapi.cn"),
    ("azurecr.us", "https://management.usgovcloudapi.net"),
    ("azurecr.de", "https://management.microsoftazure.de"),
];

/// How long a login is taken to be good that does not say it; Azure's are for three hours.
const UNKNOWN_LIFE: Duration = Duration::from_secs(600);

/// The longest that a login is taken to be good, so that no clock overflows.
const LONGEST_LIFE: Duration = Duration::from_secs(86_400);

/// How to reach registries and as whom.
#[derive(Clone, Debug)]
pub struct RegistrySettings {
    /// As whom.
    pub credentials: Credentials,
    /// Where an application asks for tokens: `https://login.microsoftonline.com`.
    pub login: String,
    /// Whom to trust.
    pub tls: TlsSettings,
    /// The proxies, never asked for managed identities.
    pub proxy: Proxy,
    /// Where registries and the login may be; managed identities are asked where their endpoint says.
    pub addresses: AddressPolicy,
    /// How long to wait.
    pub timeouts: Timeouts,
}

/// Registries of Azure, as one identity sees them.
pub struct Registries {
    client: Client,
    is_of_machine: bool,
    /// One for each of [`AUDIENCES`].
    tokens: [Tokens; AUDIENCES.len()],
    meter: Arc<Meter>,
}

/// A login for one registry: what its token service takes in place of a password (`identitytoken` in docker configs).
#[derive(Clone, Debug)]
pub struct RegistryLogin {
    /// The refresh token.
    pub token: SecretBytes,
    /// How long it is good from now on.
    pub life: Duration,
}

impl RegistrySettings {
    /// The identity that Azure's tools would take ([`Credentials::from_environment`]), at the login that
    /// `AZURE_AUTHORITY_HOST` names; proxies and authorities as in `HTTPS_PROXY`, `SSL_CERT_FILE` and their like. No
    /// local address is reached but for managed identities: a pod's author chooses the registry.
    ///
    /// # Errors
    /// Where a variable is missing beside another, or holds no proxy's address.
    pub fn from_environment(lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, Failure> {
        let login = lookup("AZURE_AUTHORITY_HOST").filter(|host| !host.is_empty());
        Ok(Self {
            credentials: Credentials::from_environment(lookup)?,
            login: login.unwrap_or_else(|| Cloud::public().login),
            tls: TlsSettings::from_environment(lookup),
            proxy: Proxy::from_environment(lookup)?,
            addresses: AddressPolicy::NoLocal,
            timeouts: Timeouts::default(),
        })
    }
}

impl Registries {
    /// Sets everything up; nobody is asked yet.
    ///
    /// # Errors
    /// Where a setting or the credentials cannot be used.
    pub fn open(settings: &RegistrySettings, meter: Arc<Meter>) -> Result<Self, Failure> {
        let (tls, proxy) = (settings.tls.clone(), settings.proxy.clone());
        let client = settings.timeouts.client(tls, proxy, settings.addresses, BODY_LIMIT)?;
        let login = Arc::new(Login::new(&settings.credentials, &settings.login, &client)?);
        let is_of_machine = matches!(settings.credentials, Credentials::Managed { .. });
        let tokens = AUDIENCES.map(|_| Tokens::new(Arc::clone(&login), Arc::clone(&meter)));
        Ok(Self { client, is_of_machine, tokens, meter })
    }

    /// A new login for the registry `host`: `NAME.azurecr.io`. `None` where the machine's identity is to be taken, and
    /// the machine has none or is not Azure's.
    ///
    /// # Errors
    /// `Invalid` where it is no registry of Azure's; where the identity gets no token, or the registry knows it not.
    pub async fn login(&self, host: &str) -> Result<Option<RegistryLogin>, Failure> {
        let no_registry = || Failure::new(Class::Invalid, "this is no registry of Azure's: NAME.azurecr.io");
        // A token for one cloud's registries must not reach a server of somebody else's choice.
        let place = AUDIENCES.iter().position(|(domain, _)| is_below(host, domain)).ok_or_else(no_registry)?;
        let (tokens, (_, audience)) = (&self.tokens[place], AUDIENCES[place]);
        let token = match tokens.current(audience).await {
            Ok(token) => token.secret,
            Err(failure) if self.is_of_machine => {
                tracing::info!(%failure, "this machine has no identity for registries of Azure");
                return Ok(None);
            }
            Err(failure) => return Err(failure),
        };
        let login = self.exchange(host, &token).await;
        login.map(Some).map_err(|failure| {
            let identity = tokens.identity();
            let refused = matches!(failure.class, Class::Unauthenticated | Class::Denied);
            let failure = failure.from_store(format!("Azure Container Registry ({host})"));
            if refused { failure.with_hint(format!("grant AcrPull on the registry to {identity}")) } else { failure }
        })
    }

    async fn exchange(&self, host: &str, token: &SecretBytes) -> Result<RegistryLogin, Failure> {
        let fields = [
            ("grant_type", b"access_token".as_slice()),
            ("service", host.as_bytes()),
            ("access_token", token.expose()),
        ];
        let request = Request::post(format!("https://{host}/oauth2/exchange")).body(form_body(&fields));
        let mut request = request.map_err(|_| Failure::new(Class::Invalid, "this is no registry's name"))?;
        let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
        request.headers_mut().insert(header::CONTENT_TYPE, kind);
        let answer = self.client.send(request).await;
        let is_answered = answer.as_ref().is_ok_and(|response| response.status.is_success());
        self.meter.record("azure:ExchangeToken", if is_answered { Outcome::Answered } else { Outcome::Failed });
        let response = answer?;
        if response.status != StatusCode::OK {
            return Err(refusal(&response, token));
        }
        let exchanged: Exchanged = response.json()?;
        let life = exchanged.life(SystemTime::now());
        Ok(RegistryLogin { token: SecretBytes::from(exchanged.refresh_token), life })
    }
}

#[derive(Deserialize)]
struct Exchanged {
    refresh_token: String,
}

#[derive(Deserialize)]
struct Claims {
    exp: u64,
}

impl Exchanged {
    /// How long it is good, as the token itself says: the answer does not.
    fn life(&self, now: SystemTime) -> Duration {
        let claims = || -> Option<Claims> {
            let claims = self.refresh_token.split('.').nth(1)?;
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims.trim_end_matches('=')).ok()?).ok()
        };
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let life = claims().map(|claims| Duration::from_secs(claims.exp).saturating_sub(now));
        life.unwrap_or(UNKNOWN_LIFE).min(LONGEST_LIFE)
    }
}

#[derive(Default, Deserialize)]
struct Refused {
    #[serde(default)]
    errors: Vec<Reason>,
}

#[derive(Deserialize)]
struct Reason {
    #[serde(default)]
    message: String,
}

/// Why there is no login, in the words of the one field that registries have for them.
fn refusal(response: &Response, token: &SecretBytes) -> Failure {
    let refused: Refused = serde_json::from_slice(response.body.expose()).unwrap_or_default();
    let status = response.status.as_u16();
    let shown = match refused.errors.first().map(|reason| outside_words(&reason.message, &[token])) {
        Some(words) if !words.is_empty() => words,
        _ => format!("HTTP {status}"),
    };
    match status {
        401 => Failure::new(Class::Unauthenticated, format!("it does not know the identity: {shown}")),
        403 => Failure::new(Class::Denied, format!("the identity may not log in: {shown}")),
        429 => {
            let retry_after = response.retry_after();
            Failure::new(Class::Throttled { retry_after }, format!("it asks for patience: {shown}"))
        }
        500.. => Failure::new(Class::Unavailable, format!("it could not answer: {shown}")),
        _ => Failure::new(Class::Invalid, format!("it takes no token for a login: {shown}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_good_for_as_long_as_it_says() {
        let check = |claims: &str, seconds: u64| {
            let refresh_token = format!("e30.{}.sig", URL_SAFE_NO_PAD.encode(claims));
            let life = Exchanged { refresh_token }.life(UNIX_EPOCH + Duration::from_secs(1_000));
            assert_eq!(life.as_secs(), seconds, "{claims}");
        };
        check(r#"{"exp":11800}"#, 10_800);
        check(r#"{"exp":999}"#, 0);
        check(r#"{"exp":18446744073709551615}"#, 86_400);
        check(r#"{"exp":"soon"}"#, 600);
        check("", 600);
        let life = Exchanged { refresh_token: "opaque".to_owned() }.life(SystemTime::now());
        assert_eq!(life, UNKNOWN_LIFE);
    }
}
