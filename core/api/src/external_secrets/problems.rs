//! What is wrong with an object before anything is done with it: what schemas say, for objects that no schema of ours
//! has seen (files, other people's CRDs), and what they cannot say.

use std::collections::HashSet;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use strongroom_failure::{Class, Failure};
use strongroom_pattern::Pattern;

use super::{
    ClusterExternalSecret, ClusterSecretStore, CreationPolicy, DataEntry, DataFromEntry, DeletionPolicy,
    ExternalSecret, ExternalSecretSpec, MergeStrategy, Rewrite, SecretStore, SecretStoreKind, SecretStoreRef,
    SecretStoreSpec, SourceRef, Target, Template,
};
use crate::GoDuration;
use crate::selection::label_selector;

/// The type of Secrets for which the cluster itself makes a token.
const SERVICE_ACCOUNT_TOKEN: &str = "kubernetes.io/service-account-token";

/// The annotation that says whose token that is.
const SERVICE_ACCOUNT_NAME: &str = "kubernetes.io/service-account.name";

/// The type of Secrets by which nodes join a cluster.
const BOOTSTRAP_TOKEN: &str = "bootstrap.kubernetes.io/token";

impl ExternalSecret {
    /// What is wrong with it; each problem names its field and says what to do. Nothing is synced while there are any.
    pub fn problems(&self) -> Vec<Failure> {
        self.spec.problems("spec")
    }
}

impl ClusterExternalSecret {
    /// What is wrong with it; each problem names its field and says what to do.
    pub fn problems(&self) -> Vec<Failure> {
        let mut problems = self.spec.external_secret_spec.problems("spec.externalSecretSpec");
        check_duration(self.spec.refresh_interval.as_ref(), "spec.refreshTime", &mut problems);
        let one = self.spec.namespace_selector.iter().map(|selector| ("spec.namespaceSelector".to_owned(), selector));
        let many = self.spec.namespace_selectors.iter().enumerate();
        let many = many.map(|(place, selector)| (format!("spec.namespaceSelectors[{place}]"), selector));
        one.chain(many).for_each(|(field, selector)| check_selector(Some(selector), &field, &mut problems));
        problems
    }
}

impl SecretStore {
    /// What is wrong with it; each problem names its field and says what to do.
    pub fn problems(&self) -> Vec<Failure> {
        self.spec.problems()
    }
}

impl ClusterSecretStore {
    /// What is wrong with it; each problem names its field and says what to do.
    pub fn problems(&self) -> Vec<Failure> {
        self.spec.problems()
    }
}

impl SecretStoreRef {
    /// The store's kind and name; `None` where no name is said.
    pub fn named(&self) -> Option<(SecretStoreKind, &str)> {
        Some((self.kind.unwrap_or_default(), self.name.as_deref()?))
    }
}

pub(super) fn problem(field: impl Into<String>, words: impl Into<String>, cure: &str) -> Failure {
    Failure::new(Class::Invalid, words).in_field(field).with_hint(cure)
}

pub(super) fn check_duration(duration: Option<&GoDuration>, field: &str, problems: &mut Vec<Failure>) {
    if let Some(Err(failure)) = duration.map(GoDuration::duration) {
        problems.push(failure.in_field(field));
    }
}

pub(super) fn check_selector(selector: Option<&LabelSelector>, field: &str, problems: &mut Vec<Failure>) {
    if let Some(Err(failure)) = selector.map(label_selector) {
        let inner = failure.subject.field.clone().unwrap_or_default();
        problems.push(failure.in_field(format!("{field}.{inner}")));
    }
}

pub(super) fn check_pattern(pattern: Option<&str>, field: String, problems: &mut Vec<Failure>) {
    if let Some(Err(failure)) = pattern.map(Pattern::new) {
        problems.push(failure.in_field(field));
    }
}

impl ExternalSecretSpec {
    /// What is wrong with it, where it stands under `field` in its object.
    fn problems(&self, field: &str) -> Vec<Failure> {
        let mut problems = Vec::new();
        if self.data.is_empty() && self.data_from.is_empty() {
            let cure = "name single values in data, or many at once in dataFrom";
            problems.push(problem(field, "neither data nor dataFrom names anything to read", cure));
        }
        check_duration(self.refresh_interval.as_ref(), &format!("{field}.refreshInterval"), &mut problems);
        for (place, window) in self.sync_windows.iter().flat_map(|windows| &windows.windows).enumerate() {
            let field = format!("{field}.syncWindows.windows[{place}].duration");
            check_duration(Some(&window.duration), &field, &mut problems);
        }
        if let Some(target) = &self.target {
            target.check(&format!("{field}.target"), &mut problems);
        }
        let has_store = self.secret_store_ref.as_ref().and_then(SecretStoreRef::named).is_some();
        for (place, entry) in self.data.iter().enumerate() {
            entry.check(&format!("{field}.data[{place}]"), has_store, &mut problems);
        }
        self.check_duplicates(field, &mut problems);
        for (place, entry) in self.data_from.iter().enumerate() {
            entry.check(&format!("{field}.dataFrom[{place}]"), has_store, &mut problems);
        }
        problems
    }

