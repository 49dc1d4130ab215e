//! The built-in store's storage in etcd (3.4 and later), where one machine is outgrown: several servers share it, and agree
//! on the one that is active.
//!
//! - Records lie under PREFIX`data/`, and `PREFIX`leader names the active server. A revision is etcd's own.
//! - Every commit of a server that takes part in the election holds the condition that it still is the active one: one that
//!   was cut off and does not know it yet changes nothing.
//! - etcd keeps what was overwritten until it compacts: have it do so (`--auto-compaction-retention`), or the database grows
//!   and destroyed versions stay in it, encrypted as they are.
//!
//! The JSON gateway of etcd is spoken, over the one HTTP client that the house has, so that TLS, limits and time are the
//! same as everywhere, and no compiler for protocol buffers is needed to build.

#![forbid(unsafe_code)]

mod calls;
mod election;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use serde_json::{Value, json};
use strongroom_failure::{Class, Failure};
use strongroom_http::TlsSettings;
use strongroom_secret::SecretBytes;
use strongroom_storage::{
    Child, Children, Commit, Outcome, Page, Pending, Revision, Snapshot, Storage, StorageError, Stored, behind,
    child_of,
};

use calls::{Calls, Effect, decoded, encoded, number, unavailable};

/// Keys that one transaction reads.
const TOGETHER: usize = 100;

/// Records that one call gives: more of the largest size would be more than anybody should hold.
const RECORDS: usize = 64;

/// Bytes of records in a page, beyond which the rest waits for the next one.
const PAGE: usize = 8 << 20;

/// Names that one call gives.
const NAMES: usize = 1000;

/// Where etcd is, and who asks.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The members' addresses for clients: `https://10.0.0.1:2379`.
    pub endpoints: Vec<String>,
    /// What all keys begin with.
    pub prefix: String,
    /// This server's name, which no other one has: started anew, it need not wait for its own lease to end. Empty where it
    /// has none.
    pub node: String,
    /// Whom to trust, and who we are.
    pub tls: TlsSettings,
    /// Name and password, where etcd asks for them.
    pub login: Option<(String, SecretBytes)>,
}

/// Whether commits are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fence {
    /// There was no election.
    Free,
    /// Another server may be the active one.
    StandsBy,
    /// This one is, since that commit.
    Active(u64),
}

struct Inner {
    calls: Calls,
    prefix: String,
    node: String,
    fence: RwLock<Fence>,
    held: Mutex<Option<election::Held>>,
}

/// The storage in etcd.
#[derive(Clone)]
pub struct Etcd(Arc<Inner>);

impl Etcd {
    /// A storage that is asked for the first time when it is used.
    ///
    /// # Errors
    /// Settings that cannot be used.
    pub fn new(settings: Settings) -> Result<Self, Failure> {
        if settings.endpoints.is_empty() {
            return Err(Failure::new(Class::Invalid, "etcd needs an endpoint").with_hint("etcd:https://10.0.0.1:2379"));
        }
        let (prefix, node) = (settings.prefix.clone(), settings.node.clone());
        let calls = Calls::new(settings)?;
        Ok(Self(Arc::new(Inner { calls, prefix, node, fence: RwLock::new(Fence::Free), held: Mutex::default() })))
    }
}

impl fmt::Debug for Etcd {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Etcd").field("prefix", &self.0.prefix).finish_non_exhaustive()
    }
}

/// What a range gave.
struct Range {
    entries: Vec<(String, Stored)>,
    has_more: bool,
    /// The revision as of which it was read.
    revision: u64,
}

impl Inner {
    fn fence(&self, fence: Fence) {
        *self.fence.write().unwrap_or_else(PoisonError::into_inner) = fence;
    }

    fn key(&self, key: &str) -> String {
        format!("{}data/{key}", self.prefix)
    }

