//! The keys of a store: who keeps them while it is sealed, which ones it has while it is not, and how they change.

use std::sync::{Arc, PoisonError, RwLock};

use strongroom_barrier::{Barrier, BarrierError, KeyRing, RootKey, SharedBarrier};
use strongroom_failure::{Class, Failure};
use strongroom_secret::SecretBytes;
use strongroom_storage::Storage;
use tokio::sync::{Mutex, watch};

use crate::exchange::Fault;
use crate::identifiers::uuid;
use crate::seal::{Custody, SHAMIR, Seal, fresh_key, root_key, unwrap_under, wrap_under};

/// The root key while the store has it, and what it opens.
pub(crate) struct Keys {
    storage: Arc<dyn Storage>,
    seal: Option<Arc<dyn Seal>>,
    barrier: SharedBarrier,
    custody: RwLock<Option<Custody>>,
    root: watch::Sender<Option<RootKey>>,
    /// One change of the custody at a time.
    changing: Mutex<()>,
}

impl Keys {
    /// Those of a store that is sealed, or was never initialised.
    ///
    /// # Errors
    /// The storage's; `Invalid` where the store was made with another seal.
    pub(crate) async fn new(storage: Arc<dyn Storage>, seal: Option<Arc<dyn Seal>>) -> Result<Self, Failure> {
        let keys = Self {
            storage,
            seal,
            barrier: Arc::new(RwLock::new(Barrier::default())),
            custody: RwLock::default(),
            root: watch::Sender::new(None),
            changing: Mutex::default(),
        };
        keys.look().await?;
        Ok(keys)
    }

    /// Reads the custody again: another server may have initialised the store, or rotated its keys.
    ///
    /// # Errors
    /// As [`Keys::new`].
    pub(crate) async fn look(&self) -> Result<Option<Custody>, Failure> {
        let Some((custody, _)) = Custody::read(&*self.storage).await? else { return Ok(None) };
        let configured = self.seal.as_ref().map_or(SHAMIR, |seal| seal.kind());
        if custody.kind != configured {
            let words = format!("the store is sealed by {}, and {configured} is configured", custody.kind);
            return Err(Failure::new(Class::Invalid, words).with_hint("start it with the seal that it was made with"));
        }
        *self.custody.write().unwrap_or_else(PoisonError::into_inner) = Some(custody.clone());
        Ok(Some(custody))
    }

    /// What the keys are for.
    pub(crate) fn storage(&self) -> &Arc<dyn Storage> {
        &self.storage
    }

    /// The barrier, which [`Keys::open_barrier`] opens.
    pub(crate) fn barrier(&self) -> &SharedBarrier {
        &self.barrier
    }

    /// What lies in clear beside the data; nothing before the store was initialised.
    pub(crate) fn custody(&self) -> Option<Custody> {
        self.custody.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Who keeps the root key, as `sys/seal-status` names it.
    pub(crate) fn kind(&self) -> &'static str {
        self.seal.as_ref().map_or(SHAMIR, |seal| seal.kind())
    }

    /// Whether the store needs nobody to unseal it.
    pub(crate) fn opens_itself(&self) -> bool {
        self.seal.is_some()
    }

    /// Whether the root key is there.
    pub(crate) fn are_known(&self) -> bool {
        self.root.borrow().is_some()
    }

    /// Waits until the root key is there (`true`), or is not.
    pub(crate) async fn wait(&self, known: bool) {
        // Fails only where the sender is gone, which `self` holds.
        let _ = self.root.subscribe().wait_for(|root| root.is_some() == known).await;
    }

    /// Makes the keys of a new store and takes them; those that people are to keep.
    ///
    /// # Errors
    /// `Invalid` where the store was initialised before; the storage's and the seal's.
    pub(crate) async fn make(&self) -> Result<Vec<SecretBytes>, Failure> {
        let _one_at_a_time = self.changing.lock().await;
        let before = || Failure::new(Class::Invalid, "Vault is already initialized");
        if self.look().await?.is_some() {
            return Err(before());
        }
        let root = fresh_key()?;
        let ring = KeyRing::new(fresh_key()?, fresh_key()?).map_err(of_barrier)?;
        let wrapped_ring = ring.wrap(&root_key(root.clone())?).map_err(of_barrier)?;
        let (kind, wrapped_root, keys) = match &self.seal {
            Some(seal) => (seal.kind(), seal.wrap(&root).await?, Vec::new()),
            None => {
                let key = fresh_key()?;
                (SHAMIR, wrap_under(&key, &root)?, vec![key])
            }
        };
        let id = uuid().map_err(|fault| Failure::new(Class::Unavailable, fault.to_string()))?;
        let custody = Custody::new(kind, &id, wrapped_root, wrapped_ring);
        if !custody.write(&*self.storage, None).await? {
            return Err(before());
        }
        *self.custody.write().unwrap_or_else(PoisonError::into_inner) = Some(custody.clone());
        self.take(&custody, root)?;
        Ok(keys)
    }

