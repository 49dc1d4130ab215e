//! Texts in, values out, for the account that asks.

use std::sync::Arc;
use std::time::Instant;

use strongroom_crypto::sha256;
use strongroom_failure::{Class, Failure};
use strongroom_http::{HeaderValue, Method, Received, Reply, StatusCode, header};
use strongroom_kamus::{Identity, Text};
use strongroom_secret::SecretBytes;

use crate::meters::Meters;
use crate::rates::Rates;
use crate::reviews::{Asker, Reviews};
use crate::ring::Latest;
use crate::trail::{Asked, Recording};
use crate::wire::{Decryption, FAILED, INCOMPLETE_DECRYPTION, bearer, failed, text, typed, words};

/// Answers the decryptor's requests.
pub(crate) struct Decryptor {
    pub(crate) keys: Arc<Latest>,
    pub(crate) reviews: Reviews,
    pub(crate) rates: Rates,
    pub(crate) trail: Option<Recording>,
    pub(crate) meters: Meters,
}

impl Decryptor {
    pub(crate) async fn handle(self: Arc<Self>, received: Received) -> Reply {
        let began = Instant::now();
        let (method, path) = (received.method.clone(), received.uri.path().to_owned());
        let reply = match (method, path.as_str()) {
            (Method::POST, "/api/v1/decrypt") => self.decrypt(&received).await,
            (Method::GET, "/api/v1/isAlive") => {
                typed("application/json; charset=utf-8", self.reviews.may_review().await.to_string())
            }
            (Method::GET, "/") => words(StatusCode::OK, "welcome"),
            (_, "/api/v1/decrypt" | "/api/v1/isAlive" | "/") => words(StatusCode::METHOD_NOT_ALLOWED, ""),
            _ => words(StatusCode::NOT_FOUND, ""),
        };
        self.meters.answered(&path, reply.status, began.elapsed());
        reply
    }

    /// In Kamus' order: who nobody knows is told nothing of the body, and a bad body is told before who asks is judged.
    async fn decrypt(&self, received: &Received) -> Reply {
        let Some(token) = bearer(&received.headers) else { return unauthorized() };
        let asker = match self.reviews.asker(&token).await {
            Ok(Asker::Unknown) => return unauthorized(),
            Ok(asker) => asker,
            Err(failure) => {
                tracing::error!(%failure, hint = failure.hint, "an asker cannot be identified");
                return unanswered(&failure);
            }
        };
        let body: Option<Decryption> = serde_json::from_slice(received.body.expose()).ok();
        let Some(encrypted) = body.and_then(|body| body.data) else {
            return words(StatusCode::BAD_REQUEST, INCOMPLETE_DECRYPTION);
        };
        let Asker::Account(identity) = asker else { return words(StatusCode::FORBIDDEN, "") };
        if let Err(pause) = self.rates.take(&identity, tokio::time::Instant::now()) {
            self.meters.decrypted(identity.namespace(), "throttled");
            return throttled(pause);
        }
        self.decrypted(received, &token, &identity, &encrypted).await
    }

    async fn decrypted(&self, received: &Received, token: &SecretBytes, identity: &Identity, encrypted: &str) -> Reply {
        let opened = self.keys.decrypt(encrypted, identity).await;
        let failure = opened.as_ref().err();
        let outcome = match failure.map(|failure| failure.class) {
            None => "done",
            Some(Class::Invalid | Class::NotFound) => "refused",
            Some(_) => "failed",
        };
        self.meters.decrypted(identity.namespace(), outcome);
        if let Some(trail) = &self.trail {
            let key = match Text::read(encrypted) {
                Ok(Text::Sealed(sealed)) => sealed.key().to_string(),
                _ => String::new(),
            };
            let error = failure.map(ToString::to_string).unwrap_or_default();
            let digest = hexadecimal(&sha256(encrypted.trim().as_bytes()));
            let peer = received.peer.address;
            let asked = Asked { identity, token, peer, key: &key, digest: &digest, error: &error };
            if let Err(failure) = trail.record(&asked).await {
                return failed(&failure);
            }
        }
        match opened {
            Ok(value) => text(StatusCode::OK, value),
            Err(failure) => {
                if outcome == "failed" {
                    tracing::error!(%failure, hint = failure.hint, account = %identity, "a text cannot be decrypted");
                }
                failed(&failure)
            }
        }
    }
}

fn unauthorized() -> Reply {
    words(StatusCode::UNAUTHORIZED, "")
}

/// Kamus answered 500; a client that tries again is served sooner by what says so.
fn unanswered(failure: &Failure) -> Reply {
    let mut reply = words(StatusCode::SERVICE_UNAVAILABLE, &format!("{FAILED}: {failure}"));
    reply.headers.push((header::RETRY_AFTER, HeaderValue::from_static("1")));
    reply
}

fn throttled(pause: std::time::Duration) -> Reply {
    let mut reply = words(StatusCode::TOO_MANY_REQUESTS, "this service account decrypts too often; try again later");
    let seconds = pause.as_secs_f64().ceil().max(1.0);
    if let Ok(seconds) = HeaderValue::try_from(format!("{seconds:.0}")) {
        reply.headers.push((header::RETRY_AFTER, seconds));
    }
    reply
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
