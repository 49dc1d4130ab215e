//! Values that end: made with a state, renewed in time, replaced where they cannot be renewed.
//!
//! Whatever is asked for hangs from a login of its own, which is noted in a GeneratorState before anything is asked. So
//! there is no moment in which something lives at the server that nobody could end: first the login is noted, then what
//! was leased, then the values are kept and name their state, then they are delivered. Only then what no kept value names
//! is given a deadline: what was delivered before them, and what an accident left.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::json;
use strongroom_api::generators::{GROUP, GeneratorState, OWNER_KEY, VERSION, VaultDynamicSecretSpec};
use strongroom_crypto::sha3_224;
use strongroom_failure::{Class, Failure};
use strongroom_generate::{LeaseDue, SHORTEST_LEASE};
use strongroom_sync::Values;
use strongroom_vault::{Lease, Login, Vault};

use super::kept::{GENERATED_FOR, Kept, Wanted};
use super::noted::Noted;
use super::vault;
use crate::eso::timing::until;
use crate::generator_states::user_key;
use crate::index::{Key, name_of};
use crate::names::Name;
use crate::operator::Operator;

/// After how long values are looked at again that are to be replaced, or whose states could not be written.
const SOON: Duration = Duration::from_secs(10);

/// What a generator made.
#[derive(Clone)]
pub(crate) struct Made {
    pub(super) values: Values,
    /// The GeneratorState that stands for them, where they end.
    pub(super) state: Option<String>,
}

impl From<Values> for Made {
    fn from(values: Values) -> Self {
        Self { values, state: None }
    }
}

/// How the values stand that end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tended {
    /// Whether others are to be made in place of some.
    pub(crate) needs_new: bool,
    /// When they are to be looked at again.
    pub(crate) next: Option<Timestamp>,
}

/// For whom something that ends is made.
pub(crate) struct Maker<'a> {
    pub(super) kept: &'a Kept<'a>,
    pub(super) want: &'a Wanted<'a>,
    /// Where its values are kept.
    pub(super) slot: String,
    /// The state of the values that are kept there now.
    pub(super) kept_state: Option<String>,
}

