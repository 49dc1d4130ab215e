//! One ExternalSecret of KES, looked at: whether it is time, whether it may, what it reads, what it becomes.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use strongroom_api::kes::{API_VERSION, ExternalSecret, ExternalSecretSpec, ExternalSecretStatus, KIND};
use strongroom_failure::{Class, Failure};
use strongroom_kes::schedule::{Due, due, is_ours};
use strongroom_kes::secret::wanted;
use strongroom_kes::wants::wants;
use strongroom_kes::{Store, permission, status};
use strongroom_kube::EventKind;
use strongroom_reconcile::Outcome;
use strongroom_resolve::{Lane, Policy};
use tokio::time::Instant;

use super::ask::ask;
use super::stores;
use crate::announcements::Announced;
use crate::index::Key;
use crate::names::{Name, StoreName};
use crate::openings::Opened;
use crate::operator::{Operator, reference};
use crate::owned::{Writing, Written};
use crate::reader::Seen;
use crate::remembered::Remembered;

/// How long the store may take to answer for one object, retries and all.
const ASKING_LIMIT: Duration = Duration::from_secs(60);

/// Why an event says that a synchronisation failed.
const FAILED: &str = "SyncFailed";

/// Who writes these Secrets.
const FIELD_MANAGER: &str = "kubernetes-external-secrets";

pub(super) struct Round<'a> {
    pub(super) operator: &'a Operator,
    pub(super) name: &'a Name,
    pub(super) object: &'a ExternalSecret,
    pub(super) remembered: Remembered<i64>,
    /// That a source said that a value changed.
    announced: Option<Announced>,
    about: ObjectReference,
}

/// Looks at the ExternalSecret `name` and does what is due.
pub(crate) async fn reconcile(operator: Arc<Operator>, name: Name) -> Outcome {
    let Some(object) = operator.index().kes(&name) else {
        if let Some(unread) = operator.kes.forget(&name) {
            operator.openings.close(&unread);
        }
        operator.forget_told(&Key::Kes(name.clone()));
        operator.announcements.forget(&Key::Kes(name.clone()));
        return Outcome::Done(None);
    };
    // Its Secret goes with it: it owns it.
    let is_going = object.metadata.deletion_timestamp.is_some();
    if is_going || operator.kes.foreign().is_some() || !is_ours(&object, &operator.kes.settings) {
        return Outcome::Done(None);
    }
    let remembered = operator.kes.remembered.recall(&name, object.metadata.uid.as_deref().unwrap_or_default());
    let about = reference(API_VERSION, KIND, &object.metadata);
    let announced = operator.announcements.of(&Key::Kes(name.clone()));
    Round { operator: &operator, name: &name, object: &object, remembered, announced, about }.look().await
}

