//! What of a Secret goes where: pure planning for PushSecrets. [`templated`] shapes the source, [`entries`] says what
//! one store is to hold of it, [`without_duplicates`] looks at all of it at once, and [`removals`] compares it with
//! what was pushed before.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use strongroom_api::external_secrets::{
    PushConversion, PushData, PushDataTo, PushMatch, PushRemoteRef, PushSecretSpec, PushStoreRef, Rewrite as Step,
    SecretStoreKind, SyncedPushSecrets, Template,
};
use strongroom_api::label_selector;
use strongroom_failure::{Class, Failure};
use strongroom_pattern::Pattern;
use strongroom_secret::SecretBytes;

use crate::render::{self, Render, TemplateSource};
use crate::rewrite::{Rewrite, rewrite};
use crate::wants::rewrites;
use crate::{Texts, Values};

/// A store that a PushSecret may mean.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Store {
    /// Its kind.
    pub kind: SecretStoreKind,
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: Texts,
}

impl Store {
    /// Its name in `status.syncedPushSecrets`.
    pub fn key(&self) -> String {
        store_key(self.kind, &self.name)
    }

    /// Whether `reference` means it. A name goes before labels; a selector that nobody understands selects nothing.
    pub fn is_meant(&self, reference: &PushStoreRef) -> bool {
        if reference.kind.unwrap_or_default() != self.kind {
            return false;
        }
        match (&reference.label_selector, &reference.name) {
            (Some(selector), _) => label_selector(selector).is_ok_and(|selector| selector.selects(&self.labels)),
            (None, name) => name.as_ref() == Some(&self.name),
        }
    }
}

/// The name of a store in `status.syncedPushSecrets`: `SecretStore/name`.
pub fn store_key(kind: SecretStoreKind, name: &str) -> String {
    format!("{kind:?}/{name}")
}

/// The store that a key of `status.syncedPushSecrets` names; `None` where it is none of ours.
pub fn store_of_key(key: &str) -> Option<(SecretStoreKind, &str)> {
    let (kind, name) = key.split_once('/')?;
    [SecretStoreKind::SecretStore, SecretStoreKind::ClusterSecretStore]
        .into_iter()
        .find(|known| format!("{known:?}") == kind)
        .map(|kind| (kind, name))
}

/// The name of a place in `status.syncedPushSecrets`: `key` or `key/property`.
pub fn place_key(place: &PushRemoteRef) -> String {
    match &place.property {
        Some(property) => format!("{}/{property}", place.remote_key),
        None => place.remote_key.clone(),
    }
}

/// The namespace that the metadata of an entry names, for stores that are clusters (`spec.remoteNamespace`).
pub fn namespace_of(data: &PushData) -> Option<&str> {
    let named = data.metadata.as_ref()?.pointer("/spec/remoteNamespace")?.as_str();
    named.filter(|namespace| !namespace.is_empty())
}

/// A Secret that is pushed.
#[derive(Clone, Debug, Default)]
pub struct Source {
    /// Its name.
    pub name: String,
    /// Its type.
    pub kind: Option<String>,
    /// Its labels.
    pub labels: Texts,
    /// Its annotations.
    pub annotations: Texts,
    /// Its values.
    pub data: Values,
}

/// `source` as `spec.template` shapes it: what templates make is put over what it has, and nothing is taken away.
///
/// # Errors
/// All failures, each in its field and none with a value.
pub fn templated(
    template: Option<&Template>,
    source: Source,
    sources: &BTreeMap<TemplateSource, Values>,
    engine: &dyn Render,
) -> Result<Source, Vec<Failure>> {
    let Some(template) = template else { return Ok(source) };
    let input = render::Input {
        template: Some(template),
        labels: &source.labels,
        annotations: &source.annotations,
        values: &source.data,
        sources,
        is_partial: false,
        render: engine,
    };
    let rendered = render::render(&input).map_err(|failed| failed.into_iter().map(of_push).collect::<Vec<_>>())?;
    let mut shaped = Source { kind: rendered.kind.or(source.kind.clone()), ..source };
    shaped.data.extend(rendered.data);
    shaped.labels.extend(rendered.labels);
    shaped.annotations.extend(rendered.annotations);
    Ok(shaped)
}

