//! Who keeps the root key while the store does not run.
//!
//! The storage holds a [`Custody`] in clear: the root key as its keeper wrapped it, and the key ring as the root key
//! wrapped it. A store that is sealed by a key that people hold is opened by `sys/unseal`; one that is sealed by a file or
//! by another system opens itself when it starts.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use strongroom_barrier::{KEY_LENGTH, RootKey};
use strongroom_crypto::{open, random_bytes, seal};
use strongroom_failure::{Class, Failure};
use strongroom_secret::SecretBytes;
use strongroom_storage::{Commit, Condition, Outcome, Revision, Storage};

/// The storage key of the custody. Names behind the barrier hold no `+`.
pub(crate) const PLACE: &str = "+custody";
const FORMAT: u8 = 1;
const CONTEXT: &[u8] = b"strongroom seal 1: root key";

/// The kind of a store that people open.
pub(crate) const SHAMIR: &str = "shamir";

/// What lies in clear: useless without its keeper.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Custody {
    format: u8,
    /// What keeps the root key: `shamir`, `file`, `transit`, `awskms`.
    pub(crate) kind: String,
    /// The store's id, as `cluster_id`.
    pub(crate) id: String,
    #[serde(with = "encoded")]
    root: Vec<u8>,
    #[serde(with = "encoded")]
    ring: Vec<u8>,
}

impl Custody {
    /// A new one.
    pub(crate) fn new(kind: &str, id: &str, wrapped_root: Vec<u8>, wrapped_ring: Vec<u8>) -> Self {
        Self { format: FORMAT, kind: kind.to_owned(), id: id.to_owned(), root: wrapped_root, ring: wrapped_ring }
    }

    /// The same with another key ring.
    #[must_use]
    pub(crate) fn with_ring(self, wrapped_ring: Vec<u8>) -> Self {
        Self { ring: wrapped_ring, ..self }
    }

    /// The root key as its keeper wrapped it.
    pub(crate) fn wrapped_root(&self) -> &[u8] {
        &self.root
    }

    /// The key ring as the root key wrapped it.
    pub(crate) fn wrapped_ring(&self) -> &[u8] {
        &self.ring
    }

    /// The custody of a storage, and the commit that wrote it; `None` where the store was never initialised.
    ///
    /// # Errors
    /// The storage's own, or a custody that cannot be read.
    pub(crate) async fn read(storage: &dyn Storage) -> Result<Option<(Self, Revision)>, Failure> {
        let keys = [PLACE.to_owned()];
        let read = storage.read(&keys).await.map_err(|error| Failure::new(Class::Unavailable, error.to_string()))?;
        let Some(stored) = read.into_iter().next().flatten() else { return Ok(None) };
        Ok(Some((Self::parse(&stored.bytes)?, stored.revision)))
    }

    /// The custody that was written as these bytes.
    ///
    /// # Errors
    /// `Invalid` for one that is damaged, or a newer version's.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Failure> {
        let damaged =
            |_| Failure::new(Class::Invalid, "what the store keeps about its seal is damaged; restore a snapshot");
        let custody: Self = serde_json::from_slice(bytes).map_err(damaged)?;
        if custody.format != FORMAT {
            let words = format!("the store was written by a newer version (seal format {})", custody.format);
            return Err(Failure::new(Class::Invalid, words).with_hint("start that version or a later one"));
        }
        Ok(custody)
    }

    /// Keeps this custody in place of the one that was read (`None` where there was none); false where somebody else was
    /// faster.
    ///
    /// # Errors
    /// The storage's own.
    pub(crate) async fn write(&self, storage: &dyn Storage, before: Option<Revision>) -> Result<bool, Failure> {
        let bytes = serde_json::to_vec(self).map_err(|error| Failure::new(Class::Unavailable, error.to_string()))?;
        let commit = Commit {
            conditions: vec![Condition { key: PLACE.to_owned(), expected: before }],
            puts: vec![(PLACE.to_owned(), bytes)],
            deletes: Vec::new(),
        };
        let outcome = storage.commit(commit).await;
        let outcome = outcome.map_err(|error| Failure::new(Class::Unavailable, error.to_string()))?;
        Ok(matches!(outcome, Outcome::Committed(_)))
    }
}

impl fmt::Debug for Custody {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Custody").field("kind", &self.kind).field("id", &self.id).finish_non_exhaustive()
    }
}

mod encoded {
    use base64::Engine as _;

    use super::STANDARD;
    use serde::{Deserialize as _, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD.decode(text).map_err(|_| de::Error::custom("no base64"))
    }
}

