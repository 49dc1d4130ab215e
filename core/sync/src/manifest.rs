//! Targets of other kinds than Secret (`spec.target.manifest`): the object that is applied, and whether it must be.
//!
//! Such an object may be readable by more people than a Secret, which is why the operator serves only the kinds that it
//! is told to.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};
use strongroom_api::external_secrets::vocabulary::{GROUP, annotation, label, message};
use strongroom_api::external_secrets::{CreationPolicy, DeletionPolicy, ManifestRef, Template};
use strongroom_crypto::sha3_224;
use strongroom_failure::{Class, Failure};
use strongroom_secret::SecretBytes;
use strongroom_select::decode;

use crate::current::Validity;
use crate::hash::{created_by, field_managers, hex};
use crate::object::ManifestObject;
use crate::render::{Input, Piece, Place, flat, own_left_out, pieces, placed, read_yaml, texts};
use crate::target::{Deletion, Outcome, Owner, Refusal};
use crate::wants::decode_of;
use crate::{Texts, Values};

/// The largest index in a path. Elements before it are made where there are none, so that a path could fill the memory.
pub const INDEX_LIMIT: usize = 10_000;

/// The most steps of a path: more than any kind's schema is deep, and bounds what the indexes of one path can make.
const STEPS_LIMIT: usize = 32;

/// What an object should be.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Whose it is.
    pub owner: Owner,
    /// Its name.
    pub name: String,
    /// `spec.target.creationPolicy`.
    pub creation: CreationPolicy,
    /// `spec.target.deletionPolicy`.
    pub deletion: DeletionPolicy,
    /// Whether the stores gave no value at all, before the template.
    pub found_nothing: bool,
    /// What [`build`] made.
    pub object: ManifestObject,
}

/// What to do about an object.
#[derive(Debug, PartialEq)]
pub enum Plan {
    /// Nothing.
    Nothing(Outcome),
    /// Apply this (server-side apply, under [`crate::hash::field_manager`], by force).
    Apply {
        /// The object.
        object: ManifestObject,
        /// Whether there is none yet.
        creates: bool,
    },
    /// Delete it.
    Delete(Deletion),
    /// Write nothing and tell why.
    Refuse(Refusal),
}

/// Builds the object of `kind` named `name` in `owner`'s namespace.
///
/// # Errors
/// All failures, each in its field: a template, an object that is not there, a path that does not fit.
pub fn build(
    kind: &ManifestRef,
    name: &str,
    owner: &Owner,
    creation: CreationPolicy,
    input: &Input<'_>,
) -> Result<ManifestObject, Vec<Failure>> {
    let mut object = ManifestObject::new(json!({
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "metadata": { "name": name, "namespace": owner.namespace },
    }));
    let mut failed = Vec::new();
    let (labels, annotations) = match input.template {
        None => {
            put_plain(&mut object, kind, input.values).unwrap_or_else(|failure| failed.push(failure));
            (input.labels.clone(), own_left_out(input.annotations))
        }
        Some(template) => {
            failed.extend(put_templates(&mut object, template, input));
            let metadata = template.metadata.clone().unwrap_or_default();
            let (labels, wrong_labels) = texts(&metadata.labels, "labels", input);
            let (annotations, wrong_annotations) = texts(&metadata.annotations, "annotations", input);
            failed.extend(wrong_labels.into_iter().chain(wrong_annotations));
            (labels, annotations)
        }
    };
    if failed.is_empty() {
        let finished = finish(&mut object, labels, annotations, owner, creation, input.template);
        failed.extend(finished.err());
    }
    if failed.is_empty() { Ok(object) } else { Err(failed) }
}

/// Labels, annotations, the hash and the owner.
fn finish(
    object: &mut ManifestObject,
    mut labels: Texts,
    annotations: Texts,
    owner: &Owner,
    creation: CreationPolicy,
    template: Option<&Template>,
) -> Result<(), Failure> {
    let root = object.expose_mut();
    labels.insert(label::MANAGED.to_owned(), label::MANAGED_VALUE.to_owned());
    if creation == CreationPolicy::Owner {
        labels.insert(label::OWNER.to_owned(), created_by(&owner.namespace, &owner.name));
        root["metadata"]["ownerReferences"] = json!([{
            "apiVersion": format!("{GROUP}/v1"),
            "kind": "ExternalSecret",
            "name": owner.name,
            "uid": owner.uid,
            "controller": true,
            "blockOwnerDeletion": true,
        }]);
    }
    labels.into_iter().try_for_each(|(key, text)| put_at(root, Place::Labels, &key, text))?;
    annotations.into_iter().try_for_each(|(key, text)| put_at(root, Place::Annotations, &key, text))?;
    let hash = content_hash(root, template);
    put_at(root, Place::Annotations, annotation::DATA_HASH, hash)
}

