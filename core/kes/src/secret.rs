//! The Secret that is wanted, and what must be written so that the cluster has it (KE-28, KE-31).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta, OwnerReference};
use serde_json::{Map, Value};
use strongroom_api::kes::{API_VERSION, ExternalSecret, ExternalSecretSpec, GROUP, KIND};
use strongroom_crypto::sha3_224;
use strongroom_failure::{Class, Failure};
use strongroom_secret::SecretBytes;

use crate::Values;

/// The type where nothing is said.
const OPAQUE: &str = "Opaque";

/// The annotation on a Secret that somebody else made, `true`, by which an ExternalSecret of its name may take it over.
pub const ADOPT_ANNOTATION: &str = "strongroom.dev/adopt";

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

/// A Secret as it is to be.
#[derive(Clone)]
pub struct Wanted {
    /// Its name: the ExternalSecret's.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Its type.
    pub kind: String,
    /// Its labels, as far as they are ours.
    pub labels: BTreeMap<String, String>,
    /// Its annotations, as far as they are ours.
    pub annotations: BTreeMap<String, String>,
    /// Whether it is sealed, where the template says.
    pub immutable: Option<bool>,
    /// All of its values.
    pub data: Values,
    /// Its ExternalSecret.
    pub owner: OwnerReference,
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

impl Wanted {
    /// A digest of all of it, by which a process sees that nothing has changed. Made without a key: not to be kept
    /// beyond the process.
    pub fn digest(&self) -> [u8; 28] {
        let mut all = Vec::new();
        let mut add = |bytes: &[u8]| {
            all.extend_from_slice(&bytes.len().to_be_bytes());
            all.extend_from_slice(bytes);
        };
        for (name, value) in &self.data {
            add(name.as_bytes());
            add(value.expose());
        }
        let shown = format!("{:?}", (&self.kind, &self.labels, &self.annotations, self.immutable, &self.owner));
        add(shown.as_bytes());
        // Wiped when it is dropped.
        sha3_224(SecretBytes::new(all).expose())
    }

    /// What must be done so that the cluster has it, given the Secret of its name that is there.
    ///
    /// # Errors
    /// `Invalid` where that one is somebody else's, or can never become this one.
    pub fn plan(&self, current: Option<&Current>) -> Result<Plan, Failure> {
        let Some(current) = current else { return Ok(Plan::Create(self.metadata(None))) };
        self.may_take(current)?;
        let metadata = self.metadata(Some(current));
        let is_same = metadata.labels.clone().unwrap_or_default()
            == current.metadata.labels.clone().unwrap_or_default()
            && metadata.annotations.clone().unwrap_or_default()
                == current.metadata.annotations.clone().unwrap_or_default()
            && metadata.owner_references == current.metadata.owner_references
            && self.immutable.unwrap_or_default() == current.immutable
            && are_same(&self.data, &current.data);
        if self.kind != current.kind {
            let words = format!("the Secret's type is {}, and a type never changes", current.kind);
            return Err(Failure::new(Class::Invalid, words)
                .in_field("spec.template.type")
                .with_hint(format!("delete the Secret, and it is made anew with the type {}", self.kind)));
        }
        if is_same {
            return Ok(Plan::Nothing);
        }
        if current.immutable {
            return Err(Failure::new(Class::Invalid, "the Secret is immutable and would have to change")
                .with_hint("delete the Secret, and it is made anew"));
        }
        Ok(Plan::Replace(metadata))
    }

    fn may_take(&self, current: &Current) -> Result<(), Failure> {
        let owners = current.metadata.owner_references.iter().flatten();
        let mut controllers = owners.filter(|owner| owner.controller == Some(true));
        let may = match controllers.next() {
            Some(owner) => is_of_this_kind(owner) && owner.name == self.owner.name,
            None => {
                let adopt = current.metadata.annotations.as_ref().and_then(|all| all.get(ADOPT_ANNOTATION));
                let mut owners = current.metadata.owner_references.iter().flatten();
                owners.any(|owner| is_of_this_kind(owner) && owner.name == self.owner.name)
                    || adopt.is_some_and(|text| text == "true")
            }
        };
        if may {
            return Ok(());
        }
        let words = format!("the Secret {} exists, and this ExternalSecret did not make it", self.name);
        let hint =
            format!("rename one of the two, or annotate the Secret with {ADOPT_ANNOTATION}=true to have it taken over");
        Err(Failure::new(Class::Invalid, words).with_hint(hint))
    }

