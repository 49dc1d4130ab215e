//! Where an installation's keys lie: a file, or a Secret of the cluster. What is there is wrapped: who reads it learns
//! nothing, but whoever may write it decides what new values are encrypted for.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use strongroom_decrypt::{Decrypter, KeyManagement};
use strongroom_failure::{Class, Failure};
use strongroom_kamus::{Identity, Installation, KamusError, KeyId, KeyRing, NewRecord, Text};
use strongroom_kube::{SecretObject, Secrets, WriteFailure};
use strongroom_secret::SecretBytes;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

/// The key of the Secret's data.
const MEMBER: &str = "ring.json";

/// A ring of a thousand keys is smaller; a wrong path must not fill the memory.
const LARGEST: u64 = 4 << 20;

/// How often somebody else's change is looked for.
const LOOKING: Duration = Duration::from_secs(10);

/// The least time between two looks for a key that a text names: whoever sends texts decides how many name none of ours.
const PAUSE: Duration = Duration::from_secs(1);

/// How often a write is tried where others write as well.
const TRIES: usize = 5;

/// A place for a ring.
#[derive(Clone)]
pub enum RingPlace {
    /// A file.
    File(PathBuf),
    /// A Secret.
    Secret {
        /// Who reads and writes it.
        secrets: Secrets,
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
}

/// What was read, and what must still be there when it is replaced.
struct Found {
    ring: KeyRing,
    object: Option<SecretObject>,
}

impl RingPlace {
    /// The ring; nothing where there is none.
    ///
    /// # Errors
    /// One that cannot be read, and the API server's.
    pub async fn read(&self) -> Result<Option<KeyRing>, Failure> {
        Ok(self.find().await?.map(|found| found.ring))
    }

    /// The ring, made with a first key where there is none. Of several that do so at once, all get the same.
    ///
    /// # Errors
    /// As [`RingPlace::read`]; what the key management answers.
    pub async fn ensure(&self, installation: &Installation, keys: &dyn KeyManagement) -> Result<KeyRing, Failure> {
        if let Some(ring) = self.read().await? {
            return Ok(ring);
        }
        let mut ring = KeyRing { installation: installation.clone(), keys: Vec::new() };
        add_key(&mut ring, keys).await?;
        if self.write(&ring, None).await? {
            return Ok(ring);
        }
        let gone = || self.named(Failure::new(Class::Unavailable, "the ring of keys was there and is gone"));
        self.read().await?.ok_or_else(gone)
    }

    /// Adds a key, which new values are encrypted for from then on; the old ones still open.
    ///
    /// # Errors
    /// As [`RingPlace::ensure`]; `Invalid` where there is no ring.
    pub async fn rotate(&self, keys: &dyn KeyManagement) -> Result<KeyRing, Failure> {
        self.change(async |ring| add_key(ring, keys).await).await
    }

    /// Takes a key out: what was encrypted for it opens no more.
    ///
    /// # Errors
    /// As [`RingPlace::rotate`]; as [`check_old`].
    pub async fn retire(&self, id: &KeyId) -> Result<KeyRing, Failure> {
        self.change(async |ring| remove_key(ring, id)).await
    }

    async fn change(&self, edit: impl AsyncFn(&mut KeyRing) -> Result<(), Failure>) -> Result<KeyRing, Failure> {
        for _ in 0..TRIES {
            let none = || {
                let failure = Failure::new(Class::Invalid, "there is no ring of keys");
                self.named(failure.with_hint("make one: strongroom kamus keys create"))
            };
            let found = self.find().await?.ok_or_else(none)?;
            let mut ring = found.ring.clone();
            edit(&mut ring).await?;
            if self.write(&ring, Some(found)).await? {
                return Ok(ring);
            }
        }
        Err(self.named(Failure::new(Class::Unavailable, "others change the ring of keys at the same time; try again")))
    }

