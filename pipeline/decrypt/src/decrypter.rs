use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use strongroom_crypto::{SealingKey, hkdf_sha256_32, sha256};
use strongroom_failure::{Class, Failure};
use strongroom_kamus::legacy::LegacyText;
use strongroom_kamus::{Identity, KamusError, KeyId, KeyRing, SealedText, Text};
use strongroom_secret::SecretBytes;
use tokio::sync::Semaphore;

use crate::kept::Kept;
use crate::known::{Known, Unwrapped};
use crate::local::LegacyKey;
use crate::management::KeyManagement;

/// The longest text that is looked at, in bytes: more than a Secret can hold, encrypted and in base64.
const LONGEST_TEXT: usize = 4 * 1024 * 1024;

/// What a decrypter may keep.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Fresh keys of texts at once.
    pub fresh_keys: usize,
    /// How long each of them is kept.
    pub lifetime: Duration,
}

impl Default for Limits {
    /// 4,096 keys, which are some 600 KB, for five minutes.
    fn default() -> Self {
        Self { fresh_keys: 4096, lifetime: Duration::from_secs(300) }
    }
}

/// Opens texts for the accounts that they were encrypted for, and encrypts for accounts.
pub struct Decrypter {
    management: Arc<dyn KeyManagement>,
    legacy: Option<LegacyKey>,
    limits: Limits,
    known: Mutex<Arc<Known>>,
    /// As many as there are processors: what takes one for a millisecond runs beside the caller's thread, on which
    /// everybody else waits, but not on a hundred threads at once.
    processors: Arc<Semaphore>,
}