impl Round<'_> {
    async fn look(mut self) -> Outcome {
        let now = Timestamp::now();
        match self.due(now) {
            Due::Now => {}
            Due::After(rest) => return Outcome::Done(Some(rest)),
            Due::OnChange => return Outcome::Done(None),
        }
        let backend =
            self.object.asked().and_then(|(_, spec)| spec.backend()).map_or("unknown", |backend| backend.name());
        let ended = Box::pin(self.synchronise()).await;
        self.operator.kes.metrics.ended(self.name, backend, ended.is_ok());
        match ended {
            Ok(written) => {
                let generation = self.object.metadata.generation.unwrap_or_default();
                self.remembered.asked = Some((now, generation));
                self.remembered.left = Some(written.left.clone());
                self.remember();
                if let Some(announced) = self.announced {
                    self.operator.announcements.settle(&Key::Kes(self.name.clone()), announced);
                }
                self.succeeded(&written, now).await
            }
            Err(causes) => {
                self.remember();
                self.failed(&causes, now).await
            }
        }
    }

    fn remember(&self) {
        if let Some(unread) = self.operator.kes.remembered.remember(self.name, self.remembered.clone()) {
            self.operator.openings.close(&unread);
        }
    }

    /// A Secret that is not as it was left is reason enough.
    fn due(&self, now: Timestamp) -> Due {
        if self.announced.is_some() {
            return Due::Now;
        }
        let is_as_left = self.remembered.is_as_left(self.secret_version().as_ref());
        if self.remembered.left.is_some() && !is_as_left {
            return Due::Now;
        }
        let generation = self.object.metadata.generation.unwrap_or_default();
        let asked = self.remembered.asked.filter(|(_, asked)| *asked == generation).map(|(asked, _)| asked);
        due(self.object, &self.operator.kes.settings, asked, self.beat(), now)
    }

    /// As [`Round::due`], for the moment after a success, whose status may not have come back yet.
    fn due_after_success(&self, asked: Timestamp) -> Due {
        let status = ExternalSecretStatus {
            observed_generation: self.object.metadata.generation,
            ..ExternalSecretStatus::default()
        };
        let object = ExternalSecret { status: Some(status), ..self.object.clone() };
        due(&object, &self.operator.kes.settings, Some(asked), self.beat(), Timestamp::now())
    }

    /// The same for all objects of a store.
    fn beat(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        super::store_of(self.object, &self.operator.kes.settings).hash(&mut hasher);
        hasher.finish()
    }

    /// The version of the Secret of its name, where there is one.
    fn secret_version(&self) -> Option<String> {
        self.operator.index().secret(self.name).map(|facts| facts.resource_version.to_string())
    }

    async fn synchronise(&mut self) -> Result<Written, Vec<Failure>> {
        let one = |failure: Failure| vec![failure];
        let problems = self.object.problems();
        if !problems.is_empty() {
            return Err(problems);
        }
        let (field, spec) = self.object.asked().ok_or_else(|| one(Failure::new(Class::Invalid, "there is no spec")))?;
        self.may_read(spec).map_err(one)?;
        let store = Store::of(spec, &self.operator.kes.settings).map_err(one)?;
        let backend = spec.backend().ok_or_else(|| one(Failure::new(Class::Invalid, "Unknown backend type")))?;
        let wants = wants(field, spec, backend).map_err(one)?;
        // No store of the cluster has a blank in its name.
        let name = StoreName { namespace: None, name: format!("kes {store}").into() };
        self.remembered.store = Some(name.clone());
        let lane = self.lane(&name, &store).await.map_err(one)?;
        let values = ask(&lane, &wants, Instant::now() + ASKING_LIMIT, self.announced.is_some()).await?;
        let pieces = self.operator.kes.templates.render(spec, &values).await?;
        let wanted = wanted(self.object, spec, values, pieces).map_err(one)?;
        let writing = Writing {
            operator: self.operator,
            own: Key::Kes(self.name.clone()),
            name: self.name,
            manager: FIELD_MANAGER,
            left: self.remembered.left.as_ref(),
        };
        Box::pin(writing.write(&wanted)).await.map_err(one)
    }

    fn may_read(&self, spec: &ExternalSecretSpec) -> Result<(), Failure> {
        // What its annotations say is not known yet: nothing is allowed by that.
        let namespace = self.operator.index().namespace(&self.name.namespace).ok_or_else(|| {
            Failure::new(Class::Unavailable, format!("the namespace {} is not known yet", self.name.namespace))
        })?;
        permission::check(&self.name.to_string(), &namespace.annotations, spec, &self.operator.kes.settings)
    }

    /// The lane of all objects that read this store as the same identity.
    async fn lane(&self, name: &StoreName, store: &Store) -> Result<Arc<Lane>, Failure> {
        let open = || async {
            let provider = stores::open(store, &self.operator.variables, Arc::clone(&self.operator.meter));
            let provider = provider.map_err(|failure| (failure, Seen::default()))?;
            Ok(Opened { provider, policy: Policy::default(), seen: Seen::default(), depends_on_asker: false })
        };
        self.operator.openings.lane(name, "", ("", 0), |_| None, open).await
    }

    async fn succeeded(&self, written: &Written, now: Timestamp) -> Outcome {
        self.operator.tell(&Key::Kes(self.name.clone()), &self.about, FAILED, None);
        if let Some((reason, words)) = written.event {
            self.operator.recorder.record(&self.about, EventKind::Normal, reason, words);
        }
        if let Err(failure) = Box::pin(self.tell(status::SUCCESS, written.event.is_some(), now)).await {
            tracing::warn!(name = %self.name, %failure, "cannot write the status of an ExternalSecret of KES");
            return Outcome::failed(None);
        }
        match self.due_after_success(now) {
            Due::Now => Outcome::Done(Some(Duration::ZERO)),
            Due::After(rest) => Outcome::Done(Some(rest)),
            Due::OnChange => Outcome::Done(None),
        }
    }

    async fn failed(&self, causes: &[Failure], now: Timestamp) -> Outcome {
        let words = status::error(causes);
        self.operator.tell(&Key::Kes(self.name.clone()), &self.about, FAILED, Some(&words));
        if let Err(failure) = Box::pin(self.tell(&words, false, now)).await {
            tracing::warn!(name = %self.name, %failure, "cannot write the status of an ExternalSecret of KES");
        }
        Outcome::failed(None)
    }
}
