//! The store from its start to its end: sealed or open, and what is answered either way.

use std::sync::{Arc, PoisonError, RwLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::json;
use strongroom_barrier::{Barrier, KeyRing, SharedBarrier};
use strongroom_failure::{Class, Failure};
use strongroom_http::{Method, Received, Reply, StatusCode};
use strongroom_secret::SecretBytes;
use strongroom_storage::Storage;
use tokio::sync::Mutex;

use crate::exchange::{Fault, Response};
use crate::identifiers::uuid;
use crate::members::Members;
use crate::open::Open;
use crate::recorder::Recorder;
use crate::seal::{Custody, SHAMIR, Seal, fresh_key, root_key, unwrap_under, wrap_under};
use crate::wire;

/// The version that answers name: clients compare it with Vault's, so it is the one whose interface is spoken.
const SPOKEN: &str = "2.7.2";

/// What hides values in the audit trail is derived from the key ring for this purpose.
const AUDIT_PURPOSE: &str = "audit values";

/// Checkpoints of the audit trail are made for this purpose.
const CHECKPOINT_PURPOSE: &str = "audit checkpoints";

/// The ids of tokens are made for this purpose.
const TOKEN_PURPOSE: &str = "token ids";

/// What `sys/init` gives, once.
pub(crate) struct Initialised {
    /// The keys that open the store, in base64; none where it opens itself.
    pub(crate) keys: Vec<SecretBytes>,
    /// A token that may do everything.
    pub(crate) root_token: SecretBytes,
}

/// The built-in store.
pub(crate) struct Store {
    storage: Arc<dyn Storage>,
    storage_kind: &'static str,
    seal: Option<Arc<dyn Seal>>,
    recorder: Arc<dyn Recorder>,
    barrier: SharedBarrier,
    open: RwLock<Option<Arc<Open>>>,
    custody: RwLock<Option<Custody>>,
    /// One change of the seal at a time.
    sealing: Mutex<()>,
}

impl Store {
    /// A store that is sealed, or was never initialised.
    ///
    /// # Errors
    /// The storage's.
    pub(crate) async fn new(
        storage: Arc<dyn Storage>,
        storage_kind: &'static str,
        seal: Option<Arc<dyn Seal>>,
        recorder: Arc<dyn Recorder>,
    ) -> Result<Self, Failure> {
        let custody = Custody::read(&*storage).await?.map(|(custody, _)| custody);
        if let Some(custody) = &custody {
            let configured = seal.as_ref().map_or(SHAMIR, |seal| seal.kind());
            if custody.kind != configured {
                let words = format!("the store is sealed by {}, and {configured} is configured", custody.kind);
                return Err(
                    Failure::new(Class::Invalid, words).with_hint("start it with the seal that it was made with")
                );
            }
        }
        Ok(Self {
            storage,
            storage_kind,
            seal,
            recorder,
            barrier: Arc::new(RwLock::new(Barrier::default())),
            open: RwLock::default(),
            custody: RwLock::new(custody),
            sealing: Mutex::default(),
        })
    }

    /// Whether it was ever initialised.
    pub(crate) fn is_initialised(&self) -> bool {
        self.custody.read().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// The store while it is unsealed.
    pub(crate) fn open(&self) -> Option<Arc<Open>> {
        self.open.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Makes the keys of a new store and opens it.
    ///
    /// # Errors
    /// `Invalid` where it was initialised before; the storage's and the seal's.
    pub(crate) async fn initialise(&self, now: Timestamp) -> Result<Initialised, Failure> {
        let _one_at_a_time = self.sealing.lock().await;
        if self.is_initialised() {
            return Err(Failure::new(Class::Invalid, "Vault is already initialized"));
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
        let id = uuid().map_err(of_fault)?;
        let custody = Custody::new(kind, &id, wrapped_root, wrapped_ring);
        if !custody.write(&*self.storage, None).await? {
            return Err(Failure::new(Class::Invalid, "Vault is already initialized"));
        }
        *self.custody.write().unwrap_or_else(PoisonError::into_inner) = Some(custody.clone());
        let open = self.opened(&custody, root).await?;
        let root_token = open.make_root_token(now).await.map_err(of_fault)?;
        if self.seal.is_some() {
            *self.open.write().unwrap_or_else(PoisonError::into_inner) = Some(open);
        } else {
            // As Vault does: whoever initialised it shows that the key arrived.
            self.end().await;
        }
        Ok(Initialised { keys, root_token })
    }

    /// Opens a store whose seal needs nobody; nothing to do where it does.
    ///
    /// # Errors
    /// The seal's.
    pub(crate) async fn open_itself(&self) -> Result<(), Failure> {
        let _one_at_a_time = self.sealing.lock().await;
        let custody = self.custody.read().unwrap_or_else(PoisonError::into_inner).clone();
        let (Some(seal), Some(custody)) = (&self.seal, custody) else { return Ok(()) };
        if self.open().is_some() {
            return Ok(());
        }
        let root = seal.unwrap(custody.wrapped_root()).await?;
        let open = self.opened(&custody, root).await?;
        *self.open.write().unwrap_or_else(PoisonError::into_inner) = Some(open);
        Ok(())
    }

    /// Opens the store with the key that people keep.
    ///
    /// # Errors
    /// `Denied` for another key.
    pub(crate) async fn unseal(&self, key: &SecretBytes) -> Result<(), Failure> {
        let _one_at_a_time = self.sealing.lock().await;
        let custody = self.custody.read().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(custody) = custody else {
            return Err(Failure::new(Class::Invalid, "Vault is not initialized"));
        };
        if self.open().is_some() || custody.kind != SHAMIR {
            return Ok(());
        }
        let root = unwrap_under(key, custody.wrapped_root())?;
        let open = self.opened(&custody, root).await?;
        *self.open.write().unwrap_or_else(PoisonError::into_inner) = Some(open);
        Ok(())
    }

    /// Ends the trail, whose head is kept, and forgets all keys. Requests that are under way fail where they would need
    /// one.
    pub(crate) async fn end(&self) {
        *self.open.write().unwrap_or_else(PoisonError::into_inner) = None;
        self.recorder.end().await;
        self.barrier.write().unwrap_or_else(PoisonError::into_inner).seal();
    }

    async fn opened(&self, custody: &Custody, root: SecretBytes) -> Result<Arc<Open>, Failure> {
        let root = root_key(root)?;
        let (hasher, token_key, checkpoint_key) = {
            let mut barrier = self.barrier.write().unwrap_or_else(PoisonError::into_inner);
            barrier.unseal(&root, custody.wrapped_ring()).map_err(of_barrier)?;
            // Of the first term, which every ring has: what was written under them is found again.
            let key = |purpose| barrier.ring().and_then(|ring| ring.derive(1, purpose)).map_err(of_barrier);
            (strongroom_audit::Hasher::new(key(AUDIT_PURPOSE)?)?, key(TOKEN_PURPOSE)?, key(CHECKPOINT_PURPOSE)?)
        };
        let (storage, barrier) = (Arc::clone(&self.storage), Arc::clone(&self.barrier));
        let opened = Open::load(storage, barrier, token_key, hasher, Arc::clone(&self.recorder)).await;
        let begun = match opened {
            Ok(open) => self.recorder.begin(open.system().clone(), checkpoint_key).await.map(|()| open),
            Err(fault) => Err(of_fault(fault)),
        };
        begun.map(Arc::new).inspect_err(|_| self.barrier.write().unwrap_or_else(PoisonError::into_inner).seal())
    }

    /// Answers a request.
    pub(crate) async fn answer(&self, received: Received) -> Reply {
        let now = Timestamp::now();
        let id = match uuid() {
            Ok(id) => id,
            Err(fault) => return wire::failed(&fault),
        };
        if let Some(reply) = self.without_the_trail(&received, now).await {
            return reply;
        }
        let request = match wire::request(&received, id, now) {
            Ok(request) => request,
            Err(reply) => return reply,
        };
        let Some(open) = self.open() else { return wire::failed(&Fault::sealed()) };
        if request.path == "sys/seal" {
            return self.sealed_by(&open, &request).await;
        }
        match open.serve(&request).await {
            Ok(response) => wire::answered(&request.id, &response),
            Err(fault) => wire::failed(&fault),
        }
    }

    /// What is answered whether the store is open or not, and is in no trail (governance.md §4.4).
    async fn without_the_trail(&self, received: &Received, now: Timestamp) -> Option<Reply> {
        let is_write = matches!(received.method, Method::PUT | Method::POST);
        let is_read = matches!(received.method, Method::GET | Method::HEAD);
        let reply = match received.uri.path() {
            "/v1/sys/health" if is_read => self.health(received.uri.query().unwrap_or_default()),
            "/v1/sys/seal-status" if is_read => bare(self.seal_status()),
            "/v1/sys/leader" if is_read => bare(Members::default().with("ha_enabled", false).with("is_self", false)),
            "/v1/sys/init" if is_read => bare(Members::default().with("initialized", self.is_initialised())),
            "/v1/sys/init" if is_write => self.asked_to_initialise(received, now).await,
            "/v1/sys/unseal" if is_write => self.asked_to_unseal(received).await,
            _ => return None,
        };
        Some(reply)
    }

    async fn asked_to_initialise(&self, received: &Received, now: Timestamp) -> Reply {
        let initialised = async {
            let data = Members::parse(received.body.expose())?;
            for name in ["secret_shares", "secret_threshold", "recovery_shares", "recovery_threshold"] {
                if data.number(name)?.is_some_and(|count| count > 1) {
                    let words = format!("{name}: more than one share is not served yet; ask for one");
                    return Err(Fault::invalid(words));
                }
            }
            if data.get("pgp_keys").is_some() || data.get("root_token_pgp_key").is_some() {
                return Err(Fault::invalid("pgp_keys are not served: have the key and the token over TLS"));
            }
            self.initialise(now).await.map_err(|failure| Fault::invalid(failure.words.clone()))
        };
        match initialised.await {
            Ok(Initialised { keys, root_token }) => {
                let hex = |key: &SecretBytes| key.expose().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
                let data = Members::default()
                    .with("keys", keys.iter().map(hex).collect::<Vec<_>>())
                    .with("keys_base64", keys.iter().map(|key| STANDARD.encode(key.expose())).collect::<Vec<_>>())
                    .with("root_token", root_token.expose_text().unwrap_or_default());
                bare(data)
            }
            Err(fault) => wire::failed(&fault),
        }
    }

    async fn asked_to_unseal(&self, received: &Received) -> Reply {
        let unsealed = async {
            let data = Members::parse(received.body.expose())?;
            if data.flag("reset")?.unwrap_or_default() {
                return Ok(());
            }
            let text = data.required("key").map_err(|_| {
                Fault::invalid("'key' must be specified in request body as JSON, or 'reset' set to true")
            })?;
            let key = decoded(&text).ok_or_else(|| Fault::invalid("'key' must be a valid hex or base64 string"))?;
            self.unseal(&key).await.map_err(|failure| Fault::invalid(failure.words.clone()))
        };
        match unsealed.await {
            Ok(()) => bare(self.seal_status()),
            Err(fault) => wire::failed(&fault),
        }
    }

    /// `sys/seal`: judged and told like any other request, and done last.
    async fn sealed_by(&self, open: &Open, request: &crate::exchange::Request) -> Reply {
        match open.serve(request).await {
            Ok(_) => {
                self.end().await;
                wire::answered(&request.id, &Response::empty())
            }
            Err(fault) => wire::failed(&fault),
        }
    }

    fn seal_status(&self) -> Members {
        let custody = self.custody.read().unwrap_or_else(PoisonError::into_inner);
        let kind =
            custody.as_ref().map_or_else(|| self.seal.as_ref().map_or(SHAMIR, |seal| seal.kind()), |own| &own.kind);
        let (shares, is_sealed) = (u8::from(custody.is_some()), self.open().is_none());
        let mut status = Members::default()
            .with("type", kind)
            .with("initialized", custody.is_some())
            .with("sealed", is_sealed)
            .with("t", shares)
            .with("n", shares)
            .with("progress", 0)
            .with("nonce", "")
            .with("version", SPOKEN)
            .with("build_date", "")
            .with("migration", false)
            .with("recovery_seal", self.seal.is_some())
            .with("storage_type", self.storage_kind);
        if let Some(custody) = custody.as_ref().filter(|_| !is_sealed) {
            status.set("cluster_name", "strongroom");
            status.set("cluster_id", custody.id.clone());
        }
        status
    }

    /// The state, with its code: 501 before it was initialised, 503 while it is sealed or the trail fails.
    fn health(&self, query: &str) -> Reply {
        let is_initialised = self.is_initialised();
        let (is_sealed, trouble) = (self.open().is_none(), self.recorder.trouble());
        let code = |name: &str, usual: u16| {
            let named = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
            let status = named.and_then(|code| code.parse().ok()).unwrap_or(usual);
            StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST)
        };
        let status = match (is_initialised, is_sealed, &trouble) {
            (false, ..) => code("uninitcode", 501),
            (true, true, _) => code("sealedcode", 503),
            (true, false, Some(_)) => StatusCode::SERVICE_UNAVAILABLE,
            (true, false, None) => code("activecode", 200),
        };
        let mut body = Members::default()
            .with("initialized", is_initialised)
            .with("sealed", is_sealed)
            .with("standby", false)
            .with("performance_standby", false)
            .with("replication_performance_mode", "disabled")
            .with("replication_dr_mode", "disabled")
            .with("server_time_utc", Timestamp::now().as_second())
            .with("version", SPOKEN);
        let custody = self.custody.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(custody) = custody.as_ref().filter(|_| !is_sealed) {
            body.set("cluster_name", "strongroom");
            body.set("cluster_id", custody.id.clone());
        }
        if let Some(trouble) = trouble {
            body.set("audit", json!({"failing": trouble}));
        }
        wire::answered("", &Response { status: Some(status), ..Response::bare(body) })
    }
}

fn bare(data: Members) -> Reply {
    wire::answered("", &Response::bare(data))
}

/// A key as people give it: in hex or in base64.
fn decoded(text: &str) -> Option<SecretBytes> {
    let text = text.trim();
    let pairs = text.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).ok());
    let hex: Option<Vec<u8>> =
        pairs.map(|pair| u8::from_str_radix(pair.filter(|pair| pair.len() == 2)?, 16).ok()).collect();
    hex.or_else(|| STANDARD.decode(text).ok()).map(SecretBytes::new)
}

fn of_barrier(error: strongroom_barrier::BarrierError) -> Failure {
    Failure::new(Class::Invalid, error.to_string())
}

fn of_fault(fault: Fault) -> Failure {
    Failure::new(Class::Unavailable, fault.errors.join("; "))
}
