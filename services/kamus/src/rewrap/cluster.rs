//! KamusSecrets of a cluster, one after the other: what was not reached is found again by whoever begins anew.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{Api, Client, Resource, ResourceExt as _};
use serde_json::{Value, json};
use strongroom_api::kamus::KamusSecret;
use strongroom_decrypt::Decrypter;
use strongroom_failure::{Class, Failure};
use strongroom_kamus::{Identity, KeyId, Text};
use strongroom_kamus_secret::{MARK_ANNOTATION, identity, mark};
use strongroom_kube::failure::failure;
use strongroom_kube::{WriteFailure, merge_patch};

use super::progress::Progress;
use super::{Outcome, complain};
use crate::marks;
use crate::objects::Pages;

/// Who the API server has down as the writer.
const FIELD_MANAGER: &str = "strongroom-kamus";

/// How often an object is tried that others write as well, or while somebody does not answer.
const TRIES: u32 = 6;

/// The pause before the second try while somebody does not answer; it doubles: six tries take about eight seconds.
const PAUSE: Duration = Duration::from_millis(250);

/// How a cluster is gone through.
pub(super) struct Cluster<'a> {
    pub(super) client: Client,
    /// The only one; all where it is not said.
    pub(super) namespace: Option<&'a str>,
    pub(super) keys: &'a Decrypter,
    pub(super) newest: KeyId,
    /// Whether an object stays as it is that nobody has verified. The patch would have admission verify it, by the right of
    /// whoever encrypts anew, and so give its author what only that one may read (S2).
    pub(super) are_marks_needed: bool,
    pub(super) is_rehearsal: bool,
}

/// Where an object is.
struct Place {
    namespace: String,
    name: String,
}

/// What one patch changes: texts of one version, and the mark.
struct Change {
    is_old: bool,
    texts: Vec<(&'static str, String, String)>,
    patch: Value,
}

/// What can be done for an object.
#[derive(Default)]
struct Plan {
    changes: Vec<Change>,
    failures: Vec<Failure>,
}

impl Cluster<'_> {
    /// Goes through all; how many texts and objects stay as they were against their owner's will.
    ///
    /// # Errors
    /// Where the API server or the key management does not answer for a while, or refuses whoever asks.
    pub(super) async fn run(&self) -> Result<usize, Failure> {
        let (seen, waiting) = self.waiting().await?;
        let mut progress = Progress::of(waiting.len(), "KamusSecrets");
        let (mut failed, mut changed) = (0, 0);
        for place in &waiting {
            let outcome = self.persistently(place).await.map_err(|failure| {
                let hint = "begin again: what is done already is left alone";
                failure.in_field(format!("{}/{}", place.namespace, place.name)).with_hint(hint)
            })?;
            failed += outcome.failures.len();
            changed += usize::from(outcome.rewrapped > 0 || outcome.is_marked);
            outcome.tell(&format!("{}/{}", place.namespace, place.name), self.is_rehearsal);
            progress.step(failed);
        }
        let verb = if self.is_rehearsal { "would change" } else { "changed" };
        complain(&format!("{seen} KamusSecrets; {changed} {verb}; {failed} texts stay as they are\n"));
        Ok(failed)
    }

    /// How many objects there are, and those that something may be done for. They are gathered first: what is done may
    /// last longer than the API server remembers where a list was.
    async fn waiting(&self) -> Result<(usize, Vec<Place>), Failure> {
        let api = match self.namespace {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        };
        let mut pages = Pages::<KamusSecret>::of(api, "KamusSecrets");
        let (mut seen, mut waiting) = (0, Vec::new());
        while let Some(page) = pages.next().await? {
            seen += page.len();
            for object in page {
                if self.is_waiting(&object).await {
                    let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
                    waiting.push(Place { namespace, name });
                }
            }
        }
        Ok((seen, waiting))
    }

    async fn is_waiting(&self, object: &KamusSecret) -> bool {
        if object.data.values().chain(object.string_data.values()).any(|text| self.is_old(text)) {
            return true;
        }
        // What hinders the answer is told when it is this object's turn.
        let bearer = marks::bearer(self.keys, object).await;
        bearer.map_or(true, |bearer| bearer.is_some_and(|key| key != self.newest))
    }

