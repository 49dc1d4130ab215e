//! Carrying out what was planned for a target: few writes, each against the version that was seen.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use strongroom_api::external_secrets::vocabulary::{event, message};
use strongroom_failure::{Class, Failure};
use strongroom_kube::{EventKind, Preconditions, SecretObject, Secrets, WriteFailure};
use strongroom_reconcile::Priority;
use strongroom_sync::current::{Current, Memory};
use strongroom_sync::hash::{created_by, field_manager};
use strongroom_sync::target::{Deletion, Outcome, Plan, Wanted, orphaned, plan};

use super::Trouble;
use crate::index::Key;
use crate::names::Name;
use crate::operator::Operator;

/// How often one target is read and planned again when others write it at the same time. Each round needs a rival who
/// wrote in between; after these the object waits as after any failure.
const ROUNDS: usize = 5;

/// The target of one ExternalSecret.
pub(super) struct Writer<'a> {
    pub(super) operator: &'a Operator,
    /// The ExternalSecret.
    pub(super) name: &'a Name,
    /// For events.
    pub(super) about: &'a k8s_openapi::api::core::v1::ObjectReference,
    /// The Secret.
    pub(super) target: Name,
}

/// What came of it.
pub(super) struct Written {
    pub(super) outcome: Outcome,
    /// How the target was left.
    pub(super) memory: Option<Memory>,
    /// Whether anything was written.
    pub(super) changed: bool,
}

impl Writer<'_> {
    /// Makes the target as it is wanted.
    pub(super) async fn write(&self, wanted: &Wanted, memory: Option<&Memory>) -> Result<Written, Trouble> {
        let mut current = self.known().await?;
        let mut changed = false;
        for _ in 0..ROUNDS {
            match plan(current.as_ref(), wanted, memory) {
                Plan::Nothing(outcome) => {
                    self.remove_orphans(wanted).await?;
                    return Ok(Written { outcome, memory: remembered(current.as_ref(), wanted), changed });
                }
                Plan::Read(_) => current = self.read().await?,
                Plan::Create(secret) => match self.secrets().create(&object(&secret)).await {
                    Ok(metadata) => {
                        self.record(event::CREATED, "secret created");
                        (current, changed) = (Some(self.learn(metadata)), true);
                        self.remove_orphans(wanted).await?;
                        let memory = remembered(current.as_ref(), wanted);
                        return Ok(Written { outcome: Outcome::Synced, memory, changed });
                    }
                    Err(WriteFailure::AlreadyExists) => current = self.read().await?,
                    Err(failure) => return Err(not_written(failure, &self.target)),
                },
                Plan::Replace { secret, .. } => match self.secrets().replace(&object(&secret)).await {
                    Ok(metadata) => {
                        self.record(event::UPDATED, "secret updated");
                        let memory = Some(self.learn(metadata).remember(wanted));
                        self.remove_orphans(wanted).await?;
                        return Ok(Written { outcome: Outcome::Synced, memory, changed: true });
                    }
                    Err(WriteFailure::Conflict) => current = self.read().await?,
                    Err(WriteFailure::NotFound) => current = None,
                    Err(failure) => return Err(not_written(failure, &self.target)),
                },
                Plan::Delete(deletion) => match self.delete(&deletion).await {
                    Ok(()) => {
                        self.record(event::DELETED, message::DELETED);
                        let memory = Some(Memory::of_absence());
                        return Ok(Written { outcome: Outcome::Deleted, memory, changed: true });
                    }
                    Err(WriteFailure::Conflict) => current = self.read().await?,
                    Err(failure) => return Err(self.not_deleted(message::NOT_DELETED, failure)),
                },
                Plan::Refuse(refusal) => return Err(Trouble::final_(refusal.message, refusal.cause)),
            }
        }
        let words = format!("others keep writing the Secret {}", self.target);
        Err(Trouble::passing(message::NOT_UPDATED, Failure::new(Class::Unavailable, words)))
    }

    /// The target as its metadata tells; it is read where its metadata was of no interest so far.
    pub(super) async fn known(&self) -> Result<Option<Current>, Trouble> {
        let Some(facts) = self.operator.index().secret(&self.target) else { return Ok(None) };
        match facts.seen_by(&self.name.name) {
            Some(current) => Ok(Some(current)),
            None => self.read().await,
        }
    }

    pub(super) async fn read(&self) -> Result<Option<Current>, Trouble> {
        let read = self.secrets().read(&self.target.namespace, &self.target.name).await;
        let read = read.map_err(|failure| Trouble::passing(message::NOT_UPDATED, failure))?;
        Ok(read.map(|secret| Current::from_secret(kubernetes_secret(secret), &self.name.name)))
    }

    fn secrets(&self) -> Secrets {
        Secrets::new(self.operator.connection.client(), field_manager(&self.name.name))
    }

    /// Takes our own write into the index, so that its echo is no news to us; others who share the target are woken.
    fn learn(&self, metadata: ObjectMeta) -> Current {
        let current = Current::from_metadata(&metadata, &self.name.name);
        let own = Key::ExternalSecret(self.name.clone());
        self.operator.learn(|index| {
            let wakes = index.apply_secret(&metadata).into_iter().filter(|(key, _)| *key != own);
            wakes.map(|(key, _)| (key, Priority::Routine)).collect()
        });
        current
    }

    async fn delete(&self, deletion: &Deletion) -> Result<(), WriteFailure> {
        let only = Preconditions {
            uid: Some(deletion.uid.clone()),
            resource_version: Some(deletion.resource_version.clone()),
        };
        match self.secrets().delete(&self.target.namespace, &deletion.name, &only).await {
            Err(WriteFailure::NotFound) | Ok(()) => Ok(()),
            Err(failure) => Err(failure),
        }
    }

    /// Deletes what the ExternalSecret made under former names.
    async fn remove_orphans(&self, wanted: &Wanted) -> Result<(), Trouble> {
        let owner = created_by(&self.name.namespace, &self.name.name);
        let labelled: Vec<Current> = {
            let made = self.operator.index().made_by(&self.name.namespace, &owner);
            made.iter().filter_map(|facts| facts.seen_by(&self.name.name)).collect()
        };
        for deletion in orphaned(&labelled, wanted) {
            let deleted = self.delete(&deletion).await;
            deleted.map_err(|failure| self.not_deleted(message::ORPHANS_NOT_DELETED, failure))?;
            self.record(event::DELETED, "secret deleted because it was orphaned");
        }
        Ok(())
    }

    fn not_deleted(&self, message: &'static str, failure: WriteFailure) -> Trouble {
        Trouble::passing(message, failure.into_failure(&format!("delete a Secret in {}", self.target.namespace)))
    }

    fn record(&self, reason: &str, words: &str) {
        self.operator.recorder.record(self.about, EventKind::Normal, reason, words);
    }
}