    async fn find(&self) -> Result<Option<Found>, Failure> {
        let parsed = |bytes: &[u8]| KeyRing::read(bytes).map_err(|error| self.invalid(&error));
        match self {
            Self::File(path) => match read_file(path) {
                Ok(Some(bytes)) => parsed(&bytes).map(|ring| Some(Found { ring, object: None })),
                Ok(None) => Ok(None),
                Err(error) => Err(self.named(Failure::new(Class::Invalid, format!("cannot be read: {error}")))),
            },
            Self::Secret { secrets, namespace, name } => {
                let Some(object) = secrets.read(namespace, name).await? else { return Ok(None) };
                let missing = || {
                    self.named(Failure::new(Class::Invalid, format!("has no key {MEMBER}")))
                        .with_hint("name another Secret, or delete this one where it is nobody's")
                };
                let ring = parsed(object.data.get(MEMBER).ok_or_else(missing)?.expose())?;
                Ok(Some(Found { ring, object: Some(object) }))
            }
        }
    }

    /// Whether it was written; not where somebody else was faster.
    async fn write(&self, ring: &KeyRing, before: Option<Found>) -> Result<bool, Failure> {
        match self {
            Self::File(path) => {
                let unwritten = |error| self.named(Failure::new(Class::Invalid, format!("cannot be written: {error}")));
                write_file(path, ring, before.is_some()).map_err(unwritten)
            }
            Self::Secret { secrets, namespace, name } => {
                let data = BTreeMap::from([(MEMBER.to_owned(), SecretBytes::from(ring.to_json()))]);
                let written = match before.and_then(|found| found.object) {
                    Some(object) => secrets.replace(&SecretObject { data, ..object }).await,
                    None => {
                        let metadata = ObjectMeta {
                            name: Some(name.clone()),
                            namespace: Some(namespace.clone()),
                            ..ObjectMeta::default()
                        };
                        secrets.create(&SecretObject { metadata, data, ..SecretObject::default() }).await
                    }
                };
                match written {
                    Ok(_) => Ok(true),
                    Err(WriteFailure::Conflict | WriteFailure::AlreadyExists) => Ok(false),
                    Err(failure) => Err(failure.into_failure(&format!("write Secret {namespace}/{name}"))),
                }
            }
        }
    }

    fn invalid(&self, error: &KamusError) -> Failure {
        self.named(Failure::new(Class::Invalid, error.to_string()))
    }

    fn named(&self, failure: Failure) -> Failure {
        match self {
            Self::File(path) => failure.in_field(path.display().to_string()),
            Self::Secret { namespace, name, .. } => failure.in_field(format!("Secret {namespace}/{name}")),
        }
    }
}

fn remove_key(ring: &mut KeyRing, id: &KeyId) -> Result<(), Failure> {
    check_old(ring, id)?;
    ring.keys.retain(|record| record.id().as_ref() != Ok(id));
    Ok(())
}

/// Whether `id` is a key of `ring` that new values are not encrypted for.
///
/// # Errors
/// `NotFound` for one that is not there, `Invalid` for the newest.
pub(crate) fn check_old(ring: &KeyRing, id: &KeyId) -> Result<(), Failure> {
    let newest = ring.keys.last().and_then(|record| record.id().ok());
    if newest.as_ref() == Some(id) {
        let words = format!("{id} is the newest key, which new values are encrypted for");
        return Err(
            Failure::new(Class::Invalid, words).with_hint("add another one first: strongroom kamus keys rotate")
        );
    }
    let none = || {
        let failure = Failure::new(Class::NotFound, format!("there is no key {id}"));
        failure.with_hint("strongroom kamus keys list names those that there are")
    };
    ring.find(id).map(drop).ok_or_else(none)
}

/// The ring at its place, and the decrypter that has what was read of it last.
pub(crate) struct Latest {
    place: RingPlace,
    keys: Arc<Decrypter>,
    /// When somebody could not wait for the next look.
    looked: Mutex<Option<Instant>>,
}

impl Latest {
    pub(crate) fn new(place: RingPlace, keys: Arc<Decrypter>) -> Self {
        Self { place, keys, looked: Mutex::default() }
    }

