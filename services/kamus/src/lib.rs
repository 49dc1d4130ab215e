//! Kamus' services: the encryptor, to which anybody may send a value for a service account, and the decryptor, which gives
//! it back to a pod that proves to be that account.
//!
//! In the order of a start: [`KeyOptions`] (flags, and the variables that Kamus' containers have), `ring` (where the
//! installation's keys lie), `serve`. Of a request: `wire`, then `encryptor`, or `decryptor` by `reviews` (who asks),
//! `rates` and `trail` (every decryption is in the audit trail before its answer leaves). By hand: `keys`, `retire` (a key
//! leaves) and `rewrap` (texts in files and in a cluster under the newest key).
//!
//! Paths, texts and codes are those of Kamus 0.9 (seed-interfaces.md §7.2, §7.3); what differs is in
//! docs/compatibility/kamus.md.

#![forbid(unsafe_code)]

mod command;
mod decryptor;
mod encryptor;
mod keys;
mod marks;
mod meters;
mod objects;
mod options;
mod rates;
mod retire;
mod reviews;
mod rewrap;
mod ring;
mod serve;
mod source;
mod trail;
mod wire;

pub use crate::command::KamusCommand;
pub use crate::options::KeyOptions;
pub use crate::ring::{Following, RingPlace};
pub use crate::source::KeySource;
