//! `kubernetes-client.io/v1` ExternalSecret: the kind of kubernetes-external-secrets ("KES") 8.5, as it is in clusters.
//!
//! Its definition is a file of its own ([`crd_yaml`]): who comes from KES has one already, and nobody else wants one.
//! The definition is as strict as the original; the type reads whatever is there, in the older spellings too
//! (`secretDescriptor`, `properties`, `secretManager`), and [`ExternalSecret::problems`] says what is wrong with it.

mod definition;
mod reading;

use std::borrow::Cow;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube_core::Resource;
use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};
use strongroom_failure::{Class, Failure};

pub use definition::{crd, crd_yaml};

/// The API group.
pub const GROUP: &str = "kubernetes-client.io";

/// Group and version, as in `apiVersion` and in owner references of Secrets that KES writes.
pub const API_VERSION: &str = "kubernetes-client.io/v1";

/// The kind.
pub const KIND: &str = "ExternalSecret";

/// The namespaces' annotation that says which roles may be taken, where KES's settings name no other.
pub const ROLE_ANNOTATION: &str = "iam.amazonaws.com/permitted";

/// The namespaces' annotation that says which keys may be read, where KES's settings name no other.
pub const NAMING_ANNOTATION: &str = "externalsecrets.kubernetes-client.io/permitted-key-name";

/// Which values of a store become which Secret: one of the same name, in the same namespace.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ExternalSecret {
    /// The usual metadata.
    pub metadata: ObjectMeta,
    /// What it asks for.
    pub spec: Option<ExternalSecretSpec>,
    /// What it asks for, in the spelling of the first versions; counts where there is no `spec`.
    pub secret_descriptor: Option<ExternalSecretSpec>,
    /// What came of it.
    pub status: Option<ExternalSecretStatus>,
}

/// What an ExternalSecret asks for.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExternalSecretSpec {
    /// The store's system, as it was written; [`ExternalSecretSpec::backend`] reads it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backend_type: Option<String>,
    /// The controller that serves the object, where there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub controller_id: Option<String>,
    /// The Secret's type where the template has none; Opaque where nothing is said.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// What is merged into the Secret, its texts being lodash templates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<Map<String, Value>>,
    /// Single values, and (by `path`) all values below a path. They win over those of the other two lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Vec<DataEntry>>,
    /// The name of `data` in the first versions; counts where there is no `data`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub properties: Option<Vec<DataEntry>>,
    /// Keys whose JSON objects are taken apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_from: Option<Vec<String>>,
    /// The same, in another version than the current one. They win over those of `data_from`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_from_with_options: Option<Vec<DataFromEntry>>,
    /// AWS, Alibaba Cloud: the role to take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role_arn: Option<String>,
    /// AWS: the region.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Vault: the role to log in with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vault_role: Option<String>,
    /// Vault: where the Kubernetes authentication is mounted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vault_mount_point: Option<String>,
    /// Vault: the version of the key/value engine, 1 or 2; 2 where nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kv_version: Option<i64>,
    /// Azure: the vault's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_vault_name: Option<String>,
    /// Google: the project; that of the credentials where nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project_id: Option<String>,
    /// IBM Cloud: whether keys are names instead of ids.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_by_name: Option<bool>,
    /// The fields that could not be read, as paths below the spec (`data[1].key`). They are absent above.
    #[serde(skip)]
    pub unreadable: Vec<String>,
}

/// A single value, or all values below a path.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DataEntry {
    /// The store's name for the value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The key in the Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A part of the value, which is JSON: one of its keys, or else a path into it as lodash has them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub property: Option<String>,
    /// Whether the value is base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_binary: Option<bool>,
    /// Parameter Store: all values below this path, under the last parts of their names. Wins over `key`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Whether `path` means what is deeper below it too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recursive: Option<bool>,
    /// IBM Cloud: the kind of secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_type: Option<String>,
    /// Google: the version, also written as a number; the latest where nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Secrets Manager, Alibaba Cloud: the version's stage.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version_stage: Option<String>,
    /// Secrets Manager: the version's id. Wins over the stage.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version_id: Option<String>,
}

/// A key whose JSON object is taken apart, in a version.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DataFromEntry {
    /// The store's name for the value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Accepted, and without any effect in KES.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_binary: Option<bool>,
    /// Secrets Manager, Alibaba Cloud: the version's stage.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version_stage: Option<String>,
    /// Secrets Manager: the version's id. Wins over the stage.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version_id: Option<String>,
}

/// What came of an ExternalSecret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExternalSecretStatus {
    /// When it was last synced: RFC 3339 in UTC, with milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_sync: Option<String>,
    /// `SUCCESS`, or `ERROR, ` and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// The generation that was synced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}

/// The systems that KES reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Backend {
    /// AWS Secrets Manager.
    SecretsManager,
    /// AWS Systems Manager Parameter Store.
    SystemManager,
    /// HashiCorp Vault.
    Vault,
    /// Azure Key Vault.
    AzureKeyVault,
    /// Google Secret Manager.
    GcpSecretsManager,
    /// Alibaba Cloud KMS Secrets Manager.
    AlicloudSecretsManager,
    /// IBM Cloud Secrets Manager.
    IbmcloudSecretsManager,
    /// Akeyless.
    Akeyless,
}

impl Backend {
    /// All of them, in the order of the definition.
    pub const ALL: [Self; 8] = [
        Self::SecretsManager,
        Self::SystemManager,
        Self::Vault,
        Self::AzureKeyVault,
        Self::GcpSecretsManager,
        Self::AlicloudSecretsManager,
        Self::IbmcloudSecretsManager,
        Self::Akeyless,
    ];

