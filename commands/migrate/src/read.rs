//! The objects of kubernetes-external-secrets, and those around them that say how its controller was started and what
//! its namespaces allow: from files, or from the cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::stdin;
use std::path::{Path, PathBuf};

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret, ServiceAccount};
use kube::api::Api;
use kube::{Client, ResourceExt as _};
use serde::de::DeserializeOwned;
use serde_json::Value;
use strongroom_api::kes::{API_VERSION, ExternalSecret, KIND};
use strongroom_failure::{Class, Failure};
use strongroom_kube::failure::failure;
use strongroom_read::{read_bounded, read_file};

use crate::cluster::list;
use crate::settings::{Names, references, service_account_name};

/// The largest file. A cluster takes objects of 1.5 MiB; this is a file of many.
const LARGEST: usize = 64 * 1024 * 1024;

/// Folders inside of one another that are gone into: more than any repository has, and an end to links that go round.
const DEEPEST: usize = 32;

/// What was found.
#[derive(Default)]
pub(crate) struct Input {
    /// KES's objects, sorted by namespace and name.
    pub(crate) objects: Vec<Found>,
    /// What stands around them.
    pub(crate) around: Around,
    /// What could not be read, each with its place.
    pub(crate) failures: Vec<Failure>,
}

/// One object of KES.
pub(crate) struct Found {
    /// Where it is, for people: `app.yaml, document 2`.
    pub(crate) place: String,
    pub(crate) object: ExternalSecret,
}

/// The objects around KES's own.
#[derive(Default)]
pub(crate) struct Around {
    pub(crate) deployments: Vec<Deployment>,
    pub(crate) service_accounts: Vec<ServiceAccount>,
    pub(crate) config_maps: Vec<ConfigMap>,
    pub(crate) namespaces: BTreeMap<String, Namespace>,
    /// The keys of Secrets, by the Secret's namespace (empty where it names none) and name. Their values are not kept.
    pub(crate) secret_keys: BTreeMap<(String, String), BTreeSet<String>>,
}

impl Around {
    fn add_secret(&mut self, secret: &Secret) {
        let name = (secret.namespace().unwrap_or_default(), secret.name_any());
        let keys = secret.data.iter().flat_map(BTreeMap::keys);
        let keys = keys.chain(secret.string_data.iter().flat_map(BTreeMap::keys)).cloned();
        self.secret_keys.entry(name).or_default().extend(keys);
    }
}

impl Input {
    /// Everything in `paths`: files, folders (whose YAML and JSON files count), and `-` for standard input.
    ///
    /// # Errors
    /// Where a path cannot be read. What is wrong inside of a file is among `failures`.
    pub(crate) fn from_files(paths: &[PathBuf]) -> Result<Self, Failure> {
        let mut input = Self::default();
        for path in paths {
            if path.as_os_str() == "-" {
                let text = read_bounded(stdin().lock(), 0, LARGEST);
                let invalid = |words: String| Failure::new(Class::Invalid, words).in_field("standard input");
                let text = text.map_err(|error| invalid(format!("cannot be read: {error}")))?;
                let text = text.ok_or_else(|| invalid(format!("is larger than {LARGEST} bytes")))?;
                input.add_text("standard input", text.expose_text());
                continue;
            }
            for file in files(path, 0)? {
                let content = read_file(&file, LARGEST)?;
                input.add_text(&file.display().to_string(), content.expose_text());
            }
        }
        input.sort();
        Ok(input)
    }

    /// Puts objects that name no namespace into `namespace`, where one is meant.
    pub(crate) fn place_in(&mut self, namespace: Option<&str>) {
        for found in &mut self.objects {
            let own = found.object.metadata.namespace.take().filter(|own| !own.is_empty());
            found.object.metadata.namespace = own.or_else(|| namespace.map(str::to_owned));
        }
        self.sort();
    }

    /// Everything in the cluster: of `namespace`, or of all.
    ///
    /// # Errors
    /// Where the API server does not give it.
    pub(crate) async fn from_cluster(client: &Client, namespace: Option<&str>, names: &Names) -> Result<Self, Failure> {
        let mut input = Self::default();
        let objects: Api<ExternalSecret> = match namespace {
            Some(namespace) => Api::namespaced(client.clone(), namespace),
            None => Api::all(client.clone()),
        };
        let objects = list(&objects, "ExternalSecrets of kubernetes-client.io").await?;
        for object in objects {
            let place = format!("{}/{}", object.namespace().unwrap_or_default(), object.name_any());
            input.objects.push(Found { place, object });
        }
        input.add_namespaces(client, namespace).await?;
        input.add_controller(client, names).await?;
        input.sort();
        Ok(input)
    }

