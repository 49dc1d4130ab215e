//! Who a token belongs to, as the API server says.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use kube::Client;
use strongroom_crypto::sha256;
use strongroom_failure::{Class, Failure};
use strongroom_jwt::Token;
use strongroom_kamus::Identity;
use strongroom_kube::{may_i, review_token};
use strongroom_secret::SecretBytes;
use tokio::sync::OnceCell;
use tokio::time::Instant;

/// How long an answer of the API server is believed; never beyond the token's own end.
const BELIEVED: Duration = Duration::from_secs(30);

/// Answers that are remembered.
const ANSWERS: usize = 10_000;

/// How long the API server may take.
const LIMIT: Duration = Duration::from_secs(5);

/// Longer texts are no tokens.
const LONGEST_TOKEN: usize = 64 * 1024;

/// Which tokens are taken.
#[derive(Clone, Debug)]
pub(crate) struct Audiences {
    /// Ours.
    pub(crate) own: Vec<String>,
    /// Only ours, and not also those that are meant for the API server: what Kamus took.
    pub(crate) strict: bool,
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Asker {
    /// A service account.
    Account(Identity),
    /// Somebody else whom the API server knows.
    Other,
    /// Nobody whom it knows, or a token that is not meant for us.
    Unknown,
}

/// Asks the API server, and remembers what it said by the hash of the token.
pub(crate) struct Reviews {
    client: Client,
    audiences: Audiences,
    known: Mutex<HashMap<[u8; 32], (Asker, Instant)>>,
    /// Reviews that are under way: a pod that asks for many values at once costs one.
    asked: Mutex<HashMap<[u8; 32], Arc<OnceCell<Asker>>>>,
}

impl Reviews {
    pub(crate) fn new(client: Client, audiences: Audiences) -> Self {
        Self { client, audiences, known: Mutex::default(), asked: Mutex::default() }
    }

    /// Who a token belongs to.
    ///
    /// # Errors
    /// Where the API server does not say.
    pub(crate) async fn asker(&self, token: &SecretBytes) -> Result<Asker, Failure> {
        let hash = sha256(token.expose());
        if let Some(known) = self.known(&hash, Instant::now()) {
            return Ok(known);
        }
        let cell = Arc::clone(locked(&self.asked).entry(hash).or_default());
        let asker = cell.get_or_try_init(|| self.review(token)).await.cloned();
        locked(&self.asked).remove(&hash);
        let asker = asker?;
        if let Some(until) = believed_until(token, Instant::now(), Timestamp::now()) {
            self.remember(hash, asker.clone(), until);
        }
        Ok(asker)
    }

    fn known(&self, hash: &[u8; 32], now: Instant) -> Option<Asker> {
        locked(&self.known).get(hash).filter(|(_, until)| now < *until).map(|(asker, _)| asker.clone())
    }

    fn remember(&self, hash: [u8; 32], asker: Asker, until: Instant) {
        // Whoever makes tokens up must not push out those that are good, nor fill the memory.
        if asker == Asker::Unknown {
            return;
        }
        let mut known = locked(&self.known);
        if known.len() >= ANSWERS {
            let now = Instant::now();
            known.retain(|_, (_, until)| now < *until);
            if known.len() >= ANSWERS {
                known.clear();
            }
        }
        known.insert(hash, (asker, until));
    }

    async fn review(&self, token: &SecretBytes) -> Result<Asker, Failure> {
        let Some(text) = token.expose_text().filter(|text| text.len() <= LONGEST_TOKEN) else {
            return Ok(Asker::Unknown);
        };
        let Some(audiences) = self.audiences.for_token(text) else { return Ok(Asker::Unknown) };
        let late =
            || Failure::new(Class::Unavailable, format!("the API server did not answer within {} s", LIMIT.as_secs()));
        let owner = tokio::time::timeout(LIMIT, review_token(&self.client, token, audiences)).await;
        let owner = owner.map_err(|_| late())??;
        Ok(owner.map_or(Asker::Unknown, |owner| Identity::of_user(&owner.user).map_or(Asker::Other, Asker::Account)))
    }

