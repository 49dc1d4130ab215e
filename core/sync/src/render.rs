//! From the stores' values to what is written: applies `spec.target.template`.
//!
//! A template's own data wins over templates from elsewhere, and these over the values as the stores gave them.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Visitor};
use strongroom_api::external_secrets::{
    DecodingStrategy, Template, TemplateFrom, TemplateMergePolicy, TemplateRef, TemplateRefItem, TemplateScope,
};
use strongroom_failure::{Class, Failure};
use strongroom_secret::SecretBytes;
use strongroom_select::decode;

use crate::keys::is_data_key;
use crate::wants::decode_of;
use crate::{OWN_PREFIX, Texts, Values};

/// The template engine.
pub trait Render {
    /// What the template `text` makes of `values`, which are the root of its data. `name` is what a failure calls it.
    ///
    /// # Errors
    /// `Invalid`, with line and column and never a value.
    fn render(&self, name: &str, text: &str, values: &Values) -> Result<SecretBytes, Failure>;
}

/// A ConfigMap or Secret of the ExternalSecret's own namespace that holds templates.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TemplateSource {
    /// A ConfigMap of this name.
    ConfigMap(String),
    /// A Secret of this name.
    Secret(String),
}

/// The objects that [`render`] needs to be given.
pub fn sources(template: Option<&Template>) -> Vec<TemplateSource> {
    let mut sources = Vec::new();
    for entry in template.iter().flat_map(|template| &template.template_from) {
        let config_map = entry.config_map.iter().map(|object| TemplateSource::ConfigMap(object.name.clone()));
        let secret = entry.secret.iter().map(|object| TemplateSource::Secret(object.name.clone()));
        sources.extend(config_map.chain(secret));
    }
    sources.sort();
    sources.dedup();
    sources
}

/// What [`render`] is told.
pub struct Input<'a> {
    /// `spec.target.template`.
    pub template: Option<&'a Template>,
    /// The ExternalSecret's own labels, which are copied where there is no template.
    pub labels: &'a Texts,
    /// The ExternalSecret's own annotations, which are copied where there is no template. Ours are not: on a Secret they
    /// would mean something else.
    pub annotations: &'a Texts,
    /// The stores' values.
    pub values: &'a Values,
    /// The data of the objects that [`sources`] names, as far as they exist.
    pub sources: &'a BTreeMap<TemplateSource, Values>,
    /// Whether a template that fails spoils only what it makes (`strongroom.dev/partial`).
    pub is_partial: bool,
    /// The template engine.
    pub render: &'a dyn Render,
}

/// What is to be written into a Secret.
#[derive(Clone, Default)]
pub struct Rendered {
    /// Its data.
    pub data: Values,
    /// Its labels, without those that say whose it is.
    pub labels: Texts,
    /// Its annotations, without the data hash.
    pub annotations: Texts,
    /// Its finalizers.
    pub finalizers: Vec<String>,
    /// Its type, where the template names one.
    pub kind: Option<String>,
    /// What failed, each in its field; nothing unless the input was partial.
    pub failed: Vec<Failure>,
}

impl fmt::Debug for Rendered {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<_> = self.data.keys().collect();
        // Templates of labels and annotations may hold values too.
        formatter.debug_struct("Rendered").field("keys", &keys).field("failed", &self.failed).finish_non_exhaustive()
    }
}

/// Makes what is to be written of the stores' values.
///
/// # Errors
/// All failures, each in its field and none with a value: a template, an object that is not there, a key that a Secret
/// cannot have, a type that nobody may have made. Where the input is partial, only what is forbidden.
pub fn render(input: &Input<'_>) -> Result<Rendered, Vec<Failure>> {
    let mut rendered = match input.template {
        None => copied(input),
        Some(template) => {
            check_privileges(template).map_err(|failure| vec![failure])?;
            templated(template, input)
        }
    };
    let (valid, invalid) = std::mem::take(&mut rendered.data).into_iter().partition(|(key, _)| is_data_key(key));
    rendered.data = valid;
    rendered.failed.extend(invalid.keys().map(|key: &String| {
        let words = format!("a Secret cannot have the key {key:?}: its keys are letters, digits, - . _");
        Failure::new(Class::Invalid, words).in_field("spec.target")
    }));
    if input.is_partial || rendered.failed.is_empty() { Ok(rendered) } else { Err(rendered.failed) }
}

