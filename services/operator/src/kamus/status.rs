//! Telling how it went in the object's status: one write where that says something new, none otherwise.

use jiff::Timestamp;
use kube::Api;
use serde_json::json;
use strongroom_api::kamus::KamusSecret;
use strongroom_failure::Failure;
use strongroom_kamus_secret::status::next;
use strongroom_kube::{WriteFailure, merge_patch_status};

use super::round::Round;
use crate::operator::FIELD_MANAGER;

impl Round<'_> {
    pub(super) async fn tell(&self, reason: &str, words: &str, now: Timestamp) -> Result<(), Failure> {
        let Some(status) = next(self.object, reason, words, now) else { return Ok(()) };
        let api: Api<KamusSecret> = Api::namespaced(self.operator.connection.client(), &self.name.namespace);
        match merge_patch_status(&api, &self.name.name, &json!(status), FIELD_MANAGER).await {
            Ok(metadata) => {
                self.operator.index().note_kamus_status(self.name, status, metadata.resource_version);
                Ok(())
            }
            // It is gone, or its definition is Kamus' own, which has no status.
            Err(WriteFailure::NotFound) => Ok(()),
            Err(failure) => Err(failure.into_failure(&format!("write the status of KamusSecret {}", self.name))),
        }
    }
}
