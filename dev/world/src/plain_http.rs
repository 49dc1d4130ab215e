//! The least of an HTTP client, to see whether parts answer and to put values into them. No TLS, no reuse.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result};

/// The most that is read of an answer; parts under test answer with far less.
const ANSWER_LIMIT: u64 = 16 << 20;

/// An answer: status, where it points to, and body.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) location: Option<String>,
    pub(crate) body: Vec<u8>,
}

/// Sends one request to `host_port` and waits at most 30 s for each part of the answer.
pub(crate) fn send(host_port: &str, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<Answer> {
    let mut stream = TcpStream::connect(host_port)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    // HTTP/1.0: the answer comes unchunked and ends with the connection.
    let mut head = format!("{method} {path} HTTP/1.0\r\nHost: {host_port}\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    stream.write_all(&[head.as_bytes(), body].concat())?;
    let mut answer = Vec::new();
    stream.take(ANSWER_LIMIT).read_to_end(&mut answer)?;
    parse(&answer).with_context(|| format!("{host_port} does not answer {method} {path} as HTTP does"))
}

fn parse(answer: &[u8]) -> Option<Answer> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&answer[..end]).ok()?;
    let status = head.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    let header =
        |line: &str| Some(line.split_once(':')?).map(|(name, value)| (name.to_owned(), value.trim().to_owned()));
    let location = head.lines().filter_map(header).find(|(name, _)| name.eq_ignore_ascii_case("location"));
    Some(Answer { status, location: location.map(|(_, place)| place), body: answer[end + 4..].to_vec() })
}