    async fn add_namespaces(&mut self, client: &Client, namespace: Option<&str>) -> Result<(), Failure> {
        let api: Api<Namespace> = Api::all(client.clone());
        let found = match namespace {
            Some(name) => one(&api, name).await?.into_iter().collect(),
            None => list(&api, "namespaces").await?,
        };
        self.around.namespaces.extend(found.into_iter().map(|namespace| (namespace.name_any(), namespace)));
        Ok(())
    }

    /// KES's Deployment, and what its variables refer to.
    async fn add_controller(&mut self, client: &Client, names: &Names) -> Result<(), Failure> {
        let deployments: Api<Deployment> = Api::namespaced(client.clone(), &names.namespace);
        let Some(deployment) = one(&deployments, &names.deployment).await? else { return Ok(()) };
        let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), &names.namespace);
        let account = service_account_name(&deployment);
        self.around.service_accounts.extend(one(&accounts, &account).await?);
        let referenced = references(&deployment, names);
        let config_maps: Api<ConfigMap> = Api::namespaced(client.clone(), &names.namespace);
        for name in &referenced.config_maps {
            self.around.config_maps.extend(one(&config_maps, name).await?);
        }
        let secrets: Api<Secret> = Api::namespaced(client.clone(), &names.namespace);
        for name in &referenced.whole_secrets {
            if let Some(secret) = one(&secrets, name).await? {
                self.around.add_secret(&secret);
            }
        }
        self.around.deployments.push(deployment);
        Ok(())
    }

    fn add_text(&mut self, name: &str, text: Option<&str>) {
        let Some(text) = text else {
            self.failures.push(Failure::new(Class::Invalid, "is no UTF-8").in_field(name));
            return;
        };
        for (number, text) in split(text) {
            let place = format!("{name}, document {number}");
            match serde_saphyr::from_str::<Value>(text) {
                Ok(value) => self.add(value, &place),
                Err(error) => {
                    // The parser's words may quote the file: only the place is told.
                    let at = error.location().map(|at| format!(" (its line {}, column {})", at.line(), at.column()));
                    let words = format!("this is no YAML{}", at.unwrap_or_default());
                    let cure = "render templates first, and look for wrong indentations, missing quotes and keys that \
                                are there twice";
                    self.failures.push(Failure::new(Class::Invalid, words).in_field(place).with_hint(cure));
                }
            }
        }
    }

    /// Takes one object, or all of a list.
    fn add(&mut self, mut object: Value, place: &str) {
        let text = |name: &str| object.get(name).and_then(Value::as_str).unwrap_or_default();
        let (api_version, kind) = (text("apiVersion").to_owned(), text("kind").to_owned());
        let around = &mut self.around;
        match (api_version.as_str(), kind.as_str()) {
            (_, kind) if kind.ends_with("List") && object.get("items").is_some_and(Value::is_array) => {
                let Some(Value::Array(items)) = object.get_mut("items").map(Value::take) else { return };
                for (index, mut item) in items.into_iter().enumerate() {
                    typed_as_list(&mut item, &api_version, kind);
                    self.add(item, &format!("{place}, items[{index}]"));
                }
            }
            (API_VERSION, KIND) => {
                let object = parsed(object, place, &mut self.failures);
                self.objects.extend(object.map(|object| Found { place: place.to_owned(), object }));
            }
            ("apps/v1", "Deployment") => around.deployments.extend(parsed(object, place, &mut self.failures)),
            ("v1", "ServiceAccount") => around.service_accounts.extend(parsed(object, place, &mut self.failures)),
            ("v1", "ConfigMap") => around.config_maps.extend(parsed(object, place, &mut self.failures)),
            ("v1", "Namespace") => {
                let namespace: Option<Namespace> = parsed(object, place, &mut self.failures);
                around.namespaces.extend(namespace.map(|namespace| (namespace.name_any(), namespace)));
            }
            ("v1", "Secret") => {
                if let Some(secret) = parsed(object, place, &mut self.failures) {
                    around.add_secret(&secret);
                }
            }
            _ => {}
        }
    }

    fn sort(&mut self) {
        self.objects.sort_by_cached_key(|found| (found.object.namespace(), found.object.name_any()));
    }
}

/// Items of typed lists (`SecretList`) need not say what they are.
fn typed_as_list(item: &mut Value, api_version: &str, list_kind: &str) {
    let kind = list_kind.strip_suffix("List").filter(|kind| !kind.is_empty());
    if let (Some(fields), Some(kind)) = (item.as_object_mut(), kind) {
        fields.entry("apiVersion").or_insert_with(|| api_version.into());
        fields.entry("kind").or_insert_with(|| kind.into());
    }
}

