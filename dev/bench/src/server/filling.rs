//! Fills a store that does not run, with its own crates: a million writes through its API would take many minutes.
//!
//! Where things lie is said here a second time. Whoever changes it sees the reads through the API fail.

use std::path::Path;
use std::sync::{Arc, RwLock};

use anyhow::{Context, Result, anyhow, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::{StreamExt as _, stream};
use jiff::Timestamp;
use serde_json::Value;
use strongroom_barrier::{Barrier, Changes, RootKey, View};
use strongroom_kv::{Cas, Config, Metadata};
use strongroom_secret::SecretBytes;
use strongroom_storage::{Outcome, Storage};
use strongroom_storage_redb::Redb;

/// Where the root key and the key ring lie, wrapped.
const CUSTODY: &str = "+custody";

/// What the root key is wrapped for.
const SEAL: &[u8] = b"strongroom seal 1: root key";

/// Secrets that are under way at once: as many go into one transaction.
const TOGETHER: usize = 256;

/// What is written.
pub(super) struct Secrets {
    /// The path of each, below the mount.
    pub(super) paths: Vec<String>,
    /// Versions of each.
    pub(super) versions: usize,
    /// The data of each version: the JSON text of an object.
    pub(super) data: String,
}

/// Writes `secrets` into the kv mount with the id `mount` of the store in the folder `data`, whose seal is the file
/// `seal_key`.
///
/// # Errors
/// Where the store runs, or is laid out in another way than this knows.
pub(super) async fn fill(data: &Path, seal_key: &Path, mount: &str, secrets: Secrets) -> Result<()> {
    let storage: Arc<dyn Storage> = Arc::new(Redb::open(&data.join("store.redb"), |_| {})?);
    let barrier = unsealed(&*storage, seal_key).await?;
    let view = View::new(storage, Arc::new(RwLock::new(barrier)), mount);
    let Secrets { paths, versions, data } = &secrets;
    let commits = paths.iter().map(|path| {
        let changes = changes(path, *versions, data);
        let view = &view;
        async move { view.commit(&changes?).await.map_err(|error| anyhow!("{error}")) }
    });
    let mut commits = stream::iter(commits).buffer_unordered(TOGETHER);
    while let Some(outcome) = commits.next().await {
        ensure!(matches!(outcome?, Outcome::Committed(_)), "the store is not empty");
    }
    Ok(())
}

/// The barrier of the store, open.
async fn unsealed(storage: &dyn Storage, seal_key: &Path) -> Result<Barrier> {
    let kept = storage.read(&[CUSTODY.to_owned()]).await.map_err(|error| anyhow!("{error}"))?;
    let kept = kept.into_iter().next().flatten().context("the store was never initialised")?;
    let custody: Value = serde_json::from_slice(&kept.bytes)?;
    let wrapped = |name: &str| -> Result<Vec<u8>> {
        Ok(STANDARD.decode(custody[name].as_str().with_context(|| format!("the custody has no {name}"))?)?)
    };
    let key = SecretBytes::new(std::fs::read(seal_key)?);
    let root = strongroom_crypto::open(&key, SEAL, &wrapped("root")?).map_err(|reason| anyhow!("{reason}"))?;
    let mut barrier = Barrier::default();
    barrier.unseal(&RootKey::new(root)?, &wrapped("ring")?)?;
    Ok(barrier)
}

/// All versions of one secret.
fn changes(path: &str, versions: usize, data: &str) -> Result<Changes> {
    let now = Timestamp::now();
    let mut metadata = Metadata::new(now);
    let mut changes = Changes::default();
    for _ in 0..versions {
        metadata.add(&Config::default(), Cas::Any, now).map_err(|error| anyhow!("{error}"))?;
        let key = format!("versions/{path}/{}", metadata.current_version);
        changes.puts.push((key, SecretBytes::from(data.to_owned())));
    }
    let key = format!("meta/{path}");
    changes.conditions.push((key.clone(), None));
    changes.puts.push((key, SecretBytes::new(serde_json::to_vec(&metadata)?)));
    Ok(changes)
}
