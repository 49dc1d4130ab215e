//! A stand-in for Google Secret Manager v1 and the token services around it, written from the public REST description.

use std::path::Path;

use anyhow::{Result, bail};

use crate::certificates::Authority;

/// A running stand-in: Secret Manager, OAuth, STS, IAM credentials and a metadata server.
///
/// Everything that Google serves over TLS it serves over TLS, with a certificate of its own authority for `localhost`,
/// `127.0.0.1` and `*.googleapis.com`; the metadata server is plain HTTP as Google's. Nothing can be read without a
/// token that it gave out and that has not expired.
pub struct GoogleStandIn {
    authority: Authority,
}

impl GoogleStandIn {
    /// Starts it on free ports.
    ///
    /// # Errors
    /// When no port is free.
    pub fn start() -> Result<Self> {
        bail!("not built yet")
    }

    /// `https://127.0.0.1:PORT`: Secret Manager, `/token` (OAuth), `/v1/token` (STS) and IAM credentials.
    pub fn endpoint(&self) -> &str {
        ""
    }

    /// `127.0.0.1:PORT` of the same services without TLS, for `Switchboard::with_tls(google.host_port(),
    /// google.authority())`.
    pub fn host_port(&self) -> &str {
        ""
    }

    /// The authority that signed its certificate.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// That authority's certificate as a PEM file.
    pub fn certificate_file(&self) -> &Path {
        self.authority.certificate_file()
    }

    /// `127.0.0.1:PORT`, as in `GCE_METADATA_HOST`.
    pub fn metadata_host(&self) -> &str {
        ""
    }

    /// The project that the metadata server and the service account name.
    pub fn project(&self) -> &str {
        "strongroom-test"
    }

    /// Adds a version to a secret, which is made if need be; returns the version's number.
    pub fn put(&self, _project: &str, _secret: &str, _value: &[u8]) -> u64 {
        0
    }

    /// The same for a regional secret, `projects/P/locations/L/secrets/S`.
    pub fn put_regional(&self, _project: &str, _location: &str, _secret: &str, _value: &[u8]) -> u64 {
        0
    }

    /// Disables a version: reading it fails with FAILED_PRECONDITION.
    ///
    /// # Errors
    /// When there is no such version.
    pub fn disable(&self, _project: &str, _secret: &str, _version: u64) -> Result<()> {
        bail!("not built yet")
    }

    /// Destroys a version: its value is gone, and reading it fails with FAILED_PRECONDITION.
    ///
    /// # Errors
    /// When there is no such version.
    pub fn destroy(&self, _project: &str, _secret: &str, _version: u64) -> Result<()> {
        bail!("not built yet")
    }

    /// Gives a version an alias, taking it from the version that has it.
    ///
    /// # Errors
    /// When there is no such version.
    pub fn alias(&self, _project: &str, _secret: &str, _alias: &str, _version: u64) -> Result<()> {
        bail!("not built yet")
    }

    /// From now on answers PERMISSION_DENIED for this secret, whether it exists or not.
    pub fn deny(&self, _project: &str, _secret: &str) {}

    /// Takes [`GoogleStandIn::deny`] back.
    pub fn allow(&self, _project: &str, _secret: &str) {}

    /// From now on answers reads of this secret with a checksum that does not fit its value.
    pub fn corrupt(&self, _project: &str, _secret: &str) {}

    /// Every token given out so far stops working: UNAUTHENTICATED.
    pub fn expire_tokens(&self) {}

    /// Tokens given out so far, by every way.
    pub fn tokens_issued(&self) -> usize {
        0
    }

    /// A service account's key file (JSON) whose `token_uri` is this stand-in.
    pub fn service_account_file(&self) -> &Path {
        Path::new("")
    }

    /// A user's credentials (JSON, `authorized_user`) whose `token_uri` is this stand-in.
    pub fn authorized_user_file(&self) -> &Path {
        Path::new("")
    }

    /// Workload identity federation (JSON, `external_account`): the subject token comes from a file, is exchanged at
    /// `/v1/token`, and the result is used as it is.
    pub fn external_account_file(&self) -> &Path {
        Path::new("")
    }

    /// The same with service-account impersonation through IAM credentials.
    pub fn impersonating_account_file(&self) -> &Path {
        Path::new("")
    }
}
