//! What the pods of a workload were started with, as far as is known: fingerprints in an annotation of the workload.
//!
//! It lies on the workload and not in a memory, so that a change is noticed that happened while nobody looked; and not
//! in the pod template, so that it can be written without a restart. A restart writes it and the template's mark in one
//! patch: whoever is killed before has done nothing, and whoever comes after finds it done.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::fingerprint::Fingerprint;

/// The longest text of a baseline, in bytes: an object's annotations may have 256 KiB altogether, and a workload that
/// reads a thousand keys needs 32 KiB.
pub const TEXT_LIMIT: usize = 64 * 1024;

/// What was seen of one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// A value.
    Value(Fingerprint),
    /// That there was none, which the pods put up with.
    Absent,
}

/// The fingerprints of what a workload consumes, by Secret and key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Baseline {
    key: Box<str>,
    secrets: BTreeMap<Box<str>, BTreeMap<Box<str>, Seen>>,
}

/// The form in the annotation.
#[derive(Deserialize, Serialize)]
struct Written {
    key: Box<str>,
    secrets: BTreeMap<Box<str>, BTreeMap<Box<str>, Box<str>>>,
}

impl Baseline {
    /// Empty, for fingerprints under the key with this id.
    pub fn new(key_id: &str) -> Self {
        Self { key: key_id.into(), secrets: BTreeMap::new() }
    }

    /// Reads an annotation; `None` where it is none of ours or somebody has spoilt it.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > TEXT_LIMIT {
            return None;
        }
        let written: Written = serde_json::from_str(text).ok()?;
        let seen = |text: &str| match text {
            "" => Some(Seen::Absent),
            text => Fingerprint::parse(text).map(Seen::Value),
        };
        let mut secrets = BTreeMap::new();
        for (secret, slots) in written.secrets {
            let slots = slots.into_iter().map(|(slot, text)| Some((slot, seen(&text)?))).collect::<Option<_>>()?;
            secrets.insert(secret, slots);
        }
        Some(Self { key: written.key, secrets })
    }

    /// The annotation's text; `None` where it would be longer than [`TEXT_LIMIT`].
    pub fn text(&self) -> Option<String> {
        let text = |seen: &Seen| match seen {
            Seen::Value(fingerprint) => fingerprint.to_string().into(),
            Seen::Absent => "".into(),
        };
        let texts = |slots: &BTreeMap<Box<str>, Seen>| {
            slots.iter().map(|(slot, seen)| (slot.clone(), text(seen))).collect::<BTreeMap<_, _>>()
        };
        let secrets = self.secrets.iter().map(|(secret, slots)| (secret.clone(), texts(slots))).collect();
        let text = serde_json::to_string(&Written { key: self.key.clone(), secrets }).ok()?;
        (text.len() <= TEXT_LIMIT).then_some(text)
    }

    /// Whether its fingerprints are of the key with this id.
    pub fn is_under(&self, key_id: &str) -> bool {
        *self.key == *key_id
    }

    /// Whether it tells nothing.
    pub fn is_empty(&self) -> bool {
        self.secrets.is_empty()
    }

    /// What was seen of a key.
    pub fn of_slot(&self, secret: &str, slot: &str) -> Option<Seen> {
        self.secrets.get(secret)?.get(slot).copied()
    }

    /// What was seen of a Secret.
    pub fn of_secret(&self, secret: &str) -> impl Iterator<Item = (&str, Seen)> {
        self.secrets.get(secret).into_iter().flatten().map(|(slot, seen)| (&**slot, *seen))
    }

    /// The Secrets of which something was seen.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        self.secrets.keys().map(|name| &**name)
    }

    /// Notes what is seen of a key.
    pub fn note(&mut self, secret: &str, slot: &str, seen: Seen) {
        self.secrets.entry(secret.into()).or_default().insert(slot.into(), seen);
    }
}