/// Without a template: a ConfigMap's data, any other kind's `spec.data`.
fn put_plain(object: &mut ManifestObject, kind: &ManifestRef, values: &Values) -> Result<(), Failure> {
    let root = object.expose_mut();
    let path: &[&str] = if kind.kind == "ConfigMap" { &["data"] } else { &["spec", "data"] };
    put_in(root, path, Value::Object(Map::new()))?;
    values
        .iter()
        .try_for_each(|(key, value)| put_in(root, &[path, &[key.as_str()]].concat(), Value::String(text(key, value)?)))
}

fn text(key: &str, value: &SecretBytes) -> Result<String, Failure> {
    value.expose_text().map(str::to_owned).ok_or_else(|| {
        Failure::new(Class::Invalid, format!("the value of {key:?} is no text, which this kind of object needs"))
            .in_field("spec.target.manifest")
    })
}

fn put_templates(object: &mut ManifestObject, template: &Template, input: &Input<'_>) -> Vec<Failure> {
    let mut failed = Vec::new();
    let root = object.expose_mut();
    for (index, entry) in template.template_from.iter().enumerate() {
        let field = format!("spec.target.template.templateFrom[{index}]");
        let made = pieces(entry, &field, input).and_then(|pieces| {
            let Some(place) = Place::of(entry.target.as_deref()) else {
                let path = entry.target.as_deref().unwrap_or_default();
                let strategy = decode_of(entry.values_decoding_strategy.unwrap_or_default());
                return pieces.into_iter().try_for_each(|piece| put_piece(root, path, piece, strategy));
            };
            let values = flat(pieces, entry.values_decoding_strategy)?;
            values.iter().try_for_each(|(key, value)| put_at(root, place, key, text(key, value)?))
        });
        failed.extend(made.err().map(|failure| placed(failure, &field)));
    }
    for (key, template) in &template.data {
        let made = input.render.render(key, template, input.values).and_then(|value| text(key, &value));
        let made = made.and_then(|text| put_at(root, Place::Data, key, text));
        failed.extend(made.err().map(|failure| placed(failure, &format!("spec.target.template.data.{key}"))));
    }
    failed
}

fn put_at(root: &mut Value, place: Place, key: &str, text: String) -> Result<(), Failure> {
    match place {
        Place::Data => put_in(root, &["data", key], Value::String(text)),
        Place::Labels => put_in(root, &["metadata", "labels", key], Value::String(text)),
        Place::Annotations => put_in(root, &["metadata", "annotations", key], Value::String(text)),
    }
}

fn put_in(root: &mut Value, keys: &[&str], value: Value) -> Result<(), Failure> {
    let steps: Vec<Step> = keys.iter().map(|key| Step::Key((*key).to_owned())).collect();
    set(root, &steps, value, false).map_err(|words| unfit(&keys.join("."), &words))
}

fn put_piece(root: &mut Value, path: &str, piece: Piece, strategy: strongroom_select::Decode) -> Result<(), Failure> {
    let steps = steps(path)?;
    check_reach(path, &steps)?;
    match piece {
        Piece::One(key, value) => {
            let value =
                decode(strategy, value).map_err(|failure| Failure::new(Class::Invalid, format!("{key}: {failure}")))?;
            if path.eq_ignore_ascii_case("spec") {
                return put_in(root, &["spec", &key], Value::String(text(&key, &value)?));
            }
            let value = yaml(&value).unwrap_or(Value::String(text(&key, &value)?));
            set(root, &steps, value, false).map_err(|words| unfit(path, &words))
        }
        Piece::Yaml(value) => {
            let no_yaml = || Failure::new(Class::Invalid, "the template does not make YAML");
            let value = yaml(&value).ok_or_else(no_yaml)?;
            set(root, &steps, value, steps.len() > 1).map_err(|words| unfit(path, &words))
        }
    }
}

