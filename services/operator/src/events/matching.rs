//! Who reads the key that a change is about: looked up by digests, then asked precisely, store by store.

use std::collections::{BTreeSet, HashMap};

use strongroom_api::external_secrets::provider::AwsService;
use strongroom_api::external_secrets::{ExternalSecret, SecretStoreKind, SecretStoreSpec};
use strongroom_event::{Change, Place};
use strongroom_kes::Store as KesStore;
use strongroom_kes::wants::What as KesWhat;
use strongroom_reference::ProviderKind;
use strongroom_sync::wants::{What, wants};

use crate::index::{Index, Key};
use crate::names::{Name, StoreName};
use crate::operator::Operator;

/// The objects that read what `change` is about, each once.
pub(super) fn readers(operator: &Operator, change: &Change) -> Vec<Key> {
    let index = operator.index();
    let places = places(&index, change);
    let prefixes: BTreeSet<&str> = places.values().map(|place| place.prefix.as_str()).collect();
    let stems: BTreeSet<String> = prefixes.iter().flat_map(|prefix| change.stems(prefix)).collect();
    let candidates: BTreeSet<Name> = index.reading(&stems.into_iter().collect::<Vec<_>>()).into_iter().collect();
    let reads =
        |name: &Name| index.external_secret(name).is_some_and(|object| is_reader(name, &object, change, &places));
    let mut found: Vec<Key> = candidates.into_iter().filter(reads).map(Key::ExternalSecret).collect();
    // Its objects name no store that could be meant.
    if change.store.is_none() {
        let candidates: BTreeSet<Name> = index.kes_reading(&change.stems("")).into_iter().collect();
        let reads = |name: &Name| index.kes(name).is_some_and(|object| is_kes_reader(operator, &object, change));
        found.extend(candidates.into_iter().filter(reads).map(Key::Kes));
    }
    found
}

/// The stores that can hold what has changed.
fn places(index: &Index, change: &Change) -> HashMap<StoreName, Place> {
    let is_meant = |name: &StoreName| match &change.store {
        None => true,
        Some((namespace, store)) => name.namespace.as_deref() == namespace.as_deref() && *name.name == **store,
    };
    let found = index.stores().filter(|store| is_meant(&store.name));
    let placed = found.filter_map(|store| Some((store.name.clone(), place(&store.spec)?)));
    placed.filter(|(_, place)| change.reaches(place)).collect()
}

/// What a store reads, as far as its spec tells.
fn place(spec: &SecretStoreSpec) -> Option<Place> {
    let slots = &spec.provider;
    if let Some(aws) = &slots.aws {
        let kind = match aws.service {
            AwsService::ParameterStore => ProviderKind::AwsParameterStore,
            AwsService::SecretsManager => ProviderKind::AwsSecretsManager,
            AwsService::CertificateManager => return None,
        };
        let prefix = aws.prefix.clone().unwrap_or_default();
        return Some(Place { region: Some(aws.region.clone()), prefix, ..Place::of(kind) });
    }
    if let Some(google) = &slots.google {
        return Some(Place { project: google.project_id.clone(), ..Place::of(ProviderKind::GoogleSecretManager) });
    }
    let others = [
        (slots.vault.is_some() || slots.open_bao.is_some(), ProviderKind::Vault),
        (slots.azure.is_some(), ProviderKind::AzureKeyVault),
        (slots.kubernetes.is_some() || slots.custom_resource.is_some(), ProviderKind::Kubernetes),
        (slots.webhook.is_some(), ProviderKind::Webhook),
        (slots.fake.is_some(), ProviderKind::Fake),
    ];
    others.into_iter().find(|(is_set, _)| *is_set).map(|(_, kind)| Place::of(kind))
}

fn is_reader(name: &Name, object: &ExternalSecret, change: &Change, places: &HashMap<StoreName, Place>) -> bool {
    let Ok(wants) = wants(&object.spec) else { return false };
    wants.iter().any(|want| {
        let Some(store) = want.store() else { return false };
        let namespace = (store.kind == SecretStoreKind::SecretStore).then(|| name.namespace.clone());
        let Some(place) = places.get(&StoreName { namespace, name: store.name.as_str().into() }) else { return false };
        match &want.what {
            What::Value { part, .. } | What::Extract { part, .. } => change.is_read_as(&part.key, place),
            What::Find { find, .. } => {
                let is_match = |found: &str| find.name.as_ref().is_none_or(|pattern| pattern.is_match(found));
                change.may_be_found(find.path.as_deref(), is_match, place)
            }
            What::Generator { .. } => false,
        }
    })
}

fn is_kes_reader(operator: &Operator, object: &strongroom_api::kes::ExternalSecret, change: &Change) -> bool {
    let Some((field, spec)) = object.asked() else { return false };
    let (Some(backend), Ok(store)) = (spec.backend(), KesStore::of(spec, &operator.kes.settings)) else { return false };
    let place = kes_place(&store);
    let Ok(wants) = strongroom_kes::wants::wants(field, spec, backend) else { return false };
    change.reaches(&place)
        && wants.iter().any(|want| match &want.what {
            KesWhat::Value { key, .. } | KesWhat::Members { key } => change.is_read_as(&key.name, &place),
            KesWhat::Path { path, .. } => change.may_be_found(Some(path), |_| true, &place),
        })
}

fn kes_place(store: &KesStore) -> Place {
    match store {
        KesStore::SecretsManager { region, .. } => {
            Place { region: region.clone(), ..Place::of(ProviderKind::AwsSecretsManager) }
        }
        KesStore::ParameterStore { region, .. } => {
            Place { region: region.clone(), ..Place::of(ProviderKind::AwsParameterStore) }
        }
        KesStore::Vault { .. } => Place::of(ProviderKind::Vault),
        KesStore::AzureKeyVault { .. } => Place::of(ProviderKind::AzureKeyVault),
        KesStore::GoogleSecretManager { project } => {
            Place { project: project.clone(), ..Place::of(ProviderKind::GoogleSecretManager) }
        }
    }
}