    /// Whether it is not, for certain, a text under the newest key.
    fn is_old(&self, text: &str) -> bool {
        !matches!(Text::read(text), Ok(Text::Sealed(sealed)) if sealed.key() == &self.newest)
    }

    /// One object, with patience for who does not answer.
    async fn persistently(&self, place: &Place) -> Result<Outcome, Failure> {
        let mut pause = PAUSE;
        for _ in 1..TRIES {
            match self.object(place).await {
                Err(failure) if failure.class.can_retry() => {
                    let asked = match failure.class {
                        Class::Throttled { retry_after } => retry_after,
                        _ => None,
                    };
                    tokio::time::sleep(asked.unwrap_or(pause).max(pause)).await;
                    pause *= 2;
                }
                ended => return ended,
            }
        }
        self.object(place).await
    }

    /// Reads, plans and writes until nothing is left to do.
    async fn object(&self, place: &Place) -> Result<Outcome, Failure> {
        let mut outcome = Outcome::default();
        for _ in 0..TRIES {
            let Some(object) = self.read(place).await? else { return Ok(outcome) };
            let mut plan = self.plan(&object).await?;
            outcome.failures = std::mem::take(&mut plan.failures);
            if self.is_rehearsal {
                outcome.rewrapped = plan.changes.iter().map(|change| change.texts.len()).sum();
                outcome.is_marked = !plan.changes.is_empty();
                return Ok(outcome);
            }
            let is_last = plan.changes.len() < 2;
            let Some(change) = plan.changes.into_iter().next() else { return Ok(outcome) };
            match self.write(place, &change).await {
                Ok(()) => {
                    outcome.rewrapped += change.texts.len();
                    outcome.is_marked = true;
                    if is_last {
                        return Ok(outcome);
                    }
                }
                // Somebody else was faster: what he wrote is what counts.
                Err(WriteFailure::Conflict) => {}
                Err(WriteFailure::NotFound) => return Ok(outcome),
                Err(failure) => {
                    let failure = failure.into_failure("write it");
                    if failure.class.can_retry() || failure.class == Class::Unauthenticated {
                        return Err(failure);
                    }
                    outcome.failures.push(refused(failure));
                    return Ok(outcome);
                }
            }
        }
        outcome
            .failures
            .push(Failure::new(Class::Unavailable, "others change it all the time").with_hint("begin again"));
        Ok(outcome)
    }

    async fn read(&self, place: &Place) -> Result<Option<KamusSecret>, Failure> {
        let api: Api<KamusSecret> = Api::namespaced(self.client.clone(), &place.namespace);
        api.get_opt(&place.name).await.map_err(|error| failure(&error, "read it", &[]))
    }

    async fn write(&self, place: &Place, change: &Change) -> Result<(), WriteFailure> {
        let client = self.client.clone();
        let written = if change.is_old {
            let api: Api<OldKamusSecret> = Api::namespaced(client, &place.namespace);
            merge_patch(&api, &place.name, &change.patch, FIELD_MANAGER).await
        } else {
            let api: Api<KamusSecret> = Api::namespaced(client, &place.namespace);
            merge_patch(&api, &place.name, &change.patch, FIELD_MANAGER).await
        };
        written.map(drop)
    }

    /// What can be done for `object` as it is now.
    ///
    /// # Errors
    /// Where somebody has to answer first.
    async fn plan(&self, object: &KamusSecret) -> Result<Plan, Failure> {
        let mut plan = Plan::default();
        let reader = match identity(object) {
            Ok(reader) => reader,
            Err(failure) => {
                plan.failures.push(failure.with_hint("name the account that the values were encrypted for"));
                return Ok(plan);
            }
        };
        let bearer = match marks::bearer(self.keys, object).await {
            Ok(None) if self.are_marks_needed => Err(unverified()),
            // An old key that cannot be unwrapped is no reason to leave the other objects alone.
            Err(failure) if !failure.class.can_retry() => Err(failure),
            bearer => Ok(bearer?),
        };
        let bearer = match bearer {
            Ok(bearer) => bearer,
            Err(failure) => {
                plan.failures.push(failure);
                return Ok(plan);
            }
        };
        let mut texts = self.texts(object, &reader, &mut plan.failures).await?;
        if texts.is_empty() {
            if bearer.is_some_and(|key| key != self.newest) {
                plan.changes.push(self.change(object, false, Vec::new(), true).await?);
            }
            return Ok(plan);
        }
        // Which version wrote a key of `data` decides what it holds: it must stay that version.
        let old: Vec<_> =
            texts.extract_if(.., |(list, key, _)| *list == "data" && object.texts.contains(key.as_str())).collect();
        for (is_old, texts) in [(true, old), (false, texts)] {
            if !texts.is_empty() {
                plan.changes.push(self.change(object, is_old, texts, bearer.is_some()).await?);
            }
        }
        Ok(plan)
    }