    /// As [`Decrypter::decrypt`]. Whoever encrypted `text` may know a key that was added a moment ago: it is looked for
    /// before the text is refused.
    pub(crate) async fn decrypt(&self, text: &str, identity: &Identity) -> Result<SecretBytes, Failure> {
        let opened = self.keys.decrypt(text, identity).await;
        if opened.is_ok() || !self.is_of_unknown_key(text) {
            return opened;
        }
        self.has_changed().await;
        if self.is_of_unknown_key(text) { opened } else { self.keys.decrypt(text, identity).await }
    }

    fn is_of_unknown_key(&self, text: &str) -> bool {
        matches!(Text::read(text), Ok(Text::Sealed(sealed)) if self.keys.ring().find(sealed.key()).is_none())
    }

    /// Whether the ring is another one than when it was called, after a look at its place, if the last such look was not
    /// a moment ago.
    pub(crate) async fn has_changed(&self) -> bool {
        let before = self.keys.ring();
        let mut looked = self.looked.lock().await;
        // Who waited for somebody else's look has what that one found.
        if *self.keys.ring() == *before && looked.is_none_or(|at| at.elapsed() >= PAUSE) {
            *looked = Some(Instant::now());
            if let Err(failure) = self.look().await {
                tracing::warn!(%failure, hint = failure.hint, "the ring of keys cannot be looked at");
            }
        }
        *self.keys.ring() != *before
    }

    async fn look(&self) -> Result<(), Failure> {
        let gone = || Failure::new(Class::Invalid, "the ring of keys is gone; it is used as it was");
        let ring = self.place.read().await?.ok_or_else(gone)?;
        self.keys.set_ring(ring);
        Ok(())
    }
}

/// Follows what others do to the ring, for as long as it is polled.
pub struct Following {
    latest: Arc<Latest>,
}

impl Following {
    /// Hands each change of the ring to its decrypter.
    pub(crate) fn new(latest: Arc<Latest>) -> Self {
        Self { latest }
    }

    /// Never ends. A ring that cannot be read, or is gone, changes nothing: what was encrypted must still open.
    pub async fn run(self) {
        let mut is_told = false;
        loop {
            sleep(LOOKING).await;
            match self.latest.look().await {
                Ok(()) => is_told = false,
                Err(failure) => {
                    if !std::mem::replace(&mut is_told, true) {
                        tracing::warn!(%failure, hint = failure.hint, "the ring of keys is not followed");
                    }
                }
            }
        }
    }
}

async fn add_key(ring: &mut KeyRing, keys: &dyn KeyManagement) -> Result<(), Failure> {
    let fresh = NewRecord::generate(&ring.installation);
    let fresh = fresh.map_err(|error| Failure::new(Class::Unavailable, error.to_string()))?;
    let wrapped = keys.wrap(&fresh.key).await?;
    ring.keys.push(fresh.wrapped(wrapped, Timestamp::now().to_string()));
    Ok(())
}

fn read_file(path: &Path) -> std::io::Result<Option<Vec<u8>>> {
    match fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
        Ok(found) if found.len() > LARGEST => Err(std::io::Error::other(format!("it is larger than {LARGEST} bytes"))),
        Ok(_) => fs::read(path).map(Some),
    }
}

/// Whole or not at all; a first one only where there is none.
fn write_file(path: &Path, ring: &KeyRing, replaces: bool) -> std::io::Result<bool> {
    let beside = PathBuf::from(format!("{}.{:016x}", path.display(), fastrand::u64(..)));
    let written = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside).and_then(|mut file| {
        file.write_all(ring.to_json().as_bytes())?;
        file.write_all(b"\n")?;
        file.sync_all()
    });
    let placed = written.and_then(|()| {
        if replaces {
            return fs::rename(&beside, path).map(|()| true);
        }
        match fs::hard_link(&beside, path) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(false),
            linked => linked.map(|()| true),
        }
    });
    let _ = fs::remove_file(&beside);
    placed
}