fn copied(input: &Input<'_>) -> Rendered {
    Rendered {
        data: input.values.clone(),
        labels: input.labels.clone(),
        annotations: own_left_out(input.annotations),
        ..Rendered::default()
    }
}

/// Annotations without ours.
pub(crate) fn own_left_out(annotations: &Texts) -> Texts {
    annotations
        .iter()
        .filter(|(key, _)| !key.starts_with(OWN_PREFIX))
        .map(|(key, text)| (key.clone(), text.clone()))
        .collect()
}

fn templated(template: &Template, input: &Input<'_>) -> Rendered {
    let mut rendered = Rendered { kind: template.kind.clone(), ..Rendered::default() };
    let has_templates = !template.data.is_empty() || !template.template_from.is_empty();
    if template.merge_policy == Some(TemplateMergePolicy::Merge) || !has_templates {
        rendered.data = input.values.clone();
    }
    for (index, entry) in template.template_from.iter().enumerate() {
        let field = format!("spec.target.template.templateFrom[{index}]");
        if let Err(failure) = put_entry(&mut rendered, entry, &field, input) {
            rendered.failed.push(placed(failure, &field));
        }
    }
    for (key, text) in &template.data {
        match input.render.render(key, text, input.values) {
            Ok(value) => drop(rendered.data.insert(key.clone(), value)),
            Err(failure) => rendered.failed.push(placed(failure, &format!("spec.target.template.data.{key}"))),
        }
    }
    let Some(metadata) = &template.metadata else { return rendered };
    let (labels, failed) = texts(&metadata.labels, "labels", input);
    rendered.labels.extend(labels);
    rendered.failed.extend(failed);
    let (annotations, failed) = texts(&metadata.annotations, "annotations", input);
    rendered.annotations.extend(annotations);
    rendered.failed.extend(failed);
    rendered.finalizers = metadata.finalizers.clone();
    rendered
}

/// The rendered templates of labels or annotations, and what failed.
pub(crate) fn texts(templates: &Texts, part: &str, input: &Input<'_>) -> (Texts, Vec<Failure>) {
    let mut made = Texts::new();
    let mut failed = Vec::new();
    for (key, template) in templates {
        match input.render.render(key, template, input.values).and_then(|value| text(key, &value)) {
            Ok(text) => drop(made.insert(key.clone(), text)),
            Err(failure) => failed.push(placed(failure, &format!("spec.target.template.metadata.{part}.{key}"))),
        }
    }
    (made, failed)
}

fn text(key: &str, value: &SecretBytes) -> Result<String, Failure> {
    let text = value.expose_text().map(str::to_owned);
    text.ok_or_else(|| Failure::new(Class::Invalid, format!("what the template makes for {key:?} is no text")))
}

fn put_entry(rendered: &mut Rendered, entry: &TemplateFrom, field: &str, input: &Input<'_>) -> Result<(), Failure> {
    let values = flat(pieces(entry, field, input)?, entry.values_decoding_strategy)?;
    match Place::of(entry.target.as_deref()) {
        Some(Place::Data) => rendered.data.extend(values),
        Some(Place::Labels) => {
            for (key, value) in &values {
                rendered.labels.insert(key.clone(), text(key, value)?);
            }
        }
        Some(Place::Annotations) => {
            for (key, value) in &values {
                rendered.annotations.insert(key.clone(), text(key, value)?);
            }
        }
        None => return Err(wrong_target(entry.target.as_deref().unwrap_or_default())),
    }
    Ok(())
}

/// The parts of every object into which templates from elsewhere go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Data,
    Labels,
    Annotations,
}

impl Place {
    /// What a target names; `None` where it is none of the three.
    pub(crate) fn of(target: Option<&str>) -> Option<Self> {
        match target {
            None | Some("") => Some(Self::Data),
            Some(target) if target.eq_ignore_ascii_case("data") => Some(Self::Data),
            Some(target) if target.eq_ignore_ascii_case("labels") => Some(Self::Labels),
            Some(target) if target.eq_ignore_ascii_case("annotations") => Some(Self::Annotations),
            Some(_) => None,
        }
    }
}

