//! Access tokens: kept while they last, asked for by one on behalf of all.

use std::sync::Arc;
use std::time::{Duration, Instant};

use strongroom_failure::{Class, Failure};
use strongroom_http::Client;
use strongroom_provider::{Meter, Outcome, Shared};
use strongroom_secret::SecretBytes;

use crate::credentials::Source;
use crate::grants::{self, Grant};
use crate::metadata::Metadata;

/// A token that ends within this time is not used any more: the call that carries it takes time as well. Shorter than
/// the 4 minutes before its end at which Google's metadata server replaces a token, so that a new one is there.
const MARGIN: Duration = Duration::from_secs(60);

/// What proves to Google who asks.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub(crate) secret: SecretBytes,
    pub(crate) until: Instant,
    /// When it was asked for: tells it from its successors, which may have the same text.
    since: Instant,
}

/// The tokens of one identity.
pub(crate) struct Tokens {
    source: Source,
    client: Client,
    metadata: Metadata,
    kept: Shared<Token>,
    meter: Arc<Meter>,
}

impl Tokens {
    pub(crate) fn new(source: Source, client: Client, metadata: Metadata, meter: Arc<Meter>) -> Self {
        Self { source, client, metadata, kept: Shared::default(), meter }
    }

    /// Who asks, in people's words.
    pub(crate) fn identity(&self) -> String {
        self.source.describe(self.metadata.host())
    }

    /// A token that is good for a while.
    pub(crate) async fn current(&self) -> Result<Token, Failure> {
        self.kept.get(|token| token.until > Instant::now() + MARGIN, self.ask()).await
    }

    /// A token that was asked for after `refused`, which the store does not accept.
    pub(crate) async fn instead_of(&self, refused: &Token) -> Result<Token, Failure> {
        self.kept.get(|token| token.since > refused.since, self.ask()).await
    }

    async fn ask(&self) -> Result<Token, Failure> {
        let since = Instant::now();
        let grant = Box::pin(grants::ask(&self.source, &self.client, &self.metadata)).await;
        self.meter.record(self.source.operation(), if grant.is_ok() { Outcome::Answered } else { Outcome::Failed });
        let Grant { token, lifetime } = grant.map_err(|failure| {
            let words = format!("no access token as {}: {}", self.identity(), failure.words);
            // A service account that is missing says nothing about secrets: what was delivered must stay.
            let class = if failure.class == Class::NotFound { Class::Unauthenticated } else { failure.class };
            Failure { class, words, ..failure }
        })?;
        Ok(Token { secret: token, until: since + lifetime, since })
    }
}
