//! The store while it is unsealed.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex as StdMutex, PoisonError, RwLock};

use jiff::Timestamp;
use strongroom_audit::{Body, Hashed, Hasher};
use strongroom_audit_sinks::Verdict;
use strongroom_barrier::{Changes, View};
use strongroom_failure::Failure;
use strongroom_policy::acl::Acl;
use strongroom_secret::SecretBytes;
use strongroom_storage::Outcome;
use strongroom_token::Tokens;
use tokio::sync::{Mutex, Semaphore};

use crate::engines;
use crate::exchange::Fault;
use crate::keys::Keys;
use crate::members::Members;
use crate::meters::Meters;
use crate::mounts::{self, Mount, MountClass, Mounted, Mounts};
use crate::policies::Policies;
use crate::recorder::Recorder;
use crate::trouble::{of_token, of_view};
use crate::usage::Usage;

/// The id of the system's own view.
pub(crate) const SYSTEM: &str = "system";

/// Backups at one time: each keeps the storage from forgetting what was overwritten since it began.
const BACKUPS: usize = 2;

/// Who asks, with what they may do.
#[derive(Clone)]
pub(crate) struct Asker {
    /// The token.
    pub(crate) token: SecretBytes,
    /// As the audit trail tells it, and its accessor: hashed once for all that is told of the request.
    pub(crate) told: (Hashed, Hashed),
    /// The id that it is kept under.
    pub(crate) id: String,
    /// The login's name for people.
    pub(crate) display_name: String,
    /// All policies.
    pub(crate) policies: Vec<String>,
    /// What the auth method knows of the login.
    pub(crate) metadata: BTreeMap<String, String>,
    /// The identity's id; empty where there is none.
    pub(crate) entity_id: String,
    /// Uses that the token was made with; 0 for any number.
    pub(crate) num_uses: u64,
    /// Whether it stands for one wrapped answer.
    pub(crate) is_wrapping: bool,
    /// Seconds that the token was made for; 0 for ever.
    pub(crate) creation_ttl: u64,
    /// When it was made.
    pub(crate) issue_time: Timestamp,
    /// What its policies say.
    pub(crate) acl: Arc<Acl>,
}

/// The store while it is unsealed. Sealing drops it, and its keys with it.
pub(crate) struct Open {
    keys: Arc<Keys>,
    system: View,
    mounts: RwLock<Arc<Mounts>>,
    /// One change of the table at a time.
    mounting: Mutex<()>,
    /// Policies by name.
    pub(crate) policies: Policies,
    /// Who may ask.
    pub(crate) tokens: Tokens,
    /// Moves of mounts.
    pub(crate) moves: Moves,
    /// Who read what.
    pub(crate) usage: Usage,
    /// Whether all records are of the newest term, as far as is known.
    pub(crate) is_renewed: AtomicBool,
    /// Places for backups at one time.
    pub(crate) backups: Arc<Semaphore>,
    /// What is counted.
    pub(crate) meters: Arc<Meters>,
    hasher: Hasher,
    recorder: Arc<dyn Recorder>,
}

