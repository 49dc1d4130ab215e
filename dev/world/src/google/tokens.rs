//! Tokens: who gets one and by which proof, and whether one is still good.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result};
use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rand;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value as Json, json};
use time::OffsetDateTime;

use super::answer::Refusal;
use super::secrets::rfc3339;

const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN_TYPE: &str = "urn:ietf:params:oauth:token-type:access_token";

/// What tokens may be for that a service account signs itself, each for one service.
const AUDIENCES: [&str; 2] = ["https://secretmanager.googleapis.com/", "https://cloudkms.googleapis.com/"];

/// The longest that an assertion may say that it is good, and what a token is good for unless told otherwise.
const HOUR: Duration = Duration::from_secs(3600);

/// The identities that exist here, with what proves them.
#[derive(Debug)]
pub(super) struct Identities {
    key: KeyPair,
    pub(super) key_id: String,
    pub(super) client_email: String,
    pub(super) client_id: String,
    pub(super) client_secret: String,
    pub(super) refresh_token: String,
    pub(super) subject_token: String,
    pub(super) audience: String,
    /// The same for the cluster's own service accounts.
    pub(super) cluster_audience: String,
}

/// Why no token was given, in OAuth's words: code and description.
pub(super) type OauthRefusal = (&'static str, String);

/// Fields of a request, from a form or from JSON.
pub(super) type Fields = BTreeMap<String, String>;

impl Identities {
    /// Identities of one project, with proofs that are in no other world.
    pub(super) fn new(project: &str, project_number: &str) -> Result<Self> {
        let pool = "locations/global/workloadIdentityPools/world/providers/file";
        Ok(Self {
            key: KeyPair::generate(KeySize::Rsa2048).context("cannot make an RSA key")?,
            key_id: random()?,
            client_email: format!("app@{project}.iam.gserviceaccount.com"),
            client_id: format!("{project_number}-world.apps.googleusercontent.com"),
            client_secret: random()?,
            refresh_token: format!("1//{}", random()?),
            subject_token: random()?,
            cluster_audience: format!(
                "identitynamespace:{project}.svc.id.goog:https://container.googleapis.com/v1/projects/{project}/\
                 locations/europe-west3/clusters/world"
            ),
            audience: format!("//iam.googleapis.com/projects/{project_number}/{pool}"),
        })
    }

    /// The service account's private key, as its file has it.
    pub(super) fn private_key_pem(&self) -> Result<String> {
        let der: Pkcs8V1Der<'_> = self.key.as_der().context("cannot write the RSA key")?;
        let text = STANDARD.encode(der.as_ref());
        let lines: Vec<_> = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
        Ok(format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n")))
    }

    /// The claims of a token that the service account signed; nothing when it did not, or when it is not good now.
    fn verified_claims(&self, token: &str) -> Result<Json, &'static str> {
        let (signed, signature) = token.rsplit_once('.').ok_or("Malformed JWT.")?;
        let (header, claims) = signed.split_once('.').ok_or("Malformed JWT.")?;
        let header = part(header).ok_or("Malformed JWT.")?;
        if header["alg"] != "RS256" || header["kid"] != self.key_id.as_str() {
            return Err("Invalid JWT: unknown key or algorithm.");
        }
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| "Malformed JWT.")?;
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, self.key.public_key())
            .verify(signed.as_bytes(), &signature)
            .map_err(|_| "Invalid JWT Signature.")?;
        let claims = part(claims).ok_or("Malformed JWT.")?;
        let (Some(issued), Some(expires)) = (claims["iat"].as_u64(), claims["exp"].as_u64()) else {
            return Err("Invalid JWT: it must say when it was issued and when it expires.");
        };
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let is_timely = expires > now && issued <= now + 60 && expires.saturating_sub(issued) <= HOUR.as_secs();
        match is_timely {
            true if claims["iss"] == self.client_email.as_str() => Ok(claims),
            true => Err("Invalid grant: account not found"),
            false => Err("Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe."),
        }
    }
}

fn part(text: &str) -> Option<Json> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
}

/// Tokens that were given out.
#[derive(Debug)]
pub(super) struct Tokens {
    /// Until when each is good.
    good: HashMap<String, Instant>,
    /// Tokens that a service account signed itself, as they were seen, and those of them that are good no more.
    self_signed: BTreeSet<String>,
    revoked: BTreeSet<String>,
    lifetime: Duration,
    pub(super) issued: usize,
}

impl Tokens {
    pub(super) fn new() -> Self {
        let (good, self_signed, revoked) = Default::default();
        Self { good, self_signed, revoked, lifetime: HOUR, issued: 0 }
    }

    /// How long tokens are good that are given out from now on.
    pub(super) fn set_lifetime(&mut self, lifetime: Duration) {
        self.lifetime = lifetime;
    }

