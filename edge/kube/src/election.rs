use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::Client;
use kube::api::{Api, PostParams};
use strongroom_failure::Failure;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::failure::{WriteFailure, failure};

/// Which Lease, who we are, and how patient everybody is. The defaults are client-go's, and candidates of both kinds
/// can stand for one Lease.
#[derive(Clone, Debug)]
pub struct ElectionSettings {
    /// Where the Lease is.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Who we are: one name for each process, never used again (`POD_RANDOM`).
    pub identity: String,
    /// How long others leave a leader alone that they no longer hear of; 15 s.
    pub lease_duration: Duration,
    /// How long a leader that cannot renew goes on; less than `lease_duration`, or two would lead; 10 s.
    pub renew_deadline: Duration,
    /// How often the leader renews and the others look; 2 s. A fifth is added by chance, so that candidates part.
    pub retry_period: Duration,
}

impl ElectionSettings {
    /// With client-go's times.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>, identity: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
            identity: identity.into(),
            lease_duration: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry_period: Duration::from_secs(2),
        }
    }
}

/// Who leads, as far as we know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leadership {
    /// We do, until this changes.
    Leading,
    /// Somebody else, or nobody that we know of.
    Following {
        /// Who holds the Lease.
        holder: Option<String>,
    },
}

/// Stands for a Lease until it is told to step down. Dropping it steps down as well, without waiting until that is done.
#[derive(Debug)]
pub struct Election {
    leadership: watch::Receiver<Leadership>,
    stop: oneshot::Sender<()>,
    candidate: JoinHandle<()>,
}

impl Election {
    /// Begins to stand, in a task of its own.
    ///
    /// A leader that cannot renew is told that it follows when `renew_deadline` has passed since it last began a renewal
    /// that succeeded. Others count `lease_duration` from when they see that renewal, which is later, by clocks of their
    /// own: no two lead at once however wrong clocks are, as long as they run at nearly the same speed.
    pub fn start(client: Client, settings: ElectionSettings) -> Self {
        let (told, leadership) = watch::channel(Leadership::Following { holder: None });
        let (stop, stopped) = oneshot::channel();
        let leases = Api::namespaced(client, &settings.namespace);
        let candidate = Candidate { leases, settings, told, seen: None, renewed: None, is_disturbed: false };
        Self { leadership, stop, candidate: tokio::spawn(candidate.stand(stopped)) }
    }

    /// Tells who leads, now and at each change.
    pub fn leadership(&self) -> watch::Receiver<Leadership> {
        self.leadership.clone()
    }

    /// Stops standing and gives the Lease back, so that another takes it within its `retry_period`. What only a leader
    /// may do must have ended before.
    pub async fn step_down(self) {
        // The candidate ends only when it is told to.
        let _ = self.stop.send(());
        let _ = self.candidate.await;
    }
}

/// The Lease as it was seen last, and when that was by our own clock.
#[derive(Clone, Debug)]
struct Seen {
    lease: Lease,
    since: Instant,
}

struct Candidate {
    leases: Api<Lease>,
    settings: ElectionSettings,
    told: watch::Sender<Leadership>,
    seen: Option<Seen>,
    /// When the last renewal that succeeded was begun, while we lead.
    renewed: Option<Instant>,
    is_disturbed: bool,
}

