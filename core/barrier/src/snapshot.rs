//! A backup of a storage as one stream of bytes: what lies in the storage, as it lies there, between a head that says what
//! it is and an end that proves that all of it is there.
//!
//! A first line that names the format, a line of JSON ([`About`]), then for each record the lengths of its key and its value
//! in four bytes each, key and value; then a length that no key has, the SHA-256 that was chained over everything before,
//! and its MAC under a key that the barrier derives. The records are the barrier's own: whoever has the bytes and not the
//! root key reads neither names nor values.

use std::fmt;
use std::io::Read;

use serde::{Deserialize, Serialize};
use strongroom_crypto::{equal_in_constant_time, hmac_sha256, sha256};
use strongroom_secret::SecretBytes;
use strongroom_storage::{LONGEST_KEY, MOST_BYTES};

use crate::{BarrierError, KeyRing};

const FIRST_LINE: &[u8] = b"strongroom snapshot 1\n";

/// What the MAC's key is derived for, of the first term, which every ring has.
const PURPOSE: &str = "snapshots";

/// In place of a key's length: no more records.
const END: u32 = u32::MAX;

/// Bytes of the line that says what it is.
const LONGEST_HEAD: usize = 4096;

/// What a snapshot says about itself, in clear.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// When it was taken (RFC 3339).
    pub created: String,
    /// The last commit that it contains.
    pub revision: u64,
    /// The store's id.
    pub store: String,
    /// Who keeps the root key that opens it: `shamir`, `file`, `transit`, `awskms`.
    pub seal: String,
}

/// Why a snapshot cannot be read.
#[derive(Debug)]
pub enum SnapshotError {
    /// It is something else, or of a newer version.
    NotOne,
    /// It ends before its end.
    CutOff,
    /// Its bytes are not those that were written.
    Changed,
    /// The file's own trouble.
    Read(std::io::Error),
}

impl fmt::Display for SnapshotError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotOne => formatter.write_str("it is no snapshot, or one of a newer version"),
            Self::CutOff => formatter.write_str("it is cut off: take another one"),
            Self::Changed => formatter.write_str("it was changed after it was taken: use another one"),
            Self::Read(error) => error.fmt(formatter),
        }
    }
}

impl std::error::Error for SnapshotError {}

/// Makes the bytes of a snapshot.
#[derive(Debug)]
pub struct SnapshotWriter {
    digest: [u8; 32],
}

impl SnapshotWriter {
    /// Begins; the first bytes.
    pub fn new(about: &About) -> (Self, Vec<u8>) {
        // Texts and a number: there is nothing in it that JSON has not.
        let line = serde_json::to_vec(about).unwrap_or_default();
        let head = [FIRST_LINE, line.as_slice(), b"\n"].concat();
        (Self { digest: sha256(&head) }, head)
    }

    /// The bytes of a record.
    pub fn record(&mut self, key: &str, value: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(8 + key.len() + value.len());
        for length in [key.len(), value.len()] {
            // A storage takes no longer ones.
            bytes.extend_from_slice(&u32::try_from(length).unwrap_or(END).to_be_bytes());
        }
        bytes.extend_from_slice(key.as_bytes());
        bytes.extend_from_slice(value);
        self.digest = chained(&self.digest, &bytes);
        bytes
    }

    /// The last bytes.
    ///
    /// # Errors
    /// A ring without its first term.
    pub fn end(self, ring: &KeyRing) -> Result<Vec<u8>, BarrierError> {
        let mac = mac(ring, &self.digest)?;
        Ok([END.to_be_bytes().as_slice(), &self.digest, &mac].concat())
    }
}

fn chained(before: &[u8; 32], bytes: &[u8]) -> [u8; 32] {
    let digest = sha256(bytes);
    sha256(&[before.as_slice(), &digest].concat())
}

