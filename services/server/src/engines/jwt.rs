//! `auth/jwt/`: whoever has a JSON Web Token that somebody trusted signed, by static keys, a key set or discovery.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use strongroom_barrier::View;
use strongroom_jwt::{Algorithm, Claims, JwtError, Keys, Times, Token};
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

/// After how long a key set is read again, and between two readings where a token names a key that it lacks.
const FRESH: Duration = Duration::from_secs(300);
const AGAIN: Duration = Duration::from_secs(10);

#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
struct Config {
    jwks_url: String,
    jwks_ca_pem: String,
    oidc_discovery_url: String,
    oidc_discovery_ca_pem: String,
    jwt_validation_pubkeys: Vec<String>,
    bound_issuer: String,
    jwt_supported_algs: Vec<String>,
    default_role: String,
}

#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Role {
    bound_audiences: Vec<String>,
    bound_subject: String,
    bound_claims: Map<String, Value>,
    bound_claims_type: String,
    user_claim: String,
    claim_mappings: BTreeMap<String, String>,
    expiration_leeway: i64,
    not_before_leeway: i64,
    clock_skew_leeway: i64,
    #[serde(flatten)]
    token: TokenSettings,
}

/// A key set as it was read, whether that went well or not.
struct Fetched {
    keys: Arc<Keys>,
    at: Instant,
}

/// The engine of a JWT mount.
pub(super) struct Jwt {
    view: View,
    fetched: Mutex<Option<Fetched>>,
    /// One reading of the key set at a time.
    fetching: tokio::sync::Mutex<()>,
}

fn refused(words: &str) -> Fault {
    Fault::invalid(format!("error validating token: {words}"))
}

impl Jwt {
    pub(super) fn new(view: View) -> Self {
        Self { view, fetched: Mutex::default(), fetching: tokio::sync::Mutex::default() }
    }

    async fn configured(&self) -> Result<Option<Config>, Fault> {
        Ok(read(&self.view, CONFIG).await?.map(|(config, _)| config))
    }

    /// The claims, signed by one of the keys.
    async fn verified<'t>(&self, config: &Config, token: &'t Token<'_>) -> Result<&'t Claims, Fault> {
        let taken: Vec<Algorithm> = match config.jwt_supported_algs.as_slice() {
            [] => Algorithm::ALL.to_vec(),
            names => names.iter().filter_map(|name| Algorithm::of_name(name)).collect(),
        };
        let of = |error: JwtError| refused(&error.to_string());
        if !config.jwt_validation_pubkeys.is_empty() {
            let keys = Keys::of_pem(config.jwt_validation_pubkeys.iter().map(String::as_str));
            return token.verify(&keys.map_err(refused)?, &taken).map_err(of);
        }
        match token.verify(&*self.keys(config, FRESH).await?, &taken) {
            // The signer may have begun to use another one.
            Err(JwtError::NoKey) => token.verify(&*self.keys(config, AGAIN).await?, &taken).map_err(of),
            verified => verified.map_err(of),
        }
    }

    /// The key set, read anew where it is older than `fresh`; an old one where it cannot be.
    async fn keys(&self, config: &Config, fresh: Duration) -> Result<Arc<Keys>, Fault> {
        let known = || {
            let fetched = self.fetched.lock().unwrap_or_else(PoisonError::into_inner);
            fetched.as_ref().map(|fetched| (Arc::clone(&fetched.keys), fetched.at.elapsed() < fresh))
        };
        if let Some((keys, true)) = known() {
            return Ok(keys);
        }
        let _one_at_a_time = self.fetching.lock().await;
        let before = match known() {
            Some((keys, true)) => return Ok(keys),
            Some((keys, false)) => Some(keys),
            None => None,
        };
        let read = fetched(config).await;
        let keys = match (read, before) {
            (Ok(keys), _) => Arc::new(keys),
            (Err(words), Some(before)) => {
                tracing::warn!(reason = words, "a key set cannot be read anew: the one before counts");
                before
            }
            (Err(words), None) => {
                tracing::warn!(reason = words, "a key set cannot be read");
                return Err(refused("the keys of its signer cannot be had"));
            }
        };
        *self.fetched.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(Fetched { keys: Arc::clone(&keys), at: Instant::now() });
        Ok(keys)
    }
}