    /// The word of `backendType`.
    pub fn name(self) -> &'static str {
        match self {
            Self::SecretsManager => "secretsManager",
            Self::SystemManager => "systemManager",
            Self::Vault => "vault",
            Self::AzureKeyVault => "azureKeyVault",
            Self::GcpSecretsManager => "gcpSecretsManager",
            Self::AlicloudSecretsManager => "alicloudSecretsManager",
            Self::IbmcloudSecretsManager => "ibmcloudSecretsManager",
            Self::Akeyless => "akeyless",
        }
    }

    /// The system of this word; also of `secretManager`, which the first versions wrote for `secretsManager`.
    pub fn from_name(name: &str) -> Option<Self> {
        let name = if name == "secretManager" { "secretsManager" } else { name };
        Self::ALL.into_iter().find(|backend| backend.name() == name)
    }
}

impl ExternalSecret {
    /// What it asks for, in either spelling, and the field where that stands.
    pub fn asked(&self) -> Option<(&'static str, &ExternalSecretSpec)> {
        let spec = self.spec.as_ref().map(|spec| ("spec", spec));
        spec.or_else(|| self.secret_descriptor.as_ref().map(|spec| ("secretDescriptor", spec)))
    }

    /// What is wrong with it; each problem names its field and says what to do. Where there are none, the definition
    /// would take it, the older spellings apart.
    pub fn problems(&self) -> Vec<Failure> {
        match self.asked() {
            Some((field, spec)) => spec.problems(field),
            None => vec![problem("spec", "is missing", "say in spec what to read")],
        }
    }
}

fn problem(field: impl Into<String>, words: impl Into<String>, cure: &str) -> Failure {
    Failure::new(Class::Invalid, words).in_field(field).with_hint(cure)
}

impl ExternalSecretSpec {
    /// The store's system; `None` where none is named, or one that KES does not know.
    pub fn backend(&self) -> Option<Backend> {
        self.backend_type.as_deref().and_then(Backend::from_name)
    }

    /// The entries of `data`, or else of `properties`, and which of the two.
    pub fn entries(&self) -> (&'static str, &[DataEntry]) {
        match (&self.data, &self.properties) {
            (Some(data), _) => ("data", data),
            (None, Some(properties)) => ("properties", properties),
            (None, None) => ("data", &[]),
        }
    }

    fn problems(&self, field: &str) -> Vec<Failure> {
        let unreadable = self.unreadable.iter().map(|path| {
            problem(format!("{field}.{path}"), "is of the wrong type", "write it as the field's definition says")
        });
        let mut problems: Vec<Failure> = unreadable.collect();
        if self.backend().is_none() {
            let known = Backend::ALL.map(Backend::name).join(", ");
            let words = if self.backend_type.is_some() { "there is no such backend" } else { "is missing" };
            problems.push(problem(format!("{field}.backendType"), words, &format!("write one of {known}")));
        }
        if self.backend() == Some(Backend::AzureKeyVault) && is_empty(self.key_vault_name.as_deref()) {
            problems.push(problem(format!("{field}.keyVaultName"), "is missing", "name the Key Vault"));
        }
        if self.kv_version.is_some_and(|version| !(1..=2).contains(&version)) {
            problems.push(problem(format!("{field}.kvVersion"), "there is no such version", "write 1 or 2"));
        }
        if self.data.is_none()
            && self.properties.is_none()
            && self.data_from.is_none()
            && self.data_from_with_options.is_none()
        {
            let words = "none of data, dataFrom and dataFromWithOptions is there";
            problems.push(problem(field, words, "name single values in data, or many at once in dataFrom"));
        }
        let (list, entries) = self.entries();
        for (place, entry) in entries.iter().enumerate() {
            let by_key = entry.key.is_some() && entry.name.is_some();
            if by_key == entry.path.is_some() {
                let words = "names not exactly one of key (with name) and path";
                problems.push(problem(format!("{field}.{list}[{place}]"), words, "set key and name, or path alone"));
            }
        }
        for (place, entry) in self.data_from_with_options.iter().flatten().enumerate() {
            if entry.key.is_none() {
                let field = format!("{field}.dataFromWithOptions[{place}].key");
                problems.push(problem(field, "is missing", "name the store's key"));
            }
        }
        problems
    }
}

fn is_empty(text: Option<&str>) -> bool {
    text.is_none_or(str::is_empty)
}

impl Resource for ExternalSecret {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind(_: &()) -> Cow<'_, str> {
        KIND.into()
    }

    fn group(_: &()) -> Cow<'_, str> {
        GROUP.into()
    }

    fn version(_: &()) -> Cow<'_, str> {
        "v1".into()
    }

    fn plural(_: &()) -> Cow<'_, str> {
        "externalsecrets".into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

impl Serialize for ExternalSecret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct(KIND, 6)?;
        object.serialize_field("apiVersion", API_VERSION)?;
        object.serialize_field("kind", KIND)?;
        object.serialize_field("metadata", &self.metadata)?;
        if let Some(spec) = &self.spec {
            object.serialize_field("spec", spec)?;
        }
        if let Some(spec) = &self.secret_descriptor {
            object.serialize_field("secretDescriptor", spec)?;
        }
        if let Some(status) = &self.status {
            object.serialize_field("status", status)?;
        }
        object.end()
    }
}

impl<'de> Deserialize<'de> for ExternalSecret {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        /// The object as far as every object is alike.
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Object {
            #[serde(default)]
            metadata: ObjectMeta,
            spec: Option<Value>,
            secret_descriptor: Option<Value>,
            status: Option<Value>,
        }
        let object = Object::deserialize(deserializer)?;
        Ok(Self {
            metadata: object.metadata,
            spec: object.spec.map(reading::spec),
            secret_descriptor: object.secret_descriptor.map(reading::spec),
            status: object.status.map(reading::status),
        })
    }
}
