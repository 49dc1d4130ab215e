//! Access tokens: kept while they last, asked for by one on behalf of all.

use std::sync::Arc;
use std::time::{Duration, Instant};

use strongroom_failure::{Class, Failure};
use strongroom_provider::{Meter, Outcome, Shared};
use strongroom_secret::SecretBytes;

use crate::login::{Grant, Login};

/// A token that ends within this time is not used any more: the call that carries it takes time as well.
const MARGIN: Duration = Duration::from_secs(60);

/// What proves to a vault or registry who asks.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub(crate) secret: SecretBytes,
    until: Instant,
    /// When it was asked for: tells it from its successors, which may have the same text.
    since: Instant,
}

/// The tokens of one identity for one resource.
pub(crate) struct Tokens {
    login: Arc<Login>,
    kept: Shared<Token>,
    meter: Arc<Meter>,
}

impl Tokens {
    pub(crate) fn new(login: Arc<Login>, meter: Arc<Meter>) -> Self {
        Self { login, kept: Shared::default(), meter }
    }

    /// Who asks, in people's words.
    pub(crate) fn identity(&self) -> String {
        self.login.describe()
    }

    /// A token for `resource` that is good for a while.
    pub(crate) async fn current(&self, resource: &str) -> Result<Token, Failure> {
        self.kept.get(|token| token.until > Instant::now() + MARGIN, self.ask(resource)).await
    }

    /// A token that was asked for after `refused`, which the vault does not accept.
    pub(crate) async fn instead_of(&self, refused: &Token, resource: &str) -> Result<Token, Failure> {
        self.kept.get(|token| token.since > refused.since, self.ask(resource)).await
    }

    async fn ask(&self, resource: &str) -> Result<Token, Failure> {
        let since = Instant::now();
        let grant = Box::pin(self.login.ask(resource)).await;
        self.meter.record(self.login.operation(), if grant.is_ok() { Outcome::Answered } else { Outcome::Failed });
        let Grant { token, lifetime } = grant.map_err(|failure| {
            let words = format!("no access token as {}: {}", self.identity(), failure.words);
            // A service account that is missing says nothing about secrets: what was delivered must stay.
            let class = if failure.class == Class::NotFound { Class::Unauthenticated } else { failure.class };
            Failure { class, words, ..failure }
        })?;
        Ok(Token { secret: token, until: since + lifetime, since })
    }
}
