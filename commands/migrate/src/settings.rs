//! What kubernetes-external-secrets was started with: the variables of its container, its service account, its files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Container, EnvVar, PodSpec, ServiceAccount, Volume};
use kube::ResourceExt as _;
use strongroom_secret::SecretBytes;

use crate::read::Around;

/// Where KES's controller is.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    pub(crate) namespace: String,
    pub(crate) deployment: String,
    pub(crate) container: String,
}

/// What KES was started with.
#[derive(Default)]
pub(crate) struct Settings {
    variables: BTreeMap<String, Setting>,
    /// The namespace of its Secrets and its service account.
    pub(crate) namespace: String,
    /// Whether its Deployment was found; else its defaults count, and what was given by flags.
    pub(crate) is_found: bool,
    /// The service account that it runs as, where its Deployment was found.
    pub(crate) account: Option<Account>,
    mounts: Vec<Mount>,
}

/// KES's service account.
#[derive(Clone, Debug, Default)]
pub(crate) struct Account {
    pub(crate) name: String,
    /// Empty where the account itself was not found.
    pub(crate) annotations: BTreeMap<String, String>,
}

/// A variable's value, or where it is. Not to be printed: it may be a credential.
enum Setting {
    Plain(SecretBytes),
    /// A key of a Secret.
    Secret(SecretKey),
    /// In something that was not given.
    Elsewhere(String),
}

/// A key of a Secret in KES's namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SecretKey {
    pub(crate) name: String,
    pub(crate) key: String,
}

/// A credential.
pub(crate) enum Credential<'s> {
    /// It lies in a Secret.
    Secret(&'s SecretKey),
    /// It was written out.
    Plain(&'s SecretBytes),
}

/// An object that holds a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FileSource {
    Secret(SecretKey),
    ConfigMap { name: String, key: String },
}

/// A folder of the container whose files are keys of an object.
struct Mount {
    folder: String,
    /// The one key that is mounted under the folder's path, as a file.
    sub_path: Option<String>,
    /// Names of files, where they are not those of the keys.
    items: BTreeMap<String, String>,
    is_secret: bool,
    object: String,
}

/// Objects that a Deployment's variables refer to.
#[derive(Default)]
pub(crate) struct References {
    pub(crate) config_maps: BTreeSet<String>,
    /// Secrets of which all keys are variables.
    pub(crate) whole_secrets: BTreeSet<String>,
}

/// The account that the Deployment's pods run as.
pub(crate) fn service_account_name(deployment: &Deployment) -> String {
    let name = pod(deployment).and_then(|pod| pod.service_account_name.clone());
    name.filter(|name| !name.is_empty()).unwrap_or_else(|| "default".to_owned())
}

/// What the variables of KES's container refer to.
pub(crate) fn references(deployment: &Deployment, names: &Names) -> References {
    let mut references = References::default();
    let Some(container) = container(deployment, names) else { return references };
    for source in container.env_from.iter().flatten() {
        references.config_maps.extend(source.config_map_ref.as_ref().map(|map| map.name.clone()));
        references.whole_secrets.extend(source.secret_ref.as_ref().map(|secret| secret.name.clone()));
    }
    for variable in container.env.iter().flatten() {
        let source = variable.value_from.as_ref().and_then(|from| from.config_map_key_ref.as_ref());
        references.config_maps.extend(source.map(|key| key.name.clone()));
    }
    references
}

fn pod(deployment: &Deployment) -> Option<&PodSpec> {
    deployment.spec.as_ref()?.template.spec.as_ref()
}

/// The container by its name, or the only one.
fn container<'d>(deployment: &'d Deployment, names: &Names) -> Option<&'d Container> {
    let containers = &pod(deployment)?.containers;
    let only = (containers.len() == 1).then(|| containers.first()).flatten();
    containers.iter().find(|container| container.name == names.container).or(only)
}

impl Settings {
    /// Those of the Deployment among the objects `around`, where it is there. `given` are variables that stand over its
    /// own, `given_secrets` such that lie in Secrets.
    pub(crate) fn find(
        around: &Around,
        names: &Names,
        given: &[(String, String)],
        given_secrets: &[(String, SecretKey)],
    ) -> Self {
        let mut settings = Self { namespace: names.namespace.clone(), ..Self::default() };
        let is_there = |namespace: Option<String>| namespace.is_none_or(|namespace| namespace == names.namespace);
        let deployment = around
            .deployments
            .iter()
            .find(|deployment| deployment.name_any() == names.deployment && is_there(deployment.namespace()));
        if let Some(deployment) = deployment {
            settings.is_found = settings.take(deployment, around, names);
            let name = service_account_name(deployment);
            let is_it = |account: &&ServiceAccount| account.name_any() == name && is_there(account.namespace());
            let account = around.service_accounts.iter().find(is_it);
            let annotations = account.map(|account| account.annotations().clone()).unwrap_or_default();
            settings.account = Some(Account { name, annotations });
        }
        let plain = given.iter().map(|(name, value)| (name.clone(), Setting::Plain(SecretBytes::from(value.clone()))));
        settings.variables.extend(plain);
        let secrets = given_secrets.iter().map(|(name, key)| (name.clone(), Setting::Secret(key.clone())));
        settings.variables.extend(secrets);
        settings
    }

