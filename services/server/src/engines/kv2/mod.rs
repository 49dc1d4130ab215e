//! Secrets with versions (governance.md §9, §10.2, §10.8).

mod usage;

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use strongroom_barrier::View;
use strongroom_http::StatusCode;
use strongroom_kv::{Cas, Config, KvError, Metadata, MetadataChange, V2, VersionInfo, json as kv_json};
use strongroom_policy::acl::Operation;
use strongroom_secret::SecretBytes;

use super::kv1::text;
use crate::engine::{Call, Engine};
use crate::exchange::{Fault, Response};
use crate::members::{Members, duration};
use crate::trouble::of_kv;

/// The content type of a patch (RFC 7396).
const PATCH_TYPE: &str = "application/merge-patch+json";

/// The engine of a kv mount of version 2.
pub(crate) struct Kv2(V2);

impl Kv2 {
    pub(super) fn new(view: View) -> Self {
        Self(V2::new(view))
    }

    async fn data(&self, call: &Call<'_>, path: &str) -> Result<Response, Fault> {
        match call.operation {
            Operation::Read => self.read(call, path).await,
            Operation::Create | Operation::Update => self.write(call, path).await,
            Operation::Patch => self.patch(call, path).await,
            Operation::Delete => {
                self.0.delete_latest(path, call.request.now).await.map_err(of_kv)?;
                Ok(Response::empty())
            }
            _ => Err(Fault::unsupported()),
        }
    }

    async fn read(&self, call: &Call<'_>, path: &str) -> Result<Response, Fault> {
        match self.0.read(path, wanted(call)?, call.request.now).await {
            Ok(read) => {
                let data = value(&read.data)?;
                if let Some(asker) = call.asker {
                    let place = (call.mount.uuid.as_str(), path);
                    call.open.usage.note(place, read.info.number, &asker.display_name, call.request.now);
                }
                Ok(Response::of(Members::default().with("data", data).with("metadata", shown(&read.info))))
            }
            Err(KvError::Gone(info)) => {
                let data = Members::default().with("data", Value::Null).with("metadata", shown(&info));
                Err(Fault::absent().with_data(data))
            }
            Err(error) => Err(of_kv(error)),
        }
    }

    async fn write(&self, call: &Call<'_>, path: &str) -> Result<Response, Fault> {
        let given = call.request.data.expose();
        let data = match given.get("data") {
            None => return Err(Fault::invalid("no data provided")),
            Some(Value::Object(members)) => text(members)?,
            Some(Value::Null) => SecretBytes::from("null".to_owned()),
            Some(_) => return Err(Fault::invalid("error converting input for field \"data\": it has to be an object")),
        };
        let info = self.0.write(path, &data, cas(given)?, call.request.now).await.map_err(of_kv)?;
        Ok(Response::of(Members::from(written(&info))))
    }

    async fn patch(&self, call: &Call<'_>, path: &str) -> Result<Response, Fault> {
        is_patch(call)?;
        let given = call.request.data.expose();
        let Some(Value::Object(patch)) = given.get("data") else { return Err(Fault::invalid("no data provided")) };
        match self.0.patch(path, patch, cas(given)?, call.request.now).await {
            Ok(info) => Ok(Response::of(Members::from(written(&info)))),
            Err(KvError::Gone(info)) => {
                let data = Members::default().with("data", Value::Null).with("metadata", shown(&info));
                Err(Fault::absent().with_data(data))
            }
            Err(error) => Err(of_kv(error)),
        }
    }

    async fn metadata(&self, call: &Call<'_>, path: &str) -> Result<Response, Fault> {
        match call.operation {
            Operation::List => Response::of_names(self.0.list(path).await.map_err(of_kv)?),
            Operation::Read if path.is_empty() => Err(Fault::unsupported()),
            Operation::Read => Ok(Response::of(known(&self.0.metadata(path).await.map_err(of_kv)?))),
            Operation::Create | Operation::Update | Operation::Patch => {
                let is_patch = call.operation == Operation::Patch;
                if is_patch {
                    self::is_patch(call)?;
                }
                let change = change(&call.request.data, is_patch)?;
                self.0.set_metadata(path, &change, call.request.now).await.map_err(of_kv)?;
                Ok(Response::empty())
            }
            Operation::Delete => {
                self.0.delete_metadata(path).await.map_err(of_kv)?;
                call.open.usage.forget(&call.mount.uuid, path).await?;
                Ok(Response::empty())
            }
            Operation::Scan => Err(Fault::unsupported()),
        }
    }