    fn check_duplicates(&self, field: &str, problems: &mut Vec<Failure>) {
        let policy = self.target.as_ref().and_then(|target| target.deletion_policy).unwrap_or_default();
        if policy != DeletionPolicy::Retain {
            return;
        }
        let mut seen = HashSet::new();
        for (place, entry) in self.data.iter().enumerate().filter(|(_, entry)| !seen.insert(&entry.secret_key)) {
            let words = format!("another entry writes the key \"{}\" too", entry.secret_key);
            let cure = "give each entry of data its own secretKey";
            problems.push(problem(format!("{field}.data[{place}].secretKey"), words, cure));
        }
    }
}

impl Target {
    fn check(&self, field: &str, problems: &mut Vec<Failure>) {
        let creation = self.creation_policy.unwrap_or_default();
        match (self.deletion_policy.unwrap_or_default(), creation) {
            (DeletionPolicy::Delete, CreationPolicy::Merge | CreationPolicy::None | CreationPolicy::CreateOrMerge) => {
                let words = format!("Delete would delete a Secret that creationPolicy {creation:?} does not own");
                let cure = "set creationPolicy to Owner, or deletionPolicy to Retain or Merge";
                problems.push(problem(format!("{field}.deletionPolicy"), words, cure));
            }
            (DeletionPolicy::Merge, CreationPolicy::None) => {
                let words = "Merge needs a Secret, and creationPolicy None writes none";
                problems.push(problem(format!("{field}.deletionPolicy"), words, "set deletionPolicy to Retain"));
            }
            _ => {}
        }
        if let Some(template) = &self.template {
            template.check_type(&format!("{field}.template"), problems);
            if self.manifest.as_ref().is_none_or(|manifest| manifest.is_secret()) {
                template.check_targets(&format!("{field}.template"), problems);
            }
        }
    }
}

impl Template {
    /// Refuses what no template of a Secret may make.
    pub(super) fn check(&self, field: &str, problems: &mut Vec<Failure>) {
        self.check_type(field, problems);
        self.check_targets(field, problems);
    }

    /// Refuses Secrets from which the cluster would make more than was asked for.
    fn check_type(&self, field: &str, problems: &mut Vec<Failure>) {
        let by_annotation =
            self.metadata.as_ref().is_some_and(|metadata| metadata.annotations.contains_key(SERVICE_ACCOUNT_NAME));
        let by_template = self.template_from.iter().any(|from| is(from.target.as_deref(), "Annotations"));
        match self.kind.as_deref() {
            Some(BOOTSTRAP_TOKEN) => {
                let words = format!("the type {BOOTSTRAP_TOKEN} is not allowed: it would let nodes join the cluster");
                problems.push(problem(format!("{field}.type"), words, "choose another type, such as Opaque"));
            }
            Some(SERVICE_ACCOUNT_TOKEN) if by_annotation || by_template => {
                let words = format!(
                    "the type {SERVICE_ACCOUNT_TOKEN} with annotations that can name a service account is not allowed: \
                     the cluster would make a token that never ends"
                );
                let cure =
                    "leave out the annotation and templateFrom with the target Annotations, or choose another type";
                problems.push(problem(format!("{field}.type"), words, cure));
            }
            _ => {}
        }
    }

    /// Refuses paths into a Secret by which its type or owner could be set.
    fn check_targets(&self, field: &str, problems: &mut Vec<Failure>) {
        for (place, from) in self.template_from.iter().enumerate() {
            let target = from.target.as_deref();
            if target.is_some() && !["Data", "Annotations", "Labels"].iter().any(|known| is(target, known)) {
                let words = "a Secret has no such target for templates";
                let cure = "write Data, Annotations or Labels";
                problems.push(problem(format!("{field}.templateFrom[{place}].target"), words, cure));
            }
        }
    }
}

fn is(target: Option<&str>, known: &str) -> bool {
    target.is_some_and(|target| target.eq_ignore_ascii_case(known))
}

