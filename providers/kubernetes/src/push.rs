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
use crate::secrets::Secrets;

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

impl Secrets {
    pub(crate) async fn push_all(&self, pushes: &[Push]) -> Vec<PushAnswer> {
        each_secret(pushes, |push| &push.place.key, |key, pushes| self.push_secret(key, pushes).boxed()).await
    }

    pub(crate) async fn delete_all(&self, places: &[Place]) -> Vec<DeleteAnswer> {
        each_secret(places, |place| &place.key, |key, places| self.delete_keys(key, places).boxed()).await
    }

    async fn push_secret(&self, key: &str, pushes: Vec<&Push>) -> Result<Vec<PushAnswer>, Failure> {
        let settings: Settings = settings(&pushes)?;
        self.check_namespace(&settings)?;
        let present = self.present(key).await?;
        let was_there = present.is_some();
        let mut object = present.unwrap_or_else(|| Object::new(key, &pushes));
        let answers: Vec<_> = pushes.iter().map(|push| object.take(push, was_there)).collect();
        let is_written = answers.iter().any(|answer| matches!(answer, Ok(Pushed::Written)));
        let draft = Draft::of(answers);
        if !draft.has_a_say() {
            return Ok(draft.answers(Ok(false)));
        }
        let is_renamed = pushes.last().is_some_and(|push| object.label(&push.source, &settings));
        let wrote = match (was_there, is_written || is_renamed) {
            (true, false) => Ok(false),
            (true, true) => {
                self.write(UPDATE, Method::PUT, &self.object_path(key)?, &object).await.map(|()| is_renamed)
            }
            (false, _) => self.write(CREATE, Method::POST, &self.path(), &object).await.map(|()| true),
        };
        Ok(draft.answers(wrote))
    }

    async fn delete_keys(&self, key: &str, places: Vec<&Place>) -> Result<Vec<DeleteAnswer>, Failure> {
        let Some(mut object) = self.present(key).await? else { return Ok(vec![Ok(Deleted::Absent); places.len()]) };
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
            let path = self.object_path(key)?;
            if object.data.as_ref().is_some_and(|data| !data.is_empty()) {
                self.write(UPDATE, Method::PUT, &path, &object).await?;
            } else {
                let version = object.metadata.get("resourceVersion");
                let options = json!({
                    "apiVersion": "v1",
                    "kind": "DeleteOptions",
                    "preconditions": {"resourceVersion": version},
                });
                self.write(DELETE, Method::DELETE, &path, &options).await?;
            }
        }
        Ok(answers.into_iter().map(Ok).collect())
    }

    fn object_path(&self, key: &str) -> Result<String, Failure> {
        Ok(format!("{}/{}", self.path(), segment(key)?))
    }

    async fn present(&self, key: &str) -> Result<Option<Object>, Failure> {
        let response = self.connection.get(GET, &self.object_path(key)?).await.map_err(Failure::from);
        match response {
            Ok(response) => serde_json::from_slice(response.body.expose()).map(Some).map_err(|_| unexpected()),
            Err(failure) if failure.class == Class::NotFound => Ok(None),
            Err(failure) => Err(self.explained(failure)),
        }
    }

    async fn write(
        &self,
        operation: &'static str,
        method: Method,
        path: &str,
        body: &impl Serialize,
    ) -> Result<(), Failure> {
        let written = self.connection.write(operation, method, path, &json_body(body)?).await;
        let hint = || {
            let identity = self.connection.identity();
            format!(
                "give {identity} a Role in namespace {} that may get, create, update and delete Secrets",
                self.namespace
            )
        };
        written.map(drop).map_err(|trouble| match Failure::from(trouble) {
            failure if failure.class == Class::Denied => failure.with_hint(hint()),
            failure => failure,
        })
    }

    fn check_namespace(&self, settings: &Settings) -> Result<(), Failure> {
        match settings.remote_namespace.as_deref() {
            None | Some("") => Ok(()),
            Some(namespace) if namespace == self.namespace => Ok(()),
            Some(namespace) => {
                let words =
                    format!("metadata: remoteNamespace {namespace} is not the store's, which is {}", self.namespace);
                Err(Failure::new(Class::Invalid, words).with_hint("use a store of that namespace"))
            }
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