/// Templates do not say which object it is, whose it is, or how it stands.
fn check_reach(path: &str, steps: &[Step]) -> Result<(), Failure> {
    let key = |index: usize| match steps.get(index) {
        Some(Step::Key(key)) => key.as_str(),
        Some(Step::Index(_)) | None => "",
    };
    let is_allowed = match key(0) {
        "apiVersion" | "kind" | "status" => false,
        "metadata" => matches!(key(1), "labels" | "annotations"),
        _ => true,
    };
    if is_allowed {
        return Ok(());
    }
    Err(Failure::new(Class::Invalid, format!("templates cannot write to {path:?}")))
}

fn yaml(value: &SecretBytes) -> Option<Value> {
    let text = value.expose_text()?;
    if text.trim().is_empty() { Some(Value::Null) } else { read_yaml(text) }
}

fn unfit(path: &str, words: &str) -> Failure {
    Failure::new(Class::Invalid, format!("the path {path:?} does not fit: {words}"))
}

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Key(String),
    Index(usize),
}

/// The steps of a path such as `spec.rules[0].from`.
fn steps(path: &str) -> Result<Vec<Step>, Failure> {
    let mut steps = Vec::new();
    for part in path.split('.') {
        let (name, mut rest) = part.split_at(part.find('[').unwrap_or(part.len()));
        if part.is_empty() || (name.is_empty() && steps.is_empty()) {
            return Err(unfit(path, "a part of it is empty"));
        }
        if !name.is_empty() {
            steps.push(Step::Key(name.to_owned()));
        }
        while !rest.is_empty() {
            let inner = rest.strip_prefix('[').and_then(|inner| inner.split_once(']'));
            let (index, after) = inner.ok_or_else(|| unfit(path, "an index is written [0]"))?;
            match index.parse() {
                Ok(index) if index <= INDEX_LIMIT => steps.push(Step::Index(index)),
                _ => return Err(unfit(path, &format!("an index is a number up to {INDEX_LIMIT}"))),
            }
            rest = after;
        }
    }
    if steps.len() > STEPS_LIMIT {
        return Err(unfit(path, &format!("a path has at most {STEPS_LIMIT} steps")));
    }
    Ok(steps)
}

/// Puts `value` where `steps` lead, making maps and lists on the way. `merges` puts a map's members into a map that is
/// there.
fn set(node: &mut Value, steps: &[Step], value: Value, merges: bool) -> Result<(), String> {
    let Some((step, rest)) = steps.split_first() else {
        match (node, value) {
            (Value::Object(members), Value::Object(new)) if merges => members.extend(new),
            (node, value) => *node = value,
        }
        return Ok(());
    };
    let next = match step {
        Step::Key(name) => {
            if node.is_null() {
                *node = Value::Object(Map::new());
            }
            let members = node.as_object_mut().ok_or_else(|| format!("what holds {name:?} is no map"))?;
            members.entry(name.clone()).or_insert(Value::Null)
        }
        Step::Index(index) => {
            if node.is_null() {
                *node = Value::Array(Vec::new());
            }
            let items = node.as_array_mut().ok_or_else(|| format!("what holds [{index}] is no list"))?;
            if items.len() <= *index {
                items.resize(index + 1, Value::Null);
            }
            &mut items[*index]
        }
    };
    set(next, rest, value, merges)
}

/// The hash of what an ExternalSecret writes into an object: of what its templates' targets hold, or of `spec`, or of
/// `data`.
pub fn content_hash(object: &Value, template: Option<&Template>) -> String {
    let mut content = Value::Null;
    for path in target_paths(template) {
        let steps: Vec<Step> = path.split('.').map(|name| Step::Key(name.to_owned())).collect();
        let found = path.split('.').try_fold(object, |node, name| node.get(name));
        if let Some(found) = found {
            // Two paths that contradict one another cannot both be found.
            let _ = set(&mut content, &steps, found.clone(), false);
        }
    }
    let whole = object.get("spec").or_else(|| object.get("data"));
    let mut text = String::new();
    match (&content, whole) {
        (Value::Null, Some(whole)) => print(whole, &mut text),
        (Value::Null, None) => text.push_str("map[]"),
        (content, _) => print(content, &mut text),
    }
    crate::json::wipe(&mut content);
    hex(&sha3_224(zeroize::Zeroizing::new(text).as_bytes()))
}

