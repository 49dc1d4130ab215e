//! What is written: the Secret's type, labels, annotations and templates.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};
use strongroom_api::external_secrets::{CreationPolicy, Target, Template, TemplateMergePolicy, TemplateMetadata};
use strongroom_api::kes;

use crate::report::Notes;
use crate::template::{Reason, Translated, is_template, literal, translate, translate_base64};

/// The Secret that KES writes for `spec`: one of the same name.
pub(super) fn target(name: &str, spec: &kes::ExternalSecretSpec, notes: &mut Notes) -> Target {
    let mut making = Making { notes, template: Template::default() };
    // Also where nothing is in it: without a template the ExternalSecret's own labels and annotations are copied, which
    // KES does not do.
    making.template.metadata = Some(TemplateMetadata::default());
    making.template.kind = spec.kind.clone().filter(|kind| !kind.is_empty());
    let mut is_immutable = false;
    for (field, value) in spec.template.iter().flatten() {
        match (field.as_str(), value) {
            (_, Value::Null) | ("apiVersion" | "kind", _) => {}
            ("type", Value::String(kind)) => making.set_type(kind),
            ("metadata", Value::Object(metadata)) => making.metadata(metadata),
            ("stringData", Value::Object(data)) => making.string_data(data),
            ("data", Value::Object(data)) => making.data(data),
            ("immutable", Value::Bool(flag)) => is_immutable = *flag,
            _ => making.notes.differs(format!("template.{field} is left out: a Secret has nothing of the kind")),
        }
    }
    making.leave_out_what_is_read(spec);
    if !making.template.data.is_empty() {
        making.template.merge_policy = Some(TemplateMergePolicy::Merge);
    }
    Target {
        name: Some(name.to_owned()),
        creation_policy: Some(CreationPolicy::Owner),
        template: Some(making.template),
        immutable: is_immutable,
        ..Target::default()
    }
}

/// A template in the making.
struct Making<'n> {
    notes: &'n mut Notes,
    template: Template,
}

impl Making<'_> {
    fn set_type(&mut self, kind: &str) {
        if is_template(kind) {
            self.notes.refuse("template.type is a template, which KES does not fill in", "write the type itself");
        } else if !kind.is_empty() {
            self.template.kind = Some(kind.to_owned());
        }
    }

    fn metadata(&mut self, metadata: &Map<String, Value>) {
        let mut made = TemplateMetadata::default();
        for (field, value) in metadata {
            match (field.as_str(), value) {
                ("labels", Value::Object(labels)) => made.labels = self.texts("template.metadata.labels", labels),
                ("annotations", Value::Object(annotations)) => {
                    made.annotations = self.texts("template.metadata.annotations", annotations);
                }
                ("finalizers", Value::Array(finalizers)) => {
                    made.finalizers = finalizers.iter().filter_map(Value::as_str).map(str::to_owned).collect();
                }
                // What KES writes itself wins.
                ("name" | "ownerReferences", _) | (_, Value::Null) => {}
                _ => self.notes.differs(format!("template.metadata.{field} is left out")),
            }
        }
        self.template.metadata = Some(made);
    }

    fn string_data(&mut self, data: &Map<String, Value>) {
        let texts = self.texts("template.stringData", data);
        self.template.data.extend(texts);
    }

    /// Texts, each a template.
    fn texts(&mut self, field: &str, given: &Map<String, Value>) -> BTreeMap<String, String> {
        let mut texts = BTreeMap::new();
        for (key, value) in given {
            let place = format!("{field}.{key}");
            match value {
                Value::String(text) => {
                    if let Some(text) = self.translated(&place, translate(text)) {
                        texts.insert(key.clone(), text);
                    }
                }
                // An annotation that is null becomes empty in KES; the other two fail there.
                Value::Null => drop(texts.insert(key.clone(), String::new())),
                _ => self.notes.refuse(format!("{place} is no text, which KES cannot write either"), "quote it"),
            }
        }
        texts
    }

    /// Values in base64. Where `stringData` has the same key, the API server prefers that.
    fn data(&mut self, data: &Map<String, Value>) {
        for (key, value) in data {
            let place = format!("template.data.{key}");
            let Value::String(text) = value else {
                self.notes.refuse(format!("{place} is no text, which KES cannot write either"), "quote it");
                continue;
            };
            let made = match translate_base64(text) {
                Some(translated) => self.translated(&place, translated),
                None => self.decoded(&place, text),
            };
            if let Some(made) = made {
                self.template.data.entry(key.clone()).or_insert(made);
            }
        }
    }

    fn translated(&mut self, place: &str, translated: Result<Translated, Reason>) -> Option<String> {
        match translated {
            Ok(translated) => {
                if translated.writes_json {
                    self.notes.differs(format!("{place}: the keys of the JSON are in alphabetical order now"));
                }
                Some(translated.text)
            }
            Err(reason) => {
                let cure = "write it as a Go template by hand: docs/templates.md has the functions";
                self.notes.refuse(format!("{place} {reason}"), cure);
                None
            }
        }
    }

    /// Plain base64 as the text that it is, or decoded when it is rendered.
    fn decoded(&mut self, place: &str, text: &str) -> Option<String> {
        let Ok(bytes) = STANDARD.decode(text) else {
            self.notes.refuse(format!("{place} is no base64, which KES cannot write either"), "encode it");
            return None;
        };
        Some(match String::from_utf8(bytes) {
            Ok(decoded) => literal(&decoded),
            Err(_) => format!("{{{{ \"{text}\" | b64dec }}}}"),
        })
    }

    /// A key of `template.data` that is read from a store too is the store's in KES. With `stringData` it is not.
    fn leave_out_what_is_read(&mut self, spec: &kes::ExternalSecretSpec) {
        let template = spec.template.as_ref();
        let field = |name: &str| template.and_then(|template| template.get(name)).and_then(Value::as_object);
        let is_string_data = |key: &str| field("stringData").is_some_and(|data| data.contains_key(key));
        for name in spec.entries().1.iter().filter_map(|entry| entry.name.as_deref()) {
            if !is_string_data(name) && self.template.data.remove(name).is_some() {
                self.notes.remark(format!("template.data.{name} is left out: the value of the store wins in KES"));
            }
        }
        let has_more = spec.data_from.is_some() || spec.data_from_with_options.is_some();
        if has_more && self.template.data.keys().any(|key| !is_string_data(key)) {
            self.notes.differs(
                "template.data wins over a value of dataFrom with the same key; in KES the value of the store does",
            );
        }
    }
}
