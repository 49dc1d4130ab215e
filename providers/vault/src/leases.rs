//! Values that end: any request to an engine or a login method, what its answer is leased for, and how that is renewed
//! and revoked.
//!
//! What an engine leases ends with the token that asked for it. So each [`Login`] is told with its accessor, by which
//! whoever comes later can still renew or end it, and with it everything that hangs from it: also what was made in the
//! moment before nobody was left to note it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use strongroom_failure::{Class, Failure};
use strongroom_http::{Method, Response, StatusCode, json_body};
use strongroom_provider::{Lease as Lent, SecretBytes};

use crate::api::{About, Ask, Query, failure_of};
use crate::path::{clean, encoded_query};
use crate::session::Token;
use crate::vault::{NO_ENGINE, Vault, no_engine, refused};

/// What is asked of a path.
#[derive(Clone, Debug)]
pub enum Action {
    /// What is there, by these parameters behind the path.
    Read(BTreeMap<String, Vec<String>>),
    /// The names below it.
    List,
    /// What comes of writing this JSON object; nothing at all where it is empty.
    Write(SecretBytes),
    /// What comes of deleting it.
    Delete,
}

/// An answer that holds something.
pub struct Answered {
    /// The whole of it, JSON.
    pub body: SecretBytes,
    /// What it says about its end; nothing where it has none.
    pub lease: Option<Lease>,
}

impl fmt::Debug for Answered {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Answered").field("lease", &self.lease).finish_non_exhaustive()
    }
}

/// For how long something is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// By what it is renewed and revoked; a batch token has nothing, and ends with its parent.
    pub handle: Option<Handle>,
    /// From the answer on; zero where it has no end of its own.
    pub duration: Duration,
    /// Whether it can be renewed.
    pub renewable: bool,
    /// Whether it ends at the latest with the login that asked for it.
    pub ends_with_login: bool,
}

/// What the server knows a lease by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Handle {
    /// What an engine leased.
    Lease(String),
    /// A token that was asked for, by its accessor.
    Token(String),
    /// The token of a login, by its accessor.
    Login(String),
}

/// One token, and what hangs from it.
pub struct Login {
    token: Arc<Token>,
    /// By what others can renew or revoke it; nothing for a batch token, and where a given one may not look itself up.
    pub accessor: Option<String>,
    /// How long it lasts; nothing where it has no end or does not tell it.
    pub remaining: Option<Duration>,
    /// Whether it can be renewed.
    pub renewable: bool,
    /// Whether it came from a login of ours, so that its end concerns nobody else.
    pub is_own: bool,
}

