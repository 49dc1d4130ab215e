use async_trait::async_trait;
use strongroom_failure::Failure;
use strongroom_secret::SecretBytes;

/// Short-lived tokens that somebody else issues (a service account's, from the API server), asked for when a login
/// needs one.
#[async_trait]
pub trait TokenSource: Send + Sync + std::fmt::Debug {
    /// Where the token comes from, in people's words: `service account team-a/app (audience vault)`.
    fn describe(&self) -> String;

    /// A token that is valid now and for some minutes.
    ///
    /// # Errors
    /// Why there is none: `Denied` where we may not ask for it, `NotFound` where the account is missing.
    async fn token(&self) -> Result<SecretBytes, Failure>;
}