/// A PushSecret has its template beside its other fields, where an ExternalSecret has it in `target`.
fn of_push(failure: Failure) -> Failure {
    let field = failure.subject.field.as_deref().and_then(|field| field.strip_prefix("spec.target"));
    match field.map(|rest| if rest.is_empty() { "spec.template".to_owned() } else { format!("spec{rest}") }) {
        Some(field) => failure.in_field(field),
        None => failure,
    }
}

/// What goes to one place of a store.
#[derive(Clone, Debug)]
pub struct Entry {
    /// As `status.syncedPushSecrets` keeps it.
    pub data: PushData,
    /// The field that asks for it.
    pub field: String,
    /// What goes there.
    pub content: Content,
}

impl Entry {
    /// Where it goes.
    pub fn place(&self) -> &PushRemoteRef {
        &self.data.matching.remote_ref
    }
}

/// What goes to a place.
#[derive(Clone, Debug)]
pub enum Content {
    /// One value.
    One(SecretBytes),
    /// Values by their keys.
    Whole(Values),
}

/// What `store` is to hold of `source`, in the order of the specification, and what cannot be pushed. Entries of `data`
/// go before `dataTo`, which passes over the keys that they name.
pub fn entries(
    spec: &PushSecretSpec,
    store: &Store,
    source: &Source,
    engine: &dyn Render,
) -> (Vec<Entry>, Vec<Failure>) {
    let mut made = Vec::new();
    let mut failed = Vec::new();
    let mut named = BTreeSet::new();
    for (place, data) in spec.data.iter().enumerate() {
        let field = format!("spec.data[{place}]");
        match explicit(data, source, &mut named) {
            Ok(content) => made.push(Entry { data: data.clone(), field, content }),
            Err(failure) => failed.push(failure.in_field(format!("{field}.match.secretKey"))),
        }
    }
    for (place, entry) in spec.data_to.iter().enumerate() {
        if !entry.store_ref.as_ref().is_some_and(|reference| store.is_meant(reference)) {
            continue;
        }
        let field = format!("spec.dataTo[{place}]");
        match many(entry, &field, source, &named, engine) {
            Ok(entries) => made.extend(entries),
            Err(failure) => failed.push(match failure.subject.field {
                Some(_) => failure,
                None => failure.in_field(field),
            }),
        }
    }
    (made, failed)
}

/// What an entry of `data` pushes; the key that it names is put into `named`, as the Secret has it.
fn explicit<'s>(data: &PushData, source: &'s Source, named: &mut BTreeSet<&'s str>) -> Result<Content, Failure> {
    let keys = converted(data.conversion_strategy.unwrap_or_default(), &source.data)?;
    let Some(wanted) = &data.matching.secret_key else {
        return Ok(Content::Whole(keys.into_iter().map(|(key, (_, value))| (key, value.clone())).collect()));
    };
    match keys.get(wanted) {
        Some(&(key, value)) => {
            named.insert(key);
            Ok(Content::One(value.clone()))
        }
        None => {
            let words = format!("secret key {wanted} does not exist in Secret \"{}\"", source.name);
            let names: Vec<&str> = keys.keys().map(String::as_str).take(10).collect();
            Err(Failure::new(Class::NotFound, words).with_hint(format!("it has: {}", names.join(", "))))
        }
    }
}

