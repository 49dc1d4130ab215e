//! Secrets with versions.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value};
use strongroom_barrier::{Changes, View};
use strongroom_secret::SecretBytes;
use strongroom_storage::{Outcome, Revision};

use crate::error::KvError;
use crate::json;
use crate::metadata::{Cas, Config, Metadata, VersionInfo, checked_custom};
use crate::path::{checked, folder};

const CONFIG: &str = "config";
const METADATA: &str = "meta/";

/// How often a change begins again because another came between.
const ATTEMPTS: usize = 32;

/// Versions whose data go in one commit; more go in further ones.
const AT_ONCE: usize = 100;

/// What a read finds.
#[derive(Debug)]
pub struct Read {
    /// The data: the JSON text of an object, or of null.
    pub data: SecretBytes,
    /// The version.
    pub info: VersionInfo,
}

/// What is to be changed about a secret. What is absent stays.
#[derive(Clone, Debug, Default)]
pub struct MetadataChange {
    /// Versions that are kept.
    pub max_versions: Option<u64>,
    /// Whether every write has to name the version that it writes over.
    pub cas_required: Option<bool>,
    /// Seconds after which a version is deleted.
    pub delete_version_after: Option<i64>,
    /// What people write down: `None` in place of a value takes a name away, where the change is a patch.
    pub custom_metadata: Option<BTreeMap<String, Option<String>>>,
    /// Whether custom metadata are added to those that are there, not written in their place.
    pub is_patch: bool,
}

/// The secrets of one mount.
#[derive(Clone, Debug)]
pub struct V2 {
    view: View,
}

/// A secret's metadata, and the commit that wrote them.
type Kept = Option<(Metadata, Revision)>;

impl V2 {
    /// The secrets in `view`.
    pub fn new(view: View) -> Self {
        Self { view }
    }

    /// What holds for the mount.
    ///
    /// # Errors
    /// The view's.
    pub async fn config(&self) -> Result<Config, KvError> {
        match self.view.read_one(CONFIG).await? {
            None => Ok(Config::default()),
            Some(found) => record(&found.value),
        }
    }

    /// Changes what holds for the mount.
    ///
    /// # Errors
    /// The view's.
    pub async fn set_config(&self, config: &Config) -> Result<(), KvError> {
        let puts = vec![(CONFIG.to_owned(), written(config)?)];
        self.view.commit(&Changes { puts, ..Changes::default() }).await?;
        Ok(())
    }

    /// Writes a version: the JSON text of an object, or of null.
    ///
    /// # Errors
    /// [`KvError::Mismatch`], [`KvError::CasRequired`], a path that names no secret, the view's.
    pub async fn write(
        &self,
        path: &str,
        data: &SecretBytes,
        cas: Cas,
        now: Timestamp,
    ) -> Result<VersionInfo, KvError> {
        let path = checked(path)?;
        let config = self.config().await?;
        for _ in 0..ATTEMPTS {
            let kept = self.kept(path).await?;
            if let Some(info) = self.add(path, kept, data.clone(), (&config, cas, now)).await? {
                return Ok(info);
            }
        }
        Err(KvError::Busy)
    }

    /// Writes a version that is the latest one changed as a merge patch says.
    ///
    /// # Errors
    /// As [`V2::write`]; [`KvError::Absent`] and [`KvError::Gone`] where there is nothing to change.
    pub async fn patch(
        &self,
        path: &str,
        patch: &Map<String, Value>,
        cas: Cas,
        now: Timestamp,
    ) -> Result<VersionInfo, KvError> {
        let path = checked(path)?;
        let config = self.config().await?;
        for _ in 0..ATTEMPTS {
            let Some((metadata, revision)) = self.kept(path).await? else { return Err(KvError::Absent) };
            let latest = metadata.current_version;
            let read = self.read_of(path, &metadata, latest, now).await?;
            let mut data = json::read(&read.data)?;
            match &mut data.0 {
                Value::Object(members) => json::merge(members, patch),
                other => *other = Value::Object(merged(patch)),
            }
            let data = json::write(&data.0)?;
            if let Some(info) = self.add(path, Some((metadata, revision)), data, (&config, cas, now)).await? {
                return Ok(info);
            }
        }
        Err(KvError::Busy)
    }

    /// Adds a version to what was kept; nothing where another came between.
    async fn add(
        &self,
        path: &str,
        kept: Kept,
        data: SecretBytes,
        (config, cas, now): (&Config, Cas, Timestamp),
    ) -> Result<Option<VersionInfo>, KvError> {
        let (mut metadata, before) = parted(kept, now);
        let gone = metadata.add(config, cas, now)?;
        let number = metadata.current_version;
        let mut changes = self.change(path, &metadata, before)?;
        changes.puts.push((version_key(path, number), data));
        let (first, rest) = gone.split_at(gone.len().min(AT_ONCE));
        changes.deletes.extend(first.iter().map(|number| version_key(path, *number)));
        if self.view.commit(&changes).await? == Outcome::Conflict {
            return Ok(None);
        }
        self.delete_data(path, rest).await?;
        metadata.info(number).map(Some).ok_or(KvError::Busy)
    }