    /// All that were given out or seen stop being good.
    pub(super) fn expire(&mut self) {
        self.good.clear();
        self.revoked.append(&mut self.self_signed);
    }

    /// Whether the value of an `Authorization` header proves an identity.
    pub(super) fn check(&mut self, identities: &Identities, authorization: Option<&str>) -> Result<(), Refusal> {
        let Some(token) = authorization.and_then(|value| value.strip_prefix("Bearer ")) else {
            return Err(Refusal::unauthenticated(false));
        };
        if self.good.get(token).is_some_and(|until| *until > Instant::now()) {
            return Ok(());
        }
        let is_signed = identities.verified_claims(token).is_ok_and(|claims| {
            let scope = claims["scope"].as_str().unwrap_or_default();
            AUDIENCES.iter().any(|audience| claims["aud"] == *audience) || scope.contains("cloud-platform")
        });
        if !is_signed || self.revoked.contains(token) {
            return Err(Refusal::unauthenticated(true));
        }
        self.self_signed.insert(token.to_owned());
        Ok(())
    }

    /// OAuth's token endpoint: a service account's assertion, or a user's refresh token.
    pub(super) fn oauth(&mut self, identities: &Identities, fields: &Fields) -> Result<Json, OauthRefusal> {
        let field = |name: &str| fields.get(name).map(String::as_str).unwrap_or_default();
        match field("grant_type") {
            JWT_BEARER => {
                let claims = identities.verified_claims(field("assertion"));
                let claims = claims.map_err(|words| ("invalid_grant", words.to_owned()))?;
                if claims["scope"].as_str().is_none_or(str::is_empty) {
                    return Err(("invalid_scope", "Empty or missing scope not allowed.".to_owned()));
                }
                if !claims["aud"].as_str().is_some_and(|audience| audience.ends_with("/token")) {
                    return Err(("invalid_grant", "Invalid JWT: Failed audience check.".to_owned()));
                }
            }
            "refresh_token" => {
                let client = (field("client_id"), field("client_secret"));
                if client != (&identities.client_id, &identities.client_secret) {
                    return Err(("invalid_client", "The OAuth client was not found.".to_owned()));
                }
                if field("refresh_token") != identities.refresh_token {
                    return Err(("invalid_grant", "Bad Request".to_owned()));
                }
            }
            other => return Err(("unsupported_grant_type", format!("Invalid grant_type: {other}"))),
        }
        self.issue()
    }

    /// The security token service: an outside token for one of ours.
    pub(super) fn exchange(&mut self, identities: &Identities, fields: &Fields) -> Result<Json, OauthRefusal> {
        let field = |name: &str| fields.get(name).map(String::as_str).unwrap_or_default();
        if field("grant_type") != TOKEN_EXCHANGE || field("requested_token_type") != ACCESS_TOKEN_TYPE {
            return Err(("invalid_request", "Invalid grant type or requested token type.".to_owned()));
        }
        if field("audience") != identities.audience && field("audience") != identities.cluster_audience {
            return Err(("invalid_target", "The target service indicated by the \"audience\" is invalid.".to_owned()));
        }
        if field("subject_token") != identities.subject_token {
            return Err(("invalid_grant", "The subject token is not one that the provider signed.".to_owned()));
        }
        let mut answer = self.issue()?;
        answer["issued_token_type"] = json!(ACCESS_TOKEN_TYPE);
        Ok(answer)
    }

    /// IAM credentials: a token of the service account for someone who has another token.
    pub(super) fn impersonate(&mut self, identities: &Identities, account: &str) -> Result<Json, Refusal> {
        if account != identities.client_email {
            return Err(Refusal::denied("iam.serviceAccounts.getAccessToken", account));
        }
        let issued = self.issue().map_err(|(_, words)| Refusal::invalid(words))?;
        // Whole seconds: clients take no fraction here.
        let expires = (OffsetDateTime::now_utc() + self.lifetime).truncate_to_second();
        Ok(json!({"accessToken": issued["access_token"], "expireTime": rfc3339(expires)}))
    }

    /// A new token, in the form that OAuth and the metadata server answer with.
    pub(super) fn issue(&mut self) -> Result<Json, OauthRefusal> {
        let token = random().map_err(|error| ("server_error", error.to_string()))?;
        let token = format!("ya29.{token}");
        self.good.insert(token.clone(), Instant::now() + self.lifetime);
        self.issued += 1;
        Ok(json!({"access_token": token, "expires_in": self.lifetime.as_secs(), "token_type": "Bearer"}))
    }
}

/// A text that nobody can guess.
fn random() -> Result<String> {
    let mut bytes = [0; 24];
    rand::fill(&mut bytes).map_err(|_unspecified| anyhow::anyhow!("the machine gives no random bytes"))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}
