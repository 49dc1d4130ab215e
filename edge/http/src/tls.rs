use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, OtherError, RootCertStore, SignatureScheme,
};
use rustls_native_certs::{CertificateResult, load_certs_from_paths, load_native_certs};
use serde::{Deserialize, Deserializer};
use strongroom_crypto::sha1;
use strongroom_secret::SecretBytes;

use crate::{Cause, Error};

/// The largest file that is read, in bytes; the system's authorities have a quarter of a megabyte.
const LARGEST_FILE: u64 = 16 << 20;

/// Whom to trust and who we are, for https. Files are read when the first https connection is made, not before.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct TlsSettings {
    /// Who signs certificates that are trusted.
    pub roots: Roots,
    /// A certificate of our own, for servers that ask for one.
    pub client: Option<ClientCertificate>,
    /// The name that the server's certificate must carry, where it is not the host in the address.
    pub server_name: Option<String>,
    /// Trust any certificate: anyone on the way can read everything. Only where a person asked for it by name.
    pub insecure_skip_verify: bool,
    /// The one certificate that the server may show, besides being trusted: its SHA-1 fingerprint as `AA:BB:…`.
    #[serde(skip)]
    pub fingerprint: Option<String>,
    /// The system's bundle, where it is not in the usual place (`SSL_CERT_FILE`).
    pub system_file: Option<PathBuf>,
    /// The system's folder of hashed certificates, where it is not in the usual place (`SSL_CERT_DIR`).
    pub system_directory: Option<PathBuf>,
}

/// Who signs certificates that are trusted.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub enum Roots {
    /// The system's trusted certificates and these.
    System(Vec<Pem>),
    /// These alone; the system's are not even read.
    Only(Vec<Pem>),
}

impl Default for Roots {
    fn default() -> Self {
        Self::System(Vec::new())
    }
}

/// A certificate of our own, with the chain to its root, and its private key.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ClientCertificate {
    /// The certificate, then those that signed it.
    pub certificate: Pem,
    /// Its key: PKCS#8, PKCS#1 or SEC1.
    pub key: Pem,
}

/// Where PEM text comes from.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub enum Pem {
    /// A file.
    File(PathBuf),
    /// A folder, every file of which is read; for certificates only.
    Directory(PathBuf),
    /// The text itself.
    #[serde(deserialize_with = "secret_text")]
    Text(SecretBytes),
}

fn secret_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SecretBytes, D::Error> {
    String::deserialize(deserializer).map(SecretBytes::from)
}

impl TlsSettings {
    /// The system's roots where `SSL_CERT_FILE` and `SSL_CERT_DIR` say they are.
    pub fn from_environment(lookup: &dyn Fn(&str) -> Option<String>) -> Self {
        let path = |name| lookup(name).filter(|value: &String| !value.is_empty()).map(PathBuf::from);
        Self { system_file: path("SSL_CERT_FILE"), system_directory: path("SSL_CERT_DIR"), ..Self::default() }
    }

    /// Reads every file that is named and builds what rustls needs, with aws-lc-rs passed explicitly.
    ///
    /// # Errors
    /// Where a file cannot be read, holds no certificate or key, or nobody at all would be trusted.
    pub fn load(&self) -> Result<ClientConfig, Error> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::invalid(format!("TLS cannot be set up: {error}")))?;
        let verifier = self.verifier(provider)?;
        let verifier: Arc<dyn ServerCertVerifier> = match self.fingerprint.clone() {
            Some(fingerprint) => Arc::new(Pinned { inner: verifier, fingerprint }),
            None => verifier,
        };
        // "dangerous" is rustls's word for naming the verifier; unless asked otherwise it is rustls's own.
        let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
        let mut config = match &self.client {
            None => builder.with_no_client_auth(),
            Some(client) => builder
                .with_client_auth_cert(certificates(&client.certificate)?, private_key(&client.key)?)
                .map_err(|error| Error::invalid(format!("the client certificate cannot be used: {error}")))?,
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }

    fn verifier(&self, provider: Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>, Error> {
        if self.insecure_skip_verify {
            return Ok(Arc::new(TrustAnyone(provider.signature_verification_algorithms)));
        }
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(self.root_store()?), provider)
            .build()
            .map_err(|error| Error::invalid(format!("the trusted certificates cannot be used: {error}")))?;
        Ok(verifier)
    }

    fn root_store(&self) -> Result<RootCertStore, Error> {
        let mut store = RootCertStore::empty();
        let own = match &self.roots {
            Roots::Only(own) => own,
            Roots::System(own) => {
                // A few that cannot be parsed are usual in system bundles and harm nobody.
                store.add_parsable_certificates(self.system_certificates().certs);
                own
            }
        };
        for pem in own {
            for certificate in certificates(pem)? {
                store
                    .add(certificate)
                    .map_err(|error| Error::invalid(format!("{} cannot be trusted: {error}", described(pem))))?;
            }
        }
        if store.is_empty() {
            return Err(Error::new(Cause::Certificate, "no trusted certificates were found on this system")
                .with_hint("mount a CA bundle and name it in SSL_CERT_FILE, or give the server's own CA certificate"));
        }
        Ok(store)
    }

    fn system_certificates(&self) -> CertificateResult {
        match (self.system_file.as_deref(), self.system_directory.as_deref()) {
            (None, None) => load_native_certs(),
            (file, directory) => load_certs_from_paths(file, directory),
        }
    }
}

fn certificates(pem: &Pem) -> Result<Vec<CertificateDer<'static>>, Error> {
    let found = match pem {
        Pem::Directory(path) => load_certs_from_paths(None, Some(path)).certs,
        Pem::File(_) | Pem::Text(_) => {
            let text = text(pem)?;
            CertificateDer::pem_slice_iter(text.expose())
                .collect::<Result<_, _>>()
                .map_err(|_| Error::invalid(format!("{} is not PEM", described(pem))))?
        }
    };
    if found.is_empty() {
        return Err(Error::invalid(format!("{} holds no certificate", described(pem))));
    }
    Ok(found)
}

