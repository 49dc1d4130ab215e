//! Writing secrets: value, tags and mark in one call. Keys and certificates are imported (`imports`).

use std::collections::BTreeMap;

use futures_util::FutureExt;
use serde::{Deserialize, Serialize};
use strongroom_failure::{Class, Failure};
use strongroom_http::{Method, json_body};
use strongroom_provider::{
    DeleteAnswer, Deleted, Draft, Keeps, Left, MARK, MARKED, Place, Push, PushAnswer, RemoteKey, SecretBytes,
    each_secret, reduced, settings,
};

use crate::answer::{self, Described};
use crate::name::{Kind, ObjectName};
use crate::{KeyVault, VERSION};

const SET: &str = "keyvault:SetSecret";
const UPDATE: &str = "keyvault:UpdateSecret";
const DELETE: &str = "keyvault:DeleteSecret";

pub(crate) type Tags = BTreeMap<String, String>;

/// `metadata` of an entry.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Settings {
    tags: Option<Tags>,
    pub(crate) content_type: Option<String>,
    /// RFC 3339.
    pub(crate) expiration_date: Option<String>,
}

/// What goes with a value, as it is or as it shall be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Beside {
    pub(crate) tags: Tags,
    content_type: Option<String>,
    /// Seconds since 1970.
    pub(crate) expires: Option<i64>,
}

/// A secret as it is now.
struct Present {
    value: SecretBytes,
    version: String,
    beside: Beside,
}

impl KeyVault {
    pub(crate) async fn push_all(&self, pushes: &[Push]) -> Vec<PushAnswer> {
        each_secret(pushes, |push| &push.place.key, |key, pushes| self.push_object(key, pushes).boxed()).await
    }

    pub(crate) async fn delete_all(&self, places: &[Place]) -> Vec<DeleteAnswer> {
        each_secret(places, |place| &place.key, |key, places| self.delete_object(key, places).boxed()).await
    }

    async fn push_object(&self, key: &str, pushes: Vec<&Push>) -> Result<Vec<PushAnswer>, Failure> {
        let name = ObjectName::parse(&RemoteKey::current(key))?;
        match name.kind {
            Kind::Secret => self.push_secret(&name, pushes).await,
            Kind::Key | Kind::Certificate => Ok(self.import_each(&name, pushes).await),
        }
    }

    async fn delete_object(&self, key: &str, places: Vec<&Place>) -> Result<Vec<DeleteAnswer>, Failure> {
        let name = ObjectName::parse(&RemoteKey::current(key))?;
        match name.kind {
            Kind::Secret => self.delete_secret(&name, places).await,
            Kind::Key | Kind::Certificate => self.delete_imported(&name, places).await,
        }
    }

    async fn push_secret(&self, name: &ObjectName, pushes: Vec<&Push>) -> Result<Vec<PushAnswer>, Failure> {
        let settings: Settings = settings(&pushes)?;
        let present = self.present(name).await?;
        let draft = Draft::new(present.as_ref().map(|present| &present.value), &pushes, Keeps::Bytes);
        if present.as_ref().is_some_and(|present| !present.beside.is_ours()) {
            return Ok(draft.foreign());
        }
        if !draft.has_a_say() {
            return Ok(draft.answers(Ok(false)));
        }
        let there = present.as_ref().map(|present| present.beside.clone());
        let wanted = settings.applied_to(there.clone().unwrap_or_default())?;
        let is_changed = there.is_some_and(|there| there != wanted);
        let wrote = match (&draft.content, &present) {
            (Some(content), _) => self.set(name, content, &wanted).await.map(|()| is_changed),
            (None, Some(present)) if is_changed => {
                let address = format!("{}/{}", name.path(), present.version);
                let body = json_body(&Body::of(None, &wanted))?;
                self.send(UPDATE, Method::PATCH, &address, &body, Kind::Secret).await.map(|()| true)
            }
            (None, _) => Ok(false),
        };
        Ok(draft.answers(wrote))
    }

    async fn delete_secret(&self, name: &ObjectName, places: Vec<&Place>) -> Result<Vec<DeleteAnswer>, Failure> {
        let Some(present) = self.present(name).await? else { return Ok(vec![Ok(Deleted::Absent); places.len()]) };
        if !present.beside.is_ours() {
            return Ok(vec![Ok(Deleted::Foreign); places.len()]);
        }
        let (left, answers) = reduced(&present.value, &places, Keeps::Bytes);
        match left {
            Left::Same => {}
            Left::Content(content) => self.set(name, &content, &present.beside).await?,
            Left::Nothing => {
                self.send(DELETE, Method::DELETE, &name.path(), &SecretBytes::default(), Kind::Secret).await?;
            }
        }
        Ok(answers)
    }

