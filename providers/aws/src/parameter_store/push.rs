//! Writing parameters: created with their mark in one call, and changed by as many calls as there are differences.

use std::collections::BTreeMap;

use aws_sdk_ssm::operation::put_parameter::builders::PutParameterFluentBuilder;
use aws_sdk_ssm::types::{Parameter, ParameterStringFilter, ParameterTier, ParameterType, ResourceTypeForTagging, Tag};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::FutureExt as _;
use serde::Deserialize;
use strongroom_failure::{Class, Failure};
use strongroom_provider::{
    Content, DeleteAnswer, Deleted, Draft, Keeps, Left, Place, Push, PushAnswer, SecretBytes, each_secret, reduced,
    settings,
};

use super::{ParameterStore, SINGLE, TAGS};
use crate::push::{DESCRIPTION, Tags, is_ours, marked, tag_changes};

const PUT: &str = "ssm:PutParameter";

/// `metadata` of an entry.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Settings {
    tags: Option<Tags>,
    description: Option<String>,
    secret_type: Option<String>,
    #[serde(rename = "kmsKeyID")]
    kms_key_id: Option<String>,
    #[serde(default)]
    tier: Tier,
    /// Whether the texts of a whole Secret are stored as they are, and not in base64.
    #[serde(default)]
    encode_as_decoded: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Tier {
    r#type: Option<String>,
    policies: Option<serde_json::Value>,
}

/// A parameter as it is now.
struct Present {
    value: SecretBytes,
    kind: Option<ParameterType>,
    tags: Tags,
}

impl ParameterStore {
    pub(super) async fn push_all(&self, pushes: &[Push]) -> Vec<PushAnswer> {
        each_secret(pushes, |push| &push.place.key, |key, pushes| self.push_parameter(key, pushes).boxed()).await
    }

    pub(super) async fn delete_all(&self, places: &[Place]) -> Vec<DeleteAnswer> {
        each_secret(places, |place| &place.key, |key, places| self.delete_parameter(key, places).boxed()).await
    }

    async fn push_parameter(&self, key: &str, pushes: Vec<&Push>) -> Result<Vec<PushAnswer>, Failure> {
        let name = self.prefix.before(key).into_owned();
        let settings: Settings = settings(&pushes)?;
        let pushes: Vec<Push> = pushes.into_iter().map(|push| encoded(push, &settings)).collect();
        let present = self.present(&name).await?;
        let there = present.as_ref().map(|present| &present.value);
        let draft = Draft::new(there, &pushes.iter().collect::<Vec<_>>(), Keeps::Bytes);
        let wrote = match (&present, &draft.content) {
            (Some(present), _) if !is_ours(&present.tags) => return Ok(draft.foreign()),
            _ if !draft.has_a_say() => return Ok(draft.answers(Ok(false))),
            (None, None) => Ok(false),
            (None, Some(content)) => self.create(&name, content, &settings).await.map(|()| false),
            (Some(present), _) => self.change(&name, present, draft.content.as_ref(), &settings).await,
        };
        Ok(draft.answers(wrote))
    }

    async fn delete_parameter(&self, key: &str, places: Vec<&Place>) -> Result<Vec<DeleteAnswer>, Failure> {
        let name = self.prefix.before(key).into_owned();
        let Some(present) = self.present(&name).await? else { return Ok(vec![Ok(Deleted::Absent); places.len()]) };
        if !is_ours(&present.tags) {
            return Ok(vec![Ok(Deleted::Foreign); places.len()]);
        }
        let (left, answers) = reduced(&present.value, &places, Keeps::Bytes);
        match left {
            Left::Same => {}
            Left::Content(content) => {
                self.overwrite(&name, &present, &content, &Settings::default()).await?;
            }
            Left::Nothing => {
                let request = self.client().await?.delete_parameter().name(name);
                let deleted = self.session.call("ssm:DeleteParameter", || request.clone().send()).await;
                deleted.map_err(|refusal| refusal.failure)?;
            }
        }
        Ok(answers)
    }