/// How the target was left; also that there rightly is none.
fn remembered(current: Option<&Current>, wanted: &Wanted) -> Option<Memory> {
    Some(current.map_or_else(Memory::of_absence, |current| current.remember(wanted)))
}

/// The same Secret in the words of the client.
fn object(secret: &strongroom_sync::object::SecretObject) -> SecretObject {
    let inner = secret.expose();
    SecretObject {
        metadata: inner.metadata.clone(),
        type_: inner.type_.clone(),
        immutable: inner.immutable,
        data: secret.values(),
    }
}

/// The same Secret in the words of the planner.
fn kubernetes_secret(secret: SecretObject) -> k8s_openapi::api::core::v1::Secret {
    let data = secret.data.iter().map(|(key, value)| (key.clone(), k8s_openapi::ByteString(value.expose().to_vec())));
    k8s_openapi::api::core::v1::Secret {
        data: (!secret.data.is_empty()).then(|| data.collect()),
        metadata: secret.metadata,
        type_: secret.type_,
        immutable: secret.immutable,
        string_data: None,
    }
}

fn not_written(failure: WriteFailure, target: &Name) -> Trouble {
    match failure {
        WriteFailure::Immutable { field } => {
            let words = format!("the Secret's {field} cannot change any more");
            Trouble::final_(message::IMMUTABLE, Failure::new(Class::Invalid, words))
        }
        other => Trouble::of(message::NOT_UPDATED, other.into_failure(&format!("write Secret {target}"))),
    }
}