    async fn config(&self, call: &Call<'_>) -> Result<Response, Fault> {
        let config = self.0.config().await.map_err(of_kv)?;
        match call.operation {
            Operation::Read => {
                let data = Members::default()
                    .with("cas_required", config.cas_required)
                    .with("delete_version_after", go_seconds(config.delete_version_after))
                    .with("max_versions", config.max_versions);
                Ok(Response::of(data))
            }
            Operation::Create | Operation::Update => {
                let data = &call.request.data;
                let config = Config {
                    max_versions: whole(data, "max_versions")?.unwrap_or(config.max_versions),
                    cas_required: data.flag("cas_required")?.unwrap_or(config.cas_required),
                    delete_version_after: seconds(data)?.unwrap_or(config.delete_version_after),
                };
                self.0.set_config(&config).await.map_err(of_kv)?;
                Ok(Response::empty())
            }
            _ => Err(Fault::unsupported()),
        }
    }

    async fn subkeys(&self, call: &Call<'_>, path: &str) -> Result<Response, Fault> {
        if call.operation != Operation::Read {
            return Err(Fault::unsupported());
        }
        let depth = whole(&call.request.data, "depth")?.unwrap_or_default();
        match self.0.read(path, wanted(call)?, call.request.now).await {
            Ok(read) => {
                let subkeys = match kv_json::read(&read.data).map_err(of_kv)?.0 {
                    Value::Object(ref members) => Value::Object(kv_json::names_alone(members, depth)),
                    _ => Value::Null,
                };
                Ok(Response::of(Members::default().with("metadata", shown(&read.info)).with("subkeys", subkeys)))
            }
            Err(KvError::Gone(info)) => {
                let data = Members::default().with("metadata", shown(&info)).with("subkeys", Value::Null);
                Err(Fault::absent().with_data(data))
            }
            Err(error) => Err(of_kv(error)),
        }
    }

    async fn versions(&self, call: &Call<'_>, verb: &str, path: &str) -> Result<Response, Fault> {
        if !matches!(call.operation, Operation::Create | Operation::Update) {
            return Err(Fault::unsupported());
        }
        let numbers = numbers(&call.request.data)?;
        if numbers.is_empty() {
            return Err(Fault::invalid(if verb == "delete" {
                "No version number provided"
            } else {
                "no version number provided"
            }));
        }
        let now = call.request.now;
        match verb {
            "delete" => self.0.delete(path, &numbers, now).await,
            "undelete" => self.0.undelete(path, &numbers, now).await,
            _ => self.0.destroy(path, &numbers, now).await,
        }
        .map_err(of_kv)?;
        Ok(Response::empty())
    }
}

#[async_trait]
impl Engine for Kv2 {
    async fn exists(&self, call: &Call<'_>) -> Result<Option<bool>, Fault> {
        match call.path.split_once('/') {
            Some(("data", path)) if !path.is_empty() => self.0.exists(path).await.map(Some).map_err(of_kv),
            Some(("metadata", path)) if !path.is_empty() => match self.0.metadata(path).await {
                Ok(_) => Ok(Some(true)),
                Err(KvError::Absent) => Ok(Some(false)),
                Err(error) => Err(of_kv(error)),
            },
            _ => Ok(None),
        }
    }

    async fn handle(&self, call: &Call<'_>) -> Result<Response, Fault> {
        let (verb, path) = call.path.split_once('/').unwrap_or((call.path, ""));
        match verb {
            "data" => self.data(call, path).await,
            "metadata" => self.metadata(call, path).await,
            "subkeys" => self.subkeys(call, path).await,
            "delete" | "undelete" | "destroy" => self.versions(call, verb, path).await,
            "usage" => self.usage(call, path).await,
            "stale" if path.is_empty() => self.stale(call).await,
            "config" if path.is_empty() => self.config(call).await,
            _ => Err(self.absent(call)),
        }
    }

    fn absent(&self, call: &Call<'_>) -> Fault {
        let verb = call.path.split('/').next().unwrap_or_default();
        if matches!(
            verb,
            "data" | "metadata" | "subkeys" | "delete" | "undelete" | "destroy" | "usage" | "stale" | "config"
        ) {
            return Fault::unsupported();
        }
        let mount = &call.mount.path;
        let words = format!(
            "Invalid path for a versioned K/V secrets engine. See the API docs for the appropriate API endpoints \
             to use. If using the Vault CLI, use 'vault kv get' for this operation; read {mount}data/{}.",
            call.path
        );
        Fault::absent().warning(words)
    }
}

/// The version that a request names; 0, less and none are the latest.
fn wanted(call: &Call<'_>) -> Result<Option<u64>, Fault> {
    Ok(call.request.data.number("version")?.and_then(|number| u64::try_from(number).ok()))
}

fn cas(given: &Map<String, Value>) -> Result<Cas, Fault> {
    match given.get("options") {
        None | Some(Value::Null) => Ok(Cas::Any),
        Some(Value::Object(options)) => Cas::of(options.get("cas")).map_err(of_kv),
        Some(_) => Err(Fault::invalid("options have to be an object")),
    }
}

