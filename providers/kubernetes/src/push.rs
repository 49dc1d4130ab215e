//! Writing Secrets as External Secrets Operator does: keys are merged into whatever Secret is there, and none is marked.
//!
//! Since nothing tells whose a Secret is, only single keys are deleted, and the Secret with the last of them. Every
//! write names the version that was read, so that nothing that somebody else wrote meanwhile is lost.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::FutureExt;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value, json};
use strongroom_failure::{Class, Failure};
use strongroom_http::{Method, json_body};
use strongroom_provider::{
    Content, DeleteAnswer, Deleted, Draft, Place, Push, PushAnswer, Pushed, SecretBytes, each_secret, settings, whole,
};

use crate::answer::unexpected;
use crate::object::{Decoded, segment};
use crate::secrets::{Secrets, path};

const GET: &str = "kubernetes:GetSecret";
const CREATE: &str = "kubernetes:CreateSecret";
const UPDATE: &str = "kubernetes:UpdateSecret";
const DELETE: &str = "kubernetes:DeleteSecret";

/// kubectl's copy of a whole object, values and all.
const COPY: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// `metadata` of an entry.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Settings {
    #[serde(default)]
    target_merge_policy: Target,
    #[serde(default)]
    source_merge_policy: Source,
    #[serde(default)]
    labels: Names,
    #[serde(default)]
    annotations: Names,
    remote_namespace: Option<String>,
}

/// What becomes of labels and annotations that the Secret has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
enum Target {
    #[default]
    Merge,
    Replace,
    /// They stay, and none are added.
    Ignore,
}

/// What becomes of the source's own labels and annotations, beside those of the settings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
enum Source {
    #[default]
    Merge,
    Replace,
}

type Names = BTreeMap<String, String>;

/// A whole Secret; it has no other members.
#[derive(Deserialize, Serialize)]
struct Object {
    #[serde(default, rename = "apiVersion")]
    api_version: String,
    #[serde(default)]
    kind: String,
    metadata: Map<String, Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    r#type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    immutable: Option<bool>,
    #[serde(default, serialize_with = "encoded")]
    data: Option<BTreeMap<String, Decoded>>,
}

/// A Secret that is written to.
struct SecretName<'a> {
    namespace: &'a str,
    name: &'a str,
}

/// An entry of a list, under what tells its Secret from others.
type Named<'a, T> = (String, &'a T);

/// The entries, each under its Secret's name, with the namespace before it where that is not the store's.
fn named<'a, T>(entries: &'a [T], place: impl Fn(&T) -> &Place) -> Vec<Named<'a, T>> {
    let name = |entry| match place(entry) {
        Place { key, namespace: Some(namespace), .. } => format!("{namespace}/{key}"),
        Place { key, namespace: None, .. } => key.clone(),
    };
    entries.iter().map(|entry| (name(entry), entry)).collect()
}

impl Secrets {
    /// The same, which may push to other namespaces where its identity may (`remoteNamespace` in the metadata).
    #[must_use]
    pub fn with_other_namespaces(self) -> Self {
        Self { has_other_namespaces: true, ..self }
    }

    pub(crate) async fn push_all(&self, pushes: &[Push]) -> Vec<PushAnswer> {
        let pushes = named(pushes, |push| &push.place);
        each_secret(
            &pushes,
            |(name, _)| name,
            |_, pushes| self.push_secret(pushes.into_iter().map(|(_, push)| *push).collect()).boxed(),
        )
        .await
    }

    pub(crate) async fn delete_all(&self, places: &[Place]) -> Vec<DeleteAnswer> {
        let places = named(places, |place| place);
        each_secret(
            &places,
            |(name, _)| name,
            |_, places| self.delete_keys(places.into_iter().map(|(_, place)| *place).collect()).boxed(),
        )
        .await
    }

    /// `NAMESPACE/NAME` in another namespace than the store's, so that whoever may have a name in one may not have it in
    /// all.
    pub(crate) fn name_in_cluster(&self, place: &Place) -> Result<String, Failure> {
        let SecretName { namespace, name } = self.target(Some(place))?;
        Ok(if namespace == self.namespace { name.to_owned() } else { format!("{namespace}/{name}") })
    }

