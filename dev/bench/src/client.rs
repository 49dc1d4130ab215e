//! The least of an HTTP/1.1 client: connections that are kept, whole answers, nothing decoded. It runs on the machine
//! that is measured, so that what it costs is missing to the servers.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// The most of an answer that is read, in bytes: far more than any that is asked for.
const LARGEST: usize = 16 << 20;

/// The space that is free before each read, in bytes.
const SPACE: usize = 8 << 10;

/// A request as it is sent.
pub(crate) fn request(method: &str, path: &str, token: &str, body: &str) -> Vec<u8> {
    let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    let token = if token.is_empty() { String::new() } else { format!("X-Vault-Token: {token}\r\n") };
    format!("{method} /v1/{path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{token}{length}\r\n{body}").into_bytes()
}

/// A connection that is kept.
#[derive(Debug)]
pub(crate) struct Connection<Stream = TcpStream> {
    stream: Stream,
    /// The answer, with all of its head.
    buffer: Vec<u8>,
    /// The body of an answer that came in chunks.
    joined: Vec<u8>,
}

/// An answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answer<'a> {
    pub(crate) status: u16,
    pub(crate) body: &'a [u8],
}

/// How the end of a body is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    /// By its length.
    Length(usize),
    /// By a chunk without bytes.
    Chunks,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// Where nobody listens.
    pub(crate) async fn open(address: SocketAddr) -> Result<Self> {
        Ok(Self::over(connect(address).await?))
    }
}

impl Connection<TlsStream<TcpStream>> {
    /// Connects by TLS: the handshake is done.
    ///
    /// # Errors
    /// Where nobody listens, or the certificate is not for that address.
    pub(crate) async fn open_tls(address: SocketAddr, connector: &TlsConnector) -> Result<Self> {
        let name = ServerName::from(address.ip());
        Ok(Self::over(connector.connect(name, connect(address).await?).await?))
    }
}

/// What trusts the certificates of an authority, by its PEM file.
///
/// # Errors
/// When there is none in it.
pub(crate) fn connector(authority: &Path) -> Result<TlsConnector> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority)?)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(TlsConnector::from(Arc::new(config.with_root_certificates(roots).with_no_client_auth())))
}

async fn connect(address: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

impl<Stream: AsyncRead + AsyncWrite + Unpin> Connection<Stream> {
    fn over(stream: Stream) -> Self {
        Self { stream, buffer: Vec::new(), joined: Vec::new() }
    }

    /// Sends a request and waits for the whole answer, which stands until the next one.
    ///
    /// # Errors
    /// Where the connection ends, or what comes is no answer.
    pub(crate) async fn ask(&mut self, request: &[u8]) -> Result<Answer<'_>> {
        self.stream.write_all(request).await?;
        self.stream.flush().await?;
        self.buffer.clear();
        self.joined.clear();
        let mut looked = 0;
        let start = loop {
            if let Some(place) = end_of_head(&self.buffer, looked) {
                break place;
            }
            // The end may have come in part.
            looked = self.buffer.len().saturating_sub(3);
            self.more().await?;
        };
        let (status, framing) = head(&self.buffer[..start])?;
        match framing {
            Framing::Length(length) => {
                let end = start + length;
                while self.buffer.len() < end {
                    self.more().await?;
                }
                ensure!(self.buffer.len() == end, "the answer is longer than it says");
                Ok(Answer { status, body: &self.buffer[start..end] })
            }
            Framing::Chunks => {
                self.join(start).await?;
                Ok(Answer { status, body: &self.joined })
            }
        }
    }

    async fn more(&mut self) -> Result<()> {
        ensure!(self.buffer.len() < LARGEST, "the answer is too large");
        self.buffer.reserve(SPACE);
        let count = self.stream.read_buf(&mut self.buffer).await?;
        ensure!(count > 0, "the server ended the connection");
        Ok(())
    }

    /// Joins the chunks that begin at `place`.
    async fn join(&mut self, mut place: usize) -> Result<()> {
        loop {
            let line = loop {
                let rest = &self.buffer[place..];
                if let Some(length) = rest.windows(2).position(|pair| pair == b"\r\n") {
                    break length;
                }
                self.more().await?;
            };
            let size = std::str::from_utf8(&self.buffer[place..place + line])?;
            let size = usize::from_str_radix(size.split(';').next().unwrap_or_default().trim(), 16)?;
            let (start, end) = (place + line + 2, place + line + 2 + size);
            while self.buffer.len() < end + 2 {
                self.more().await?;
            }
            if size == 0 {
                return Ok(());
            }
            self.joined.extend_from_slice(&self.buffer[start..end]);
            place = end + 2;
        }
    }
}

/// Where the body begins; `from` was looked at before.
fn end_of_head(bytes: &[u8], from: usize) -> Option<usize> {
    let place = bytes.get(from..)?.windows(4).position(|window| window == b"\r\n\r\n")?;
    Some(from + place + 4)
}

/// The status, and how the body's end is known.
fn head(bytes: &[u8]) -> Result<(u16, Framing)> {
    let text = std::str::from_utf8(bytes).context("the head of the answer is no text")?;
    let mut lines = text.split("\r\n");
    let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok());
    let status: u16 = status.context("the answer is not HTTP/1.1")?;
    for line in lines {
        let Some((name, value)) = line.split_once(':') else { continue };
        if name.eq_ignore_ascii_case("content-length") {
            return Ok((status, Framing::Length(value.trim().parse()?)));
        }
        if name.eq_ignore_ascii_case("transfer-encoding") {
            return Ok((status, Framing::Chunks));
        }
    }
    match status {
        204 | 304 => Ok((status, Framing::Length(0))),
        _ => bail!("the answer {status} does not say where it ends"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use tokio::net::TcpListener;

    use super::*;

    /// What a client reads of an answer that comes in these parts.
    async fn read(parts: &'static [&'static str]) -> (u16, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let sending = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            for part in parts {
                stream.write_all(part.as_bytes()).await.unwrap();
                stream.flush().await.unwrap();
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
            stream
        });
        let mut connection = Connection::open(address).await.unwrap();
        let answer = connection.ask(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        let told = (answer.status, String::from_utf8(answer.body.to_vec()).unwrap());
        drop(sending.await.unwrap());
        told
    }

    #[tokio::test]
    async fn answers_are_read_whole_however_they_come() {
        let check =
            async |parts, status, body: &str| assert_eq!(read(parts).await, (status, body.to_owned()), "{parts:?}");
        check(&["HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"], 200, "abc").await;
        check(&["HTTP/1.1 200 OK\r\ncontent-length: 3\r", "\n\r\nab", "c"], 200, "abc").await;
        check(&["HTTP/1.1 204 No Content\r\nCache-Control: no-store\r\n\r\n"], 204, "").await;
        let chunks = [
            "HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n3\r\na",
            "bc\r\n2",
            "\r\nde\r\n0\r\n",
            "\r\n",
        ];
        check(Box::leak(Box::new(chunks)), 404, "abcde").await;
    }

    #[test]
    fn a_request_tells_its_token_and_the_length_of_its_body() {
        let check = |bytes: Vec<u8>, expected: &str| assert_eq!(String::from_utf8(bytes).unwrap(), expected);
        check(request("GET", "a", "", ""), "GET /v1/a HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
        check(
            request("PUT", "a/b", "t", "{}"),
            "PUT /v1/a/b HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Vault-Token: t\r\nContent-Length: 2\r\n\r\n{}",
        );
    }
}
