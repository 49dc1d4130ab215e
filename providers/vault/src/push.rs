//! Writing secrets of KV 1 and 2, with the mark of ownership where External Secrets Operator puts it.
//!
//! Version 2 keeps the mark in a secret's custom metadata, which is written before the first version: a secret that was
//! marked and never filled is filled by the next push. Every version is written by check-and-set. Version 1 keeps no
//! metadata, so the mark is the member `custom_metadata` of the secret itself.

use futures_util::FutureExt;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use strongroom_failure::{Class, Failure};
use strongroom_http::{Method, Response, json_body};
use strongroom_provider::{
    DeleteAnswer, Deleted, Draft, Facet, Keeps, Left, MARK, MARKED, NoSettings, Place, Push, PushAnswer, RemoteKey,
    SecretBytes, each_secret, reduced, settings,
};

use crate::KvVersion;
use crate::api::{Ask, failure_of};
use crate::path::{Form, first_segment, target, versioned};
use crate::vault::{NO_ENGINE, Vault, no_engine, refused};

/// The member that holds the mark in version 1.
const CUSTOM_METADATA: &str = "custom_metadata";

/// Where a secret is kept, as the API names it.
enum Home {
    One(String),
    Two { data: String, metadata: String },
}

/// A secret as it is now.
struct Present {
    /// A JSON object, without the mark; nothing where no version of it can be read.
    value: Option<SecretBytes>,
    is_ours: bool,
    /// The newest version; 0 before the first.
    version: u64,
}

impl Vault {
    pub(crate) async fn push_all(&self, pushes: &[Push]) -> Vec<PushAnswer> {
        each_secret(pushes, |push| &push.place.key, |key, pushes| self.push_secret(key, pushes).boxed()).await
    }

    pub(crate) async fn delete_all(&self, places: &[Place]) -> Vec<DeleteAnswer> {
        each_secret(places, |place| &place.key, |key, places| self.delete_secret(key, places).boxed()).await
    }

    async fn push_secret(&self, key: &str, pushes: Vec<&Push>) -> Result<Vec<PushAnswer>, Failure> {
        let NoSettings {} = settings(&pushes)?;
        let home = self.home(key).await?;
        let present = self.present(&home).await?;
        let there = present.as_ref().and_then(|present| present.value.as_ref());
        let draft = Draft::new(there, &pushes, Keeps::Objects);
        if present.as_ref().is_some_and(|present| !present.is_ours) {
            return Ok(draft.foreign());
        }
        let Some(content) = &draft.content else { return Ok(draft.answers(Ok(false))) };
        let wrote = self.write(&home, present.as_ref(), content).await;
        Ok(draft.answers(wrote.map(|()| false)))
    }

    async fn delete_secret(&self, key: &str, places: Vec<&Place>) -> Result<Vec<DeleteAnswer>, Failure> {
        let home = self.home(key).await?;
        let Some(present) = self.present(&home).await? else { return Ok(all(Deleted::Absent, places.len())) };
        if !present.is_ours {
            return Ok(all(Deleted::Foreign, places.len()));
        }
        // One that was marked and never filled, or whose versions are deleted, is nothing but metadata.
        let empty = SecretBytes::from("{}".to_owned());
        let (left, answers) = reduced(present.value.as_ref().unwrap_or(&empty), &places, Keeps::Objects);
        match left {
            Left::Same => {}
            Left::Content(content) => self.write(&home, Some(&present), &content).await?,
            Left::Nothing => self.remove(&home).await?,
        }
        Ok(answers)
    }

    async fn home(&self, key: &str) -> Result<Home, Failure> {
        let value = target(&RemoteKey::current(key), &self.settings)?;
        match self.settings.kv_version {
            Some(KvVersion::One) => return Ok(Home::One(value.path)),
            Some(KvVersion::Two) => {
                let key = RemoteKey { facet: Facet::Metadata, ..RemoteKey::current(key) };
                return Ok(Home::Two { data: value.path, metadata: target(&key, &self.settings)?.path });
            }
            None => {}
        }
        let token = self.session.token(&self.api).await?;
        let two = |mount: &str| Home::Two {
            data: versioned(&value.path, mount, Facet::Value),
            metadata: versioned(&value.path, mount, Facet::Metadata),
        };
        let mount = self.mounts.of(&self.api, &value.path, &token.value).await?;
        match mount.as_ref().map(|mount| (mount.path.as_str(), mount.version)) {
            Some((mount, Some(KvVersion::Two))) => Ok(two(mount)),
            Some((_, Some(KvVersion::One))) => Ok(Home::One(value.path)),
            Some((mount, None)) => {
                let words = format!("{mount} is no KV engine, and only those are written to");
                Err(Failure::new(Class::Invalid, words))
            }
            None if value.form == Form::PerhapsVersioned => Ok(two(first_segment(&value.path))),
            None => {
                let words = format!("which secrets engine {} belongs to is not known", value.path);
                Err(Failure::new(Class::Invalid, words)
                    .with_hint("name the mount and the version of KV in the store's settings"))
            }
        }
    }