impl Candidate {
    async fn stand(mut self, mut stopped: oneshot::Receiver<()>) {
        loop {
            let start = Instant::now();
            let limit = self.left(start).unwrap_or(self.settings.renew_deadline);
            let outcome = tokio::select! {
                outcome = tokio::time::timeout(limit, self.attempt()) => outcome,
                _ = &mut stopped => break,
            };
            self.note(start, outcome.unwrap_or_else(|_| Err(slow(limit))));
            let pause = self.settings.retry_period.mul_f64(1.0 + 0.2 * fastrand::f64());
            // Not beyond the deadline: whether we still lead is known only there.
            let pause = self.left(Instant::now()).map_or(pause, |left| pause.min(left));
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                _ = &mut stopped => break,
            }
            self.expire();
        }
        self.give_back().await;
    }

    /// How long we go on leading without another renewal; `None` where we do not lead.
    fn left(&self, now: Instant) -> Option<Duration> {
        Some((self.renewed? + self.settings.renew_deadline).saturating_duration_since(now))
    }

    fn expire(&mut self) {
        if self.left(Instant::now()).is_some_and(|left| left.is_zero()) {
            tracing::error!(lease = %self.settings.name, "leadership is lost: the Lease could not be renewed in time");
            self.renewed = None;
            self.tell(Leadership::Following { holder: None });
        }
    }

    /// Looks at the Lease, or trusts what was seen last while we hold it, and writes it where it is ours to write. The
    /// holder as it is then.
    async fn attempt(&mut self) -> Result<Option<String>, Failure> {
        // The Lease of a leader is written by nobody else: one request is enough, and a conflict says otherwise.
        if self.renewed.is_none() || self.seen.is_none() {
            self.look().await?;
        }
        let wanted = decide(self.seen.as_ref(), &self.settings, Instant::now(), Timestamp::now());
        let Some(spec) = wanted else {
            return Ok(self.seen.as_ref().and_then(|seen| holder(&seen.lease)));
        };
        match self.write(spec).await {
            Ok(lease) => {
                self.seen = Some(Seen { lease, since: Instant::now() });
                Ok(Some(self.settings.identity.clone()))
            }
            Err(WriteFailure::Conflict | WriteFailure::AlreadyExists | WriteFailure::NotFound) => {
                self.look().await?;
                // Still ours where somebody merely touched it; the next attempt renews.
                Ok(self.seen.as_ref().and_then(|seen| holder(&seen.lease)).filter(|_| self.is_taken()))
            }
            Err(other) => Err(other.into_failure(&format!("write Lease {}", self.settings.name))),
        }
    }

    fn is_taken(&self) -> bool {
        self.seen.as_ref().and_then(|seen| holder(&seen.lease)).is_some_and(|holder| holder != self.settings.identity)
    }

    async fn look(&mut self) -> Result<(), Failure> {
        let asked = format!("read Lease {}/{}", self.settings.namespace, self.settings.name);
        let lease = self.leases.get_opt(&self.settings.name).await.map_err(|error| failure(&error, &asked, &[]))?;
        self.seen = match (lease, self.seen.take()) {
            (None, _) => None,
            // Since when it has been as it is counts, not when we looked.
            (Some(lease), Some(seen)) if lease.spec == seen.lease.spec => Some(Seen { lease, since: seen.since }),
            (Some(lease), _) => Some(Seen { lease, since: Instant::now() }),
        };
        Ok(())
    }

    async fn write(&self, spec: LeaseSpec) -> Result<Lease, WriteFailure> {
        let asked = format!("write Lease {}/{}", self.settings.namespace, self.settings.name);
        let parameters = PostParams::default();
        let written = match &self.seen {
            None => {
                let (name, namespace) = (self.settings.name.clone(), self.settings.namespace.clone());
                let metadata = ObjectMeta { name: Some(name), namespace: Some(namespace), ..ObjectMeta::default() };
                self.leases.create(&parameters, &Lease { metadata, spec: Some(spec) }).await
            }
            Some(seen) => {
                let lease = Lease { metadata: seen.lease.metadata.clone(), spec: Some(spec) };
                self.leases.replace(&self.settings.name, &parameters, &lease).await
            }
        };
        written.map_err(|error| WriteFailure::from_error(&error, &asked, &[]))
    }

    fn note(&mut self, start: Instant, outcome: Result<Option<String>, Failure>) {
        match outcome {
            Ok(Some(holder)) if holder == self.settings.identity => {
                self.is_disturbed = false;
                self.renewed = Some(start);
                self.tell(Leadership::Leading);
            }
            Ok(holder) => {
                self.is_disturbed = false;
                // A Lease that is gone or was only touched while we lead is written again at the next attempt, in time.
                if holder.is_some() || self.renewed.is_none() {
                    self.renewed = None;
                    self.tell(Leadership::Following { holder });
                }
            }
            Err(failure) => {
                if !std::mem::replace(&mut self.is_disturbed, true) {
                    tracing::warn!(lease = %self.settings.name, error = %failure, "the Lease cannot be asked for; trying again");
                }
            }
        }
    }

    fn tell(&self, leadership: Leadership) {
        self.told.send_if_modified(|known| {
            let is_new = *known != leadership;
            if is_new {
                tracing::info!(lease = %self.settings.name, "{}", words(&leadership));
            }
            *known = leadership;
            is_new
        });
    }

    async fn give_back(&mut self) {
        if self.renewed.take().is_none() {
            return;
        }
        self.tell(Leadership::Following { holder: None });
        let Some(Seen { lease, .. }) = &self.seen else { return };
        let now = MicroTime(Timestamp::now());
        let spec = LeaseSpec {
            holder_identity: Some(String::new()),
            // As client-go leaves it: whoever cannot tell an empty holder waits no longer than this.
            lease_duration_seconds: Some(1),
            renew_time: Some(now.clone()),
            acquire_time: Some(now),
            ..lease.spec.clone().unwrap_or_default()
        };
        // Longer would keep the program from ending for a favour that expiry does as well.
        let written = tokio::time::timeout(Duration::from_secs(2), self.write(spec)).await;
        if !matches!(written, Ok(Ok(_))) {
            tracing::warn!(lease = %self.settings.name, "the Lease could not be given back; it expires by itself");
        }
    }
}