    /// Has the seal give the root key; nothing to do for a store that people unseal, or that was never initialised.
    ///
    /// # Errors
    /// The seal's.
    pub(crate) async fn unlock_itself(&self) -> Result<(), Failure> {
        let (Some(seal), Some(custody)) = (&self.seal, self.custody()) else { return Ok(()) };
        if self.are_known() {
            return Ok(());
        }
        self.take(&custody, seal.unwrap(custody.wrapped_root()).await?)
    }

    /// Takes the root key out with the key that people keep.
    ///
    /// # Errors
    /// `Denied` for another key; `Invalid` before the store was initialised.
    pub(crate) async fn unlock(&self, key: &SecretBytes) -> Result<(), Failure> {
        let custody = match self.custody() {
            Some(custody) => Some(custody),
            None => self.look().await?,
        };
        let custody = custody.ok_or_else(|| Failure::new(Class::Invalid, "Vault is not initialized"))?;
        if self.are_known() || custody.kind != SHAMIR {
            return Ok(());
        }
        self.take(&custody, unwrap_under(key, custody.wrapped_root())?)
    }

    fn take(&self, custody: &Custody, root: SecretBytes) -> Result<(), Failure> {
        let root = root_key(root)?;
        KeyRing::unwrap(&root, custody.wrapped_ring()).map_err(of_barrier)?;
        self.root.send_replace(Some(root));
        Ok(())
    }

    /// Forgets all keys: their memory is wiped.
    pub(crate) fn forget(&self) {
        self.root.send_replace(None);
        self.close_barrier();
    }

    /// Opens the barrier with the key ring as it is now.
    ///
    /// # Errors
    /// The storage's; `Unavailable` where the root key is not there.
    pub(crate) async fn open_barrier(&self) -> Result<(), Failure> {
        let sealed = || Failure::new(Class::Unavailable, "Vault is sealed");
        let custody = self.look().await?.ok_or_else(sealed)?;
        let root = self.root.borrow().clone().ok_or_else(sealed)?;
        let mut barrier = self.barrier.write().unwrap_or_else(PoisonError::into_inner);
        barrier.unseal(&root, custody.wrapped_ring()).map_err(of_barrier)
    }

    /// Closes the barrier; the root key stays.
    pub(crate) fn close_barrier(&self) {
        self.barrier.write().unwrap_or_else(PoisonError::into_inner).seal();
    }

    /// A key for a purpose. It is of the first term, which every ring has, so that what was made with it is found again.
    ///
    /// # Errors
    /// Where the barrier is closed.
    pub(crate) fn derive(&self, purpose: &str) -> Result<SecretBytes, Failure> {
        let barrier = self.barrier.read().unwrap_or_else(PoisonError::into_inner);
        barrier.ring().and_then(|ring| ring.derive(1, purpose)).map_err(of_barrier)
    }

    /// The term under which records are written.
    ///
    /// # Errors
    /// Where the barrier is closed.
    pub(crate) fn newest_term(&self) -> Result<u32, BarrierError> {
        self.barrier.read().unwrap_or_else(PoisonError::into_inner).ring().map(KeyRing::newest_term)
    }

    /// Adds a key, under which records are written from now on; its term. It is durable before it is used.
    ///
    /// # Errors
    /// 503 where the store is sealed or somebody else changes its keys; the storage's.
    pub(crate) async fn rotate(&self) -> Result<u32, Fault> {
        let _one_at_a_time = self.changing.lock().await;
        let root = self.root.borrow().clone().ok_or_else(Fault::sealed)?;
        let (custody, revision) = Custody::read(&*self.storage).await.map_err(of_failure)?.ok_or_else(Fault::sealed)?;
        let prepared = {
            let barrier = self.barrier.read().unwrap_or_else(PoisonError::into_inner);
            barrier.prepare_rotation(&root, fresh_key().map_err(of_failure)?).map_err(of_ring)?
        };
        let custody = custody.with_ring(prepared);
        if !custody.write(&*self.storage, Some(revision)).await.map_err(of_failure)? {
            return Err(unavailable("somebody else changes the keys: try again"));
        }
        {
            let mut barrier = self.barrier.write().unwrap_or_else(PoisonError::into_inner);
            // A store that was sealed meanwhile stays so.
            if !barrier.is_sealed() {
                barrier.unseal(&root, custody.wrapped_ring()).map_err(of_ring)?;
            }
        }
        *self.custody.write().unwrap_or_else(PoisonError::into_inner) = Some(custody);
        self.newest_term().map_err(of_ring)
    }
}

fn unavailable(words: &str) -> Fault {
    Fault::new(strongroom_http::StatusCode::SERVICE_UNAVAILABLE, words)
}

fn of_failure(failure: Failure) -> Fault {
    unavailable(&failure.words)
}

fn of_ring(error: BarrierError) -> Fault {
    crate::trouble::of_view(error.into())
}

fn of_barrier(error: BarrierError) -> Failure {
    Failure::new(Class::Invalid, error.to_string())
}
