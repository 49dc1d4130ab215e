//! Importing certificates: a name becomes a tag, by which the certificate is found again, so that it keeps its ARN and
//! whatever listens with it.

use std::sync::PoisonError;
use std::time::{Duration, SystemTime};

use aws_sdk_acm::primitives::{Blob, DateTime};
use aws_sdk_acm::types::{CertificateType, Filters, KeyAlgorithm, Tag};
use aws_sdk_resourcegroupstagging::types::{ResourceTagMapping, TagFilter};
use futures_util::FutureExt as _;
use serde::Deserialize;
use strongroom_failure::{Class, Failure};
use strongroom_provider::{
    DeleteAnswer, Deleted, MARK, Place, Provider as _, Push, PushAnswer, Pushed, each_secret, foreign, settings,
};

use super::CertificateManager;
use super::bundle::Bundle;
use crate::catalog::each_page;
use crate::failure::Refusal;
use crate::push::{Tags, is_ours, marked, tag_changes};

const FIND: &str = "tag:GetResources";
const LIST: &str = "acm:ListCertificates";
const IMPORT: &str = "acm:ImportCertificate";
const DELETE: &str = "acm:DeleteCertificate";

/// External Secrets Operator's tag for the name that a certificate was pushed to.
const NAME: &str = "external-secrets-remote-key";

/// For how long after an import the index of tags may not know it; AWS promises nothing, and mostly it is seconds.
const LATE: Duration = Duration::from_secs(15 * 60);

/// The most ARNs that are remembered.
const MOST_IMPORTED: usize = 512;

/// `metadata` of an entry.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Settings {
    tags: Option<Tags>,
}

/// A certificate that bears a name.
struct Present {
    arn: String,
    tags: Tags,
}

impl CertificateManager {
    pub(super) async fn push_all(&self, pushes: &[Push]) -> Vec<PushAnswer> {
        each_secret(pushes, |push| &push.place.key, |key, pushes| self.push_each(key, pushes).boxed()).await
    }

    pub(super) async fn delete_all(&self, places: &[Place]) -> Vec<DeleteAnswer> {
        each_secret(places, |place| &place.key, |key, places| self.delete_one(key, places).boxed()).await
    }

    /// One after another: a certificate is one value, and the last one stays.
    async fn push_each(&self, key: &str, pushes: Vec<&Push>) -> Result<Vec<PushAnswer>, Failure> {
        let name = self.prefix.before(key).into_owned();
        let mut answers = Vec::with_capacity(pushes.len());
        for push in pushes {
            let pushed = Box::pin(self.push_one(&name, push)).await;
            answers.push(pushed.map_err(|refusal| refusal.failure));
        }
        Ok(answers)
    }

    async fn push_one(&self, name: &str, push: &Push) -> Result<Pushed, Refusal> {
        let settings: Settings = settings(&[push])?;
        let bundle = Bundle::of(push)?;
        // Checked before anything is written.
        let new_tags = named(name, settings.tags.as_ref())?;
        let Some(present) = self.present(name).await? else { return self.import_new(name, &bundle, new_tags).await };
        if push.only_if_absent {
            return Ok(Pushed::Kept);
        }
        if !is_ours(&present.tags) {
            return Err(foreign().into());
        }
        let shown = match self.shown(&present.arn).await {
            Ok(shown) => shown,
            // The index of tags learns late that a certificate is gone, too.
            Err(refusal) if refusal.failure.class == Class::NotFound => {
                return self.import_new(name, &bundle, new_tags).await;
            }
            Err(refusal) => return Err(refusal),
        };
        let (certificate, chain) =
            (shown.certificate().unwrap_or_default(), shown.certificate_chain().unwrap_or_default());
        let mut there = present.tags;
        let is_same = bundle.is_shown_as(certificate, chain);
        if !is_same {
            self.import(&bundle, Some(&present.arn), None).await?;
            // Whether tags outlive an import is AWS's to say: without the mark it would be nobody's.
            there = self.tags(&present.arn).await?;
        }
        let wanted = match settings.tags {
            Some(_) => new_tags,
            None => there.clone().into_iter().chain(new_tags).collect(),
        };
        let is_tagged = self.change_tags(&present.arn, &there, wanted).await?;
        Ok(if is_same && !is_tagged { Pushed::Unchanged } else { Pushed::Written })
    }

    async fn import_new(&self, name: &str, bundle: &Bundle<'_>, tags: Tags) -> Result<Pushed, Refusal> {
        let arn = self.import(bundle, None, Some(as_tags(tags)?)).await?;
        self.remember(name, &arn);
        Ok(Pushed::Written)
    }