/// The paths that a template writes to, in the spelling in which they are looked up.
fn target_paths(template: Option<&Template>) -> Vec<&str> {
    let Some(template) = template else { return Vec::new() };
    let from = template.template_from.iter().map(|entry| match Place::of(entry.target.as_deref()) {
        Some(Place::Labels) => "metadata.labels",
        Some(Place::Annotations) => "metadata.annotations",
        // External Secrets Operator looks "Data" up with its capital letter, and does not find it.
        Some(Place::Data) => entry.target.as_deref().filter(|target| !target.is_empty()).unwrap_or("Data"),
        None => entry.target.as_deref().unwrap_or_default(),
    });
    from.chain((!template.data.is_empty()).then_some("Data")).collect()
}

/// Prints a document as Go prints a `map[string]any`.
fn print(value: &Value, text: &mut String) {
    match value {
        Value::Null => text.push_str("<nil>"),
        Value::Bool(truth) => text.push_str(if *truth { "true" } else { "false" }),
        Value::String(words) => text.push_str(words),
        Value::Number(number) => drop(write!(text, "{number}")),
        Value::Array(items) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    text.push(' ');
                }
                print(item, text);
            }
            text.push(']');
        }
        Value::Object(members) => {
            let mut sorted: Vec<_> = members.iter().collect();
            sorted.sort_by_key(|(key, _)| key.as_str());
            text.push_str("map[");
            for (index, (key, value)) in sorted.into_iter().enumerate() {
                if index > 0 {
                    text.push(' ');
                }
                text.push_str(key);
                text.push(':');
                print(value, text);
            }
            text.push(']');
        }
    }
}

/// What to do so that an object is as it is wanted. `current` is the whole object, if there is one.
pub fn plan(current: Option<&Value>, wanted: &Wanted) -> Plan {
    if wanted.found_nothing
        && let Some(plan) = plan_for_nothing(current, wanted)
    {
        return plan;
    }
    let Some(current) = current else {
        return match wanted.creation {
            CreationPolicy::None => Plan::Nothing(Outcome::Synced),
            CreationPolicy::Merge => Plan::Nothing(Outcome::Missing),
            _ => Plan::Apply { object: wanted.object.clone(), creates: true },
        };
    };
    if wanted.creation == CreationPolicy::None {
        return Plan::Nothing(Outcome::Synced);
    }
    if let Some(refusal) = foreign_controller(current, wanted) {
        return Plan::Refuse(refusal);
    }
    if holds(current, wanted.object.expose()) && !has_stale(current, wanted) {
        return Plan::Nothing(Outcome::Synced);
    }
    Plan::Apply { object: wanted.object.clone(), creates: false }
}

fn plan_for_nothing(current: Option<&Value>, wanted: &Wanted) -> Option<Plan> {
    let refused = |words: &str| {
        let cause = Failure::new(Class::Invalid, words).in_field("spec.target.deletionPolicy");
        Some(Plan::Refuse(Refusal { message: message::NOT_DELETED, cause }))
    };
    match (wanted.deletion, current) {
        (DeletionPolicy::Merge, _) => None,
        (DeletionPolicy::Retain, _) => Some(Plan::Nothing(Outcome::Retained)),
        (DeletionPolicy::Delete, _) if wanted.creation != CreationPolicy::Owner => {
            refused("the stores hold nothing for it, and deletionPolicy: Delete needs creationPolicy: Owner")
        }
        (DeletionPolicy::Delete, None) => Some(Plan::Nothing(Outcome::Deleted)),
        (DeletionPolicy::Delete, Some(current)) => match removal(Some(current), &wanted.owner, wanted.deletion) {
            Some(deletion) => Some(Plan::Delete(deletion)),
            None => refused("the stores hold nothing for it, and the object is not this ExternalSecret's to delete"),
        },
    }
}

