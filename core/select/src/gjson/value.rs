//! A value on its way: its kind, and its bytes as they stand in some JSON text.

use std::ops::Deref;

use zeroize::Zeroizing;

use super::limits::{Bounded, Run};
use super::{number, scan};

/// Bytes of the document, or bytes that were made on the way and are wiped after it.
pub(super) enum Text<'j> {
    Borrowed(&'j [u8]),
    Owned(Zeroizing<Vec<u8>>),
}

impl Text<'_> {
    pub(super) fn owned(bytes: Vec<u8>) -> Self {
        Self::Owned(Zeroizing::new(bytes))
    }

    fn into_owned<'any>(self) -> Text<'any> {
        match self {
            Self::Borrowed(bytes) => Text::owned(bytes.to_vec()),
            Self::Owned(bytes) => Text::Owned(bytes),
        }
    }
}

impl Default for Text<'_> {
    fn default() -> Self {
        Self::Borrowed(&[])
    }
}

impl Deref for Text<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Borrowed(bytes) => bytes,
            Self::Owned(bytes) => bytes,
        }
    }
}

/// What a value is, by its first byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Kind {
    #[default]
    Null,
    False,
    Number,
    String,
    True,
    /// An object or an array.
    Json,
}

/// A value, or the absence of one.
#[derive(Default)]
pub(super) struct Value<'j> {
    pub(super) kind: Kind,
    /// The JSON text; empty where there is no value.
    pub(super) raw: Text<'j>,
}

impl<'j> Value<'j> {
    pub(super) fn new(kind: Kind, raw: &'j [u8]) -> Self {
        Self { kind, raw: Text::Borrowed(raw) }
    }

    pub(super) fn made(kind: Kind, raw: Zeroizing<Vec<u8>>) -> Self {
        Self { kind, raw: Text::Owned(raw) }
    }

    /// Whether there is a value: null is one.
    pub(super) fn exists(&self) -> bool {
        self.kind != Kind::Null || !self.raw.is_empty()
    }

    pub(super) fn is_object(&self) -> bool {
        self.kind == Kind::Json && self.raw.first() == Some(&b'{')
    }

    pub(super) fn is_array(&self) -> bool {
        self.kind == Kind::Json && self.raw.first() == Some(&b'[')
    }

    /// The number that it is; 0 for everything else.
    pub(super) fn number(&self) -> f64 {
        if self.kind == Kind::Number { number::parse_float(&self.raw) } else { 0.0 }
    }

    /// The value as a workload wants it: strings without quotes, whole numbers as written, other numbers without an
    /// exponent, null as nothing, objects and arrays as their JSON text.
    pub(super) fn text(&self) -> Text<'_> {
        match self.kind {
            Kind::Null => Text::default(),
            Kind::False => Text::Borrowed(b"false"),
            Kind::True => Text::Borrowed(b"true"),
            Kind::Json => Text::Borrowed(&self.raw),
            Kind::String => scan::string_text(&self.raw),
            Kind::Number => {
                let digits = self.raw.strip_prefix(b"-").unwrap_or(&self.raw);
                if digits.iter().all(u8::is_ascii_digit) {
                    Text::Borrowed(&self.raw)
                } else {
                    Text::owned(number::format_float(self.number()).into_bytes())
                }
            }
        }
    }

    /// The value as a condition: `true`, `"true"`, `"t"`, `"1"` in any case, and numbers other than 0.
    pub(super) fn truth(&self) -> bool {
        match self.kind {
            Kind::True => true,
            Kind::String => spelled_truth(&self.text()) == Some(true),
            Kind::Number => self.number() != 0.0,
            _ => false,
        }
    }

    /// The value as an integer, as gjson's `Int` gives it.
    pub(super) fn integer(&self) -> i64 {
        /// The largest whole number that every JSON reader keeps exactly.
        const SAFE: f64 = 9_007_199_254_740_991.0;
        match self.kind {
            Kind::True => 1,
            Kind::String => number::parse_integer(&self.text()).unwrap_or(0),
            Kind::Number => {
                let float = self.number();
                let digits = if (-SAFE..=SAFE).contains(&float) { None } else { number::parse_integer(&self.raw) };
                digits.unwrap_or_else(|| number::truncate_float(float))
            }
            _ => 0,
        }
    }

    fn into_owned<'any>(self) -> Value<'any> {
        Value { kind: self.kind, raw: self.raw.into_owned() }
    }
}

/// A word for true or false in any case; `None` for all other text.
pub(super) fn spelled_truth(text: &[u8]) -> Option<bool> {
    let is = |word: &&str| text.eq_ignore_ascii_case(word.as_bytes());
    if ["1", "t", "true"].iter().any(is) {
        Some(true)
    } else if ["0", "f", "false"].iter().any(is) {
        Some(false)
    } else {
        None
    }
}

/// Looks up something in `json`; the answer outlives it even where `json` was made on the way.
pub(super) fn within<'j>(
    run: &mut Run,
    json: Text<'j>,
    look_up: impl for<'x> FnOnce(&mut Run, &'x [u8]) -> Bounded<Value<'x>>,
) -> Bounded<Value<'j>> {
    match json {
        Text::Borrowed(bytes) => look_up(run, bytes),
        Text::Owned(bytes) => Ok(look_up(run, &bytes)?.into_owned()),
    }
}
