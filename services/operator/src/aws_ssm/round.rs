//! One Secret that asks, looked at: whether it is time, whether it may, what it reads, what it becomes.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use strongroom_aws_ssm::permission;
use strongroom_aws_ssm::secret::digest;
use strongroom_aws_ssm::{Asked, Request};
use strongroom_failure::Failure;
use strongroom_kube::EventKind;
use strongroom_reconcile::Outcome;

use super::metrics::Ending;
use super::write::Written;
use crate::index::Key;
use crate::names::Name;
use crate::operator::{Operator, reference};
use crate::remembered::Remembered;

/// Why an event says that a Secret did not get what it asks for: nobody allowed it, or it could not be had.
const REFUSED: &str = "AwsSsmRefused";
const FAILED: &str = "AwsSsmFailed";

/// Why an event says that a Secret got its keys.
const UPDATED: &str = "AwsSsmUpdated";

pub(super) struct Round<'a> {
    pub(super) operator: &'a Operator,
    pub(super) name: &'a Name,
    pub(super) asked: &'a Arc<Asked>,
    pub(super) remembered: Remembered<Arc<Asked>>,
    about: ObjectReference,
}

/// Why it did not end well.
pub(super) enum Trouble {
    /// No StorePolicy allows it.
    Refused(Failure),
    /// It cannot be had or written.
    Failed(Failure),
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// Looks at the Secret `name` and does what is due.
pub(crate) async fn reconcile(operator: Arc<Operator>, name: Name) -> Outcome {
    if !operator.aws_ssm.is_served {
        return Outcome::Done(None);
    }
    let asked = operator.index().aws_ssm(&name);
    let Some(asked) = asked.filter(|asked| operator.aws_ssm.selector.selects(&asked.labels)) else {
        if let Some(unread) = operator.aws_ssm.forget(&name) {
            operator.openings.close(&unread);
        }
        operator.forget_told(&Key::AwsSsm(name));
        return Outcome::Done(None);
    };
    if asked.is_ending || operator.aws_ssm.foreign().is_some() {
        return Outcome::Done(None);
    }
    let remembered = operator.aws_ssm.remembered.recall(&name, &asked.uid);
    let metadata = ObjectMeta {
        name: Some(name.name.to_string()),
        namespace: Some(name.namespace.to_string()),
        uid: Some(asked.uid.clone()),
        ..ObjectMeta::default()
    };
    let about = reference("v1", "Secret", &metadata);
    Round { operator: &operator, name: &name, asked: &asked, remembered, about }.look().await
}

impl Round<'_> {
    async fn look(mut self) -> Outcome {
        let now = Timestamp::now();
        if let Some(rest) = self.rest(now) {
            return Outcome::Done(Some(rest));
        }
        let ended = Box::pin(self.synchronise()).await;
        self.remembered.asked = None;
        if let Ok((written, digest)) = &ended {
            self.remembered.asked = Some((now, Arc::clone(self.asked)));
            self.remembered.left = Some((written.resource_version.clone(), *digest));
        }
        if let Some(unread) = self.operator.aws_ssm.remembered.remember(self.name, self.remembered.clone()) {
            self.operator.openings.close(&unread);
        }
        match ended {
            Ok((written, _)) => self.succeeded(&written),
            Err(trouble) => self.failed(&trouble),
        }
    }

    /// How long nothing is due: until the next beat, which all Secrets have together so that they are read together.
    /// Other annotations and a Secret that is not as it was left are due at once.
    fn rest(&self, now: Timestamp) -> Option<Duration> {
        let (asked_at, asked) = self.remembered.asked.as_ref()?;
        let is_as_left = self.remembered.is_as_left(self.secret_version().as_ref());
        if asked != self.asked || !is_as_left {
            return None;
        }
        // A clock that was set back has it wait for no longer than one beat.
        let elapsed = Duration::try_from(now.duration_since(*asked_at)).ok()?;
        let rest = self.until_beat(*asked_at).checked_sub(elapsed)?;
        (!rest.is_zero()).then_some(rest)
    }

    fn until_beat(&self, from: Timestamp) -> Duration {
        let interval = self.operator.aws_ssm.interval.as_nanos().max(1);
        let into = u128::try_from(from.as_nanosecond()).unwrap_or_default() % interval;
        Duration::from_nanos(u64::try_from(interval - into).unwrap_or(u64::MAX))
    }

    /// The version of the Secret, where it is known.
    pub(super) fn secret_version(&self) -> Option<String> {
        self.operator.index().secret(self.name).map(|facts| facts.resource_version.to_string())
    }

    async fn synchronise(&mut self) -> Result<(Written, [u8; 28]), Trouble> {
        let request = self.asked.request()?;
        self.may_ask(&request).map_err(Trouble::Refused)?;
        let store = self.store(&request);
        self.remembered.store = Some(store.clone());
        let lane = self.lane(&store, &request).await?;
        let wanted = self.ask(&lane, &request).await?;
        let digest = digest(&wanted);
        let written = Box::pin(self.write(&wanted, digest)).await?;
        Ok((written, digest))
    }

    fn may_ask(&self, request: &Request) -> Result<(), Failure> {
        if !self.operator.aws_ssm.is_enforced {
            return Ok(());
        }
        let namespace = self.operator.namespace(&self.name.namespace);
        let checked = permission::check(&self.operator.policies(), &namespace, &self.name.name, request);
        let are_watched = self.operator.aws_ssm.are_policies_watched.load(Ordering::Relaxed);
        checked.map_err(|failure| match failure.hint.clone() {
            Some(hint) if !are_watched => failure.with_hint(format!(
                "StorePolicies are not heeded: install their kind, start the operator anew; {hint}"
            )),
            _ => failure,
        })
    }

    fn succeeded(&self, written: &Written) -> Outcome {
        self.operator.aws_ssm.metrics.ended(self.name, Ending::Success);
        self.operator.tell(&Key::AwsSsm(self.name.clone()), &self.about, FAILED, None);
        if written.is_new {
            let words = format!("filled from the parameter {}", self.asked.name);
            self.operator.recorder.record(&self.about, EventKind::Normal, UPDATED, &words);
        }
        Outcome::Done(Some(self.until_beat(Timestamp::now())))
    }

    /// What was delivered stays as it is.
    fn failed(&self, trouble: &Trouble) -> Outcome {
        let (failure, reason, ending) = match trouble {
            Trouble::Refused(failure) => (failure, REFUSED, Ending::Refused),
            Trouble::Failed(failure) => (failure, FAILED, Ending::Error),
        };
        self.operator.aws_ssm.metrics.ended(self.name, ending);
        let words = failure.hint.as_ref().map_or_else(|| failure.to_string(), |hint| format!("{failure}; {hint}"));
        self.operator.tell(&Key::AwsSsm(self.name.clone()), &self.about, reason, Some(&words));
        match trouble {
            // Whatever could change that wakes it: a policy, the namespace's labels, the Secret. A directory may also
            // get other parameters.
            Trouble::Refused(_) => Outcome::Done(Some(self.until_beat(Timestamp::now()))),
            Trouble::Failed(_) => Outcome::failed(None),
        }
    }
}