    async fn present(&self, name: &str) -> Result<Option<Present>, Failure> {
        let client = self.client().await?;
        let request = client.get_parameter().name(name).with_decryption(true);
        let output = match self.session.call(SINGLE, || request.clone().send()).await {
            Ok(output) => output,
            Err(refusal) if refusal.failure.class == Class::NotFound => return Ok(None),
            Err(refusal) => return Err(refusal.failure),
        };
        let Some(Parameter { value, r#type: kind, .. }) = output.parameter else { return Ok(None) };
        let request = client.list_tags_for_resource().resource_type(ResourceTypeForTagging::Parameter);
        let request = request.resource_id(name);
        let listed = self.session.call(TAGS, || request.clone().send()).await.map_err(|refusal| refusal.failure)?;
        let tags = listed.tag_list().iter().map(|tag| (tag.key().to_owned(), tag.value().to_owned())).collect();
        Ok(Some(Present { value: SecretBytes::from(value.unwrap_or_default()), kind, tags }))
    }

    async fn create(&self, name: &str, content: &SecretBytes, settings: &Settings) -> Result<(), Failure> {
        let kind = settings.kind().unwrap_or(ParameterType::String);
        let tags = as_tags(marked(settings.tags.as_ref())?)?;
        let request = self.put(name, content, kind, settings).await?.overwrite(false).set_tags(Some(tags));
        let request = request.description(settings.description.as_deref().unwrap_or(DESCRIPTION));
        self.session.call(PUT, || request.clone().send()).await.map(drop).map_err(|refusal| refusal.failure)
    }

    /// Brings content, description and tags to what is wanted; whether more than the content was different.
    async fn change(
        &self,
        name: &str,
        present: &Present,
        content: Option<&SecretBytes>,
        settings: &Settings,
    ) -> Result<bool, Failure> {
        let differs = settings.kind().is_some_and(|kind| Some(kind) != present.kind)
            || self.is_described_otherwise(name, settings).await?;
        if content.is_some() || differs {
            self.overwrite(name, present, content.unwrap_or(&present.value), settings).await?;
        }
        let (set, gone) = tag_changes(&present.tags, settings.tags.as_ref())?;
        let is_changed = differs || !set.is_empty() || !gone.is_empty();
        let client = self.client().await?;
        if !gone.is_empty() {
            let request = client.remove_tags_from_resource().resource_type(ResourceTypeForTagging::Parameter);
            let request = request.resource_id(name).set_tag_keys(Some(gone));
            let untagged = self.session.call("ssm:RemoveTagsFromResource", || request.clone().send()).await;
            untagged.map_err(|refusal| refusal.failure)?;
        }
        if !set.is_empty() {
            let request = client.add_tags_to_resource().resource_type(ResourceTypeForTagging::Parameter);
            let request = request.resource_id(name).set_tags(Some(as_tags(set)?));
            let tagged = self.session.call("ssm:AddTagsToResource", || request.clone().send()).await;
            tagged.map_err(|refusal| refusal.failure)?;
        }
        Ok(is_changed)
    }

    /// Whether description or tier are others than the settings name; asked only where they name one.
    async fn is_described_otherwise(&self, name: &str, settings: &Settings) -> Result<bool, Failure> {
        let tier = settings.tier.r#type.as_deref();
        if settings.description.is_none() && tier.is_none() {
            return Ok(false);
        }
        let filter = ParameterStringFilter::builder().key("Name").option("Equals").values(name).build();
        let filter = filter.map_err(|_| Failure::new(Class::Invalid, "the key cannot be asked about"))?;
        let request = self.client().await?.describe_parameters().parameter_filters(filter);
        let output = self.session.call("ssm:DescribeParameters", || request.clone().send()).await;
        let output = output.map_err(|refusal| refusal.failure)?;
        let Some(described) = output.parameters().first() else { return Ok(false) };
        let description = settings.description.as_deref();
        let is_advanced = described.tier() == Some(&ParameterTier::Advanced);
        // AWS takes nobody's advanced tier away.
        Ok(description.is_some_and(|wanted| Some(wanted) != described.description())
            || tier == Some("Advanced") && !is_advanced)
    }

    async fn overwrite(
        &self,
        name: &str,
        present: &Present,
        content: &SecretBytes,
        settings: &Settings,
    ) -> Result<(), Failure> {
        let kind = settings.kind().or_else(|| present.kind.clone()).unwrap_or(ParameterType::String);
        let request = self.put(name, content, kind, settings).await?.overwrite(true);
        let request = request.set_description(settings.description.clone());
        self.session.call(PUT, || request.clone().send()).await.map(drop).map_err(|refusal| refusal.failure)
    }

    async fn put(
        &self,
        name: &str,
        content: &SecretBytes,
        kind: ParameterType,
        settings: &Settings,
    ) -> Result<PutParameterFluentBuilder, Failure> {
        let no_text = || {
            Failure::new(Class::Invalid, "the value is not text (UTF-8), and parameters hold nothing else")
                .with_hint("encode it in the template, by b64enc for example")
        };
        let value = content.expose_text().ok_or_else(no_text)?;
        let key = settings.kms_key_id.clone().filter(|_| kind == ParameterType::SecureString);
        let advanced = settings.tier.r#type.as_deref() == Some("Advanced");
        let policies = settings.tier.policies.as_ref().filter(|_| advanced).map(serde_json::Value::to_string);
        let request = self.client().await?.put_parameter().name(name).value(value).r#type(kind).set_key_id(key);
        Ok(request.set_tier(advanced.then_some(ParameterTier::Advanced)).set_policies(policies))
    }
}

impl Settings {
    fn kind(&self) -> Option<ParameterType> {
        self.secret_type.as_deref().filter(|kind| !kind.is_empty()).map(ParameterType::from)
    }
}

/// A whole Secret is kept with its values in base64, as External Secrets Operator keeps it here, unless told otherwise.
fn encoded(push: &Push, settings: &Settings) -> Push {
    let Content::Whole(all) = &push.content else { return push.clone() };
    if settings.encode_as_decoded {
        return push.clone();
    }
    let encoded =
        |(key, value): (&String, &SecretBytes)| (key.clone(), SecretBytes::from(STANDARD.encode(value.expose())));
    let all: BTreeMap<String, SecretBytes> = all.iter().map(encoded).collect();
    Push { content: Content::Whole(all), ..push.clone() }
}

fn as_tags(tags: Tags) -> Result<Vec<Tag>, Failure> {
    let unfit = |_| Failure::new(Class::Invalid, "metadata: a tag has no name");
    tags.into_iter().map(|(name, value)| Tag::builder().key(name).value(value).build().map_err(unfit)).collect()
}
