//! The store from its start to its end: sealed or open, and what is answered either way.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::json;
use strongroom_failure::{Class, Failure};
use strongroom_http::{Method, Received, Reply, StatusCode};
use strongroom_secret::SecretBytes;
use strongroom_storage::Election;
use tokio::sync::Mutex;

use crate::exchange::{Fault, Response};
use crate::identifiers::uuid;
use crate::keys::Keys;
use crate::members::Members;
use crate::meters::Meters;
use crate::open::Open;
use crate::recorder::Recorder;
use crate::wire;

/// The version that answers name: clients compare it with Vault's, so it is the one whose interface is spoken.
const SPOKEN: &str = "2.7.2";

/// What hides values in the audit trail is derived from the key ring for this purpose.
const AUDIT_PURPOSE: &str = "audit values";

/// Checkpoints of the audit trail are made for this purpose.
pub(crate) const CHECKPOINT_PURPOSE: &str = "audit checkpoints";

/// The ids of tokens are made for this purpose.
const TOKEN_PURPOSE: &str = "token ids";

/// How long whoever initialises a store waits for this server to be the active one, and how often it is looked at.
const SOON: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_millis(20);

/// What `sys/init` gives, once.
pub(crate) struct Initialised {
    /// The keys that open the store, in base64; none where it opens itself.
    pub(crate) keys: Vec<SecretBytes>,
    /// A token that may do everything.
    pub(crate) root_token: SecretBytes,
}

/// The built-in store.
pub(crate) struct Store {
    keys: Arc<Keys>,
    storage_kind: &'static str,
    election: Option<Arc<dyn Election>>,
    recorder: Arc<dyn Recorder>,
    meters: Arc<Meters>,
    open: RwLock<Option<Arc<Open>>>,
    /// Whether it opens without people wherever its seal can.
    opens_itself: bool,
    /// One change of the seal at a time.
    sealing: Mutex<()>,
}

impl Store {
    /// A store that is sealed, or was never initialised. With an `election`, [`crate::leading::lead`] opens it once its keys
    /// are there.
    pub(crate) fn new(
        keys: Keys,
        storage_kind: &'static str,
        election: Option<Arc<dyn Election>>,
        recorder: Arc<dyn Recorder>,
        opens_itself: bool,
    ) -> Self {
        Self {
            keys: Arc::new(keys),
            storage_kind,
            election,
            meters: Arc::new(Meters::new(Arc::clone(&recorder))),
            recorder,
            open: RwLock::default(),
            opens_itself,
            sealing: Mutex::default(),
        }
    }

    /// Whether it was ever initialised.
    pub(crate) fn is_initialised(&self) -> bool {
        self.keys.custody().is_some()
    }

