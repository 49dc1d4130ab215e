//! What is known of GeneratorStates, and whose values they stand for: a part of the index.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use strongroom_api::generators::GeneratorState;
use strongroom_reconcile::Priority;

use crate::eso::generators::GENERATED_FOR;
use crate::index::{Key, Wakes, name_of};
use crate::names::Name;
use crate::pairs::Pairs;

/// What is known of GeneratorStates.
#[derive(Debug, Default)]
pub(crate) struct GeneratorStates {
    known: BTreeMap<Name, Arc<GeneratorState>>,
    by_user: Pairs<Key, Name>,
    /// States whose renewal failed, and when it is tried again.
    postponed: HashMap<Name, Timestamp>,
    /// Whose state was ended by somebody else: their values are worth nothing any more.
    bereft: HashSet<Key>,
}

impl GeneratorStates {
    /// Takes in a state as it is now; also what we ourselves just wrote, whose echo is no news.
    pub(crate) fn apply(&mut self, mut object: GeneratorState) -> Wakes {
        let Some(name) = name_of(&object.metadata) else { return Vec::new() };
        object.metadata.managed_fields = None;
        let before = self.known.get(&name);
        if before.is_some_and(|before| is_older(&object, before)) {
            return Vec::new();
        }
        let was_live = before.is_none_or(|before| is_live(before));
        // A status of ours must not have its reason tried again at once.
        let is_news = before.is_none_or(|before| is_another(before, &object));
        let (user, former) = (user_of(&object), before.and_then(|before| user_of(before)));
        if let Some(former) = former.filter(|former| Some(former) != user.as_ref()) {
            self.by_user.remove(&former, &name);
        }
        let mut wakes: Wakes =
            is_news.then(|| (Key::GeneratorState(name.clone()), Priority::Routine)).into_iter().collect();
        if let Some(user) = user {
            self.by_user.insert(&user, &name);
            // One that was given a deadline is used no more; what is deleted without one was still in use.
            if was_live && object.metadata.deletion_timestamp.is_some() && !has_deadline(&object) {
                wakes.extend(self.bereave(user));
            }
        }
        self.known.insert(name, Arc::new(object));
        wakes
    }

    /// Takes in that a state is gone.
    pub(crate) fn delete(&mut self, name: &Name) -> Wakes {
        self.postponed.remove(name);
        let Some(before) = self.known.remove(name) else { return Vec::new() };
        let mut wakes = vec![(Key::GeneratorState(name.clone()), Priority::Routine)];
        if let Some(user) = user_of(&before) {
            self.by_user.remove(&user, name);
            if is_live(&before) {
                wakes.extend(self.bereave(user));
            }
        }
        wakes
    }

    fn bereave(&mut self, user: Key) -> Option<(Key, Priority)> {
        self.bereft.insert(user.clone()).then_some((user, Priority::Urgent))
    }

    /// A state.
    pub(crate) fn get(&self, name: &Name) -> Option<Arc<GeneratorState>> {
        self.known.get(name).cloned()
    }

    /// The states of `user` that nobody has ended.
    pub(crate) fn live(&self, user: &Key) -> Vec<Arc<GeneratorState>> {
        let known = self.by_user.of(user).filter_map(|name| self.known.get(name));
        known.filter(|state| is_live(state)).cloned().collect()
    }

    /// The states of `user`, to be looked at: it is gone.
    pub(crate) fn left_by(&self, user: &Key) -> Wakes {
        self.by_user.of(user).map(|name| (Key::GeneratorState(name.clone()), Priority::Routine)).collect()
    }

    /// Whether `user` has values that end, or ended.
    pub(crate) fn concerns(&self, user: &Key) -> bool {
        self.by_user.has(user) || self.bereft.contains(user)
    }

    /// Names of all that are known.
    pub(crate) fn names(&self) -> impl Iterator<Item = &Name> {
        self.known.keys()
    }

    /// Not to renew `name` before `moment`.
    pub(crate) fn postpone(&mut self, name: Name, moment: Timestamp) {
        self.postponed.insert(name, moment);
    }

    /// Until when the renewal of `name` waits.
    pub(crate) fn postponed(&self, name: &Name) -> Option<Timestamp> {
        self.postponed.get(name).copied()
    }

    /// Whether a state of `user` was ended while its values were in use, and no other values were made since.
    pub(crate) fn is_bereft(&self, user: &Key) -> bool {
        self.bereft.contains(user)
    }

    /// `user` has values whose states are there, or is no more.
    pub(crate) fn settle(&mut self, user: &Key) {
        self.bereft.remove(user);
    }
}

/// Whose values it stands for.
pub(crate) fn user_of(state: &GeneratorState) -> Option<Key> {
    let namespace = state.metadata.namespace.as_deref()?;
    let (kind, name) = state.metadata.annotations.as_ref()?.get(GENERATED_FOR)?.split_once('/')?;
    user(kind, namespace, name)
}