    /// The version `number`, or the latest.
    ///
    /// # Errors
    /// [`KvError::Absent`] where there never was one, [`KvError::Gone`] where it was deleted or destroyed.
    pub async fn read(&self, path: &str, number: Option<u64>, now: Timestamp) -> Result<Read, KvError> {
        let path = checked(path)?;
        for _ in 0..ATTEMPTS {
            let Some((metadata, _)) = self.kept(path).await? else { return Err(KvError::Absent) };
            let number = number.filter(|number| *number > 0).unwrap_or(metadata.current_version);
            match self.read_of(path, &metadata, number, now).await {
                // It was let go between the two reads.
                Err(KvError::Busy) => {}
                answer => return answer,
            }
        }
        Err(KvError::Busy)
    }

    async fn read_of(&self, path: &str, metadata: &Metadata, number: u64, now: Timestamp) -> Result<Read, KvError> {
        let info = metadata.info(number).ok_or(KvError::Absent)?;
        if !info.version.is_readable(now) {
            return Err(KvError::Gone(Box::new(info)));
        }
        let found = self.view.read_one(&version_key(path, number)).await?.ok_or(KvError::Busy)?;
        Ok(Read { data: found.value, info })
    }

    /// Whether something was written there once and was not deleted with its metadata.
    ///
    /// # Errors
    /// The view's.
    pub async fn exists(&self, path: &str) -> Result<bool, KvError> {
        Ok(self.kept(checked(path)?).await?.is_some_and(|(metadata, _)| metadata.current_version > 0))
    }

    /// Deletes the latest version so that it can be brought back. What is absent is no fault.
    ///
    /// # Errors
    /// The view's.
    pub async fn delete_latest(&self, path: &str, now: Timestamp) -> Result<(), KvError> {
        let latest = |metadata: &Metadata| vec![metadata.current_version];
        self.each_kept(path, |metadata| metadata.delete(&latest(metadata), now)).await
    }

    /// Deletes versions so that they can be brought back.
    ///
    /// # Errors
    /// The view's.
    pub async fn delete(&self, path: &str, numbers: &[u64], now: Timestamp) -> Result<(), KvError> {
        self.each_kept(path, |metadata| metadata.delete(numbers, now)).await
    }

    /// Brings deleted versions back.
    ///
    /// # Errors
    /// The view's.
    pub async fn undelete(&self, path: &str, numbers: &[u64], now: Timestamp) -> Result<(), KvError> {
        let config = self.config().await?;
        self.each_kept(path, |metadata| metadata.undelete(numbers, &config, now)).await
    }

    /// Erases the data of versions. They are gone from the storage with the commit; what a disk keeps of its past, or a
    /// snapshot, is another matter.
    ///
    /// # Errors
    /// The view's.
    pub async fn destroy(&self, path: &str, numbers: &[u64], now: Timestamp) -> Result<(), KvError> {
        let path = checked(path)?;
        for numbers in numbers.chunks(AT_ONCE) {
            self.destroy_some(path, numbers, now).await?;
        }
        Ok(())
    }

    async fn destroy_some(&self, path: &str, numbers: &[u64], now: Timestamp) -> Result<(), KvError> {
        for _ in 0..ATTEMPTS {
            let Some((mut metadata, before)) = self.kept(path).await? else { return Ok(()) };
            let destroyed = metadata.destroy(numbers, now);
            if destroyed.is_empty() {
                return Ok(());
            }
            let mut changes = self.change(path, &metadata, Some(before))?;
            changes.deletes = destroyed.into_iter().map(|number| version_key(path, number)).collect();
            if self.view.commit(&changes).await? != Outcome::Conflict {
                return Ok(());
            }
        }
        Err(KvError::Busy)
    }

    /// All that is known of a secret.
    ///
    /// # Errors
    /// [`KvError::Absent`].
    pub async fn metadata(&self, path: &str) -> Result<Metadata, KvError> {
        let kept = self.kept(checked(path)?).await?;
        kept.map(|(metadata, _)| metadata).ok_or(KvError::Absent)
    }

    /// Changes what is known of a secret; one that does not exist begins without versions, unless it is a patch.
    ///
    /// # Errors
    /// [`KvError::Invalid`] for custom metadata beyond their limits; [`KvError::Absent`] for a patch of nothing.
    pub async fn set_metadata(&self, path: &str, change: &MetadataChange, now: Timestamp) -> Result<(), KvError> {
        let path = checked(path)?;
        for _ in 0..ATTEMPTS {
            let kept = self.kept(path).await?;
            if kept.is_none() && change.is_patch {
                return Err(KvError::Absent);
            }
            let (mut metadata, before) = parted(kept, now);
            apply(&mut metadata, change)?;
            metadata.updated_time = now;
            let changes = self.change(path, &metadata, before)?;
            if self.view.commit(&changes).await? != Outcome::Conflict {
                return Ok(());
            }
        }
        Err(KvError::Busy)
    }

