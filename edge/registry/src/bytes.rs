//! Checks of bytes that a registry sent, before anything reads them.

use std::fmt;

use strongroom_crypto::{sha256, sha384, sha512};

/// The deepest JSON that is read. An image's documents have five levels; annotations and labels are flat by definition.
const DEPTH: usize = 32;

/// What a content is called by: `sha256:` (or `sha384:`, `sha512:`) and lower-case hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Digest(String);

impl Digest {
    /// `None` where the text is no digest, or one of an algorithm that cannot be checked here.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (algorithm, digits) = text.split_once(':')?;
        let length = match algorithm {
            "sha256" => 64,
            "sha384" => 96,
            "sha512" => 128,
            _ => return None,
        };
        let are_digits = digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        (digits.len() == length && are_digits).then(|| Self(text.to_owned()))
    }

    /// The digest by which registries call `bytes` where nobody says otherwise.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self(format!("sha256:{}", hexadecimal(&sha256(bytes))))
    }

    /// Whether this is what `bytes` are called by.
    pub(crate) fn is_of(&self, bytes: &[u8]) -> bool {
        let digits = match self.0.split(':').next() {
            Some("sha384") => hexadecimal(&sha384(bytes)),
            Some("sha512") => hexadecimal(&sha512(bytes)),
            _ => hexadecimal(&sha256(bytes)),
        };
        self.0.ends_with(&format!(":{digits}"))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}

/// Whether the arrays and objects of a JSON text lie in each other no deeper than [`DEPTH`]; the parser would pass over
/// what no field asks for, however deep.
pub(crate) fn is_shallow(json: &[u8]) -> bool {
    let (mut depth, mut in_string, mut is_escaped) = (0_usize, false, false);
    for byte in json {
        match (in_string, byte) {
            (true, _) if is_escaped => is_escaped = false,
            (true, b'\\') => is_escaped = true,
            (_, b'"') => in_string = !in_string,
            (false, b'[' | b'{') => depth += 1,
            (false, b']' | b'}') => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEPTH {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_checked_by_its_own_algorithm() {
        let abc = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Digest::of(b"abc").to_string(), abc);
        let check = |text: &str, is_of_abc: Option<bool>| {
            assert_eq!(Digest::parse(text).map(|digest| digest.is_of(b"abc")), is_of_abc, "{text}");
        };
        check(abc, Some(true));
        check(&abc.replace("ad", "ae"), Some(false));
        let long = "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7";
        check(&format!("sha384:{long}"), Some(true));
        check(&format!("sha512:{}", "0".repeat(128)), Some(false));
        check(&abc.to_uppercase(), None);
        check(&abc.replace("ba78", "BA78"), None);
        check(&abc[..70], None);
        check("md5:d41d8cd98f00b204e9800998ecf8427e", None);
        check("sha256:", None);
    }

    #[test]
    fn depth_is_counted_outside_of_strings() {
        let check = |text: String, expected: bool| assert_eq!(is_shallow(text.as_bytes()), expected, "{text}");
        check("[".repeat(32), true);
        check("[".repeat(33), false);
        check("[]".repeat(100), true);
        check(format!("{:?}", "[{".repeat(100)), true);
        check(format!("\"\\\"\"{}", "{".repeat(33)), false);
    }
}
