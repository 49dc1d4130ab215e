use std::collections::HashSet;
use std::fmt;

use futures_util::future::join_all;
use futures_util::{Stream, StreamExt as _};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::Api;
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt as _, watcher as watcher_of};
use kube::{Client, Resource};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use strongroom_failure::outside_words;
use tokio::sync::mpsc;

use crate::failure::failure;
use crate::readiness::ReadyHandle;

/// An object's place in the cluster, for one kind.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectName {
    /// `None` for kinds of the cluster.
    pub namespace: Option<String>,
    /// Its name there.
    pub name: String,
}

impl ObjectName {
    /// The name of the object with this metadata.
    pub fn of(metadata: &ObjectMeta) -> Self {
        Self { namespace: metadata.namespace.clone(), name: metadata.name.clone().unwrap_or_default() }
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(formatter, "{namespace}/{}", self.name),
            None => formatter.write_str(&self.name),
        }
    }
}

/// Which part of the cluster a list was about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All of it.
    Cluster,
    /// One namespace.
    Namespace(String),
}

impl Scope {
    /// Whether the object is in this part: only of such ones does a list say that they are gone.
    pub fn covers(&self, name: &ObjectName) -> bool {
        match self {
            Self::Cluster => true,
            Self::Namespace(namespace) => name.namespace.as_ref() == Some(namespace),
        }
    }
}

/// What a watch tells.
#[derive(Clone, Debug)]
pub enum Observed<K> {
    /// It is there, new or changed. The same may come again after a disturbance.
    Apply(K),
    /// It was deleted; this is how it was last.
    Delete(K),
    /// One that was malformed to its end was deleted.
    DeleteMalformed(ObjectName),
    /// It is there and is not what its kind says: a version from before a stricter schema, mostly.
    Malformed {
        /// Which one.
        name: ObjectName,
        /// What is wrong with it, without its values.
        why: String,
    },
    /// These are all that there are in `scope`, malformed ones included: what else an index has there
    /// ([`Scope::covers`]) is gone. Comes after the first list and after each one that a disturbance made necessary,
    /// behind the objects themselves.
    Restarted {
        /// Of which part of the cluster.
        scope: Scope,
        /// The names of all its objects.
        names: HashSet<ObjectName>,
    },
}

/// Which objects are watched: all, where nothing is set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// As in `kubectl get -l`.
    pub labels: Option<String>,
    /// As in `kubectl get --field-selector`.
    pub fields: Option<String>,
}

/// Watches all objects of a kind in the whole cluster and tells `events`, until its receiver is gone. With
/// `PartialObjectMeta<K>` only metadata is asked for.
///
/// `ready` is dropped when the first complete list was handed over. Disturbances are logged and mended with growing
/// pauses; a full queue holds the watch back.
pub async fn watch_all<K>(client: Client, selection: Selection, events: mpsc::Sender<Observed<K>>, ready: ReadyHandle)
where
    K: Resource<DynamicType = ()> + DeserializeOwned + Clone + Send + 'static,
{
    follow(Api::all(client), Scope::Cluster, selection, events, Some(ready), false).await;
}

/// The same until it is disturbed, and why it was; `None` when the receiver is gone. For who must not take for present
/// what was told before a disturbance: forget it, and begin again.
pub async fn watch_all_until_disturbed<K>(
    client: Client,
    selection: Selection,
    events: mpsc::Sender<Observed<K>>,
) -> Option<String>
where
    K: Resource<DynamicType = ()> + DeserializeOwned + Clone + Send + 'static,
{
    follow(Api::all(client), Scope::Cluster, selection, events, None, true).await
}

/// The same in some namespaces only, for who may not look at others: one watch for each, merged.
///
/// `ready` is dropped when the first list of each was handed over.
pub async fn watch_namespaces<K>(
    client: Client,
    namespaces: Vec<String>,
    selection: Selection,
    events: mpsc::Sender<Observed<K>>,
    ready: ReadyHandle,
) where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + DeserializeOwned + Clone + Send + 'static,
{
    let watches = namespaces.into_iter().map(|namespace| {
        let api = Api::namespaced(client.clone(), &namespace);
        let ready = ready.also(&format!("in {namespace}"));
        follow(api, Scope::Namespace(namespace), selection.clone(), events.clone(), Some(ready), false)
    });
    let watches: Vec<_> = watches.collect();
    drop((ready, events));
    join_all(watches).await;
}

/// How a watch begins: with a stream of what is there, which the API server sends from its memory, or, where it knows
/// no such thing, with pages of a list.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Beginning {
    Stream,
    List,
}

async fn follow<K>(
    api: Api<Guarded<K>>,
    scope: Scope,
    selection: Selection,
    events: mpsc::Sender<Observed<K>>,
    ready: Option<ReadyHandle>,
    ends: bool,
) -> Option<String>
where
    K: Resource<DynamicType = ()> + DeserializeOwned + Clone + Send + 'static,
{
    let mut relay = Relay { scope, events, names: HashSet::new(), ready, is_disturbed: false, ends };
    let mut beginning = Beginning::Stream;
    loop {
        let stream = watcher_of(api.clone(), configuration(&selection, beginning)).default_backoff();
        match relay.drive(stream).await {
            End::Unsupported if beginning == Beginning::Stream => beginning = Beginning::List,
            End::Unsupported => {}
            End::ReceiverGone => return None,
            End::Disturbed(why) => return Some(why),
        }
    }
}