    /// Takes what the container is started with; whether it was found.
    fn take(&mut self, deployment: &Deployment, around: &Around, names: &Names) -> bool {
        let Some(container) = container(deployment, names) else { return false };
        for source in container.env_from.iter().flatten() {
            let prefix = source.prefix.as_deref().unwrap_or_default();
            if let Some(map) = &source.config_map_ref {
                let data = config_map(around, names, &map.name).and_then(|map| map.data.as_ref());
                for (key, value) in data.into_iter().flatten() {
                    self.variables.insert(format!("{prefix}{key}"), Setting::Plain(SecretBytes::from(value.clone())));
                }
            }
            if let Some(secret) = &source.secret_ref {
                let places = [names.namespace.clone(), String::new()].map(|namespace| (namespace, secret.name.clone()));
                let keys = places.iter().find_map(|place| around.secret_keys.get(place));
                for key in keys.into_iter().flatten() {
                    let source = SecretKey { name: secret.name.clone(), key: key.clone() };
                    self.variables.insert(format!("{prefix}{key}"), Setting::Secret(source));
                }
            }
        }
        for variable in container.env.iter().flatten() {
            self.variables.insert(variable.name.clone(), setting(variable, around, names));
        }
        let volumes = pod(deployment).and_then(|pod| pod.volumes.as_ref());
        for mount in container.volume_mounts.iter().flatten() {
            let is_it = |volume: &&Volume| volume.name == mount.name;
            if let Some(volume) = volumes.into_iter().flatten().find(is_it) {
                let folder = mount.mount_path.trim_end_matches('/').to_owned();
                self.mounts.extend(mounted(volume, folder, mount.sub_path.clone()));
            }
        }
        true
    }

    /// A variable's value as text; `None` where it is not set, or empty, or not known.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        match self.variables.get(name)? {
            Setting::Plain(value) => value.expose_text().filter(|text| !text.is_empty()),
            Setting::Secret(_) | Setting::Elsewhere(_) => None,
        }
    }

    /// Whether a variable is set, to whatever.
    pub(crate) fn is_set(&self, name: &str) -> bool {
        self.variables.contains_key(name)
    }

    /// Where a variable's value lies that is not known here, for people; `None` where it is known or not set.
    pub(crate) fn unknown(&self, name: &str) -> Option<String> {
        match self.variables.get(name)? {
            Setting::Plain(_) => None,
            Setting::Secret(source) => Some(format!("the key {} of the Secret {}", source.key, source.name)),
            Setting::Elsewhere(place) => Some(place.clone()),
        }
    }

    /// A credential, where it is set.
    pub(crate) fn credential(&self, name: &str) -> Option<Credential<'_>> {
        match self.variables.get(name)? {
            Setting::Plain(value) => (!value.is_empty()).then_some(Credential::Plain(value)),
            Setting::Secret(source) => Some(Credential::Secret(source)),
            Setting::Elsewhere(_) => None,
        }
    }

    /// The object that holds the container's file `path`.
    pub(crate) fn file(&self, path: &str) -> Option<FileSource> {
        let path = Path::new(path);
        let mount = self.mounts.iter().find_map(|mount| {
            let file = match &mount.sub_path {
                Some(sub_path) => (path == Path::new(&mount.folder)).then(|| sub_path.clone()),
                None => {
                    let below = path.strip_prefix(&mount.folder).ok()?.to_str()?;
                    (!below.is_empty()).then(|| below.to_owned())
                }
            }?;
            let key = mount.items.get(&file).cloned().unwrap_or(file);
            Some((mount, key))
        });
        let (mount, key) = mount?;
        let name = mount.object.clone();
        let source = if mount.is_secret {
            FileSource::Secret(SecretKey { name, key })
        } else {
            FileSource::ConfigMap { name, key }
        };
        Some(source)
    }
}

fn config_map<'a>(around: &'a Around, names: &Names, name: &str) -> Option<&'a ConfigMap> {
    let is_there = |map: &&ConfigMap| map.namespace().is_none_or(|namespace| namespace == names.namespace);
    around.config_maps.iter().filter(is_there).find(|map| map.name_any() == name)
}

fn setting(variable: &EnvVar, around: &Around, names: &Names) -> Setting {
    let plain = |text: &str| Setting::Plain(SecretBytes::from(text.to_owned()));
    let Some(from) = &variable.value_from else {
        return plain(variable.value.as_deref().unwrap_or_default());
    };
    if let Some(source) = &from.secret_key_ref {
        return Setting::Secret(SecretKey { name: source.name.clone(), key: source.key.clone() });
    }
    if let Some(source) = &from.config_map_key_ref {
        let data = config_map(around, names, &source.name).and_then(|map| map.data.as_ref());
        let value = data.and_then(|data| data.get(&source.key));
        let elsewhere = || Setting::Elsewhere(format!("the key {} of the ConfigMap {}", source.key, source.name));
        return value.map_or_else(elsewhere, |value| plain(value));
    }
    Setting::Elsewhere("a field of KES's pod".to_owned())
}

fn mounted(volume: &Volume, folder: String, sub_path: Option<String>) -> Option<Mount> {
    let (is_secret, object, items) = match (&volume.secret, &volume.config_map) {
        (Some(secret), _) => (true, secret.secret_name.clone()?, &secret.items),
        (_, Some(map)) => (false, map.name.clone(), &map.items),
        _ => return None,
    };
    let items = items.iter().flatten().map(|item| (item.path.clone(), item.key.clone())).collect();
    Some(Mount { folder, sub_path, items, is_secret, object })
}