/// The key of a user of generators.
pub(crate) fn user_key(user_object: &ObjectReference) -> Option<Key> {
    let text = |part: &'_ Option<String>| part.clone().unwrap_or_default();
    user(&text(&user_object.kind), &text(&user_object.namespace), &text(&user_object.name))
}

fn user(kind: &str, namespace: &str, name: &str) -> Option<Key> {
    let name = Name::new(namespace, name);
    match kind {
        "ExternalSecret" => Some(Key::ExternalSecret(name)),
        "PushSecret" => Some(Key::PushSecret(name)),
        _ => None,
    }
}

/// Whether nobody has ended it, or said when it ends.
fn is_live(state: &GeneratorState) -> bool {
    state.metadata.deletion_timestamp.is_none() && !has_deadline(state)
}

fn has_deadline(state: &GeneratorState) -> bool {
    state.spec.garbage_collection_deadline.is_some()
}

/// Whether more than the status differs.
fn is_another(before: &GeneratorState, after: &GeneratorState) -> bool {
    let (one, other) = (&before.metadata, &after.metadata);
    before.spec != after.spec
        || one.uid != other.uid
        || one.deletion_timestamp != other.deletion_timestamp
        || one.finalizers != other.finalizers
}

/// Whether `object` is an edition from before `known`: what a watch tells may be older than what we wrote since.
fn is_older(object: &GeneratorState, known: &GeneratorState) -> bool {
    let version = |state: &GeneratorState| state.metadata.resource_version.as_ref()?.parse::<u64>().ok();
    let versions = version(object).zip(version(known));
    object.metadata.uid == known.metadata.uid && versions.is_some_and(|(object, known)| object < known)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn state(name: &str, version: &str, more: &serde_json::Value) -> GeneratorState {
        let mut object = json!({
            "apiVersion": "generators.external-secrets.io/v1alpha1", "kind": "GeneratorState",
            "metadata": {
                "name": name, "namespace": "team", "uid": name, "resourceVersion": version,
                "annotations": {"strongroom.dev/generated-for": "ExternalSecret/app"},
            },
            "spec": {"resource": {}, "state": {}},
        });
        for part in ["metadata", "spec"] {
            object[part].as_object_mut().unwrap().extend(more[part].as_object().cloned().unwrap_or_default());
        }
        serde_json::from_value(object).unwrap()
    }

    fn app() -> Key {
        Key::ExternalSecret(Name::new("team", "app"))
    }

    #[test]
    fn what_a_user_lives_by_is_what_nobody_has_ended() {
        let mut states = GeneratorStates::default();
        let deadline = json!({"spec": {"garbageCollectionDeadline": "2026-01-01T00:00:00Z"}});
        states.apply(state("old", "1", &deadline));
        states.apply(state("new", "2", &json!({})));
        // What the watch tells late.
        states.apply(state("old", "0", &json!({})));
        let live: Vec<_> = states.live(&app()).iter().filter_map(|state| state.metadata.name.clone()).collect();
        assert_eq!(live, ["new"]);
        states.delete(&Name::new("team", "old"));
        assert!(!states.is_bereft(&app()), "it was used no more");
    }

    #[test]
    fn a_state_that_is_given_to_another_user_is_that_ones_alone() {
        let mut states = GeneratorStates::default();
        states.apply(state("a", "1", &json!({})));
        let other = json!({"metadata": {"annotations": {"strongroom.dev/generated-for": "PushSecret/other"}}});
        states.apply(state("a", "2", &other));
        assert!(!states.concerns(&app()) && states.live(&app()).is_empty());
        let other = Key::PushSecret(Name::new("team", "other"));
        assert_eq!(states.live(&other).len(), 1);
    }

    #[test]
    fn a_status_wakes_nobody() {
        let mut states = GeneratorStates::default();
        assert_eq!(states.apply(state("a", "1", &json!({}))).len(), 1);
        let mut told = state("a", "2", &json!({}));
        told.status = Some(strongroom_api::generators::GeneratorStateStatus::default());
        assert_eq!(states.apply(told), []);
        let deadline = json!({"spec": {"garbageCollectionDeadline": "2026-01-01T00:00:00Z"}});
        assert_eq!(states.apply(state("a", "3", &deadline)).len(), 1);
    }

    #[test]
    fn who_loses_a_state_in_use_is_woken_at_once_and_once() {
        let mut states = GeneratorStates::default();
        states.apply(state("a", "1", &json!({})));
        let ending = json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}});
        assert!(states.apply(state("a", "2", &ending)).contains(&(app(), Priority::Urgent)));
        assert!(states.is_bereft(&app()));
        assert!(!states.delete(&Name::new("team", "a")).iter().any(|(key, _)| *key == app()));
        states.settle(&app());
        assert!(!states.is_bereft(&app()));
    }
}