    /// The store while it is unsealed and this server is the active one.
    pub(crate) fn open(&self) -> Option<Arc<Open>> {
        self.open.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Its keys.
    pub(crate) fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Whether it opens without people.
    pub(crate) fn opens_itself(&self) -> bool {
        self.opens_itself && self.keys.opens_itself()
    }

    /// Makes the keys of a new store and opens it.
    ///
    /// # Errors
    /// `Invalid` where it was initialised before; the storage's and the seal's.
    pub(crate) async fn initialise(&self, now: Timestamp) -> Result<Initialised, Failure> {
        let _one_at_a_time = self.sealing.lock().await;
        let keys = self.keys.make().await?;
        let open = self.opened().await?;
        let root_token = open.make_root_token(now).await.map_err(of_fault)?;
        if !self.keys.opens_itself() {
            // As Vault does: whoever initialised it shows that the key arrived.
            drop(open);
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
        self.keys.unlock_itself().await?;
        if self.keys.are_known() { self.opened().await.map(drop) } else { Ok(()) }
    }

    /// Opens the store with the key that people keep.
    ///
    /// # Errors
    /// `Denied` for another key.
    pub(crate) async fn unseal(&self, key: &SecretBytes) -> Result<(), Failure> {
        let _one_at_a_time = self.sealing.lock().await;
        self.keys.unlock(key).await?;
        match &self.election {
            None if self.open().is_none() => self.activate().await,
            // Whether this server becomes the active one is not for whoever unseals it to wait for.
            _ => Ok(()),
        }
    }

    /// The open store, which an election may give in a moment.
    async fn opened(&self) -> Result<Arc<Open>, Failure> {
        if self.election.is_none() && self.open().is_none() {
            self.activate().await?;
        }
        for _ in 0..SOON.as_millis() / LOOK.as_millis() {
            if let Some(open) = self.open() {
                return Ok(open);
            }
            tokio::time::sleep(LOOK).await;
        }
        Err(Failure::new(Class::Unavailable, "another server is the active one: ask that one"))
    }

    /// Opens the store, whose keys are there, for this server.
    ///
    /// # Errors
    /// The storage's, and the audit trail's.
    pub(crate) async fn activate(&self) -> Result<(), Failure> {
        self.keys.open_barrier().await?;
        let began = self.begun().await;
        match began {
            Ok(open) => {
                *self.open.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(open));
                Ok(())
            }
            Err(failure) => {
                self.keys.close_barrier();
                Err(failure)
            }
        }
    }

    async fn begun(&self) -> Result<Open, Failure> {
        let hasher = strongroom_audit::Hasher::new(self.keys.derive(AUDIT_PURPOSE)?)?;
        let token_key = self.keys.derive(TOKEN_PURPOSE)?;
        let keys = Arc::clone(&self.keys);
        let open = Open::load(keys, token_key, hasher, Arc::clone(&self.recorder), Arc::clone(&self.meters))
            .await
            .map_err(of_fault)?;
        self.recorder.begin(open.system().clone(), self.keys.derive(CHECKPOINT_PURPOSE)?).await?;
        Ok(open)
    }

    /// Closes the store for this server: the trail ends, and its head is kept. Requests that are under way fail where they
    /// would need a key. The root key stays.
    pub(crate) async fn deactivate(&self) {
        let open = self.open.write().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(open) = open
            && let Err(fault) = open.usage.keep().await
        {
            tracing::warn!(%fault, "who read what in the last seconds is in the audit trail alone");
        }
        self.recorder.end().await;
        self.keys.close_barrier();
    }

    /// Seals the store: [`Store::deactivate`], and no key stays.
    pub(crate) async fn end(&self) {
        self.deactivate().await;
        self.keys.forget();
    }

    /// What is counted of it.
    pub(crate) fn meters(&self) -> &Arc<Meters> {
        &self.meters
    }

    /// Whether this server serves, for probes; why not.
    ///
    /// # Errors
    /// What keeps it from serving.
    pub(crate) fn readiness(&self) -> Result<(), String> {
        match (self.is_initialised(), self.keys.are_known(), self.open().is_some()) {
            (false, ..) => Err("the store was never initialised".to_owned()),
            (true, false, _) => Err("the store is sealed".to_owned()),
            (true, true, false) => Err("another server is the active one".to_owned()),
            (true, true, true) => {
                self.recorder.trouble().map_or(Ok(()), |words| Err(format!("the audit trail: {words}")))
            }
        }
    }

    /// Answers a request.
    pub(crate) async fn answer(&self, received: Received) -> Reply {
        let begun = Instant::now();
        let mut replied = Box::pin(self.replied(received));
        let (operation, reply) = std::future::poll_fn(|context| {
            let polled = replied.as_mut().poll(context);
            // The thread that goes on may be another one: what was hashed and parsed is wiped on each.
            strongroom_process::wipe_stack();
            polled
        })
        .await;
        self.meters.answered(operation, reply.status, begun.elapsed());
        reply
    }

    /// The answer, and the operation as it is counted.
    async fn replied(&self, received: Received) -> (&'static str, Reply) {
        let now = crate::clock::now();
        let id = match uuid() {
            Ok(id) => id,
            Err(fault) => return ("invalid", wire::failed(&fault)),
        };
        if let Some(reply) = self.without_the_trail(&received, now).await {
            return ("state", reply);
        }
        let request = match wire::request(&received, id, now) {
            Ok(request) => request,
            Err(reply) => return ("invalid", reply),
        };
        let operation = request.operation.capability().name();
        let Some(open) = self.open() else { return (operation, self.not_here(&received).await) };
        if request.path == "sys/seal" {
            return (operation, self.sealed_by(&open, &request).await);
        }
        let reply = match open.serve(&request).await {
            Ok(response) => wire::answered(&request.id, response),
            Err(fault) => wire::failed(&fault),
        };
        (operation, reply)
    }

    /// A server that stands by sends clients to the active one.
    async fn not_here(&self, received: &Received) -> Reply {
        let Some(election) = self.election.as_ref().filter(|_| self.keys.are_known()) else {
            return wire::failed(&Fault::sealed());
        };
        match election.leader().await {
            Ok(Some(address)) => wire::elsewhere(&address, received),
            Ok(None) => wire::failed(&Fault::new(StatusCode::SERVICE_UNAVAILABLE, "no server is the active one yet")),
            Err(error) => wire::failed(&Fault::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())),
        }
    }

