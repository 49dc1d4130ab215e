//! The barrier of the built-in store: nothing passes it to a disk that can be read, moved or changed there.
//!
//! [`ring`] holds the keys of all terms and travels only wrapped by a root key; [`record`] encrypts what is stored;
//! [`names`] hides what it is stored under; [`Barrier`] is the three behind a door that [`Barrier::seal`] closes, and a
//! [`View`] is the way through it to a storage. [`renewal`] brings records to the newest term, and [`snapshot`] takes them
//! elsewhere.
//!
//! # Records
//! AES-256-GCM (governance.md §7). The key of a record is derived from its term's key and its place (mount, storage key,
//! version), and the place is authenticated with it: a record that was moved to another key or mount, or put back where
//! another version is expected, does not open. Since hardly two writes share a key, random nonces do not run out.
//!
//! # Names
//! A store has to list by prefix, and to read a name back from what lies on disk, so names cannot be hashed. Each segment
//! of a storage key is encrypted by itself, alike for alike, under a key of its own that never changes; the segments
//! before it are authenticated with it, so that `prod` in two folders looks different. What that tells who owns the disk:
//! the tree's shape (how many entries are in each folder, how deep), which entries are the same ones as in an older copy,
//! and lengths of names in steps of 16 bytes. The order of names is not told; whoever lists sorts after reading them back.
//!
//! # What the barrier cannot see
//! Whole files that are put back: an old copy of everything is a store that was true once. Records that are missing, where
//! nothing that is there names them. Sizes of values, numbers of records, and when they change. A version protects as far
//! as whoever reads knows which one to expect from a record that was not put back as well.
//!
//! Pure but for nonces, which `core/crypto` draws: keys come in, bytes go out. No error holds a value, a name or a key.

#![forbid(unsafe_code)]

pub mod names;
pub mod record;
pub mod renewal;
pub mod ring;
pub mod snapshot;
pub mod view;

use std::fmt;

pub use record::Place;
pub use ring::{KeyRing, RootKey};
use strongroom_secret::SecretBytes;
pub use view::{Changes, Found, SharedBarrier, View, ViewError};

/// Bytes of every key that comes in.
pub const KEY_LENGTH: usize = strongroom_crypto::AEAD_KEY_LENGTH;

/// Why the barrier lets something not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BarrierError {
    /// It is sealed: it has no keys. Unseal the store.
    Sealed,
    /// A key that came in does not have [`KEY_LENGTH`] bytes.
    KeyLength,
    /// The key ring was not wrapped by this root key, or was changed. Give the root key that belongs to these data.
    RingRefused,
    /// The record was not written here for this place, or was changed. Restore it from a snapshot.
    RecordRefused,
    /// The storage key was not hidden by this key ring, or was changed. Restore it from a snapshot.
    NameRefused,
    /// The record was written under a term that the key ring does not have: data and key ring are of two times.
    TermUnknown {
        /// The term that the record names.
        term: u32,
    },
    /// The last term, 2^32 - 1, is in use.
    TermsExhausted,
    /// The kernel gave no randomness, or the library failed.
    Unavailable,
}

impl fmt::Display for BarrierError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sealed => formatter.write_str("the store is sealed: unseal it"),
            Self::KeyLength => write!(formatter, "a key of the barrier needs {KEY_LENGTH} bytes"),
            Self::RingRefused => formatter.write_str(
                "the key ring does not open: the root key is that of another store, or the ring was changed",
            ),
            Self::RecordRefused => formatter.write_str(
                "a record does not open: it was changed, moved or put back outside of this store; restore a snapshot",
            ),
            Self::NameRefused => formatter
                .write_str("a storage key cannot be read: it was changed outside of this store; restore a snapshot"),
            Self::TermUnknown { term } => {
                write!(formatter, "a record is of term {term}, which the key ring lacks: they are of two times")
            }
            Self::TermsExhausted => formatter.write_str("the key ring has no term left to rotate to"),
            Self::Unavailable => formatter.write_str("encryption failed: the system gives no randomness"),
        }
    }
}

impl std::error::Error for BarrierError {}

/// The barrier, sealed or not. Starts sealed.
#[derive(Debug, Default)]
pub struct Barrier(Option<KeyRing>);

impl Barrier {
    /// One that is open with these keys.
    pub fn opened(ring: KeyRing) -> Self {
        Self(Some(ring))
    }

    /// Opens the barrier with a key ring that `root` wrapped.
    ///
    /// # Errors
    /// [`BarrierError::RingRefused`] for another root key or a ring that was changed; the barrier stays as it was.
    pub fn unseal(&mut self, root: &RootKey, wrapped: &[u8]) -> Result<(), BarrierError> {
        self.0 = Some(KeyRing::unwrap(root, wrapped)?);
        Ok(())
    }

    /// Forgets all keys: their memory is wiped.
    pub fn seal(&mut self) {
        self.0 = None;
    }

    /// Whether there are no keys.
    pub fn is_sealed(&self) -> bool {
        self.0.is_none()
    }

    /// The keys.
    ///
    /// # Errors
    /// [`BarrierError::Sealed`].
    pub fn ring(&self) -> Result<&KeyRing, BarrierError> {
        self.0.as_ref().ok_or(BarrierError::Sealed)
    }

    /// Adds `key` as the newest term, under which records are written from now on, and answers the ring as wrapped by
    /// `root`. The caller makes that durable first and then calls [`Barrier::unseal`] with it: a record must never be
    /// of a term that a crash could forget. That is why nothing changes here.
    ///
    /// # Errors
    /// [`BarrierError::Sealed`], a key of another length, or no term left.
    pub fn prepare_rotation(&self, root: &RootKey, key: SecretBytes) -> Result<Vec<u8>, BarrierError> {
        let mut ring = self.ring()?.clone();
        ring.rotate(key)?;
        ring.wrap(root)
    }
}
