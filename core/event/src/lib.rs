//! What sources tell about changes of secrets, and whom that concerns. Pure.
//!
//! A message of EventBridge ([`aws`]), a notification of Google Secret Manager ([`google`]) or a signed request
//! ([`webhook`]) becomes a [`Change`]; a change is compared with the keys that objects read. A change names a secret and
//! never holds its value, and what it leads to is one more read: whoever gets it twice, late or in another order reads
//! once too often and nothing else. [`secret_operator`] decides as the operator of that name does.
//!
//! **Architecture Invariant:** no failure quotes a message: it is not ours, and somebody may have put a value in it.

#![forbid(unsafe_code)]

pub mod aws;
pub mod google;
pub mod secret_operator;
pub mod webhook;

mod change;
mod key;
mod seen;

use strongroom_failure::{Class, Failure};

pub use crate::change::{Change, Happening, Place};
pub use crate::key::stems;
pub use crate::seen::Seen;

/// The largest message that is read, in bytes: what SQS takes. Pub/Sub's notifications have a few KiB.
pub const SIZE_LIMIT: usize = 1024 * 1024;

/// The longest key that is taken, in bytes. Names have at most 2,048 (Parameter Store, with its ARN); longer ones are no
/// names.
const KEY_LIMIT: usize = 4096;

/// A message that cannot be understood; `words` were written here.
fn unreadable(words: &str) -> Failure {
    Failure::new(Class::Invalid, words)
}

fn checked_key(key: &str) -> Result<&str, Failure> {
    match key.len() {
        0 => Err(unreadable("the message names an empty key")),
        length if length > KEY_LIMIT => Err(unreadable("the key in the message is longer than keys are")),
        _ => Ok(key),
    }
}
