//! Writing secrets: created with their mark in one call, and changed by as many calls as there are differences.

use aws_sdk_secretsmanager::primitives::Blob;
use aws_sdk_secretsmanager::types::Tag;
use futures_util::FutureExt as _;
use serde::Deserialize;
use strongroom_failure::{Class, Failure};
use strongroom_provider::{
    DeleteAnswer, Deleted, Draft, Keeps, Left, Place, Push, PushAnswer, RemoteValue, SecretBytes, each_secret, reduced,
    settings,
};

use super::policy::ResourcePolicy;
use super::replicas;
use super::{DESCRIBE, SINGLE, SecretsManager, one_value};
use crate::push::{DESCRIPTION, Tags, is_ours, marked, tag_changes};

/// How secrets are deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deletion {
    /// AWS keeps it for so many days (7 to 30; its own default without), in which it can be restored.
    Recoverable(Option<i64>),
    /// At once and for good.
    Final,
}

/// `metadata` of an entry.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Settings {
    tags: Option<Tags>,
    description: Option<String>,
    #[serde(default)]
    secret_push_format: Format,
    kms_key_id: Option<String>,
    resource_policy: Option<ResourcePolicy>,
    /// Regions of its copies.
    replication_locations: Option<Vec<String>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    #[default]
    Binary,
    String,
}

/// A secret as it is now.
pub(super) struct Present {
    pub(super) arn: Option<String>,
    tags: Tags,
    pub(super) description: Option<String>,
    /// Regions of its copies.
    replicas: Vec<String>,
    /// Nothing before the first version.
    pub(super) value: Option<RemoteValue>,
}

impl SecretsManager {
    /// The same, with secrets deleted in this way.
    #[must_use]
    pub fn with_deletion(self, deletion: Deletion) -> Self {
        Self { deletion, ..self }
    }

    pub(super) async fn push_all(&self, pushes: &[Push]) -> Vec<PushAnswer> {
        each_secret(pushes, |push| &push.place.key, |key, pushes| self.push_secret(key, pushes).boxed()).await
    }

    pub(super) async fn delete_all(&self, places: &[Place]) -> Vec<DeleteAnswer> {
        each_secret(places, |place| &place.key, |key, places| self.delete_secret(key, places).boxed()).await
    }

    async fn push_secret(&self, key: &str, pushes: Vec<&Push>) -> Result<Vec<PushAnswer>, Failure> {
        let name = self.prefix.before(key).into_owned();
        let settings: Settings = settings(&pushes)?;
        // What is wrong with it is known before anything is written.
        settings.resource_policy.as_ref().map(ResourcePolicy::wanted).transpose()?;
        let present = self.present(&name).await?;
        let there = present.as_ref().and_then(|present| present.value.as_ref());
        let draft = Draft::new(there.map(|read| &read.value), &pushes, Keeps::Bytes);
        let wrote = match &present {
            Some(present) if !is_ours(&present.tags) => return Ok(draft.foreign()),
            _ if !draft.has_a_say() => return Ok(draft.answers(Ok(false))),
            None => self.create(&name, draft.content.as_ref(), &settings).await.map(|()| false),
            Some(present) => self.change(&name, present, draft.content.as_ref(), &settings).await,
        };
        Ok(draft.answers(wrote))
    }

    async fn delete_secret(&self, key: &str, places: Vec<&Place>) -> Result<Vec<DeleteAnswer>, Failure> {
        let name = self.prefix.before(key).into_owned();
        let present = match self.present(&name).await {
            Err(failure) if failure.class == Class::NotFound => None,
            other => other?,
        };
        let Some(present) = present else { return Ok(vec![Ok(Deleted::Absent); places.len()]) };
        if !is_ours(&present.tags) {
            return Ok(vec![Ok(Deleted::Foreign); places.len()]);
        }
        let nothing = SecretBytes::from("{}".to_owned());
        let value = present.value.as_ref().map_or(&nothing, |read| &read.value);
        let (left, answers) = reduced(value, &places, Keeps::Bytes);
        match left {
            Left::Same => {}
            Left::Content(content) => {
                let is_binary = present.value.as_ref().is_some_and(|read| read.is_binary);
                let format = if is_binary { Format::Binary } else { Format::String };
                self.put(&name, &content, format).await?;
            }
            Left::Nothing => {
                // AWS deletes no secret that has copies.
                self.remove_replicas(&name, present.replicas).await?;
                self.remove(&name).await?;
            }
        }
        Ok(answers)
    }

    /// What is known of a secret; nothing where there is none. One that waits for its deletion is a failure.
    pub(super) async fn present(&self, name: &str) -> Result<Option<Present>, Failure> {
        let client = self.client().await?;
        let request = client.describe_secret().secret_id(name);
        let output = match self.session.call(DESCRIBE, || request.clone().send()).await {
            Ok(output) => output,
            Err(refusal) if refusal.failure.class == Class::NotFound => return Ok(None),
            Err(refusal) => return Err(refusal.failure),
        };
        if output.deleted_date().is_some() {
            return Err(Failure::new(Class::NotFound, "it is scheduled for deletion")
                .with_hint("restore the secret, or wait until AWS has deleted it"));
        }
        let tags = output.tags().iter().filter_map(|tag| Some((tag.key()?, tag.value().unwrap_or_default())));
        let tags = tags.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let has_version = output.version_ids_to_stages().is_some_and(|versions| !versions.is_empty());
        let value = if has_version { Some(self.current(name).await?) } else { None };
        let regions = output.replication_status().iter().filter_map(|replica| replica.region());
        let replicas = regions.map(str::to_owned).collect();
        Ok(Some(Present { arn: output.arn, tags, description: output.description, replicas, value }))
    }