impl DataEntry {
    fn check(&self, field: &str, has_store: bool, problems: &mut Vec<Failure>) {
        match &self.source_ref {
            Some(SourceRef { generator_ref: Some(_), .. }) => {
                let words = "a single value cannot come from a generator";
                problems.push(problem(
                    format!("{field}.sourceRef.generatorRef"),
                    words,
                    "name the generator in dataFrom",
                ));
            }
            source => check_store(source.as_ref(), field, has_store, problems),
        }
    }
}

/// Whether it is said which store an entry reads.
fn check_store(source: Option<&SourceRef>, field: &str, has_store: bool, problems: &mut Vec<Failure>) {
    let cure = "set spec.secretStoreRef.name, or the entry's sourceRef.storeRef.name";
    match source {
        None if !has_store => problems.push(problem(field, "no store is named", cure)),
        Some(SourceRef { store_ref: None, generator_ref: None }) => {
            problems.push(problem(format!("{field}.sourceRef"), "names neither a store nor a generator", cure));
        }
        Some(SourceRef { store_ref: Some(store), .. }) if store.named().is_none() => {
            problems.push(problem(format!("{field}.sourceRef.storeRef"), "names no store", cure));
        }
        _ => {}
    }
}

impl DataFromEntry {
    fn check(&self, field: &str, has_store: bool, problems: &mut Vec<Failure>) {
        let has_generator = self.source_ref.as_ref().is_some_and(|source| source.generator_ref.is_some());
        let cure = "set exactly one of extract, find and sourceRef.generatorRef";
        match (&self.extract, &self.find, has_generator) {
            (None, None, false) => problems.push(problem(field, "names nothing to read", cure)),
            (Some(_), None, false) | (None, Some(_), false) => {
                check_store(self.source_ref.as_ref(), field, has_store, problems);
            }
            (None, None, true) => {}
            _ => problems.push(problem(field, "names more than one thing to read", cure)),
        }
        let pattern = self.find.as_ref().and_then(|find| find.name.as_ref()).and_then(|name| name.regexp.as_deref());
        check_pattern(pattern, format!("{field}.find.name.regexp"), problems);
        for (place, rewrite) in self.rewrite.iter().enumerate() {
            rewrite.check(&format!("{field}.rewrite[{place}]"), problems);
        }
    }
}

impl Rewrite {
    pub(super) fn check(&self, field: &str, problems: &mut Vec<Failure>) {
        let steps = [self.regexp.is_some(), self.transform.is_some(), self.merge.is_some()];
        if steps.into_iter().filter(|is_set| *is_set).count() != 1 {
            let words = "does not say exactly one thing to do";
            problems.push(problem(
                field,
                words,
                "set exactly one of regexp, transform and merge; write several steps in order",
            ));
        }
        let pattern = self.regexp.as_ref().map(|regexp| regexp.source.as_str());
        check_pattern(pattern, format!("{field}.regexp.source"), problems);
        if self.merge.as_ref().is_some_and(|merge| merge.strategy == Some(MergeStrategy::Json) && merge.into.is_none())
        {
            let words = "the strategy JSON needs the key of its result";
            problems.push(problem(format!("{field}.merge.into"), words, "name the key, or use the strategy Extract"));
        }
    }
}

impl SecretStoreSpec {
    /// What is wrong with it; each problem names its field and says what to do.
    pub fn problems(&self) -> Vec<Failure> {
        let mut problems = Vec::new();
        self.check_provider(&mut problems);
        if let Some(Err(failure)) = self.refresh_interval.as_ref().map(super::StoreInterval::duration) {
            problems.push(failure.in_field("spec.refreshInterval"));
        }
        if let Some(retry) = &self.retry_settings {
            check_duration(retry.retry_interval.as_ref(), "spec.retrySettings.retryInterval", &mut problems);
            if retry.max_retries.is_some_and(|retries| retries < 0) {
                let field = "spec.retrySettings.maxRetries";
                problems.push(problem(field, "is less than nothing", "write 0 for no second try"));
            }
        }
        problems.extend(self.namespace_conditions().err().into_iter().flatten());
        problems
    }

    fn check_provider(&self, problems: &mut Vec<Failure>) {
        let provider = &self.provider;
        let served = provider.served();
        if served.len() + provider.others.len() != 1 {
            let words = format!("{} providers are set", served.len() + provider.others.len());
            problems.push(problem("spec.provider", words, "set exactly one; a store for each of them"));
        }
        for slot in provider.others.keys() {
            let cure = "keep another controller for this store (spec.controller), or move its secrets to a store that \
                        is served: aws, azurekv, gcpsm, vault, openBao, kubernetes, crd, webhook, fake";
            problems.push(problem(format!("spec.provider.{slot}"), "this provider is not served", cure));
        }
    }
}