    async fn push_secret(&self, pushes: Vec<&Push>) -> Result<Vec<PushAnswer>, Failure> {
        let settings: Settings = settings(&pushes)?;
        let target = self.target(pushes.last().map(|push| &push.place))?;
        settings.check_namespace(target.namespace)?;
        let present = self.present(&target).await?;
        let was_there = present.is_some();
        let mut object = present.unwrap_or_else(|| Object::new(target.name, &pushes));
        let answers: Vec<_> = pushes.iter().map(|push| object.take(push, was_there)).collect();
        let is_written = answers.iter().any(|answer| matches!(answer, Ok(Pushed::Written)));
        let draft = Draft::of(answers);
        if !draft.has_a_say() {
            return Ok(draft.answers(Ok(false)));
        }
        let is_renamed = pushes.last().is_some_and(|push| object.label(&push.source, &settings));
        let wrote = match (was_there, is_written || is_renamed) {
            (true, false) => Ok(false),
            (true, true) => self.write(UPDATE, Method::PUT, &target, &object).await.map(|()| is_renamed),
            (false, _) => self.write(CREATE, Method::POST, &target, &object).await.map(|()| true),
        };
        Ok(draft.answers(wrote))
    }

    async fn delete_keys(&self, places: Vec<&Place>) -> Result<Vec<DeleteAnswer>, Failure> {
        let target = self.target(places.last().copied())?;
        let Some(mut object) = self.present(&target).await? else { return Ok(vec![Ok(Deleted::Absent); places.len()]) };
        let remove = |place: &&Place| match &place.property {
            // It may have been there before anything was pushed to it.
            None => Deleted::Foreign,
            Some(property) => match object.data.as_mut().and_then(|data| data.remove(property)) {
                Some(_) => Deleted::Removed,
                None => Deleted::Absent,
            },
        };
        let answers: Vec<Deleted> = places.iter().map(remove).collect();
        if answers.contains(&Deleted::Removed) {
            if object.data.as_ref().is_some_and(|data| !data.is_empty()) {
                self.write(UPDATE, Method::PUT, &target, &object).await?;
            } else {
                let version = object.metadata.get("resourceVersion");
                let options = json!({
                    "apiVersion": "v1",
                    "kind": "DeleteOptions",
                    "preconditions": {"resourceVersion": version},
                });
                self.write(DELETE, Method::DELETE, &target, &options).await?;
            }
        }
        Ok(answers.into_iter().map(Ok).collect())
    }

    /// The Secret that a place is in. Other namespaces than the store's are not for everybody.
    fn target<'a>(&'a self, place: Option<&'a Place>) -> Result<SecretName<'a>, Failure> {
        let (name, named) = place.map_or(("", None), |place| (place.key.as_str(), place.namespace.as_deref()));
        let namespace = named.unwrap_or(&self.namespace);
        if namespace != self.namespace && !self.has_other_namespaces {
            let words =
                format!("metadata: remoteNamespace {namespace} is not the store's, which is {}", self.namespace);
            let hint = "push by a ClusterSecretStore, or by a store of that namespace";
            return Err(Failure::new(Class::Invalid, words).with_hint(hint));
        }
        segment(namespace)?;
        segment(name)?;
        Ok(SecretName { namespace, name })
    }

    async fn present(&self, target: &SecretName<'_>) -> Result<Option<Object>, Failure> {
        let response = self.connection.get(GET, &target.path()).await.map_err(Failure::from);
        match response {
            Ok(response) => serde_json::from_slice(response.body.expose()).map(Some).map_err(|_| unexpected()),
            Err(failure) if failure.class == Class::NotFound => Ok(None),
            Err(failure) => Err(self.refused(failure, target)),
        }
    }

    async fn write(
        &self,
        operation: &'static str,
        method: Method,
        target: &SecretName<'_>,
        body: &impl Serialize,
    ) -> Result<(), Failure> {
        let path = if method == Method::POST { path(target.namespace) } else { target.path() };
        let written = self.connection.write(operation, method, &path, &json_body(body)?).await;
        written.map(drop).map_err(|trouble| self.refused(Failure::from(trouble), target))
    }

    fn refused(&self, failure: Failure, target: &SecretName<'_>) -> Failure {
        match failure.class {
            Class::Denied => failure.with_hint(format!(
                "give {} a Role in namespace {} that may get, create, update and delete Secrets",
                self.connection.identity(),
                target.namespace
            )),
            _ => self.explained(failure),
        }
    }
}

