//! The end of a PushSecret, and the finalizer that lets us see it.

use kube::Api;
use strongroom_api::external_secrets::vocabulary::{finalizer, reason};
use strongroom_api::external_secrets::{PushSecret, SyncedPushSecrets};
use strongroom_failure::Failure;
use strongroom_kube::replace_finalizers;
use strongroom_reconcile::Outcome;
use strongroom_sync::push_status::Ending;

use super::{Round, Trouble};
use crate::eso::timing::retry_after;
use crate::operator::FIELD_MANAGER;

impl Round<'_> {
    /// Puts the finalizer on where what was pushed must go with the PushSecret, and takes it off where it need not. Not
    /// where the object is another one by now: that comes in a round of its own.
    pub(super) async fn keep_finalizer(&self) -> Result<bool, Failure> {
        let has_one = self.has_finalizer();
        if self.deletes() == has_one {
            return Ok(true);
        }
        let mut finalizers = self.other_finalizers();
        if self.deletes() {
            finalizers.push(finalizer::PUSH_SECRET.to_owned());
        }
        self.set_finalizers(&finalizers).await
    }

    /// Deletes what must go with the PushSecret, then lets go of it. The finalizer of External Secrets Operator is the
    /// same one: what it left is ended here.
    pub(super) async fn remove(&self) -> Outcome {
        let stores = self.meant();
        let is_left_to_others = !stores.is_empty() && stores.iter().all(|store| store.is_others);
        if !self.has_finalizer() || is_left_to_others {
            return Outcome::Done(None);
        }
        if let Err(trouble) = self.take_all_back().await {
            self.operator.tell(&self.key(), &self.about, reason::ERRORED, Some(&trouble.words()));
            let retry_after = retry_after(&trouble.causes);
            // Whoever waits for the end reads there why it does not come.
            let _ = self.tell(&Ending::Failure { words: trouble.words(), synced: trouble.synced }).await;
            return Outcome::failed(retry_after);
        }
        match self.set_finalizers(&self.other_finalizers()).await {
            Ok(true) => Outcome::Done(None),
            Ok(false) => Outcome::failed(None),
            Err(failure) => {
                tracing::warn!(push_secret = %self.name, %failure, "the finalizer of a PushSecret could not be taken off");
                Outcome::failed(None)
            }
        }
    }

    async fn take_all_back(&self) -> Result<(), Trouble> {
        if !self.deletes() {
            return Ok(());
        }
        let mut held = self.pushed();
        let obsolete = self.obsolete(&self.meant(), &SyncedPushSecrets::new());
        self.take_back(&obsolete, &mut held).await.map(drop)
    }

    fn has_finalizer(&self) -> bool {
        self.object.metadata.finalizers.iter().flatten().any(|name| name == finalizer::PUSH_SECRET)
    }

    fn other_finalizers(&self) -> Vec<String> {
        let all = self.object.metadata.finalizers.iter().flatten();
        all.filter(|name| *name != finalizer::PUSH_SECRET).cloned().collect()
    }

    async fn set_finalizers(&self, finalizers: &[String]) -> Result<bool, Failure> {
        let api: Api<PushSecret> = Api::namespaced(self.operator.connection.client(), &self.name.namespace);
        replace_finalizers(&api, &self.object.metadata, finalizers, FIELD_MANAGER).await
    }
}