impl Maker<'_> {
    /// Has the server make values.
    pub(super) async fn make(&self, spec: &VaultDynamicSecretSpec) -> Result<Made, Failure> {
        let operator = self.kept.operator;
        if self.kept.is_rehearsal {
            let words = "its values are made when they are wanted in earnest: a rehearsal leases nothing";
            return Err(Failure::new(Class::Unavailable, words));
        }
        if !operator.are_states_watched.load(Ordering::Relaxed) {
            let words = "what it makes could not be ended: the kind GeneratorState is not installed";
            let hint = "install its definition (strongroom crds) and restart the operator";
            return Err(Failure::new(Class::Unavailable, words).with_hint(hint));
        }
        self.let_go_between().await;
        let action = vault::action(spec)?;
        let server = vault::open(operator, spec, self.kept.namespace()).await?;
        let login = server.log_in().await?;
        let before = Noted::before(&login, self.kept.term.now);
        let state = match operator.make_state(self.metadata(), self.resource(spec), &before).await {
            Ok(state) => state,
            Err(failure) => {
                server.log_out(login).await;
                return Err(failure);
            }
        };
        let now = Timestamp::now();
        match server.ask(&login, &spec.path, &action).await {
            Ok(answered) => {
                let lease = answered.as_ref().and_then(|answered| answered.lease.clone());
                let values = vault::values(spec, answered.as_ref());
                self.settle(&state, before, values, lease.map(|lease| (lease, now)), (server, login)).await
            }
            Err(failure) => {
                // Also where it was made and the answer lost: it goes with its login.
                self.forget(&state, server, login).await;
                Err(failure)
            }
        }
    }

    /// Notes what was leased with `values`, or ends what stands for nothing that is used.
    async fn settle(
        &self,
        state: &Name,
        before: Noted,
        values: Result<Values, Failure>,
        lease: Option<(Lease, Timestamp)>,
        (server, login): (Vault, Login),
    ) -> Result<Made, Failure> {
        let operator = self.kept.operator;
        let Some((lease, now)) = lease else {
            self.forget(state, server, login).await;
            return values.map(Made::from);
        };
        let noted = before.with(&lease, now);
        operator.note_state(state, &noted).await?;
        let values = values.and_then(|values| long_enough(noted.lease().duration).map(|()| values));
        match values {
            Ok(values) => Ok(Made { values, state: Some(state.name.to_string()) }),
            Err(failure) => {
                end_unused(operator, state).await;
                Err(failure)
            }
        }
    }

    /// Ends a login from which nothing hangs that is used, and the state that stands for it.
    async fn forget(&self, state: &Name, server: Vault, login: Login) {
        let operator = self.kept.operator;
        let (is_own, is_ended) = (login.is_own, server.log_out(login).await);
        if !is_own || is_ended {
            match operator.drop_state(state).await {
                Ok(()) => return,
                Err(failure) => tracing::debug!(%state, %failure, "a GeneratorState is ended later"),
            }
        }
        end_unused(operator, state).await;
    }

    /// Gives a deadline to what was made since the last delivery and is kept no more. While deliveries keep failing, new
    /// values are made as often as the old ones end or the wish changes; but nobody uses any of them except the first,
    /// which may be what was delivered last, and the last, which is kept.
    async fn let_go_between(&self) {
        let operator = self.kept.operator;
        let Some(user) = user_key(self.kept.user) else { return };
        let key = self.owner_key();
        let mut live = operator.live_states(&user);
        live.retain(|state| state.metadata.labels.as_ref().and_then(|labels| labels.get(OWNER_KEY)) == Some(&key));
        for name in between(&live, self.kept_state.as_deref()) {
            match operator.release_state(&name).await {
                Ok(()) => tracing::debug!(state = %name, "what was never delivered is used no more"),
                Err(failure) => tracing::warn!(state = %name, %failure, "a GeneratorState gets no deadline yet"),
            }
        }
    }

    /// What all states of these values are labelled with.
    fn owner_key(&self) -> String {
        let kept = self.kept;
        let kind = kept.user.kind.as_deref().unwrap_or_default();
        let name = kept.user.name.as_deref().unwrap_or_default();
        let whose = format!("{kind}-{}-{name}-{}", kept.namespace(), self.slot);
        sha3_224(whose.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn metadata(&self) -> ObjectMeta {
        let kept = self.kept;
        let kind = kept.user.kind.as_deref().unwrap_or_default();
        let name = kept.user.name.as_deref().unwrap_or_default();
        ObjectMeta {
            namespace: Some(kept.namespace().to_owned()),
            generate_name: Some(format!("gen-{}-{name}-", kind.to_lowercase())),
            labels: Some(BTreeMap::from([(OWNER_KEY.to_owned(), self.owner_key())])),
            annotations: Some(BTreeMap::from([(GENERATED_FOR.to_owned(), kept.whose())])),
            owner_references: kept.ends_with_user.then(|| vec![kept.owner()]),
            ..ObjectMeta::default()
        }
    }

    /// The generator as it is now: by it what it made is renewed and ended.
    fn resource(&self, spec: &VaultDynamicSecretSpec) -> serde_json::Value {
        json!({
            "apiVersion": format!("{GROUP}/{VERSION}"), "kind": "VaultDynamicSecret",
            "metadata": {"name": self.want.generator.name, "namespace": self.kept.namespace()},
            "spec": spec,
        })
    }
}

/// Of the states that stand for values of one place, those that are neither the oldest nor `kept`. Times are in seconds:
/// which of several is the oldest is not known where they were made in the same one.
fn between(live: &[Arc<GeneratorState>], kept: Option<&str>) -> Vec<Name> {
    let made = |state: &GeneratorState| state.metadata.creation_timestamp.as_ref().map(|time| time.0);
    let oldest = live.iter().map(|state| made(state)).min();
    let younger = live.iter().filter(|state| Some(made(state)) > oldest);
    let names = younger.filter_map(|state| name_of(&state.metadata));
    names.filter(|name| Some(&*name.name) != kept).collect()
}

/// What ends sooner would be made anew again and again, and hardly be delivered before it ends.
fn long_enough(seconds: u64) -> Result<(), Failure> {
    if seconds == 0 || seconds >= SHORTEST_LEASE {
        return Ok(());
    }
    let words = format!("what it makes lasts for {seconds} s, and less than {SHORTEST_LEASE} s cannot be kept fresh");
    let failure = Failure::new(Class::Invalid, words).in_field("spec.path");
    Err(failure.with_hint("have the server's role give longer leases (ttl, default_lease_ttl) and logins (token_ttl)"))
}

/// Has a state ended at once that stands for what nobody has seen.
async fn end_unused(operator: &Operator, state: &Name) {
    let ended = match operator.release_state(state).await {
        Ok(()) => operator.delete_state(state).await,
        Err(failure) => Err(failure),
    };
    if let Err(failure) = ended {
        tracing::debug!(%state, %failure, "a GeneratorState is ended at the next look");
    }
}

impl Tended {
    fn by(&mut self, moment: Option<Timestamp>) {
        self.next = self.next.into_iter().chain(moment).min();
    }

    /// How long until something is to be renewed or replaced, whatever else the user waits for.
    pub(crate) fn next_renewal(&self) -> Option<Duration> {
        let now = Timestamp::now();
        self.next.map(|moment| until(now, moment))
    }

    /// How long until the next look, where there was `own` reason to look.
    pub(crate) fn next_look(&self, own: Option<Duration>) -> Option<Duration> {
        let next = self.next_renewal();
        // Something is to be replaced by now, or could not be let go.
        let soon = self.needs_new.then_some(SOON);
        own.into_iter().chain(next).chain(soon).min()
    }
}

impl Kept<'_> {
    /// Renews what is due of the values that end, and says how they all stand.
    pub(crate) async fn tend(&self) -> Tended {
        let Some(user) = user_key(self.user) else { return Tended::default() };
        // Also what is kept no more: until others were delivered in its place, it is what their users live by.
        for (name, state, noted) in self.to_renew(&user) {
            Box::pin(self.renew(&name, &state, noted)).await;
        }
        self.standing()
    }

    fn to_renew(&self, user: &Key) -> Vec<(Name, Arc<GeneratorState>, Noted)> {
        let live = self.operator.live_states(user);
        let noted = live.into_iter().filter_map(|state| Some((name_of(&state.metadata)?, Noted::of(&state)?, state)));
        let due = noted.filter(|(name, noted, _)| self.due(name, noted) == LeaseDue::Renew);
        due.map(|(name, noted, state)| (name, state, noted)).collect()
    }

    /// How the values that end stand now.
    pub(crate) fn standing(&self) -> Tended {
        let mut tended = Tended::default();
        let Some(user) = user_key(self.user) else { return tended };
        tended.needs_new = self.operator.index().generator_states.is_bereft(&user) && !self.term.is_forever;
        for state in self.operator.live_states(&user) {
            let Some((name, noted)) = name_of(&state.metadata).zip(Noted::of(&state)) else { continue };
            match self.due(&name, &noted) {
                LeaseDue::Never | LeaseDue::Renew => {}
                LeaseDue::At(second) => tended.by(Timestamp::from_second(second).ok()),
                LeaseDue::Replace => tended.needs_new = true,
            }
        }
        tended
    }

    /// What is to be done about a lease; a renewal that failed waits its time.
    fn due(&self, name: &Name, noted: &Noted) -> LeaseDue {
        let now = Timestamp::now();
        let due = noted.lease().due(now.as_second(), self.term.is_forever);
        let postponed = self.operator.index().generator_states.postponed(name).filter(|moment| *moment > now);
        match (due, postponed) {
            (LeaseDue::Renew, Some(moment)) => LeaseDue::At(moment.as_second()),
            (due, _) => due,
        }
    }

    /// Whether the values hold that the state `name` stands for.
    pub(super) fn is_held(&self, name: &str) -> bool {
        let name = Name::new(self.namespace(), name);
        let state = self.operator.index().generator_states.get(&name);
        let is_live = |state: &GeneratorState| {
            state.metadata.deletion_timestamp.is_none() && state.spec.garbage_collection_deadline.is_none()
        };
        let noted = state.filter(|state| is_live(state)).and_then(|state| Noted::of(&state));
        noted.is_some_and(|noted| self.due(&name, &noted) != LeaseDue::Replace)
    }

    /// The values of `wanted` were delivered, and no others: what else there is gets a deadline.
    pub(crate) async fn settle(&self, wanted: &[Wanted<'_>]) {
        let Some(user) = user_key(self.user) else { return };
        self.operator.index().generator_states.settle(&user);
        if self.operator.live_states(&user).is_empty() {
            return;
        }
        let used = if wanted.is_empty() { Ok(BTreeSet::new()) } else { self.used(wanted).await };
        match used {
            Ok(used) => self.operator.release_states(&user, &used).await,
            Err(failure) => {
                tracing::warn!(of = self.whose(), %failure, "what is used no more is found at the next look");
            }
        }
    }

    async fn renew(&self, name: &Name, state: &GeneratorState, noted: Noted) {
        let now = Timestamp::now();
        let renewed = self.renewed(name, state, noted.clone(), now).await;
        let written = match renewed {
            Ok(renewed) => self.operator.note_state(name, &renewed).await,
            // Others come from the server for as long as it lives; what it refuses is not asked for twice.
            Err(failure) if matches!(failure.class, Class::Invalid | Class::Denied | Class::NotFound) => {
                tracing::warn!(state = %name, %failure, hint = failure.hint, "a lease cannot be renewed");
                self.operator.note_state(name, &noted.clone().fixed()).await
            }
            Err(failure) => Err(failure),
        };
        if let Err(failure) = written {
            tracing::warn!(state = %name, %failure, "a lease could not be renewed; trying again");
            if let Ok(moment) = Timestamp::from_second(noted.lease().retry(now.as_second())) {
                self.operator.index().generator_states.postpone(name.clone(), moment);
            }
        }
    }

    async fn renewed(
        &self,
        name: &Name,
        state: &GeneratorState,
        noted: Noted,
        now: Timestamp,
    ) -> Result<Noted, Failure> {
        let spec = state.spec.resource.get("spec").cloned().unwrap_or_default();
        let unreadable = |_| Failure::new(Class::Invalid, "its generator cannot be read");
        let spec: VaultDynamicSecretSpec = serde_json::from_value(spec).map_err(unreadable)?;
        let no_handle = || Failure::new(Class::Invalid, "there is nothing to renew it by");
        let handle = noted.handle().ok_or_else(no_handle)?;
        let server = vault::open(self.operator, &spec, &name.namespace).await.map_err(passing)?;
        let login = server.log_in().await.map_err(passing)?;
        let mut next = noted;
        if let Some((of_login, increment)) = next.login_to_renew() {
            match server.renew(&login, &of_login, increment).await {
                Ok((duration, _)) => next = next.with_login_until(duration, now),
                // It holds the lease as long as it lasts.
                Err(failure) => tracing::debug!(state = %name, %failure, "the login of a lease is not renewed"),
            }
        } else if next.hangs_from(&login) {
            next = next.with_login_until(login.remaining.unwrap_or_default(), now);
        }
        let renewed = server.renew(&login, &handle, next.increment()).await;
        server.log_out(login).await;
        let (duration, renewable) = renewed?;
        Ok(next.renewed(duration, renewable, now))
    }
}

/// What goes wrong before the lease is asked about says nothing about the lease.
fn passing(failure: Failure) -> Failure {
    Failure { class: Class::Unavailable, ..failure }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(name: &str, second: i64) -> Arc<GeneratorState> {
        let mut state = GeneratorState::default();
        state.metadata.name = Some(name.to_owned());
        state.metadata.namespace = Some("team".to_owned());
        let made = Timestamp::from_second(second).unwrap();
        state.metadata.creation_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(made));
        Arc::new(state)
    }

    #[test]
    fn between_deliveries_the_first_and_the_kept_state_stay() {
        let check = |states: &[(&str, i64)], kept: Option<&str>, expected: &[&str]| {
            let live: Vec<_> = states.iter().map(|(name, second)| state(name, *second)).collect();
            let mut names: Vec<_> = between(&live, kept).iter().map(|name| name.name.to_string()).collect();
            names.sort();
            assert_eq!(names, expected, "{states:?}, kept: {kept:?}");
        };
        check(&[], None, &[]);
        check(&[("delivered", 1)], Some("delivered"), &[]);
        check(&[("kept", 2), ("delivered", 1)], Some("kept"), &[]);
        check(&[("kept", 3), ("lost", 2), ("delivered", 1)], Some("kept"), &["lost"]);
        check(&[("kept", 3), ("b", 2), ("a", 2), ("delivered", 1)], Some("kept"), &["a", "b"]);
        check(&[("a", 1), ("b", 2)], None, &["b"]);
        check(&[("a", 1), ("delivered", 1), ("b", 2), ("kept", 2)], Some("kept"), &["b"]);
    }

    #[test]
    fn a_lease_that_cannot_be_kept_fresh_is_refused_with_its_field() {
        let check = |seconds, expected: bool| {
            let refused = long_enough(seconds);
            assert_eq!(refused.is_ok(), expected, "{seconds}");
            assert!(refused.err().is_none_or(|failure| failure.subject.field.as_deref() == Some("spec.path")));
        };
        check(0, true);
        check(1, false);
        check(9, false);
        check(10, true);
    }
}
