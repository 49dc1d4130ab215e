//! From an encrypted text to its value, for one service account; and back, with a public key alone.
//!
//! A [`Decrypter`] knows the installation's keys ([`KeyRing`](strongroom_kamus::KeyRing)) and asks a key management
//! ([`KeyManagement`]: a cloud's, a transit engine's, or a key of our own for trying out) to unwrap them: each once, however
//! many texts wait for it. What it learnt of a text is kept for a while, and only for the account that it was opened for.
//!
//! One of our texts costs an operation with the private key, a millisecond or two of a processor, the first time that an
//! account asks for it. It is done beside the caller's thread, and its outcome kept ([`Limits`]): who asks again pays a few
//! microseconds.
//!
//! Texts that Kamus wrote are opened by the same key management where it was the one that Kamus used.

#![forbid(unsafe_code)]

mod clouds;
mod decrypter;
mod kept;
mod known;
mod local;
mod management;
mod once;
mod transit;

pub use crate::clouds::{AwsManagement, AzureManagement, GoogleManagement};
pub use crate::decrypter::{Decrypter, Limits};
pub use crate::local::{LegacyKey, LocalKey};
pub use crate::management::KeyManagement;
pub use crate::transit::TransitManagement;
