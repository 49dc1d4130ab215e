//! Tokens: who gets one and by which proof, and whether one is still good.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, anyhow};
use aws_lc_rs::digest;
use aws_lc_rs::rand::{self, SystemRandom};
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize, PublicKeyComponents};
use aws_lc_rs::signature::{
    KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RSA_PSS_2048_8192_SHA256, UnparsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::{CertificateParams, DnType, KeyPair, PKCS_RSA_SHA256, PublicKeyData as _};
use serde_json::{Value as Json, json};

use super::answer::Refusal;

const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// What a federated token must be meant for.
const EXCHANGE_AUDIENCE: &str = "api://AzureADTokenExchange";

/// The issuer of the stand-in's own, and the subject of its tokens.
pub(super) const OWN_ISSUER: &str = "https://issuer.world.test";
pub(super) const OWN_SUBJECT: &str = "system:serviceaccount:world:app";

const HOUR: Duration = Duration::from_secs(3600);

/// Fields of a request, from a form or a query.
pub(super) type Fields = BTreeMap<String, String>;

/// The identities that exist here with what proves them, and the tokens that were given out.
pub(super) struct Logins {
    pub(super) tenant: String,
    pub(super) client_id: String,
    pub(super) client_secret: String,
    pub(super) client_certificate: String,
    pub(super) managed_client_id: String,
    pub(super) managed_resource_id: String,
    pub(super) identity_header: String,
    pub(super) lifetime: Duration,
    pub(super) issued: usize,
    certificate: Certificate,
    issuer_key: RsaKeyPair,
    /// Who may speak for the application: issuer and subject.
    trusted: BTreeSet<(String, String)>,
    /// Keys of issuers outside.
    keys: BTreeMap<String, Vec<PublicKeyComponents<Vec<u8>>>>,
    /// Until when each token is good, and for what.
    good: HashMap<String, (Instant, String)>,
}

/// The certificate that is registered with the application.
struct Certificate {
    sha1: String,
    sha256: String,
    public_key: Vec<u8>,
}

/// Why no token was given, in the words of Microsoft's login.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct LoginRefusal {
    pub(super) status: u16,
    error: &'static str,
    description: String,
}

impl LoginRefusal {
    pub(super) fn new(status: u16, error: &'static str, description: impl Into<String>) -> Self {
        Self { status, error, description: description.into() }
    }

    /// With the tails that change from answer to answer, as the real login has them.
    pub(super) fn body(&self) -> Json {
        let trace = random().unwrap_or_default();
        let description =
            format!("{} Trace ID: {trace} Correlation ID: {trace} Timestamp: 2026-11-25 00:00:00Z", self.description);
        json!({"error": self.error, "error_description": description, "trace_id": trace, "correlation_id": trace})
    }
}

impl Logins {
    /// Identities of one tenant, with proofs that are in no other world.
    pub(super) fn new() -> Result<Self> {
        let (certificate, client_certificate) = Certificate::new()?;
        let identity = "userAssignedIdentities/world";
        Ok(Self {
            tenant: "72f988bf-0000-4000-8000-2d7cd011db47".to_owned(),
            client_id: "11111111-2222-3333-4444-555555555555".to_owned(),
            client_secret: format!("world~{}", random()?),
            client_certificate,
            managed_client_id: "99999999-2222-3333-4444-555555555555".to_owned(),
            managed_resource_id: format!(
                "/subscriptions/s/resourcegroups/g/providers/Microsoft.ManagedIdentity/{identity}"
            ),
            identity_header: random()?,
            lifetime: HOUR,
            issued: 0,
            certificate,
            issuer_key: RsaKeyPair::generate(KeySize::Rsa2048).context("cannot make an RSA key")?,
            trusted: BTreeSet::from([(OWN_ISSUER.to_owned(), OWN_SUBJECT.to_owned())]),
            keys: BTreeMap::new(),
            good: HashMap::new(),
        })
    }

