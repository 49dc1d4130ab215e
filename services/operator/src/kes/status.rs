//! Telling how it went in the object's status: one write where that says something new, none otherwise.

use jiff::{Timestamp, Unit};
use kube::Api;
use serde_json::json;
use strongroom_api::kes::{ExternalSecret, ExternalSecretStatus};
use strongroom_failure::Failure;
use strongroom_kube::{WriteFailure, merge_patch_status};

use super::round::Round;
use crate::operator::FIELD_MANAGER;
use crate::settings::RefreshTime;

impl Round<'_> {
    /// Writes `words` as the status, where they or the generation are new, or something was `written`; else `lastSync`
    /// moves as the flag for refresh times says.
    pub(super) async fn tell(&self, words: &str, written: bool, now: Timestamp) -> Result<(), Failure> {
        let status = self.object.status.clone().unwrap_or_default();
        let generation = self.object.metadata.generation;
        let is_news = written
            || status.status.as_deref() != Some(words)
            || status.observed_generation != generation
            || self.is_stale(&status, now);
        if !is_news {
            return Ok(());
        }
        // As JavaScript writes it, with milliseconds.
        let last_sync = now.round(Unit::Millisecond).map(|now| format!("{now:.3}")).unwrap_or_default();
        let patch = json!({"lastSync": last_sync, "status": words, "observedGeneration": generation});
        let api: Api<ExternalSecret> = Api::namespaced(self.operator.connection.client(), &self.name.namespace);
        match merge_patch_status(&api, &self.name.name, &patch, FIELD_MANAGER).await {
            Ok(metadata) => {
                let status = ExternalSecretStatus {
                    last_sync: Some(last_sync),
                    status: Some(words.to_owned()),
                    observed_generation: generation,
                };
                self.operator.index().note_kes_status(self.name, status, metadata.resource_version);
                Ok(())
            }
            // It is gone, or goes: nobody is left to be told.
            Err(WriteFailure::NotFound) => Ok(()),
            Err(failure) => Err(failure.into_failure(&format!("write the status of ExternalSecret {}", self.name))),
        }
    }

    fn is_stale(&self, status: &ExternalSecretStatus, now: Timestamp) -> bool {
        let limit = match self.operator.settings.refresh_time {
            RefreshTime::OnChange => return false,
            RefreshTime::Always => return true,
            RefreshTime::Heartbeat(limit) => limit,
        };
        let last = status.last_sync.as_ref().and_then(|text| text.parse::<Timestamp>().ok());
        let elapsed = last.and_then(|last| std::time::Duration::try_from(now.duration_since(last)).ok());
        elapsed.is_none_or(|elapsed| elapsed >= limit)
    }
}