impl Open {
    /// Reads what the store has; a new one gets the mounts that every store has.
    ///
    /// # Errors
    /// The storage's, or records that this version cannot read.
    pub(crate) async fn load(
        keys: Arc<Keys>,
        token_key: SecretBytes,
        hasher: Hasher,
        recorder: Arc<dyn Recorder>,
        meters: Arc<Meters>,
    ) -> Result<Self, Fault> {
        let view = |id: &str| View::new(Arc::clone(keys.storage()), Arc::clone(keys.barrier()), id);
        let system = view(SYSTEM);
        let policies = Policies::load(system.clone()).await?;
        let kept = system.read_one(mounts::PLACE).await.map_err(of_view)?;
        let kept = kept.map(|kept| mounts::of_record(&kept.value)).transpose()?;
        let (is_new, kept) = (kept.is_none(), kept.map_or_else(first_mounts, Ok)?);
        let mut table = Mounts::default();
        let mut cubbyholes = view(SYSTEM);
        for mount in kept {
            if mount.path == engines::CUBBYHOLE {
                cubbyholes = view(&mount.uuid);
            }
            let engine = engines::make(&mount, view(&mount.uuid))?;
            table = table.with(Mounted { mount: Arc::new(mount), engine });
        }
        let tokens = Tokens::load(system.clone(), cubbyholes, token_key).await.map_err(of_token)?;
        let usage = Usage::new(system.clone());
        let open = Self {
            mounts: RwLock::new(Arc::new(table)),
            mounting: Mutex::default(),
            keys,
            system,
            policies,
            tokens,
            moves: Moves::default(),
            usage,
            meters,
            is_renewed: AtomicBool::new(false),
            backups: Arc::new(Semaphore::new(BACKUPS)),
            hasher,
            recorder,
        };
        if is_new {
            open.keep_table(&open.mounts()).await?;
        }
        Ok(open)
    }

