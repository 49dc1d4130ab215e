//! What goes over the pipes between parent and child: numbers in eight bytes, texts behind their length.
//!
//! Not JSON: values are bytes, and no copy of them may stay behind in a parser's memory.

use std::io::{self, Read};
use std::time::Duration;

use strongroom_secret::SecretBytes;
use zeroize::Zeroizing;

use crate::compile::Dialect;
use crate::limits::{Encoding, Limits};

/// How many bytes stand before an answer's text: its tag and its length.
pub(crate) const ANSWER_HEADER: usize = 9;

/// The longest request that a child takes, in bytes, so that a mistaken start cannot fill memory. Far above any limits
/// that make sense.
const REQUEST_LIMIT: u64 = 256 << 20;

/// One rendering, as the child is asked for it.
pub(crate) struct Request {
    pub(crate) limits: Limits,
    pub(crate) encoding: Encoding,
    pub(crate) dialect: Dialect,
    /// Names and values, in the order in which templates see them.
    pub(crate) data: Vec<(String, SecretBytes)>,
    pub(crate) templates: Vec<String>,
}

/// The bytes of a request.
pub(crate) fn write_request(
    limits: &Limits,
    (encoding, dialect): (Encoding, Dialect),
    data: &[(&str, &SecretBytes)],
    templates: &[&str],
) -> Zeroizing<Vec<u8>> {
    let values: usize = data.iter().map(|(name, value)| name.len() + value.len() + 16).sum();
    let texts: usize = templates.iter().map(|template| template.len() + 8).sum();
    // The whole size from the start: a vector that grows leaves its values behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(values + texts + 9 * 8));
    for number in [limits.processor_time.as_millis() as usize, limits.memory, limits.stack, limits.output] {
        write_number(number, &mut bytes);
    }
    write_number(place(&Encoding::ALL, encoding), &mut bytes);
    write_number(place(&Dialect::ALL, dialect), &mut bytes);
    write_number(data.len(), &mut bytes);
    for (name, value) in data {
        write_bytes(name.as_bytes(), &mut bytes);
        write_bytes(value.expose(), &mut bytes);
    }
    write_number(templates.len(), &mut bytes);
    for template in templates {
        write_bytes(template.as_bytes(), &mut bytes);
    }
    bytes
}

/// Reads a request to its end.
///
/// # Errors
/// `InvalidData` for what `write_request` did not write.
pub(crate) fn read_request(from: &mut impl Read) -> io::Result<Request> {
    let mut bytes = Zeroizing::new(Vec::new());
    from.take(REQUEST_LIMIT).read_to_end(&mut bytes)?;
    let mut rest = Rest(&bytes);
    let limits = Limits {
        processor_time: Duration::from_millis(rest.number()? as u64),
        memory: rest.number()?,
        stack: rest.number()?,
        output: rest.number()?,
        ..Limits::default()
    };
    let encoding = *Encoding::ALL.get(rest.number()?).ok_or_else(broken)?;
    let dialect = *Dialect::ALL.get(rest.number()?).ok_or_else(broken)?;
    let mut data = Vec::new();
    for _ in 0..rest.number()? {
        data.push((rest.text()?, SecretBytes::new(rest.bytes()?.to_vec())));
    }
    let mut templates = Vec::new();
    for _ in 0..rest.number()? {
        templates.push(rest.text()?);
    }
    Ok(Request { limits, encoding, dialect, data, templates })
}

/// Writes one answer: its tag and its text.
pub(crate) fn write_answer(tag: u8, text: &[u8], to: &mut impl io::Write) -> io::Result<()> {
    to.write_all(&[tag])?;
    to.write_all(&(text.len() as u64).to_le_bytes())?;
    to.write_all(text)?;
    to.flush()
}

/// An answer's tag and the length of its text.
pub(crate) fn read_answer_header(header: [u8; ANSWER_HEADER]) -> (u8, u64) {
    let [tag, length @ ..] = header;
    (tag, u64::from_le_bytes(length))
}

/// The number that stands for `one` of `all`.
fn place<T: PartialEq>(all: &[T], one: T) -> usize {
    all.iter().position(|other| *other == one).unwrap_or(usize::MAX)
}

fn write_number(number: usize, bytes: &mut Vec<u8>) {
    bytes.extend((number as u64).to_le_bytes());
}

fn write_bytes(text: &[u8], bytes: &mut Vec<u8>) {
    write_number(text.len(), bytes);
    bytes.extend(text);
}

/// What is left of a request.
struct Rest<'bytes>(&'bytes [u8]);

impl<'bytes> Rest<'bytes> {
    fn number(&mut self) -> io::Result<usize> {
        let (number, rest) = self.0.split_first_chunk().ok_or_else(broken)?;
        self.0 = rest;
        usize::try_from(u64::from_le_bytes(*number)).map_err(|_| broken())
    }

    fn bytes(&mut self) -> io::Result<&'bytes [u8]> {
        let length = self.number()?;
        let (text, rest) = self.0.split_at_checked(length).ok_or_else(broken)?;
        self.0 = rest;
        Ok(text)
    }

    fn text(&mut self) -> io::Result<String> {
        String::from_utf8(self.bytes()?.to_vec()).map_err(|_| broken())
    }
}

fn broken() -> io::Error {
    io::Error::from(io::ErrorKind::InvalidData)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_arrives_as_it_was_sent_and_a_broken_one_is_refused() {
        let limits = Limits { memory: 7, ..Limits::default() };
        let (bytes, none) = (SecretBytes::new(vec![0, 255]), SecretBytes::default());
        let forms = (Encoding::Json, Dialect::Ejs);
        let bytes = write_request(&limits, forms, &[("a", &bytes), ("", &none)], &["<%= 1 %>", ""]);
        let request = read_request(&mut bytes.as_slice()).unwrap();
        assert_eq!((request.limits, (request.encoding, request.dialect)), (limits, forms));
        assert_eq!(request.templates, ["<%= 1 %>", ""]);
        assert_eq!(request.data[0].0, "a");
        assert!(request.data[0].1.expose() == [0, 255] && request.data[1].1.is_empty());
        for length in 0..bytes.len() {
            assert!(read_request(&mut &bytes[..length]).is_err(), "{length}");
        }
        // An encoding and a dialect that nobody knows, and a name longer than the request.
        for number in [4, 5, 7] {
            let mut lying = bytes.to_vec();
            lying[number * 8] = 255;
            assert!(read_request(&mut lying.as_slice()).is_err(), "{number}");
        }
    }
}
