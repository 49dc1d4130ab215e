//! A token, believed in nothing.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Map, Value};
use strongroom_crypto::verify_signature;

use crate::{Algorithm, JwtError, Keys};

/// Bytes of a token: clusters and providers issue some kilobytes.
const LONGEST: usize = 32 * 1024;

/// A token in its parts.
pub struct Token<'t> {
    algorithm: Option<Algorithm>,
    key: Option<String>,
    signed: &'t str,
    signature: Vec<u8>,
    claims: Claims,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    /// Extensions that have to be understood: none is.
    crit: Option<Value>,
}

impl<'t> Token<'t> {
    /// Reads a token.
    ///
    /// # Errors
    /// [`JwtError::Malformed`] or [`JwtError::TooLong`].
    pub fn parse(text: &'t str) -> Result<Self, JwtError> {
        if text.len() > LONGEST {
            return Err(JwtError::TooLong);
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(JwtError::Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(JwtError::Malformed)?;
        let bytes = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| JwtError::Malformed);
        let header: Header = serde_json::from_slice(&bytes(header)?).map_err(|_| JwtError::Malformed)?;
        let claims: Map<String, Value> = serde_json::from_slice(&bytes(claims)?).map_err(|_| JwtError::Malformed)?;
        let algorithm = if header.crit.is_none() { Algorithm::of_name(&header.alg) } else { None };
        Ok(Self { algorithm, key: header.kid, signed, signature: bytes(signature)?, claims: Claims(claims) })
    }

    /// The `kid` that it names.
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// What it claims, unproved.
    pub fn unproved(&self) -> &Claims {
        &self.claims
    }

    /// What it claims, signed by the owner of one of `keys` by one of the algorithms that are `taken`.
    ///
    /// # Errors
    /// [`JwtError::Algorithm`], [`JwtError::NoKey`] or [`JwtError::Signature`].
    pub fn verify(&self, keys: &Keys, taken: &[Algorithm]) -> Result<&Claims, JwtError> {
        let algorithm = self.algorithm.filter(|algorithm| taken.contains(algorithm)).ok_or(JwtError::Algorithm)?;
        let mut fitting = keys.fitting(self.key.as_deref(), algorithm).peekable();
        fitting.peek().ok_or(JwtError::NoKey)?;
        let signs = |key: &[u8]| verify_signature(algorithm.signature(), key, self.signed.as_bytes(), &self.signature);
        if fitting.any(signs) { Ok(&self.claims) } else { Err(JwtError::Signature) }
    }
}

/// What a token claims.
#[derive(Clone)]
pub struct Claims(Map<String, Value>);

impl Claims {
    /// A claim; `/a/b` is a JSON pointer (RFC 6901) into nested ones.
    pub fn get(&self, name: &str) -> Option<&Value> {
        let found = match name.strip_prefix('/') {
            None => self.0.get(name),
            Some(path) => {
                let (first, rest) = path.split_once('/').map_or((path, None), |(first, rest)| (first, Some(rest)));
                let first = self.0.get(&first.replace("~1", "/").replace("~0", "~"));
                match rest {
                    None => first,
                    Some(rest) => first.and_then(|first| first.pointer(&format!("/{rest}"))),
                }
            }
        };
        found.filter(|value| !value.is_null())
    }

    /// A claim that is a text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name)?.as_str()
    }

    /// A moment, in seconds since 1970.
    pub fn moment(&self, name: &str) -> Option<i64> {
        let number = self.get(name)?.as_number()?;
        // Some write fractions of seconds, which nobody means.
        number.as_i64().or_else(|| number.as_f64().map(|seconds| seconds as i64))
    }

    /// The texts of a claim that is one, or a list of them.
    pub fn texts(&self, name: &str) -> Vec<&str> {
        match self.get(name) {
            Some(Value::String(text)) => vec![text],
            Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        }
    }
}

impl fmt::Debug for Token<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Token").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

impl fmt::Debug for Claims {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[redacted]")
    }
}
