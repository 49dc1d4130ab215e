//! JSON Web Tokens of others (RFC 7519): read, and checked by public keys, PEM or a JSON Web Key Set (RFC 7517).
//!
//! [`Token::parse`] believes nothing; [`Token::verify`] checks the signature by [`Keys`], by one of the algorithms that the
//! caller takes; [`Times`] checks when it holds. Pure: keys, tokens and the time come in.

#![forbid(unsafe_code)]

mod keys;
mod times;
mod token;

use std::fmt;

pub use keys::{Algorithm, Keys};
pub use times::Times;
pub use token::{Claims, Token};

/// Why a token is not taken. No word of the token is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JwtError {
    /// It is no token in three parts.
    Malformed,
    /// It has more bytes than any token has.
    TooLong,
    /// It is signed by an algorithm that is not taken, or by none.
    Algorithm,
    /// No key that is known fits: an unknown `kid`, or another kind of key.
    NoKey,
    /// The signature is not that of the key's owner.
    Signature,
    /// It is over.
    Expired,
    /// It does not hold yet.
    NotYet,
    /// It says nothing of when it ends or began.
    NoTime,
}

impl fmt::Display for JwtError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Malformed => "the token is no JSON Web Token",
            Self::TooLong => "the token is too long",
            Self::Algorithm => "the token's algorithm is not taken",
            Self::NoKey => "no known key signed the token",
            Self::Signature => "the token's signature does not hold",
            Self::Expired => "token is expired",
            Self::NotYet => "token is not valid yet",
            Self::NoTime => "the token says neither when it ends nor when it was made",
        })
    }
}

impl std::error::Error for JwtError {}
