//! Keys that encrypt, sign and authenticate for others and stay where they are: Vault's transit engine, without its
//! paths and its storage.
//!
//! [`Kind`] is what a key can do, [`Key`] its versions and what may be done with them: a record for serde, which alone
//! shows its material. Then what is done: [`Key::encrypt`] and its way back, [`Key::hmac`], [`Key::sign`]. What they
//! make are texts as Vault's clients know them: `vault:v3:BASE64`, with the version that has to be used on the way back.
//!
//! Never does I/O but for the kernel's randomness, and knows no clock.
//!
//! # What a version is good for
//! A version below `min_decryption_version` is kept and does nothing; one below `min_encryption_version` makes nothing
//! new. What is trimmed is gone. The latest version always stays.

#![forbid(unsafe_code)]

mod cipher;
mod encoding;
mod error;
mod export;
mod key;
mod kind;
mod material;
mod signature;

pub use crate::cipher::{Around, Made};
pub use crate::encoding::decode_base64;
pub use crate::error::TransitError;
pub use crate::export::ExportType;
pub use crate::key::{Change, Key, KeyVersion, Settings};
pub use crate::kind::Kind;
pub use crate::signature::{Marshaling, Padding, Signed, SigningOptions};
