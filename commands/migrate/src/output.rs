//! The new objects as YAML: a file each, or all to standard output.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kube::ResourceExt as _;
use kube::core::ObjectMeta;
use serde::Serialize;
use serde_json::{Value, json};
use strongroom_api::external_secrets::{ClusterSecretStore, ClusterSecretStoreSpec, SecretStore, SecretStoreKind};
use strongroom_failure::{Class, Failure};
use strongroom_secret::SecretBytes;

use crate::convert::{Copied, Made, Store, leave_out_defaults};

/// One object.
pub(crate) struct Document {
    /// Its file below the output's folder.
    path: String,
    /// Whether others than its owner may not read the file.
    is_secret: bool,
    /// YAML.
    content: SecretBytes,
}

/// All objects that were made, in the order in which they can be applied.
///
/// # Errors
/// Where one cannot be written as YAML, which only a mistake in a type can cause.
pub(crate) fn documents(made: &Made) -> Result<Vec<Document>, Failure> {
    let mut documents = Vec::new();
    for secret in &made.secrets {
        let file = format!("secret-{}.yaml", secret.name);
        let document = document(secret.namespace.as_deref(), &file, &copied(secret))?;
        documents.push(Document { is_secret: true, ..document });
    }
    for store in &made.stores {
        let file = format!("secret-store-{}.yaml", store.name);
        documents.push(document(store.namespace.as_deref(), &file, &store_object(store)?)?);
    }
    for policy in &made.policies {
        documents.push(document(None, &format!("store-policy-{}.yaml", policy.name_any()), &value(policy)?)?);
    }
    for object in &made.external_secrets {
        let file = format!("external-secret-{}.yaml", object.name_any());
        documents.push(document(object.namespace().as_deref(), &file, &value(object)?)?);
    }
    Ok(documents)
}

/// Names of namespaces and objects were looked at before: they are no paths.
fn document(namespace: Option<&str>, file: &str, object: &Value) -> Result<Document, Failure> {
    let path = namespace.map_or_else(|| file.to_owned(), |namespace| format!("{namespace}/{file}"));
    let text = serde_saphyr::to_string(object).map_err(|error| unwritable(&error.to_string()))?;
    Ok(Document { path, is_secret: false, content: SecretBytes::from(text) })
}

fn unwritable(words: &str) -> Failure {
    Failure::new(Class::Invalid, format!("cannot write an object as YAML: {words}"))
}

fn value(object: &impl Serialize) -> Result<Value, Failure> {
    serde_json::to_value(object).map_err(|error| unwritable(&error.to_string()))
}

fn store_object(store: &Store) -> Result<Value, Failure> {
    let (name, namespace) = (Some(store.name.clone()), store.namespace.clone());
    // `new` would give it the labels of the definition.
    let metadata = ObjectMeta { name, namespace, ..ObjectMeta::default() };
    let mut object = match store.kind {
        SecretStoreKind::ClusterSecretStore => {
            let spec = ClusterSecretStoreSpec(store.spec.clone());
            value(&ClusterSecretStore { metadata, spec, status: None })?
        }
        SecretStoreKind::SecretStore => value(&SecretStore { metadata, spec: store.spec.clone(), status: None })?,
    };
    if let Some(provider) = object.pointer_mut("/spec/provider") {
        leave_out_defaults(provider);
    }
    Ok(object)
}

fn copied(secret: &Copied) -> Value {
    let (mut texts, mut bytes) = (BTreeMap::new(), BTreeMap::new());
    for (key, value) in &secret.values {
        match value.expose_text() {
            Some(text) => drop(texts.insert(key.clone(), text.to_owned())),
            None => drop(bytes.insert(key.clone(), STANDARD.encode(value.expose()))),
        }
    }
    let metadata =
        ObjectMeta { name: Some(secret.name.clone()), namespace: secret.namespace.clone(), ..ObjectMeta::default() };
    let mut object = json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque"});
    for (field, values) in [("stringData", texts), ("data", bytes)] {
        if !values.is_empty() {
            object[field] = json!(values);
        }
    }
    object
}

/// Writes a file each below `folder`, which is made where it is missing.
///
/// # Errors
/// Where a file cannot be written, named.
pub(crate) fn write(documents: &[Document], folder: &Path) -> Result<(), Failure> {
    for document in documents {
        let path = folder.join(&document.path);
        let mode = if document.is_secret { 0o600 } else { 0o644 };
        write_file(&path, document.content.expose(), mode)?;
    }
    Ok(())
}

/// Writes a file with these permissions, and its folder where that is missing. The file appears whole.
///
/// # Errors
/// Where it cannot be written, named.
pub(crate) fn write_file(path: &Path, content: &[u8], mode: u32) -> Result<(), Failure> {
    let failed = |error: std::io::Error| {
        Failure::new(Class::Invalid, format!("cannot be written: {error}")).in_field(path.display().to_string())
    };
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(failed)?;
    }
    let mut hidden = path.as_os_str().to_owned();
    hidden.push(".new");
    let mut options = OpenOptions::new();
    let opened = options.write(true).create(true).truncate(true).mode(mode).open(&hidden);
    opened.and_then(|mut file| file.write_all(content)).and_then(|()| fs::rename(&hidden, path)).map_err(failed)
}

/// Writes all to standard output. A reader that has gone away has read enough.
///
/// # Errors
/// Where it cannot be written.
pub(crate) fn print(documents: &[Document]) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    let printed = documents.iter().try_for_each(|document| {
        out.write_all(b"---\n")?;
        out.write_all(document.content.expose())
    });
    match printed.and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::new(Class::Unavailable, format!("cannot write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}