/// Reads the key set that a configuration names.
async fn fetched(config: &Config) -> Result<Keys, String> {
    let json = async |address: &str, authority: &str| {
        let answer = ask(&client(Some(authority))?, address, None, None).await?;
        if answer.status.is_success() { Ok(answer) } else { Err(format!("it answered {}", answer.status)) }
    };
    let (address, authority) = match config.jwks_url.as_str() {
        "" => {
            let base = config.oidc_discovery_url.trim_end_matches('/');
            let answer =
                json(&format!("{base}/.well-known/openid-configuration"), &config.oidc_discovery_ca_pem).await?;
            let document: Value = answer.json().map_err(|error| error.to_string())?;
            if document["issuer"].as_str().map(|issuer| issuer.trim_end_matches('/')) != Some(base) {
                return Err("the discovery document is another issuer's".to_owned());
            }
            let address = document["jwks_uri"].as_str().ok_or("the discovery document names no key set")?;
            (address.to_owned(), &config.oidc_discovery_ca_pem)
        }
        url => (url.to_owned(), &config.jwks_ca_pem),
    };
    let answer = json(&address, authority).await?;
    Keys::of_set(answer.body.expose()).map_err(str::to_owned)
}

/// Whether the claims are those that the role asks for.
fn holds(config: &Config, role: &Role, claims: &Claims, now: i64) -> Result<(), Fault> {
    let usual = Times::default();
    let or = |own: i64, usual: i64| if own == 0 { usual } else { own.max(0) };
    let times = Times {
        expiration_leeway: or(role.expiration_leeway, usual.expiration_leeway),
        not_before_leeway: or(role.not_before_leeway, usual.not_before_leeway),
        skew: or(role.clock_skew_leeway, usual.skew),
    };
    times.check(claims, now).map_err(|error| refused(&error.to_string()))?;
    let issuer = match config.bound_issuer.as_str() {
        "" => config.oidc_discovery_url.as_str(),
        bound => bound,
    };
    let same = |one: &str, other: &str| one.trim_end_matches('/') == other.trim_end_matches('/');
    if !issuer.is_empty() && !claims.text("iss").is_some_and(|own| same(own, issuer)) {
        return Err(refused("invalid issuer (iss) claim"));
    }
    if !role.bound_subject.is_empty() && claims.text("sub") != Some(&role.bound_subject) {
        return Err(refused("invalid subject (sub) claim"));
    }
    let audiences = claims.texts("aud");
    match (role.bound_audiences.is_empty(), audiences.is_empty()) {
        (true, false) => return Err(refused("audience claim found in JWT but no audiences bound to the role")),
        (false, _) if !audiences.iter().any(|audience| role.bound_audiences.iter().any(|bound| bound == audience)) => {
            return Err(refused("invalid audience (aud) claim"));
        }
        _ => {}
    }
    for (claim, wanted) in &role.bound_claims {
        let values = match claims.get(claim) {
            Some(Value::Array(items)) => items.iter().filter_map(spoken).collect(),
            Some(value) => spoken(value).into_iter().collect::<Vec<_>>(),
            None => return Err(refused(&format!("claim {claim:?} is missing"))),
        };
        let wanted = match wanted {
            Value::Array(items) => items.iter().filter_map(spoken).collect(),
            value => spoken(value).into_iter().collect::<Vec<_>>(),
        };
        let is_glob = role.bound_claims_type == "glob";
        let fits = |value: &String| wanted.iter().any(|item| if is_glob { globs(item, value) } else { item == value });
        if !values.iter().any(fits) {
            return Err(refused(&format!("claim {claim:?} does not match any associated bound claim values")));
        }
    }
    Ok(())
}

/// A claim as a text: texts, numbers and flags are.
fn spoken(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

/// Whether a text fits a pattern whose stars stand for anything. Each star takes as little as it can, so that this costs no
/// more than the length of both.
fn globs(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        let Some(place) = rest.find(part) else { return false };
        rest = rest.get(place + part.len()..).unwrap_or_default();
    }
    rest.ends_with(last)
}