/// Keeps root keys without people.
#[async_trait]
pub(crate) trait Seal: Send + Sync {
    /// As `sys/seal-status` names it: `file`, `transit`, `awskms`.
    fn kind(&self) -> &'static str;

    /// What has to be said at every start about where the key lies, if anything.
    fn warning(&self) -> Option<String> {
        None
    }

    /// Wraps a root key.
    ///
    /// # Errors
    /// Why the keeper cannot do so now.
    async fn wrap(&self, root: &SecretBytes) -> Result<Vec<u8>, Failure>;

    /// Unwraps it.
    ///
    /// # Errors
    /// As [`Seal::wrap`]; `Denied` or `Invalid` where the keeper has another key.
    async fn unwrap(&self, wrapped: &[u8]) -> Result<SecretBytes, Failure>;
}

/// A key in a file. Whoever has the file and the data has all.
#[derive(Debug)]
pub(crate) struct FileSeal {
    path: PathBuf,
    is_beside_data: bool,
}

impl FileSeal {
    /// The file; it is made when the store is initialised. `data` is where the storage lies.
    pub(crate) fn new(path: &Path, data: &Path) -> Self {
        Self { path: path.to_owned(), is_beside_data: path.starts_with(data) }
    }

    fn failed(&self, error: &std::io::Error) -> Failure {
        let class = if error.kind() == std::io::ErrorKind::NotFound { Class::NotFound } else { Class::Invalid };
        Failure::new(class, format!("cannot use the seal's key file {}: {error}", self.path.display()))
            .with_hint("bring the file back: without it nobody can read the store")
    }

    fn key(&self) -> Result<SecretBytes, Failure> {
        let mut file = File::open(&self.path).map_err(|error| self.failed(&error))?;
        let mode = file.metadata().map_err(|error| self.failed(&error))?.permissions().mode();
        if mode & 0o077 != 0 {
            let words =
                format!("others may read the seal's key file {} (mode {:o})", self.path.display(), mode & 0o777);
            return Err(Failure::new(Class::Invalid, words).with_hint("chmod 600 it, and rotate the seal"));
        }
        let mut key = SecretBytes::new(vec![0; KEY_LENGTH]);
        file.read_exact(key.expose_mut()).map_err(|error| self.failed(&error))?;
        Ok(key)
    }

    fn make(&self) -> Result<SecretBytes, Failure> {
        let key = fresh_key()?;
        let options = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&self.path);
        let mut file = options.map_err(|error| self.failed(&error))?;
        let written = file.write_all(key.expose()).and_then(|()| file.sync_all());
        written.map_err(|error| self.failed(&error))?;
        Ok(key)
    }
}

#[async_trait]
impl Seal for FileSeal {
    fn kind(&self) -> &'static str {
        "file"
    }

    fn warning(&self) -> Option<String> {
        let path = self.path.display();
        self.is_beside_data
            .then(|| format!("the seal's key {path} lies beside the data: whoever copies the folder reads everything"))
    }

    async fn wrap(&self, root: &SecretBytes) -> Result<Vec<u8>, Failure> {
        let key = match self.key() {
            Err(failure) if failure.class == Class::NotFound => self.make()?,
            other => other?,
        };
        wrap_under(&key, root)
    }

    async fn unwrap(&self, wrapped: &[u8]) -> Result<SecretBytes, Failure> {
        unwrap_under(&self.key()?, wrapped)
    }
}

/// A random key of the barrier's length.
///
/// # Errors
/// Where the system gives no randomness.
pub(crate) fn fresh_key() -> Result<SecretBytes, Failure> {
    random_bytes(KEY_LENGTH).ok_or_else(|| Failure::new(Class::Unavailable, "the system gives no randomness"))
}

/// Wraps the root key under a key that somebody holds.
///
/// # Errors
/// Where encryption fails.
pub(crate) fn wrap_under(key: &SecretBytes, root: &SecretBytes) -> Result<Vec<u8>, Failure> {
    seal(key, CONTEXT, root.expose()).map_err(|_| Failure::new(Class::Unavailable, "the root key cannot be wrapped"))
}

/// The root key that [`wrap_under`] wrapped.
///
/// # Errors
/// `Denied` for another key.
pub(crate) fn unwrap_under(key: &SecretBytes, wrapped: &[u8]) -> Result<SecretBytes, Failure> {
    open(key, CONTEXT, wrapped)
        .map_err(|_| Failure::new(Class::Denied, "this is not the key that the store was sealed with"))
}

/// The root key for the barrier.
///
/// # Errors
/// One of another length.
pub(crate) fn root_key(root: SecretBytes) -> Result<RootKey, Failure> {
    RootKey::new(root).map_err(|error| Failure::new(Class::Invalid, error.to_string()))
}
