//! A private certificate authority, as companies have them: no program trusts it until it is told to.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use rcgen::{KeyUsagePurpose, PKCS_ECDSA_P256_SHA256};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;

use crate::cache::RunFolder;

/// A private certificate authority with a key of its own; what it issued is valid for as long as the test runs.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    directory: RunFolder,
    file: PathBuf,
}

impl Authority {
    /// Makes a new authority, unlike any other.
    ///
    /// # Errors
    /// When its certificate cannot be written to a temporary directory.
    pub fn new() -> Result<Self> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "Test World Authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages =
            vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?)?;
        let directory = RunFolder::new().context("cannot make a directory for the authority's certificate")?;
        let file = directory.path().join("authority.pem");
        write(&file, issuer.pem().as_bytes())?;
        Ok(Self { issuer, directory, file })
    }

    /// The authority's certificate as a PEM file, for `--ca-file`, `SSL_CERT_FILE`, `AWS_CA_BUNDLE` and the like. It
    /// is there as long as the authority is.
    pub fn certificate_file(&self) -> &Path {
        &self.file
    }

    /// The authority's certificate as PEM text.
    pub fn certificate_pem(&self) -> String {
        self.issuer.pem()
    }

    /// A server certificate for `names` (host names and IP addresses) and its key, both as PEM text.
    ///
    /// # Errors
    /// When a name is neither an address nor a host name.
    pub fn issue(&self, names: &[&str]) -> Result<(String, String)> {
        let (certificate, key) = self.sign(names)?;
        Ok((certificate.pem(), key.serialize_pem()))
    }

    /// A certificate for a client called `name`, and its key, both as PEM text.
    ///
    /// # Errors
    /// When `name` is no host name.
    pub fn issue_client(&self, name: &str) -> Result<(String, String)> {
        let (certificate, key) = self.sign_for(&[name], name, ExtendedKeyUsagePurpose::ClientAuth)?;
        Ok((certificate.pem(), key.serialize_pem()))
    }

    /// [`Authority::issue`], written to two PEM files beside the authority's own: certificate, key.
    ///
    /// # Errors
    /// As [`Authority::issue`], and when a file cannot be written.
    pub fn issue_files(&self, names: &[&str]) -> Result<(PathBuf, PathBuf)> {
        let (certificate, key) = self.sign(names)?;
        let directory = tempfile::tempdir_in(self.directory.path())?.keep();
        let (certificate_file, key_file) = (directory.join("certificate.pem"), directory.join("key.pem"));
        write(&certificate_file, certificate.pem().as_bytes())?;
        write(&key_file, key.serialize_pem().as_bytes())?;
        Ok((certificate_file, key_file))
    }

    /// TLS settings of a server that answers to `names`, HTTP/1.1 only.
    ///
    /// # Errors
    /// As [`Authority::issue`].
    pub fn server_config(&self, names: &[&str]) -> Result<Arc<ServerConfig>> {
        let (certificate, key) = self.sign(names)?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(anyhow::Error::msg)?;
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }

    fn sign(&self, names: &[&str]) -> Result<(rcgen::Certificate, KeyPair)> {
        self.sign_for(names, "Test World", ExtendedKeyUsagePurpose::ServerAuth)
    }

    fn sign_for(
        &self,
        names: &[&str],
        common_name: &str,
        purpose: ExtendedKeyUsagePurpose,
    ) -> Result<(rcgen::Certificate, KeyPair)> {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.extended_key_usages = vec![purpose];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        Ok((params.signed_by(&key, &self.issuer)?, key))
    }
}

fn write(file: &Path, bytes: &[u8]) -> Result<()> {
    use std::io::Write as _;
    let written = std::fs::File::create(file).and_then(|mut file| file.write_all(bytes));
    written.with_context(|| format!("cannot write {}", file.display()))
}
