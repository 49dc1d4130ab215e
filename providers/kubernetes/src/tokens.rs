//! Bearer tokens: kept while they last, asked for by one on behalf of all.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use strongroom_failure::{Class, Failure};
use strongroom_provider::Shared;
use strongroom_secret::SecretBytes;

use crate::connection::Token;

/// A token that ends within this time is not used any more: the request that carries it takes time as well.
const MARGIN: Duration = Duration::from_secs(60);

/// How long a token is used that does not tell its end; a refused one is replaced anyway.
const UNKNOWN_LIFETIME: Duration = Duration::from_secs(300);

/// No API server gives longer ones, and a clock cannot overflow on it.
const LONGEST_LIFETIME: Duration = Duration::from_secs(86_400);

/// A token, and when to stop using it.
#[derive(Clone)]
pub(crate) struct Issued {
    pub(crate) secret: SecretBytes,
    until: Instant,
    /// When it was asked for: tells it from its successors.
    since: Instant,
}

/// The tokens of one identity.
pub(crate) struct Tokens {
    source: Token,
    kept: Shared<Issued>,
}

impl Tokens {
    pub(crate) fn new(source: Token) -> Self {
        Self { source, kept: Shared::default() }
    }

    /// Whether a refused token can have a successor.
    pub(crate) fn can_be_replaced(&self) -> bool {
        matches!(self.source, Token::Issued(_))
    }

    /// A token that is good for a while.
    pub(crate) async fn current(&self) -> Result<Issued, Failure> {
        self.kept.get(|token| token.until > Instant::now() + MARGIN, self.ask()).await
    }

    /// A token that was asked for after `refused`, which the server does not accept.
    pub(crate) async fn instead_of(&self, refused: &Issued) -> Result<Issued, Failure> {
        self.kept.get(|token| token.since > refused.since, self.ask()).await
    }

    async fn ask(&self) -> Result<Issued, Failure> {
        let since = Instant::now();
        let source = match &self.source {
            Token::Fixed(secret) => {
                return Ok(Issued { secret: secret.clone(), until: since + LONGEST_LIFETIME, since });
            }
            Token::Issued(source) => source,
        };
        let secret = source.token().await.map_err(|failure| {
            // An account that is missing is no missing secret: nothing may be deleted for it.
            let class = if failure.class == Class::NotFound { Class::Unauthenticated } else { failure.class };
            Failure { class, words: format!("no token of {}: {}", source.describe(), failure.words), ..failure }
        })?;
        let until = since + lifetime(&secret, SystemTime::now());
        Ok(Issued { secret, until, since })
    }
}

#[derive(Deserialize)]
struct Claims {
    exp: u64,
    #[serde(default)]
    iat: u64,
}

/// How long a token lasts from `now` on, as it says itself. Where its issuer's clock is so far off that it seems to
/// have ended, it lasts as long as it was made for.
fn lifetime(token: &SecretBytes, now: SystemTime) -> Duration {
    let claims = || -> Option<Claims> {
        let payload = token.expose_text()?.split('.').nth(1)?;
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
    };
    let Some(Claims { exp, iat }) = claims() else { return UNKNOWN_LIFETIME };
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let whole = exp.saturating_sub(iat);
    let seconds = match exp.saturating_sub(now) {
        0 => whole,
        left => left.min(whole),
    };
    Duration::from_secs(seconds).min(LONGEST_LIFETIME)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use async_trait::async_trait;
    use strongroom_provider::TokenSource;

    use super::*;

    fn jwt(claims: &str) -> SecretBytes {
        SecretBytes::from(format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims)))
    }

    #[test]
    fn a_token_says_how_long_it_lasts() {
        let check = |token: SecretBytes, expected: u64| {
            let now = UNIX_EPOCH + Duration::from_secs(1_000_000);
            assert_eq!(lifetime(&token, now).as_secs(), expected);
        };
        check(jwt(r#"{"iat":1000000,"exp":1000600}"#), 600);
        check(jwt(r#"{"iat":999700,"exp":1000300}"#), 300);
        // Clocks apart.
        check(jwt(r#"{"iat":990000,"exp":990600}"#), 600);
        check(jwt(r#"{"iat":1005000,"exp":1005600}"#), 600);
        check(jwt(r#"{"exp":1000600}"#), 600);
        check(jwt(r#"{"iat":1000000,"exp":99999999999}"#), 86_400);
        check(jwt("{}"), 300);
        check(SecretBytes::from("opaque".to_owned()), 300);
    }

    #[derive(Debug, Default)]
    struct Issuer {
        asked: AtomicUsize,
        fails: bool,
    }

    #[async_trait]
    impl TokenSource for Issuer {
        fn describe(&self) -> String {
            "service account a/b".to_owned()
        }

        async fn token(&self) -> Result<SecretBytes, Failure> {
            let count = self.asked.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(20)).await;
            if self.fails {
                return Err(Failure::new(Class::NotFound, "it does not exist"));
            }
            Ok(SecretBytes::from(format!("token {count}")))
        }
    }

    #[tokio::test]
    async fn one_asks_on_behalf_of_all_and_a_refused_token_is_replaced_once() {
        let issuer = Arc::new(Issuer::default());
        let tokens = Tokens::new(Token::Issued(Arc::clone(&issuer) as Arc<dyn TokenSource>));
        let all = futures_util::future::join_all((0..50).map(|_| tokens.current())).await;
        assert!(all.iter().all(|token| token.as_ref().is_ok_and(|token| token.secret.expose() == b"token 0")));
        let refused = tokens.current().await.unwrap();
        let fresh = futures_util::future::join_all((0..50).map(|_| tokens.instead_of(&refused))).await;
        assert!(fresh.iter().all(|token| token.as_ref().is_ok_and(|token| token.secret.expose() == b"token 1")));
        assert_eq!(issuer.asked.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn those_who_wait_share_a_failure_and_later_ones_ask_again() {
        let issuer = Arc::new(Issuer { fails: true, ..Issuer::default() });
        let tokens = Tokens::new(Token::Issued(Arc::clone(&issuer) as Arc<dyn TokenSource>));
        let all = futures_util::future::join_all((0..50).map(|_| tokens.current())).await;
        let failure = all.into_iter().map(|token| token.map(drop).unwrap_err()).next().unwrap();
        assert_eq!(failure.to_string(), "no token of service account a/b: it does not exist");
        assert_eq!(failure.class, Class::Unauthenticated);
        assert_eq!(issuer.asked.load(Ordering::SeqCst), 1);
        assert!(tokens.current().await.is_err());
        assert_eq!(issuer.asked.load(Ordering::SeqCst), 2);
    }
}