fn config_of(data: &Members) -> Result<Config, Fault> {
    let text = |name: &str| -> Result<String, Fault> { Ok(data.text(name)?.unwrap_or_default()) };
    let config = Config {
        jwks_url: text("jwks_url")?,
        jwks_ca_pem: text("jwks_ca_pem")?,
        oidc_discovery_url: text("oidc_discovery_url")?,
        oidc_discovery_ca_pem: text("oidc_discovery_ca_pem")?,
        jwt_validation_pubkeys: data.texts("jwt_validation_pubkeys")?.unwrap_or_default(),
        bound_issuer: text("bound_issuer")?,
        jwt_supported_algs: data.texts("jwt_supported_algs")?.unwrap_or_default(),
        default_role: text("default_role")?,
    };
    if data.text("oidc_client_id")?.is_some_and(|id| !id.is_empty()) {
        return Err(Fault::invalid(
            "oidc_client_id: people who log in by a browser are not served; machines by jwt are",
        ));
    }
    let ways =
        [!config.jwks_url.is_empty(), !config.oidc_discovery_url.is_empty(), !config.jwt_validation_pubkeys.is_empty()];
    if ways.into_iter().filter(|given| *given).count() != 1 {
        return Err(Fault::invalid(
            "exactly one of 'jwt_validation_pubkeys', 'jwks_url' or 'oidc_discovery_url' must be set",
        ));
    }
    Keys::of_pem(config.jwt_validation_pubkeys.iter().map(String::as_str))
        .map_err(|words| Fault::invalid(format!("jwt_validation_pubkeys: {words}")))?;
    for (name, pem) in [("jwks_ca_pem", &config.jwks_ca_pem), ("oidc_discovery_ca_pem", &config.oidc_discovery_ca_pem)]
    {
        client(Some(pem)).map_err(|error| Fault::invalid(format!("{name}: {error}")))?;
    }
    match config.jwt_supported_algs.iter().find(|name| Algorithm::of_name(name).is_none()) {
        Some(name) => Err(Fault::invalid(format!("jwt_supported_algs: {name:?} is not served"))),
        None => Ok(config),
    }
}

fn changed(before: Role, data: &Members) -> Result<Role, Fault> {
    if data.text("role_type")?.is_some_and(|kind| !matches!(kind.as_str(), "" | "jwt")) {
        return Err(Fault::invalid("role_type has to be \"jwt\": logins by a browser are not served"));
    }
    let object = |name: &str| match data.get(name) {
        None => Ok(None),
        Some(Value::Object(members)) => Ok(Some(members.clone())),
        Some(_) => Err(Fault::invalid(format!("{name} has to be an object"))),
    };
    let seconds = |name: &str, before: i64| -> Result<i64, Fault> { Ok(data.number(name)?.unwrap_or(before)) };
    let mappings = object("claim_mappings")?.map(|members| {
        members.into_iter().filter_map(|(claim, target)| Some((claim, target.as_str()?.to_owned()))).collect()
    });
    let role = Role {
        bound_audiences: data.texts("bound_audiences")?.unwrap_or(before.bound_audiences),
        bound_subject: data.text("bound_subject")?.unwrap_or(before.bound_subject),
        bound_claims: object("bound_claims")?.unwrap_or(before.bound_claims),
        bound_claims_type: data.text("bound_claims_type")?.unwrap_or(before.bound_claims_type),
        user_claim: data.text("user_claim")?.unwrap_or(before.user_claim),
        claim_mappings: mappings.unwrap_or(before.claim_mappings),
        expiration_leeway: seconds("expiration_leeway", before.expiration_leeway)?,
        not_before_leeway: seconds("not_before_leeway", before.not_before_leeway)?,
        clock_skew_leeway: seconds("clock_skew_leeway", before.clock_skew_leeway)?,
        token: before.token.changed(data)?,
    };
    if role.user_claim.is_empty() {
        return Err(Fault::invalid("a user claim must be defined on the role"));
    }
    if !matches!(role.bound_claims_type.as_str(), "" | "string" | "glob") {
        return Err(Fault::invalid("invalid 'bound_claims_type': it is string or glob"));
    }
    if role.bound_audiences.is_empty()
        && role.bound_subject.is_empty()
        && role.bound_claims.is_empty()
        && role.token.bound_cidrs.is_empty()
    {
        return Err(Fault::invalid("must have at least one bound constraint when creating/updating a role"));
    }
    Ok(role)
}

