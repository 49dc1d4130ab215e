//! The keys of all terms, and the root key that wraps them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use strongroom_crypto::{AlikeKey, hmac_sha256, open, seal};
use strongroom_secret::SecretBytes;

use crate::{BarrierError, KEY_LENGTH};

/// The first byte of a wrapped key ring.
const FORMAT: u8 = 1;
const CONTEXT: &[u8] = b"strongroom barrier 1: key ring";
const TERM_LENGTH: usize = 4 + KEY_LENGTH;

/// The key that wraps key rings: what a seal (a KMS, a transit engine, a file) keeps.
#[derive(Clone)]
pub struct RootKey(SecretBytes);

impl RootKey {
    /// Takes [`KEY_LENGTH`] random bytes.
    ///
    /// # Errors
    /// [`BarrierError::KeyLength`].
    pub fn new(key: SecretBytes) -> Result<Self, BarrierError> {
        checked(key).map(Self)
    }
}

impl fmt::Debug for RootKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[redacted]")
    }
}

/// The keys of records by term, and the key of names, which has no terms.
#[derive(Clone)]
pub struct KeyRing {
    names: SecretBytes,
    /// The same, ready for use.
    hiding: Arc<AlikeKey>,
    newest: u32,
    terms: BTreeMap<u32, SecretBytes>,
}

impl KeyRing {
    /// A new store's: the key of term 1 and the key of names, [`KEY_LENGTH`] random bytes each.
    ///
    /// # Errors
    /// [`BarrierError::KeyLength`].
    pub fn new(first: SecretBytes, names: SecretBytes) -> Result<Self, BarrierError> {
        let names = checked(names)?;
        Ok(Self { hiding: hiding(&names)?, names, newest: 1, terms: BTreeMap::from([(1, checked(first)?)]) })
    }

    /// The term under which records are written.
    pub fn newest_term(&self) -> u32 {
        self.newest
    }

    /// Adds `key` as the newest term, and answers its number.
    ///
    /// # Errors
    /// [`BarrierError::KeyLength`] or [`BarrierError::TermsExhausted`].
    pub fn rotate(&mut self, key: SecretBytes) -> Result<u32, BarrierError> {
        let key = checked(key)?;
        self.newest = self.newest.checked_add(1).ok_or(BarrierError::TermsExhausted)?;
        self.terms.insert(self.newest, key);
        Ok(self.newest)
    }

    /// Forgets the keys of terms before `term`, once every record was encrypted anew; the newest stays. What was derived
    /// from them, such as keys of checkpoints of the audit trail, cannot be derived again.
    pub fn forget_before(&mut self, term: u32) {
        self.terms = self.terms.split_off(&term.min(self.newest));
    }

    /// A key for another purpose, under a term: 32 bytes that tell nothing of the term's key or of other purposes' ones.
    ///
    /// # Errors
    /// [`BarrierError::TermUnknown`].
    pub fn derive(&self, term: u32, purpose: &str) -> Result<SecretBytes, BarrierError> {
        Ok(self.derived(self.key(term)?, "purpose", purpose.as_bytes()))
    }

    /// The key of a record in the place that `context` tells.
    pub(crate) fn record_key(&self, term: u32, context: &[u8]) -> Result<SecretBytes, BarrierError> {
        Ok(self.derived(self.key(term)?, "record", context))
    }

    pub(crate) fn names(&self) -> &AlikeKey {
        &self.hiding
    }

    fn key(&self, term: u32) -> Result<&SecretBytes, BarrierError> {
        self.terms.get(&term).ok_or(BarrierError::TermUnknown { term })
    }

    fn derived(&self, key: &SecretBytes, kind: &str, of: &[u8]) -> SecretBytes {
        let label = [b"strongroom barrier 1: ", kind.as_bytes(), b"\0", of].concat();
        SecretBytes::new(hmac_sha256(key.expose(), &label).to_vec())
    }

    /// The ring as it may lie on disk: encrypted under `root`.
    ///
    /// # Errors
    /// [`BarrierError::Unavailable`].
    pub fn wrap(&self, root: &RootKey) -> Result<Vec<u8>, BarrierError> {
        // As long as it will be: growing would leave keys behind.
        let mut plain = SecretBytes::new(vec![0; KEY_LENGTH + self.terms.len() * TERM_LENGTH]);
        let (names, mut rest) = plain.expose_mut().split_at_mut(KEY_LENGTH);
        names.copy_from_slice(self.names.expose());
        for (term, key) in &self.terms {
            let (place, behind) = rest.split_at_mut(TERM_LENGTH);
            let (number, place) = place.split_at_mut(4);
            number.copy_from_slice(&term.to_be_bytes());
            place.copy_from_slice(key.expose());
            rest = behind;
        }
        let sealed = seal(&root.0, CONTEXT, plain.expose()).map_err(|_| BarrierError::Unavailable)?;
        Ok([&[FORMAT], sealed.as_slice()].concat())
    }

    /// The ring that `root` wrapped.
    ///
    /// # Errors
    /// [`BarrierError::RingRefused`] for anything else.
    pub fn unwrap(root: &RootKey, wrapped: &[u8]) -> Result<Self, BarrierError> {
        let refused = BarrierError::RingRefused;
        let sealed = wrapped.strip_prefix(&[FORMAT]).ok_or(refused)?;
        let plain = open(&root.0, CONTEXT, sealed).map_err(|_| refused)?;
        let (names, terms) = plain.expose().split_at_checked(KEY_LENGTH).ok_or(refused)?;
        let parts = terms.chunks_exact(TERM_LENGTH);
        if !parts.remainder().is_empty() {
            return Err(refused);
        }
        let read = |part: &[u8]| {
            let (number, key) = part.split_first_chunk()?;
            Some((u32::from_be_bytes(*number), SecretBytes::new(key.to_vec())))
        };
        let terms: BTreeMap<_, _> = parts.map(read).collect::<Option<_>>().ok_or(refused)?;
        let newest = *terms.last_key_value().ok_or(refused)?.0;
        let names = SecretBytes::new(names.to_vec());
        Ok(Self { hiding: hiding(&names)?, names, newest, terms })
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("KeyRing").field("terms", &self.terms.keys()).finish_non_exhaustive()
    }
}

fn hiding(names: &SecretBytes) -> Result<Arc<AlikeKey>, BarrierError> {
    AlikeKey::new(names).map(Arc::new).map_err(|_| BarrierError::Unavailable)
}

fn checked(key: SecretBytes) -> Result<SecretBytes, BarrierError> {
    if key.len() == KEY_LENGTH { Ok(key) } else { Err(BarrierError::KeyLength) }
}