fn configuration(selection: &Selection, beginning: Beginning) -> watcher::Config {
    // A page of 500 is the client's own; a stream has no pages.
    let mut configuration = watcher::Config::default();
    if beginning == Beginning::Stream {
        configuration = configuration.streaming_lists();
    }
    configuration.label_selector.clone_from(&selection.labels);
    configuration.field_selector.clone_from(&selection.fields);
    configuration
}

enum End {
    /// Nobody listens any more.
    ReceiverGone,
    /// The API server cannot begin with a stream.
    Unsupported,
    /// It was disturbed, and ends with that.
    Disturbed(String),
}

/// Turns a watcher's events into ours.
struct Relay<K> {
    scope: Scope,
    events: mpsc::Sender<Observed<K>>,
    /// What the list that is under way has named so far.
    names: HashSet<ObjectName>,
    ready: Option<ReadyHandle>,
    is_disturbed: bool,
    /// Whether a disturbance ends it.
    ends: bool,
}

impl<K: Resource<DynamicType = ()>> Relay<K> {
    async fn drive(&mut self, stream: impl Stream<Item = watcher::Result<Event<Guarded<K>>>>) -> End {
        let mut stream = std::pin::pin!(stream);
        loop {
            let next = tokio::select! {
                next = stream.next() => next,
                () = self.events.closed() => return End::ReceiverGone,
            };
            let event = match next {
                Some(Ok(event)) => event,
                Some(Err(error)) if is_without_streams(&error) => return End::Unsupported,
                Some(Err(error)) if self.ends => return End::Disturbed(disturbance(&error, &K::plural(&()))),
                Some(Err(error)) => {
                    self.tell_disturbance(&error);
                    continue;
                }
                // A watcher never ends by itself.
                None => return End::Unsupported,
            };
            self.tell_recovery(&event);
            if self.hand_over(event).await.is_err() {
                return End::ReceiverGone;
            }
        }
    }

    async fn hand_over(&mut self, event: Event<Guarded<K>>) -> Result<(), mpsc::error::SendError<Observed<K>>> {
        match event {
            Event::Init => {
                self.names.clear();
                Ok(())
            }
            Event::InitApply(object) => {
                self.names.insert(ObjectName::of(object.meta()));
                self.events.send(object.observed()).await
            }
            Event::Apply(object) => self.events.send(object.observed()).await,
            Event::Delete(Guarded(Ok(object))) => self.events.send(Observed::Delete(object)).await,
            Event::Delete(Guarded(Err(malformed))) => {
                self.events.send(Observed::DeleteMalformed(ObjectName::of(&malformed.metadata))).await
            }
            Event::InitDone => {
                let names = std::mem::take(&mut self.names);
                let sent = self.events.send(Observed::Restarted { scope: self.scope.clone(), names }).await;
                self.ready = None;
                sent
            }
        }
    }

    /// Once for each disturbance, however often it is tried meanwhile.
    fn tell_disturbance(&mut self, error: &watcher::Error) {
        let kind = K::plural(&());
        // A version that was compacted away is how a watch that slept too long begins again.
        if is_gone(error) {
            tracing::debug!(%kind, "watch begins again: its version is gone");
        } else if !std::mem::replace(&mut self.is_disturbed, true) {
            let why = disturbance(error, &kind);
            tracing::warn!(%kind, error = %why, "watch is disturbed; trying again");
        }
    }

    fn tell_recovery<T>(&mut self, event: &Event<T>) {
        // Init says only that a list was begun.
        if !matches!(event, Event::Init) && std::mem::take(&mut self.is_disturbed) {
            tracing::info!(kind = %K::plural(&()), "watch works again");
        }
    }
}

fn is_without_streams(error: &watcher::Error) -> bool {
    // "sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled"
    matches!(error, watcher::Error::WatchStartFailed(kube::Error::Api(status)) if status.code == 422)
}

fn is_gone(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::WatchError(status) => status.code == 410,
        watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::InitialListFailed(kube::Error::Api(status)) => status.code == 410,
        _ => false,
    }
}

fn disturbance(error: &watcher::Error, kind: &str) -> String {
    match error {
        watcher::Error::InitialListFailed(error) => failure(error, &format!("list {kind}"), &[]).to_string(),
        watcher::Error::WatchStartFailed(error) | watcher::Error::WatchFailed(error) => {
            failure(error, &format!("watch {kind}"), &[]).to_string()
        }
        watcher::Error::WatchError(status) => {
            failure(&kube::Error::Api(status.clone()), &format!("watch {kind}"), &[]).to_string()
        }
        watcher::Error::NoResourceVersion => format!("cannot watch {kind}: the API server names no resource version"),
    }
}

/// An object, or why it is none: one that cannot be read must not stop the watch of all.
///
/// kube has a guard as well, but what it keeps meanwhile loses numbers where serde_json is built to keep them exact, as
/// it is here.
#[derive(Clone)]
struct Guarded<K>(Result<K, Malformed>);

