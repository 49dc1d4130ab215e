//! The one value that is to be encrypted.

use std::io::{BufRead as _, Write as _};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use strongroom_failure::{Class, Failure};
use strongroom_read::{read_bounded, read_file};
use strongroom_secret::SecretBytes;

/// No Secret is larger.
const LARGEST: usize = 1024 * 1024;

/// Where the value comes from.
pub(crate) enum Source<'a> {
    CommandLine(&'a str),
    File(&'a Path),
    StandardInput,
}

/// What is done about newlines in a value, which are mostly there by mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Newlines {
    Meant,
    Asked,
}

pub(crate) fn invalid(words: impl Into<String>) -> Failure {
    Failure::new(Class::Invalid, words)
}

impl<'a> Source<'a> {
    /// The source that two options name, in the original's words where they name none or two. Empty ones name nothing.
    pub(crate) fn of(secret: Option<&'a str>, file: Option<&'a str>) -> Result<Self, Failure> {
        let given = |option: Option<&'a str>| option.filter(|text| !text.is_empty());
        match (given(secret), given(file)) {
            (None, None) => Err(invalid("Neither secret nor secret-file options were set.")),
            (Some(_), Some(_)) => Err(invalid("Both secret nor secret-file options were set.")),
            (Some(secret), None) => Ok(Self::CommandLine(secret)),
            (None, Some("-")) => Ok(Self::StandardInput),
            (None, Some(file)) => Ok(Self::File(Path::new(file))),
        }
    }

    /// The value; `None` where somebody was asked and did not agree, or nobody answered.
    pub(crate) fn read(&self, encoding: Option<&str>, newlines: Newlines) -> Result<Option<SecretBytes>, Failure> {
        let value = match self {
            Self::CommandLine(secret) => {
                note("warning: a secret on the command line is seen by other users and kept by the shell; use -f\n");
                SecretBytes::new(secret.as_bytes().to_vec())
            }
            Self::File(path) => decoded(&read_file(path, LARGEST)?, encoding)?,
            Self::StandardInput => decoded(&standard_input()?, encoding)?,
        };
        let newline = value.expose().iter().position(|&byte| byte == b'\n').filter(|_| newlines == Newlines::Asked);
        match (newline, self) {
            (None, _) => Ok(Some(value)),
            (Some(place), Self::StandardInput) => {
                let words = format!("Secret contains newlines at index {place}.");
                Err(invalid(words).with_hint("give --ignore-new-line if it is meant; printf '%s' writes none"))
            }
            (Some(place), _) => Ok(consent(place).then_some(value)),
        }
    }
}

/// Asks for consent; without an answer there is none.
fn consent(place: usize) -> bool {
    note(&format!("? Secret contains newlines at index {place}. Continue encrypting this secret? (y/N) "));
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    let agrees = read.is_ok() && matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes");
    if !agrees {
        note("nothing was encrypted\n");
    }
    agrees
}

fn standard_input() -> Result<SecretBytes, Failure> {
    let read = read_bounded(std::io::stdin().lock(), 0, LARGEST);
    let read = read.map_err(|error| invalid(format!("standard input cannot be read: {error}")))?;
    read.ok_or_else(|| invalid(format!("standard input has more than {LARGEST} bytes")))
}

/// The bytes of a file as text, by the names that Node has for encodings. Where Node replaced what it could not read,
/// this is an error: the value would be spoiled.
fn decoded(bytes: &SecretBytes, encoding: Option<&str>) -> Result<SecretBytes, Failure> {
    let encoding = encoding.unwrap_or("utf8").to_ascii_lowercase();
    let no_text = || {
        invalid(format!("the secret is no {encoding}"))
            .with_hint("encrypt its base64 for data: --secret-file-encoding base64")
    };
    let text = match encoding.as_str() {
        "utf8" | "utf-8" => return bytes.expose_text().map(|_| bytes.clone()).ok_or_else(no_text),
        "ascii" if bytes.expose().is_ascii() => return Ok(bytes.clone()),
        "ascii" => return Err(no_text()),
        "latin1" | "binary" => bytes.expose().iter().map(|&byte| char::from(byte)).collect(),
        "base64" => STANDARD.encode(bytes.expose()),
        "hex" => bytes.expose().iter().map(|byte| format!("{byte:02x}")).collect(),
        "utf16le" | "utf-16le" | "ucs2" | "ucs-2" => {
            let (pairs, rest) = bytes.expose().as_chunks::<2>();
            let units: Vec<u16> = pairs.iter().map(|&pair| u16::from_le_bytes(pair)).collect();
            String::from_utf16(&units).ok().filter(|_| rest.is_empty()).ok_or_else(no_text)?
        }
        _ => {
            return Err(invalid(format!("the encoding \"{encoding}\" is not known"))
                .with_hint("use utf8, ascii, latin1, utf16le, base64 or hex"));
        }
    };
    Ok(SecretBytes::from(text))
}

fn note(text: &str) {
    // Standard error that is gone cannot be told so.
    let _ = std::io::stderr().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ka_06_one_source_is_named_and_empty_ones_name_nothing() {
        let check = |secret: Option<&str>, file: Option<&str>, words: Option<&str>| {
            assert_eq!(Source::of(secret, file).err().map(|failure| failure.to_string()).as_deref(), words);
        };
        check(None, None, Some("Neither secret nor secret-file options were set."));
        check(Some(""), Some(""), Some("Neither secret nor secret-file options were set."));
        check(Some("x"), Some("x"), Some("Both secret nor secret-file options were set."));
        check(Some("x"), Some(""), None);
        check(None, Some("x"), None);
    }

    #[test]
    fn a_file_is_read_in_its_encoding_and_never_spoiled() {
        let check = |bytes: &[u8], encoding: Option<&str>, expected: Option<&str>| {
            let got = decoded(&SecretBytes::new(bytes.to_vec()), encoding).ok();
            assert_eq!(got.as_ref().and_then(SecretBytes::expose_text), expected, "{encoding:?}");
        };
        check("é\n".as_bytes(), None, Some("é\n"));
        check(b"", Some("UTF-8"), Some(""));
        check(&[0xe9], None, None);
        check(&[0xe9], Some("latin1"), Some("é"));
        check(&[0xe9], Some("ascii"), None);
        check(&[0xe9, 0], Some("utf16le"), Some("é"));
        check(&[0xe9, 0, 0], Some("ucs2"), None);
        check(&[0xff, 0], Some("base64"), Some("/wA="));
        check(&[0xff, 0], Some("hex"), Some("ff00"));
        check(b"x", Some("koi8"), None);
    }
}
