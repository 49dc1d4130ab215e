//! Lines that nobody can make without the key.

use std::fmt;

use strongroom_crypto::{hmac_sha256, sha256};
use strongroom_failure::{Class, Failure};
use strongroom_secret::SecretBytes;

use crate::chain::{Digest, Head};
use crate::hash::push_hex;

/// Bytes of the key that checkpoints are derived from.
pub const CHECKPOINT_KEY_LENGTH: usize = 32;

/// The name of one trail: one audit device of one store, from when it was enabled until it is disabled. Lines of
/// another trail do not fit in, though the store and its keys be the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trail(Box<str>);

impl Trail {
    /// Takes a name that no other trail of the store has, a UUID for instance: 1 to 128 letters, digits and `-_./`.
    ///
    /// # Errors
    /// `Invalid` for another name.
    pub fn new(name: &str) -> Result<Self, Failure> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte);
        if name.is_empty() || name.len() > 128 || !name.bytes().all(is_plain) {
            let words = "the name of an audit trail needs 1 to 128 letters, digits and characters of -_./";
            return Err(Failure::new(Class::Invalid, words.to_owned()));
        }
        Ok(Self(name.into()))
    }

    /// What stands before the first line.
    pub(crate) fn origin(&self) -> Head {
        Head { sequence: 0, hash: Digest(sha256(format!("strongroom audit trail 1\0{}", self.0).as_bytes())) }
    }
}

/// The key under which checkpoints of one term are made. It comes from the barrier, which keeps its key ring's terms, so
/// that checkpoints of earlier terms can be checked after a rotation.
#[derive(Clone)]
pub struct CheckpointKey {
    term: u32,
    key: SecretBytes,
}

impl CheckpointKey {
    /// Takes what the barrier derived for audit trails under `term`: [`CHECKPOINT_KEY_LENGTH`] bytes or more, used for
    /// nothing else.
    ///
    /// # Errors
    /// `Invalid` for fewer bytes.
    pub fn new(term: u32, key: SecretBytes) -> Result<Self, Failure> {
        if key.len() < CHECKPOINT_KEY_LENGTH {
            let words =
                format!("the key of checkpoints has {} bytes, and {CHECKPOINT_KEY_LENGTH} are needed", key.len());
            return Err(Failure::new(Class::Invalid, words));
        }
        Ok(Self { term, key })
    }

    /// The barrier's term.
    pub fn term(&self) -> u32 {
        self.term
    }

    /// The line of a checkpoint of `trail` behind `before`, without a line end: what stands before `"mac"` is what the
    /// MAC is over. It holds the hash of the line before, and so vouches for every line up to there.
    pub(crate) fn line(&self, trail: &Trail, before: &Head, time: &str) -> Vec<u8> {
        let mut line = format!(
            r#"{{"time":"{time}","type":"checkpoint","trail":"{}","key_term":{},{}"#,
            trail.0,
            self.term,
            before.link()
        );
        let key = hmac_sha256(self.key.expose(), b"strongroom audit checkpoint 1");
        let mac = hmac_sha256(&key, line.as_bytes());
        line.push_str(r#","mac":"hmac-sha256:"#);
        push_hex(&mut line, &mac);
        line.push_str("\"}");
        line.into_bytes()
    }
}

impl fmt::Debug for CheckpointKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("CheckpointKey").field("term", &self.term).finish_non_exhaustive()
    }
}
