use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Deserialize;
use strongroom_failure::Failure;
use strongroom_http::StatusCode;
use strongroom_provider::SecretBytes;

use crate::api::{Api, Ask, failure_of};
use crate::path::{Form, Target, first_segment, versioned};

/// What is known about the server's mounts: asked once for each mount, on first use.
#[derive(Debug, Default)]
pub(crate) struct Mounts {
    known: Mutex<Vec<Mount>>,
    /// Who asks holds its path's first segment, so that many reads of one mount ask once.
    asking: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Mount {
    /// Without a slash at the end.
    path: String,
    is_versioned: bool,
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
        if let Some(settled) = self.settled(&target) {
            return Ok(settled);
        }
        let segment = first_segment(&target.path);
        let turn = self.turn(segment);
        let _turn = turn.lock().await;
        if let Some(settled) = self.settled(&target) {
            return Ok(settled);
        }
        self.ask(api, &target, token).await?;
        // Who waits has the turn already; the map does not grow with names that lead nowhere.
        self.asking.lock().unwrap_or_else(PoisonError::into_inner).remove(segment);
        Ok(self.settled(&target).unwrap_or(target))
    }

    async fn ask(&self, api: &Api, target: &Target, token: &SecretBytes) -> Result<(), Failure> {
        let question = format!("sys/internal/ui/mounts/{}", target.path);
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

    /// `target` in the API's form, where its mount is known. Mounts never lie inside one another.
    pub(crate) fn settled(&self, target: &Target) -> Option<Target> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let is_below = |mount: &&Mount| target.path.strip_prefix(&mount.path).is_some_and(|rest| rest.starts_with('/'));
        let mount = known.iter().find(is_below)?;
        let (path, form) = match mount.is_versioned {
            true => (versioned(&target.path, &mount.path), Form::Versioned),
            false => (target.path.clone(), Form::Plain),
        };
        Some(Target { path, form, version: target.version })
    }

    fn learn(&self, answer: Answer) {
        let Answer { data: MountData { path, kind, options } } = answer;
        let version = options.and_then(|mut options| options.remove("version"));
        // "generic" is what the engine was called when there was only version 1.
        let is_versioned = matches!(kind.as_str(), "kv" | "generic") && version.as_deref() == Some("2");
        let mount = Mount { path: path.trim_matches('/').to_owned(), is_versioned };
        if !mount.path.is_empty() {
            self.known.lock().unwrap_or_else(PoisonError::into_inner).push(mount);
        }
    }

    fn turn(&self, first_segment: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut asking = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(asking.entry(first_segment.to_owned()).or_default())
    }
}

/// The words for a version of a secret that the engine behind a settled target does not keep.
pub(crate) fn check_version(target: &Target) -> Result<(), Failure> {
    match target {
        Target { form: Form::Plain, version: Some(_), .. } => Err(crate::answer::no_versions()),
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
            let target = Target { path: path.to_owned(), form: Form::Unknown, version: Some(2) };
            let settled = mounts.settled(&target).map(|settled| (settled.path, settled.form));
            assert_eq!(settled, expected.map(|(path, form)| (path.to_owned(), form)), "{path}");
        };
        check("team/kv/app", Some(("team/kv/data/app", Form::Versioned)));
        check("team/kv/data/app", Some(("team/kv/data/app", Form::Versioned)));
        check("team/kvx/app", None);
        check("old/app", Some(("old/app", Form::Plain)));
        check("database/creds/x", Some(("database/creds/x", Form::Plain)));
        check("other", None);
        let plain = Target { path: "old/app".to_owned(), form: Form::Plain, version: Some(2) };
        assert_eq!(check_version(&plain).unwrap_err().class, Class::Invalid);
    }
}
