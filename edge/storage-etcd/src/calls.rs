//! Calling etcd: its JSON gateway, which every member serves beside gRPC (etcd's "gRPC gateway", `/v3/…`).

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use strongroom_failure::Failure;
use strongroom_http::{
    Cause, Client, Request, Response, Settings as HttpSettings, StatusCode, Timeouts, json_body, secret_header,
};
use strongroom_secret::SecretBytes;
use strongroom_storage::StorageError;

use crate::Settings;

/// How long a member may take before the next one is asked.
const TIMES: Timeouts =
    Timeouts { connect: Duration::from_secs(3), wait: Duration::from_secs(10), total: Duration::from_secs(20) };

/// The largest answer: a page of records of the largest size, in base64.
const LARGEST: usize = 128 << 20;

/// gRPC's codes, which the gateway hands on.
const RESOURCE_EXHAUSTED: u64 = 8;
const UNAUTHENTICATED: u64 = 16;

/// What a call that broke off may have left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Nothing: it may be made again.
    None,
    /// A change.
    Change,
}

/// The members of a cluster, and how they are asked.
pub(crate) struct Calls {
    client: Client,
    endpoints: Vec<String>,
    /// The one that answered last.
    current: AtomicUsize,
    login: Option<(String, SecretBytes)>,
    token: RwLock<Option<SecretBytes>>,
}

impl Calls {
    pub(crate) fn new(settings: Settings) -> Result<Self, Failure> {
        let Settings { endpoints, tls, login, .. } = settings;
        let http = HttpSettings { tls, timeouts: TIMES, body_limit: LARGEST, ..HttpSettings::default() };
        let endpoints = endpoints.iter().map(|endpoint| endpoint.trim_end_matches('/').to_owned()).collect();
        let (current, token) = (AtomicUsize::new(0), RwLock::default());
        Ok(Self { client: Client::new(http)?, endpoints, current, login, token })
    }

    /// Calls the first member that answers, beginning with the one that did last.
    pub(crate) async fn call(&self, method: &str, body: &Value, effect: Effect) -> Result<Value, StorageError> {
        let mut last = unavailable("no endpoint of etcd is named");
        for attempt in 0..self.endpoints.len() {
            let place = (self.current.load(Ordering::Relaxed) + attempt) % self.endpoints.len();
            let Some(endpoint) = self.endpoints.get(place) else { break };
            match self.authorised(endpoint, method, body, effect).await {
                Ok(answer) => {
                    self.current.store(place, Ordering::Relaxed);
                    return Ok(answer);
                }
                // Nothing happened there; another member may do better.
                Err(error @ StorageError::Unavailable(_)) => last = error,
                Err(error) => return Err(error),
            }
        }
        Err(last)
    }

    /// Logs in where etcd wants that, and anew where the token is over.
    async fn authorised(
        &self,
        endpoint: &str,
        method: &str,
        body: &Value,
        effect: Effect,
    ) -> Result<Value, StorageError> {
        if self.login.is_some() && self.token().is_none() {
            self.log_in(endpoint).await?;
        }
        let response = self.send(endpoint, method, body, effect).await?;
        if self.login.is_some() && code_of(&response) == UNAUTHENTICATED {
            self.log_in(endpoint).await?;
            return answer(&self.send(endpoint, method, body, effect).await?, effect);
        }
        answer(&response, effect)
    }

    fn token(&self) -> Option<SecretBytes> {
        self.token.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn log_in(&self, endpoint: &str) -> Result<(), StorageError> {
        let Some((name, password)) = &self.login else { return Ok(()) };
        let body = json!({"name": name, "password": password.expose_text().unwrap_or_default()});
        *self.token.write().unwrap_or_else(PoisonError::into_inner) = None;
        let response = self.send(endpoint, "auth/authenticate", &body, Effect::None).await?;
        let answer = answer(&response, Effect::None)?;
        let token = answer["token"].as_str().ok_or_else(|| unavailable("etcd gave no token"))?;
        *self.token.write().unwrap_or_else(PoisonError::into_inner) = Some(SecretBytes::from(token.to_owned()));
        Ok(())
    }

    async fn send(&self, endpoint: &str, method: &str, body: &Value, effect: Effect) -> Result<Response, StorageError> {
        let failed = |error: &dyn std::fmt::Display| unavailable(&error.to_string());
        let body = json_body(body).map_err(|error| failed(&error))?;
        let mut request = Request::post(format!("{endpoint}/v3/{method}")).header("content-type", "application/json");
        if let Some(token) = self.token() {
            request = request.header("authorization", secret_header("", &token).map_err(|error| failed(&error))?);
        }
        let request = request.body(body).map_err(|error| failed(&error))?;
        self.client.send(request).await.map_err(|error| match (error.cause(), effect) {
            // The member may have done it.
            (Cause::Timeout | Cause::Cut, Effect::Change) => StorageError::Unknown(error.to_string().into()),
            _ => failed(&error),
        })
    }
}

fn code_of(response: &Response) -> u64 {
    if response.status.is_success() {
        return 0;
    }
    response.json::<Value>().ok().and_then(|answer| answer["code"].as_u64()).unwrap_or_default()
}

/// What was answered, or why it was not done.
fn answer(response: &Response, effect: Effect) -> Result<Value, StorageError> {
    let answer: Value = match response.json() {
        Ok(answer) => answer,
        Err(error) if response.status.is_success() => return Err(unknown(effect, &error.to_string())),
        Err(_) => return Err(unknown(effect, &format!("etcd answered {}", response.status))),
    };
    if response.status == StatusCode::OK {
        return Ok(answer);
    }
    let words = answer["message"].as_str().or_else(|| answer["error"].as_str()).unwrap_or("an error without words");
    let words: String = words.chars().take(256).collect();
    let code = answer["code"].as_u64().unwrap_or_default();
    Err(match words.as_str() {
        full if full.contains("space exceeded") => StorageError::Full,
        // Before it was proposed to the others.
        lost if lost.contains("no leader") || lost.contains("not leader") => unavailable(&words),
        _ if code == RESOURCE_EXHAUSTED || code == UNAUTHENTICATED => unavailable(&words),
        _ => unknown(effect, &words),
    })
}

fn unknown(effect: Effect, words: &str) -> StorageError {
    match effect {
        Effect::None => unavailable(words),
        Effect::Change => StorageError::Unknown(words.into()),
    }
}

pub(crate) fn unavailable(words: &str) -> StorageError {
    StorageError::Unavailable(words.into())
}

/// Bytes as the gateway has them.
pub(crate) fn encoded(bytes: impl AsRef<[u8]>) -> String {
    STANDARD.encode(bytes)
}

/// Bytes of an answer; a member that is absent is empty, as protobuf has it.
pub(crate) fn decoded(value: &Value) -> Result<Vec<u8>, StorageError> {
    let damaged = |_| StorageError::Damaged("etcd answered with something else than base64".into());
    value.as_str().map_or_else(|| Ok(Vec::new()), |text| STANDARD.decode(text).map_err(damaged))
}

/// A number of an answer, which JSON has as a text; 0 where it is absent.
pub(crate) fn number(value: &Value) -> u64 {
    value.as_str().and_then(|text| text.parse().ok()).or_else(|| value.as_u64()).unwrap_or_default()
}
