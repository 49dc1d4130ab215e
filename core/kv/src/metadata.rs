//! The versions of one secret: what every change makes of them, decided without storage.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::KvError;

/// Versions that are kept where nobody says another number.
pub const USUAL_VERSIONS: u64 = 10;

/// Entries of custom metadata.
const MOST_CUSTOM: usize = 64;
/// Bytes of a name in custom metadata.
const LONGEST_NAME: usize = 128;
/// Bytes of a value in custom metadata.
const LONGEST_VALUE: usize = 512;

/// What holds for a mount where a secret says nothing else.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Versions that are kept; 0 for [`USUAL_VERSIONS`].
    pub max_versions: u64,
    /// Whether every write has to name the version that it writes over.
    pub cas_required: bool,
    /// Seconds after which a version is deleted; 0 for never, negative to switch it off for every secret.
    pub delete_version_after: i64,
}

/// The version that a write expects, as requests bring it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cas {
    /// It names none.
    Any,
    /// This one has to be the current one; 0 where nothing may be there.
    Exactly(u64),
    /// What it names is no version, and no version is that.
    Never,
}

impl Cas {
    /// `options.cas` as clients send it: a number or its text; null and flags match nothing (governance.md §10.8).
    ///
    /// # Errors
    /// [`KvError::Invalid`] for numbers with a fraction and other texts.
    pub fn of(value: Option<&Value>) -> Result<Self, KvError> {
        let invalid =
            || KvError::Invalid("error parsing check-and-set parameter: it has to be a whole number".to_owned());
        match value {
            None => Ok(Self::Any),
            Some(Value::Number(number)) => number.to_string().parse().map(Self::Exactly).map_err(|_| invalid()),
            Some(Value::String(text)) => text.trim().parse().map(Self::Exactly).map_err(|_| invalid()),
            Some(Value::Null | Value::Bool(_)) => Ok(Self::Never),
            Some(_) => Err(invalid()),
        }
    }
}

/// One version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// When it was written.
    pub created_time: Timestamp,
    /// When it was deleted, or will be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_time: Option<Timestamp>,
    /// Whether its data are gone for good.
    #[serde(default)]
    pub destroyed: bool,
}

impl Version {
    /// Whether its data can be read at `now`.
    pub fn is_readable(&self, now: Timestamp) -> bool {
        !self.destroyed && self.deletion_time.is_none_or(|moment| moment > now)
    }
}

/// A version as answers tell it.
#[derive(Clone, Debug, PartialEq)]
pub struct VersionInfo {
    /// Its number.
    pub number: u64,
    /// What is known of it.
    pub version: Version,
    /// The secret's custom metadata; `None` where there are none.
    pub custom_metadata: Option<BTreeMap<String, String>>,
}

/// What is known of a secret and all its versions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// When it was first written.
    pub created_time: Timestamp,
    /// When anything of it changed last.
    pub updated_time: Timestamp,
    /// The newest version; 0 where there is none yet.
    pub current_version: u64,
    /// The oldest version that is kept; 0 while none was let go.
    pub oldest_version: u64,
    /// Versions that are kept; 0 for the mount's number.
    #[serde(default)]
    pub max_versions: u64,
    /// Whether every write has to name the version that it writes over.
    #[serde(default)]
    pub cas_required: bool,
    /// Seconds after which a version is deleted; 0 for the mount's time.
    #[serde(default)]
    pub delete_version_after: i64,
    /// What people wrote down about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom_metadata: Option<BTreeMap<String, String>>,
    /// What is known of its versions, by number.
    #[serde(default)]
    pub versions: BTreeMap<u64, Version>,
}

impl Metadata {
    /// Of a secret that is written for the first time at `now`.
    pub fn new(now: Timestamp) -> Self {
        Self {
            created_time: now,
            updated_time: now,
            current_version: 0,
            oldest_version: 0,
            max_versions: 0,
            cas_required: false,
            delete_version_after: 0,
            custom_metadata: None,
            versions: BTreeMap::new(),
        }
    }

    /// A version as answers tell it.
    pub fn info(&self, number: u64) -> Option<VersionInfo> {
        let version = self.versions.get(&number)?.clone();
        Some(VersionInfo { number, version, custom_metadata: self.custom_metadata.clone() })
    }

