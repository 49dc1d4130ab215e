//! GeneratorStates as objects: written before anything is made at somebody else's, given a deadline when it is used no
//! more, and ended by undoing what they stand for.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use serde_json::{Value, json};
use strongroom_api::external_secrets::Condition;
use strongroom_api::external_secrets::vocabulary::condition;
use strongroom_api::generators::{FINALIZER, GeneratorState, GeneratorStateSpec, VaultDynamicSecretSpec};
use strongroom_failure::{Class, Failure};
use strongroom_kube::failure::failure;
use strongroom_kube::{WriteFailure, merge_patch};
use strongroom_reconcile::Outcome;
use strongroom_vault::{Handle, Vault};

use super::noted::Noted;
use super::vault;
use crate::eso::timing::{retry_after, until};
use crate::generator_states::user_of;
use crate::index::{Key, name_of};
use crate::names::Name;
use crate::operator::{FIELD_MANAGER, Operator, reference};

/// The kind whose states are ours.
const OURS: &str = "VaultDynamicSecret";

/// How long after its end a lease is taken to be over at the server too, whose clock may be another.
const SLACK: Duration = Duration::from_secs(60);

/// How long the end of a lease is tried at the most: a namespace must be able to go some day, however long its leases are.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);

/// The reason of a condition that tells why a state cannot be ended.
const ERROR: &str = "Error";

impl Operator {
    /// Makes a state; nothing is made at anybody's before it is there.
    pub(super) async fn make_state(
        &self,
        metadata: ObjectMeta,
        resource: Value,
        noted: &Noted,
    ) -> Result<Name, Failure> {
        let namespace = metadata.namespace.clone().unwrap_or_default();
        let spec = GeneratorStateSpec { garbage_collection_deadline: None, resource, state: written(noted)? };
        let finalizers = Some(vec![FINALIZER.to_owned()]);
        let wanted = GeneratorState { metadata: ObjectMeta { finalizers, ..metadata }, spec, status: None };
        let parameters = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), dry_run: false };
        let made = self.states(&namespace).create(&parameters, &wanted).await;
        let made = made.map_err(|error| failure(&error, &format!("create a GeneratorState in {namespace}"), &[]))?;
        let name = name_of(&made.metadata);
        self.learn(|index| index.generator_states.apply(made));
        name.ok_or_else(|| Failure::new(Class::Unavailable, "the API server gave a GeneratorState without a name"))
    }

    /// Writes down what is known of a lease by now.
    pub(super) async fn note_state(&self, name: &Name, noted: &Noted) -> Result<(), Failure> {
        let state = written(noted)?;
        let patch = with_nulls(&state);
        self.patch_state(name, json!({"spec": {"state": patch}}), |object| object.spec.state = state).await
    }

    /// Says that what a state stands for is used no more: it ends when the grace period is over.
    pub(super) async fn release_state(&self, name: &Name) -> Result<(), Failure> {
        let deadline = Timestamp::now() + self.settings.generator_gc_grace_period;
        // Without parts of a second, as Kubernetes writes times.
        let deadline = Time(Timestamp::from_second(deadline.as_second()).unwrap_or(deadline));
        let patch = json!({"spec": {"garbageCollectionDeadline": deadline}});
        self.patch_state(name, patch, |object| object.spec.garbage_collection_deadline = Some(deadline)).await
    }

    /// The states of `user` that nobody has ended, of generators that are ours.
    pub(super) fn live_states(&self, user: &Key) -> Vec<Arc<GeneratorState>> {
        let mut live = self.index().generator_states.live(user);
        live.retain(|state| is_ours(self, state));
        live
    }

    /// Gives a deadline to what `user` has and none of `used` is.
    pub(super) async fn release_states(&self, user: &Key, used: &BTreeSet<String>) {
        for state in self.live_states(user) {
            let Some(name) = name_of(&state.metadata).filter(|name| !used.contains(&*name.name)) else { continue };
            match self.release_state(&name).await {
                Ok(()) => tracing::debug!(state = %name, "what a generator made is used no more"),
                Err(failure) => tracing::warn!(state = %name, %failure, "a GeneratorState gets no deadline yet"),
            }
        }
    }

    /// Deletes a state, whose finalizer then has it undone.
    pub(super) async fn delete_state(&self, name: &Name) -> Result<(), Failure> {
        match self.states(&name.namespace).delete(&name.name, &DeleteParams::default()).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            Err(error) => Err(failure(&error, &format!("delete GeneratorState {name}"), &[])),
        }
    }

    /// Deletes a state that stands for nothing any more.
    pub(super) async fn drop_state(&self, name: &Name) -> Result<(), Failure> {
        // With a deadline, its end is not taken for the loss of something in use.
        let deadline = Time(Timestamp::from_second(Timestamp::now().as_second()).unwrap_or_default());
        let patch = json!({"metadata": {"finalizers": []}, "spec": {"garbageCollectionDeadline": deadline}});
        self.patch_state(name, patch, |object| object.spec.garbage_collection_deadline = Some(deadline)).await?;
        self.delete_state(name).await
    }

    async fn take_finalizer_off(&self, name: &Name) -> Result<(), Failure> {
        let Some(object) = self.index().generator_states.get(name) else { return Ok(()) };
        let others: Vec<String> = finalizers(&object).filter(|finalizer| *finalizer != FINALIZER).cloned().collect();
        let version = object.metadata.resource_version.clone();
        let patch = json!({"metadata": {"finalizers": others, "resourceVersion": version}});
        // The answer has the metadata as it is then.
        self.patch_state(name, patch, |_| {}).await
    }

    /// Patches a state; who decides by the index decides by the new one from now on.
    async fn patch_state(
        &self,
        name: &Name,
        patch: Value,
        change: impl FnOnce(&mut GeneratorState),
    ) -> Result<(), Failure> {
        match merge_patch(&self.states(&name.namespace), &name.name, &patch, FIELD_MANAGER).await {
            Ok(metadata) => {
                let known = self.index().generator_states.get(name);
                if let Some(mut object) = known.map(Arc::unwrap_or_clone) {
                    change(&mut object);
                    object.metadata = metadata;
                    self.learn(|index| index.generator_states.apply(object));
                }
                Ok(())
            }
            Err(failure) => Err(failure.into_failure(&format!("write GeneratorState {name}"))),
        }
    }

    fn states(&self, namespace: &str) -> Api<GeneratorState> {
        Api::namespaced(self.connection.client(), namespace)
    }
}

