//! `soluto.com` KamusSecret: Kamus' kind, as it is in clusters, with a status.
//!
//! Its fields stand beside `metadata`, where other kinds have a `spec`. The definition is a file of its own
//! ([`crd_yaml`]); what is stored is `v1alpha2`, and `v1alpha1` is served for who still writes it.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube_core::Resource;
use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Value, json};
use strongroom_failure::{Class, Failure};

use crate::external_secrets::Condition;

/// The API group.
pub const GROUP: &str = "soluto.com";

/// The version that is stored and watched.
pub const VERSION: &str = "v1alpha2";

/// Group and version, as in `apiVersion` and in owner references of Secrets that Kamus writes.
pub const API_VERSION: &str = "soluto.com/v1alpha2";

/// The version in which `data` meant what `stringData` means now.
const OLD_API_VERSION: &str = "soluto.com/v1alpha1";

/// The kind.
pub const KIND: &str = "KamusSecret";

/// Encrypted values that become a Secret of the same name, in the same namespace.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KamusSecret {
    /// The usual metadata.
    pub metadata: ObjectMeta,
    /// By key, what was encrypted as base64.
    pub data: BTreeMap<String, String>,
    /// By key, what was encrypted as it is. It wins over `data`.
    pub string_data: BTreeMap<String, String>,
    /// The account that the values were encrypted for, in the object's own namespace.
    pub service_account: Option<String>,
    /// The Secret's type; Opaque where nothing is said.
    pub kind: Option<String>,
    /// Whether the Secret gets the object's annotations.
    pub propagate_annotations: bool,
    /// What came of it.
    pub status: Option<KamusSecretStatus>,
    /// Keys of `data` that were written by `v1alpha1`: what they hold was encrypted as it is.
    pub texts: BTreeSet<String>,
    /// Fields that could not be read, as `data["key"]`. They are absent above.
    pub unreadable: Vec<String>,
}

/// What came of a KamusSecret.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KamusSecretStatus {
    /// How it stands; `Ready` alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// The generation that the conditions are about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}

impl KamusSecret {
    /// What is wrong with it; each problem names its field and says what to do.
    pub fn problems(&self) -> Vec<Failure> {
        let problem =
            |field: &str, words: &str, cure: &str| Failure::new(Class::Invalid, words).in_field(field).with_hint(cure);
        let unreadable = self.unreadable.iter();
        let mut problems: Vec<Failure> =
            unreadable.map(|field| problem(field, "is of the wrong type", "put an encrypted text in quotes")).collect();
        if self.service_account.as_deref().is_none_or(str::is_empty) {
            let cure = "name the service account that the values were encrypted for";
            problems.push(problem("serviceAccount", "is missing", cure));
        }
        if self.data.is_empty() && self.string_data.is_empty() && self.unreadable.is_empty() {
            problems.push(problem("stringData", "there are no values", "put encrypted texts under stringData"));
        }
        problems
    }
}

impl Resource for KamusSecret {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind(_: &()) -> Cow<'_, str> {
        KIND.into()
    }

    fn group(_: &()) -> Cow<'_, str> {
        GROUP.into()
    }

    fn version(_: &()) -> Cow<'_, str> {
        VERSION.into()
    }

    fn plural(_: &()) -> Cow<'_, str> {
        "kamussecrets".into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

impl Serialize for KamusSecret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct(KIND, 9)?;
        object.serialize_field("apiVersion", API_VERSION)?;
        object.serialize_field("kind", KIND)?;
        object.serialize_field("metadata", &self.metadata)?;
        for (name, values) in [("data", &self.data), ("stringData", &self.string_data)] {
            if !values.is_empty() {
                object.serialize_field(name, values)?;
            }
        }
        for (name, text) in [("serviceAccount", &self.service_account), ("type", &self.kind)] {
            if let Some(text) = text {
                object.serialize_field(name, text)?;
            }
        }
        if self.propagate_annotations {
            object.serialize_field("propagateAnnotations", &true)?;
        }
        if let Some(status) = &self.status {
            object.serialize_field("status", status)?;
        }
        object.end()
    }
}

impl<'de> Deserialize<'de> for KamusSecret {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        /// The object as far as every object is alike.
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Object {
            #[serde(default)]
            metadata: ObjectMeta,
            #[serde(default)]
            data: Value,
            #[serde(default)]
            string_data: Value,
            #[serde(default)]
            service_account: Value,
            #[serde(default, rename = "type")]
            kind: Value,
            #[serde(default)]
            propagate_annotations: Value,
            #[serde(default)]
            status: Value,
        }
        let object = Object::deserialize(deserializer)?;
        let mut unreadable = Vec::new();
        let mut text = |name: &str, value: Value| match value {
            Value::String(text) => Some(text),
            Value::Null => None,
            _ => {
                unreadable.push(name.to_owned());
                None
            }
        };
        let (service_account, kind) = (text("serviceAccount", object.service_account), text("type", object.kind));
        let is_flag = matches!(object.propagate_annotations, Value::Null | Value::Bool(_));
        if !is_flag {
            unreadable.push("propagateAnnotations".to_owned());
        }
        let data = values("data", object.data, &mut unreadable);
        let string_data = values("stringData", object.string_data, &mut unreadable);
        Ok(Self {
            texts: texts(&object.metadata),
            metadata: object.metadata,
            data,
            string_data,
            service_account,
            kind,
            propagate_annotations: object.propagate_annotations == Value::Bool(true),
            status: serde_json::from_value(object.status).unwrap_or_default(),
            unreadable,
        })
    }
}

