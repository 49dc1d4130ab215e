//! The root key under a key of AWS KMS: nobody but KMS can unwrap it, and each time it does is in CloudTrail.

use std::sync::Arc;

use async_trait::async_trait;
use strongroom_aws::{Endpoints, Session, Settings};
use strongroom_failure::Failure;
use strongroom_secret::SecretBytes;

use crate::seal::Seal;

/// The root key is wrapped for this alone: KMS gives it to nobody who does not say so, and CloudTrail shows it.
const CONTEXT: [(&str, &str); 1] = [("strongroom", "seal")];

/// A key of KMS, used with the machine's or the pod's own credentials.
pub(crate) struct AwsKms {
    key: String,
    endpoint: Option<String>,
}

impl AwsKms {
    /// The key by id, ARN or alias; `endpoint` for emulators and private endpoints.
    pub(crate) fn new(key: String, endpoint: Option<String>) -> Self {
        Self { key, endpoint }
    }

    /// The store is opened seldom: credentials are loaded when it is, and not kept.
    fn session(&self) -> Result<Session, Failure> {
        let endpoints = Endpoints { kms: self.endpoint.clone(), ..Endpoints::default() };
        Session::new(Settings { endpoints, ..Settings::default() }, Arc::default())
    }
}

#[async_trait]
impl Seal for AwsKms {
    fn kind(&self) -> &'static str {
        "awskms"
    }

    async fn wrap(&self, root: &SecretBytes) -> Result<Vec<u8>, Failure> {
        self.session()?.wrap_with_key(&self.key, &CONTEXT, root).await
    }

    async fn unwrap(&self, wrapped: &[u8]) -> Result<SecretBytes, Failure> {
        self.session()?.unwrap_with_key(&self.key, &CONTEXT, wrapped).await
    }
}
