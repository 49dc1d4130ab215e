//! Telling what the stores may hold, before they do, and how it went.

use jiff::Timestamp;
use kube::Api;
use serde_json::json;
use strongroom_api::external_secrets::vocabulary::condition;
use strongroom_api::external_secrets::{PushSecret, PushSecretStatus, SyncedPushSecrets};
use strongroom_failure::Failure;
use strongroom_kube::{EventKind, WriteFailure, merge_patch_status};
use strongroom_sync::push_status::{self, Ending};

use super::{METRICS, Round};
use crate::eso::replaced;
use crate::operator::FIELD_MANAGER;

impl Round<'_> {
    /// Writes that the stores may hold `held`, where the status does not say so yet; whether the object is still there.
    pub(super) async fn note_intent(&self, held: &SyncedPushSecrets) -> Result<bool, Failure> {
        let status = self.status();
        if status.synced_push_secrets == *held {
            return Ok(true);
        }
        self.write(&PushSecretStatus { synced_push_secrets: held.clone(), ..status }).await
    }

    /// Tells how it went, where that is news.
    pub(super) async fn tell(&self, ending: &Ending<'_>) -> Result<(), Failure> {
        let before = self.status();
        let ready = push_status::ready(ending);
        self.operator.metrics.condition(METRICS, &self.object.metadata, condition::READY, &ready.status);
        let policy = self.operator.settings.refresh_time.policy();
        let Some(next) = push_status::next(&before, ending, policy, Timestamp::now()) else { return Ok(()) };
        let is_there = self.write(&next).await?;
        if is_there && !matches!(ending, Ending::Failure { .. }) {
            let (reason, words) = (ready.reason.unwrap_or_default(), ready.message.unwrap_or_default());
            self.operator.recorder.record(&self.about, EventKind::Normal, &reason, &words);
        }
        Ok(())
    }

    /// The status as it is known now: this round may have written it already.
    fn status(&self) -> PushSecretStatus {
        let known = self.operator.index().pushes.get(self.name);
        let known = known.filter(|known| known.metadata.uid == self.object.metadata.uid);
        let status = known.map_or_else(|| self.object.status.clone(), |known| known.status.clone());
        status.unwrap_or_default()
    }

    async fn write(&self, next: &PushSecretStatus) -> Result<bool, Failure> {
        let before = self.status();
        let patch = json!({
            "refreshTime": next.refresh_time,
            "syncedResourceVersion": next.synced_resource_version,
            "conditions": next.conditions,
            "syncedPushSecrets": replaced(&json!(before.synced_push_secrets), &json!(next.synced_push_secrets)),
        });
        let api: Api<PushSecret> = Api::namespaced(self.operator.connection.client(), &self.name.namespace);
        match merge_patch_status(&api, &self.name.name, &patch, FIELD_MANAGER).await {
            Ok(metadata) => {
                // The echo of our own write must find the status that we know of.
                let mut index = self.operator.index();
                index.pushes.note_status(self.name, next.clone(), metadata.resource_version);
                Ok(true)
            }
            // It is gone: nobody is left to be told.
            Err(WriteFailure::NotFound) => Ok(false),
            Err(failure) => Err(failure.into_failure(&format!("write the status of PushSecret {}", self.name))),
        }
    }
}
