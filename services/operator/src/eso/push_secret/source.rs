//! The Secrets that are pushed, read when they are due.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::Api;
use kube::api::ListParams;
use strongroom_failure::{Class, Failure};
use strongroom_kube::{SecretObject, Secrets};
use strongroom_sync::push;

use super::Round;
use crate::operator::FIELD_MANAGER;

/// What there is to push.
pub(super) enum Sources {
    /// These Secrets, by name.
    Found(Vec<push::Source>),
    /// Nothing: why.
    Gone(Failure),
}

impl Round<'_> {
    /// Reads the source.
    pub(super) async fn sources(&self) -> Result<Sources, Failure> {
        let selector = &self.object.spec.selector;
        let Some(source) = selector.secret.as_ref().filter(|_| selector.generator_ref.is_none()) else {
            return Err(Failure::new(Class::Invalid, "generators are not served yet")
                .in_field("spec.selector.generatorRef")
                .with_hint("name a Secret in spec.selector.secret"));
        };
        let names = match (&source.name, &source.selector) {
            (Some(name), _) => vec![name.clone()],
            (None, Some(selector)) => self.selected(selector).await?,
            (None, None) => Vec::new(),
        };
        let secrets = Secrets::new(self.operator.connection.client(), FIELD_MANAGER);
        let mut found = Vec::new();
        for name in &names {
            found.extend(secrets.read(&self.name.namespace, name).await?.map(source_of));
        }
        self.operator.index().pushes.note_sources(self.name, names.iter().map(|name| Arc::from(name.as_str())));
        if found.is_empty() {
            return Ok(Sources::Gone(self.missing(source.name.as_deref())));
        }
        Ok(Sources::Found(found))
    }

    fn missing(&self, name: Option<&str>) -> Failure {
        let (words, field) = match name {
            Some(name) => (format!("Secret \"{name}\" does not exist"), "spec.selector.secret.name"),
            None => ("no Secret has these labels".to_owned(), "spec.selector.secret.selector"),
        };
        Failure::new(Class::NotFound, words).in_field(field)
    }

    /// The names of the Secrets with these labels, in order. Only the API server knows the labels of all.
    async fn selected(&self, selector: &LabelSelector) -> Result<Vec<String>, Failure> {
        let text = selector_text(selector);
        let api: Api<Secret> = Api::namespaced(self.operator.connection.client(), &self.name.namespace);
        let listed = api.list_metadata(&ListParams::default().labels(&text)).await;
        let what = format!("list the Secrets of {} with the labels {text}", self.name.namespace);
        let listed = listed.map_err(|error| strongroom_kube::failure::failure(&error, &what, &[]))?;
        let mut names: Vec<String> = listed.items.into_iter().filter_map(|secret| secret.metadata.name).collect();
        names.sort();
        Ok(names)
    }
}

fn source_of(secret: SecretObject) -> push::Source {
    push::Source {
        name: secret.metadata.name.unwrap_or_default(),
        kind: secret.type_,
        labels: secret.metadata.labels.unwrap_or_default(),
        annotations: secret.metadata.annotations.unwrap_or_default(),
        data: secret.data,
    }
}

/// A selector as the API server takes it in an address. It was checked before.
fn selector_text(selector: &LabelSelector) -> String {
    let labels = selector.match_labels.iter().flatten().map(|(key, value)| format!("{key}={value}"));
    let expressions = selector.match_expressions.iter().flatten().map(|expression| {
        let (key, values) = (&expression.key, expression.values.clone().unwrap_or_default().join(","));
        match expression.operator.as_str() {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "DoesNotExist" => format!("!{key}"),
            _ => key.clone(),
        }
    });
    labels.chain(expressions).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_are_written_as_the_api_server_reads_them() {
        let selector: LabelSelector = serde_json::from_value(serde_json::json!({
            "matchLabels": {"a": "1"},
            "matchExpressions": [
                {"key": "b", "operator": "In", "values": ["x", "y"]}, {"key": "c", "operator": "NotIn", "values": ["z"]},
                {"key": "d", "operator": "Exists"}, {"key": "e", "operator": "DoesNotExist"},
            ],
        }))
        .unwrap();
        assert_eq!(selector_text(&selector), "a=1,b in (x,y),c notin (z),d,!e");
        assert_eq!(selector_text(&LabelSelector::default()), "");
    }
}
