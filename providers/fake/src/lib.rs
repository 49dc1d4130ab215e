//! Values written in the settings as a store, for tests and for trying things out: every answer can be read beside
//! the question, and nothing outside is asked.

#![forbid(unsafe_code)]

mod push;
mod settings;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use strongroom_failure::{Class, Failure};
use strongroom_provider::{
    Answer, Call, DeleteAnswer, Deleted, Find, Found, Limits, Place, Provider, Push, PushAnswer, Pushed, RemoteKey,
    RemoteValue, Validation, Version, one_by_one,
};
use strongroom_secret::SecretBytes;

use crate::push::Pushes;
pub use crate::settings::{Entry, FakeValue, Settings};

/// Answers from its settings.
#[derive(Clone, Debug)]
pub struct Fake {
    /// Values by key, then by version; those without version by the empty one.
    values: BTreeMap<String, BTreeMap<String, SecretBytes>>,
    /// What a key without version means where no entry is without: nothing, or the newest of them.
    is_newest_meant: bool,
    validation: Result<Validation, Failure>,
    pushed: Arc<Mutex<Pushes>>,
}

impl Fake {
    /// A store of the entries in `settings`. A key without version is the entry without version: no entry is "the
    /// latest".
    ///
    /// # Errors
    /// `Invalid`, naming the entry, where it has no key, not exactly one of `value` and `valueMap`, or comes twice.
    pub fn open(settings: Settings) -> Result<Self, Failure> {
        let mut values: BTreeMap<String, BTreeMap<String, SecretBytes>> = BTreeMap::new();
        for (place, entry) in settings.data.into_iter().enumerate() {
            let refused = |words: &str| Failure::new(Class::Invalid, words).in_field(format!("data[{place}]"));
            if entry.key.is_empty() {
                return Err(refused("key must not be empty"));
            }
            let value = match (entry.value, entry.value_map) {
                (Some(value), None) => value.into_bytes(),
                (None, Some(map)) => settings::as_json(&map),
                (None, None) => return Err(refused("one of value and valueMap is needed")),
                (Some(_), Some(_)) => return Err(refused("value and valueMap exclude each other")),
            };
            // An empty version is how other people's settings leave it out.
            let version = entry.version.unwrap_or_default();
            if values.entry(entry.key).or_default().insert(version, value).is_some() {
                return Err(refused("an entry before it has the same key and version"));
            }
        }
        Ok(Self { values, is_newest_meant: false, validation: Ok(Validation::Valid), pushed: Arc::default() })
    }

    /// A store of `entries` (key, version, value) as External Secrets Operator has them: of a key and version that come
    /// twice the last counts, and a key that has only versions stands, without one, for the newest: the last in the
    /// order of letters. `validation` is what validating gives.
    pub fn with_newest(
        entries: impl IntoIterator<Item = (String, String, SecretBytes)>,
        validation: Result<Validation, Failure>,
    ) -> Self {
        let mut values: BTreeMap<String, BTreeMap<String, SecretBytes>> = BTreeMap::new();
        for (key, version, value) in entries {
            values.entry(key).or_default().insert(version, value);
        }
        Self { values, is_newest_meant: true, validation, pushed: Arc::default() }
    }

    fn answer(&self, key: &RemoteKey) -> Answer {
        let wanted = key.version.as_ref().map(|version| match version {
            Version::Id(name) | Version::Stage(name) => name.as_str(),
        });
        if let Some(pushed) = self.pushed().read(&key.name).filter(|_| wanted.is_none()) {
            return Ok(RemoteValue::new(pushed, None));
        }
        let versions = self.values.get(&key.name);
        let exact = versions.and_then(|versions| versions.get_key_value(wanted.unwrap_or_default()));
        let newest = || versions.and_then(BTreeMap::last_key_value);
        let found = exact.or_else(|| newest().filter(|_| self.is_newest_meant && wanted.is_none()));
        let (version, value) = found.ok_or_else(|| {
            let words = match wanted {
                Some(version) => format!("no entry with this key and version \"{version}\""),
                None if self.is_newest_meant => "no entry with this key".to_owned(),
                None => "no entry with this key and no version".to_owned(),
            };
            Failure::new(Class::NotFound, words).on_key(&key.name).from_store(self.describe())
        })?;
        Ok(RemoteValue::new(value.clone(), Some(version.clone()).filter(|version| !version.is_empty())))
    }

    fn pushed(&self) -> MutexGuard<'_, Pushes> {
        self.pushed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The newest of each key whose name fits.
    fn search(&self, query: &Find) -> Result<Vec<Found>, Failure> {
        let refused = |words: &str, field: &str| Failure::new(Class::Invalid, words).in_field(field);
        if query.path.is_some() {
            return Err(refused("fake values have no path to search below", "find.path"));
        }
        if !query.tags.is_empty() {
            return Err(refused("fake values have no tags", "find.tags"));
        }
        let pattern = query.name.as_ref().ok_or_else(|| refused("a search needs a name", "find"))?;
        let found = |(name, versions): (&String, &BTreeMap<String, SecretBytes>)| {
            let (version, value) = versions.last_key_value()?;
            let version = Some(version.clone()).filter(|version| !version.is_empty());
            let key = RemoteKey { version: version.clone().map(Version::Id), ..RemoteKey::current(name) };
            Some(Found { name: name.clone(), key, value: Some(RemoteValue::new(value.clone(), version)) })
        };
        Ok(self.values.iter().filter(|(name, _)| pattern.is_match(name)).filter_map(found).collect())
    }
}

#[async_trait]
impl Provider for Fake {
    fn describe(&self) -> String {
        "the fake store".to_owned()
    }

    fn identity(&self) -> String {
        "anyone".to_owned()
    }

    /// No quota: the values are in memory.
    fn limits(&self) -> Limits {
        Limits { concurrency: 8, rate: 100_000.0, burst: 100_000 }
    }

    fn plan(&self, keys: &[RemoteKey]) -> Vec<Call> {
        one_by_one(keys, |_| "look up".to_owned())
    }

    async fn read(&self, keys: &[RemoteKey]) -> Vec<Answer> {
        keys.iter().map(|key| self.answer(key)).collect()
    }

    fn converts_names(&self) -> bool {
        true
    }

    async fn find(&self, query: &Find) -> Result<Vec<Found>, Failure> {
        self.search(query).map_err(|failure| failure.from_store(self.describe()))
    }

    /// What is pushed is forgotten with the store. A key of the settings is nobody's to overwrite.
    async fn push(&self, pushes: &[Push]) -> Vec<PushAnswer> {
        let push = |push: &Push| {
            if self.values.contains_key(&push.place.key) {
                if push.only_if_absent {
                    return Ok(Pushed::Kept);
                }
                let failure = Failure::new(Class::Denied, "key already exists, and was not pushed");
                return Err(failure.on_key(&push.place.key).from_store(self.describe()));
            }
            let kept = self.pushed().push(push);
            kept.map_err(|failure| failure.on_key(&push.place.key).from_store(self.describe()))
        };
        pushes.iter().map(push).collect()
    }

    async fn delete(&self, places: &[Place]) -> Vec<DeleteAnswer> {
        let delete = |place: &Place| match self.values.contains_key(&place.key) {
            true => Ok(Deleted::Foreign),
            false => Ok(self.pushed().delete(place)),
        };
        places.iter().map(delete).collect()
    }

    async fn validate(&self) -> Result<Validation, Failure> {
        self.validation.clone().map_err(|failure| failure.from_store(self.describe()))
    }
}
