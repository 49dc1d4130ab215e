//! Keys through their public face, and against what OpenBao made.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod answers;
mod keys;

use jiff::Timestamp;
use strongroom_crypto::Hash;
use strongroom_transit::{Key, KeyVersion, Kind, Marshaling, Padding, Settings, SigningOptions};

/// What is asked where nothing is said.
fn options() -> SigningOptions {
    SigningOptions { hash: Hash::Sha256, is_hashed: false, padding: Padding::Pss, marshaling: Marshaling::Asn1 }
}

/// A new key.
fn made(kind: Kind, derived: bool) -> Key {
    let settings = Settings::of(kind, derived, true, None).unwrap();
    let first = KeyVersion::generate(kind, &settings, Timestamp::UNIX_EPOCH).unwrap();
    Key::new(kind, settings, first)
}

/// The key with one version more.
fn rotated(mut key: Key) -> Key {
    key.rotate(KeyVersion::generate(key.kind(), key.settings(), Timestamp::UNIX_EPOCH).unwrap());
    key
}
