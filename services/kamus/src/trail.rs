//! Each decryption in the audit trail, in the built-in store's format, before its answer leaves.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::path::PathBuf;

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use strongroom_audit::entry::{Auth, Mount, Namespace, Request, Response};
use strongroom_audit::{Chain, CheckpointKey, ClearKeys, Document, Entry, Half, Hasher, Head, Limits, Trail};
use strongroom_audit_sinks::{Options, Sink, Target};
use strongroom_failure::{Class, Failure};
use strongroom_kamus::Identity;
use strongroom_secret::SecretBytes;

/// Every so many lines one is a checkpoint.
const EVERY: NonZeroU64 = NonZeroU64::MIN.saturating_add(999);

/// What is told of a text in clear: it is no secret.
const CLEAR: [&str; 2] = ["key", "text_sha256"];

/// Where entries go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Off,
    Stdout,
    File(PathBuf),
}

/// What was asked, for its entry.
pub(crate) struct Asked<'a> {
    pub(crate) identity: &'a Identity,
    pub(crate) token: &'a SecretBytes,
    pub(crate) peer: SocketAddr,
    /// The key that the text names; empty for texts of Kamus.
    pub(crate) key: &'a str,
    /// SHA-256 of the text, hexadecimal: who has the text in Git finds who read it.
    pub(crate) digest: &'a str,
    /// Why it failed; empty where it did not.
    pub(crate) error: &'a str,
}

/// The trail of one process: lines that hold each other, from its start on.
pub(crate) struct Recording {
    sink: Sink,
    hasher: Hasher,
    clear: ClearKeys,
}

impl Recording {
    /// Begins a trail; nothing where that is off. `key` hashes tokens and vouches for lines.
    pub(crate) fn begin(place: &Place, key: SecretBytes) -> Result<Option<Self>, Failure> {
        let target = match place {
            Place::Off => return Ok(None),
            Place::Stdout => Target::Stdout,
            Place::File(path) => Target::File(path.clone()),
        };
        let trail = Trail::new(&format!("kamus-{}", identifier()))?;
        let head = Head::of_new(&trail);
        let chain = Chain::new(trail, head, CheckpointKey::new(1, key.clone())?, EVERY);
        let sink = Sink::start(Options::new(target), chain, |_| {})?;
        Ok(Some(Self { sink, hasher: Hasher::new(key)?, clear: CLEAR.into_iter().collect() }))
    }

    /// Puts a decryption into the trail.
    ///
    /// # Errors
    /// Where it is not there: the answer must not leave.
    pub(crate) async fn record(&self, asked: &Asked<'_>) -> Result<(), Failure> {
        let failed = |words: String| Failure::new(Class::Unavailable, words);
        let body = self.entry(asked).map_err(failed)?;
        self.sink.record(vec![body]).await.map_err(|error| failed(error.to_string()))
    }

    fn entry(&self, asked: &Asked<'_>) -> Result<strongroom_audit::Body, String> {
        let (namespace, account) = (asked.identity.namespace(), asked.identity.account());
        let name = format!("kubernetes-{namespace}-{account}");
        let id = identifier();
        let address = asked.peer.ip().to_string();
        let data: Map<String, Value> = [("key", asked.key), ("text_sha256", asked.digest)]
            .into_iter()
            .map(|(name, value)| (name.to_owned(), json!(value)))
            .collect();
        let document = Document::new(&self.hasher, &data, &self.clear, Limits::default());
        let mount = Mount { point: "kamus/", kind: "kamus", ..Mount::default() };
        let token = self.hasher.token(asked.token);
        let entry = Entry {
            time: Timestamp::now(),
            half: Half::Response,
            auth: Auth {
                client_token: token.clone(),
                display_name: &name,
                metadata: BTreeMap::from([("service_account_name", account), ("service_account_namespace", namespace)]),
                ..Auth::default()
            },
            request: Request {
                id: &id,
                operation: "update",
                mount,
                client_token: token,
                namespace: Namespace::default(),
                path: "kamus/decrypt",
                data: document.into(),
                remote_address: &address,
                remote_port: asked.peer.port().into(),
                ..Request::default()
            },
            response: Some(Response { mount, ..Response::default() }),
            error: asked.error,
            forwarded_from: "",
        };
        entry.body().map_err(|error| error.to_string())
    }
}

/// A random id.
fn identifier() -> String {
    let random = fastrand::u128(..);
    format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        random >> 96,
        (random >> 80) & 0xffff,
        (random >> 64) & 0xfff,
        0x8000 | ((random >> 48) & 0x3fff),
        random & 0xffff_ffff_ffff
    )
}