    /// The certificate's ARN, a new one where none is given.
    async fn import(&self, bundle: &Bundle<'_>, arn: Option<&str>, tags: Option<Vec<Tag>>) -> Result<String, Refusal> {
        let request = self.clients().await?.certificates.import_certificate();
        let request = request
            .certificate(Blob::new(bundle.leaf_pem()))
            .set_certificate_chain(bundle.chain_pem().map(Blob::new))
            .private_key(Blob::new(bundle.key.expose()))
            .set_certificate_arn(arn.map(str::to_owned))
            .set_tags(tags);
        let output = self.session.call(IMPORT, || request.clone().send()).await.map_err(over_quota)?;
        let named = output.certificate_arn.ok_or_else(|| Failure::new(Class::Unavailable, "AWS names no certificate"));
        Ok(named?)
    }

    /// Whether any tag was another one.
    async fn change_tags(&self, arn: &str, there: &Tags, mut wanted: Tags) -> Result<bool, Refusal> {
        wanted.remove(MARK);
        let (set, gone) = tag_changes(there, Some(&wanted))?;
        let client = &self.clients().await?.certificates;
        if !gone.is_empty() {
            let gone = gone.iter().map(|name| Tag::builder().key(name).build().map_err(unmade));
            let request = client.remove_tags_from_certificate().certificate_arn(arn);
            let request = request.set_tags(Some(gone.collect::<Result<_, _>>()?));
            self.session.call("acm:RemoveTagsFromCertificate", || request.clone().send()).await?;
            if set.is_empty() {
                return Ok(true);
            }
        }
        if set.is_empty() {
            return Ok(false);
        }
        let request = client.add_tags_to_certificate().certificate_arn(arn).set_tags(Some(as_tags(set)?));
        self.session.call("acm:AddTagsToCertificate", || request.clone().send()).await?;
        Ok(true)
    }

    async fn delete_one(&self, key: &str, places: Vec<&Place>) -> Result<Vec<DeleteAnswer>, Failure> {
        let name = self.prefix.before(key).into_owned();
        let deleted = Box::pin(self.remove(&name)).await.map_err(|refusal| refusal.failure)?;
        // No property was ever pushed.
        let answer = |place: &&Place| Ok(if place.property.is_some() { Deleted::Absent } else { deleted });
        Ok(places.iter().map(answer).collect())
    }

    /// Removes all of ours that bear the name: a process that ended after an import may have left two.
    async fn remove(&self, name: &str) -> Result<Deleted, Refusal> {
        let mut found = self.search(name).await?;
        let known = found.iter().map(|present| present.arn.clone()).collect::<Vec<_>>();
        let late = self.present(name).await?.into_iter().chain(self.just_imported(name).await?);
        found.extend(late.filter(|present| !known.contains(&present.arn)));
        let mut deleted = if found.is_empty() { Deleted::Absent } else { Deleted::Foreign };
        for present in found.iter().filter(|present| is_ours(&present.tags)) {
            let request = self.clients().await?.certificates.delete_certificate().certificate_arn(&present.arn);
            match self.session.call(DELETE, || request.clone().send()).await {
                Ok(_) => deleted = Deleted::Removed,
                Err(refusal) if refusal.failure.class == Class::NotFound => {
                    if deleted == Deleted::Foreign {
                        deleted = Deleted::Absent;
                    }
                }
                Err(refusal) => return Err(refusal),
            }
        }
        self.imported.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
        Ok(deleted)
    }

    /// The certificate that bears `name`: one of ours before others, and of several the one whose ARN comes first.
    async fn present(&self, name: &str) -> Result<Option<Present>, Refusal> {
        if let Some(arn) = self.remembered(name) {
            match self.tags(&arn).await {
                Ok(tags) if tags.get(NAME).is_some_and(|there| there == name) => {
                    return Ok(Some(Present { arn, tags }));
                }
                Err(refusal) if refusal.failure.class != Class::NotFound => return Err(refusal),
                _ => drop(self.imported.lock().unwrap_or_else(PoisonError::into_inner).remove(name)),
            }
        }
        let mut found = self.search(name).await?;
        found.sort_unstable_by(|one, other| (!is_ours(&one.tags), &one.arn).cmp(&(!is_ours(&other.tags), &other.arn)));
        if found.iter().filter(|one| is_ours(&one.tags)).count() > 1 {
            let chosen = found.first().map(|one| one.arn.as_str());
            tracing::warn!(store = self.describe(), name, chosen, "several certificates bear one name");
        }
        let present = match found.into_iter().next() {
            None => self.just_imported(name).await?.into_iter().next(),
            present => present,
        };
        if let Some(present) = present.as_ref().filter(|present| is_ours(&present.tags)) {
            self.remember(name, &present.arn);
        }
        Ok(present)
    }