    /// Erases a secret with all its versions. What is absent is no fault.
    ///
    /// # Errors
    /// The view's.
    pub async fn delete_metadata(&self, path: &str) -> Result<(), KvError> {
        let path = checked(path)?;
        for _ in 0..ATTEMPTS {
            let Some((metadata, before)) = self.kept(path).await? else { return Ok(()) };
            let numbers: Vec<u64> = metadata.versions.keys().copied().collect();
            // The data first, where they are many: a secret that is known can be deleted again.
            let (first, rest) = numbers.split_at(numbers.len().min(AT_ONCE));
            self.delete_data(path, rest).await?;
            let mut deletes: Vec<String> = first.iter().map(|number| version_key(path, *number)).collect();
            deletes.push(metadata_key(path));
            let conditions = vec![(metadata_key(path), Some(before))];
            let changes = Changes { conditions, deletes, ..Changes::default() };
            if self.view.commit(&changes).await? != Outcome::Conflict {
                return Ok(());
            }
        }
        Err(KvError::Busy)
    }

    /// The names in a folder, those of folders with a slash at their end, in order of bytes.
    ///
    /// # Errors
    /// The view's.
    pub async fn list(&self, path: &str) -> Result<Vec<String>, KvError> {
        Ok(self.view.list(&format!("{METADATA}{}", folder(path)?)).await?)
    }

    async fn kept(&self, path: &str) -> Result<Kept, KvError> {
        let Some(found) = self.view.read_one(&metadata_key(path)).await? else { return Ok(None) };
        Ok(Some((record(&found.value)?, found.revision)))
    }

    /// Changes the metadata of a secret where there is one and something changes.
    async fn each_kept(&self, path: &str, with: impl Fn(&mut Metadata) -> bool) -> Result<(), KvError> {
        let path = checked(path)?;
        for _ in 0..ATTEMPTS {
            let Some((mut metadata, before)) = self.kept(path).await? else { return Ok(()) };
            if !with(&mut metadata) {
                return Ok(());
            }
            let changes = self.change(path, &metadata, Some(before))?;
            if self.view.commit(&changes).await? != Outcome::Conflict {
                return Ok(());
            }
        }
        Err(KvError::Busy)
    }

    fn change(&self, path: &str, metadata: &Metadata, before: Option<Revision>) -> Result<Changes, KvError> {
        let key = metadata_key(path);
        let puts = vec![(key.clone(), written(metadata)?)];
        Ok(Changes { conditions: vec![(key, before)], puts, deletes: Vec::new() })
    }

    async fn delete_data(&self, path: &str, numbers: &[u64]) -> Result<(), KvError> {
        for numbers in numbers.chunks(AT_ONCE) {
            let deletes = numbers.iter().map(|number| version_key(path, *number)).collect();
            self.view.commit(&Changes { deletes, ..Changes::default() }).await?;
        }
        Ok(())
    }
}

fn metadata_key(path: &str) -> String {
    format!("{METADATA}{path}")
}

/// No two are alike: behind a secret's path stands a number and nothing else.
fn version_key(path: &str, number: u64) -> String {
    format!("versions/{path}/{number}")
}

fn parted(kept: Kept, now: Timestamp) -> (Metadata, Option<Revision>) {
    match kept {
        Some((metadata, revision)) => (metadata, Some(revision)),
        None => (Metadata::new(now), None),
    }
}

fn merged(patch: &Map<String, Value>) -> Map<String, Value> {
    let mut made = Map::new();
    json::merge(&mut made, patch);
    made
}

fn apply(metadata: &mut Metadata, change: &MetadataChange) -> Result<(), KvError> {
    metadata.max_versions = change.max_versions.unwrap_or(metadata.max_versions);
    metadata.cas_required = change.cas_required.unwrap_or(metadata.cas_required);
    metadata.delete_version_after = change.delete_version_after.unwrap_or(metadata.delete_version_after);
    let Some(given) = &change.custom_metadata else { return Ok(()) };
    let mut custom = metadata.custom_metadata.take().filter(|_| change.is_patch).unwrap_or_default();
    for (name, value) in given {
        match value {
            Some(value) => drop(custom.insert(name.clone(), value.clone())),
            None => drop(custom.remove(name)),
        }
    }
    checked_custom(&custom)?;
    metadata.custom_metadata = (!custom.is_empty()).then_some(custom);
    Ok(())
}

fn record<T: serde::de::DeserializeOwned>(bytes: &SecretBytes) -> Result<T, KvError> {
    serde_json::from_slice(bytes.expose())
        .map_err(|_| KvError::Invalid("a record of this mount is a newer version's".to_owned()))
}

fn written<T: serde::Serialize>(record: &T) -> Result<SecretBytes, KvError> {
    serde_json::to_vec(record)
        .map(SecretBytes::new)
        .map_err(|_| KvError::Invalid("a record cannot be written".to_owned()))
}