fn shown(role: &Role) -> Members {
    let kind = if role.bound_claims_type.is_empty() { "string" } else { &role.bound_claims_type };
    let mut shown = role.token.shown();
    shown.set("role_type", "jwt");
    shown.set("bound_audiences", json!(role.bound_audiences));
    shown.set("bound_subject", role.bound_subject.clone());
    shown.set("bound_claims", json!(role.bound_claims));
    shown.set("bound_claims_type", kind);
    shown.set("user_claim", role.user_claim.clone());
    shown.set("claim_mappings", json!(role.claim_mappings));
    shown.set("expiration_leeway", role.expiration_leeway);
    shown.set("not_before_leeway", role.not_before_leeway);
    shown.set("clock_skew_leeway", role.clock_skew_leeway);
    shown
}

#[async_trait]
impl ByRole for Jwt {
    type Role = Role;

    fn view(&self) -> &View {
        &self.view
    }

    async fn config(&self, call: &Call<'_>) -> Result<Response, Fault> {
        match call.operation {
            Operation::Read => {
                let config = self.configured().await?.ok_or_else(Fault::absent)?;
                let value = serde_json::to_value(&config).map_err(|error| Fault::internal(error.to_string()))?;
                match value {
                    Value::Object(members) => Ok(Response::of(Members::from(members))),
                    _ => Err(Fault::absent()),
                }
            }
            Operation::Create | Operation::Update => {
                let config = config_of(&call.request.data)?;
                if config.jwt_validation_pubkeys.is_empty() {
                    // Whoever configures it learns now that the keys cannot be had.
                    let keys = fetched(&config).await;
                    keys.map_err(|words| Fault::invalid(format!("error checking the key set: {words}")))?;
                }
                write(&self.view, CONFIG, &config).await?;
                *self.fetched.lock().unwrap_or_else(PoisonError::into_inner) = None;
                Ok(Response::empty())
            }
            _ => Err(Fault::unsupported()),
        }
    }

    async fn log_in(&self, call: &Call<'_>) -> Result<Response, Fault> {
        let data = &call.request.data;
        let config = self.configured().await?;
        let config = config.ok_or_else(|| Fault::invalid("could not load configuration"))?;
        let name = data.text("role")?.filter(|name| !name.is_empty()).unwrap_or_else(|| config.default_role.clone());
        if name.is_empty() {
            return Err(Fault::invalid("missing role"));
        }
        let role = self.role(&name).await?;
        let role = role.ok_or_else(|| Fault::invalid(format!("role {name:?} could not be found")))?;
        let text = data.text("jwt")?.filter(|text| !text.is_empty());
        let text = SecretBytes::from(text.ok_or_else(|| Fault::invalid("missing token"))?);
        let token =
            Token::parse(text.expose_text().unwrap_or_default()).map_err(|error| refused(&error.to_string()))?;
        let now = call.request.now.as_second();
        let claims = self.verified(&config, &token).await?;
        holds(&config, &role, claims, now)?;
        let user = claims.get(&role.user_claim).and_then(spoken);
        let user = user.ok_or_else(|| Fault::invalid(format!("claim {:?} not found in token", role.user_claim)))?;
        let mut metadata = BTreeMap::from([("role".to_owned(), name)]);
        for (claim, target) in &role.claim_mappings {
            metadata.extend(claims.get(claim).and_then(spoken).map(|value| (target.clone(), value)));
        }
        let mount = call.mount.path.trim_start_matches("auth/").trim_end_matches('/');
        let login = Login { display_name: format!("{mount}-{user}"), alias: user, metadata, bound_cidrs: Vec::new() };
        role.token.log_in(call, login).await
    }

    fn changed(&self, before: Role, data: &Members) -> Result<(Role, Vec<String>), Fault> {
        changed(before, data).map(|role| (role, Vec::new()))
    }

    fn shown(&self, role: &Role) -> Members {
        shown(role)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_anything() {
        for (pattern, text, fits) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("a*", "ab", true),
            ("*b", "ab", true),
            ("a*c", "abc", true),
            ("a*c", "ac", true),
            ("a*c", "ab", false),
            ("a*b*c", "aXbYc", true),
            ("a*b*c", "acb", false),
            ("*", "", true),
            ("ab*ba", "aba", false),
            ("", "", true),
            ("", "a", false),
        ] {
            assert_eq!(globs(pattern, text), fits, "{pattern} {text}");
        }
    }
}
