//! Telling how it went: one status write where something changed, none otherwise.

use std::sync::atomic::Ordering;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::LocalObjectReference;
use kube::Api;
use serde_json::{Value, json};
use strongroom_api::external_secrets::{Condition, ExternalSecret, ExternalSecretStatus};
use strongroom_failure::{Class, Failure};
use strongroom_kube::{WriteFailure, merge_patch_status};
use strongroom_sync::status::{self, Ending, PartialIn, TargetKind};
use strongroom_sync::target::Outcome;

use super::write::Written;
use super::{Round, Trouble};
use crate::operator::FIELD_MANAGER;

impl Round<'_> {
    /// Tells a success; `trouble` is what a partial one is without.
    pub(super) async fn tell_success(
        &self,
        began: Timestamp,
        written: &Written,
        trouble: Option<&Trouble>,
    ) -> Result<(), Failure> {
        let target = super::target_of(self.name, self.object);
        let has_target = written.outcome == Outcome::Synced && self.manifest().is_none();
        let binding = (has_target && self.makes_a_secret()).then_some(&*target.name);
        let failed = trouble.map(|trouble| trouble.causes.as_slice()).unwrap_or_default();
        let ending = |partial_in| Ending::Success {
            outcome: written.outcome,
            began,
            version: &self.version,
            wrote: written.changed,
            binding,
            failed,
            partial_in,
        };
        if self.operator.refuses_partial.load(Ordering::Relaxed) {
            return self.tell(&ending(PartialIn::Message)).await;
        }
        match self.tell(&ending(PartialIn::Condition)).await {
            Err(failure) if failure.class == Class::Invalid && !failed.is_empty() => {
                self.tell(&ending(PartialIn::Message)).await?;
                self.operator.refuses_partial.store(true, Ordering::Relaxed);
                Ok(())
            }
            told => told,
        }
    }

    /// Tells a failure.
    pub(super) async fn tell_failure(&self, trouble: &Trouble) -> Result<(), Failure> {
        self.tell(&Ending::Failure { message: trouble.message, causes: &trouble.causes }).await
    }

    async fn tell(&self, ending: &Ending<'_>) -> Result<(), Failure> {
        let policy = self.operator.settings.refresh_time.policy();
        let kind = if self.manifest().is_some() { TargetKind::Resource } else { TargetKind::Secret };
        let now = self.object.status.clone().unwrap_or_default();
        let ready = status::ready(ending, kind);
        self.operator.metrics.condition("externalsecret", &self.object.metadata, &ready.kind, &ready.status);
        let Some(next) = status::next(&now, ending, kind, policy, Timestamp::now()) else { return Ok(()) };
        let client = self.operator.connection.client();
        let api: Api<ExternalSecret> = Api::namespaced(client, &self.name.namespace);
        match merge_patch_status(&api, &self.name.name, &patch(&next), FIELD_MANAGER).await {
            Ok(metadata) => {
                // The echo of our own write must find the status that we know of.
                self.operator.index().note_status(self.name, next, metadata.resource_version);
                Ok(())
            }
            // It is gone, or goes: nobody is left to be told.
            Err(WriteFailure::NotFound) => Ok(()),
            Err(failure) => Err(failure.into_failure(&format!("write the status of ExternalSecret {}", self.name))),
        }
    }
}

/// The whole status, with nulls for what is not in it: a merge patch leaves out nothing else.
fn patch(status: &ExternalSecretStatus) -> Value {
    let conditions: Vec<Value> = status.conditions.iter().map(condition).collect();
    let binding = status.binding.as_ref().map(|LocalObjectReference { name }| json!({ "name": name }));
    json!({
        "refreshTime": status.refresh_time,
        "syncedResourceVersion": status.synced_resource_version,
        "conditions": conditions,
        "binding": binding,
    })
}

fn condition(condition: &Condition) -> Value {
    json!(condition)
}
