//! The Secret that is wanted (KE-31); what must be written so that the cluster has it (KE-28) is the same for all kinds of
//! this sort.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use serde_json::{Map, Value};
use strongroom_api::kes::{API_VERSION, ExternalSecret, ExternalSecretSpec, KIND};
use strongroom_failure::{Class, Failure};
use strongroom_secret::SecretBytes;
use strongroom_sync::owned::OPAQUE;
pub use strongroom_sync::owned::{ADOPT_ANNOTATION, Current, Plan, Wanted};

use crate::Values;

/// Where a text of a template goes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The label of this name.
    Label(String),
    /// The annotation of this name.
    Annotation(String),
    /// The base64 under this key of `data`.
    Data(String),
    /// The text under this key of `stringData`.
    StringData(String),
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (part, name) = match self {
            Self::Label(name) => ("metadata.labels", name),
            Self::Annotation(name) => ("metadata.annotations", name),
            Self::Data(name) => ("data", name),
            Self::StringData(name) => ("stringData", name),
        };
        write!(formatter, "template.{part}[{name:?}]")
    }
}

/// The texts of `spec.template` that become part of the Secret. Its other fields have no effect: the name, the namespace
/// and the kind are the ExternalSecret's business.
///
/// # Errors
/// `Invalid` where something else than a text stands in a text's place.
pub fn pieces(spec: &ExternalSecretSpec) -> Result<Vec<(Place, String)>, Failure> {
    let Some(template) = &spec.template else { return Ok(Vec::new()) };
    let metadata = template.get("metadata").and_then(Value::as_object);
    let in_metadata = |name: &str| metadata.and_then(|metadata| metadata.get(name)).and_then(Value::as_object);
    let mut pieces = Vec::new();
    let mut take = |place: fn(String) -> Place, members: Option<&Map<String, Value>>| {
        members.into_iter().flatten().try_for_each(|(name, value)| {
            pieces.push(piece(place(name.clone()), value)?);
            Ok::<_, Failure>(())
        })
    };
    take(Place::Label, in_metadata("labels"))?;
    take(Place::Annotation, in_metadata("annotations"))?;
    take(Place::Data, template.get("data").and_then(Value::as_object))?;
    take(Place::StringData, template.get("stringData").and_then(Value::as_object))?;
    Ok(pieces)
}

fn piece(place: Place, value: &Value) -> Result<(Place, String), Failure> {
    match value {
        Value::String(text) => Ok((place, text.clone())),
        Value::Null => Ok((place, String::new())),
        _ => Err(Failure::new(Class::Invalid, "is no text").in_field(place.to_string()).with_hint("put it in quotes")),
    }
}

/// Whether a text has anything in it for the template engine.
pub fn is_template(text: &str) -> bool {
    text.contains("<%") || text.contains("${")
}

/// What `object` wants, given the values that were read and the template's texts as they were rendered.
///
/// # Errors
/// `Invalid` where a label is no text, or what stands in the template's `data` is no base64.
pub fn wanted(
    object: &ExternalSecret,
    spec: &ExternalSecretSpec,
    values: Values,
    pieces: Vec<(Place, SecretBytes)>,
) -> Result<Wanted, Failure> {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let mut wanted = Wanted {
        name: text(&object.metadata.name),
        namespace: text(&object.metadata.namespace),
        kind: kind(spec),
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        immutable: spec.template.as_ref().and_then(|template| template.get("immutable")).and_then(Value::as_bool),
        data: Values::new(),
        owner: owner(object),
        kind_field: "spec.template.type",
    };
    let mut last = Values::new();
    for (place, value) in pieces {
        match &place {
            Place::Label(name) => drop(wanted.labels.insert(name.clone(), shown(&place, &value)?)),
            Place::Annotation(name) => drop(wanted.annotations.insert(name.clone(), shown(&place, &value)?)),
            Place::Data(name) => drop(wanted.data.insert(name.clone(), decoded(&place, &value)?)),
            Place::StringData(name) => drop(last.insert(name.clone(), value)),
        }
    }
    // What was read wins over the template's data, and the API server lets stringData win over all.
    wanted.data.extend(values);
    wanted.data.extend(last);
    Ok(wanted)
}

/// The Secret's type: the template's before the spec's own.
pub fn kind(spec: &ExternalSecretSpec) -> String {
    let of_template = spec.template.as_ref().and_then(|template| template.get("type")).and_then(Value::as_str);
    let named = of_template.or(spec.kind.as_deref()).filter(|kind| !kind.is_empty());
    named.unwrap_or(OPAQUE).to_owned()
}

fn owner(object: &ExternalSecret) -> OwnerReference {
    OwnerReference {
        api_version: API_VERSION.to_owned(),
        kind: KIND.to_owned(),
        name: object.metadata.name.clone().unwrap_or_default(),
        uid: object.metadata.uid.clone().unwrap_or_default(),
        controller: Some(true),
        block_owner_deletion: None,
    }
}

fn shown(place: &Place, value: &SecretBytes) -> Result<String, Failure> {
    let text = value.expose_text().map(str::to_owned);
    text.ok_or_else(|| Failure::new(Class::Invalid, "what the template gives is no text").in_field(place.to_string()))
}

fn decoded(place: &Place, value: &SecretBytes) -> Result<SecretBytes, Failure> {
    let decoded = BASE64_STANDARD.decode(value.expose().trim_ascii());
    decoded.map(SecretBytes::new).map_err(|_| {
        Failure::new(Class::Invalid, "what the template gives is no base64")
            .in_field(place.to_string())
            .with_hint("put plain text under stringData")
    })
}
