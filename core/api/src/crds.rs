//! The custom resource definitions of all kinds, from their types.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube_core::CustomResourceExt;
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::StorePolicy;
use crate::external_secrets::{
    ClusterExternalSecret, ClusterPushSecret, ClusterSecretStore, ExternalSecret, PushSecret, SecretStore,
};
use crate::generators::{
    ClusterGenerator, EcrAuthorizationToken, Fake, GeneratorState, Mfa, Password, SshKey, StsSessionToken, Uuid,
    VaultDynamicSecret, Webhook,
};

/// The definitions of all kinds, sorted by name.
pub fn crds() -> Vec<CustomResourceDefinition> {
    let mut crds = vec![
        ClusterExternalSecret::crd(),
        ClusterGenerator::crd(),
        ClusterPushSecret::crd(),
        ClusterSecretStore::crd(),
        EcrAuthorizationToken::crd(),
        ExternalSecret::crd(),
        Fake::crd(),
        GeneratorState::crd(),
        Mfa::crd(),
        Password::crd(),
        PushSecret::crd(),
        SecretStore::crd(),
        SshKey::crd(),
        StorePolicy::crd(),
        StsSessionToken::crd(),
        Uuid::crd(),
        VaultDynamicSecret::crd(),
        Webhook::crd(),
    ];
    crds.iter_mut().for_each(finish);
    crds.sort_by(|one, other| one.metadata.name.cmp(&other.metadata.name));
    crds
}

/// The definitions as one YAML file, the same at every call.
///
/// # Errors
/// Where the definitions cannot be written, which only a wrong type of a kind can cause.
pub fn crds_yaml() -> Result<String, serde_json::Error> {
    yaml(&crds())
}

/// Definitions, one document each.
pub(crate) fn yaml(crds: &[CustomResourceDefinition]) -> Result<String, serde_json::Error> {
    let mut yaml = String::new();
    for crd in crds {
        let value = serde_json::to_value(crd)?;
        let document = serde_saphyr::to_string(&Plain(&value)).map_err(serde::ser::Error::custom)?;
        yaml.push_str("---\n");
        yaml.push_str(&document);
    }
    Ok(yaml)
}

/// What the types cannot say, or say otherwise than the API server wants it.
pub(crate) fn finish(crd: &mut CustomResourceDefinition) {
    // As the API server fills it in: who compares what is applied with what is there finds no difference.
    crd.spec.names.list_kind = Some(format!("{}List", crd.spec.names.kind));
    // Its status is written with the rest, as by External Secrets Operator, whose definition it may meet.
    let has_plain_status = crd.spec.names.kind == "GeneratorState";
    for version in &mut crd.spec.versions {
        if has_plain_status {
            version.subresources = None;
        }
        let Some(schema) = version.schema.as_mut().and_then(|schema| schema.open_api_v3_schema.as_mut()) else {
            continue;
        };
        conform(schema);
        schema.title = None;
        let status = schema.properties.as_mut().and_then(|fields| fields.get_mut("status"));
        for (name, field) in status.and_then(|status| status.properties.as_mut()).into_iter().flatten() {
            match name.as_str() {
                // What External Secrets writes before the first sync: null, and a binding without a name.
                "refreshTime" => field.nullable = Some(true),
                "binding" => field.required = None,
                _ => {}
            }
        }
    }
}

/// Makes one schema and all in it conform.
fn conform(schema: &mut JSONSchemaProps) {
    // What is optional is absent and not null: of a null the API server makes an absent field, and then the default.
    schema.nullable = None;
    if let Some(values) = &mut schema.enum_ {
        values.retain(|value| !value.0.is_null());
    }
    // The API server knows these two widths alone.
    if schema.format.as_ref().is_some_and(|format| format.starts_with("uint")) {
        schema.format = None;
    }
    let fields = schema.properties.iter().flat_map(|fields| fields.keys().map(String::as_str));
    if fields.eq(["matchExpressions", "matchLabels"]) {
        // Whoever applies a selector owns all of it: half of one and half of another would select anything.
        schema.x_kubernetes_map_type = Some("atomic".to_owned());
    }
    schema.properties.iter_mut().flat_map(|fields| fields.values_mut()).for_each(conform);
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &mut schema.items {
        conform(items);
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &mut schema.additional_properties {
        conform(values);
    }
}

/// JSON for any serializer: numbers as numbers, where serde_json hands on their text in a form of its own.
struct Plain<'a>(&'a Value);

impl Serialize for Plain<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Null => serializer.serialize_unit(),
            Value::Bool(is_set) => serializer.serialize_bool(*is_set),
            Value::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(whole), _) => serializer.serialize_i64(whole),
                (None, Some(float)) if float.fract() == 0.0 && float.abs() < 1e15 => {
                    serializer.serialize_i64(float as i64)
                }
                (None, float) => serializer.serialize_f64(float.unwrap_or_default()),
            },
            Value::String(text) => serializer.serialize_str(text),
            Value::Array(items) => {
                let mut sequence = serializer.serialize_seq(Some(items.len()))?;
                for item in items {
                    sequence.serialize_element(&Plain(item))?;
                }
                sequence.end()
            }
            Value::Object(fields) => {
                let mut map = serializer.serialize_map(Some(fields.len()))?;
                for (name, value) in fields {
                    map.serialize_entry(name, &Plain(value))?;
                }
                map.end()
            }
        }
    }
}