    async fn present(&self, home: &Home) -> Result<Option<Present>, Failure> {
        match home {
            Home::One(path) => match self.exchange("vault:read", Method::GET, path, None).await? {
                Some((response, true)) => first_version(&response.body).map(Some),
                _ => Ok(None),
            },
            Home::Two { data, metadata } => {
                // The answer about a deleted version is a 404 that tells of it.
                let answer = self.exchange("vault:read", Method::GET, data, None).await?;
                match answer.map(|(response, _)| second_version(&response.body)).transpose()?.flatten() {
                    Some(present) => Ok(Some(present)),
                    None => self.marked_only(metadata).await,
                }
            }
        }
    }

    /// A secret of version 2 that has no version yet.
    async fn marked_only(&self, metadata: &str) -> Result<Option<Present>, Failure> {
        #[derive(Deserialize)]
        struct Answer {
            data: Metadata,
        }
        match self.exchange("vault:metadata", Method::GET, metadata, None).await? {
            Some((response, true)) => {
                let Answer { data } = response.json()?;
                Ok(Some(Present { value: None, is_ours: data.is_ours(), version: data.current_version }))
            }
            _ => Ok(None),
        }
    }

    async fn write(&self, home: &Home, present: Option<&Present>, content: &SecretBytes) -> Result<(), Failure> {
        let members: &RawValue = object(content)?;
        match home {
            Home::One(path) => {
                self.exchange("vault:write", Method::POST, path, Some(marked(members)?)).await?;
            }
            Home::Two { data, metadata } => {
                if present.is_none() {
                    let mark = json_body(&json!({ CUSTOM_METADATA: { MARK: MARKED } }))?;
                    self.exchange("vault:mark", Method::POST, metadata, Some(mark)).await?;
                }
                let cas = present.map_or(0, |present| present.version);
                let body = json_body(&Version { options: Options { cas }, data: members })?;
                self.exchange("vault:write", Method::POST, data, Some(body)).await?;
            }
        }
        Ok(())
    }

    /// Removes the secret with all its versions and, last of all in the same call, its mark.
    async fn remove(&self, home: &Home) -> Result<(), Failure> {
        let (Home::One(path) | Home::Two { metadata: path, .. }) = home;
        self.exchange("vault:delete", Method::DELETE, path, None).await.map(|_| ())
    }

    /// One request, once more with a fresh token where that is refused: the answer, and whether it is a success or says
    /// that there is no such thing. Nothing where a write meets nothing.
    async fn exchange(
        &self,
        operation: &'static str,
        method: Method,
        path: &str,
        body: Option<SecretBytes>,
    ) -> Result<Option<(Response, bool)>, Failure> {
        self.with_fresh_token(|token| {
            let (method, body) = (method.clone(), body.clone().unwrap_or_default());
            async move {
                let is_read = method == Method::GET;
                let (verb, capability) = capability(&method);
                let ask = Ask { method, body, ..Ask::get(operation, path, &token.value) };
                let response = self.api.send(ask).await?;
                if response.status.is_success() {
                    return Ok(Some((response, true)));
                }
                let failure = failure_of(&response, &[&token.value]);
                match failure.class {
                    Class::NotFound if failure.words.contains(NO_ENGINE) => Err(no_engine(path, failure)),
                    Class::NotFound if is_read => Ok(Some((response, false))),
                    Class::Denied => Err(refused(verb, path, capability, &failure.words)),
                    // Whoever pushes again sees what the other one wrote.
                    Class::Invalid if failure.words.contains("check-and-set") => {
                        Err(Failure::new(Class::Unavailable, "somebody else wrote it at the same time"))
                    }
                    _ => Err(failure),
                }
            }
        })
        .await
    }
}

