//! Writing secrets: made with their mark in one call, filled by another. One that was made and never filled is filled
//! by the next push.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::FutureExt;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use strongroom_failure::{Class, Failure};
use strongroom_http::{Method, form_body, json_body};
use strongroom_provider::{
    DeleteAnswer, Deleted, Draft, Keeps, Left, MARK, MARKED, Place, Push, PushAnswer, RemoteKey, SecretBytes,
    each_secret, reduced, settings,
};

use crate::name::SecretName;
use crate::{ACCESS, DESCRIBE, SecretManager, answer};

const CREATE: &str = "secretmanager.secrets.create";
const UPDATE: &str = "secretmanager.secrets.update";
const DELETE: &str = "secretmanager.secrets.delete";
const ADD: &str = "secretmanager.versions.add";

type Names = BTreeMap<String, String>;

/// `metadata` of an entry. Topics, key and place are of a secret's making and are not changed afterwards.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Settings {
    labels: Option<Names>,
    annotations: Option<Names>,
    #[serde(default)]
    topics: Vec<String>,
    #[serde(default)]
    merge_policy: MergePolicy,
    #[serde(rename = "cmekKeyName")]
    key: Option<String>,
    replication_location: Option<String>,
    #[serde(default)]
    replication_locations: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
enum MergePolicy {
    #[default]
    Replace,
    Merge,
}

/// Where a secret is.
struct Home {
    /// The address of the secrets beside it.
    beside: String,
    id: String,
}

/// What is known of a secret.
struct Present {
    about: About,
    /// Nothing before the first version, or where the newest cannot be read for its state.
    value: Option<SecretBytes>,
}

#[derive(Deserialize)]
struct About {
    #[serde(default)]
    labels: Names,
    #[serde(default)]
    annotations: Names,
    #[serde(default)]
    etag: Option<String>,
}

impl SecretManager {
    pub(crate) async fn push_all(&self, pushes: &[Push]) -> Vec<PushAnswer> {
        each_secret(pushes, |push| &push.place.key, |key, pushes| self.push_secret(key, pushes).boxed()).await
    }

    pub(crate) async fn delete_all(&self, places: &[Place]) -> Vec<DeleteAnswer> {
        each_secret(places, |place| &place.key, |key, places| self.delete_secret(key, places).boxed()).await
    }

    async fn push_secret(&self, key: &str, pushes: Vec<&Push>) -> Result<Vec<PushAnswer>, Failure> {
        let settings: Settings = settings(&pushes)?;
        let home = self.home(key).await?;
        let present = self.present(&home).await?;
        let there = present.as_ref().and_then(|present| present.value.as_ref());
        let draft = Draft::new(there, &pushes, Keeps::Bytes);
        if present.as_ref().is_some_and(|present| !present.about.is_ours()) {
            return Ok(draft.foreign());
        }
        if !draft.has_a_say() {
            return Ok(draft.answers(Ok(false)));
        }
        let wrote = self.write(&home, present.as_ref(), draft.content.as_ref(), &settings).await;
        Ok(draft.answers(wrote))
    }

    async fn delete_secret(&self, key: &str, places: Vec<&Place>) -> Result<Vec<DeleteAnswer>, Failure> {
        let home = self.home(key).await?;
        let Some(present) = self.present(&home).await? else { return Ok(vec![Ok(Deleted::Absent); places.len()]) };
        if !present.about.is_ours() {
            return Ok(vec![Ok(Deleted::Foreign); places.len()]);
        }
        let nothing = SecretBytes::from("{}".to_owned());
        let (left, answers) = reduced(present.value.as_ref().unwrap_or(&nothing), &places, Keeps::Bytes);
        match left {
            Left::Same => {}
            Left::Content(content) => self.add(&home, &content).await?,
            Left::Nothing => {
                let etag = present.about.etag.unwrap_or_default();
                let address = format!("{}?{}", home.secret(), query(&[("etag", &etag)]));
                self.send(DELETE, Method::DELETE, &address, &SecretBytes::default()).await?;
            }
        }
        Ok(answers)
    }

    async fn home(&self, key: &str) -> Result<Home, Failure> {
        let name =
            SecretName::parse(&RemoteKey::current(key), self.settings.location.as_deref(), self.settings.is_confined)?;
        if name.version != "latest" {
            return Err(Failure::new(Class::Invalid, "a version cannot be written to; name the secret alone"));
        }
        let project = match &name.project {
            Some(project) => project.clone(),
            None => self.ambient_project(&format!("failed to write secret \"{}\" to", name.secret)).await?,
        };
        let whole = format!("{}/v1/{}", self.endpoint(name.location.as_deref()), name.secret_resource(&project));
        let beside = whole.strip_suffix(&format!("/{}", name.secret)).unwrap_or(&whole).to_owned();
        Ok(Home { beside, id: name.secret })
    }

    async fn present(&self, home: &Home) -> Result<Option<Present>, Failure> {
        let about = match self.get(&self.client, DESCRIBE, &home.secret()).await {
            Ok(response) => answer::read::<About>(response.body.expose())?,
            Err(failure) if failure.class == Class::NotFound => return Ok(None),
            Err(failure) => return Err(failure),
        };
        let address = format!("{}/versions/latest:access", home.secret());
        let (response, token) = self.ask_twice(&self.client, ACCESS, &address).await?;
        if answer::is_out_of_use(&response) {
            return Ok(Some(Present { about, value: None }));
        }
        match self.understand(response, ACCESS, &token) {
            Ok(response) => {
                let (value, _) = answer::payload(response.body.expose())?;
                Ok(Some(Present { about, value: Some(value) }))
            }
            Err(failure) if failure.class == Class::NotFound => Ok(Some(Present { about, value: None })),
            Err(failure) => Err(failure),
        }
    }

