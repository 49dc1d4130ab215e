//! One KamusSecret, looked at: whether it asks for anything new, who vouched for it, what its values are, what it becomes.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use strongroom_api::kamus::{API_VERSION, KIND, KamusSecret};
use strongroom_failure::{Class, Failure};
use strongroom_kamus::Identity;
use strongroom_kamus_secret::{Item, identity, items, status, wanted, wish};
use strongroom_kamus_services::KeySource;
use strongroom_kube::EventKind;
use strongroom_reconcile::Outcome;
use strongroom_secret::SecretBytes;
use strongroom_sync::Values;

use crate::index::Key;
use crate::names::Name;
use crate::operator::{Operator, reference};
use crate::owned::{Writing, Written};
use crate::remembered::Remembered;

/// Who writes these Secrets.
const FIELD_MANAGER: &str = "kamus-controller";

/// How long the values of one object may take to be decrypted.
const DECRYPTING_LIMIT: Duration = Duration::from_secs(60);

/// What is said where all is well.
const ALL_WELL: &str = "the Secret has all values";

pub(super) struct Round<'a> {
    pub(super) operator: &'a Operator,
    pub(super) name: &'a Name,
    pub(super) object: &'a KamusSecret,
    keys: &'a KeySource,
    remembered: Remembered<[u8; 28]>,
    about: ObjectReference,
}

/// Why it did not end well: the condition's reason, and all causes.
struct Trouble {
    reason: &'static str,
    causes: Vec<Failure>,
}

impl Trouble {
    fn one(reason: &'static str) -> impl FnOnce(Failure) -> Self {
        move |cause| Self { reason, causes: vec![cause] }
    }
}

/// Looks at the KamusSecret `name` and does what is due.
pub(crate) async fn reconcile(operator: Arc<Operator>, name: Name) -> Outcome {
    let Some(object) = operator.index().kamus(&name) else {
        operator.kamus.forget(&name);
        operator.forget_told(&Key::Kamus(name));
        return Outcome::Done(None);
    };
    let Some(keys) = &operator.kamus.keys else { return Outcome::Done(None) };
    // Its Secret goes with it: it owns it.
    if object.metadata.deletion_timestamp.is_some() || operator.kamus.foreign().is_some() {
        return Outcome::Done(None);
    }
    let remembered = operator.kamus.remembered.recall(&name, object.metadata.uid.as_deref().unwrap_or_default());
    let about = reference(API_VERSION, KIND, &object.metadata);
    Round { operator: &operator, name: &name, object: &object, keys, remembered, about }.look().await
}

