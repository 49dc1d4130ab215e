//! What is pushed stays in memory, beside the values of the settings, which nobody can overwrite.

use std::collections::BTreeMap;

use strongroom_failure::{Class, Failure};
use strongroom_provider::{Content, Deleted, Place, Push, Pushed};
use strongroom_secret::SecretBytes;

/// What was pushed to one key.
#[derive(Clone, Debug)]
enum Kept {
    /// One value.
    Value(SecretBytes),
    /// Properties.
    Properties(BTreeMap<String, SecretBytes>),
}

/// Everything that was pushed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pushes(BTreeMap<String, Kept>);

impl Pushes {
    /// What is kept under `key`: properties as one JSON object.
    pub(crate) fn read(&self, key: &str) -> Option<SecretBytes> {
        Some(match self.0.get(key)? {
            Kept::Value(value) => value.clone(),
            Kept::Properties(properties) => {
                let member = |(name, value): (&String, &SecretBytes)| {
                    let text = value.expose_text().unwrap_or_default();
                    format!("{}:{}", serde_json::Value::from(name.as_str()), serde_json::Value::from(text))
                };
                let members: Vec<String> = properties.iter().map(member).collect();
                SecretBytes::from(format!("{{{}}}", members.join(",")))
            }
        })
    }

    /// Keeps one value, or says that it is kept already.
    pub(crate) fn push(&mut self, push: &Push) -> Result<Pushed, Failure> {
        let before = self.0.get(&push.place.key);
        let known = match (&push.place.property, before) {
            (Some(property), Some(Kept::Properties(kept))) => kept.contains_key(property),
            (Some(_), _) => false,
            (None, before) => before.is_some(),
        };
        if known && push.only_if_absent {
            return Ok(Pushed::Kept);
        }
        let next = match (&push.place.property, &push.content) {
            (None, Content::One(value)) => Kept::Value(value.clone()),
            (None, Content::Whole(values)) => Kept::Properties(values.clone()),
            (Some(property), content) => {
                let mut kept = match before {
                    Some(Kept::Properties(kept)) => kept.clone(),
                    _ => BTreeMap::new(),
                };
                let whole = |values: &BTreeMap<String, SecretBytes>| {
                    let mut alone = Self::default();
                    alone.0.insert(String::new(), Kept::Properties(values.clone()));
                    alone.read("").unwrap_or_default()
                };
                let value = match content {
                    Content::One(value) => value.clone(),
                    Content::Whole(values) => whole(values),
                };
                kept.insert(property.clone(), value);
                Kept::Properties(kept)
            }
        };
        if let Kept::Properties(properties) = &next {
            check_texts(properties)?;
        }
        if before.is_some_and(|before| before.is(&next)) {
            return Ok(Pushed::Unchanged);
        }
        self.0.insert(push.place.key.clone(), next);
        Ok(Pushed::Written)
    }

    /// Forgets what is kept at `place`; a key goes with its last property.
    pub(crate) fn delete(&mut self, place: &Place) -> Deleted {
        let Some(property) = &place.property else {
            return if self.0.remove(&place.key).is_some() { Deleted::Removed } else { Deleted::Absent };
        };
        let Some(Kept::Properties(properties)) = self.0.get_mut(&place.key) else { return Deleted::Absent };
        let removed = properties.remove(property).is_some();
        if properties.is_empty() {
            self.0.remove(&place.key);
        }
        if removed { Deleted::Removed } else { Deleted::Absent }
    }
}

impl Kept {
    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Value(one), Self::Value(other)) => one.expose() == other.expose(),
            (Self::Properties(one), Self::Properties(other)) => {
                one.len() == other.len()
                    && one.iter().zip(other).all(|(one, other)| one.0 == other.0 && one.1.expose() == other.1.expose())
            }
            (Self::Value(_), Self::Properties(_)) | (Self::Properties(_), Self::Value(_)) => false,
        }
    }
}

/// What becomes a JSON object must be texts.
fn check_texts(properties: &BTreeMap<String, SecretBytes>) -> Result<(), Failure> {
    match properties.iter().find(|(_, value)| value.expose_text().is_none()) {
        Some((name, _)) => Err(Failure::new(Class::Invalid, format!("the value of {name:?} is no text"))),
        None => Ok(()),
    }
}