fn parsed<T: DeserializeOwned>(object: Value, place: &str, failures: &mut Vec<Failure>) -> Option<T> {
    // The parser's words may quote the object, which may be a Secret.
    let read = serde_json::from_value(object);
    if read.is_err() {
        failures.push(Failure::new(Class::Invalid, "is not an object of its kind").in_field(place));
    }
    read.ok()
}

/// The object `name`, where there is one.
///
/// # Errors
/// Where the API server does not say.
pub(crate) async fn one<K>(api: &Api<K>, name: &str) -> Result<Option<K>, Failure>
where
    K: Clone + DeserializeOwned + std::fmt::Debug,
{
    let name = strongroom_kube::failure::checked_name(name)?;
    api.get_opt(name).await.map_err(|error| failure(&error, &format!("read {name}"), &[]))
}

/// `path` itself, or the YAML and JSON files below it, in the order of their names.
fn files(path: &Path, depth: usize) -> Result<Vec<PathBuf>, Failure> {
    let invalid = |error: std::io::Error| {
        Failure::new(Class::Invalid, format!("cannot be read: {error}")).in_field(path.display().to_string())
    };
    if !fs::metadata(path).map_err(invalid)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut inside = Vec::new();
    for entry in fs::read_dir(path).map_err(invalid)? {
        inside.push(entry.map_err(invalid)?.path());
    }
    inside.sort();
    let mut found = Vec::new();
    for path in inside {
        let is_hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if path.is_dir() && !is_hidden && depth < DEEPEST {
            found.extend(files(&path, depth + 1)?);
        } else if path
            .extension()
            .is_some_and(|extension| ["yaml", "yml", "json"].iter().any(|known| extension == *known))
        {
            found.push(path);
        }
    }
    Ok(found)
}

/// The documents of a YAML text that hold something, with their numbers. A line that begins with `---` ends a document
/// wherever it stands, also in a text.
fn split(text: &str) -> Vec<(usize, &str)> {
    let is_border = |line: &str| {
        line.strip_prefix("---").is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
    };
    let (mut documents, mut start, mut offset) = (Vec::new(), 0, 0);
    for line in text.split_inclusive('\n') {
        if is_border(line) {
            documents.push(&text[start..offset]);
            start = offset;
        }
        offset += line.len();
    }
    documents.push(&text[start..]);
    let has_content = |text: &&str| {
        let mut lines = text.lines().map(|line| line.trim_start_matches("---").trim());
        lines.any(|line| !line.is_empty() && !line.starts_with('#'))
    };
    documents.into_iter().filter(has_content).enumerate().map(|(index, text)| (index + 1, text)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_counted_as_people_count_them() {
        let text = "# comment\n---\na: 1\n---\n\n--- # nothing\n---\nb: |\n  text\n  ---no border\nc: 2\n";
        let split: Vec<_> = split(text).into_iter().map(|(number, text)| (number, text.trim())).collect();
        assert_eq!(split, [(1, "---\na: 1"), (2, "---\nb: |\n  text\n  ---no border\nc: 2")]);
    }

    #[test]
    fn what_cannot_be_read_is_placed_and_not_quoted() {
        let mut input = Input::default();
        input.add_text("f", Some("a: 'canary\nb: 1\n"));
        input.add_text("f", Some("{apiVersion: v1, kind: Secret, data: canary}"));
        let told: Vec<String> = input.failures.iter().map(ToString::to_string).collect();
        assert!(told[0].starts_with("f, document 1: this is no YAML"), "{told:?}");
        assert_eq!(told[1], "f, document 1: is not an object of its kind");
        assert!(!told[0].contains("canary"));
    }

    #[test]
    fn lists_of_both_kinds_are_opened_and_values_of_secrets_are_not_kept() {
        let mut input = Input::default();
        let item = "metadata: {name: a}, spec: {backendType: vault}";
        input.add_text(
            "f",
            Some(&format!("{{apiVersion: {API_VERSION}, kind: ExternalSecretList, items: [{{{item}}}]}}")),
        );
        let item = "apiVersion: v1, kind: Secret, metadata: {name: s, namespace: team}, stringData: {k: canary}";
        input.add_text("f", Some(&format!("{{apiVersion: v1, kind: List, items: [{{{item}}}]}}")));
        assert_eq!(input.objects[0].place, "f, document 1, items[0]");
        let keys = &input.around.secret_keys[&("team".to_owned(), "s".to_owned())];
        assert_eq!(keys.iter().collect::<Vec<_>>(), ["k"]);
        assert!(input.failures.is_empty());
    }
}