fn private_key(pem: &Pem) -> Result<PrivateKeyDer<'static>, Error> {
    PrivateKeyDer::from_pem_slice(text(pem)?.expose())
        .map_err(|_| Error::invalid(format!("{} holds no private key in PEM", described(pem))))
}

fn text(pem: &Pem) -> Result<SecretBytes, Error> {
    match pem {
        Pem::File(path) | Pem::Directory(path) => read(path),
        Pem::Text(text) => Ok(text.clone()),
    }
}

fn read(path: &Path) -> Result<SecretBytes, Error> {
    // Grown to the file's own size at once: a vector that moves leaves parts of a key behind.
    let unreadable = |error| Error::invalid(format!("cannot read {}: {error}", path.display()));
    let file = File::open(path).map_err(unreadable)?;
    let size = file.metadata().map_err(unreadable)?.len().min(LARGEST_FILE);
    let mut content = Vec::with_capacity(usize::try_from(size).unwrap_or_default() + 1);
    let taken = file.take(LARGEST_FILE).read_to_end(&mut content);
    let content = SecretBytes::new(content);
    match taken {
        Err(error) => Err(unreadable(error)),
        Ok(_) if content.len() as u64 == LARGEST_FILE => {
            Err(Error::invalid(format!("{} has {LARGEST_FILE} bytes or more", path.display())))
        }
        Ok(_) => Ok(content),
    }
}

fn described(pem: &Pem) -> String {
    match pem {
        Pem::File(path) | Pem::Directory(path) => path.display().to_string(),
        Pem::Text(_) => "the PEM text in the settings".to_owned(),
    }
}

/// What a failed handshake means to the person who must mend it.
pub(crate) fn handshake_error(error: &rustls::Error, host: &str) -> Error {
    let certificate = |words: String| Error::new(Cause::Certificate, words);
    match error {
        rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(other)))
            if other.is::<OtherFingerprint>() =>
        {
            certificate(other.to_string())
        }
        rustls::Error::InvalidCertificate(problem) => certificate_error(problem, host),
        rustls::Error::NoCertificatesPresented => certificate(format!("{host} showed no certificate")),
        rustls::Error::AlertReceived(
            AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::UnknownCA
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateRevoked
            | AlertDescription::AccessDenied,
        ) => certificate(format!("{host} refuses our client certificate, or wants one: {error}"))
            .with_hint("give the client certificate and key that the server expects"),
        rustls::Error::InvalidMessage(_) => Error::new(Cause::Tls, format!("{host} does not speak TLS on this port"))
            .with_hint("an address that begins with http:// instead of https:// may be meant"),
        _ => Error::new(Cause::Tls, format!("TLS with {host} failed: {error}")),
    }
}

fn certificate_error(problem: &CertificateError, host: &str) -> Error {
    let why = match problem {
        CertificateError::UnknownIssuer => "it is signed by an authority that is not trusted".to_owned(),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "it has expired".to_owned(),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => "it is not valid yet".to_owned(),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "it is for another name".to_owned()
        }
        // Two authorities of the same name, one of which is trusted.
        CertificateError::BadSignature => {
            "it is not signed by the authority that is trusted under that name".to_owned()
        }
        CertificateError::Revoked => "it was revoked".to_owned(),
        other => other.to_string(),
    };
    let error = Error::new(Cause::Certificate, format!("the certificate of {host} is not accepted: {why}"));
    match problem {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            error.with_hint("give the certificate of the authority that signed it")
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            error.with_hint("use the name in the certificate, or set the server name to expect")
        }
        _ => error,
    }
}

/// Takes of the certificates that are trusted one alone.
#[derive(Debug)]
struct Pinned {
    inner: Arc<dyn ServerCertVerifier>,
    fingerprint: String,
}

/// A trusted certificate that is not the one.
#[derive(Debug, thiserror::Error)]
#[error("Server fingerprint {found} does not match provided fingerprint {wanted}")]
struct OtherFingerprint {
    found: String,
    wanted: String,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let trusted = self.inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)?;
        let digits: Vec<String> = sha1(end_entity).iter().map(|byte| format!("{byte:02X}")).collect();
        let found = digits.join(":");
        if found == self.fingerprint {
            return Ok(trusted);
        }
        let other = OtherFingerprint { found, wanted: self.fingerprint.clone() };
        Err(CertificateError::Other(OtherError(Arc::new(other))).into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// Takes any certificate, but still makes sure that the server holds its key.
#[derive(Debug)]
struct TrustAnyone(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for TrustAnyone {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signature, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn what_holds_no_authorities_is_told_by_its_name() {
        let check = |pem: &str, expected: &str| {
            let mut file = tempfile::NamedTempFile::new().unwrap();
            file.write_all(pem.as_bytes()).unwrap();
            let roots = Roots::Only(vec![Pem::File(file.path().to_owned())]);
            let error = TlsSettings { roots, ..TlsSettings::default() }.load().unwrap_err();
            assert_eq!(error.cause(), Cause::Invalid);
            assert_eq!(error.to_string().replace(&file.path().display().to_string(), "FILE"), expected);
        };
        check("", "FILE holds no certificate");
        check("no certificate at all", "FILE holds no certificate");
        check("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n", "FILE is not PEM");
        let shown = "FILE cannot be trusted: invalid peer certificate: BadEncoding";
        check("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", shown);
        check(&" ".repeat(16 << 20), "FILE has 16777216 bytes or more");
    }
}
