//! The least client that can ask an API server over TLS whether it is ready.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// How long one answer may take.
const LIMIT: Duration = Duration::from_secs(5);

/// Trusts one authority, presents no certificate.
pub(crate) struct Client {
    config: Arc<ClientConfig>,
}

impl Client {
    /// A client that trusts the certificate in `authority`, PEM text.
    pub(crate) fn new(authority: &[u8]) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority)?)?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { config: Arc::new(config) })
    }

    /// Whether the server at the other end of `stream` answers `path` with 200.
    pub(crate) fn is_ready(&self, stream: TcpStream, server: SocketAddr, path: &str) -> bool {
        self.status(stream, server, path).is_ok_and(|line| line.starts_with("HTTP/1.1 200 "))
    }

    fn status(&self, stream: TcpStream, server: SocketAddr, path: &str) -> Result<String> {
        stream.set_read_timeout(Some(LIMIT))?;
        stream.set_write_timeout(Some(LIMIT))?;
        let connection = ClientConnection::new(Arc::clone(&self.config), ServerName::IpAddress(server.ip().into()))?;
        let mut stream = StreamOwned::new(connection, stream);
        write!(stream, "GET {path} HTTP/1.1\r\nhost: {server}\r\nconnection: close\r\n\r\n")?;
        let mut start = [0; 13];
        stream.read_exact(&mut start)?;
        Ok(String::from_utf8_lossy(&start).into_owned())
    }
}