impl Round<'_> {
    async fn look(mut self) -> Outcome {
        let wish = wish(self.object);
        let is_old = self.remembered.asked.is_some_and(|(_, asked)| asked == wish);
        if is_old && self.remembered.is_as_left(self.secret_version().as_ref()) {
            return Outcome::Done(None);
        }
        let now = Timestamp::now();
        self.remembered.asked = None;
        let ended = Box::pin(self.synchronise()).await;
        self.operator.kamus.metrics.ended(self.name, ended.is_ok());
        let outcome = match ended {
            Ok(written) => {
                self.remembered.left = Some(written.left.clone());
                if self.succeeded(&written, now).await {
                    self.remembered.asked = Some((now, wish));
                    Outcome::Done(None)
                } else {
                    Outcome::failed(None)
                }
            }
            Err(trouble) => self.failed(&trouble, now).await,
        };
        // They read by no lane, of which one could be left over.
        let _ = self.operator.kamus.remembered.remember(self.name, self.remembered);
        outcome
    }

    /// The version of the Secret of its name, where there is one.
    fn secret_version(&self) -> Option<String> {
        self.operator.index().secret(self.name).map(|facts| facts.resource_version.to_string())
    }

    async fn synchronise(&self) -> Result<Written, Trouble> {
        let problems = self.object.problems();
        if !problems.is_empty() {
            return Err(Trouble { reason: status::INVALID, causes: problems });
        }
        let identity = identity(self.object).map_err(Trouble::one(status::INVALID))?;
        self.check_mark().await?;
        self.keys.decrypter().await.map_err(Trouble::one(status::NO_KEYS))?;
        let values = self.decrypt(&identity).await?;
        let writing = Writing {
            operator: self.operator,
            own: Key::Kamus(self.name.clone()),
            name: self.name,
            manager: FIELD_MANAGER,
            left: self.remembered.left.as_ref(),
        };
        let written = Box::pin(writing.write(&wanted(self.object, values))).await;
        written.map_err(Trouble::one(status::CANNOT_WRITE))
    }

    /// Whether admission saw that its author may act as the account (S2).
    async fn check_mark(&self) -> Result<(), Trouble> {
        if !self.operator.kamus.are_marks_needed {
            return Ok(());
        }
        if self.keys.is_marked(self.object).await.map_err(Trouble::one(status::NO_KEYS))? {
            return Ok(());
        }
        let words = "nobody has verified that its author may act as the service account";
        let hint = "apply it again, with admission for KamusSecrets at work; or start with --kamus-allow-unverified, and whoever \
                    may make KamusSecrets reads what is encrypted for any account of the namespace";
        Err(Trouble::one(status::NOT_VERIFIED)(Failure::new(Class::Denied, words).with_hint(hint)))
    }

    /// All values, or all that stands in their way: half of an object is not delivered.
    async fn decrypt(&self, identity: &Identity) -> Result<Values, Trouble> {
        let items = items(self.object);
        let opening = join_all(items.iter().map(|item| open(self.keys, identity, item)));
        let opened = tokio::time::timeout(DECRYPTING_LIMIT, opening).await.map_err(|_| {
            let words = format!("the values were not decrypted within {} s", DECRYPTING_LIMIT.as_secs());
            Trouble::one(status::CANNOT_DECRYPT)(Failure::new(Class::Unavailable, words))
        })?;
        let (mut values, mut causes) = (Values::new(), Vec::new());
        for (item, opened) in items.iter().zip(opened) {
            match opened {
                Ok(value) => drop(values.insert(item.key.to_owned(), value)),
                Err(failure) => causes.push(failure),
            }
        }
        if causes.is_empty() { Ok(values) } else { Err(Trouble { reason: status::CANNOT_DECRYPT, causes }) }
    }

    /// Tells that it went well; whether that could be told.
    async fn succeeded(&self, written: &Written, now: Timestamp) -> bool {
        // Whatever was told of it before, by whichever reason.
        self.operator.tell(&Key::Kamus(self.name.clone()), &self.about, status::SYNCED, None);
        if let Some((reason, words)) = written.event {
            self.operator.recorder.record(&self.about, EventKind::Normal, reason, words);
        }
        let told = Box::pin(self.tell(status::SYNCED, ALL_WELL, now)).await;
        told.inspect_err(|failure| self.cannot_tell(failure)).is_ok()
    }

    /// What was delivered stays as it is.
    async fn failed(&self, trouble: &Trouble, now: Timestamp) -> Outcome {
        let words = status::words(&trouble.causes);
        self.operator.tell(&Key::Kamus(self.name.clone()), &self.about, trouble.reason, Some(&words));
        let told = Box::pin(self.tell(trouble.reason, &words, now)).await;
        let is_told = told.inspect_err(|failure| self.cannot_tell(failure)).is_ok();
        match trouble.reason {
            // Only who writes it can mend that, and wakes us.
            status::INVALID | status::NOT_VERIFIED if is_told => Outcome::Done(None),
            _ => Outcome::failed(trouble.causes.iter().filter_map(patience).max()),
        }
    }

    fn cannot_tell(&self, failure: &Failure) {
        tracing::warn!(name = %self.name, %failure, "cannot write the status of a KamusSecret");
    }
}

async fn open(keys: &KeySource, identity: &Identity, item: &Item<'_>) -> Result<SecretBytes, Failure> {
    let decrypted = keys.decrypt(item.encrypted, identity).await;
    let decrypted = decrypted.map_err(|failure| failure.in_field(item.field()))?;
    item.value(decrypted)
}

/// How long the other side wants to be left alone.
fn patience(failure: &Failure) -> Option<Duration> {
    match failure.class {
        Class::Throttled { retry_after } => retry_after,
        _ => None,
    }
}