    /// What bears the name and was imported so lately that the index of tags may not know it: a process that ended
    /// between an import and its answer must not import a second time.
    async fn just_imported(&self, name: &str) -> Result<Vec<Present>, Refusal> {
        let mut found = Vec::new();
        for arn in self.late_arns().await? {
            match self.tags(&arn).await {
                Ok(tags) if tags.get(NAME).is_some_and(|there| there == name) => found.push(Present { arn, tags }),
                Err(refusal) if refusal.failure.class != Class::NotFound => return Err(refusal),
                _ => {}
            }
        }
        Ok(found)
    }

    /// The certificates that were imported a moment ago. Whoever may not list them goes without.
    async fn late_arns(&self) -> Result<Vec<String>, Refusal> {
        let since = SystemTime::now().checked_sub(LATE).unwrap_or(SystemTime::UNIX_EPOCH);
        let since = DateTime::from(since);
        let kinds = KeyAlgorithm::values().iter().map(|kind| KeyAlgorithm::from(*kind)).collect();
        let client = &self.clients().await?.certificates;
        let request = client.list_certificates().includes(Filters::builder().set_key_types(Some(kinds)).build());
        let ask = |token| {
            let request = request.clone().set_next_token(token);
            async move { self.session.call(LIST, || request.clone().send()).await }
        };
        let mut arns = Vec::new();
        let listed = each_page(ask, |page| {
            let imported = page.certificate_summary_list().iter();
            let late = imported.filter(|summary| summary.imported_at().is_none_or(|moment| *moment >= since));
            // Those of other kinds have no time of import, and there can be thousands.
            let late = late.filter(|summary| {
                !matches!(summary.r#type(), Some(CertificateType::AmazonIssued | CertificateType::Private))
            });
            arns.extend(late.filter_map(|summary| summary.certificate_arn().map(str::to_owned)));
            Ok(page.next_token.filter(|token| !token.is_empty()))
        })
        .await;
        match listed {
            Err(refusal) if refusal.failure.class == Class::Denied => {
                tracing::debug!(store = self.describe(), failure = %refusal.failure, "certificates cannot be listed");
                Ok(Vec::new())
            }
            Err(refusal) => Err(refusal),
            Ok(()) => Ok(arns),
        }
    }

    async fn search(&self, name: &str) -> Result<Vec<Present>, Refusal> {
        let filter = TagFilter::builder().key(NAME).values(name).build();
        let client = &self.clients().await?.tags;
        let request = client.get_resources().resource_type_filters("acm").tag_filters(filter);
        let ask = |token| {
            let request = request.clone().set_pagination_token(token);
            async move { self.session.call(FIND, || request.clone().send()).await }
        };
        let mut found = Vec::new();
        each_page(ask, |page| {
            found.extend(page.resource_tag_mapping_list().iter().filter_map(present));
            Ok(page.pagination_token.filter(|token| !token.is_empty()))
        })
        .await?;
        Ok(found)
    }

    fn remembered(&self, name: &str) -> Option<String> {
        self.imported.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    fn remember(&self, name: &str, arn: &str) {
        let mut imported = self.imported.lock().unwrap_or_else(PoisonError::into_inner);
        if imported.len() >= MOST_IMPORTED {
            imported.clear();
        }
        imported.insert(name.to_owned(), arn.to_owned());
    }
}

fn present(found: &ResourceTagMapping) -> Option<Present> {
    let arn = found.resource_arn().filter(|arn| arn.contains(":certificate/"))?.to_owned();
    let tags = found.tags().iter().map(|tag| (tag.key().to_owned(), tag.value().to_owned()));
    Some(Present { arn, tags: tags.collect() })
}

/// All tags of a certificate that is pushed to `name`.
fn named(name: &str, written: Option<&Tags>) -> Result<Tags, Failure> {
    let mut tags = marked(written)?;
    match tags.insert(NAME.to_owned(), name.to_owned()) {
        None => Ok(tags),
        Some(_) => {
            Err(Failure::new(Class::Invalid, format!("metadata: the tag {NAME} is set by us and cannot be chosen")))
        }
    }
}

fn as_tags(tags: Tags) -> Result<Vec<Tag>, Failure> {
    tags.into_iter().map(|(name, value)| Tag::builder().key(name).value(value).build().map_err(unmade)).collect()
}

/// Elsewhere this code asks for patience; here it is the account that is full.
fn over_quota(refusal: Refusal) -> Refusal {
    if refusal.code != "LimitExceededException" {
        return refusal;
    }
    let failure = Failure::new(Class::Invalid, "AWS takes no more certificates of this account: a quota is reached")
        .with_hint("delete certificates that nobody uses, or ask AWS for a higher quota");
    Refusal { failure, ..refusal }
}

fn unmade<E>(_: E) -> Failure {
    Failure::new(Class::Invalid, "a tag has no name")
}