    /// Brings the secret, its labels and its value to what is wanted; whether more than the value was different.
    async fn write(
        &self,
        home: &Home,
        present: Option<&Present>,
        content: Option<&SecretBytes>,
        settings: &Settings,
    ) -> Result<bool, Failure> {
        let is_changed = match present {
            None => {
                let address = format!("{}?{}", home.beside, query(&[("secretId", &home.id)]));
                let secret = settings.new_secret(home.beside.contains("/locations/"))?;
                self.send(CREATE, Method::POST, &address, &json_body(&secret)?).await?;
                false
            }
            Some(present) => self.relabel(home, &present.about, settings).await?,
        };
        if let Some(content) = content {
            self.add(home, content).await?;
        }
        Ok(is_changed)
    }

    async fn relabel(&self, home: &Home, about: &About, settings: &Settings) -> Result<bool, Failure> {
        let mut labels = settings.merged(&about.labels, settings.labels.as_ref());
        labels.insert(MARK.to_owned(), MARKED.to_owned());
        let annotations = settings.merged(&about.annotations, settings.annotations.as_ref());
        settings.check()?;
        if labels == about.labels && annotations == about.annotations {
            return Ok(false);
        }
        let body = json!({"labels": labels, "annotations": annotations, "etag": about.etag});
        let address = format!("{}?{}", home.secret(), query(&[("updateMask", "labels,annotations")]));
        self.send(UPDATE, Method::PATCH, &address, &json_body(&body)?).await?;
        Ok(true)
    }

    async fn add(&self, home: &Home, content: &SecretBytes) -> Result<(), Failure> {
        #[derive(Serialize)]
        struct Body<'a> {
            payload: Payload<'a>,
        }
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Payload<'a> {
            data: &'a str,
            data_crc32c: String,
        }
        let data = SecretBytes::from(STANDARD.encode(content.expose()));
        let data_crc32c = crc32c::crc32c(content.expose()).to_string();
        let body = Body { payload: Payload { data: data.expose_text().unwrap_or_default(), data_crc32c } };
        self.send(ADD, Method::POST, &format!("{}:addVersion", home.secret()), &json_body(&body)?).await
    }

    async fn send(
        &self,
        operation: &'static str,
        method: Method,
        address: &str,
        body: &SecretBytes,
    ) -> Result<(), Failure> {
        let (response, token) = self.ask_twice_with(&self.client, operation, method, address, body).await?;
        self.understand(response, operation, &token).map(drop).map_err(|failure| match failure.class {
            Class::Denied => {
                let identity = self.tokens.identity();
                failure.with_hint(format!("grant roles/secretmanager.admin ({operation}) to {identity}"))
            }
            _ => failure,
        })
    }
}

impl Home {
    fn secret(&self) -> String {
        format!("{}/{}", self.beside, self.id)
    }
}

impl About {
    fn is_ours(&self) -> bool {
        self.labels.get(MARK).is_some_and(|value| value == MARKED)
    }
}

impl Settings {
    /// What becomes of names that are `there`; where nobody wrote any, they stay.
    fn merged(&self, there: &Names, written: Option<&Names>) -> Names {
        match (written, self.merge_policy) {
            (None, _) => there.clone(),
            (Some(written), MergePolicy::Replace) => written.clone(),
            (Some(written), MergePolicy::Merge) => there.clone().into_iter().chain(written.clone()).collect(),
        }
    }

    fn check(&self) -> Result<(), Failure> {
        match self.labels.as_ref().and_then(|labels| labels.get(MARK)) {
            Some(value) if value != MARKED => {
                let words = format!("metadata: the label {MARK} is set by us and cannot be chosen");
                Err(Failure::new(Class::Invalid, words))
            }
            _ => Ok(()),
        }
    }

    fn new_secret(&self, is_regional: bool) -> Result<Value, Failure> {
        self.check()?;
        let mut labels = self.labels.clone().unwrap_or_default();
        labels.insert(MARK.to_owned(), MARKED.to_owned());
        let topics: Vec<_> = self.topics.iter().map(|name| json!({"name": name})).collect();
        let mut secret =
            json!({"labels": labels, "annotations": self.annotations.clone().unwrap_or_default(), "topics": topics});
        let encryption = self.key.as_ref().map(|key| json!({"kmsKeyName": key}));
        match (is_regional, encryption) {
            (false, encryption) => secret["replication"] = self.replication(encryption.as_ref()),
            (true, Some(encryption)) => secret["customerManagedEncryption"] = encryption,
            (true, None) => {}
        }
        Ok(secret)
    }

    fn replication(&self, encryption: Option<&Value>) -> Value {
        let with_key = |mut place: Value| {
            if let Some(encryption) = encryption {
                place["customerManagedEncryption"] = encryption.clone();
            }
            place
        };
        let places = self.replication_location.iter().chain(&self.replication_locations);
        let replicas: Vec<_> = places.map(|place| with_key(json!({"location": place}))).collect();
        if replicas.is_empty() {
            return json!({"automatic": with_key(json!({}))});
        }
        json!({"userManaged": {"replicas": replicas}})
    }
}

fn query(fields: &[(&str, &str)]) -> String {
    let fields: Vec<_> = fields.iter().filter(|(_, value)| !value.is_empty()).collect();
    let fields: Vec<(&str, &[u8])> = fields.into_iter().map(|(name, value)| (*name, value.as_bytes())).collect();
    form_body(&fields).expose_text().unwrap_or_default().to_owned()
}