fn is_patch(call: &Call<'_>) -> Result<(), Fault> {
    match call.request.content_type.as_deref() {
        Some(PATCH_TYPE) => Ok(()),
        None => Err(Fault::invalid("mime: no media type")),
        Some(other) => {
            let words = format!("PATCH requires Content-Type of {PATCH_TYPE}, provided {other}");
            Err(Fault::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, words))
        }
    }
}

fn value(text: &SecretBytes) -> Result<Value, Fault> {
    serde_json::from_slice(text.expose()).map_err(|_| Fault::internal("a record is no JSON: it is a newer version's"))
}

fn moment(time: Option<Timestamp>) -> String {
    time.map_or_else(String::new, |time| time.to_string())
}

/// A version as reads show it.
fn shown(info: &VersionInfo) -> Value {
    Value::Object(written(info))
}

fn written(info: &VersionInfo) -> Map<String, Value> {
    let members = json!({
        "created_time": info.version.created_time.to_string(),
        "custom_metadata": info.custom_metadata,
        "deletion_time": moment(info.version.deletion_time),
        "destroyed": info.version.destroyed,
        "version": info.number,
    });
    match members {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

/// All that is known of a secret.
fn known(metadata: &Metadata) -> Members {
    let version = |(number, version): (&u64, &strongroom_kv::Version)| {
        let shown = json!({
            "created_time": version.created_time.to_string(),
            "deletion_time": moment(version.deletion_time),
            "destroyed": version.destroyed,
        });
        (number.to_string(), shown)
    };
    let versions: Map<String, Value> = metadata.versions.iter().map(version).collect();
    Members::default()
        .with("cas_required", metadata.cas_required)
        .with("created_time", metadata.created_time.to_string())
        .with("current_version", metadata.current_version)
        .with("custom_metadata", json!(metadata.custom_metadata))
        .with("delete_version_after", go_seconds(metadata.delete_version_after))
        .with("max_versions", metadata.max_versions)
        .with("oldest_version", metadata.oldest_version)
        .with("updated_time", metadata.updated_time.to_string())
        .with("versions", versions)
}

fn change(data: &Members, is_patch: bool) -> Result<MetadataChange, Fault> {
    let custom = match data.expose().get("custom_metadata") {
        None => None,
        Some(Value::Null) => Some(BTreeMap::new()),
        Some(Value::Object(members)) => Some(members.iter().map(custom).collect::<Result<_, _>>()?),
        Some(_) => return Err(Fault::invalid("custom_metadata has to be an object of texts")),
    };
    Ok(MetadataChange {
        max_versions: whole(data, "max_versions")?,
        cas_required: data.flag("cas_required")?,
        delete_version_after: seconds(data)?,
        custom_metadata: custom,
        is_patch,
    })
}

fn custom((name, value): (&String, &Value)) -> Result<(String, Option<String>), Fault> {
    match value {
        Value::Null => Ok((name.clone(), None)),
        Value::String(text) => Ok((name.clone(), Some(text.clone()))),
        Value::Number(number) => Ok((name.clone(), Some(number.to_string()))),
        _ => Err(Fault::invalid("custom_metadata has to be an object of texts")),
    }
}

fn whole(data: &Members, name: &str) -> Result<Option<u64>, Fault> {
    let negative = |_| Fault::invalid(format!("{name} cannot be negative"));
    data.number(name)?.map(|number| u64::try_from(number).map_err(negative)).transpose()
}

/// `delete_version_after`: a time, or a negative one to switch it off.
fn seconds(data: &Members) -> Result<Option<i64>, Fault> {
    let Some(text) = data.text("delete_version_after")?.filter(|text| !text.is_empty()) else { return Ok(None) };
    if text.starts_with('-') {
        return Ok(Some(-1));
    }
    let time = duration(&text).ok_or_else(|| Fault::invalid("delete_version_after has to be a duration: \"30d\""))?;
    Ok(Some(i64::try_from(time.as_secs()).unwrap_or(i64::MAX)))
}

/// A time as Go writes it: `3h25m19s`.
fn go_seconds(seconds: i64) -> String {
    if seconds < 0 {
        return "-1s".to_owned();
    }
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{rest}s"),
        (0, minutes) => format!("{minutes}m{rest}s"),
        (hours, minutes) => format!("{hours}h{minutes}m{rest}s"),
    }
}

/// `versions`: numbers, or their texts.
fn numbers(data: &Members) -> Result<Vec<u64>, Fault> {
    let invalid = || Fault::invalid("versions have to be a list of numbers");
    let number = |value: &Value| match value {
        Value::Number(number) => number.to_string().parse().map_err(|_| invalid()),
        Value::String(text) => text.trim().parse().map_err(|_| invalid()),
        _ => Err(invalid()),
    };
    match data.get("versions") {
        None => Ok(Vec::new()),
        Some(Value::Array(items)) => items.iter().map(number).collect(),
        Some(Value::String(text)) => text.split(',').map(|part| number(&Value::from(part))).collect(),
        Some(value) => number(value).map(|number| vec![number]),
    }
}
