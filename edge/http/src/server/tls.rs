//! A server's certificate, which is read anew when it changes.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig};
use strongroom_failure::{Class, Failure};
use strongroom_secret::SecretBytes;
use tokio_rustls::TlsAcceptor;

/// Where a server's certificate is.
#[derive(Clone, Debug)]
pub struct ServerCertificate {
    /// A PEM file: the certificate, then those that signed it.
    pub certificate: PathBuf,
    /// A PEM file: its key, PKCS#8, PKCS#1 or SEC1.
    pub key: PathBuf,
    /// A PEM file of authorities: clients must show a certificate that one of them signed.
    pub client_authorities: Option<PathBuf>,
}

/// TLS 1.2 or newer, by the files as they were read last, or by what was handed over last.
#[derive(Clone)]
pub struct ServerTls {
    /// `None` where certificates are handed over.
    files: Option<Arc<ServerCertificate>>,
    current: Arc<RwLock<Arc<ServerConfig>>>,
}

impl ServerTls {
    /// Reads the files.
    ///
    /// # Errors
    /// A file that cannot be read, or a key that is not the certificate's: names the file.
    pub fn read(files: ServerCertificate) -> Result<Self, Failure> {
        let current = Arc::new(RwLock::new(Arc::new(configuration(&files)?)));
        Ok(Self { files: Some(Arc::new(files)), current })
    }

    /// Takes a certificate, followed by those that signed it, and its key, both in PEM. Clients need show none.
    ///
    /// # Errors
    /// No certificate, no key, or a key that is not the certificate's. The words quote neither.
    pub fn from_pem(certificate: &str, key: &SecretBytes) -> Result<Self, Failure> {
        let current = Arc::new(RwLock::new(Arc::new(handed_over(certificate, key)?)));
        Ok(Self { files: None, current })
    }

    /// Takes another certificate in place of the one of [`ServerTls::from_pem`]: new connections get it, and those that
    /// stand stay.
    ///
    /// # Errors
    /// As [`ServerTls::from_pem`]; the certificate that was taken last stays in use.
    pub fn replace(&self, certificate: &str, key: &SecretBytes) -> Result<(), Failure> {
        let new = Arc::new(handed_over(certificate, key)?);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(())
    }

    /// Reads the files again, where there are any: new connections get the new certificate, and those that stand stay.
    ///
    /// # Errors
    /// As [`ServerTls::read`]; the certificate that was read last stays in use.
    pub fn reload(&self) -> Result<(), Failure> {
        let Some(files) = &self.files else { return Ok(()) };
        let new = Arc::new(configuration(files)?);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(())
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("ServerTls").field(&self.files).finish()
    }
}

fn configuration(files: &ServerCertificate) -> Result<ServerConfig, Failure> {
    let invalid = |path: &PathBuf, error: &dyn fmt::Display| {
        Failure::new(Class::Invalid, format!("cannot use {}: {error}", path.display()))
    };
    let certificates = |path: &PathBuf| -> Result<Vec<CertificateDer<'static>>, Failure> {
        let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        read.map_err(|error| invalid(path, &error))
    };
    let chain = certificates(&files.certificate)?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| invalid(&files.key, &error))?;
    let verifier = match &files.client_authorities {
        None => None,
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(path)? {
                roots.add(certificate).map_err(|error| invalid(path, &error))?;
            }
            let provider = Arc::new(aws_lc_rs::default_provider());
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            Some(verifier.map_err(|error| invalid(path, &error))?)
        }
    };
    assembled(chain, key, verifier).map_err(|error| invalid(&files.certificate, &error))
}

fn handed_over(certificate: &str, key: &SecretBytes) -> Result<ServerConfig, Failure> {
    let invalid = |words: String| Failure::new(Class::Invalid, words);
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate.as_bytes()).collect();
    let chain = chain.map_err(|_| invalid("the certificate is not PEM".to_owned()))?;
    let key = PrivateKeyDer::from_pem_slice(key.expose())
        .map_err(|_| invalid("the certificate's key is no private key in PEM".to_owned()))?;
    assembled(chain, key, None).map_err(|error| invalid(format!("cannot use the certificate: {error}")))
}

fn assembled(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    verifier: Option<Arc<dyn ClientCertVerifier>>,
) -> Result<ServerConfig, rustls::Error> {
    let builder = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let builder = builder.with_safe_default_protocol_versions()?;
    let builder = match verifier {
        None => builder.with_no_client_auth(),
        Some(verifier) => builder.with_client_cert_verifier(verifier),
    };
    builder.with_single_cert(chain, key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made() -> (String, SecretBytes) {
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::new(["a.example".to_owned()]).unwrap().self_signed(&key).unwrap();
        (certificate.pem(), SecretBytes::from(key.serialize_pem()))
    }

    #[test]
    fn what_cannot_be_served_is_refused_and_the_last_stays() {
        let ((certificate, key), (other, _)) = (made(), made());
        let tls = ServerTls::from_pem(&certificate, &key).unwrap();
        let used = || Arc::as_ptr(&tls.current.read().unwrap());
        let check = |certificate: &str, key: &SecretBytes, expected: &str| {
            let before = used();
            let failure = tls.replace(certificate, key).unwrap_err();
            assert_eq!(ServerTls::from_pem(certificate, key).unwrap_err(), failure);
            assert!(failure.words.starts_with(expected), "{failure}");
            assert_eq!(used(), before);
        };
        check(&other, &key, "cannot use the certificate: ");
        check("", &key, "cannot use the certificate: ");
        check("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n", &key, "the certificate is not PEM");
        check(&certificate, &SecretBytes::default(), "the certificate's key is no private key in PEM");
        let before = used();
        let (certificate, key) = made();
        tls.replace(&certificate, &key).unwrap();
        assert_ne!(used(), before);
    }
}
