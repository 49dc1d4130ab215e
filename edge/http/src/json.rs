use std::io;

use serde::Serialize;
use serde::de::DeserializeOwned;
use strongroom_secret::SecretBytes;
use zeroize::Zeroizing;

use crate::Error;

/// `value` as a JSON body, written once into memory of the right size: no copy stays behind.
///
/// # Errors
/// Where `value` cannot be JSON (a map with keys that are no strings).
pub fn json_body<T: Serialize + ?Sized>(value: &T) -> Result<SecretBytes, Error> {
    let mut size = Counter(0);
    let unfit = |_| Error::invalid("the request cannot be written as JSON");
    serde_json::to_writer(&mut size, value).map_err(unfit)?;
    let mut body = Zeroizing::new(Vec::with_capacity(size.0));
    serde_json::to_writer(&mut *body, value).map_err(unfit)?;
    Ok(SecretBytes::new(std::mem::take(&mut *body)))
}

/// Reads JSON; the words name the place and never what stands there.
pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(bytes).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        Error::invalid(format!("the answer is not the JSON that was expected (line {line}, column {column})"))
    })
}

struct Counter(usize);

impl io::Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_written_whole() {
        let body = json_body(&serde_json::json!({"role": "app", "jwt": "a\"b"})).unwrap();
        assert_eq!(body.expose(), br#"{"role":"app","jwt":"a\"b"}"#);
    }

    #[test]
    fn words_about_bad_json_do_not_quote_it() {
        let error = parse::<u8>(br#""canary""#).unwrap_err();
        assert!(!error.to_string().contains("canary"), "{error}");
    }
}