impl Decrypter {
    /// A decrypter with an installation's keys, which `management` unwraps. Texts of Kamus' provider `AESKey` are read
    /// where there is a `legacy` key.
    pub fn new(management: Arc<dyn KeyManagement>, legacy: Option<LegacyKey>, ring: KeyRing, limits: Limits) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Self {
            management,
            legacy,
            limits,
            known: Mutex::new(Arc::new(Known::new(ring, limits.kept()))),
            processors: Arc::new(Semaphore::new(processors)),
        }
    }

    /// Takes another ring: keys that are no longer in it open nothing any more; those that are need not be unwrapped again.
    /// Whoever follows the ring gives it again and again; with the same one, fresh keys whose time is over are wiped.
    pub fn set_ring(&self, ring: KeyRing) {
        let mut known = locked(&self.known);
        match *known.ring == ring {
            true => known.tidy(),
            false => *known = Arc::new(known.with_ring(ring, self.limits.kept())),
        }
    }

    /// The keys that it knows.
    pub fn ring(&self) -> Arc<KeyRing> {
        Arc::clone(&self.known().ring)
    }

    /// Encrypts `plain` for `identity` with the newest key.
    ///
    /// # Errors
    /// `Invalid` for the default account and where there is no key yet.
    pub fn encrypt(&self, identity: &Identity, plain: &SecretBytes) -> Result<SealedText, Failure> {
        let ring = self.ring();
        let (id, key): (KeyId, SealingKey) = ring.sealing_key().map_err(failure)?;
        SealedText::seal(&key, &id, &ring.installation, identity, plain).map_err(failure)
    }

    /// The value of `text`, where it was encrypted for `identity`.
    ///
    /// # Errors
    /// `Invalid` for what is no such text, was encrypted for somebody else or was changed: which one cannot be told. What
    /// the key management answers, or that it does not.
    pub async fn decrypt(&self, text: &str, identity: &Identity) -> Result<SecretBytes, Failure> {
        if text.len() > LONGEST_TEXT {
            return Err(Failure::new(Class::Invalid, format!("the text is longer than {LONGEST_TEXT} bytes")));
        }
        match Text::read(text).map_err(failure)? {
            Text::Sealed(sealed) => self.open(sealed, identity).await,
            Text::Legacy(LegacyText::Envelope { wrapped_key, block }) => {
                let fresh = self.envelope_key(&wrapped_key, identity).await?;
                block.open(&fresh).map_err(failure)
            }
            Text::Legacy(LegacyText::Block(block)) => match &self.legacy {
                Some(key) => key.open(&block, identity),
                None => {
                    let words = "it was encrypted by Kamus with an AES key, which is not read here";
                    let hint = "encrypt the value again, or give that key for migration";
                    Err(Failure::new(Class::Invalid, words).with_hint(hint))
                }
            },
            Text::Legacy(LegacyText::Direct(encrypted)) => self.management.open_legacy(&encrypted, identity).await,
        }
    }

    /// A key of 32 bytes for `purpose`, made of the ring's oldest key: whoever may unwrap that one has it, and nobody else.
    /// It costs no call to the key management beside the one that opens texts of that key.
    ///
    /// # Errors
    /// As [`Decrypter::decrypt`]; `Invalid` where there is no key yet.
    pub async fn derive(&self, purpose: &[u8]) -> Result<SecretBytes, Failure> {
        let ring = self.ring();
        let oldest = ring.keys.first().ok_or_else(|| failure(KamusError::UnknownKey))?;
        self.derive_of(&oldest.id().map_err(failure)?, purpose).await
    }

    /// As [`Decrypter::derive`], of the ring's key `id`.
    ///
    /// # Errors
    /// As [`Decrypter::decrypt`].
    pub async fn derive_of(&self, id: &KeyId, purpose: &[u8]) -> Result<SecretBytes, Failure> {
        let key = self.key(&self.known(), id).await?;
        hkdf_sha256_32(&key.wrapping, purpose).map_err(|_| failure(KamusError::Failed))
    }

    async fn open(&self, text: SealedText, identity: &Identity) -> Result<SecretBytes, Failure> {
        let known = self.known();
        let text = Arc::new(text);
        let fingerprint = text.fingerprint(&known.ring.installation, identity);
        let fresh = known.fresh(fingerprint, || self.unwrap(&known, &text, identity)).await?;
        text.open(&fresh).map_err(failure)
    }

    /// The fresh key of one of our texts.
    async fn unwrap(&self, known: &Known, text: &Arc<SealedText>, identity: &Identity) -> Result<SecretBytes, Failure> {
        let key = self.key(known, text.key()).await?.opened;
        let (text, ring, identity) = (Arc::clone(text), Arc::clone(&known.ring), identity.clone());
        self.compute(move || {
            let fresh = text.unwrap(&key.key, &ring.installation, &identity)?;
            // The key of a text that was changed is not worth a place among those that are kept.
            text.open(&fresh).map(|_| fresh)
        })
        .await?
        .map_err(failure)
    }

    async fn key(&self, known: &Known, id: &KeyId) -> Result<Unwrapped, Failure> {
        known.key(id, || self.unwrap_key(&known.ring, id)).await
    }

    async fn unwrap_key(&self, ring: &Arc<KeyRing>, id: &KeyId) -> Result<Unwrapped, Failure> {
        let record = ring.find(id).ok_or_else(|| unknown(id))?.clone();
        let wrapping = self.management.unwrap(&record.wrapped_key).await;
        let wrapping = wrapping.map_err(|failure| refused(failure).on_key(id.to_string()))?;
        let (ring, key) = (Arc::clone(ring), wrapping.clone());
        let opened = self.compute(move || record.open(&ring.installation, &key)).await?.map_err(|_| {
            let words = format!("the ring's record of the key {id} is damaged or of another installation");
            Failure::new(Class::Invalid, words).with_hint("restore the ring of keys from its backup")
        })?;
        Ok(Unwrapped { wrapping, opened: Arc::new(opened) })
    }

    /// The fresh key of an envelope of Kamus: one call for each, and for each account that asks.
    async fn envelope_key(&self, wrapped_key: &[u8], identity: &Identity) -> Result<SecretBytes, Failure> {
        let place = sha256(&[identity.to_string().as_bytes(), b"|", wrapped_key].concat());
        self.known().fresh(place, || self.management.unwrap_legacy(wrapped_key, identity)).await
    }

    /// Does work that takes a processor for a millisecond or more. Work whose asker has gone is still finished, and counts
    /// until then.
    async fn compute<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
        let lost = || failure(KamusError::Failed);
        let permit = Arc::clone(&self.processors).acquire_owned().await.map_err(|_| lost())?;
        let computing = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(permit);
            done
        });
        computing.await.map_err(|_| lost())
    }

    fn known(&self) -> Arc<Known> {
        Arc::clone(&locked(&self.known))
    }
}

impl Limits {
    fn kept(&self) -> Kept {
        Kept::new(self.fresh_keys, self.lifetime)
    }
}

impl std::fmt::Debug for Decrypter {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Decrypter({})", self.management.describe())
    }
}

/// A key of the ring that the key management does not unwrap (it is disabled, gone, another one) is nothing that the sender
/// of a text has done or can mend.
fn refused(failure: Failure) -> Failure {
    let class = match failure.class {
        Class::Invalid | Class::NotFound => Class::Denied,
        class => class,
    };
    Failure { class, ..failure }
}

/// What is wrong with a text, key or identity, as the one error type.
pub(crate) fn failure(error: KamusError) -> Failure {
    let class = if error == KamusError::Failed { Class::Unavailable } else { Class::Invalid };
    Failure::new(class, error.to_string())
}

fn unknown(id: &KeyId) -> Failure {
    Failure::new(Class::Invalid, KamusError::UnknownKey.to_string())
        .on_key(id.to_string())
        .with_hint("encrypt the value again, or bring back the key to the ring")
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