fn slow(limit: Duration) -> Failure {
    Failure::new(strongroom_failure::Class::Unavailable, format!("no answer within {limit:?}"))
}

fn words(leadership: &Leadership) -> String {
    match leadership {
        Leadership::Leading => "this process leads".to_owned(),
        Leadership::Following { holder: Some(holder) } => format!("{holder} leads"),
        Leadership::Following { holder: None } => "this process does not lead".to_owned(),
    }
}

fn holder(lease: &Lease) -> Option<String> {
    lease.spec.as_ref()?.holder_identity.clone().filter(|holder| !holder.is_empty())
}

/// What to write into the Lease: `None` while it is another's.
fn decide(seen: Option<&Seen>, settings: &ElectionSettings, now: Instant, clock: Timestamp) -> Option<LeaseSpec> {
    let clock = MicroTime(clock);
    let seconds = i32::try_from(settings.lease_duration.as_secs().max(1)).unwrap_or(i32::MAX);
    let ours = LeaseSpec {
        holder_identity: Some(settings.identity.clone()),
        lease_duration_seconds: Some(seconds),
        acquire_time: Some(clock.clone()),
        renew_time: Some(clock),
        lease_transitions: Some(0),
        ..LeaseSpec::default()
    };
    let Some(seen) = seen else { return Some(ours) };
    let there = seen.lease.spec.clone().unwrap_or_default();
    let transitions = there.lease_transitions.unwrap_or(0);
    match holder(&seen.lease) {
        Some(holder) if holder == settings.identity => {
            let acquire_time = there.acquire_time.or(ours.acquire_time);
            Some(LeaseSpec { acquire_time, lease_transitions: Some(transitions), ..ours })
        }
        // Its own duration counts: another may have been started with other settings than we.
        Some(_) if now < seen.since + lasting(&there) => None,
        _ => Some(LeaseSpec { lease_transitions: Some(transitions.saturating_add(1)), ..ours }),
    }
}

fn lasting(spec: &LeaseSpec) -> Duration {
    Duration::from_secs(spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(holder: &str, transitions: i32, acquired: i64, renewed: i64) -> LeaseSpec {
        let at = |second| Some(MicroTime(Timestamp::from_second(second).unwrap()));
        LeaseSpec {
            holder_identity: Some(holder.to_owned()),
            lease_duration_seconds: Some(15),
            acquire_time: at(acquired),
            renew_time: at(renewed),
            lease_transitions: Some(transitions),
            ..LeaseSpec::default()
        }
    }

    #[test]
    fn a_lease_is_taken_when_it_is_free_and_kept_while_it_is_ours() {
        let settings = ElectionSettings::new("n", "lease", "me");
        let since = Instant::now();
        let check = |there: Option<LeaseSpec>, seen_for: u64, expected: Option<LeaseSpec>| {
            let seen = there.map(|spec| Seen { lease: Lease { spec: Some(spec), ..Lease::default() }, since });
            let now = since + Duration::from_secs(seen_for);
            let clock = Timestamp::from_second(1000).unwrap();
            assert_eq!(decide(seen.as_ref(), &settings, now, clock), expected);
        };
        // None yet.
        check(None, 0, Some(spec("me", 0, 1000, 1000)));
        // Another's, and heard of: whatever its times say, our own clock counts.
        check(Some(spec("other", 3, 1, 2)), 14, None);
        check(Some(spec("other", 3, 9999, 9999)), 15, Some(spec("me", 4, 1000, 1000)));
        // Given back.
        check(Some(spec("", 3, 1, 2)), 0, Some(spec("me", 4, 1000, 1000)));
        // Ours: since when is kept.
        check(Some(spec("me", 3, 500, 998)), 0, Some(spec("me", 3, 500, 1000)));
    }
}
