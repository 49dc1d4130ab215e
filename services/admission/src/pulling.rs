//! Who may pull a pod's images: its pull secrets and those of its service account.

use std::collections::BTreeSet;

use kube::Client;
use serde_json::Value;
use strongroom_failure::{Class, Failure};
use strongroom_kube::{Secrets, read_service_account};
use strongroom_registry::{Credential, Platform, docker_config_json, legacy_docker_config};

use crate::FIELD_MANAGER;

/// Finds credentials for images.
pub(crate) struct Pulling {
    client: Client,
    secrets: Secrets,
    /// A Secret for pods that name none: its name and namespace.
    default: Option<(String, String)>,
}

impl Pulling {
    pub(crate) fn new(client: Client, default: Option<(String, String)>) -> Self {
        let secrets = Secrets::new(client.clone(), FIELD_MANAGER);
        Self { client, secrets, default }
    }

    /// The credentials of a pod in `namespace`, in the order in which they are tried: its own pull secrets, those of its
    /// service account, the default one.
    ///
    /// # Errors
    /// Where the API server does not answer. A pull secret that is absent or may not be read counts as none, as it does
    /// for kubelet.
    pub(crate) async fn credentials(&self, pod: &Value, namespace: &str) -> Result<Vec<Credential>, Failure> {
        let spec = &pod["spec"];
        let mut names: Vec<String> = names_in(&spec["imagePullSecrets"]);
        let account = spec["serviceAccountName"].as_str().filter(|name| !name.is_empty()).unwrap_or("default");
        match read_service_account(&self.client, namespace, account).await {
            Ok(account) => {
                let more = account.image_pull_secrets.unwrap_or_default();
                names.extend(more.into_iter().map(|reference| reference.name));
            }
            Err(failure) if matches!(failure.class, Class::NotFound | Class::Denied) => {}
            Err(failure) => return Err(failure),
        }
        let mut seen = BTreeSet::new();
        let own = names.into_iter().map(|name| (name, namespace.to_owned()));
        let mut credentials = Vec::new();
        for (name, namespace) in own.chain(self.default.clone()) {
            if seen.insert((name.clone(), namespace.clone())) {
                credentials.extend(self.of_secret(&namespace, &name).await?);
            }
        }
        Ok(credentials)
    }

    async fn of_secret(&self, namespace: &str, name: &str) -> Result<Vec<Credential>, Failure> {
        let read = match self.secrets.read(namespace, name).await {
            Err(failure) if failure.class == Class::Denied => {
                tracing::warn!(secret = format!("{namespace}/{name}"), %failure, "a pull secret may not be read");
                None
            }
            read => read?,
        };
        let Some(secret) = read else { return Ok(Vec::new()) };
        let place = format!("{namespace}/{name}");
        if let Some(content) = secret.data.get(".dockerconfigjson") {
            return docker_config_json(&place, content);
        }
        match secret.data.get(".dockercfg") {
            Some(content) => legacy_docker_config(&place, content),
            None => Ok(Vec::new()),
        }
    }
}

fn names_in(list: &Value) -> Vec<String> {
    let entries = list.as_array().into_iter().flatten();
    entries.filter_map(|entry| entry["name"].as_str()).map(str::to_owned).collect()
}

/// The platform that a pod is for, as far as it says: `kubernetes.io/arch` and `kubernetes.io/os` of its node selector.
pub(crate) fn platform(pod: &Value) -> Platform {
    let selected = |label: &str| pod["spec"]["nodeSelector"][label].as_str();
    let os = selected("kubernetes.io/os").unwrap_or("linux");
    let architecture = selected("kubernetes.io/arch").unwrap_or("amd64");
    Platform::new(os, architecture, "")
}
