//! What a Secret's metadata say about restarts.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use strongroom_api::external_secrets::vocabulary::{FIELD_MANAGER_PREFIX, GROUP, label as words};
use strongroom_api::kes;

use crate::annotations::{CONSUMERS, reloader, truth};

/// Which Secrets can restart anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Those that an ExternalSecret made or writes to.
    Ours,
    /// Every one.
    All,
}

/// A Secret as its metadata tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecretFacts {
    /// Its version: another one means that something about it changed.
    pub resource_version: Box<str>,
    /// Whether it asks that its consumers are restarted; `Some(false)` forbids it.
    pub asks: Option<bool>,
    /// Whether it counts for workloads that search.
    pub has_match: bool,
    /// Whether it restarts nothing: it says so, or it is out of scope.
    is_silent: bool,
    /// The ExternalSecret of its namespace that made it or writes to it, whose time windows hold for it.
    pub external_secret: Option<Box<str>>,
}

impl SecretFacts {
    /// What `metadata` tell, where `scope` counts.
    pub fn of(metadata: &ObjectMeta, scope: Scope) -> Self {
        let said = |name: &str| metadata.annotations.as_ref()?.get(name).and_then(|text| truth(text.trim()));
        let asks = said(CONSUMERS);
        let is_out = scope == Scope::Ours && !is_ours(metadata);
        Self {
            resource_version: metadata.resource_version.as_deref().unwrap_or_default().into(),
            asks,
            has_match: said(reloader::MATCH) == Some(true),
            is_silent: is_out || asks == Some(false) || said(reloader::IGNORE) == Some(true),
            external_secret: external_secret(metadata).map(Into::into),
        }
    }

    /// Whether it restarts nothing, whoever asks.
    pub fn is_silent(&self) -> bool {
        self.is_silent
    }
}

fn is_ours(metadata: &ObjectMeta) -> bool {
    let label = metadata.labels.as_ref().and_then(|labels| labels.get(words::MANAGED));
    let is_labelled = label.is_some_and(|value| value == words::MANAGED_VALUE);
    is_labelled || owners(metadata).any(|owner| is_source(owner, &[GROUP, kes::GROUP])) || writer(metadata).is_some()
}

fn external_secret(metadata: &ObjectMeta) -> Option<&str> {
    let owner = owners(metadata).find(|owner| is_source(owner, &[GROUP]));
    owner.map(|owner| owner.name.as_str()).or_else(|| writer(metadata))
}

fn owners(metadata: &ObjectMeta) -> impl Iterator<Item = &OwnerReference> {
    metadata.owner_references.iter().flatten()
}

fn is_source(owner: &OwnerReference, groups: &[&str]) -> bool {
    let group = owner.api_version.split('/').next().unwrap_or_default();
    owner.kind == kes::KIND && groups.contains(&group)
}

/// The ExternalSecret in whose name keys were written, which is how those that own nothing (`Merge`, `Orphan`) are
/// found. Of a very long name there is only a digest, which finds nothing.
fn writer(metadata: &ObjectMeta) -> Option<&str> {
    let managers = metadata.managed_fields.iter().flatten().filter_map(|entry| entry.manager.as_deref());
    let mut names = managers.filter_map(|manager| manager.strip_prefix(FIELD_MANAGER_PREFIX)?.strip_prefix('/'));
    names.find(|name| !name.contains('/'))
}
