use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Deserialize;
use strongroom_failure::Failure;
use strongroom_http::StatusCode;
use strongroom_provider::{Facet, SecretBytes};

use crate::KvVersion;
use crate::answer::no_versions;
use crate::api::{Api, Ask, failure_of};
use crate::path::{Form, Target, below, first_segment, no_metadata, versioned};

/// What is known about the server's mounts: asked once for each mount, on first use.
#[derive(Debug, Default)]
pub(crate) struct Mounts {
    known: Mutex<Vec<Mount>>,
    /// Who asks holds its path's first segment, so that many reads of one mount ask once.
    asking: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

/// A secrets engine's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mount {
    /// Without a slash at the end.
    pub(crate) path: String,
    /// The version of KV; none for other engines.
    pub(crate) version: Option<KvVersion>,
}

#[derive(Deserialize)]
struct Answer {
    data: MountData,
}

#[derive(Deserialize)]
struct MountData {
    path: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    options: Option<HashMap<String, String>>,
}

impl Mounts {
    /// Settles how `target` is read; asks the server where that is not known yet.
    pub(crate) async fn settle(&self, api: &Api, target: Target, token: &SecretBytes) -> Result<Target, Failure> {
        if target.form != Form::Unknown {
            return Ok(target);
        }
        match self.of(api, &target.path, token).await? {
            Some(mount) => Ok(mount.settled(&target)),
            None => Ok(target),
        }
    }

    /// The mount that `path` is in or is; nothing where the server does not tell.
    pub(crate) async fn of(&self, api: &Api, path: &str, token: &SecretBytes) -> Result<Option<Mount>, Failure> {
        if let Some(known) = self.known(path) {
            return Ok(Some(known));
        }
        let segment = first_segment(path);
        let turn = self.turn(segment);
        let _turn = turn.lock().await;
        if let Some(known) = self.known(path) {
            return Ok(Some(known));
        }
        self.ask(api, path, token).await?;
        // Who waits has the turn already; the map does not grow with names that lead nowhere.
        self.asking.lock().unwrap_or_else(PoisonError::into_inner).remove(segment);
        Ok(self.known(path))
    }

    async fn ask(&self, api: &Api, path: &str, token: &SecretBytes) -> Result<(), Failure> {
        let question = format!("sys/internal/ui/mounts/{path}");
        let response = api.send(Ask::get("vault:mounts", &question, token)).await?;
        match response.status {
            StatusCode::OK => {
                self.learn(response.json()?);
                Ok(())
            }
            // Denied (also for a mount that is not there), or a server older than the question: the read itself will
            // say more.
            StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => Ok(()),
            _ => Err(failure_of(&response, &[token])),
        }
    }

    /// `target` in the API's form, where its mount is known.
    pub(crate) fn settled(&self, target: &Target) -> Option<Target> {
        self.known(&target.path).map(|mount| mount.settled(target))
    }

    /// Mounts never lie inside one another.
    fn known(&self, path: &str) -> Option<Mount> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.iter().find(|mount| path == mount.path || below(path, &mount.path).is_some()).cloned()
    }

    fn learn(&self, answer: Answer) {
        let Answer { data: MountData { path, kind, options } } = answer;
        let version = options.and_then(|mut options| options.remove("version"));
        let version = match (kind.as_str(), version.as_deref()) {
            // The second is what the engine was called when there was only version 1.
            ("kv" | "generic", Some("2")) => Some(KvVersion::Two),
            ("kv" | "generic", _) => Some(KvVersion::One),
            _ => None,
        };
        let mount = Mount { path: path.trim_matches('/').to_owned(), version };
        if !mount.path.is_empty() {
            self.known.lock().unwrap_or_else(PoisonError::into_inner).push(mount);
        }
    }

    fn turn(&self, first_segment: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut asking = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(asking.entry(first_segment.to_owned()).or_default())
    }
}

impl Mount {
    fn settled(&self, target: &Target) -> Target {
        let (path, form) = match self.version {
            Some(KvVersion::Two) => (versioned(&target.path, &self.path, target.facet), Form::Versioned),
            Some(KvVersion::One) | None => (target.path.clone(), Form::Plain),
        };
        Target { path, form, version: target.version, facet: target.facet }
    }
}

/// The words for a version of a secret, or for its metadata, that the engine behind a settled target does not keep.
pub(crate) fn check_engine(target: &Target) -> Result<(), Failure> {
    match target {
        Target { form: Form::Plain | Form::Unknown, facet: Facet::Metadata, .. } => Err(no_metadata()),
        Target { form: Form::Plain, version: Some(_), .. } => Err(no_versions()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use strongroom_failure::Class;

    use super::*;

    fn learn(mounts: &Mounts, body: &str) {
        mounts.learn(serde_json::from_str(body).unwrap());
    }

    #[test]
    fn a_known_mount_settles_the_paths_below_it() {
        let mounts = Mounts::default();
        learn(&mounts, r#"{"data":{"path":"team/kv/","type":"kv","options":{"version":"2"}}}"#);
        learn(&mounts, r#"{"data":{"path":"old/","type":"kv","options":null}}"#);
        learn(&mounts, r#"{"data":{"path":"database/","type":"database","options":{"version":"2"}}}"#);
        let check = |path: &str, expected: Option<(&str, Form)>| {
            let facet = Facet::Value;
            let target = Target { path: path.to_owned(), form: Form::Unknown, version: Some(2), facet };
            let settled = mounts.settled(&target).map(|settled| (settled.path, settled.form));
            assert_eq!(settled, expected.map(|(path, form)| (path.to_owned(), form)), "{path}");
        };
        check("team/kv/app", Some(("team/kv/data/app", Form::Versioned)));
        check("team/kv/data/app", Some(("team/kv/data/app", Form::Versioned)));
        check("team/kvx/app", None);
        check("old/app", Some(("old/app", Form::Plain)));
        check("database/creds/x", Some(("database/creds/x", Form::Plain)));
        check("other", None);
        let plain = Target { path: "old/app".to_owned(), form: Form::Plain, version: Some(2), facet: Facet::Value };
        assert_eq!(check_engine(&plain).unwrap_err().class, Class::Invalid);
        let about = Target { version: None, facet: Facet::Metadata, ..plain };
        assert_eq!(check_engine(&about).unwrap_err().class, Class::Invalid);
    }
}