    /// Adds a version, and answers the numbers of those that are let go for it.
    ///
    /// # Errors
    /// [`KvError::CasRequired`] and [`KvError::Mismatch`].
    pub fn add(&mut self, config: &Config, cas: Cas, now: Timestamp) -> Result<Vec<u64>, KvError> {
        match cas {
            Cas::Any if config.cas_required || self.cas_required => return Err(KvError::CasRequired),
            Cas::Exactly(expected) if expected != self.current_version => return Err(KvError::Mismatch),
            Cas::Never => return Err(KvError::Mismatch),
            Cas::Any | Cas::Exactly(_) => {}
        }
        self.current_version += 1;
        self.updated_time = now;
        let deletion_time = self.deletion_time(config, now);
        let version = Version { created_time: now, deletion_time, destroyed: false };
        self.versions.insert(self.current_version, version);
        Ok(self.let_go(config))
    }

    /// Versions beyond the number that is kept.
    fn let_go(&mut self, config: &Config) -> Vec<u64> {
        // The greater of both, as Vault has it: a mount's number is what each secret has at the least.
        let most = match self.max_versions.max(config.max_versions) {
            0 => USUAL_VERSIONS,
            most => most,
        };
        if self.current_version - self.oldest_version < most {
            return Vec::new();
        }
        let last = self.current_version - most;
        self.oldest_version = last + 1;
        let kept = self.versions.split_off(&(last + 1));
        std::mem::replace(&mut self.versions, kept).into_keys().collect()
    }

    /// When a version that is made or brought back at `now` will be deleted.
    fn deletion_time(&self, config: &Config, now: Timestamp) -> Option<Timestamp> {
        let seconds = match (config.delete_version_after, self.delete_version_after) {
            (mount, own) if mount < 0 || own < 0 => return None,
            (0, 0) => return None,
            (0, seconds) | (seconds, 0) => seconds,
            (mount, own) => mount.min(own),
        };
        now.checked_add(SignedDuration::from_secs(seconds)).ok()
    }

    /// Deletes versions so that they can be brought back; whether anything changed.
    pub fn delete(&mut self, numbers: &[u64], now: Timestamp) -> bool {
        self.change(numbers, now, |version| {
            let changes = version.is_readable(now);
            if changes {
                version.deletion_time = Some(now);
            }
            changes
        })
    }

    /// Brings deleted versions back; whether anything changed.
    pub fn undelete(&mut self, numbers: &[u64], config: &Config, now: Timestamp) -> bool {
        let deletion_time = self.deletion_time(config, now);
        self.change(numbers, now, |version| {
            let changes = !version.destroyed && version.deletion_time.is_some();
            if changes {
                version.deletion_time = deletion_time;
            }
            changes
        })
    }

    /// Gives up the data of versions for good, and answers the numbers of those that had any.
    pub fn destroy(&mut self, numbers: &[u64], now: Timestamp) -> Vec<u64> {
        let mut destroyed = Vec::new();
        for number in numbers {
            let changes = self.change(&[*number], now, |version| !std::mem::replace(&mut version.destroyed, true));
            if changes {
                destroyed.push(*number);
            }
        }
        destroyed
    }

    fn change(&mut self, numbers: &[u64], now: Timestamp, mut with: impl FnMut(&mut Version) -> bool) -> bool {
        let mut has_changed = false;
        for number in numbers {
            if let Some(version) = self.versions.get_mut(number) {
                has_changed |= with(version);
            }
        }
        if has_changed {
            self.updated_time = now;
        }
        has_changed
    }
}

/// Whether custom metadata keep their limits.
///
/// # Errors
/// [`KvError::Invalid`] with the limit.
pub fn checked_custom(custom: &BTreeMap<String, String>) -> Result<(), KvError> {
    let invalid = |words: String| Err(KvError::Invalid(format!("custom_metadata validation failed: {words}")));
    if custom.len() > MOST_CUSTOM {
        return invalid(format!("at most {MOST_CUSTOM} keys, and there are {}", custom.len()));
    }
    for (name, value) in custom {
        if name.is_empty() || name.len() > LONGEST_NAME {
            return invalid(format!("a key has 1 to {LONGEST_NAME} bytes"));
        }
        if value.len() > LONGEST_VALUE {
            return invalid(format!("the value of {name:?} has more than {LONGEST_VALUE} bytes"));
        }
        if name.chars().chain(value.chars()).any(|letter| letter.is_control()) {
            return invalid(format!("{name:?} or its value cannot be printed"));
        }
    }
    Ok(())
}
