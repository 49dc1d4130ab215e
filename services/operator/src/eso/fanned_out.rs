//! What ClusterExternalSecrets and ClusterPushSecrets have of their own.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde_json::{Value, json};
use strongroom_api::GoDuration;
use strongroom_api::external_secrets::vocabulary::{condition, finalizer};
use strongroom_api::external_secrets::{
    ClusterCondition, ClusterExternalSecret, ClusterExternalSecretStatus, ClusterPushSecret, ClusterPushSecretStatus,
    Condition, ExternalSecret, ExternalSecretMetadata, ExternalSecretSpec, PushSecret, PushSecretSpec, Template,
};
use strongroom_failure::Failure;
use strongroom_sync::status::set_condition;

use super::fan_out::{FannedOut, News};
use crate::index::{Index, Key};
use crate::names::Name;

impl FannedOut for ClusterExternalSecret {
    type Child = ExternalSecret;

    const CHILD_WORDS: &'static str = "external secret";
    const METRICS: &'static str = "clusterexternalsecret";
    const FINALIZERS: Option<(&'static str, &'static str)> =
        Some((finalizer::CLUSTER_EXTERNAL_SECRET, finalizer::NAMESPACE_PREFIX));

    fn key(name: Arc<str>) -> Key {
        Key::ClusterExternalSecret(name)
    }

    fn known(index: &Index, name: &str) -> Option<Arc<Self>> {
        index.cluster_external_secret(name)
    }

    fn child(index: &Index, name: &Name) -> Option<ExternalSecret> {
        index.external_secret(name).map(|child| *child)
    }

    fn children(index: &Index, name: &str) -> Vec<Name> {
        index.children_of(name)
    }

    fn problems(&self) -> Vec<Failure> {
        self.problems()
    }

    fn selectors(&self) -> Vec<&LabelSelector> {
        self.spec.namespace_selectors.iter().chain(&self.spec.namespace_selector).collect()
    }

    fn namespaces(&self) -> &[String] {
        &self.spec.namespaces
    }

    fn child_name(&self) -> Option<&str> {
        self.spec.external_secret_name.as_deref()
    }

    fn child_metadata(&self) -> ExternalSecretMetadata {
        self.spec.external_secret_metadata.clone().unwrap_or_default()
    }

    fn new_child(&self, name: &str) -> ExternalSecret {
        ExternalSecret::new(name, self.spec.external_secret_spec.clone())
    }

    fn spec_of(child: &ExternalSecret, is_filled: bool) -> Value {
        let mut spec = child.spec.clone();
        if is_filled {
            fill_external_secret(&mut spec);
        }
        json!(spec)
    }

    fn interval(&self) -> Option<&GoDuration> {
        self.spec.refresh_interval.as_ref()
    }

    fn status(&self, news: News) -> Option<Value> {
        let ready = ClusterCondition {
            kind: condition::READY.to_owned(),
            status: news.ready().to_owned(),
            message: news.message,
        };
        let next = ClusterExternalSecretStatus {
            external_secret_name: Some(news.child_name),
            failed_namespaces: news.failed,
            provisioned_namespaces: news.provisioned,
            conditions: vec![ready],
        };
        (self.status.as_ref() != Some(&next)).then(|| {
            json!({
                "externalSecretName": next.external_secret_name,
                "failedNamespaces": next.failed_namespaces,
                "provisionedNamespaces": next.provisioned_namespaces,
                "conditions": next.conditions,
            })
        })
    }
}

impl FannedOut for ClusterPushSecret {
    type Child = PushSecret;

    const CHILD_WORDS: &'static str = "push secret";
    const METRICS: &'static str = "clusterpushsecret";
    const FINALIZERS: Option<(&'static str, &'static str)> = None;

    fn key(name: Arc<str>) -> Key {
        Key::ClusterPushSecret(name)
    }

    fn known(index: &Index, name: &str) -> Option<Arc<Self>> {
        index.pushes.cluster(name)
    }