/// What an entry of `dataTo` pushes: one secret of all keys, or a secret for each.
fn many(
    entry: &PushDataTo,
    field: &str,
    source: &Source,
    named: &BTreeSet<&str>,
    engine: &dyn Render,
) -> Result<Vec<Entry>, Failure> {
    let conversion = entry.conversion_strategy;
    let pattern = entry.matching.as_ref().and_then(|matching| matching.regexp.as_deref());
    let pattern = pattern.map(Pattern::new).transpose();
    let pattern = pattern.map_err(|failure| failure.in_field(format!("{field}.match.regexp")))?;
    let mut keys = converted(conversion.unwrap_or_default(), &source.data)?;
    keys.retain(|key, (original, _)| {
        !named.contains(original) && pattern.as_ref().is_none_or(|pattern| pattern.is_match(key))
    });
    let made = |secret_key: Option<String>, remote_key: String, content: Content| Entry {
        data: PushData {
            matching: PushMatch { secret_key, remote_ref: PushRemoteRef { remote_key, property: None } },
            metadata: entry.metadata.clone(),
            conversion_strategy: conversion,
        },
        field: field.to_owned(),
        content,
    };
    if let Some(remote_key) = &entry.remote_key {
        let whole: Values = keys.into_iter().map(|(key, (_, value))| (key, value.clone())).collect();
        let bundle = (!whole.is_empty()).then(|| made(None, remote_key.clone(), Content::Whole(whole)));
        return Ok(bundle.into_iter().collect());
    }
    let steps: Vec<Step> = entry.rewrite.iter().map(Step::from).collect();
    let steps = rewrites(&steps, field)?;
    let one = |(key, (_, value)): (String, (&str, &SecretBytes))| {
        let remote_key = renamed(&steps, &key, field, engine)?;
        Ok(made(Some(key), remote_key, Content::One(value.clone())))
    };
    keys.into_iter().map(one).collect()
}

/// What `key` becomes by all `steps`.
fn renamed(steps: &[Rewrite], key: &str, field: &str, engine: &dyn Render) -> Result<String, Failure> {
    let alone = Values::from([(key.to_owned(), SecretBytes::default())]);
    let renamed = rewrite(steps, alone, engine, field)?.into_keys().next().unwrap_or_default();
    if renamed.is_empty() {
        let words = format!("the key {key:?} becomes nothing, which is no secret's name");
        return Err(Failure::new(Class::Invalid, words).in_field(format!("{field}.rewrite")));
    }
    Ok(renamed)
}

/// Codes of letters, as ExternalSecrets write them by the conversion Unicode.
static CODE: LazyLock<Option<Pattern>> = LazyLock::new(|| Pattern::new("_U([0-9a-fA-F]{4,5})_").ok());

/// The values under converted keys, each with the key that it has in the Secret.
fn converted(conversion: PushConversion, values: &Values) -> Result<BTreeMap<String, (&str, &SecretBytes)>, Failure> {
    let mut made = BTreeMap::new();
    for (key, value) in values {
        let name = match conversion {
            PushConversion::None => key.clone(),
            PushConversion::ReverseUnicode => decoded(key),
        };
        if let Some((other, _)) = made.insert(name.clone(), (key.as_str(), value)) {
            let words = format!("the keys {other:?} and {key:?} both become {name:?} by conversionStrategy");
            return Err(Failure::new(Class::Invalid, words).with_hint("rename one of them"));
        }
    }
    Ok(made)
}

fn decoded(key: &str) -> String {
    let Some(code) = CODE.as_ref() else { return key.to_owned() };
    let mut made = String::with_capacity(key.len());
    let mut end = 0;
    for found in code.regex().captures_iter(key) {
        let (Some(whole), Some(digits)) = (found.get(0), found.get(1)) else { continue };
        // What stands for no letter stays.
        let letter = u32::from_str_radix(digits.as_str(), 16).ok().and_then(char::from_u32);
        made.push_str(&key[end..whole.start()]);
        match letter {
            Some(letter) => made.push(letter),
            None => made.push_str(whole.as_str()),
        }
        end = whole.end();
    }
    made.push_str(&key[end..]);
    made
}

