//! What is stored: a format byte, the term in four bytes, and what [`strongroom_crypto::seal`] made.

use strongroom_crypto::{open, seal};
use strongroom_secret::SecretBytes;

use crate::BarrierError;
use crate::ring::KeyRing;

const FORMAT: u8 = 1;

/// Where a record belongs. It opens there and nowhere else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place<'a> {
    /// The mount's id, which no other mount has had: a path could be given to another one later.
    pub mount: &'a str,
    /// The storage key, in clear.
    pub key: &'a str,
    /// The version that whoever reads expects; 0 for records of which there is one at a time and nothing tells which.
    pub version: u64,
}

impl Place<'_> {
    /// Unambiguous: each text stands behind its length.
    fn context(&self, term: u32) -> Vec<u8> {
        let mut context = vec![FORMAT];
        context.extend_from_slice(&term.to_be_bytes());
        for text in [self.mount, self.key] {
            context.extend_from_slice(&(text.len() as u64).to_be_bytes());
            context.extend_from_slice(text.as_bytes());
        }
        context.extend_from_slice(&self.version.to_be_bytes());
        context
    }
}

impl KeyRing {
    /// Encrypts a record for `place` under the newest term.
    ///
    /// # Errors
    /// [`BarrierError::Unavailable`].
    pub fn encrypt(&self, place: &Place<'_>, plain: &SecretBytes) -> Result<Vec<u8>, BarrierError> {
        let term = self.newest_term();
        let context = place.context(term);
        let key = self.record_key(term, &context)?;
        let sealed = seal(&key, &context, plain.expose()).map_err(|_| BarrierError::Unavailable)?;
        Ok([&[FORMAT], term.to_be_bytes().as_slice(), &sealed].concat())
    }

    /// Decrypts the record that lies in `place`, of whichever term.
    ///
    /// # Errors
    /// [`BarrierError::RecordRefused`] for what was not written for this place; [`BarrierError::TermUnknown`].
    pub fn decrypt(&self, place: &Place<'_>, record: &[u8]) -> Result<SecretBytes, BarrierError> {
        let (term, sealed) = parts(record)?;
        let context = place.context(term);
        let key = self.record_key(term, &context)?;
        open(&key, &context, sealed).map_err(|_| BarrierError::RecordRefused)
    }

    /// The record encrypted anew under the newest term; `None` where it is of that term already.
    ///
    /// # Errors
    /// As [`KeyRing::decrypt`].
    pub fn reencrypt(&self, place: &Place<'_>, record: &[u8]) -> Result<Option<Vec<u8>>, BarrierError> {
        if parts(record)?.0 == self.newest_term() {
            return Ok(None);
        }
        self.encrypt(place, &self.decrypt(place, record)?).map(Some)
    }
}

/// The term under which a record says that it was written.
///
/// # Errors
/// [`BarrierError::RecordRefused`] for what is no record.
pub fn term_of(record: &[u8]) -> Result<u32, BarrierError> {
    parts(record).map(|(term, _)| term)
}

fn parts(record: &[u8]) -> Result<(u32, &[u8]), BarrierError> {
    let behind = record.strip_prefix(&[FORMAT]).ok_or(BarrierError::RecordRefused)?;
    let (term, sealed) = behind.split_first_chunk().ok_or(BarrierError::RecordRefused)?;
    Ok((u32::from_be_bytes(*term), sealed))
}
