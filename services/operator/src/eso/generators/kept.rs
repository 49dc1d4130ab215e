//! Values of generators, kept in a Secret of our own beside their user: stored before they are used, so that no kill, no
//! conflict and no failed write makes a second value in place of one that may have been delivered.
//!
//! Whatever happens between two steps, the next look finds one of three: nothing stored (then nothing was used), stored
//! and not delivered, or delivered. In the last two the stored value is used again, until a new one is due.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use serde::{Deserialize, Serialize};
use strongroom_api::external_secrets::GeneratorRef;
use strongroom_crypto::sha3_224;
use strongroom_failure::{Class, Failure};
use strongroom_kube::{SecretObject, Secrets, WriteFailure};
use strongroom_secret::SecretBytes;
use strongroom_select::{Decode, decode};
use strongroom_sync::Values;

use super::leases::{Made, Maker};
use crate::operator::{FIELD_MANAGER, Operator};

/// The annotation that says whose values these are: kind and name.
pub(crate) const GENERATED_FOR: &str = "strongroom.dev/generated-for";

/// How often the Secret is read again because somebody else wrote it meanwhile: only another replica, at the moment when
/// the lead changes, does.
const ROUNDS: usize = 5;

/// The longest name of a generator: a key of the Secret, which holds the kind and a number too, has 253 letters.
const LONGEST_NAME: usize = 200;

/// How long a value is the right one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Term {
    /// The round's time.
    pub(crate) now: Timestamp,
    /// The user's generation: another wish has another value.
    pub(crate) generation: i64,
    /// How long after it was made a new one is due; never, where there is none.
    pub(crate) interval: Option<Duration>,
    /// Whether it stays whatever is wished for.
    pub(crate) is_forever: bool,
}

/// A generator whose values are wanted.
pub(crate) struct Wanted<'a> {
    /// Which it is.
    pub(crate) generator: &'a GeneratorRef,
    /// The `generatorRef` that names it.
    pub(crate) field: String,
}

/// The values that are kept for one user.
pub(crate) struct Kept<'a> {
    pub(crate) operator: &'a Operator,
    /// The user, in whose namespace the values are kept.
    pub(crate) user: &'a ObjectReference,
    /// Whether the values go when their user goes, because what was made of them goes too.
    pub(crate) ends_with_user: bool,
    pub(crate) term: Term,
    /// Whether nothing is written: it is a rehearsal.
    pub(crate) is_rehearsal: bool,
}

/// One generator's values as they are kept.
#[derive(Serialize, Deserialize)]
struct Entry {
    /// When, in seconds since 1970; no part of one, as in the status: who comes when a new value is due must not find
    /// this one a moment too young.
    made: i64,
    generation: i64,
    /// In base64.
    values: BTreeMap<String, String>,
    /// The GeneratorState that stands for them, where they end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    state: Option<String>,
}

impl Term {
    fn holds(&self, entry: &Entry) -> bool {
        let since = i128::from(self.now.as_millisecond()) - i128::from(entry.made) * 1000;
        let is_young = |interval: Duration| i128::try_from(interval.as_millis()).is_ok_and(|interval| since < interval);
        self.is_forever || (entry.generation == self.generation && self.interval.is_none_or(is_young))
    }
}