#[derive(Clone)]
struct Malformed {
    metadata: Box<ObjectMeta>,
    why: String,
}

impl<K: Resource<DynamicType = ()>> Guarded<K> {
    fn observed(self) -> Observed<K> {
        match self.0 {
            Ok(object) => Observed::Apply(object),
            Err(malformed) => Observed::Malformed { name: ObjectName::of(&malformed.metadata), why: malformed.why },
        }
    }
}

impl<'de, K: DeserializeOwned> Deserialize<'de> for Guarded<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        match K::deserialize(&value) {
            Ok(object) => Ok(Self(Ok(object))),
            Err(error) => {
                let metadata = value.get("metadata").ok_or_else(|| D::Error::missing_field("metadata"))?;
                let metadata = ObjectMeta::deserialize(metadata).map_err(D::Error::custom)?;
                Ok(Self(Err(Malformed { metadata: Box::new(metadata), why: without_values(&error.to_string()) })))
            }
        }
    }
}

impl<K> fmt::Debug for Guarded<K> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(if self.0.is_ok() { "an object" } else { "a malformed object" })
    }
}

impl<K: Resource> Resource for Guarded<K> {
    type DynamicType = K::DynamicType;
    type Scope = K::Scope;

    fn metadata_api() -> bool {
        K::metadata_api()
    }

    fn kind(of: &Self::DynamicType) -> std::borrow::Cow<'_, str> {
        K::kind(of)
    }

    fn group(of: &Self::DynamicType) -> std::borrow::Cow<'_, str> {
        K::group(of)
    }

    fn version(of: &Self::DynamicType) -> std::borrow::Cow<'_, str> {
        K::version(of)
    }

    fn plural(of: &Self::DynamicType) -> std::borrow::Cow<'_, str> {
        K::plural(of)
    }

    fn meta(&self) -> &ObjectMeta {
        match &self.0 {
            Ok(object) => object.meta(),
            Err(malformed) => &malformed.metadata,
        }
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        match &mut self.0 {
            Ok(object) => object.meta_mut(),
            Err(malformed) => &mut malformed.metadata,
        }
    }
}

/// What a parser says, without the text that it quotes: that may have been a secret at the wrong place.
fn without_values(words: &str) -> String {
    let mut shown = String::new();
    let mut rest = words;
    while let Some((before, quoted)) = rest.split_once('"') {
        shown.push_str(before);
        shown.push('…');
        rest = end_of_quote(quoted);
    }
    shown.push_str(rest);
    // "unknown variant `WHAT WAS WRITTEN`, expected one of `KNOWN`, …"
    if let Some((before, after)) = shown.split_once("unknown variant `")
        && let Some((_, expected)) = after.split_once("`, expected ")
    {
        shown = format!("{before}unknown variant, expected {expected}");
    }
    outside_words(&shown, &[])
}

/// What follows the closing quote of a text that was written with escapes.
fn end_of_quote(quoted: &str) -> &str {
    let mut is_escaped = false;
    for (index, character) in quoted.char_indices() {
        match character {
            '"' if !is_escaped => return &quoted[index + 1..],
            '\\' => is_escaped = !is_escaped,
            _ => is_escaped = false,
        }
    }
    ""
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::apps::v1::Deployment;
    use k8s_openapi::api::core::v1::ConfigMap;

    use super::*;

    #[test]
    fn what_a_parser_quotes_is_left_out() {
        let check = |words: &str, expected: &str| assert_eq!(without_values(words), expected);
        check("missing field `spec`", "missing field `spec`");
        check(
            "invalid type: string \"canary \\\" canary\", expected u64 at line 1 column 2",
            "invalid type: string …, expected u64 at line 1 column 2",
        );
        check("unknown variant `canary`, expected one of `A`, `B`", "unknown variant, expected one of `A`, `B`");
        check("unknown variant `ca`, expected `, expected `A`", "unknown variant, expected `, expected `A`");
        check("invalid value: string \"canary", "invalid value: string …");
    }

    #[test]
    fn a_guard_lets_good_ones_through_and_names_bad_ones() {
        // Numbers of any type survive: `generation` is an integer and `maxSurge` an integer or a text.
        let good = r#"{"metadata": {"name": "a", "generation": 7}, "spec": {"selector": {}, "template": {},
            "strategy": {"rollingUpdate": {"maxSurge": 1}}}}"#;
        let good: Guarded<Deployment> = serde_json::from_str(good).unwrap();
        let deployment = good.0.ok().unwrap();
        assert_eq!(deployment.metadata.generation, Some(7));
        let bad = r#"{"metadata": {"name": "b", "namespace": "n", "generation": 7}, "data": {"k": ["canary"]}}"#;
        let bad: Guarded<ConfigMap> = serde_json::from_str(bad).unwrap();
        let Observed::Malformed { name, why } = bad.observed() else { panic!("it is malformed") };
        assert_eq!(name.to_string(), "n/b");
        assert_eq!(why, "invalid type: sequence, expected a string");
    }
}