/// The texts of one field; what is none keeps its place in `unreadable`.
fn values(field: &str, value: Value, unreadable: &mut Vec<String>) -> BTreeMap<String, String> {
    let members = match value {
        Value::Object(members) => members,
        Value::Null => return BTreeMap::new(),
        _ => {
            unreadable.push(field.to_owned());
            return BTreeMap::new();
        }
    };
    let mut texts = BTreeMap::new();
    for (key, value) in members {
        match value {
            Value::String(text) => drop(texts.insert(key, text)),
            _ => unreadable.push(format!("{field}[{key:?}]")),
        }
    }
    texts
}

/// Keys of `data` that the API server has down as written by `v1alpha1` alone. It converts nothing between the versions,
/// so nothing else tells what they mean.
fn texts(metadata: &ObjectMeta) -> BTreeSet<String> {
    let keys = |api_version: &'static str| {
        let entries = metadata.managed_fields.iter().flatten();
        let fields = entries.filter(move |entry| entry.api_version.as_deref() == Some(api_version));
        let data = fields.filter_map(|entry| entry.fields_v1.as_ref()?.0.get("f:data")?.as_object());
        data.flatten().filter_map(|(name, _)| name.strip_prefix("f:")).collect::<BTreeSet<_>>()
    };
    let new = keys(API_VERSION);
    keys(OLD_API_VERSION).difference(&new).map(|key| (*key).to_owned()).collect()
}

/// The definition: Kamus' own, with types for what is in it and a status.
///
/// # Errors
/// Where it is not written as definitions are, which only a mistake in this module can cause.
pub fn crd() -> Result<CustomResourceDefinition, serde_json::Error> {
    serde_json::from_value(json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "kamussecrets.soluto.com"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": KIND,
                "listKind": "KamusSecretList",
                "plural": "kamussecrets",
                "singular": "kamussecret",
                "shortNames": ["ks"],
            },
            "versions": [version(VERSION, true), version("v1alpha1", false)],
        },
    }))
}

/// The definition as a YAML file, the same at every call.
///
/// # Errors
/// As of [`crd`].
pub fn crd_yaml() -> Result<String, serde_json::Error> {
    crate::crds::yaml(&[crd()?])
}

/// Both versions have the same fields: what is written by one loses nothing when it is written by the other.
fn version(name: &str, is_stored: bool) -> Value {
    json!({
        "name": name,
        "served": true,
        "storage": is_stored,
        "subresources": {"status": {}},
        "additionalPrinterColumns": [
            {"name": "Service Account", "type": "string", "jsonPath": ".serviceAccount"},
            {"name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].status"},
            {"name": "Reason", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].reason"},
            {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
        ],
        "schema": {"openAPIV3Schema": {
            "type": "object",
            "description": "Encrypted values that become a Secret of the same name.",
            "properties": {
                "data": encrypted(if is_stored {
                    "By key, what was encrypted as base64."
                } else {
                    "By key, what was encrypted as it is."
                }),
                "stringData": encrypted("By key, what was encrypted as it is. It wins over data."),
                "serviceAccount": text("The account that the values were encrypted for, in this namespace."),
                "type": text("The Secret's type; Opaque where nothing is said."),
                "propagateAnnotations": {
                    "type": "boolean",
                    "description": "Whether the Secret gets the annotations of this object.",
                },
                "status": status(),
            },
        }},
    })
}

fn text(description: &str) -> Value {
    json!({"type": "string", "description": description})
}

fn encrypted(description: &str) -> Value {
    json!({"type": "object", "description": description, "additionalProperties": {"type": "string"}})
}

fn status() -> Value {
    json!({
        "type": "object",
        "description": "What came of it.",
        "properties": {
            "observedGeneration": {
                "type": "integer",
                "format": "int64",
                "description": "The generation that the conditions are about.",
            },
            "conditions": {
                "type": "array",
                "description": "How it stands.",
                "items": {
                    "type": "object",
                    "required": ["status", "type"],
                    "properties": {
                        "type": text("In which respect."),
                        "status": text("True, False or Unknown."),
                        "reason": text("Why, in a word for machines."),
                        "message": text("Why, in words for people."),
                        "lastTransitionTime": {
                            "type": "string",
                            "format": "date-time",
                            "description": "When status last changed.",
                        },
                    },
                },
            },
        },
    })
}