    /// All mounts of this moment.
    pub(crate) fn mounts(&self) -> Arc<Mounts> {
        Arc::clone(&self.mounts.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The keys, and the storage that they are for.
    pub(crate) fn keys(&self) -> &Arc<Keys> {
        &self.keys
    }

    /// The view of the system's own records.
    pub(crate) fn system(&self) -> &View {
        &self.system
    }

    /// What hides values in the audit trail.
    pub(crate) fn hasher(&self) -> &Hasher {
        &self.hasher
    }

    /// Puts entries into the audit trail, and waits until they are there.
    ///
    /// # Errors
    /// 503 where the trail does not take them.
    pub(crate) async fn record(&self, entries: Vec<Body>) -> Result<(), Fault> {
        self.recorder.record(entries).await
    }

    /// What a value is written as in the audit trail.
    pub(crate) fn audit_hash(&self, input: &str) -> String {
        self.hasher.text(input).as_str().to_owned()
    }

    /// Reads the audit trail again; nothing where it is no file.
    pub(crate) async fn check_trail(&self) -> Option<Result<Verdict, Failure>> {
        self.recorder.check().await
    }

    /// The sinks of the audit trail, as `sys/audit` shows them.
    pub(crate) fn audit_devices(&self) -> Members {
        self.recorder.devices()
    }

    /// Mounts an engine.
    ///
    /// # Errors
    /// 400 where something is in the way or the kind is not served; the storage's.
    pub(crate) async fn mount(&self, mount: Mount) -> Result<(), Fault> {
        let _one_at_a_time = self.mounting.lock().await;
        let table = self.mounts();
        if let Some(known) = table.in_the_way(&mount.path) {
            let path = mount.path.trim_start_matches("auth/");
            return Err(match known == mount.path {
                true => Fault::invalid(format!("path is already in use at {path}")),
                false => Fault::invalid(format!("existing mount at {known}")),
            });
        }
        let engine = engines::make(&mount, self.view(&mount.uuid))?;
        self.swap(table.with(Mounted { mount: Arc::new(mount), engine })).await
    }

    /// Takes a mount away, with all that it holds. An absent one is no fault.
    ///
    /// # Errors
    /// 400 for the system's own; the storage's.
    pub(crate) async fn unmount(&self, path: &str) -> Result<(), Fault> {
        let _one_at_a_time = self.mounting.lock().await;
        let table = self.mounts();
        let Some(mounted) = table.get(path).cloned() else { return Ok(()) };
        if mounted.mount.is_fixed() {
            return Err(Fault::invalid(format!("cannot unmount {path}: it is the store's own")));
        }
        mounted.engine.retire(self, &mounted.mount).await?;
        self.swap(table.without(path)).await?;
        self.usage.forget_mount(&mounted.mount.uuid).await?;
        self.erase(&mounted.mount).await
    }

    /// Moves a mount; its records stay where they are.
    ///
    /// # Errors
    /// 400 where it cannot go there; the storage's.
    pub(crate) async fn move_mount(&self, from: &str, to: &str) -> Result<(), Fault> {
        let _one_at_a_time = self.mounting.lock().await;
        let table = self.mounts();
        let mounted = table.get(from).cloned().ok_or_else(|| Fault::invalid(format!("no mount at {from}")))?;
        if mounted.mount.is_fixed() || from.starts_with("auth/") != to.starts_with("auth/") {
            return Err(Fault::invalid(format!("cannot move {from} to {to}")));
        }
        let rest = table.without(from);
        if let Some(known) = rest.in_the_way(to) {
            return Err(Fault::invalid(format!("existing mount at {known}")));
        }
        let mount = Mount { path: to.to_owned(), ..Mount::clone(&mounted.mount) };
        self.swap(rest.with(Mounted { mount: Arc::new(mount), ..mounted })).await
    }

    /// Keeps a mount as it was tuned.
    ///
    /// # Errors
    /// The storage's.
    pub(crate) async fn change_mount(&self, mount: Mount) -> Result<(), Fault> {
        let _one_at_a_time = self.mounting.lock().await;
        let table = self.mounts();
        let mounted = table.get(&mount.path).cloned().ok_or_else(Fault::absent)?;
        self.swap(table.with(Mounted { mount: Arc::new(mount), ..mounted })).await
    }

    async fn swap(&self, table: Mounts) -> Result<(), Fault> {
        self.keep_table(&table).await?;
        *self.mounts.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(table);
        Ok(())
    }

    async fn keep_table(&self, table: &Mounts) -> Result<(), Fault> {
        let changes = Changes { puts: vec![(mounts::PLACE.to_owned(), table.record()?)], ..Changes::default() };
        match self.system.commit(&changes).await.map_err(of_view)? {
            Outcome::Committed(_) => Ok(()),
            Outcome::Conflict => Err(Fault::internal("a commit without conditions met a conflict")),
        }
    }

    /// Deletes all records of a mount that is gone, a bounded number at a time.
    async fn erase(&self, mount: &Mount) -> Result<(), Fault> {
        self.view(&mount.uuid).erase("").await.map_err(of_view)
    }

    fn view(&self, id: &str) -> View {
        View::new(Arc::clone(self.keys.storage()), Arc::clone(self.keys.barrier()), id)
    }
}

/// The last moves of mounts, for those who ask how far they are.
#[derive(Default)]
pub(crate) struct Moves(StdMutex<VecDeque<(String, (String, String))>>);

impl Moves {
    /// Moves that are remembered.
    const MOST: usize = 64;

    /// Notes a move by its id: from where, and to where.
    pub(crate) fn note(&self, id: &str, from: String, to: String) {
        let mut moves = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        moves.truncate(Self::MOST - 1);
        moves.push_front((id.to_owned(), (from, to)));
    }

    /// From where and to where a move went.
    pub(crate) fn get(&self, id: &str) -> Option<(String, String)> {
        let moves = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        moves.iter().find(|(known, _)| known == id).map(|(_, ends)| ends.clone())
    }
}

/// What every store has from the start.
fn first_mounts() -> Result<Vec<Mount>, Fault> {
    let own = [
        (MountClass::Secret, "sys/", "system", "system endpoints used for control, policy and debugging"),
        (MountClass::Secret, "cubbyhole/", "cubbyhole", "per-token private secret storage"),
        (MountClass::Auth, "auth/token/", "token", "token based credentials"),
    ];
    own.into_iter()
        .map(|(class, path, kind, description)| {
            let mut mount = Mount::new(class, path, kind, crate::identifiers::uuid()?);
            description.clone_into(&mut mount.description);
            Ok(mount)
        })
        .collect()
}