    fn child(index: &Index, name: &Name) -> Option<PushSecret> {
        index.pushes.get(name).map(|child| PushSecret::clone(&child))
    }

    fn children(index: &Index, name: &str) -> Vec<Name> {
        index.pushes.children_of(name)
    }

    fn problems(&self) -> Vec<Failure> {
        self.problems()
    }

    fn selectors(&self) -> Vec<&LabelSelector> {
        self.spec.namespace_selectors.iter().collect()
    }

    fn namespaces(&self) -> &[String] {
        &[]
    }

    fn child_name(&self) -> Option<&str> {
        self.spec.push_secret_name.as_deref()
    }

    fn child_metadata(&self) -> ExternalSecretMetadata {
        self.spec.push_secret_metadata.clone().unwrap_or_default()
    }

    fn new_child(&self, name: &str) -> PushSecret {
        PushSecret::new(name, self.spec.push_secret_spec.clone())
    }

    fn spec_of(child: &PushSecret, is_filled: bool) -> Value {
        let mut spec = child.spec.clone();
        if is_filled {
            fill_push_secret(&mut spec);
        }
        json!(spec)
    }

    fn interval(&self) -> Option<&GoDuration> {
        self.spec.refresh_interval.as_ref()
    }

    fn status(&self, news: News) -> Option<Value> {
        let before = self.status.clone().unwrap_or_default();
        let ready = Condition {
            kind: condition::READY.to_owned(),
            status: news.ready().to_owned(),
            message: news.message,
            ..Condition::default()
        };
        let mut next = ClusterPushSecretStatus {
            push_secret_name: Some(news.child_name),
            failed_namespaces: news.failed,
            provisioned_namespaces: news.provisioned,
            conditions: before.conditions.clone(),
        };
        set_condition(&mut next.conditions, ready, Timestamp::now());
        (before != next).then(|| {
            json!({
                "pushSecretName": next.push_secret_name,
                "failedNamespaces": next.failed_namespaces,
                "provisionedNamespaces": next.provisioned_namespaces,
                "conditions": next.conditions,
            })
        })
    }
}

/// Puts in what the API server fills in, so that a default is no difference.
fn fill_external_secret(spec: &mut ExternalSecretSpec) {
    spec.refresh_interval.get_or_insert_with(|| "1h0m0s".into());
    let target = spec.target.get_or_insert_default();
    target.creation_policy.get_or_insert_default();
    target.deletion_policy.get_or_insert_default();
    target.template.iter_mut().for_each(fill_template);
}

/// As [`fill_external_secret`].
fn fill_push_secret(spec: &mut PushSecretSpec) {
    spec.refresh_interval.get_or_insert_with(|| "1h0m0s".into());
    spec.update_policy.get_or_insert_default();
    spec.deletion_policy.get_or_insert_default();
    let named = spec.data_to.iter_mut().filter_map(|entry| entry.store_ref.as_mut());
    for store in spec.secret_store_refs.iter_mut().chain(named) {
        store.kind.get_or_insert_default();
    }
    let conversions = spec.data.iter_mut().map(|entry| &mut entry.conversion_strategy);
    for conversion in conversions.chain(spec.data_to.iter_mut().map(|entry| &mut entry.conversion_strategy)) {
        conversion.get_or_insert_default();
    }
    if let Some(generator) = &mut spec.selector.generator_ref {
        generator.api_version.get_or_insert_with(|| "generators.external-secrets.io/v1alpha1".to_owned());
    }
    spec.template.iter_mut().for_each(fill_template);
}

fn fill_template(template: &mut Template) {
    template.engine_version.get_or_insert_default();
    template.merge_policy.get_or_insert_default();
    for from in &mut template.template_from {
        from.target.get_or_insert_with(|| "Data".to_owned());
        for source in from.config_map.iter_mut().chain(&mut from.secret) {
            for item in &mut source.items {
                item.template_as.get_or_insert_default();
            }
        }
    }
}