fn wrong_target(target: &str) -> Failure {
    let words = format!("the target {target:?} is none of a Secret's: Data, Labels or Annotations");
    Failure::new(Class::Invalid, words)
}

/// What one template made.
pub(crate) enum Piece {
    /// One value.
    One(String, SecretBytes),
    /// YAML: keys and values, or whatever a path can hold.
    Yaml(SecretBytes),
}

/// What the templates of `entry` make, in order: those of a ConfigMap, of a Secret, and the one that is written there.
pub(crate) fn pieces(entry: &TemplateFrom, field: &str, input: &Input<'_>) -> Result<Vec<Piece>, Failure> {
    let mut made = Vec::new();
    let objects = [
        (&entry.config_map, "configMap", TemplateSource::ConfigMap as fn(String) -> TemplateSource),
        (&entry.secret, "secret", TemplateSource::Secret as fn(String) -> TemplateSource),
    ];
    for (object, part, source) in objects {
        let Some(object) = object else { continue };
        let templates = input.sources.get(&source(object.name.clone()));
        for (index, item) in object.items.iter().enumerate() {
            let field = format!("{field}.{part}.items[{index}]");
            let template = template_of(object, item, templates).map_err(|failure| placed(failure, &field))?;
            made.push(
                piece(&item.key, template, item.template_as.unwrap_or_default(), input)
                    .map_err(|failure| placed(failure, &field))?,
            );
        }
    }
    if let Some(literal) = &entry.literal {
        let field = format!("{field}.literal");
        let piece = piece("literal", literal, TemplateScope::KeysAndValues, input);
        made.push(piece.map_err(|failure| placed(failure, &field))?);
    }
    Ok(made)
}

fn template_of<'t>(
    object: &TemplateRef,
    item: &TemplateRefItem,
    templates: Option<&'t Values>,
) -> Result<&'t str, Failure> {
    let Some(templates) = templates else {
        return Err(Failure::new(Class::NotFound, format!("there is no {}", object.name)));
    };
    match templates.get(&item.key).map(SecretBytes::expose_text) {
        Some(Some(template)) => Ok(template),
        Some(None) => Err(Failure::new(Class::Invalid, format!("{} in {} is no text", item.key, object.name))),
        None => Err(Failure::new(Class::NotFound, format!("there is no key {} in {}", item.key, object.name))),
    }
}

fn piece(key: &str, template: &str, scope: TemplateScope, input: &Input<'_>) -> Result<Piece, Failure> {
    let value = input.render.render(key, template, input.values)?;
    Ok(match scope {
        TemplateScope::Values => Piece::One(key.to_owned(), value),
        TemplateScope::KeysAndValues => Piece::Yaml(value),
    })
}

/// What was made as values by key, decoded.
pub(crate) fn flat(pieces: Vec<Piece>, decoding: Option<DecodingStrategy>) -> Result<Values, Failure> {
    let mut values = Values::new();
    for piece in pieces {
        match piece {
            Piece::One(key, value) => drop(values.insert(key, value)),
            Piece::Yaml(text) => values.extend(yaml_texts(&text)?),
        }
    }
    let strategy = decode_of(decoding.unwrap_or_default());
    let decoded = |(key, value)| match decode(strategy, value) {
        Ok(value) => Ok((key, value)),
        Err(failure) => Err(Failure::new(Class::Invalid, format!("{key}: {failure}"))),
    };
    values.into_iter().map(decoded).collect()
}

/// A YAML map of texts.
fn yaml_texts(yaml: &SecretBytes) -> Result<Values, Failure> {
    let no_map = || Failure::new(Class::Invalid, "the template does not make a YAML map of keys and texts");
    let text = yaml.expose_text().ok_or_else(no_map)?;
    if text.trim().is_empty() {
        return Ok(Values::new());
    }
    let map: Option<BTreeMap<String, Scalar>> = read_yaml(text).ok_or_else(no_map)?;
    let checked = |(key, scalar): (String, Scalar)| match scalar.0 {
        Some(value) => Ok((key, value)),
        None => {
            let words = format!("what the template makes under {key:?} is no text");
            Err(Failure::new(Class::Invalid, words).with_hint("put it in quotes, such as with the function quote"))
        }
    };
    map.unwrap_or_default().into_iter().map(checked).collect()
}