fn capability(method: &Method) -> (&'static str, &'static str) {
    match *method {
        Method::GET => ("read", "read"),
        Method::DELETE => ("delete", "delete"),
        _ => ("write to", "create\", \"update"),
    }
}

/// A new version; check-and-set makes sure that it follows the one that was read.
#[derive(Serialize)]
struct Version<'a> {
    options: Options,
    data: &'a RawValue,
}

#[derive(Serialize)]
struct Options {
    cas: u64,
}

#[derive(Default, Deserialize)]
struct Metadata {
    #[serde(default)]
    custom_metadata: Option<Map<String, Value>>,
    #[serde(default)]
    current_version: u64,
    #[serde(default)]
    version: u64,
}

impl Metadata {
    fn is_ours(&self) -> bool {
        self.custom_metadata.as_ref().is_some_and(|all| all.get(MARK).and_then(Value::as_str) == Some(MARKED))
    }
}

/// What an answer of version 2 tells of a secret; nothing where there is none.
fn second_version(body: &SecretBytes) -> Result<Option<Present>, Failure> {
    #[derive(Deserialize)]
    struct Answer<'a> {
        #[serde(borrow, default)]
        data: Option<Inner<'a>>,
    }
    #[derive(Deserialize)]
    struct Inner<'a> {
        #[serde(borrow)]
        data: Option<&'a RawValue>,
        metadata: Metadata,
    }
    let Answer { data } = serde_json::from_slice(body.expose()).map_err(|_| unreadable())?;
    Ok(data.map(|Inner { data, metadata }| Present {
        value: data.map(|data| SecretBytes::new(data.get().as_bytes().to_vec())),
        is_ours: metadata.is_ours(),
        version: metadata.version,
    }))
}

/// A secret of version 1, its mark taken out.
fn first_version(body: &SecretBytes) -> Result<Present, Failure> {
    #[derive(Deserialize)]
    struct Answer<'a> {
        #[serde(borrow)]
        data: Members<'a>,
    }
    let Answer { data: Members(mut members) } = serde_json::from_slice(body.expose()).map_err(|_| unreadable())?;
    let mark = members.iter().position(|(name, _)| name == CUSTOM_METADATA).map(|place| members.remove(place).1);
    let mark: Option<Map<String, Value>> = mark.and_then(|mark| serde_json::from_str(mark.get()).ok());
    let metadata = Metadata { custom_metadata: mark, ..Metadata::default() };
    Ok(Present { value: Some(json_body(&Members(members))?), is_ours: metadata.is_ours(), version: 0 })
}

/// The body of a write to version 1: the members, and the mark after them.
fn marked(members: &RawValue) -> Result<SecretBytes, Failure> {
    let mut members: Members<'_> = serde_json::from_str(members.get()).map_err(|_| no_object())?;
    members.0.retain(|(name, _)| name != CUSTOM_METADATA);
    let mark = serde_json::value::to_raw_value(&json!({ MARK: MARKED })).map_err(|_| no_object())?;
    members.0.push((CUSTOM_METADATA.to_owned(), &mark));
    Ok(json_body(&members)?)
}

/// The members of an object in their order, as the text they are.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> serde::de::Visitor<'de> for InOrder {
            type Value = Vec<(String, &'de RawValue)>;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(InOrder).map(Self)
    }
}

impl Serialize for Members<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// Both versions keep objects only.
fn object(content: &SecretBytes) -> Result<&RawValue, Failure> {
    let text = content.expose_text().ok_or_else(no_object)?;
    let raw: &RawValue = serde_json::from_str(text).map_err(|_| no_object())?;
    if raw.get().starts_with('{') { Ok(raw) } else { Err(no_object()) }
}

fn no_object() -> Failure {
    Failure::new(Class::Invalid, "the value is no JSON object, and Vault keeps nothing else")
        .with_hint("name a property for it (remoteRef.property)")
}

fn unreadable() -> Failure {
    Failure::new(Class::Unavailable, "the server's answer is not JSON as Vault gives it")
}

fn all(answer: Deleted, count: usize) -> Vec<DeleteAnswer> {
    vec![Ok(answer); count]
}
