//! moto, an emulator of AWS: Secrets Manager, Parameter Store, STS, KMS, SQS.

use anyhow::{Result, bail};
use serde_json::Value as Json;

/// A running moto server. It checks no signature: any access key will do, and the region is the one that was signed.
#[derive(Debug)]
pub struct Moto {
    endpoint: String,
}

/// A value for Secrets Manager.
#[derive(Clone, Copy)]
pub enum Value<'a> {
    /// `SecretString`.
    Text(&'a str),
    /// `SecretBinary`.
    Binary(&'a [u8]),
}

/// What Secrets Manager answered when a value was stored.
#[derive(Clone, Debug)]
pub struct Stored {
    /// The secret's full ARN, with the six random characters.
    pub arn: String,
    /// The version's id.
    pub version: String,
}

/// A kind of parameter.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Plain text.
    String,
    /// Encrypted with the account's key.
    SecureString,
    /// Comma-separated.
    StringList,
}

impl Moto {
    /// Starts the server on a free port and waits until it answers.
    ///
    /// # Errors
    /// When the Python environment cannot be prepared or the server does not get ready.
    pub fn start() -> Result<Self> {
        bail!("not built yet")
    }

    /// `http://127.0.0.1:PORT`, as in `AWS_ENDPOINT_URL`.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// `127.0.0.1:PORT`, as the switchboard wants it.
    pub fn host_port(&self) -> &str {
        self.endpoint.trim_start_matches("http://")
    }

    /// Forgets everything that was stored, in every region.
    ///
    /// # Errors
    /// When moto does not answer.
    pub fn reset(&self) -> Result<()> {
        bail!("not built yet")
    }

    /// One call of a JSON service: `call("eu-west-1", "secretsmanager.DeleteSecret", json!({"SecretId": "a"}))`. The
    /// target is the value of `X-Amz-Target`.
    ///
    /// # Errors
    /// When moto does not answer, or answers with an error; the error shows its body.
    pub fn call(&self, _region: &str, _target: &str, _body: &Json) -> Result<Json> {
        bail!("not built yet")
    }

    /// Creates a secret.
    ///
    /// # Errors
    /// As [`Moto::call`]; a name that exists is one.
    pub fn put_secret(&self, _region: &str, _name: &str, _value: Value<'_>) -> Result<Stored> {
        bail!("not built yet")
    }

    /// Adds a version to a secret. With no `stages` it becomes `AWSCURRENT`, and the one before `AWSPREVIOUS`.
    ///
    /// # Errors
    /// As [`Moto::call`]; a name that does not exist is one.
    pub fn put_secret_version(
        &self,
        _region: &str,
        _name: &str,
        _value: Value<'_>,
        _stages: &[&str],
    ) -> Result<Stored> {
        bail!("not built yet")
    }

    /// Creates a parameter or gives it a new value; returns the version's number.
    ///
    /// # Errors
    /// As [`Moto::call`].
    pub fn put_parameter(&self, _region: &str, _name: &str, _kind: Kind, _value: &str) -> Result<u64> {
        bail!("not built yet")
    }

    /// Puts labels on one version of a parameter, taking them from the version that has them.
    ///
    /// # Errors
    /// As [`Moto::call`].
    pub fn label_parameter(&self, _region: &str, _name: &str, _version: u64, _labels: &[&str]) -> Result<()> {
        bail!("not built yet")
    }
}