fn written(noted: &Noted) -> Result<Value, Failure> {
    serde_json::to_value(noted).map_err(|_| Failure::new(Class::Invalid, "the state of a generator cannot be written"))
}

/// A merge patch that makes `state` of whatever there was: null takes away what is no more.
fn with_nulls(state: &Value) -> Value {
    let mut patch = state.clone();
    for (part, name) in [("", "leaseId"), ("", "accessor"), ("/login", "accessor"), ("/login", "until")] {
        if let Some(fields) = patch.pointer_mut(part).and_then(Value::as_object_mut) {
            fields.entry(name).or_insert(Value::Null);
        }
    }
    patch
}

fn finalizers(object: &GeneratorState) -> impl Iterator<Item = &String> {
    object.metadata.finalizers.iter().flatten()
}

/// The generator that a state is of, where it is one whose states we end.
fn generator(object: &GeneratorState) -> Option<VaultDynamicSecretSpec> {
    let resource = &object.spec.resource;
    let is_ours = resource.get("kind").and_then(Value::as_str) == Some(OURS);
    serde_json::from_value(resource.get("spec").filter(|_| is_ours)?.clone()).ok()
}

fn is_ours(operator: &Operator, object: &GeneratorState) -> bool {
    generator(object).is_some_and(|spec| operator.is_ours(spec.controller.as_deref()))
}

