//! A server's certificate, which is read anew when it changes.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use strongroom_failure::{Class, Failure};
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

/// TLS 1.2 or newer, by the files as they were read last.
#[derive(Clone)]
pub struct ServerTls {
    files: Arc<ServerCertificate>,
    current: Arc<RwLock<Arc<ServerConfig>>>,
}

impl ServerTls {
    /// Reads the files.
    ///
    /// # Errors
    /// A file that cannot be read, or a key that is not the certificate's: names the file.
    pub fn read(files: ServerCertificate) -> Result<Self, Failure> {
        let current = Arc::new(RwLock::new(Arc::new(configuration(&files)?)));
        Ok(Self { files: Arc::new(files), current })
    }

    /// Reads the files again: new connections get the new certificate, and those that stand stay.
    ///
    /// # Errors
    /// As [`ServerTls::read`]; the certificate that was read last stays in use.
    pub fn reload(&self) -> Result<(), Failure> {
        let new = Arc::new(configuration(&self.files)?);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(())
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.files.fmt(formatter)
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
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_safe_default_protocol_versions().map_err(|error| invalid(&files.certificate, &error))?;
    let builder = match &files.client_authorities {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(path)? {
                roots.add(certificate).map_err(|error| invalid(path, &error))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(verifier.map_err(|error| invalid(path, &error))?)
        }
    };
    builder.with_single_cert(chain, key).map_err(|error| invalid(&files.certificate, &error))
}
