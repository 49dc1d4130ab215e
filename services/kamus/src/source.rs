use std::sync::Arc;

use kube::Client;
use strongroom_decrypt::{Decrypter, Limits};
use strongroom_failure::{Class, Failure};
use strongroom_kamus::KeyRing;
use strongroom_kamus_secret::MARK_PURPOSE;
use strongroom_secret::SecretBytes;
use tokio::sync::OnceCell;

use crate::options::{KeyOptions, Lookup};
use crate::ring::{Following, RingPlace};

/// The installation's keys for a role that starts without them: they are read when they are needed first, and never made.
pub struct KeySource {
    decrypter: Arc<Decrypter>,
    place: RingPlace,
    /// Filled once the ring was read.
    read: OnceCell<()>,
    mark: OnceCell<SecretBytes>,
}

impl KeySource {
    /// Asks neither for the ring nor the key management yet: both may be away for a while.
    ///
    /// # Errors
    /// Where it is not said, or wrongly, which keys there are.
    pub fn new(options: &KeyOptions, cluster: (Client, &str), lookup: Lookup<'_>) -> Result<Self, Failure> {
        let place = options.place(Some(cluster))?;
        let none = KeyRing { installation: options.installation()?, keys: Vec::new() };
        let decrypter = Decrypter::new(options.management(lookup)?, options.legacy(lookup)?, none, Limits::default());
        Ok(Self { decrypter: Arc::new(decrypter), place, read: OnceCell::new(), mark: OnceCell::new() })
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

    /// The key of marks on KamusSecrets, of the ring's oldest key.
    ///
    /// # Errors
    /// As [`KeySource::decrypter`]; what the key management answers.
    pub async fn mark_key(&self) -> Result<&SecretBytes, Failure> {
        let derive = || async { self.decrypter().await?.derive(MARK_PURPOSE).await };
        self.mark.get_or_try_init(derive).await
    }

    /// What follows the ring for as long as it is polled.
    pub fn following(&self) -> Following {
        Following::new(self.place.clone(), Arc::clone(&self.decrypter))
    }
}
