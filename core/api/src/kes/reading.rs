//! Reading a spec of which any field may be of any type: what does not fit is left out, and its place is kept.

use serde_json::{Map, Value};

use super::{DataEntry, DataFromEntry, ExternalSecretSpec, ExternalSecretStatus};

/// The spec in `value`.
pub(super) fn spec(value: Value) -> ExternalSecretSpec {
    let mut unreadable = Vec::new();
    let Value::Object(fields) = value else {
        return ExternalSecretSpec { unreadable: vec!["*".to_owned()], ..ExternalSecretSpec::default() };
    };
    let mut fields = Fields { fields, place: String::new(), unreadable: &mut unreadable };
    let spec = ExternalSecretSpec {
        backend_type: fields.text("backendType"),
        controller_id: fields.text("controllerId"),
        kind: fields.text("type"),
        template: fields.read("template", |value| match value {
            Value::Object(template) => Some(template),
            _ => None,
        }),
        data: fields.list("data", entry),
        properties: fields.list("properties", entry),
        data_from: fields.list("dataFrom", |value, _, _| text(value)),
        data_from_with_options: fields.list("dataFromWithOptions", from_entry),
        role_arn: fields.text("roleArn"),
        region: fields.text("region"),
        vault_role: fields.text("vaultRole"),
        vault_mount_point: fields.text("vaultMountPoint"),
        kv_version: fields.read("kvVersion", whole_number),
        key_vault_name: fields.text("keyVaultName"),
        project_id: fields.text("projectId"),
        key_by_name: fields.flag("keyByName"),
        unreadable: Vec::new(),
    };
    ExternalSecretSpec { unreadable, ..spec }
}

/// The status in `value`; what cannot be read is absent, as before the first sync.
pub(super) fn status(value: Value) -> ExternalSecretStatus {
    let mut unreadable = Vec::new();
    let Value::Object(fields) = value else { return ExternalSecretStatus::default() };
    let mut fields = Fields { fields, place: String::new(), unreadable: &mut unreadable };
    ExternalSecretStatus {
        last_sync: fields.text("lastSync"),
        status: fields.text("status"),
        observed_generation: fields.read("observedGeneration", whole_number),
    }
}

/// The fields of one object, taken one by one.
struct Fields<'u> {
    fields: Map<String, Value>,
    /// What stands before the fields' names: nothing, or `data[0].`.
    place: String,
    unreadable: &'u mut Vec<String>,
}

impl Fields<'_> {
    /// The field `name` as `convert` reads it. Null is as absent.
    fn read<T>(&mut self, name: &str, convert: impl FnOnce(Value) -> Option<T>) -> Option<T> {
        let value = self.fields.remove(name).filter(|value| !value.is_null())?;
        let read = convert(value);
        if read.is_none() {
            self.unreadable.push(format!("{}{name}", self.place));
        }
        read
    }

    fn text(&mut self, name: &str) -> Option<String> {
        self.read(name, text)
    }

    fn flag(&mut self, name: &str) -> Option<bool> {
        self.read(name, |value| value.as_bool())
    }

    /// The list `name`. An item that cannot be read keeps its place in `unreadable`, not in the list.
    fn list<T>(&mut self, name: &str, item: impl Fn(Value, &str, &mut Vec<String>) -> Option<T>) -> Option<Vec<T>> {
        let items = self.read(name, |value| match value {
            Value::Array(items) => Some(items),
            _ => None,
        })?;
        let mut list = Vec::with_capacity(items.len());
        for (index, value) in items.into_iter().enumerate() {
            let place = format!("{name}[{index}]");
            match item(value, &place, self.unreadable) {
                Some(read) => list.push(read),
                None => self.unreadable.push(place),
            }
        }
        Some(list)
    }
}

fn entry(value: Value, place: &str, unreadable: &mut Vec<String>) -> Option<DataEntry> {
    let Value::Object(fields) = value else { return None };
    let mut fields = Fields { fields, place: format!("{place}."), unreadable };
    Some(DataEntry {
        key: fields.text("key"),
        name: fields.text("name"),
        property: fields.text("property"),
        is_binary: fields.flag("isBinary"),
        path: fields.text("path"),
        recursive: fields.flag("recursive"),
        secret_type: fields.text("secretType"),
        version: fields.text("version"),
        version_stage: fields.text("versionStage"),
        version_id: fields.text("versionId"),
    })
}

fn from_entry(value: Value, place: &str, unreadable: &mut Vec<String>) -> Option<DataFromEntry> {
    let Value::Object(fields) = value else { return None };
    let mut fields = Fields { fields, place: format!("{place}."), unreadable };
    Some(DataFromEntry {
        key: fields.text("key"),
        is_binary: fields.flag("isBinary"),
        version_stage: fields.text("versionStage"),
        version_id: fields.text("versionId"),
    })
}

/// A text, also one that YAML took for a number because nobody quoted it.
fn text(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn whole_number(value: Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}
