//! Targets of other kinds than Secret, where the operator was told to allow them.

use std::collections::BTreeMap;

use kube::api::{ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, Preconditions};
use kube::core::GroupVersionKind;
use kube::{Api, discovery};
use serde_json::Value;
use strongroom_api::external_secrets::ManifestRef;
use strongroom_api::external_secrets::vocabulary::{event, message};
use strongroom_failure::{Class, Failure};
use strongroom_kube::EventKind;
use strongroom_kube::failure::failure;
use strongroom_sync::Values;
use strongroom_sync::assemble::Assembled;
use strongroom_sync::hash::field_manager;
use strongroom_sync::manifest::{self, Plan, Wanted};
use strongroom_sync::render::{Input, TemplateSource};
use strongroom_sync::target::{Deletion, Outcome};

use super::write::Written;
use super::{Round, Trouble, target_of};
use crate::eso::templates::Engine;

impl Round<'_> {
    /// The other kind that is asked for; none where it is a Secret all the same.
    pub(super) fn manifest(&self) -> Option<&ManifestRef> {
        let target = self.object.spec.target.as_ref()?;
        target.manifest.as_ref().filter(|manifest| !manifest.is_secret())
    }

    /// Makes the object as it is wanted.
    pub(super) async fn write_manifest(
        &self,
        assembled: &Assembled,
        sources: &BTreeMap<TemplateSource, Values>,
        templates: &Engine,
        found_nothing: bool,
    ) -> Result<Written, Trouble> {
        let Some(kind) = self.manifest() else {
            return Err(Trouble::final_(message::NOT_UPDATED, Failure::new(Class::Invalid, "there is no manifest")));
        };
        let (api, plan) = self.plan_manifest(kind, assembled, sources, templates, found_nothing).await?;
        let passing = |failure| Trouble::passing(message::NOT_UPDATED, failure);
        let target = target_of(self.name, self.object);
        let name = &*target.name;
        match plan {
            Plan::Nothing(outcome) => Ok(Written { outcome, memory: None, changed: false }),
            Plan::Apply { object, creates } => {
                let parameters = PatchParams::apply(&field_manager(&self.name.name)).force();
                let applied = api.patch(name, &parameters, &Patch::Apply(object.expose())).await;
                let asked = format!("apply {} {name}", kind.kind);
                applied.map_err(|error| passing(failure(&error, &asked, &[])))?;
                let (reason, words) =
                    if creates { (event::CREATED, "resource created") } else { (event::UPDATED, "resource updated") };
                self.operator.recorder.record(&self.about, EventKind::Normal, reason, words);
                Ok(Written { outcome: Outcome::Synced, memory: None, changed: true })
            }
            Plan::Delete(deletion) => {
                delete(&api, &kind.kind, &deletion).await.map_err(passing)?;
                self.operator.recorder.record(&self.about, EventKind::Normal, event::DELETED, message::DELETED);
                Ok(Written { outcome: Outcome::Deleted, memory: None, changed: true })
            }
            Plan::Refuse(refusal) => Err(Trouble::final_(refusal.message, refusal.cause)),
        }
    }

    /// What is to be done about the object, before anything is done.
    pub(super) async fn plan_manifest(
        &self,
        kind: &ManifestRef,
        assembled: &Assembled,
        sources: &BTreeMap<TemplateSource, Values>,
        templates: &Engine,
        found_nothing: bool,
    ) -> Result<(Api<DynamicObject>, Plan), Trouble> {
        self.check_kind(kind).map_err(|failure| Trouble::final_(message::NOT_UPDATED, failure))?;
        let passing = |failure| Trouble::passing(message::NOT_UPDATED, failure);
        let api = self.api(kind).await.map_err(passing)?;
        let wanted = self.wanted_manifest(kind, assembled, sources, templates, found_nothing)?;
        let current = read(&api, &wanted.name).await.map_err(passing)?;
        let plan = manifest::plan(current.as_ref(), &wanted);
        Ok((api, plan))
    }

    /// Deletes the object that must go with the ExternalSecret.
    pub(super) async fn delete_manifest(&self) -> Result<(), Failure> {
        let Some(kind) = self.manifest() else { return Ok(()) };
        self.check_kind(kind)?;
        let api = self.api(kind).await?;
        let current = read(&api, &target_of(self.name, self.object).name).await?;
        match manifest::removal(current.as_ref(), &self.owner(), self.deletion()) {
            Some(deletion) => delete(&api, &kind.kind, &deletion).await,
            None => Ok(()),
        }
    }

    fn wanted_manifest(
        &self,
        kind: &ManifestRef,
        assembled: &Assembled,
        sources: &BTreeMap<TemplateSource, Values>,
        templates: &Engine,
        found_nothing: bool,
    ) -> Result<Wanted, Trouble> {
        let target = self.target();
        let empty = BTreeMap::new();
        let input = Input {
            template: target.template.as_ref(),
            labels: self.object.metadata.labels.as_ref().unwrap_or(&empty),
            annotations: self.object.metadata.annotations.as_ref().unwrap_or(&empty),
            values: &assembled.data,
            sources,
            is_partial: false,
            render: templates,
        };
        let name = target_of(self.name, self.object).name.to_string();
        let failed = |causes| Trouble { message: message::NOT_UPDATED, causes, can_retry: true };
        let object = manifest::build(kind, &name, &self.owner(), self.creation(), &input).map_err(failed)?;
        Ok(Wanted {
            owner: self.owner(),
            name,
            creation: self.creation(),
            deletion: self.deletion(),
            found_nothing,
            object,
        })
    }

    /// Whether the operator was told to allow this kind.
    fn check_kind(&self, kind: &ManifestRef) -> Result<(), Failure> {
        let settings = &self.operator.settings;
        let denied = |words: String, hint: &str| {
            Failure::new(Class::Denied, words).in_field("spec.target.manifest").with_hint(hint)
        };
        if !settings.unsafe_allow_generic_targets {
            let words = "targets of other kinds than Secret are not allowed".to_owned();
            return Err(denied(words, "start the operator with --unsafe-allow-generic-targets"));
        }
        let group = kind.api_version.rsplit_once('/').map_or("", |(group, _)| group);
        let named = if group.is_empty() { kind.kind.clone() } else { format!("{group}/{}", kind.kind) };
        if settings.target_kinds.contains(&named) {
            return Ok(());
        }
        Err(denied(format!("targets of the kind {named} are not allowed"), "list it in --target-kinds"))
    }

    async fn api(&self, kind: &ManifestRef) -> Result<Api<DynamicObject>, Failure> {
        let client = self.operator.connection.client();
        let (group, version) = kind.api_version.rsplit_once('/').unwrap_or(("", &kind.api_version));
        let wanted = GroupVersionKind::gvk(group, version, &kind.kind);
        let asked = format!("find the kind {} of {}", kind.kind, kind.api_version);
        let found: Result<(ApiResource, discovery::ApiCapabilities), kube::Error> =
            discovery::pinned_kind(&client, &wanted).await;
        let (resource, capabilities) =
            found.map_err(|error| failure(&error, &asked, &[]).in_field("spec.target.manifest"))?;
        if capabilities.scope != discovery::Scope::Namespaced {
            let words = format!("the kind {} belongs to no namespace", kind.kind);
            return Err(Failure::new(Class::Denied, words).in_field("spec.target.manifest"));
        }
        Ok(Api::namespaced_with(client, &self.name.namespace, &resource))
    }
}

async fn read(api: &Api<DynamicObject>, name: &str) -> Result<Option<Value>, Failure> {
    let found = api.get_opt(name).await.map_err(|error| failure(&error, &format!("read {name}"), &[]))?;
    let as_json = |object| serde_json::to_value(object).map_err(|_| Failure::new(Class::Invalid, "it is not JSON"));
    found.map(as_json).transpose()
}

async fn delete(api: &Api<DynamicObject>, kind: &str, deletion: &Deletion) -> Result<(), Failure> {
    let only = Preconditions { uid: Some(deletion.uid.clone()), resource_version: None };
    let parameters = DeleteParams { preconditions: Some(only), ..DeleteParams::default() };
    match api.delete(&deletion.name, &parameters).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => Ok(()),
        Err(error) => Err(failure(&error, &format!("delete {kind} {}", deletion.name), &[])),
    }
}