    /// Whether the API server would answer reviews: what Kamus' `isAlive` says.
    pub(crate) async fn may_review(&self) -> bool {
        let asked = may_i(&self.client, "create", "authentication.k8s.io", "tokenreviews");
        matches!(tokio::time::timeout(LIMIT, asked).await, Ok(Ok(true)))
    }
}

impl Audiences {
    /// The audiences to review a token for, none for the API server's own; nothing where the token cannot be good.
    /// What it says of itself is believed only in the choice of the question.
    fn for_token(&self, token: &str) -> Option<&[String]> {
        let meant = Token::parse(token).ok();
        let meant_for: Vec<&str> = meant.as_ref().map(|token| token.unproved().texts("aud")).unwrap_or_default();
        let is_ours = meant_for.iter().any(|audience| self.own.iter().any(|own| own == audience));
        match (is_ours, self.strict) {
            (true, _) => Some(&self.own),
            (false, false) => Some(&[]),
            // A token that is none of ours to read, such as one of a webhook authenticator, says nothing of audiences.
            (false, true) => meant.is_none().then_some(self.own.as_slice()),
        }
    }
}

/// Until when what was said of a token is believed; nothing where it is over already.
fn believed_until(token: &SecretBytes, now: Instant, time: Timestamp) -> Option<Instant> {
    let ends = token.expose_text().and_then(|text| Token::parse(text).ok()?.unproved().moment("exp"));
    let left = match ends {
        None => BELIEVED,
        Some(ends) => Duration::from_secs(u64::try_from(ends - time.as_second()).ok()?).min(BELIEVED),
    };
    (!left.is_zero()).then(|| now + left)
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_reviewed_for_the_audience_that_it_names() {
        // Headers and claims alone; nothing believes them.
        let token = |claims: &str| format!("eyJhbGciOiJSUzI1NiJ9.{}.c2ln", encode(claims));
        let check = |strict: bool, token: &str, expected: Option<&[&str]>| {
            let audiences = Audiences { own: vec!["kamus".to_owned()], strict };
            let asked = audiences.for_token(token).map(|asked| asked.iter().map(String::as_str).collect::<Vec<_>>());
            assert_eq!(asked.as_deref(), expected, "{strict} {token}");
        };
        for strict in [false, true] {
            check(strict, &token(r#"{"aud":["kamus"]}"#), Some(&["kamus"]));
            check(strict, &token(r#"{"aud":"kamus"}"#), Some(&["kamus"]));
        }
        check(false, &token(r#"{"aud":["https://kubernetes.default.svc"]}"#), Some(&[]));
        check(true, &token(r#"{"aud":["https://kubernetes.default.svc"]}"#), None);
        check(false, "opaque", Some(&[]));
        check(true, "opaque", Some(&["kamus"]));
    }

    #[tokio::test(start_paused = true)]
    async fn no_answer_is_believed_beyond_the_tokens_end() {
        let (now, time) = (Instant::now(), Timestamp::from_second(1_000).unwrap());
        let check = |claims: &str, expected: Option<u64>| {
            let token = SecretBytes::from(format!("eyJhbGciOiJSUzI1NiJ9.{}.c2ln", encode(claims)));
            let until = believed_until(&token, now, time).map(|until| (until - now).as_secs());
            assert_eq!(until, expected, "{claims}");
        };
        check(r#"{"exp":2000}"#, Some(30));
        check(r#"{"exp":1010}"#, Some(10));
        check(r#"{"exp":1000}"#, None);
        check(r#"{"exp":900}"#, None);
        check("{}", Some(30));
    }

    fn encode(text: &str) -> String {
        use base64::Engine as _;
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text)
    }
}
