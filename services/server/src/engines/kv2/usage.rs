//! `usage/PATH` and `stale` of a kv mount: who read what, and what nobody reads or changes any more.

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use strongroom_kv::{KvError, Metadata};
use strongroom_policy::acl::Operation;

use super::Kv2;
use crate::engine::Call;
use crate::exchange::{Fault, Response};
use crate::members::Members;
use crate::trouble::of_kv;
use crate::usage::{OfSecret, Reads};

/// Days after which a secret that nobody read or changed is stale, where nobody says another number: Config's and Security
/// Hub's on AWS.
const DAYS: u64 = 90;

/// Secrets that one answer names at the most, and that are looked at for it.
const NAMED: usize = 1000;
const LOOKED_AT: usize = 20_000;

impl Kv2 {
    /// Who read a secret, by version.
    pub(super) async fn usage(&self, call: &Call<'_>, path: &str) -> Result<Response, Fault> {
        if call.operation != Operation::Read || path.is_empty() {
            return Err(Fault::unsupported());
        }
        let metadata = self.0.metadata(path).await.map_err(of_kv)?;
        let known = call.open.usage.of(&call.mount.uuid, path).await?;
        let versions: Map<String, Value> = metadata
            .versions
            .keys()
            .map(|number| {
                let read = known.get(number).cloned().unwrap_or_default();
                let by: Map<String, Value> = read.by.iter().map(|(name, reads)| (name.clone(), shown(reads))).collect();
                let mut version = shown(&read.all);
                version["by"] = Value::Object(by);
                (number.to_string(), version)
            })
            .collect();
        let (reads, last) = summed(&known);
        let data = Members::default()
            .with("reads", reads)
            .with("last_read", moment(last))
            .with("last_changed", metadata.updated_time.to_string())
            .with("versions", versions);
        Ok(Response::of(data))
    }

    /// Secrets below `prefix` that nobody read or changed for so many days. Versions that were deleted and not destroyed
    /// count: they can be brought back. An answer that is not all of them names where the next one begins.
    pub(super) async fn stale(&self, call: &Call<'_>) -> Result<Response, Fault> {
        if call.operation != Operation::Read {
            return Err(Fault::unsupported());
        }
        let data = &call.request.data;
        let days = super::whole(data, "days")?.unwrap_or(DAYS);
        let prefix = data.text("prefix")?.unwrap_or_default();
        let limit = super::whole(data, "limit")?.and_then(|limit| usize::try_from(limit).ok());
        let limit = limit.unwrap_or(NAMED).clamp(1, NAMED);
        let seconds = i64::try_from(days).unwrap_or(i64::MAX).saturating_mul(86_400);
        let before = call.request.now.as_second().saturating_sub(seconds);
        let mut walk = Walk::new(&prefix, data.text("after")?);
        let (mut found, mut looked_at, mut last) = (Vec::new(), 0, None);
        while let Some(path) = walk.next(self).await? {
            if found.len() == limit || looked_at == LOOKED_AT {
                let data = Members::default().with("secrets", found).with("after", last.unwrap_or_default());
                return Ok(Response::of(data));
            }
            looked_at += 1;
            let metadata = match self.0.metadata(&path).await {
                // It went while this was under way.
                Err(KvError::Absent) => continue,
                metadata => metadata.map_err(of_kv)?,
            };
            let (_, read) = summed(&call.open.usage.of(&call.mount.uuid, &path).await?);
            if metadata.updated_time.as_second().max(read) <= before {
                found.push(told(&path, &metadata, read));
            }
            last = Some(path);
        }
        Ok(Response::of(Members::default().with("secrets", found)))
    }
}

fn summed(known: &OfSecret) -> (u64, i64) {
    let reads = known.values().map(|version| version.all.reads).sum();
    (reads, known.values().map(|version| version.all.last).max().unwrap_or_default())
}

/// A moment as a text; empty where there was none.
fn moment(second: i64) -> String {
    let known = Some(second).filter(|second| *second > 0).and_then(|second| Timestamp::from_second(second).ok());
    known.map(|moment| moment.to_string()).unwrap_or_default()
}

fn shown(reads: &Reads) -> Value {
    json!({"reads": reads.reads, "first_read": moment(reads.first), "last_read": moment(reads.last)})
}

fn told(path: &str, metadata: &Metadata, read: i64) -> Value {
    let count = |is_deleted: bool| {
        let versions = metadata.versions.values().filter(|version| !version.destroyed);
        versions.filter(|version| version.deletion_time.is_some() == is_deleted).count()
    };
    json!({
        "path": path,
        "last_read": moment(read),
        "last_changed": metadata.updated_time.to_string(),
        "versions": count(false),
        "deleted_versions": count(true),
    })
}

/// All secrets below a folder, one after the other, folder by folder.
struct Walk {
    /// Folders that are open, each with the names that are left of it, the next one last.
    open: Vec<(String, Vec<String>)>,
    /// The folder to open next.
    next: Option<String>,
    /// What was given last by the walk that this one goes on from.
    after: Option<String>,
}

impl Walk {
    fn new(prefix: &str, after: Option<String>) -> Self {
        let folder = prefix.trim_matches('/');
        let folder = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        Self { open: Vec::new(), next: Some(folder), after: after.filter(|after| !after.is_empty()) }
    }

    async fn next(&mut self, secrets: &Kv2) -> Result<Option<String>, Fault> {
        loop {
            if let Some(folder) = self.next.take() {
                let mut names = secrets.0.list(&folder).await.map_err(of_kv)?;
                names.retain(|name| self.is_ahead(&folder, name));
                names.reverse();
                self.open.push((folder, names));
            }
            let Some((folder, names)) = self.open.last_mut() else { return Ok(None) };
            match names.pop() {
                None => drop(self.open.pop()),
                Some(name) => {
                    let path = format!("{folder}{name}");
                    if name.ends_with('/') {
                        self.next = Some(path);
                    } else {
                        return Ok(Some(path));
                    }
                }
            }
        }
    }

    /// Whether a name was not given yet: it stands behind the one that was given last, or is a folder that holds it.
    fn is_ahead(&self, folder: &str, name: &str) -> bool {
        let Some(rest) = self.after.as_deref().and_then(|after| after.strip_prefix(folder)) else { return true };
        let own = rest.split_inclusive('/').next().unwrap_or_default();
        name > own || (name == own && name.ends_with('/'))
    }
}