impl fmt::Debug for Login {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Login").field("remaining", &self.remaining).finish_non_exhaustive()
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Envelope<'a> {
    lease_id: Option<String>,
    lease_duration: u64,
    renewable: bool,
    auth: Option<Granted>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Granted {
    accessor: Option<String>,
    lease_duration: u64,
    renewable: bool,
    orphan: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct LookedUp {
    accessor: Option<String>,
    ttl: u64,
    renewable: bool,
}

impl Vault {
    /// Gets a token, by a login where the settings have one, which tells what it is; a given one is looked up. It is the
    /// session's: log in by a `Vault` of its own what is to be revoked by itself.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn log_in(&self) -> Result<Login, Failure> {
        let token = self.session.token(&self.api).await?;
        let is_own = self.session.auth().can_log_in();
        if is_own {
            return Ok(Login {
                // A batch token has none, and ends all the same.
                accessor: Some(token.accessor.clone()).filter(|accessor| !accessor.is_empty()),
                remaining: token.remaining(),
                renewable: token.is_renewable(),
                is_own,
                token,
            });
        }
        let looked_up = self.look_up(&token.value).await?;
        Ok(Login {
            token,
            accessor: looked_up.accessor.filter(|accessor| !accessor.is_empty()),
            remaining: (looked_up.ttl > 0).then(|| Duration::from_secs(looked_up.ttl)),
            renewable: looked_up.renewable,
            is_own,
        })
    }

    /// What a token is; nothing where it may not look itself up.
    async fn look_up(&self, token: &SecretBytes) -> Result<LookedUp, Failure> {
        #[derive(Deserialize)]
        struct Answer {
            data: LookedUp,
        }
        let response = self.api.send(Ask::look_up(token)).await?;
        match response.status {
            status if status.is_success() => Ok(response.json::<Answer>()?.data),
            // Where it is no token at all, the next request says so.
            StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => Ok(LookedUp::default()),
            // Without an answer nobody could end what hangs from it.
            _ => Err(failure_of(&response, &[token])),
        }
    }

    /// Asks `action` of `path` (below `/v1/`) with the token of `login`, and with no other; nothing where the server
    /// answers with nothing.
    ///
    /// # Errors
    /// `Invalid` for a path that is none, `Denied` with the capability that is missing, and what the server says.
    pub async fn ask(&self, login: &Login, path: &str, action: &Action) -> Result<Option<Answered>, Failure> {
        let path = clean(path)?;
        let ask = Ask::get("vault:read", path, &login.token.value);
        let text = if let Action::Read(query) = action { encoded_query(query) } else { String::new() };
        let (ask, verb, capability) = match action {
            Action::Read(query) if query.is_empty() => (ask, "read", "read"),
            Action::Read(_) => (Ask { query: Query::Text(&text), ..ask }, "read", "read"),
            Action::List => (Ask { operation: "vault:list", query: Query::List, ..ask }, "list", "list"),
            Action::Write(body) => {
                let body = body.clone();
                (Ask { operation: "vault:write", method: Method::POST, body, ..ask }, "write to", "update")
            }
            Action::Delete => (Ask { operation: "vault:delete", method: Method::DELETE, ..ask }, "delete", "delete"),
        };
        let response = self.api.send(ask).await?;
        match response.status {
            StatusCode::NO_CONTENT => Ok(None),
            status if status.is_success() => answered(response.body),
            _ => {
                let failure = failure_of(&response, &[&login.token.value]);
                match failure.class {
                    Class::NotFound if failure.words.contains(NO_ENGINE) => Err(no_engine(path, failure)),
                    Class::NotFound => Ok(None),
                    Class::Denied => Err(refused(verb, path, capability, &failure.words)),
                    _ => Err(failure),
                }
            }
        }
    }

    /// Renews by `increment`; for how long it is given now, and whether it can be renewed again.
    ///
    /// # Errors
    /// `Invalid` where it cannot be renewed or is no more, `Denied` where the token may not renew it.
    pub async fn renew(
        &self,
        login: &Login,
        handle: &Handle,
        increment: Duration,
    ) -> Result<(Duration, bool), Failure> {
        self.renew_with(&login.token, handle, Some(increment)).await
    }

    /// As [`Vault::renew`], by what the engine gives of itself where no increment is named.
    async fn renew_with(
        &self,
        token: &Token,
        handle: &Handle,
        increment: Option<Duration>,
    ) -> Result<(Duration, bool), Failure> {
        let (path, mut body) = match handle {
            Handle::Lease(id) => ("sys/leases/renew", json!({ "lease_id": id })),
            Handle::Token(accessor) | Handle::Login(accessor) => {
                ("auth/token/renew-accessor", json!({ "accessor": accessor }))
            }
        };
        if let Some(increment) = increment {
            body["increment"] = increment.as_secs().into();
        }
        let response = self.tell(token, "vault:renew", path, handle, body).await?;
        let envelope: Envelope<'_> = serde_json::from_slice(response.body.expose()).map_err(|_| no_json())?;
        let (seconds, renewable) = match envelope.auth {
            Some(granted) => (granted.lease_duration, granted.renewable),
            None => (envelope.lease_duration, envelope.renewable),
        };
        Ok((Duration::from_secs(seconds), renewable))
    }

    /// Revokes, and waits until the engine has done so; what is no more is revoked.
    ///
    /// # Errors
    /// `Denied` where the token may not revoke it, and what the engine says.
    pub async fn revoke(&self, login: &Login, handle: &Handle) -> Result<(), Failure> {
        let (path, body) = match handle {
            Handle::Lease(id) => ("sys/leases/revoke", json!({"lease_id": id, "sync": true})),
            Handle::Token(accessor) | Handle::Login(accessor) => {
                ("auth/token/revoke-accessor", json!({"accessor": accessor}))
            }
        };
        match self.tell(&login.token, "vault:revoke", path, handle, body).await {
            Ok(_) => Ok(()),
            Err(failure) if is_no_more(&failure) => Ok(()),
            Err(failure) => Err(failure),
        }
    }

    /// Ends a login, where it was ours, and whatever hangs from it; whether it has ended, since it may be left to end by
    /// itself.
    pub async fn log_out(&self, login: Login) -> bool {
        if !login.is_own {
            return false;
        }
        let body = SecretBytes::default();
        let ask = Ask::log_in("vault:revoke", "auth/token/revoke-self", Some(&login.token.value), body);
        let ended = match self.api.send(ask).await {
            Ok(response) if response.status.is_success() => Ok(()),
            Ok(response) => Err(failure_of(&response, &[&login.token.value])),
            Err(failure) => Err(failure),
        };
        if let Err(failure) = &ended {
            tracing::debug!(%failure, "a token could not be revoked; it ends by itself");
        }
        ended.is_ok()
    }

    /// Renews what a read gave, and before it the token from which it hangs where that is in its last third.
    pub(crate) async fn renew_lent(&self, lease: &Lent) -> Result<Lent, Failure> {
        if !lease.is_renewable {
            return Err(Failure::new(Class::Invalid, "what the engine lent cannot be renewed"));
        }
        self.session.lasting_token(&self.api).await?;
        self.with_fresh_token(|token| async move {
            if token.login() != lease.login {
                return Err(Failure::new(Class::Invalid, "it was lent to a login that is over, and ends with it"));
            }
            let handle = Handle::Lease(lease.id.clone());
            let (duration, is_renewable) = self.renew_with(&token, &handle, None).await?;
            Ok(self.hung(Lent { duration, is_renewable, ..lease.clone() }, &token).await)
        })
        .await
    }

    /// The lease of a value that ends at the latest with `token`, with which it was asked for.
    pub(crate) async fn hung(&self, lease: Lent, token: &Token) -> Lent {
        match self.session.hang_from(&self.api, token).await {
            Some(remaining) => Lent { duration: lease.duration.min(remaining), ..lease },
            None => lease,
        }
    }

    async fn tell(
        &self,
        token: &Token,
        operation: &'static str,
        path: &str,
        handle: &Handle,
        body: Value,
    ) -> Result<Response, Failure> {
        let about = if matches!(handle, Handle::Login(_)) { About::Token } else { About::Secrets };
        let body = json_body(&body)?;
        let ask = Ask { about, ..Ask::log_in(operation, path, Some(&token.value), body) };
        let response = self.api.send(ask).await?;
        if response.status.is_success() {
            return Ok(response);
        }
        let failure = failure_of(&response, &[&token.value]);
        Err(match failure.class {
            // Whatever status it comes with: nobody's waiting brings it back.
            _ if is_no_more(&failure) => Failure { class: Class::Invalid, ..failure },
            Class::Denied => refused("write to", path, "update", &failure.words),
            _ => failure,
        })
    }
}

impl Answered {
    /// What the engine gives, a JSON object.
    ///
    /// # Errors
    /// `Unavailable` where the answer is none of Vault's.
    pub fn data(&self) -> Result<Option<SecretBytes>, Failure> {
        let envelope: Envelope<'_> = serde_json::from_slice(self.body.expose()).map_err(|_| no_json())?;
        Ok(envelope.data.map(bytes))
    }

