use std::fmt;

use async_trait::async_trait;
use strongroom_failure::Failure;
use strongroom_provider::SecretBytes;

/// Somebody on AWS who can prove who they are without giving anything away: by a request to AWS's token service that is
/// signed and not sent. Vault sends it in their place, and AWS tells Vault whose signature it is.
#[async_trait]
pub trait AwsCaller: Send + Sync + fmt::Debug {
    /// Who it is, in people's words: `role arn:… assumed by …`.
    fn describe(&self) -> String;

    /// A request `sts:GetCallerIdentity` with `headers` among its own, all of them signed.
    ///
    /// # Errors
    /// Why there are no credentials to sign with.
    async fn sign(&self, headers: &[(&str, &str)]) -> Result<SignedRequest, Failure>;
}

/// A request that is signed and not sent. For some minutes, whoever has it can pass for its signer.
#[derive(Clone, Debug)]
pub struct SignedRequest {
    /// `POST`.
    pub method: String,
    /// Where it would be sent.
    pub url: String,
    /// Names and values, the signature among them; `Host` apart, which is the URL's.
    pub headers: Vec<(String, SecretBytes)>,
    /// What would be sent.
    pub body: String,
}