    /// Up to `limit` entries from `from` (in etcd's own keys) on that begin with `prefix`; as of `revision`, or of now.
    async fn range(
        &self,
        prefix: &str,
        from: &[u8],
        limit: usize,
        (names_alone, revision): (bool, u64),
    ) -> Result<Range, StorageError> {
        let body = json!({
            "key": encoded(from),
            "range_end": encoded(end_of(prefix)),
            "limit": limit.to_string(),
            "keys_only": names_alone,
            "revision": revision.to_string(),
        });
        let answer = self.calls.call("kv/range", &body, Effect::None).await?;
        let own = format!("{}data/", self.prefix);
        let entries = answer["kvs"].as_array().map_or(&[][..], Vec::as_slice).iter().map(|entry| {
            let (key, stored) = entry_of(entry)?;
            let key = key.strip_prefix(&own).map(str::to_owned);
            Ok((key.ok_or_else(|| StorageError::Damaged("etcd answered with another key".into()))?, stored))
        });
        Ok(Range {
            entries: entries.collect::<Result<_, _>>()?,
            has_more: answer["more"] == Value::Bool(true),
            revision: number(&answer["header"]["revision"]),
        })
    }

    async fn page(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
        mut revision: u64,
    ) -> Result<Page, StorageError> {
        let mut page = Page::default();
        let whole = self.key(prefix);
        let mut from = match after {
            Some(after) if after >= prefix => just_behind(&self.key(after)),
            _ => whole.clone().into_bytes(),
        };
        let mut bytes = 0;
        loop {
            let wanted = RECORDS.min(limit - page.entries.len());
            let range = self.range(&whole, &from, wanted.max(1), (false, revision)).await?;
            revision = range.revision.min(if revision == 0 { u64::MAX } else { revision });
            bytes += range.entries.iter().map(|(_, stored)| stored.bytes.len()).sum::<usize>();
            if wanted == 0 {
                page.has_more = !range.entries.is_empty();
                return Ok(page);
            }
            page.entries.extend(range.entries);
            page.has_more = range.has_more;
            match page.entries.last() {
                Some((last, _)) if range.has_more && page.entries.len() < limit && bytes < PAGE => {
                    from = just_behind(&self.key(last));
                }
                _ => return Ok(page),
            }
        }
    }

    async fn names(&self, folder: &str, after: Option<&Child>, limit: usize) -> Result<Children, StorageError> {
        let mut children = Children::default();
        let whole = self.key(folder);
        let mut from = after.map_or_else(|| folder.to_owned(), |child| behind(folder, child));
        let mut revision = 0;
        loop {
            let range = self.range(&whole, self.key(&from).as_bytes(), NAMES, (true, revision)).await?;
            revision = if revision == 0 { range.revision } else { revision };
            for (key, _) in &range.entries {
                // What lies in a folder that was named already.
                if *key < from {
                    continue;
                }
                let Some(child) = child_of(folder, key) else { return Ok(children) };
                if children.names.len() == limit {
                    children.has_more = true;
                    return Ok(children);
                }
                from = behind(folder, &child);
                children.names.push(child);
            }
            if !range.has_more {
                return Ok(children);
            }
            let last = range.entries.last().map(|(key, _)| format!("{key}\0"));
            from = last.map_or_else(|| from.clone(), |last| last.max(from.clone()));
        }
    }

    async fn read(&self, keys: &[String]) -> Result<Vec<Option<Stored>>, StorageError> {
        let mut read = Vec::with_capacity(keys.len());
        let mut revision = 0;
        for keys in keys.chunks(TOGETHER) {
            let ranges = keys
                .iter()
                .map(|key| json!({"request_range": {"key": encoded(self.key(key)), "revision": revision.to_string()}}));
            let body = json!({"success": ranges.collect::<Vec<_>>()});
            let answer = self.calls.call("kv/txn", &body, Effect::None).await?;
            revision = if revision == 0 { number(&answer["header"]["revision"]) } else { revision };
            for place in 0..keys.len() {
                let entry = answer["responses"][place]["response_range"]["kvs"].get(0);
                read.push(entry.map(|entry| Ok::<_, StorageError>(entry_of(entry)?.1)).transpose()?);
            }
        }
        Ok(read)
    }

