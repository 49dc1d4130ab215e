use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use strongroom_crypto::{SealingKey, hkdf_sha256_32, sha256};
use strongroom_failure::{Class, Failure};
use strongroom_kamus::legacy::LegacyText;
use strongroom_kamus::{Identity, KamusError, KeyId, KeyRing, OpenedKey, SealedText, Text};
use strongroom_secret::SecretBytes;
use tokio::sync::OnceCell;
use tokio::time::Instant;

use crate::kept::Kept;
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
    state: Mutex<State>,
    /// One entry for each key that is being unwrapped or was, so that each costs one call.
    opened: Mutex<HashMap<KeyId, Arc<OnceCell<OpenedKey>>>>,
    /// The same for envelopes of Kamus while they are on their way.
    envelopes: Mutex<HashMap<[u8; 32], Arc<OnceCell<SecretBytes>>>>,
}

struct State {
    ring: Arc<KeyRing>,
    kept: Kept,
}

impl Decrypter {
    /// A decrypter with an installation's keys, which `management` unwraps. Texts of Kamus' provider `AESKey` are read
    /// where there is a `legacy` key.
    pub fn new(management: Arc<dyn KeyManagement>, legacy: Option<LegacyKey>, ring: KeyRing, limits: Limits) -> Self {
        Self {
            management,
            legacy,
            state: Mutex::new(State { ring: Arc::new(ring), kept: Kept::new(limits.fresh_keys, limits.lifetime) }),
            opened: Mutex::default(),
            envelopes: Mutex::default(),
        }
    }

    /// Takes another ring: keys that are no longer in it open nothing any more.
    pub fn set_ring(&self, ring: KeyRing) {
        let mut state = self.state();
        if *state.ring != ring {
            state.ring = Arc::new(ring);
            state.kept.forget();
            locked(&self.opened).clear();
        }
    }

    /// The keys that it knows.
    pub fn ring(&self) -> Arc<KeyRing> {
        Arc::clone(&self.state().ring)
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
            Text::Sealed(sealed) => self.open(&sealed, identity).await,
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
    ///
    /// # Errors
    /// As [`Decrypter::decrypt`]; `Invalid` where there is no key yet.
    pub async fn derive(&self, purpose: &[u8]) -> Result<SecretBytes, Failure> {
        let ring = self.ring();
        let oldest = ring.keys.first().ok_or_else(|| failure(KamusError::UnknownKey))?;
        let key = self.management.unwrap(&oldest.wrapped_key).await?;
        oldest.open(&ring.installation, &key).map_err(failure)?;
        hkdf_sha256_32(&key, purpose).map_err(|_| failure(KamusError::Failed))
    }

    async fn open(&self, text: &SealedText, identity: &Identity) -> Result<SecretBytes, Failure> {
        let ring = self.ring();
        let fingerprint = text.fingerprint(&ring.installation, identity);
        if let Some(fresh) = self.state().kept.get(&fingerprint, Instant::now()) {
            return text.open(&fresh).map_err(failure);
        }
        let cell = Arc::clone(locked(&self.opened).entry(text.key().clone()).or_default());
        let opened = cell.get_or_try_init(|| self.open_key(&ring, text.key())).await;
        if opened.is_err() {
            // An id that nobody knows leaves nothing behind.
            locked(&self.opened).remove(text.key());
        }
        let fresh = text.unwrap(&opened?.key, &ring.installation, identity).map_err(failure)?;
        let plain = text.open(&fresh).map_err(failure)?;
        self.state().kept.put(fingerprint, fresh, Instant::now());
        Ok(plain)
    }

    async fn open_key(&self, ring: &KeyRing, id: &KeyId) -> Result<OpenedKey, Failure> {
        let record = ring.find(id).ok_or_else(|| unknown(id))?;
        let key =
            self.management.unwrap(&record.wrapped_key).await.map_err(|failure| failure.on_key(id.to_string()))?;
        record.open(&ring.installation, &key).map_err(|_| {
            let words = format!("the ring's record of the key {id} is damaged or of another installation");
            Failure::new(Class::Invalid, words).with_hint("restore the ring of keys from its backup")
        })
    }

    /// The fresh key of an envelope of Kamus: one call for each, and for each account that asks.
    async fn envelope_key(&self, wrapped_key: &[u8], identity: &Identity) -> Result<SecretBytes, Failure> {
        let place = sha256(&[identity.to_string().as_bytes(), b"|", wrapped_key].concat());
        if let Some(fresh) = self.state().kept.get(&place, Instant::now()) {
            return Ok(fresh);
        }
        let cell = Arc::clone(locked(&self.envelopes).entry(place).or_default());
        let fresh = cell.get_or_try_init(|| self.management.unwrap_legacy(wrapped_key, identity)).await.cloned();
        locked(&self.envelopes).remove(&place);
        let fresh = fresh?;
        self.state().kept.put(place, fresh.clone(), Instant::now());
        Ok(fresh)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        locked(&self.state)
    }
}

impl std::fmt::Debug for Decrypter {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Decrypter({})", self.management.describe())
    }
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