    /// The metadata to write: what others added stays.
    fn metadata(&self, current: Option<&Current>) -> ObjectMeta {
        let old = current.map(|current| &current.metadata);
        let ours = current.map(|current| Written::of(&current.metadata)).unwrap_or_default();
        let others = |texts: Option<&BTreeMap<String, String>>, ours: &BTreeSet<String>| {
            let kept = texts.into_iter().flatten().filter(|(name, _)| !ours.contains(*name));
            kept.map(|(name, value)| (name.clone(), value.clone())).collect::<BTreeMap<_, _>>()
        };
        let mut labels = others(old.and_then(|old| old.labels.as_ref()), &ours.labels);
        labels.extend(self.labels.clone());
        let mut annotations = others(old.and_then(|old| old.annotations.as_ref()), &ours.annotations);
        annotations.extend(self.annotations.clone());
        let owners = old.and_then(|old| old.owner_references.clone()).unwrap_or_default().into_iter();
        let mut owners: Vec<_> =
            owners.filter(|owner| !(is_of_this_kind(owner) && owner.name == self.owner.name)).collect();
        owners.insert(0, self.owner.clone());
        ObjectMeta {
            name: Some(self.name.clone()),
            namespace: Some(self.namespace.clone()),
            labels: Some(labels).filter(|labels| !labels.is_empty()),
            annotations: Some(annotations).filter(|annotations| !annotations.is_empty()),
            owner_references: Some(owners),
            finalizers: old.and_then(|old| old.finalizers.clone()),
            resource_version: old.and_then(|old| old.resource_version.clone()),
            uid: old.and_then(|old| old.uid.clone()),
            ..ObjectMeta::default()
        }
    }
}

fn are_same(left: &Values, right: &Values) -> bool {
    let exposed = |((name, value), (other, other_value)): ((&String, &SecretBytes), (&String, &SecretBytes))| {
        name == other && value.expose() == other_value.expose()
    };
    left.len() == right.len() && left.iter().zip(right).all(exposed)
}

fn is_of_this_kind(owner: &OwnerReference) -> bool {
    owner.kind == KIND && owner.api_version.split('/').next() == Some(GROUP)
}

/// A Secret as it is.
#[derive(Clone)]
pub struct Current {
    /// Its metadata, managed fields included.
    pub metadata: ObjectMeta,
    /// Its type.
    pub kind: String,
    /// Whether it is sealed.
    pub immutable: bool,
    /// Its values.
    pub data: Values,
}

/// What must be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Plan {
    /// Nothing: it is as it is to be.
    Nothing,
    /// Make it, with this metadata.
    Create(ObjectMeta),
    /// Replace it, which must still have the resource version of this metadata.
    Replace(ObjectMeta),
}

/// The labels and annotations of a Secret that came with its values: whoever wrote `data` wrote all that it wanted of
/// them, under whatever name (KES's own was that of its HTTP client).
#[derive(Default)]
struct Written {
    labels: BTreeSet<String>,
    annotations: BTreeSet<String>,
}

impl Written {
    fn of(metadata: &ObjectMeta) -> Self {
        let mut written = Self::default();
        for fields in metadata.managed_fields.iter().flatten().filter_map(fields) {
            if fields.get("f:data").is_none() {
                continue;
            }
            let names = |part: &str| {
                let members =
                    fields.get("f:metadata").and_then(|metadata| metadata.get(part)).and_then(Value::as_object);
                let names = members.into_iter().flatten().filter_map(|(name, _)| name.strip_prefix("f:"));
                names.map(str::to_owned).collect::<Vec<_>>()
            };
            written.labels.extend(names("f:labels"));
            written.annotations.extend(names("f:annotations"));
        }
        written
    }
}

fn fields(entry: &ManagedFieldsEntry) -> Option<&Value> {
    entry.fields_v1.as_ref().map(|fields| &fields.0)
}