    /// The token that a path gives and what belongs to it, a JSON object.
    ///
    /// # Errors
    /// As [`Answered::data`].
    pub fn auth(&self) -> Result<Option<SecretBytes>, Failure> {
        #[derive(Deserialize)]
        struct Tokens<'a> {
            #[serde(borrow, default)]
            auth: Option<&'a RawValue>,
        }
        let tokens: Tokens<'_> = serde_json::from_slice(self.body.expose()).map_err(|_| no_json())?;
        Ok(tokens.auth.map(bytes))
    }
}

fn answered(body: SecretBytes) -> Result<Option<Answered>, Failure> {
    let lease = {
        let envelope: Envelope<'_> = serde_json::from_slice(body.expose()).map_err(|_| no_json())?;
        lease(&envelope)
    };
    Ok(Some(Answered { body, lease }))
}

/// KV version 1 tells for how long a value may be kept, without a lease: that is none.
fn lease(envelope: &Envelope<'_>) -> Option<Lease> {
    if let Some(id) = envelope.lease_id.as_ref().filter(|id| !id.is_empty()) {
        return Some(Lease {
            handle: Some(Handle::Lease(id.clone())),
            duration: Duration::from_secs(envelope.lease_duration),
            renewable: envelope.renewable,
            ends_with_login: true,
        });
    }
    let granted = envelope.auth.as_ref()?;
    let accessor = granted.accessor.as_ref().filter(|accessor| !accessor.is_empty());
    Some(Lease {
        handle: accessor.map(|accessor| Handle::Token(accessor.clone())),
        duration: Duration::from_secs(granted.lease_duration),
        renewable: granted.renewable && accessor.is_some(),
        ends_with_login: !granted.orphan,
    })
}