    async fn leader(&self) -> Reply {
        let Some(election) = &self.election else {
            return bare(Members::default().with("ha_enabled", false).with("is_self", false));
        };
        let address = election.leader().await.ok().flatten().unwrap_or_default();
        let data = Members::default()
            .with("ha_enabled", true)
            .with("is_self", self.open().is_some())
            .with("leader_address", address)
            .with("leader_cluster_address", "");
        bare(data)
    }

    /// What is answered whether the store is open or not, and is in no trail (governance.md §4.4).
    async fn without_the_trail(&self, received: &Received, now: Timestamp) -> Option<Reply> {
        let is_write = matches!(received.method, Method::PUT | Method::POST);
        let is_read = matches!(received.method, Method::GET | Method::HEAD);
        let reply = match received.uri.path() {
            "/v1/sys/health" if is_read => self.health(received.uri.query().unwrap_or_default()),
            "/v1/sys/seal-status" if is_read => bare(self.seal_status()),
            "/v1/sys/leader" if is_read => self.leader().await,
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
                wire::answered(&request.id, Response::empty())
            }
            Err(fault) => wire::failed(&fault),
        }
    }

    fn seal_status(&self) -> Members {
        let custody = self.keys.custody();
        let kind = custody.as_ref().map_or_else(|| self.keys.kind(), |own| &own.kind);
        let (shares, is_sealed) = (u8::from(custody.is_some()), !self.keys.are_known());
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
            .with("recovery_seal", self.keys.opens_itself())
            .with("storage_type", self.storage_kind);
        if let Some(custody) = custody.as_ref().filter(|_| !is_sealed) {
            status.set("cluster_name", "strongroom");
            status.set("cluster_id", custody.id.clone());
        }
        status
    }

    /// The state, with its code: 501 before it was initialised, 503 while it is sealed or the trail fails, 429 where
    /// another server is the active one.
    fn health(&self, query: &str) -> Reply {
        let custody = self.keys.custody();
        let (is_sealed, trouble) = (!self.keys.are_known(), self.recorder.trouble());
        let is_standby = !is_sealed && self.open().is_none();
        let code = |name: &str, usual: u16| {
            let named = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
            let status = named.and_then(|code| code.parse().ok()).unwrap_or(usual);
            StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST)
        };
        let stands_in = query.split('&').any(|pair| matches!(pair, "standbyok" | "standbyok=true"));
        let status = match (custody.is_some(), is_sealed, is_standby) {
            (false, ..) => code("uninitcode", 501),
            (true, true, _) => code("sealedcode", 503),
            (true, false, true) if !stands_in => code("standbycode", 429),
            (true, false, _) if trouble.is_some() => StatusCode::SERVICE_UNAVAILABLE,
            (true, false, _) => code("activecode", 200),
        };
        let mut body = Members::default()
            .with("initialized", custody.is_some())
            .with("sealed", is_sealed)
            .with("standby", is_sealed || is_standby)
            .with("performance_standby", false)
            .with("replication_performance_mode", "disabled")
            .with("replication_dr_mode", "disabled")
            .with("server_time_utc", crate::clock::now().as_second())
            .with("version", SPOKEN);
        if let Some(custody) = custody.as_ref().filter(|_| !is_sealed) {
            body.set("cluster_name", "strongroom");
            body.set("cluster_id", custody.id.clone());
        }
        if let Some(trouble) = trouble {
            body.set("audit", json!({"failing": trouble}));
        }
        wire::answered("", Response { status: Some(status), ..Response::bare(body) })
    }
}

fn bare(data: Members) -> Reply {
    wire::answered("", Response::bare(data))
}

/// A key as people give it: in hex or in base64.
pub(crate) fn decoded(text: &str) -> Option<SecretBytes> {
    let text = text.trim();
    let pairs = text.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).ok());
    let hex: Option<Vec<u8>> =
        pairs.map(|pair| u8::from_str_radix(pair.filter(|pair| pair.len() == 2)?, 16).ok()).collect();
    hex.or_else(|| STANDARD.decode(text).ok()).map(SecretBytes::new)
}

fn of_fault(fault: Fault) -> Failure {
    Failure::new(Class::Unavailable, fault.errors.join("; "))
}
