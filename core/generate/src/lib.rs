//! Makes the values of generators: passwords, UUIDs, SSH keys, one-time passwords. What External Secrets Operator makes,
//! under the same keys; and when a value that ends is renewed or replaced.
//!
//! Pure: randomness and the time come in (new keys of SSH apart, which `core/crypto` makes). Nothing is kept here: who
//! asks stores a value before it is used.

#![forbid(unsafe_code)]

mod base32;
mod lease;
mod one_time;
mod password;
mod ssh;
mod uuid;

use std::collections::BTreeMap;

use strongroom_failure::{Class, Failure};
use strongroom_secret::SecretBytes;

pub use lease::{Lease, LeaseDue, SHORTEST_LEASE};
pub use one_time::one_time_password;
pub use password::password;
pub use ssh::ssh_key;
pub use uuid::uuid;

/// Values by the keys under which they are given.
pub type Values = BTreeMap<String, SecretBytes>;

/// Gives a number from 0 to its bound without the bound, each as likely; `None` where there is no randomness.
pub type Random<'a> = &'a mut dyn FnMut(u64) -> Option<u64>;

fn drawn(random: Random<'_>, bound: usize) -> Result<usize, Failure> {
    let number = u64::try_from(bound).ok().and_then(random).and_then(|number| usize::try_from(number).ok());
    number.ok_or_else(|| Failure::new(Class::Unavailable, "the system gives no randomness"))
}

fn invalid(field: &str, words: impl Into<String>, cure: &str) -> Failure {
    Failure::new(Class::Invalid, words).in_field(format!("spec.{field}")).with_hint(cure)
}
