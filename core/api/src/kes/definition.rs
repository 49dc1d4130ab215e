//! The kind's custom resource definition: what it takes and refuses is what the definition of KES 8.5 does.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde::ser::Error as _;
use serde_json::{Value, json};

use super::{Backend, GROUP, KIND};

/// The definition. Its short name `es` is also that of External Secrets' ExternalSecret: where both are installed,
/// kubectl takes one of them, as it did with the original.
///
/// # Errors
/// Where it is not written as definitions are, which only a mistake in this module can cause.
pub fn crd() -> Result<CustomResourceDefinition, serde_json::Error> {
    serde_json::from_value(json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": "externalsecrets.kubernetes-client.io",
            // KES's own chart says so whoever applies it, and its tests look for it.
            "annotations": {"app.kubernetes.io/managed-by": "helm"},
        },
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": KIND,
                "listKind": "ExternalSecretList",
                "plural": "externalsecrets",
                "singular": "externalsecret",
                "shortNames": ["es"],
            },
            "versions": [{
                "name": "v1",
                "served": true,
                "storage": true,
                "subresources": {"status": {}},
                "additionalPrinterColumns": [
                    {"name": "Last Sync", "type": "date", "jsonPath": ".status.lastSync"},
                    {"name": "status", "type": "string", "jsonPath": ".status.status"},
                    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
                ],
                "schema": {"openAPIV3Schema": {
                    "type": "object",
                    "required": ["spec"],
                    "properties": {"spec": spec(), "status": status()},
                }},
            }],
        },
    }))
}

/// The definition as a YAML file, the same at every call.
///
/// # Errors
/// As of [`crd`].
pub fn crd_yaml() -> Result<String, serde_json::Error> {
    let document = serde_saphyr::to_string(&crd()?).map_err(serde_json::Error::custom)?;
    Ok(format!("---\n{document}"))
}

fn text(description: &str) -> Value {
    json!({"type": "string", "description": description})
}

fn flag(description: &str) -> Value {
    json!({"type": "boolean", "description": description})
}

fn spec() -> Value {
    json!({
        "type": "object",
        "required": ["backendType"],
        "properties": {
            "backendType": {
                "type": "string",
                "description": "The system that holds the values.",
                "enum": Backend::ALL.map(Backend::name),
            },
            "controllerId": text("The controller that serves this object, where there are several."),
            "type": text("The Secret's type; template.type is its successor."),
            "template": {
                "type": "object",
                "description": "What is merged into the Secret, its texts being templates.",
                "x-kubernetes-preserve-unknown-fields": true,
            },
            "data": {
                "type": "array",
                "description": "Single values, and all values below a path. They win over the other lists.",
                "items": entry(),
            },
            "dataFrom": {
                "type": "array",
                "description": "Keys whose JSON objects are taken apart.",
                "items": {"type": "string"},
            },
            "dataFromWithOptions": {
                "type": "array",
                "description": "The same, in a version. They win over dataFrom.",
                "items": from_entry(),
            },
            "roleArn": text("AWS, Alibaba Cloud: the role to take."),
            "region": text("AWS: the region."),
            "vaultRole": text("Vault: the role to log in with."),
            "vaultMountPoint": text("Vault: where the Kubernetes authentication is mounted."),
            "kvVersion": {
                "type": "integer",
                "description": "Vault: the version of the key/value engine; 2 where nothing is said.",
                "minimum": 1,
                "maximum": 2,
            },
            "keyVaultName": text("Azure: the Key Vault's name."),
            "projectId": text("Google: the project; that of the credentials where nothing is said."),
            "keyByName": flag("IBM Cloud: whether keys are names instead of ids."),
        },
        "anyOf": [
            {"required": ["data"]},
            {"required": ["dataFrom"]},
            {"required": ["dataFromWithOptions"]},
        ],
        // The original says so by alternatives, of whose failure nobody learns what is missing.
        "x-kubernetes-validations": [{
            "rule": "self.backendType != 'azureKeyVault' || has(self.keyVaultName)",
            "message": "azureKeyVault needs the name of the Key Vault",
            "reason": "FieldValueRequired",
            "fieldPath": ".keyVaultName",
        }],
    })
}

fn entry() -> Value {
    json!({
        "type": "object",
        "properties": {
            "key": text("The store's name for the value."),
            "name": text("The key in the Secret."),
            "property": text("A part of the value, which is JSON: one of its keys, or a path into it."),
            "isBinary": flag("Whether the value is base64."),
            "path": text("Parameter Store: all values below this path."),
            "recursive": flag("Parameter Store: whether path means what is deeper below it too."),
            "secretType": text("IBM Cloud: the kind of secret."),
            "version": {
                "description": "Google: the version; the latest where nothing is said.",
                "x-kubernetes-int-or-string": true,
            },
            "versionStage": text("Secrets Manager, Alibaba Cloud: the version's stage."),
            "versionId": text("Secrets Manager: the version's id."),
        },
        "oneOf": [{"required": ["key", "name"]}, {"required": ["path"]}],
    })
}

fn from_entry() -> Value {
    json!({
        "type": "object",
        "required": ["key"],
        "properties": {
            "key": text("The store's name for the value."),
            "isBinary": flag("Without any effect."),
            "versionStage": text("Secrets Manager, Alibaba Cloud: the version's stage."),
            "versionId": text("Secrets Manager: the version's id."),
        },
    })
}

fn status() -> Value {
    json!({
        "type": "object",
        "properties": {
            "lastSync": text("When it was last synced."),
            "status": text("SUCCESS, or ERROR and why."),
            "observedGeneration": {"type": "number", "description": "The generation that was synced."},
        },
    })
}