/// What an engine lent by the answer `body` to a read or a write with the token of `login`; nothing where it did not.
pub(crate) fn lent(body: &SecretBytes, login: u64) -> Option<Lent> {
    let envelope: Envelope<'_> = serde_json::from_slice(body.expose()).ok()?;
    match lease(&envelope)? {
        Lease { handle: Some(Handle::Lease(id)), duration, renewable: is_renewable, .. } => {
            Some(Lent { id, login, duration, is_renewable })
        }
        _ => None,
    }
}

/// The lease of what an engine made without one that ends by itself (`pki/issue`), where its answer says when: who made
/// it anew at each read would have as many certificates. Nothing renews it, and it outlives the login.
pub(crate) fn expiring(body: &SecretBytes, login: u64, now: SystemTime) -> Option<Lent> {
    #[derive(Deserialize)]
    struct Made {
        data: Expiring,
    }
    #[derive(Deserialize)]
    struct Expiring {
        /// Seconds since 1970.
        expiration: u64,
    }
    let made: Made = serde_json::from_slice(body.expose()).ok()?;
    let end = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(made.data.expiration))?;
    let duration = end.duration_since(now).ok()?;
    Some(Lent { id: String::new(), login, duration, is_renewable: false })
}

/// How both servers say that there is no such token or lease.
fn is_no_more(failure: &Failure) -> bool {
    ["invalid accessor", "lease not found", "invalid lease"].iter().any(|words| failure.words.contains(words))
}

fn no_json() -> Failure {
    Failure::new(Class::Unavailable, "the server's answer is not JSON as Vault gives it")
}

fn bytes(part: &RawValue) -> SecretBytes {
    SecretBytes::new(part.get().as_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_leased_where_it_says_so() {
        let check = |body: &str, expected: Option<Lease>| {
            let answered = answered(SecretBytes::from(body.to_owned())).unwrap().unwrap();
            assert_eq!(answered.lease, expected, "{body}");
            assert!(!format!("{answered:?}").contains("canary"));
        };
        let lease = |handle, seconds, renewable, ends_with_login| {
            Some(Lease { handle, duration: Duration::from_secs(seconds), renewable, ends_with_login })
        };
        // KV version 1, which leases nothing.
        check(r#"{"lease_id":"","lease_duration":2764800,"renewable":false,"data":{"k":"canary"},"auth":null}"#, None);
        check(
            r#"{"lease_id":"ssh/creds/app/1","lease_duration":60,"renewable":false,"data":{"key":"canary"},"auth":null}"#,
            lease(Some(Handle::Lease("ssh/creds/app/1".to_owned())), 60, false, true),
        );
        check(
            r#"{"lease_id":"","data":null,"auth":{"client_token":"canary","accessor":"a","lease_duration":9,"renewable":true}}"#,
            lease(Some(Handle::Token("a".to_owned())), 9, true, true),
        );
        check(
            r#"{"auth":{"client_token":"canary","accessor":"a","lease_duration":9,"renewable":true,"orphan":true}}"#,
            lease(Some(Handle::Token("a".to_owned())), 9, true, false),
        );
        // A batch token.
        check(
            r#"{"auth":{"client_token":"canary","accessor":"","lease_duration":9,"renewable":false}}"#,
            lease(None, 9, false, true),
        );
    }

    #[test]
    fn what_ends_by_itself_is_lent_until_then() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
        let check = |body: &str, expected: Option<u64>| {
            let lent = expiring(&SecretBytes::from(body.to_owned()), 1, now);
            assert_eq!(lent.map(|lent| (lent.duration.as_secs(), lent.is_renewable)), expected.map(|end| (end, false)));
        };
        check(r#"{"lease_id":"","data":{"certificate":"canary","expiration":1600,"z":{}}}"#, Some(600));
        check(r#"{"data":{"expiration":999}}"#, None);
        check(r#"{"data":{"expiration":"1600"}}"#, None);
        check(r#"{"data":{"ciphertext":"canary"}}"#, None);
        check(r#"{"data":null}"#, None);
    }

    #[test]
    fn an_answer_that_is_none_is_not_quoted() {
        let failure = answered(SecretBytes::from("canary".to_owned())).unwrap_err();
        assert_eq!(failure.class, Class::Unavailable);
        assert!(!failure.to_string().contains("canary"));
    }
}