/// Looks at the GeneratorState `name`: waits for its deadline, deletes it then, and undoes what it stands for.
pub(crate) async fn reconcile(operator: Arc<Operator>, name: Name) -> Outcome {
    let Some(object) = operator.index().generator_states.get(&name) else {
        operator.forget_told(&Key::GeneratorState(name));
        return Outcome::Done(None);
    };
    // States of other generators are ended by whoever made them.
    if operator.foreign().is_some() || !is_ours(&operator, &object) {
        return Outcome::Done(None);
    }
    let done = match object.metadata.deletion_timestamp.is_some() {
        true => end(&operator, &name, &object).await,
        false => watch_over(&operator, &name, &object).await,
    };
    let about = reference("generators.external-secrets.io/v1alpha1", "GeneratorState", &object.metadata);
    match done {
        Ok(next) => {
            operator.tell(&Key::GeneratorState(name), &about, ERROR, None);
            Outcome::Done(next)
        }
        Err(failure) => {
            let words = format!("could not cleanup generator state: {failure}");
            operator.tell(&Key::GeneratorState(name.clone()), &about, ERROR, Some(&words));
            tell(&operator, &name, &object, words).await;
            Outcome::failed(retry_after(&[failure]))
        }
    }
}

/// How long until it is looked at again: at its deadline, or where nobody is left whose values it stands for, at its end.
async fn watch_over(operator: &Operator, name: &Name, object: &GeneratorState) -> Result<Option<Duration>, Failure> {
    let now = Timestamp::now();
    let over = match &object.spec.garbage_collection_deadline {
        Some(deadline) => Some(deadline.0),
        None if is_used(operator, object) => None,
        None => Noted::of(object).and_then(|noted| over_at(&noted)),
    };
    match over {
        Some(moment) if moment <= now => operator.delete_state(name).await.map(|()| None),
        Some(moment) => Ok(Some(until(now, moment))),
        None => Ok(None),
    }
}

/// Whether the object is there whose values it stands for.
fn is_used(operator: &Operator, object: &GeneratorState) -> bool {
    let index = operator.index();
    match user_of(object) {
        Some(Key::ExternalSecret(name)) => index.external_secret(&name).is_some(),
        Some(Key::PushSecret(name)) => index.pushes.get(&name).is_some(),
        _ => false,
    }
}

/// When there is nothing left to revoke.
fn over_at(noted: &Noted) -> Option<Timestamp> {
    Timestamp::from_second(noted.lease().end()?).ok()?.checked_add(SLACK).ok()
}

/// Undoes what it stands for and lets go of it.
async fn end(operator: &Operator, name: &Name, object: &GeneratorState) -> Result<Option<Duration>, Failure> {
    if !finalizers(object).any(|finalizer| finalizer == FINALIZER) {
        return Ok(None);
    }
    let now = Timestamp::now();
    let noted = Noted::of(object);
    let over = noted.as_ref().and_then(over_at);
    let is_over = gives_up_at(object, over).is_some_and(|moment| moment <= now);
    if is_over && over.is_none_or(|over| over > now) {
        tracing::warn!(state = %name, "a lease was not revoked for a day; it lasts to its own end at the server");
    }
    if let Some(noted) = noted.filter(|_| !is_over)
        && let Err(failure) = revoke(operator, name, object, &noted).await
    {
        return Err(failure);
    }
    operator.take_finalizer_off(name).await.or_else(gone)?;
    tracing::info!(state = %name, revoked = !is_over, "what a generator made has ended");
    Ok(None)
}

/// When revoking is not tried any more: there is nothing left to revoke, or patience is over.
fn gives_up_at(object: &GeneratorState, over: Option<Timestamp>) -> Option<Timestamp> {
    let deleted = object.metadata.deletion_timestamp.as_ref();
    let patient_until = deleted.and_then(|deleted| deleted.0.checked_add(PATIENCE).ok());
    over.into_iter().chain(patient_until).min()
}

fn gone(failure: Failure) -> Result<(), Failure> {
    if failure.class == Class::NotFound { Ok(()) } else { Err(failure) }
}

