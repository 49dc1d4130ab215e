//! An HTTP server whose answers are a test's own: what a real part never says on demand.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result};

/// The most that is taken of a request; programs under test send far less.
const REQUEST_LIMIT: usize = 16 << 20;

/// Answers one request after the other, each on a connection of its own, and keeps what was asked: all that came, also where
/// that is no whole request or nothing at all. It ends with the test.
#[derive(Debug)]
pub struct Scripted {
    host_port: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

/// A request: its head in small letters, and its body.
pub type Asked = (String, String);

impl Scripted {
    /// Serves on the loopback device what `script` makes of each body: a whole answer, as from [`answer`].
    ///
    /// # Errors
    /// No port can be had.
    pub fn start(script: impl Fn(&str) -> String + Send + 'static) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("listen on the loopback device")?;
        let host_port = listener.local_addr()?.to_string();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&asked);
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let (head, body) = received(&mut stream);
                let answer = script(&body);
                kept.lock().unwrap_or_else(PoisonError::into_inner).push((head, body));
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        Ok(Self { host_port, asked })
    }

    /// Where it listens: `127.0.0.1:PORT`.
    #[must_use]
    pub fn host_port(&self) -> &str {
        &self.host_port
    }

    /// The same as a URL, without a path.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.host_port)
    }

    /// The requests so far, the first one first.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A whole answer. `headers` end with a line break each.
#[must_use]
pub fn answer(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n{headers}\r\n{body}", body.len())
}

/// A request; where none comes whole, what came is its head.
fn received(stream: &mut TcpStream) -> Asked {
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    loop {
        if let Some(request) = whole(&bytes) {
            return request;
        }
        match stream.read(&mut piece) {
            Ok(read @ 1..) if bytes.len() < REQUEST_LIMIT => bytes.extend_from_slice(&piece[..read]),
            _ => return (lower(&bytes), String::new()),
        }
    }
}

fn whole(bytes: &[u8]) -> Option<Asked> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let (head, body) = (lower(&bytes[..end]), &bytes[end + 4..]);
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length = length.map_or(Ok(0), |length| length.trim().parse::<usize>()).ok()?;
    (body.len() >= length).then(|| (head, String::from_utf8_lossy(body).into_owned()))
}

fn lower(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_counts_once_it_is_there_whole() {
        let check = |bytes: &str, expected: Option<(&str, &str)>| {
            let expected = expected.map(|(head, body)| (head.to_owned(), body.to_owned()));
            assert_eq!(whole(bytes.as_bytes()), expected, "{bytes}");
        };
        check("POST / HTTP/1.1\r\nContent-Length: 2\r\n", None);
        check("POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\nA", None);
        check("POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\nAb", Some(("post / http/1.1\r\ncontent-length: 2", "Ab")));
        check("GET / HTTP/1.1\r\n\r\n", Some(("get / http/1.1", "")));
        check("POST / HTTP/1.1\r\nContent-Length: two\r\n\r\n", None);
    }

    #[test]
    fn what_was_asked_is_kept_and_answered_by_the_script() {
        let server = Scripted::start(|body| answer("201 Created", "X-Mine: yes\r\n", &body.to_uppercase())).unwrap();
        // Who sends half of a token has sent it all the same.
        let mut half = TcpStream::connect(server.host_port()).unwrap();
        half.write_all(b"PUT /a HTTP/1.0\r\nX-Token: Half").unwrap();
        drop(half);
        let answered = crate::plain_http::send(server.host_port(), "PUT", "/a", &[], b"value").unwrap();
        assert_eq!((answered.status, answered.body), (201, b"VALUE".to_vec()));
        let [half, whole] = server.asked().try_into().unwrap();
        assert_eq!(half, ("put /a http/1.0\r\nx-token: half".to_owned(), String::new()));
        assert!(whole.0.starts_with("put /a http/1.0\r\n"), "{}", whole.0);
        assert_eq!(whole.1, "value");
    }
}
