use std::sync::Arc;

use kube::Client;
use strongroom_api::kamus::KamusSecret;
use strongroom_decrypt::{Decrypter, Limits};
use strongroom_failure::{Class, Failure};
use strongroom_kamus::{Identity, KeyRing};
use strongroom_secret::SecretBytes;
use tokio::sync::OnceCell;

use crate::marks;
use crate::options::{KeyOptions, Lookup};
use crate::ring::{Following, Latest, RingPlace};

/// The installation's keys for a role that starts without them: they are read when they are needed first, and never made.
pub struct KeySource {
    decrypter: Arc<Decrypter>,
    place: RingPlace,
    latest: Arc<Latest>,
    /// Filled once the ring was read.
    read: OnceCell<()>,
}

impl KeySource {
    /// Asks neither for the ring nor the key management yet: both may be away for a while.
    ///
    /// # Errors
    /// Where it is not said, or wrongly, which keys there are.
    pub fn new(options: &KeyOptions, cluster: (Client, &str), lookup: Lookup<'_>) -> Result<Self, Failure> {
        let place = options.place(Some(cluster))?;
        let none = KeyRing { installation: options.installation()?, keys: Vec::new() };
        let (management, legacy) = (options.management(lookup)?, options.legacy(lookup)?);
        let decrypter = Arc::new(Decrypter::new(management, legacy, none, Limits::default()));
        let latest = Arc::new(Latest::new(place.clone(), Arc::clone(&decrypter)));
        Ok(Self { decrypter, place, latest, read: OnceCell::new() })
    }

    /// What opens values, with the ring.
    ///
    /// # Errors
    /// Where there is no ring, or it cannot be read.
    pub async fn decrypter(&self) -> Result<&Decrypter, Failure> {
        let read = || async {
            let none = || {
                Failure::new(Class::NotFound, "there are no keys yet")
                    .with_hint("start the encryptor, or make them: strongroom kamus keys create")
            };
            self.decrypter.set_ring(self.place.read().await?.ok_or_else(none)?);
            Ok::<(), Failure>(())
        };
        self.read.get_or_try_init(read).await?;
        Ok(&self.decrypter)
    }

    /// The value of `text`, where it was encrypted for `identity`. A key that was added a moment ago is looked for.
    ///
    /// # Errors
    /// As [`KeySource::decrypter`] and [`Decrypter::decrypt`].
    pub async fn decrypt(&self, text: &str, identity: &Identity) -> Result<SecretBytes, Failure> {
        self.decrypter().await?;
        self.latest.decrypt(text, identity).await
    }

    /// The key under which KamusSecrets are marked, of the ring's newest key.
    ///
    /// # Errors
    /// As [`KeySource::decrypter`]; what the key management answers.
    pub async fn mark_key(&self) -> Result<SecretBytes, Failure> {
        marks::newest(self.decrypter().await?).await
    }

    /// Whether `object` bears its own mark under any key of the ring.
    ///
    /// # Errors
    /// As [`KeySource::mark_key`].
    pub async fn is_marked(&self, object: &KamusSecret) -> Result<bool, Failure> {
        let keys = self.decrypter().await?;
        if !marks::has_any(object) || marks::bearer(keys, object).await?.is_some() {
            return Ok(marks::has_any(object));
        }
        // Whoever made it may know a key that was added a moment ago.
        Ok(self.latest.has_changed().await && marks::bearer(keys, object).await?.is_some())
    }

    /// What follows the ring for as long as it is polled.
    pub fn following(&self) -> Following {
        Following::new(Arc::clone(&self.latest))
    }
}
