//! The policy of a secret at AWS that the metadata of an entry names: it lies in a ConfigMap or a Secret beside the
//! PushSecret. A provider has no cluster to look into, so what it says is put in its place.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;
use strongroom_failure::{Class, Failure};

use super::Round;
use crate::eso::stores::ClusterReader as _;
use crate::reader::Reader;

/// Where in an entry it is named.
pub(super) const FIELD: &str = "metadata.spec.resourcePolicy.policySourceRef";

/// What a policy lies in.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicySource {
    kind: String,
    name: String,
    key: String,
}

impl Round<'_> {
    /// `metadata` with the policy itself instead of where it lies.
    pub(super) async fn with_policy(&self, metadata: Option<Value>) -> Result<Option<Value>, Failure> {
        let named = metadata.as_ref().and_then(|metadata| metadata.pointer("/spec/resourcePolicy/policySourceRef"));
        let Some(named) = named.filter(|named| !named.is_null()).cloned() else { return Ok(metadata) };
        let source = PolicySource::deserialize(&named).map_err(|_| {
            Failure::new(Class::Invalid, "it names a kind (ConfigMap or Secret), a name and a key, and nothing else")
        })?;
        let policy = self.policy(&source).await?;
        let mut metadata = metadata;
        let place = metadata.as_mut().and_then(|metadata| metadata.pointer_mut("/spec/resourcePolicy"));
        if let Some(place) = place.and_then(Value::as_object_mut) {
            place.remove("policySourceRef");
            place.insert("policy".to_owned(), policy.into());
        }
        Ok(metadata)
    }

    async fn policy(&self, PolicySource { kind, name, key }: &PolicySource) -> Result<String, Failure> {
        let reader = Reader::new(self.operator.connection.clone(), Arc::clone(&self.operator.variables));
        let namespace = self.name.namespace.as_ref();
        let found = match kind.as_str() {
            "ConfigMap" => reader.config_map(namespace, name).await.map_err(awaited)?.remove(key),
            "Secret" => {
                let value = reader.secret(namespace, name).await.map_err(awaited)?.remove(key);
                value.and_then(|value| value.expose_text().map(str::to_owned))
            }
            _ => return Err(Failure::new(Class::Invalid, "its kind is neither ConfigMap nor Secret")),
        };
        let words = || format!("the {kind} {name} has no key {key} with a text");
        found.ok_or_else(|| awaited(Failure::new(Class::NotFound, words())))
    }
}

/// Nobody wakes us when a policy comes, so it is looked for again.
fn awaited(failure: Failure) -> Failure {
    match failure.class {
        Class::NotFound => Failure { class: Class::Unavailable, ..failure }
            .with_hint("create it, or name another one in spec.resourcePolicy.policySourceRef of the metadata"),
        _ => failure,
    }
}
