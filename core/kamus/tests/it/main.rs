//! Texts of Kamus by its own vectors, and our own form.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod hostile;
mod legacy;
mod sealed;

use strongroom_kamus::Identity;
use strongroom_secret::SecretBytes;

fn identity(namespace: &str, account: &str) -> Identity {
    Identity::new(namespace, account).unwrap()
}

fn bytes(text: &str) -> SecretBytes {
    SecretBytes::from(text.to_owned())
}
