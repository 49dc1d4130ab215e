use std::sync::Arc;
use std::time::Instant;

use strongroom_failure::Failure;
use strongroom_http::Client;
use strongroom_provider::Meter;
use strongroom_secret::SecretBytes;

use crate::credentials::Source;
use crate::metadata::Metadata;
use crate::settings::Settings;
use crate::tokens::Tokens;

/// The largest answer of a token service, in bytes: tokens are a few KiB.
const BODY_LIMIT: usize = 64 * 1024;

/// Access tokens of one identity, for services of Google's other than its stores: registries of images take them as the
/// password of the user `oauth2accesstoken`.
pub struct AccessTokens {
    tokens: Tokens,
    is_of_machine: bool,
}

/// A token for everything in Google's cloud that its identity may do.
#[derive(Clone, Debug)]
pub struct AccessToken {
    /// The token.
    pub secret: SecretBytes,
    /// When it ends; a minute from now at the earliest.
    pub ends: Instant,
}

impl AccessTokens {
    /// Tokens of the identity of `settings`: reads the credentials' file, asks nothing of the network.
    ///
    /// # Errors
    /// Where a setting or the credentials cannot be used; the field says which.
    pub fn open(settings: &Settings, meter: Arc<Meter>) -> Result<Self, Failure> {
        settings.validate()?;
        let client = Client::new(settings.client(BODY_LIMIT)?)?;
        let metadata = Metadata::new(settings.metadata_host())?;
        let source = Source::find(settings)?.source;
        let is_of_machine = matches!(source, Source::Metadata);
        Ok(Self { tokens: Tokens::new(source, client, metadata, meter), is_of_machine })
    }

    /// Whether it is the identity that the metadata server tells, which there may be none of: not one that somebody set
    /// up.
    pub fn is_of_machine(&self) -> bool {
        self.is_of_machine
    }

    /// A token that is good for a while; asked for anew only when the last one ends.
    ///
    /// # Errors
    /// Where the identity gets no token; the words name it.
    pub async fn current(&self) -> Result<AccessToken, Failure> {
        let token = self.tokens.current().await?;
        Ok(AccessToken { secret: token.secret, ends: token.until })
    }
}