fn mac(ring: &KeyRing, digest: &[u8; 32]) -> Result<[u8; 32], BarrierError> {
    let key: SecretBytes = ring.derive(1, PURPOSE)?;
    Ok(hmac_sha256(key.expose(), digest))
}

/// Reads a snapshot again.
#[derive(Debug)]
pub struct SnapshotReader<R> {
    from: R,
    digest: [u8; 32],
    mac: Option<[u8; 32]>,
}

impl<R: Read> SnapshotReader<R> {
    /// Reads the head.
    ///
    /// # Errors
    /// Where it is no snapshot.
    pub fn open(mut from: R) -> Result<(About, Self), SnapshotError> {
        let mut first = vec![0; FIRST_LINE.len()];
        from.read_exact(&mut first).map_err(|_| SnapshotError::NotOne)?;
        let mut line = Vec::new();
        while first == FIRST_LINE && line.len() < LONGEST_HEAD && line.last() != Some(&b'\n') {
            let mut byte = [0];
            from.read_exact(&mut byte).map_err(cut_off)?;
            line.extend_from_slice(&byte);
        }
        let about = serde_json::from_slice(&line).map_err(|_| SnapshotError::NotOne)?;
        let digest = sha256(&[first, line].concat());
        Ok((about, Self { from, digest, mac: None }))
    }

    /// The next record as it lay in the storage; `None` at the end, which is there and belongs to what was read.
    ///
    /// # Errors
    /// Where it is cut off or was changed.
    pub fn next_record(&mut self) -> Result<Option<(String, Vec<u8>)>, SnapshotError> {
        let key_length = self.number()?;
        if key_length == END {
            return self.finish().map(|()| None);
        }
        let value_length = self.number()?;
        let (key_size, value_size) = (key_length as usize, value_length as usize);
        if key_size > LONGEST_KEY || value_size > MOST_BYTES {
            return Err(SnapshotError::Changed);
        }
        let mut bytes = vec![0; 8 + key_size + value_size];
        let (lengths, rest) = bytes.split_at_mut(8);
        let (first, second) = lengths.split_at_mut(4);
        first.copy_from_slice(&key_length.to_be_bytes());
        second.copy_from_slice(&value_length.to_be_bytes());
        self.from.read_exact(rest).map_err(cut_off)?;
        let (key, value) = rest.split_at(key_size);
        let key = String::from_utf8(key.to_vec()).map_err(|_| SnapshotError::Changed)?;
        let record = (key, value.to_vec());
        self.digest = chained(&self.digest, &bytes);
        Ok(Some(record))
    }

    fn number(&mut self) -> Result<u32, SnapshotError> {
        let mut bytes = [0; 4];
        self.from.read_exact(&mut bytes).map_err(cut_off)?;
        Ok(u32::from_be_bytes(bytes))
    }

    fn finish(&mut self) -> Result<(), SnapshotError> {
        let (mut digest, mut mac) = ([0; 32], [0; 32]);
        self.from.read_exact(&mut digest).map_err(cut_off)?;
        self.from.read_exact(&mut mac).map_err(cut_off)?;
        let is_over = self.from.read(&mut [0]).map_err(SnapshotError::Read)? == 0;
        if digest != self.digest || !is_over {
            return Err(SnapshotError::Changed);
        }
        self.mac = Some(mac);
        Ok(())
    }

    /// Whether the store that this ring belongs to took the snapshot, and nobody changed it; asked after its end was read.
    ///
    /// # Errors
    /// A ring without its first term.
    pub fn is_of(&self, ring: &KeyRing) -> Result<bool, BarrierError> {
        let expected = mac(ring, &self.digest)?;
        Ok(self.mac.is_some_and(|mac| equal_in_constant_time(&mac, &expected)))
    }
}

fn cut_off(error: std::io::Error) -> SnapshotError {
    match error.kind() {
        std::io::ErrorKind::UnexpectedEof => SnapshotError::CutOff,
        _ => SnapshotError::Read(error),
    }
}