    async fn current(&self, name: &str) -> Result<RemoteValue, Failure> {
        let request = self.client().await?.get_secret_value().secret_id(name);
        let output = self.session.call(SINGLE, || request.clone().send()).await;
        one_value(output.map_err(|refusal| refusal.failure)?)
    }

    async fn create(&self, name: &str, content: Option<&SecretBytes>, settings: &Settings) -> Result<(), Failure> {
        let (binary, text) = split(content, settings.secret_push_format)?;
        let description = settings.description.as_deref().unwrap_or(DESCRIPTION);
        let regions = settings.replication_locations.as_deref().filter(|regions| !regions.is_empty());
        let request = self
            .client()
            .await?
            .create_secret()
            .name(name)
            .description(description)
            .set_kms_key_id(settings.kms_key_id.clone())
            .set_add_replica_regions(regions.map(|regions| replicas::made(regions, settings.kms_key_id.as_ref())))
            .set_tags(Some(as_tags(marked(settings.tags.as_ref())?)))
            .set_secret_binary(binary)
            .set_secret_string(text);
        let created = self.session.call("secretsmanager:CreateSecret", || request.clone().send()).await;
        created.map_err(|refusal| refusal.failure)?;
        self.change_policy(name, settings.resource_policy.as_ref(), true).await.map(drop)
    }

    /// Brings policy, content, description, tags and copies to what is wanted; whether more than the content was
    /// different.
    async fn change(
        &self,
        name: &str,
        present: &Present,
        content: Option<&SecretBytes>,
        settings: &Settings,
    ) -> Result<bool, Failure> {
        // Whoever may not read any more does not see the new value.
        let is_opened = self.change_policy(name, settings.resource_policy.as_ref(), false).await?;
        if let Some(content) = content {
            self.put(name, content, settings.secret_push_format).await?;
        }
        let client = self.client().await?;
        let described = settings.description.as_ref().filter(|wanted| present.description.as_ref() != Some(*wanted));
        if let Some(description) = described {
            let request = client.update_secret().secret_id(name).description(description);
            let updated = self.session.call("secretsmanager:UpdateSecret", || request.clone().send()).await;
            updated.map_err(|refusal| refusal.failure)?;
        }
        let (set, gone) = tag_changes(&present.tags, settings.tags.as_ref())?;
        let is_changed = is_opened || described.is_some() || !set.is_empty() || !gone.is_empty();
        if !gone.is_empty() {
            let request = client.untag_resource().secret_id(name).set_tag_keys(Some(gone));
            let untagged = self.session.call("secretsmanager:UntagResource", || request.clone().send()).await;
            untagged.map_err(|refusal| refusal.failure)?;
        }
        if !set.is_empty() {
            let request = client.tag_resource().secret_id(name).set_tags(Some(as_tags(set)));
            let tagged = self.session.call("secretsmanager:TagResource", || request.clone().send()).await;
            tagged.map_err(|refusal| refusal.failure)?;
        }
        let wanted = settings.replication_locations.as_deref();
        let is_copied = self.change_replicas(name, &present.replicas, wanted, settings.kms_key_id.as_ref()).await?;
        Ok(is_changed || is_copied)
    }

    async fn put(&self, name: &str, content: &SecretBytes, format: Format) -> Result<(), Failure> {
        let (binary, text) = split(Some(content), format)?;
        let request = self.client().await?.put_secret_value().secret_id(name);
        let request = request.set_secret_binary(binary).set_secret_string(text);
        let put = self.session.call("secretsmanager:PutSecretValue", || request.clone().send()).await;
        put.map(drop).map_err(|refusal| refusal.failure)
    }

    async fn remove(&self, name: &str) -> Result<(), Failure> {
        let request = self.client().await?.delete_secret().secret_id(name);
        let request = match self.deletion {
            Deletion::Recoverable(days) => request.set_recovery_window_in_days(days),
            Deletion::Final => request.force_delete_without_recovery(true),
        };
        let deleted = self.session.call("secretsmanager:DeleteSecret", || request.clone().send()).await;
        deleted.map(drop).map_err(|refusal| refusal.failure)
    }
}

/// The content as AWS takes it: bytes or a text.
fn split(content: Option<&SecretBytes>, format: Format) -> Result<(Option<Blob>, Option<String>), Failure> {
    let Some(content) = content else { return Ok((None, None)) };
    if format == Format::Binary {
        return Ok((Some(Blob::new(content.expose())), None));
    }
    let no_text = || {
        Failure::new(Class::Invalid, "the value is not text (UTF-8), and secretPushFormat is string")
            .with_hint("push it as binary, or encode it in the template")
    };
    Ok((None, Some(content.expose_text().ok_or_else(no_text)?.to_owned())))
}

fn as_tags(tags: Tags) -> Vec<Tag> {
    tags.into_iter().map(|(name, value)| Tag::builder().key(name).value(value).build()).collect()
}
