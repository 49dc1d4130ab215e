//! `auth/userpass/`: people who log in by a name and a password.

use std::collections::{BTreeMap, HashMap};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use strongroom_barrier::View;
use strongroom_crypto::{argon2id_32, equal_in_constant_time, random_bytes};
use strongroom_http::StatusCode;
use strongroom_policy::acl::Operation;
use strongroom_secret::SecretBytes;
use tokio::sync::Semaphore;

use crate::engine::{Call, Engine};
use crate::exchange::{Fault, Response};
use crate::login::{Login, TokenSettings};
use crate::records::{delete, read, write};
use crate::trouble::of_view;

const USERS: &str = "user/";

/// Bytes of a salt.
const SALT: usize = 16;
/// Bytes of a password: longer ones only keep the server busy.
const LONGEST_PASSWORD: usize = 1024;

/// Failures in a row after which a name is locked.
const FAILURES: u32 = 5;
/// How long a name is locked, and after how long failures are forgotten: by a clock that does not jump.
const LOCKED: Duration = Duration::from_secs(15 * 60);
/// Names whose failures are remembered. Whoever guesses at more names than this makes others' failures forgotten.
const REMEMBERED: usize = 10_000;

/// Passwords that are hashed at once, for all mounts: each takes 19 MiB and a core.
static HASHING: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(2));

/// The engine of a userpass mount.
pub(super) struct UserPass {
    view: View,
    failures: Mutex<HashMap<String, (u32, Instant)>>,
}

#[derive(Clone, Serialize, Deserialize)]
struct User {
    salt: Vec<u8>,
    hash: Vec<u8>,
    #[serde(flatten)]
    token: TokenSettings,
}

fn refused() -> Fault {
    Fault::invalid("invalid username or password")
}

async fn hashed(password: SecretBytes, salt: Vec<u8>) -> Result<Vec<u8>, Fault> {
    if password.len() > LONGEST_PASSWORD {
        return Err(Fault::invalid(format!("a password has at most {LONGEST_PASSWORD} bytes")));
    }
    let busy = || Fault::new(StatusCode::SERVICE_UNAVAILABLE, "passwords cannot be checked now");
    let _turn = HASHING.acquire().await.map_err(|_| busy())?;
    let hashing = tokio::task::spawn_blocking(move || argon2id_32(password.expose(), &salt).map(|hash| hash.to_vec()));
    hashing.await.map_err(|_| busy())?.map_err(|_| busy())
}

impl UserPass {
    pub(super) fn new(view: View) -> Self {
        Self { view, failures: Mutex::default() }
    }

    async fn user(&self, name: &str) -> Result<Option<User>, Fault> {
        Ok(read(&self.view, &format!("{USERS}{name}")).await?.map(|(user, _)| user))
    }

    /// Whether too many failures came for the name.
    fn is_locked(&self, name: &str) -> bool {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.retain(|_, (_, last)| last.elapsed() < LOCKED);
        failures.get(name).is_some_and(|(count, _)| *count >= FAILURES)
    }

    fn fails(&self, name: &str) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.len() >= REMEMBERED && !failures.contains_key(name) {
            failures.clear();
        }
        let (count, last) = failures.entry(name.to_owned()).or_insert((0, Instant::now()));
        (*count, *last) = (*count + 1, Instant::now());
    }

    async fn log_in(&self, call: &Call<'_>, name: &str) -> Result<Response, Fault> {
        let password = call.request.data.text("password")?.filter(|password| !password.is_empty());
        let password = SecretBytes::from(password.ok_or_else(|| Fault::invalid("missing password"))?);
        if self.is_locked(name) {
            return Err(Fault::bad_token());
        }
        let user = self.user(name).await?;
        // Whoever is not known costs as much as whoever is.
        let (salt, expected) =
            user.as_ref().map_or_else(|| (vec![0; SALT], Vec::new()), |user| (user.salt.clone(), user.hash.clone()));
        let given = hashed(password, salt).await?;
        let Some(user) = user.filter(|_| equal_in_constant_time(&given, &expected)) else {
            self.fails(name);
            return Err(refused());
        };
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
        let login = Login {
            display_name: format!("{}-{name}", call.mount.path.trim_start_matches("auth/").trim_end_matches('/')),
            alias: name.to_owned(),
            metadata: BTreeMap::from([("username".to_owned(), name.to_owned())]),
            bound_cidrs: Vec::new(),
        };
        user.token.log_in(call, login).await
    }

    async fn of_user(&self, call: &Call<'_>, name: &str, rest: &str) -> Result<Response, Fault> {
        let (data, key) = (&call.request.data, format!("{USERS}{name}"));
        let is_write = matches!(call.operation, Operation::Create | Operation::Update);
        let password = data.text("password")?.filter(|password| !password.is_empty()).map(SecretBytes::from);
        match rest {
            "" if call.operation == Operation::Read => {
                Ok(Response::of(self.user(name).await?.ok_or_else(Fault::absent)?.token.shown()))
            }
            "" if call.operation == Operation::Delete => {
                delete(&self.view, vec![key]).await?;
                Ok(Response::empty())
            }
            "" | "password" | "policies" if is_write => {
                let before = self.user(name).await?;
                let (salt, hash, token) = match (before, password) {
                    (Some(user), None) if rest != "password" => (user.salt, user.hash, user.token),
                    (None, None) | (_, None) => return Err(Fault::invalid("missing password")),
                    (before, Some(password)) => {
                        let salt =
                            random_bytes(SALT).ok_or_else(|| Fault::internal("the system gives no randomness"))?;
                        let salt = salt.expose().to_vec();
                        let hash = hashed(password, salt.clone()).await?;
                        (salt, hash, before.map(|user| user.token).unwrap_or_default())
                    }
                };
                let user = User { salt, hash, token: token.changed(data)? };
                write(&self.view, &key, &user).await?;
                Ok(Response::empty())
            }
            _ => Err(Fault::unsupported()),
        }
    }
}

#[async_trait]
impl Engine for UserPass {
    fn is_for_everybody(&self, path: &str, _operation: Operation) -> bool {
        path.starts_with("login/")
    }

    async fn exists(&self, call: &Call<'_>) -> Result<Option<bool>, Fault> {
        match call.path.strip_prefix("users/") {
            Some(name) if !name.contains('/') => Ok(Some(self.user(&name.to_lowercase()).await?.is_some())),
            _ => Ok(None),
        }
    }

    async fn handle(&self, call: &Call<'_>) -> Result<Response, Fault> {
        let is_write = matches!(call.operation, Operation::Create | Operation::Update);
        let path = call.path.trim_end_matches('/');
        match path.split_once('/') {
            None if path == "users" && call.operation == Operation::List => {
                Response::of_names(self.view.list(USERS).await.map_err(of_view)?)
            }
            Some(("login", name)) if is_write && !name.contains('/') => self.log_in(call, &name.to_lowercase()).await,
            Some(("users", rest)) => {
                let (name, rest) = rest.split_once('/').unwrap_or((rest, ""));
                self.of_user(call, &name.to_lowercase(), rest).await
            }
            _ => Err(Fault::unsupported()),
        }
    }
}