impl SecretName<'_> {
    fn path(&self) -> String {
        format!("{}/{}", path(self.namespace), self.name)
    }
}

impl Settings {
    /// Whoever passes metadata on puts its namespace into the place, by which deletions go as well.
    fn check_namespace(&self, target: &str) -> Result<(), Failure> {
        match self.remote_namespace.as_deref().filter(|namespace| !namespace.is_empty()) {
            Some(namespace) if namespace != target => {
                let words = format!("metadata: remoteNamespace {namespace} is not where it goes, which is {target}");
                Err(Failure::new(Class::Invalid, words))
            }
            _ => Ok(()),
        }
    }
}

impl Object {
    fn new(key: &str, pushes: &[&Push]) -> Self {
        let kind = pushes.iter().rev().find_map(|push| push.source.secret_type.clone());
        let mut metadata = Map::new();
        metadata.insert("name".to_owned(), key.into());
        Self {
            api_version: "v1".to_owned(),
            kind: "Secret".to_owned(),
            metadata,
            r#type: Some(kind.filter(|kind| !kind.is_empty()).unwrap_or_else(|| "Opaque".to_owned())),
            immutable: None,
            data: None,
        }
    }

    /// Puts what is pushed into the data.
    fn take(&mut self, push: &Push, was_there: bool) -> PushAnswer {
        let data = self.data.get_or_insert_default();
        let Some(property) = &push.place.property else {
            let Content::Whole(all) = &push.content else {
                let words = "a single value needs a key of the Secret to be pushed to";
                return Err(Failure::new(Class::Invalid, words).with_hint("name it (remoteRef.property)"));
            };
            if push.only_if_absent && was_there {
                return Ok(Pushed::Kept);
            }
            let changed = all.iter().filter(|(key, value)| put(data, key, value)).count();
            // A Secret without data comes into being as well.
            return Ok(if changed > 0 || !was_there { Pushed::Written } else { Pushed::Unchanged });
        };
        if push.only_if_absent && data.contains_key(property) {
            return Ok(Pushed::Kept);
        }
        Ok(if put(data, property, &whole(&push.content)?) { Pushed::Written } else { Pushed::Unchanged })
    }

    /// Sets labels and annotations by the policies; whether any changed.
    fn label(&mut self, source: &strongroom_provider::Source, settings: &Settings) -> bool {
        let labels = self.names("labels", &source.labels, &settings.labels, settings);
        let annotations = self.names("annotations", &source.annotations, &settings.annotations, settings);
        labels || annotations
    }

    fn names(&mut self, member: &str, source: &Names, written: &Names, settings: &Settings) -> bool {
        if settings.target_merge_policy == Target::Ignore {
            return false;
        }
        let of_source = source.iter().filter(|(name, _)| name.as_str() != COPY);
        let of_source = of_source.filter(|_| settings.source_merge_policy == Source::Merge);
        let wanted = of_source.chain(written).map(|(name, value)| (name.clone(), Value::from(value.as_str())));
        let before = self.metadata.get(member).and_then(Value::as_object).cloned().unwrap_or_default();
        let mut after = if settings.target_merge_policy == Target::Merge { before.clone() } else { Map::new() };
        after.extend(wanted);
        let is_changed = after != before;
        if is_changed {
            self.metadata.insert(member.to_owned(), Value::Object(after));
        }
        is_changed
    }
}

/// Whether that changed anything.
fn put(data: &mut BTreeMap<String, Decoded>, key: &str, value: &SecretBytes) -> bool {
    if data.get(key).is_some_and(|there| there.0.expose() == value.expose()) {
        return false;
    }
    data.insert(key.to_owned(), Decoded(value.clone()));
    true
}

fn encoded<S: Serializer>(data: &Option<BTreeMap<String, Decoded>>, serializer: S) -> Result<S::Ok, S::Error> {
    let texts = data.iter().flatten().map(|(key, value)| (key, SecretText(STANDARD.encode(value.0.expose()).into())));
    serializer.collect_map(texts)
}

/// A text that is wiped once it was written.
struct SecretText(SecretBytes);

impl Serialize for SecretText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.expose_text().unwrap_or_default())
    }
}
