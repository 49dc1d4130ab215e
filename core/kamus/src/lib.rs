//! Secrets in Git: a value is encrypted for one service account, and opens for whoever proves to be that account.
//!
//! Two families of texts: those of Kamus, which are only ever opened ([`legacy`]), and our own ([`SealedText`]). What a
//! text is can be told from itself ([`Text::read`]). Identity always takes part: in our own form by a label that is
//! authenticated, in those of Kamus by the name of the key ([`Identity::key_id`]), its derived key, or, in the mode that
//! Kamus had by default, not at all: that one is opened only by [`legacy::Derivation::Insecure`].
//!
//! [`output`] is what Kamus' init container made of opened values, [`manifest`] finds and replaces texts in files.
//!
//! Pure: keys come in, and who unwraps them elsewhere is asked by the caller.

#![forbid(unsafe_code)]

mod error;
mod identity;
pub mod legacy;
pub mod manifest;
pub mod output;
mod public;
mod ring;
mod text;

pub use crate::error::KamusError;
pub use crate::identity::Identity;
pub use crate::public::PublicKey;
pub use crate::ring::{Installation, KeyRecord, KeyRing, NewRecord, OpenedKey};
pub use crate::text::{KeyId, SealedText, Text};