async fn revoke(operator: &Operator, name: &Name, object: &GeneratorState, noted: &Noted) -> Result<(), Failure> {
    let (handle, own_login) = (noted.handle(), noted.own_login());
    let Some(spec) = generator(object).filter(|_| handle.is_some() || own_login.is_some()) else { return Ok(()) };
    let vault = vault::open(operator, &spec, &name.namespace).await?;
    let login = vault.log_in().await?;
    let revoked = revoke_all(&vault, &login, handle, own_login).await;
    vault.log_out(login).await;
    revoked
}

async fn revoke_all(
    vault: &Vault,
    login: &strongroom_vault::Login,
    handle: Option<Handle>,
    own_login: Option<Handle>,
) -> Result<(), Failure> {
    let is_leased = handle.is_some();
    if let Some(handle) = handle {
        vault.revoke(login, &handle).await?;
    }
    let Some(own_login) = own_login else { return Ok(()) };
    match vault.revoke(login, &own_login).await {
        // Nothing hangs from it any more, and it ends by itself.
        Err(failure) if is_leased => {
            tracing::debug!(%failure, "the token of a lease that was revoked stays to its end");
            Ok(())
        }
        result => result,
    }
}

/// Says in the status why it does not end. It is written with the rest: the kind has no part for it alone.
async fn tell(operator: &Operator, name: &Name, object: &GeneratorState, words: String) {
    let conditions = object.status.iter().flat_map(|status| &status.conditions);
    if conditions.into_iter().any(|known| known.message.as_ref() == Some(&words)) {
        return;
    }
    let ready = Condition {
        kind: condition::READY.to_owned(),
        status: "False".to_owned(),
        reason: Some(ERROR.to_owned()),
        message: Some(words),
        last_transition_time: Some(Time(Timestamp::now())),
    };
    let patch = json!({"status": {"conditions": [ready]}});
    match merge_patch(&operator.states(&name.namespace), &name.name, &patch, FIELD_MANAGER).await {
        Ok(_) | Err(WriteFailure::NotFound) => {}
        Err(failure) => tracing::debug!(state = %name, %failure, "the status of a GeneratorState is not written"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_state_notes_no_more_is_taken_away() {
        let state = json!({"leaseId": "a", "login": {"accessor": "b", "isOwn": true}});
        let expected =
            json!({"leaseId": "a", "accessor": null, "login": {"accessor": "b", "isOwn": true, "until": null}});
        assert_eq!(with_nulls(&state), expected);
    }

    #[test]
    fn a_state_goes_when_its_lease_is_over_and_after_a_day_at_the_latest() {
        let moment = |second| Timestamp::from_second(second).unwrap();
        let check = |deleted: Option<i64>, over: Option<i64>, expected: Option<i64>| {
            let mut state = GeneratorState::default();
            state.metadata.deletion_timestamp = deleted.map(|second| Time(moment(second)));
            assert_eq!(gives_up_at(&state, over.map(moment)), expected.map(moment), "{deleted:?} {over:?}");
        };
        check(Some(1000), Some(2000), Some(2000));
        check(Some(1000), Some(30 * 86_400), Some(1000 + 86_400));
        check(Some(1000), None, Some(1000 + 86_400));
        check(None, Some(2000), Some(2000));
        check(None, None, None);
    }

    #[test]
    fn states_of_generators_that_we_do_not_serve_are_not_ours() {
        let check = |resource: Value, expected: bool| {
            let mut state = GeneratorState::default();
            state.spec.resource = resource;
            assert_eq!(generator(&state).is_some(), expected);
        };
        let spec = json!({"path": "database/creds/app", "provider": {"server": "https://vault.example:8200"}});
        check(json!({"kind": "VaultDynamicSecret", "spec": spec}), true);
        check(json!({"kind": "Grafana", "spec": spec}), false);
        check(json!({"kind": "VaultDynamicSecret"}), false);
        check(Value::Null, false);
    }
}