/// What one Secret has for one store.
#[derive(Clone, Debug)]
pub struct Share {
    /// The store's key in `status.syncedPushSecrets`.
    pub store: String,
    /// The Secret, of `sources` by its place.
    pub source: usize,
    /// What goes there.
    pub entry: Entry,
}

/// `shares` without those that go to one place, and a failure for each such place.
pub fn without_duplicates(shares: Vec<Share>, sources: &[Source]) -> (Vec<Share>, Vec<Failure>) {
    let mut by_place: BTreeMap<(String, PushRemoteRef), Vec<Share>> = BTreeMap::new();
    let mut order = Vec::new();
    for share in shares {
        let place = (share.store.clone(), share.entry.place().clone());
        let known = by_place.entry(place.clone()).or_default();
        if known.is_empty() {
            order.push(place);
        }
        known.push(share);
    }
    let mut kept = Vec::new();
    let mut failed = Vec::new();
    for place in order {
        let Some(mut shares) = by_place.remove(&place) else { continue };
        if shares.len() == 1 {
            kept.append(&mut shares);
            continue;
        }
        let from = |share: &Share| {
            let key =
                share.entry.data.matching.secret_key.as_deref().map_or("all keys".to_owned(), |key| format!("{key:?}"));
            let secret = sources.get(share.source).map(|source| source.name.as_str()).unwrap_or_default();
            format!("{key} of Secret {secret:?} ({})", share.entry.field)
        };
        let from: Vec<String> = shares.iter().map(from).collect();
        let words = format!("{} would go to the same place in {}", from.join(" and "), place.0);
        let failure = Failure::new(Class::Invalid, words).on_key(place_key(&place.1));
        failed.push(failure.with_hint("give each a remoteKey or property of its own"));
    }
    (kept, failed)
}

/// What `shares` are in the status.
pub fn synced<'s>(shares: impl IntoIterator<Item = &'s Share>) -> SyncedPushSecrets {
    let mut synced = SyncedPushSecrets::new();
    for share in shares {
        let places = synced.entry(share.store.clone()).or_default();
        places.insert(place_key(share.entry.place()), share.entry.data.clone());
    }
    synced
}

/// Everything of both; of what both have, that of `newer`.
pub fn united(older: &SyncedPushSecrets, newer: &SyncedPushSecrets) -> SyncedPushSecrets {
    let mut all = older.clone();
    for (store, places) in newer {
        all.entry(store.clone()).or_default().extend(places.clone());
    }
    all
}

/// Something that was pushed and is wanted no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removal {
    /// The store's key in `status.syncedPushSecrets`.
    pub store: String,
    /// The place's key there.
    pub key: String,
    /// The place.
    pub place: PushRemoteRef,
    /// The namespace that its metadata names.
    pub namespace: Option<String>,
    /// Whether it must go before anything is pushed: it is a whole secret of which a property is wanted now.
    pub is_first: bool,
}

/// What was pushed and is wanted no more. A property of a secret that is now pushed as a whole is no part of it: the
/// push itself takes it away.
pub fn removals(pushed: &SyncedPushSecrets, wanted: &SyncedPushSecrets) -> Vec<Removal> {
    let mut removals = Vec::new();
    for (store, places) in pushed {
        let nothing = BTreeMap::new();
        let kept = wanted.get(store).unwrap_or(&nothing);
        for (key, data) in places.iter().filter(|(key, _)| !kept.contains_key(*key)) {
            let place = data.matching.remote_ref.clone();
            let mut same_secret =
                kept.values().map(|data| &data.matching.remote_ref).filter(|kept| kept.remote_key == place.remote_key);
            let is_shared = same_secret.clone().next().is_some();
            if place.property.is_some() && same_secret.any(|kept| kept.property.is_none()) {
                continue;
            }
            let is_first = is_shared && place.property.is_none();
            let namespace = namespace_of(data).map(str::to_owned);
            removals.push(Removal { store: store.clone(), key: key.clone(), place, namespace, is_first });
        }
    }
    removals
}