    pub(super) fn trust_issuer(&mut self, issuer: &str, subject: &str, keys: &str) -> Result<()> {
        let document: Json = serde_json::from_str(keys)?;
        let keys = document["keys"].as_array().context("a set of keys has the field \"keys\"")?;
        let number = |key: &Json, field: &str| -> Result<Vec<u8>> {
            Ok(URL_SAFE_NO_PAD.decode(key[field].as_str().context("only RSA keys are known here")?)?)
        };
        let keys = keys.iter().map(|key| Ok(PublicKeyComponents { n: number(key, "n")?, e: number(key, "e")? }));
        let keys = keys.collect::<Result<_>>()?;
        self.keys.insert(issuer.to_owned(), keys);
        self.trusted.insert((issuer.to_owned(), subject.to_owned()));
        Ok(())
    }

    pub(super) fn issuer_keys(&self) -> String {
        let key = self.issuer_key.public_key();
        let number = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let n = number(key.modulus().big_endian_without_leading_zero());
        let e = number(key.exponent().big_endian_without_leading_zero());
        json!({"keys": [{"kty": "RSA", "kid": "world", "use": "sig", "alg": "RS256", "n": n, "e": e}]}).to_string()
    }

    pub(super) fn federated_token(&self, audience: &str) -> Result<String> {
        let now = now();
        let claims =
            json!({"iss": OWN_ISSUER, "sub": OWN_SUBJECT, "aud": [audience], "iat": now, "nbf": now, "exp": now + 600});
        let header = json!({"alg": "RS256", "kid": "world"}).to_string();
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims.to_string()));
        let mut signature = vec![0; self.issuer_key.public_modulus_len()];
        self.issuer_key
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)
            .map_err(|_| anyhow!("the token cannot be signed"))?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    pub(super) fn expire(&mut self) {
        self.good.clear();
    }

    /// Whether the value of an `Authorization` header is a token for `resource`.
    pub(super) fn check(&self, authorization: Option<&str>, resource: &str) -> Result<(), Refusal> {
        let refusal = |message: &str| Err(Refusal::new(401, "Unauthorized", message));
        let Some(token) = authorization.and_then(|value| value.strip_prefix("Bearer ")) else {
            return refusal("AKV10000: Request is missing a Bearer or PoP token.");
        };
        match self.good.get(token) {
            Some((until, audience)) if *until > Instant::now() && audience == resource => Ok(()),
            Some((until, _)) if *until > Instant::now() => {
                refusal("AKV10022: Invalid audience. Expected another resource than the token is for.")
            }
            _ => refusal("AKV10046: Unable to resolve the key used for signature validation."),
        }
    }

    /// The login's token endpoint: client credentials, by a secret or by a signed assertion.
    pub(super) fn token(&mut self, tenant: &str, fields: &Fields) -> Result<Json, LoginRefusal> {
        let field = |name: &str| fields.get(name).map(String::as_str).unwrap_or_default();
        if tenant != self.tenant {
            let words =
                format!("AADSTS90002: Tenant '{tenant}' not found. Check to make sure you have the correct one.");
            return Err(LoginRefusal::new(400, "invalid_request", words));
        }
        if field("grant_type") != "client_credentials" {
            return Err(LoginRefusal::new(400, "unsupported_grant_type", "AADSTS70003: The grant is not supported."));
        }
        if field("client_id") != self.client_id {
            let words = "AADSTS700016: Application with identifier was not found in the directory.";
            return Err(LoginRefusal::new(400, "unauthorized_client", words));
        }
        let resource = field("scope").strip_suffix("/.default").filter(|resource| resource.starts_with("https://"));
        let Some(resource) = resource.map(str::to_owned) else {
            let words = "AADSTS1002012: The provided value for scope is not valid. Client credential flows must have a \
                         scope value with /.default suffixed to the resource identifier.";
            return Err(LoginRefusal::new(400, "invalid_scope", words));
        };
        match (fields.get("client_secret"), field("client_assertion_type")) {
            (Some(secret), _) if *secret == self.client_secret => {}
            (Some(_), _) => {
                let words = "AADSTS7000215: Invalid client secret provided. Ensure the secret being sent in the request \
                             is the client secret value, not the client secret ID.";
                return Err(LoginRefusal::new(401, "invalid_client", words));
            }
            (None, JWT_BEARER) => self
                .verify_assertion(field("client_assertion"))
                .map_err(|words| LoginRefusal::new(401, "invalid_client", words))?,
            (None, _) => {
                let words = "AADSTS7000218: The request body must contain: 'client_assertion' or 'client_secret'.";
                return Err(LoginRefusal::new(401, "invalid_client", words));
            }
        }
        let token = self.issue(&resource);
        let seconds = self.lifetime.as_secs();
        Ok(json!({"token_type": "Bearer", "expires_in": seconds, "ext_expires_in": seconds, "access_token": token}))
    }

    /// A managed identity's token, in the machine's form, and when it ends in seconds since 1970.
    pub(super) fn managed(&mut self, query: &Fields, resource_id: &str) -> Result<(Json, u64), LoginRefusal> {
        let resource = query.get("resource").filter(|resource| !resource.is_empty());
        let Some(resource) = resource.cloned() else {
            return Err(LoginRefusal::new(400, "invalid_resource", "AADSTS500011: The resource is missing."));
        };
        let is_known = query.get("client_id").is_none_or(|id| *id == self.managed_client_id)
            && query.get(resource_id).is_none_or(|id| *id == self.managed_resource_id);
        if !is_known {
            return Err(LoginRefusal::new(400, "invalid_request", "Identity not found"));
        }
        let token = self.issue(&resource);
        let expires_on = now() + self.lifetime.as_secs();
        let answer = json!({
            "access_token": token, "client_id": self.managed_client_id, "resource": resource, "token_type": "Bearer",
            "expires_in": self.lifetime.as_secs().to_string(), "expires_on": expires_on.to_string(),
            "ext_expires_in": self.lifetime.as_secs().to_string(), "not_before": now().to_string(),
        });
        Ok((answer, expires_on))
    }

    /// What a registry gives for a token that is for registries: a login that ends after three times as long.
    pub(super) fn exchange(&self, host: &str, fields: &Fields) -> Result<Json, &'static str> {
        let field = |name: &str| fields.get(name).map(String::as_str).unwrap_or_default();
        let audience = match host.ends_with(".azurecr.cn") {
            true => "https://management.chinacloudapi.cn",
            false => "https://containerregistry.azure.net",
        };
        if field("grant_type") != "access_token" || field("service") != host {
            return Err("the request is no exchange for this registry");
        }
        match self.good.get(field("access_token")) {
            Some((until, of)) if *until > Instant::now() && of == audience => {}
            _ => return Err("authentication required, visit https://aka.ms/acr/authorization for more information."),
        }
        let claims = json!({"aud": host, "exp": now() + 3 * self.lifetime.as_secs(), "grant_type": "refresh_token"});
        let claims = URL_SAFE_NO_PAD.encode(claims.to_string());
        Ok(json!({"refresh_token": format!("e30.{claims}.{}", random().unwrap_or_default())}))
    }

    fn issue(&mut self, resource: &str) -> String {
        // Never empty: without random bytes the machine could not have started TLS.
        let token = format!("eyJ0eXAi.{}", random().unwrap_or_default());
        self.good.insert(token.clone(), (Instant::now() + self.lifetime, resource.to_owned()));
        self.issued += 1;
        token
    }

    fn verify_assertion(&self, assertion: &str) -> Result<(), &'static str> {
        const MALFORMED: &str = "AADSTS50027: JWT token is invalid or malformed.";
        let (signed, signature) = assertion.rsplit_once('.').ok_or(MALFORMED)?;
        let (header, claims) = signed.split_once('.').ok_or(MALFORMED)?;
        let (header, claims) = (part(header).ok_or(MALFORMED)?, part(claims).ok_or(MALFORMED)?);
        let signature = URL_SAFE_NO_PAD.decode(signature.trim_end_matches('=')).map_err(|_| MALFORMED)?;
        // Microsoft's own library writes fractions of seconds.
        let (ends, begins) = (claims["exp"].as_f64().unwrap_or_default(), claims["nbf"].as_f64().unwrap_or_default());
        if ends <= now() as f64 || begins > now() as f64 + 300.0 {
            return Err("AADSTS700024: Client assertion is not within its valid time range.");
        }
        if claims["iss"] == self.client_id.as_str() {
            return self.verify_certificate(&header, &claims, signed.as_bytes(), &signature);
        }
        self.verify_federated(&claims, signed.as_bytes(), &signature)
    }

    fn verify_certificate(
        &self,
        header: &Json,
        claims: &Json,
        signed: &[u8],
        signature: &[u8],
    ) -> Result<(), &'static str> {
        let certificate = &self.certificate;
        let thumbprint = |name: &str| header[name].as_str().unwrap_or_default().trim_end_matches('=').to_owned();
        let is_registered = thumbprint("x5t#S256") == certificate.sha256 || thumbprint("x5t") == certificate.sha1;
        if !is_registered {
            return Err("AADSTS700027: The certificate with identifier used to sign the client assertion is not \
                        registered on application.");
        }
        let token_path = format!("/{}/oauth2/v2.0/token", self.tenant);
        if claims["sub"] != claims["iss"] || !claims["aud"].as_str().is_some_and(|aud| aud.ends_with(&token_path)) {
            return Err("AADSTS50027: Invalid JWT token. Audience or subject is not the expected one.");
        }
        let verified = match header["alg"].as_str() {
            Some("PS256") => {
                UnparsedPublicKey::new(&RSA_PSS_2048_8192_SHA256, &certificate.public_key).verify(signed, signature)
            }
            Some("RS256") => {
                UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &certificate.public_key).verify(signed, signature)
            }
            _ => return Err("AADSTS5002730: Invalid JWT token. Unsupported algorithm."),
        };
        verified.map_err(|_| "AADSTS700027: Client assertion failed signature validation.")
    }

    fn verify_federated(&self, claims: &Json, signed: &[u8], signature: &[u8]) -> Result<(), &'static str> {
        let text = |field: &str| claims[field].as_str().unwrap_or_default().to_owned();
        let issuer = text("iss");
        if !self.trusted.contains(&(issuer.clone(), text("sub"))) {
            return Err("AADSTS700213: No matching federated identity record found for presented assertion subject.");
        }
        let is_meant = claims["aud"] == EXCHANGE_AUDIENCE
            || claims["aud"].as_array().is_some_and(|all| all.iter().any(|one| *one == EXCHANGE_AUDIENCE));
        if !is_meant {
            return Err("AADSTS700212: No matching federated identity record found for presented assertion audience.");
        }
        let algorithm = &RSA_PKCS1_2048_8192_SHA256;
        let is_own = issuer == OWN_ISSUER
            && UnparsedPublicKey::new(algorithm, self.issuer_key.public_key()).verify(signed, signature).is_ok();
        let is_outside = self
            .keys
            .get(&issuer)
            .is_some_and(|keys| keys.iter().any(|key| key.verify(algorithm, signed, signature).is_ok()));
        if is_own || is_outside { Ok(()) } else { Err("AADSTS700027: Client assertion failed signature validation.") }
    }
}

impl Certificate {
    /// A new one, and it with its key as PEM.
    fn new() -> Result<(Self, String)> {
        let key = KeyPair::generate_for(&PKCS_RSA_SHA256)?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "Test World Application");
        let certificate = params.self_signed(&key)?;
        let thumbprint = |algorithm| URL_SAFE_NO_PAD.encode(digest::digest(algorithm, certificate.der()).as_ref());
        let this = Self {
            sha1: thumbprint(&digest::SHA1_FOR_LEGACY_USE_ONLY),
            sha256: thumbprint(&digest::SHA256),
            public_key: key.der_bytes().to_vec(),
        };
        Ok((this, format!("{}{}", certificate.pem(), key.serialize_pem())))
    }
}

/// Azure's own Python client pads its base64, against the standard.
fn part(text: &str) -> Option<Json> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok()?).ok()
}

fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// A text that nobody can guess.
fn random() -> Result<String> {
    let mut bytes = [0; 24];
    rand::fill(&mut bytes).map_err(|_unspecified| anyhow!("the machine gives no random bytes"))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}