    async fn commit(&self, commit: Commit) -> Result<Outcome, StorageError> {
        commit.check()?;
        let fence = *self.fence.read().unwrap_or_else(PoisonError::into_inner);
        if fence == Fence::StandsBy {
            return Err(unavailable("another server is the active one"));
        }
        let leader = encoded(format!("{}leader", self.prefix));
        let mut compare: Vec<Value> = commit
            .conditions
            .iter()
            .map(|condition| {
                let revision = condition.expected.map_or(0, |revision| revision.0).to_string();
                let key = encoded(self.key(&condition.key));
                json!({"key": key, "target": "MOD", "result": "EQUAL", "mod_revision": revision})
            })
            .collect();
        if let Fence::Active(began) = fence {
            let began = began.to_string();
            compare.push(json!({"key": leader, "target": "MOD", "result": "EQUAL", "mod_revision": began}));
        }
        let puts = commit
            .puts
            .iter()
            .map(|(key, value)| json!({"request_put": {"key": encoded(self.key(key)), "value": encoded(value)}}));
        let deletes = commit.deletes.iter().map(|key| json!({"request_delete_range": {"key": encoded(self.key(key))}}));
        let body = json!({
            "compare": compare,
            "success": puts.chain(deletes).collect::<Vec<_>>(),
            "failure": [{"request_range": {"key": leader}}],
        });
        let answer = self.calls.call("kv/txn", &body, Effect::Change).await?;
        if answer["succeeded"] == Value::Bool(true) {
            return Ok(Outcome::Committed(Revision(number(&answer["header"]["revision"]))));
        }
        let began = number(&answer["responses"][0]["response_range"]["kvs"][0]["mod_revision"]);
        match fence {
            Fence::Active(own) if own != began => Err(unavailable("this server is no longer the active one")),
            _ => Ok(Outcome::Conflict),
        }
    }
}

fn entry_of(entry: &Value) -> Result<(String, Stored), StorageError> {
    let damaged = |_| StorageError::Damaged("a key in etcd is not UTF-8".into());
    let key = String::from_utf8(decoded(&entry["key"])?).map_err(damaged)?;
    Ok((key, Stored { bytes: decoded(&entry["value"])?, revision: Revision(number(&entry["mod_revision"])) }))
}

/// The first key behind all that begin with `prefix`, which is never empty and ends with ASCII.
fn end_of(prefix: &str) -> Vec<u8> {
    let mut end = prefix.as_bytes().to_vec();
    if let Some(last) = end.last_mut() {
        *last = last.saturating_add(1);
    }
    end
}

fn just_behind(key: &str) -> Vec<u8> {
    [key.as_bytes(), b"\0"].concat()
}

impl Storage for Etcd {
    fn read<'a>(&'a self, keys: &'a [String]) -> Pending<'a, Vec<Option<Stored>>> {
        Box::pin(self.0.read(keys))
    }

    fn scan<'a>(&'a self, prefix: &'a str, after: Option<&'a str>, limit: usize) -> Pending<'a, Page> {
        Box::pin(self.0.page(prefix, after, limit, 0))
    }

    fn children<'a>(&'a self, folder: &'a str, after: Option<&'a Child>, limit: usize) -> Pending<'a, Children> {
        Box::pin(self.0.names(folder, after, limit))
    }

    fn commit(&self, commit: Commit) -> Pending<'_, Outcome> {
        Box::pin(self.0.commit(commit))
    }

    fn snapshot(&self) -> Pending<'_, Box<dyn Snapshot>> {
        Box::pin(async move {
            let whole = self.0.key("");
            let revision = self.0.range(&whole, whole.as_bytes(), 1, (true, 0)).await?.revision;
            Ok(Box::new(Moment { storage: Arc::clone(&self.0), revision }) as Box<dyn Snapshot>)
        })
    }
}

/// etcd as of one revision, for as long as it is not compacted.
struct Moment {
    storage: Arc<Inner>,
    revision: u64,
}

impl Snapshot for Moment {
    fn revision(&self) -> Revision {
        Revision(self.revision)
    }

    fn scan<'a>(&'a self, after: Option<&'a str>, limit: usize) -> Pending<'a, Page> {
        Box::pin(self.storage.page("", after, limit, self.revision))
    }
}
