//! Tokens of the built-in store: who may ask, for how long, how often, and what ends with whom (governance.md §10.3).
//!
//! [`creation`] decides who may make which token, by a [`role`] or without, and [`token`] how long one lives and what a
//! renewal gives: both without storage and without a clock. [`tokens`] keeps them: under a keyed hash, so that a token
//! cannot be read back from anything; by accessor; and by parent, since a token ends with the one that made it. [`cidr`]
//! is where a token may be used from.
//!
//! # What a crash leaves
//! A token that is revoked is marked first, which is one commit and ends it; then its children and itself go, each with
//! its accessor. Whoever loads the tokens next goes on with those that are marked. So does [`Tokens::expire`], where a
//! request was given up in the middle.
//!
//! # What is kept ready
//! A token without counted uses that was seen before is found without a read. One process writes tokens, and it forgets
//! one before it changes it: what was read before a change never comes in after it, and where it is not known whether a
//! change happened the storage is asked each time.

#![forbid(unsafe_code)]

pub mod cidr;
pub mod creation;
mod ends;
pub mod error;
mod ready;
pub mod role;
pub mod token;
pub mod tokens;

pub use cidr::Cidr;
pub use creation::{Asked, Decided, Maker, Times, decide};
pub use error::TokenError;
pub use role::Role;
pub use token::{Alias, NewToken, Token, Ttl};
pub use tokens::{Created, Found, Tokens};