/// What to delete when an ExternalSecret is deleted itself.
pub fn removal(current: Option<&Value>, owner: &Owner, deletion: DeletionPolicy) -> Option<Deletion> {
    let current = current.filter(|_| deletion == DeletionPolicy::Delete)?;
    let controller = controller(current)?;
    if !(controller.is_external_secret && controller.name == owner.name) {
        return None;
    }
    let metadata = &current["metadata"];
    let text = |name: &str| metadata[name].as_str().unwrap_or_default().to_owned();
    Some(Deletion { name: text("name"), uid: text("uid"), resource_version: text("resourceVersion") })
}

struct Controller<'v> {
    kind: &'v str,
    name: &'v str,
    is_external_secret: bool,
}

fn controller(object: &Value) -> Option<Controller<'_>> {
    let owners = object["metadata"]["ownerReferences"].as_array()?;
    let owner = owners.iter().find(|owner| owner["controller"] == Value::Bool(true))?;
    let text = |name: &str| owner[name].as_str().unwrap_or_default();
    let is_external_secret = text("kind") == "ExternalSecret" && text("apiVersion").split('/').next() == Some(GROUP);
    Some(Controller { kind: text("kind"), name: text("name"), is_external_secret })
}

fn foreign_controller(current: &Value, wanted: &Wanted) -> Option<Refusal> {
    let controller = controller(current)?;
    let message = match controller.is_external_secret {
        true if controller.name != wanted.owner.name => message::OWNED_BY_ANOTHER,
        false if wanted.creation == CreationPolicy::Owner => message::NOT_OWNED,
        _ => return None,
    };
    let words = format!("the object {} belongs to the {} {}", wanted.name, controller.kind, controller.name);
    let cause = Failure::new(Class::Invalid, words).in_field("spec.target.name");
    Some(Refusal { message, cause })
}

/// Whether `live` has everything that `wanted` has; what servers add beside it does not count.
fn holds(live: &Value, wanted: &Value) -> bool {
    match (live, wanted) {
        (Value::Object(live), Value::Object(wanted)) => {
            wanted.iter().all(|(key, wanted)| live.get(key).is_some_and(|live| holds(live, wanted)))
        }
        (Value::Array(live), Value::Array(wanted)) => {
            live.len() == wanted.len() && live.iter().zip(wanted).all(|(live, wanted)| holds(live, wanted))
        }
        (live, wanted) => live == wanted,
    }
}

/// Whether we wrote something earlier that is not wanted any more; applying takes it away.
fn has_stale(live: &Value, wanted: &Wanted) -> bool {
    let ours = field_managers(&wanted.owner.name);
    let entries = live["metadata"]["managedFields"].as_array().into_iter().flatten();
    let mut ours = entries.filter(|entry| ours.iter().any(|manager| entry["manager"] == *manager));
    ours.any(|entry| owns_more(&entry["fieldsV1"], wanted.object.expose()))
}

/// Whether `fields` (of `fieldsV1`) name something that `wanted` has not. Elements of lists are not looked at: who
/// changes one changes what is wanted.
fn owns_more(fields: &Value, wanted: &Value) -> bool {
    let named = fields.as_object().into_iter().flatten();
    named
        .filter_map(|(name, inner)| Some((name.strip_prefix("f:")?, inner)))
        .any(|(name, inner)| wanted.get(name).is_none_or(|wanted| owns_more(inner, wanted)))
}

/// Whether an object needs to be mended before its time; as [`crate::current::validity`], but the hash is compared with
/// what is there. `seen` is the resource version in which [`plan`] last found nothing to do.
pub fn validity(
    current: Option<&Value>,
    creation: CreationPolicy,
    template: Option<&Template>,
    seen: Option<&str>,
) -> Validity {
    if matches!(creation, CreationPolicy::Orphan | CreationPolicy::None) {
        return Validity::Valid;
    }
    let Some(current) = current else {
        return if creation == CreationPolicy::Merge { Validity::Valid } else { Validity::Missing };
    };
    let metadata = &current["metadata"];
    if seen.is_some_and(|seen| metadata["resourceVersion"] == seen) {
        return Validity::Valid;
    }
    if metadata["labels"][label::MANAGED] != label::MANAGED_VALUE {
        return Validity::Unmanaged;
    }
    match metadata["annotations"][annotation::DATA_HASH].as_str() {
        None => Validity::Unhashed,
        Some(hash) if hash == content_hash(current, template) => Validity::Valid,
        Some(_) => Validity::Drifted,
    }
}
