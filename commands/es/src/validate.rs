use std::collections::BTreeMap;

use clap::Args;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::Value;
use strongroom_api::StorePolicy;
use strongroom_api::external_secrets::{
    ClusterExternalSecret, ClusterSecretStore, ExternalSecret, ExternalSecretSpec, SecretStore, vocabulary,
};
use strongroom_failure::{Class, Failure};
use strongroom_sync::windows::Windows;
use strongroom_template::{Settings, Template};

use crate::files::{Document, FileOptions, documents};
use crate::print::{print, wrapped};
use crate::schema;

const EXAMPLES: &str = "\
Examples:
  strongroom es validate -f app.yaml stores/*.yaml
  kustomize build overlays/prod | strongroom es validate -f -

Exit status: 0 nothing is wrong, 1 something is. Objects of other kinds are passed over.";

/// Check files of ExternalSecrets, stores and StorePolicies without a cluster
///
/// Tells every problem with its file, field and cure: fields that do not exist, values that are not allowed, templates
/// and expressions that cannot be read.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Validate {
    #[command(flatten)]
    files: FileOptions,

    /// What opens a template's action, where the operator is told to use another
    #[arg(long, value_name = "TEXT", default_value = "{{")]
    template_left_delimiter: String,

    /// What closes a template's action
    #[arg(long, value_name = "TEXT", default_value = "}}")]
    template_right_delimiter: String,
}

impl Validate {
    /// Checks and prints; whether nothing is wrong.
    ///
    /// # Errors
    /// Where a file cannot be read.
    pub(crate) fn run(self) -> Result<bool, Failure> {
        let (mut checked, mut passed_over, mut wrong, mut problems) = (0, 0, 0, 0);
        for file in &self.files.files {
            for document in documents(file)? {
                let Some(found) = self.problems(&document) else {
                    passed_over += 1;
                    continue;
                };
                checked += 1;
                wrong += usize::from(!found.is_empty());
                problems += found.len();
                print(&told(&document, &found))?;
            }
        }
        let others =
            if passed_over > 0 { format!("; {passed_over} of other kinds passed over") } else { String::new() };
        print(&match problems {
            0 => format!("{checked} objects are right{others}\n"),
            _ => format!("{problems} problems in {wrong} of {checked} objects{others}\n"),
        })?;
        Ok(problems == 0)
    }

    /// What is wrong with one document; `None` where it is of a kind that is not ours.
    fn problems(&self, document: &Document) -> Option<Vec<Failure>> {
        let object = match &document.object {
            Ok(object) => object,
            Err(failure) => return Some(vec![failure.clone()]),
        };
        let text = |name: &str| object.get(name).and_then(Value::as_str).unwrap_or_default();
        let (api_version, kind) = (text("apiVersion"), text("kind"));
        let group = api_version.split_once('/').map_or("", |(group, _)| group);
        if group != vocabulary::GROUP && group != "strongroom.dev" {
            return None;
        }
        let Some(schema) = schema::schema(api_version, kind) else { return not_served(group, api_version, kind) };
        let mut problems = Vec::new();
        let name = object.pointer("/metadata/name").or_else(|| object.pointer("/metadata/generateName"));
        if name.and_then(Value::as_str).is_none_or(str::is_empty) {
            problems.push(Failure::new(Class::Invalid, "is missing").in_field("metadata.name"));
        }
        schema::check(object, &schema, "", &mut problems);
        // What does not fit its kind cannot be looked at further.
        if let Some(further) = self.further(kind, object) {
            let known = |further: &Failure| problems.iter().any(|known| known.subject.field == further.subject.field);
            let new: Vec<Failure> = further.into_iter().filter(|further| !known(further)).collect();
            problems.extend(new);
        } else if problems.is_empty() {
            problems.push(Failure::new(Class::Invalid, "its fields do not fit the kind").in_field("spec"));
        }
        Some(problems)
    }

    /// What a schema cannot say; `None` where the object cannot be read as its kind.
    fn further(&self, kind: &str, object: &Value) -> Option<Vec<Failure>> {
        match kind {
            "ExternalSecret" => {
                let object: ExternalSecret = read(object)?;
                let mut problems = object.problems();
                problems.extend(self.of_spec(&object.spec, "spec"));
                Some(problems)
            }
            "ClusterExternalSecret" => {
                let object: ClusterExternalSecret = read(object)?;
                let mut problems = object.problems();
                problems.extend(self.of_spec(&object.spec.external_secret_spec, "spec.externalSecretSpec"));
                Some(problems)
            }
            "SecretStore" => Some(read::<SecretStore>(object)?.problems()),
            "ClusterSecretStore" => Some(read::<ClusterSecretStore>(object)?.problems()),
            "StorePolicy" => Some(read::<StorePolicy>(object)?.policy().problems().to_vec()),
            _ => Some(Vec::new()),
        }
    }

    /// Schedules and templates, which are understood only when they are used.
    fn of_spec(&self, spec: &ExternalSecretSpec, field: &str) -> Vec<Failure> {
        let moved = |failure: Failure| {
            let inner = failure.subject.field.clone().unwrap_or_default();
            failure.in_field(inner.replacen("spec", field, 1))
        };
        let windows = spec.sync_windows.iter().flat_map(|windows| Windows::parse(windows).1);
        let mut problems: Vec<Failure> = windows.map(moved).collect();
        for (place, text) in templates(spec, field) {
            let settings = Settings {
                left_delimiter: self.template_left_delimiter.clone(),
                right_delimiter: self.template_right_delimiter.clone(),
                ..Settings::at(Timestamp::now())
            };
            if let Err(failure) = Template::parse(&place, text, &settings) {
                problems.push(Failure::from(failure).in_field(place));
            }
        }
        problems
    }
}

fn read<T: DeserializeOwned>(object: &Value) -> Option<T> {
    serde_json::from_value(object.clone()).ok()
}

/// All templates that are written in the object itself, by their place.
fn templates<'s>(spec: &'s ExternalSecretSpec, field: &str) -> BTreeMap<String, &'s str> {
    let mut templates = BTreeMap::new();
    if let Some(template) = spec.target.as_ref().and_then(|target| target.template.as_ref()) {
        let at = format!("{field}.target.template");
        templates.extend(template.data.iter().map(|(key, text)| (format!("{at}.data.{key}"), text.as_str())));
        for (name, texts) in
            template.metadata.iter().flat_map(|meta| [("labels", &meta.labels), ("annotations", &meta.annotations)])
        {
            templates.extend(texts.iter().map(|(key, text)| (format!("{at}.metadata.{name}.{key}"), text.as_str())));
        }
        for (index, from) in template.template_from.iter().enumerate() {
            let literal = from.literal.iter();
            templates.extend(literal.map(|text| (format!("{at}.templateFrom[{index}].literal"), text.as_str())));
        }
    }
    for (index, entry) in spec.data_from.iter().enumerate() {
        let steps = entry.rewrite.iter().enumerate();
        let steps = steps.filter_map(|(step, rewrite)| Some((step, rewrite.transform.as_ref()?)));
        templates.extend(steps.map(|(step, transform)| {
            let place = format!("{field}.dataFrom[{index}].rewrite[{step}].transform.template");
            (place, transform.template.as_str())
        }));
    }
    templates
}

/// What to say of a kind or version that is not served; nothing of those that only the other operator has.
fn not_served(group: &str, api_version: &str, kind: &str) -> Option<Vec<Failure>> {
    let version = if group == vocabulary::GROUP { "v1" } else { "v1alpha1" };
    let served = format!("{group}/{version}");
    if api_version == served || schema::schema(&served, kind).is_none() {
        return None;
    }
    let words = format!("{api_version} is not served");
    Some(vec![Failure::new(Class::Invalid, words).in_field("apiVersion").with_hint(format!("write {served}"))])
}

fn told(document: &Document, problems: &[Failure]) -> String {
    if problems.is_empty() {
        return String::new();
    }
    let object = document.object.as_ref().ok();
    let text = |pointer: &str| object.and_then(|object| object.pointer(pointer)).and_then(Value::as_str);
    let named = match (text("/kind"), text("/metadata/namespace"), text("/metadata/name")) {
        (Some(kind), Some(namespace), Some(name)) => format!(": {kind} {namespace}/{name}"),
        (Some(kind), None, Some(name)) => format!(": {kind} {name}"),
        (Some(kind), ..) => format!(": {kind}"),
        _ => String::new(),
    };
    let mut lines = format!("{}{named}\n", document.place);
    for problem in problems {
        lines.push_str(&wrapped("  ", &problem.to_string()));
        if let Some(hint) = &problem.hint {
            lines.push_str(&wrapped("    hint: ", hint));
        }
    }
    lines
}
