//! The end of an ExternalSecret, and the finalizer that lets us see it.

use kube::Api;
use strongroom_api::external_secrets::vocabulary::{event, finalizer, message};
use strongroom_api::external_secrets::{DeletionPolicy, ExternalSecret};
use strongroom_failure::Failure;
use strongroom_kube::{EventKind, Preconditions, Secrets, WriteFailure, replace_finalizers};
use strongroom_reconcile::Outcome;
use strongroom_sync::hash::field_manager;
use strongroom_sync::target::removal;

use super::{Round, Trouble, target_of};
use crate::operator::FIELD_MANAGER;

impl Round<'_> {
    /// Puts the finalizer on where the target must go with the ExternalSecret, and nowhere else. Not where the object is
    /// another one by now: that comes in a round of its own.
    pub(super) async fn keep_finalizer(&self) -> Result<bool, Failure> {
        let has_one = self.finalizers().iter().any(|name| name == finalizer::EXTERNAL_SECRET);
        if self.deletion() != DeletionPolicy::Delete || has_one {
            return Ok(true);
        }
        let mut finalizers = self.finalizers().to_vec();
        finalizers.push(finalizer::EXTERNAL_SECRET.to_owned());
        self.set_finalizers(&finalizers).await
    }

    /// Deletes what must go with the ExternalSecret, then lets go of it. The finalizer of External Secrets Operator is
    /// the same one: what it left is ended here.
    pub(super) async fn remove(&self) -> Outcome {
        self.operator.memories.forget(self.name);
        if !self.finalizers().iter().any(|name| name == finalizer::EXTERNAL_SECRET) {
            return Outcome::Done(None);
        }
        let done = match self.delete_target().await {
            Ok(()) => self.set_finalizers(&self.other_finalizers()).await,
            Err(failure) => Err(failure),
        };
        match done {
            Ok(true) => Outcome::Done(None),
            Ok(false) => Outcome::failed(None),
            Err(failure) => {
                let trouble = Trouble::passing(message::NOT_DELETED, failure);
                self.operator.tell(&self.key(), &self.about, event::UPDATE_FAILED, Some(&trouble.words()));
                Outcome::failed(None)
            }
        }
    }

    async fn delete_target(&self) -> Result<(), Failure> {
        if self.manifest().is_some() {
            return self.delete_manifest().await;
        }
        let target = target_of(self.name, self.object);
        let facts = self.operator.index().secret(&target);
        let current = facts.and_then(|facts| facts.seen_by(&self.name.name));
        let Some(deletion) = removal(current.as_ref(), &self.owner(), self.deletion()) else { return Ok(()) };
        let secrets = Secrets::new(self.operator.connection.client(), field_manager(&self.name.name));
        let only = Preconditions { uid: Some(deletion.uid), resource_version: None };
        match secrets.delete(&target.namespace, &deletion.name, &only).await {
            Ok(()) => {
                self.operator.recorder.record(&self.about, EventKind::Normal, event::DELETED, message::DELETED);
                Ok(())
            }
            // It is another Secret by now, or none.
            Err(WriteFailure::NotFound | WriteFailure::Conflict) => Ok(()),
            Err(failure) => Err(failure.into_failure(&format!("delete Secret {target}"))),
        }
    }

    fn finalizers(&self) -> &[String] {
        self.object.metadata.finalizers.as_deref().unwrap_or_default()
    }

    fn other_finalizers(&self) -> Vec<String> {
        self.finalizers().iter().filter(|name| *name != finalizer::EXTERNAL_SECRET).cloned().collect()
    }

    async fn set_finalizers(&self, finalizers: &[String]) -> Result<bool, Failure> {
        let api: Api<ExternalSecret> = Api::namespaced(self.operator.connection.client(), &self.name.namespace);
        replace_finalizers(&api, &self.object.metadata, finalizers, FIELD_MANAGER).await
    }
}