impl Kept<'_> {
    /// The values of each of `wanted`, in their order: those that are kept and still right, else new ones, which are
    /// stored first.
    pub(crate) async fn values(&self, wanted: &[Wanted<'_>]) -> Vec<Result<Values, Failure>> {
        let mut made: Vec<Option<Result<Made, Failure>>> = wanted.iter().map(|_| None).collect();
        for _ in 0..ROUNDS {
            let secret = match self.read().await {
                Ok(secret) => secret,
                Err(failure) => return wanted.iter().map(|want| Err(placed(failure.clone(), want))).collect(),
            };
            let stored = secret.as_ref().map(|secret| &secret.data);
            let mut answers = Vec::with_capacity(wanted.len());
            let mut next = BTreeMap::new();
            let mut is_new = false;
            for (place, want) in wanted.iter().enumerate() {
                let slot = slot(wanted, place);
                let before = stored.and_then(|stored| stored.get(&slot));
                let (answer, is_made) = self.one(want, &slot, before, &mut made[place]).await;
                match (&answer, before) {
                    (Ok(made), _) if is_made => drop(next.insert(slot, self.entry(made))),
                    // Also where none could be made now: nothing is lost.
                    (_, Some(before)) => drop(next.insert(slot, before.clone())),
                    _ => {}
                }
                is_new |= is_made && answer.is_ok();
                answers.push(answer.map(|made| made.values).map_err(|failure| placed(failure, want)));
            }
            if !is_new || self.is_rehearsal {
                return answers;
            }
            match self.store(secret, next).await {
                Ok(()) => return answers,
                // Somebody stored others meanwhile: theirs may be in use.
                Err(WriteFailure::Conflict | WriteFailure::AlreadyExists) => {}
                Err(failure) => {
                    let failure = failure.into_failure(&format!("store generated values in {}", self.place()));
                    let failure = Failure { class: passing(failure.class), ..failure };
                    return wanted.iter().map(|want| Err(placed(failure.clone(), want))).collect();
                }
            }
        }
        let words = format!("others keep writing the Secret {}", self.place());
        wanted.iter().map(|want| Err(placed(Failure::new(Class::Unavailable, words.clone()), want))).collect()
    }

    /// One generator's values, and whether they are new.
    async fn one(
        &self,
        want: &Wanted<'_>,
        slot: &str,
        before: Option<&SecretBytes>,
        made: &mut Option<Result<Made, Failure>>,
    ) -> (Result<Made, Failure>, bool) {
        let mut kept_state = None;
        if let Some(before) = before {
            let Some(entry) = serde_json::from_slice::<Entry>(before.expose()).ok() else {
                let words = format!("the Secret {} holds what was not stored by Strongroom", self.place());
                let hint = "delete it to have new values made";
                return (Err(Failure::new(Class::Invalid, words).with_hint(hint)), false);
            };
            // A value that is to stay stays, also when it is worth nothing any more.
            let is_held = || self.term.is_forever || entry.state.as_ref().is_none_or(|state| self.is_held(state));
            if self.is_rehearsal || (self.term.holds(&entry) && is_held()) {
                return (entry.made(), false);
            }
            kept_state = entry.state;
        }
        if made.is_none() {
            *made = Some(self.make(want, slot, kept_state).await);
        }
        (made.clone().unwrap_or_else(|| Ok(Made::from(Values::new()))), true)
    }

    async fn make(&self, want: &Wanted<'_>, slot: &str, kept_state: Option<String>) -> Result<Made, Failure> {
        if want.generator.name.len() > LONGEST_NAME {
            return Err(Failure::new(Class::Invalid, format!("its name is longer than {LONGEST_NAME} letters")));
        }
        let namespace = self.namespace();
        let generator = self.operator.generator(want.generator, namespace).await.map_err(of_generator(want))?;
        let maker = Maker { kept: self, want, slot: slot.to_owned(), kept_state };
        self.operator.generate(generator, namespace, self.term.now, &maker).await.map_err(of_generator(want))
    }

    /// The states of the values of `wanted` that are kept.
    pub(super) async fn used(&self, wanted: &[Wanted<'_>]) -> Result<BTreeSet<String>, Failure> {
        let slots: BTreeSet<_> = (0..wanted.len()).map(|place| slot(wanted, place)).collect();
        let secret = self.read().await?;
        let entries = secret.iter().flat_map(|secret| &secret.data);
        let entries = entries.filter(|(slot, _)| slots.contains(*slot));
        Ok(entries.filter_map(|(_, entry)| state_of(entry)).collect())
    }

    fn entry(&self, made: &Made) -> SecretBytes {
        let state = made.state.clone();
        let values = made.values.iter().map(|(key, value)| (key.clone(), STANDARD.encode(value.expose()))).collect();
        let entry = Entry { made: self.term.now.as_second(), generation: self.term.generation, values, state };
        let text = serde_json::to_string(&entry).unwrap_or_default();
        entry.values.into_values().for_each(|value| drop(SecretBytes::from(value)));
        SecretBytes::from(text)
    }

    async fn read(&self) -> Result<Option<SecretObject>, Failure> {
        let secrets = Secrets::new(self.operator.connection.client(), FIELD_MANAGER);
        let found = secrets.read(self.namespace(), &self.name()).await?;
        let whose = self.whose();
        let is_ours = |secret: &SecretObject| {
            secret.metadata.annotations.as_ref().and_then(|all| all.get(GENERATED_FOR)) == Some(&whose)
        };
        match found {
            Some(secret) if !is_ours(&secret) => {
                let words = format!("the Secret {} is in the way: generated values belong there", self.place());
                Err(Failure::new(Class::Invalid, words).with_hint("rename or delete it"))
            }
            found => Ok(found),
        }
    }

    async fn store(
        &self,
        before: Option<SecretObject>,
        data: BTreeMap<String, SecretBytes>,
    ) -> Result<(), WriteFailure> {
        let secrets = Secrets::new(self.operator.connection.client(), FIELD_MANAGER);
        let version = before.and_then(|before| before.metadata.resource_version);
        let is_there = version.is_some();
        let metadata = ObjectMeta {
            namespace: Some(self.namespace().to_owned()),
            name: Some(self.name()),
            resource_version: version,
            annotations: Some(BTreeMap::from([(GENERATED_FOR.to_owned(), self.whose())])),
            owner_references: self.ends_with_user.then(|| vec![self.owner()]),
            ..ObjectMeta::default()
        };
        let secret = SecretObject { metadata, data, ..SecretObject::default() };
        let written = if is_there { secrets.replace(&secret).await } else { secrets.create(&secret).await };
        match written {
            Ok(_) => Ok(()),
            // It was deleted meanwhile: read again, and create.
            Err(WriteFailure::NotFound) if is_there => Err(WriteFailure::Conflict),
            Err(failure) => Err(failure),
        }
    }

    pub(super) fn owner(&self) -> OwnerReference {
        let text = |part: &Option<String>| part.clone().unwrap_or_default();
        OwnerReference {
            api_version: text(&self.user.api_version),
            kind: text(&self.user.kind),
            name: text(&self.user.name),
            uid: text(&self.user.uid),
            controller: None,
            block_owner_deletion: None,
        }
    }

    pub(super) fn namespace(&self) -> &str {
        self.user.namespace.as_deref().unwrap_or_default()
    }

    pub(super) fn whose(&self) -> String {
        let text = |part: &Option<String>| part.clone().unwrap_or_default();
        format!("{}/{}", text(&self.user.kind), text(&self.user.name))
    }

    /// The Secret's name: one for each user, and short enough whatever the user is called.
    fn name(&self) -> String {
        let digest = sha3_224(self.whose().as_bytes());
        let digest: String = digest.iter().take(10).map(|byte| format!("{byte:02x}")).collect();
        format!("strongroom-generated-{digest}")
    }

    fn place(&self) -> String {
        format!("{}/{}", self.namespace(), self.name())
    }
}

impl Entry {
    fn made(self) -> Result<Made, Failure> {
        let mut values = Values::new();
        for (key, value) in self.values {
            values.insert(key, decode(Decode::Base64, SecretBytes::from(value))?);
        }
        Ok(Made { values, state: self.state })
    }
}

/// The state of the values in an entry.
fn state_of(entry: &SecretBytes) -> Option<String> {
    #[derive(Deserialize)]
    struct Named {
        state: Option<String>,
    }
    serde_json::from_slice::<Named>(entry.expose()).ok()?.state
}

/// The key of a generator's values: where one is named twice, each has its own.
fn slot(wanted: &[Wanted<'_>], place: usize) -> String {
    let generator = wanted[place].generator;
    let is_same =
        |other: &&Wanted<'_>| other.generator.kind == generator.kind && other.generator.name == generator.name;
    let before = wanted[..place].iter().filter(is_same).count();
    format!("{}.{}.{before}", generator.kind, generator.name)
}

/// That something around a generator is not there is no answer of a store.
fn passing(class: Class) -> Class {
    if class == Class::NotFound { Class::Unavailable } else { class }
}

/// Names the generator, whose own field comes after it.
fn of_generator(want: &Wanted<'_>) -> impl Fn(Failure) -> Failure {
    let whose = format!("{} \"{}\"", want.generator.kind, want.generator.name);
    move |failure| {
        let field = failure.subject.field.as_ref().map(|field| format!(" {field}")).unwrap_or_default();
        let mut named = Failure::new(passing(failure.class), format!("{whose}{field}: {}", failure.words));
        if let Some(hint) = failure.hint {
            named = named.with_hint(hint);
        }
        named
    }
}

fn placed(failure: Failure, want: &Wanted<'_>) -> Failure {
    failure.in_field(want.field.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_holds_until_a_new_one_is_due_or_wished_for() {
        let check = |seconds: i64, generation, interval: Option<u64>, is_forever, expected| {
            let entry = Entry { made: 1_000, generation: 1, values: BTreeMap::new(), state: None };
            let now = Timestamp::from_second(1_000 + seconds).unwrap();
            let term = Term { now, generation, interval: interval.map(Duration::from_secs), is_forever };
            assert_eq!(term.holds(&entry), expected, "{term:?}");
        };
        check(0, 1, Some(60), false, true);
        check(59, 1, Some(60), false, true);
        check(60, 1, Some(60), false, false);
        check(10, 2, Some(60), false, false);
        check(1_000_000, 1, None, false, true);
        check(10, 2, None, false, false);
        check(1_000_000, 2, None, true, true);
        // The clock was set back: a second value would be one too many.
        check(-500, 1, Some(60), false, true);
    }

    #[test]
    fn a_generator_that_is_named_twice_has_two_places() {
        let generator = |name: &str| GeneratorRef { api_version: None, kind: "Password".into(), name: name.into() };
        let (a, b) = (generator("a"), generator("b"));
        let wanted: Vec<Wanted<'_>> = [&a, &b, &a].map(|generator| Wanted { generator, field: String::new() }).into();
        let slots: Vec<String> = (0..3).map(|place| slot(&wanted, place)).collect();
        assert_eq!(slots, ["Password.a.0", "Password.b.0", "Password.a.1"]);
    }
}
