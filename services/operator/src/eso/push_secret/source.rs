//! What is pushed: Secrets, read when they are due, or the values of a generator, which are kept before they are pushed.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::Api;
use kube::api::ListParams;
use strongroom_api::external_secrets::{GeneratorRef, PushSource};
use strongroom_failure::{Class, Failure};
use strongroom_kube::{SecretObject, Secrets};
use strongroom_sync::push;

use super::Round;
use crate::eso::generators::{Kept, Tended, Term, Wanted};
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
    pub(super) async fn sources(&self, now: Timestamp) -> Result<Sources, Failure> {
        let selector = &self.object.spec.selector;
        match (&selector.generator_ref, &selector.secret) {
            (Some(generator), _) => self.generated(generator, now).await,
            (None, Some(source)) => self.read(source).await,
            (None, None) => Err(Failure::new(Class::Invalid, "names nothing to push").in_field("spec.selector")),
        }
    }

    /// Whether its generator is one of another controller's class.
    pub(super) async fn leaves_to_others(&self) -> bool {
        let Some(generator) = &self.object.spec.selector.generator_ref else { return false };
        self.operator.leaves_to_others(&[generator], &self.name.namespace).await
    }

    /// The generator's values: the same ones at every look until new ones are due or the specification changes.
    async fn generated(&self, generator: &GeneratorRef, now: Timestamp) -> Result<Sources, Failure> {
        let values = Box::pin(self.kept(now).values(&[wanted(generator)])).await.into_iter().next();
        let no_answer = || Err(Failure::new(Class::Unavailable, "the generator gave no answer"));
        let data = values.unwrap_or_else(no_answer)?;
        self.operator.index().pushes.note_sources(self.name, std::iter::empty());
        Ok(Sources::Found(vec![push::Source { name: generator.name.clone(), data, ..push::Source::default() }]))
    }

    /// Where the generator's values are kept.
    fn kept(&self, now: Timestamp) -> Kept<'_> {
        let term = Term {
            now,
            generation: self.object.metadata.generation.unwrap_or_default(),
            interval: self.next(),
            // What a store keeps is never written over, so what was pushed once stays in use.
            is_forever: self.only_if_absent(),
        };
        let ends_with_user = self.deletes();
        Kept { operator: self.operator, user: &self.about, ends_with_user, term, is_rehearsal: false }
    }

    /// Renews what is due of the values that end; most have none.
    pub(super) async fn tend(&self, now: Timestamp) -> Tended {
        if !self.operator.index().generator_states.concerns(&self.key()) {
            return Tended::default();
        }
        Box::pin(self.kept(now).tend()).await
    }

    /// How the values that end stand now; most have none.
    pub(super) fn standing(&self, now: Timestamp) -> Tended {
        if !self.operator.index().generator_states.concerns(&self.key()) {
            return Tended::default();
        }
        self.kept(now).standing()
    }

    /// After a synchronisation that ended well: what was pushed before is used no more.
    pub(super) async fn settle_generated(&self, now: Timestamp) -> Tended {
        if !self.operator.index().generator_states.concerns(&self.key()) {
            return Tended::default();
        }
        let used: Vec<Wanted<'_>> = self.object.spec.selector.generator_ref.iter().map(wanted).collect();
        let kept = self.kept(now);
        Box::pin(kept.settle(&used)).await;
        kept.standing()
    }

    async fn read(&self, source: &PushSource) -> Result<Sources, Failure> {
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

fn wanted(generator: &GeneratorRef) -> Wanted<'_> {
    Wanted { generator, field: "spec.selector.generatorRef".to_owned() }
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