    async fn present(&self, name: &ObjectName) -> Result<Option<Present>, Failure> {
        #[derive(Deserialize)]
        struct More {
            value: String,
            #[serde(default, rename = "contentType")]
            content_type: Option<String>,
        }
        let address = format!("{}/{}?api-version={VERSION}", self.vault.base, name.path());
        let response = match self.get(&address, Kind::Secret, Kind::Secret.operation()).await {
            Ok(response) => response,
            Err(failure) if failure.class == Class::NotFound => return Ok(None),
            Err(failure) => return Err(failure),
        };
        let Described { id, attributes, tags } = answer::read(response.body.expose())?;
        let More { value, content_type } = answer::read(response.body.expose())?;
        let beside = Beside { content_type, ..Beside::of(tags, attributes.exp) };
        let version = id.as_deref().and_then(|id| id.rsplit('/').next()).unwrap_or_default().to_owned();
        Ok(Some(Present { value: SecretBytes::from(value), version, beside }))
    }

    async fn set(&self, name: &ObjectName, content: &SecretBytes, beside: &Beside) -> Result<(), Failure> {
        let no_text = || {
            Failure::new(Class::Invalid, "the value is not text (UTF-8), and a vault's secrets hold nothing else")
                .with_hint("encode it in the template, by b64enc for example")
        };
        let value = content.expose_text().ok_or_else(no_text)?;
        let body = json_body(&Body::of(Some(value), beside))?;
        self.send(SET, Method::PUT, &name.path(), &body, Kind::Secret).await
    }

    pub(crate) async fn send(
        &self,
        operation: &'static str,
        method: Method,
        path: &str,
        body: &SecretBytes,
        kind: Kind,
    ) -> Result<(), Failure> {
        let address = format!("{}/{path}?api-version={VERSION}", self.vault.base);
        let sent = self.exchange(method, &address, body, kind, operation).await;
        sent.map(drop).map_err(|failure| match failure.class {
            Class::Denied => failure.with_hint(format!(
                "give the role {}, or the permissions to get, set, import and delete {}s, to {}",
                kind.writing_role(),
                kind.word(),
                self.tokens.identity()
            )),
            _ => failure,
        })
    }
}

impl Beside {
    /// As an answer of the vault has it.
    pub(crate) fn of(tags: Option<BTreeMap<String, Option<String>>>, expires: Option<i64>) -> Self {
        let tags = tags.unwrap_or_default().into_iter().map(|(name, value)| (name, value.unwrap_or_default()));
        Self { tags: tags.collect(), content_type: None, expires }
    }

    pub(crate) fn is_ours(&self) -> bool {
        self.tags.get(MARK).is_some_and(|value| value == MARKED)
    }
}

impl Settings {
    /// What `there` becomes; what nobody wrote stays.
    pub(crate) fn applied_to(&self, there: Beside) -> Result<Beside, Failure> {
        let mut tags = self.tags.clone().unwrap_or(there.tags);
        if tags.insert(MARK.to_owned(), MARKED.to_owned()).is_some_and(|value| value != MARKED) {
            let words = format!("metadata: the tag {MARK} is set by us and cannot be chosen");
            return Err(Failure::new(Class::Invalid, words));
        }
        let expires = match self.expiration_date.as_deref().filter(|date| !date.is_empty()) {
            None => there.expires,
            Some(date) => {
                let time = date.parse::<jiff::Timestamp>().map_err(|_| {
                    let words = "metadata: expirationDate is no time such as 2027-01-31T00:00:00Z";
                    Failure::new(Class::Invalid, words)
                })?;
                Some(time.as_second())
            }
        };
        let content_type = self.content_type.clone().or(there.content_type);
        Ok(Beside { tags, content_type, expires })
    }
}

/// The body of a write.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<&'a str>,
    tags: &'a Tags,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<&'a str>,
    attributes: Attributes,
}

/// Of whatever is written.
#[derive(Serialize)]
pub(crate) struct Attributes {
    pub(crate) enabled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) exp: Option<i64>,
}

impl<'a> Body<'a> {
    fn of(value: Option<&'a str>, beside: &'a Beside) -> Self {
        let attributes = Attributes { enabled: true, exp: beside.expires };
        Self { value, tags: &beside.tags, content_type: beside.content_type.as_deref(), attributes }
    }
}