    /// The texts that are to stand in the places of others: list, key, text.
    async fn texts(
        &self,
        object: &KamusSecret,
        reader: &Identity,
        failures: &mut Vec<Failure>,
    ) -> Result<Vec<(&'static str, String, String)>, Failure> {
        let mut texts = Vec::new();
        for (list, values) in [("data", &object.data), ("stringData", &object.string_data)] {
            for (key, old) in values.iter().filter(|(_, text)| self.is_old(text)) {
                match self.anew(old, reader).await {
                    Ok(new) => texts.push((list, key.clone(), new)),
                    Err(failure) if failure.class.can_retry() => return Err(failure),
                    Err(failure) => {
                        let hint = failure.hint.clone();
                        let hint = hint.unwrap_or_else(|| "encrypt the value again: strongroom encrypt".to_owned());
                        failures.push(failure.in_field(format!("{list}[{key:?}]")).with_hint(hint));
                    }
                }
            }
        }
        Ok(texts)
    }

    async fn anew(&self, text: &str, reader: &Identity) -> Result<String, Failure> {
        let value = self.keys.decrypt(text, reader).await?;
        Ok(self.keys.encrypt(reader, &value)?.to_string())
    }

    /// A patch for `object` alone as it was read, and no later one. A mark that was right is right afterwards.
    async fn change(
        &self,
        object: &KamusSecret,
        is_old: bool,
        texts: Vec<(&'static str, String, String)>,
        is_marked: bool,
    ) -> Result<Change, Failure> {
        let mut changed = object.clone();
        let mut lists: BTreeMap<&str, BTreeMap<&str, &str>> = BTreeMap::new();
        for (list, key, text) in &texts {
            let values = if *list == "data" { &mut changed.data } else { &mut changed.string_data };
            values.insert(key.clone(), text.clone());
            lists.entry(list).or_default().insert(key, text);
        }
        let mut patch = json!(lists);
        patch["metadata"] = json!({"resourceVersion": object.metadata.resource_version});
        if is_marked {
            let key = marks::newest(self.keys).await?;
            patch["metadata"]["annotations"] = json!({MARK_ANNOTATION: mark(&changed, &key)});
        }
        Ok(Change { is_old, texts, patch })
    }
}

fn unverified() -> Failure {
    let words = "nobody has verified that its author may act as the service account";
    Failure::new(Class::Denied, words).with_hint(
        "have somebody who may apply it again, with admission for KamusSecrets at work; or give --kamus-allow-unverified, \
         where the operator has it, too",
    )
}

/// Of who may not write, with what is missing.
fn refused(failure: Failure) -> Failure {
    if failure.class != Class::Denied || failure.hint.is_some() {
        return failure;
    }
    failure.with_hint(
        "whoever encrypts anew needs the verb patch on kamussecrets, and create on serviceaccounts/token of their accounts",
    )
}

/// The kind by the version in which `data` holds texts.
#[derive(Clone)]
struct OldKamusSecret(ObjectMeta);

impl Resource for OldKamusSecret {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind(_: &()) -> Cow<'_, str> {
        KamusSecret::kind(&())
    }

    fn group(_: &()) -> Cow<'_, str> {
        KamusSecret::group(&())
    }

    fn version(_: &()) -> Cow<'_, str> {
        "v1alpha1".into()
    }

    fn plural(_: &()) -> Cow<'_, str> {
        KamusSecret::plural(&())
    }

    fn meta(&self) -> &ObjectMeta {
        &self.0
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.0
    }
}