/// Reads YAML as Kubernetes does: `yes` and `on` are no texts, and the last of two keys of one name counts.
pub(crate) fn read_yaml<T: serde::de::DeserializeOwned>(text: &str) -> Option<T> {
    let options = serde_saphyr::options! { duplicate_keys: serde_saphyr::options::DuplicateKeyPolicy::LastWins };
    // What the parser says about an error quotes the text.
    serde_saphyr::from_str_with_options(text, options).ok()
}

/// A text; nothing, which counts as the empty text; a number or a truth, which count as texts; `None` for a list or a
/// map.
struct Scalar(Option<SecretBytes>);

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor)
    }
}

struct ScalarVisitor;

impl<'de> Visitor<'de> for ScalarVisitor {
    type Value = Scalar;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a text")
    }

    fn visit_str<E>(self, text: &str) -> Result<Scalar, E> {
        Ok(Scalar(Some(SecretBytes::new(text.as_bytes().to_vec()))))
    }

    fn visit_string<E>(self, text: String) -> Result<Scalar, E> {
        Ok(Scalar(Some(SecretBytes::from(text))))
    }

    fn visit_unit<E>(self) -> Result<Scalar, E> {
        Ok(Scalar(Some(SecretBytes::default())))
    }

    fn visit_none<E>(self) -> Result<Scalar, E> {
        Ok(Scalar(Some(SecretBytes::default())))
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Scalar, E> {
        Ok(Scalar(Some(SecretBytes::from(truth.to_string()))))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Scalar, E> {
        Ok(Scalar(Some(SecretBytes::from(number.to_string()))))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Scalar, E> {
        Ok(Scalar(Some(SecretBytes::from(number.to_string()))))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Scalar, E> {
        Ok(Scalar(fraction(number).map(SecretBytes::from)))
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut items: A) -> Result<Scalar, A::Error> {
        while items.next_element::<serde::de::IgnoredAny>()?.is_some() {}
        Ok(Scalar(None))
    }

    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut members: A) -> Result<Scalar, A::Error> {
        while members.next_entry::<serde::de::IgnoredAny, serde::de::IgnoredAny>()?.is_some() {}
        Ok(Scalar(None))
    }
}

/// A number with a fraction as Kubernetes' reader of YAML makes a text of it: in single precision, as short as Go's `%g`.
fn fraction(number: f64) -> Option<String> {
    #[expect(clippy::cast_possible_truncation, reason = "single precision is what is written")]
    let number = number as f32;
    let scientific = format!("{number:e}");
    let (digits, exponent) = scientific.split_once('e')?;
    let exponent: i32 = exponent.parse().ok()?;
    // Beyond, Go writes the exponent; six is its precision where none is asked for.
    if (-4..6).contains(&exponent) {
        return Some(number.to_string());
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    Some(format!("{digits}e{sign}{:02}", exponent.abs()))
}

/// Secrets from which the cluster makes credentials of its own: nobody gets these by way of an ExternalSecret.
pub fn check_privileges(template: &Template) -> Result<(), Failure> {
    const ACCOUNT_TOKEN: &str = "kubernetes.io/service-account-token";
    const ACCOUNT_NAME: &str = "kubernetes.io/service-account.name";
    let kind = template.kind.as_deref().unwrap_or_default();
    let refused = |words: String| Err(Failure::new(Class::Invalid, words).in_field("spec.target.template.type"));
    if kind == "bootstrap.kubernetes.io/token" {
        return refused(format!("the type {kind} is not allowed: it would let nodes join the cluster"));
    }
    let names_account = template.metadata.iter().any(|metadata| metadata.annotations.contains_key(ACCOUNT_NAME));
    let makes_annotations =
        template.template_from.iter().any(|entry| Place::of(entry.target.as_deref()) == Some(Place::Annotations));
    if kind == ACCOUNT_TOKEN && (names_account || makes_annotations) {
        return refused(format!(
            "the type {kind} with annotations that could name a service account is not allowed: the cluster would make a \
             token that never ends"
        ));
    }
    Ok(())
}

pub(crate) fn placed(failure: Failure, field: &str) -> Failure {
    if failure.subject.field.is_some() { failure } else { failure.in_field(field) }
}
