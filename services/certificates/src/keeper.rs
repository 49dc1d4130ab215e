//! The rounds: look, serve, and do the next step where it is ours to do.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ObjectReference, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Client;
use kube::core::PartialObjectMeta;
use strongroom_crypto::{Certificate, Validity};
use strongroom_failure::{Class, Failure};
use strongroom_kube::{
    Election, ElectionSettings, EventKind, Initialized, Leadership, Observed, Recorder, SecretObject, Secrets,
    Selection, WriteFailure, server_time, watch_namespaces,
};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::FIELD_MANAGER;
use crate::configurations::Configurations;
use crate::contents::{self, Before, Data, Held, ServingCertificate};
use crate::files;
use crate::settings::{Settings, Source, Times};
use crate::steps::{Bundles, Change, State, Step, Why, next, takes};

/// How often a replica looks where nothing tells it to: a watch may be dead, and the API server's clock may be set.
const CHECK: Duration = Duration::from_secs(60);
/// How often files are looked at.
const FILES: Duration = Duration::from_secs(2);
/// The shortest pause between two rounds.
const SHORTEST: Duration = Duration::from_millis(50);
/// The pauses after a round that failed: the first, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// How long a start waits to know the configurations: a right on one of them may be missing, and we serve without.
const PATIENCE: Duration = Duration::from_secs(5);

/// Labels of the Secret, so that people see whose it is.
const LABELS: [(&str, &str); 2] =
    [("app.kubernetes.io/managed-by", "strongroom"), ("app.kubernetes.io/component", "webhook-certificate")];

/// Keeps the certificate and the bundles as `settings` say, and tells `certificates` what to serve, until nobody
/// listens there; dropping the future ends it as well, wherever it is. `identity` is one name for each process, never
/// used again; `recorder` tells people about the Secret.
///
/// What fails is logged and tried again.
///
/// # Errors
/// Settings that cannot be kept to, and files that cannot be used at the start.
pub async fn keep(
    client: Client,
    recorder: Recorder,
    settings: Settings,
    identity: &str,
    certificates: watch::Sender<Option<ServingCertificate>>,
) -> Result<(), Failure> {
    settings.check()?;
    match settings.source.clone() {
        Source::Own { secret, times } => {
            let writing = Writing::start(&client, &settings, identity);
            let names = settings.names();
            let secrets = Secrets::new(client.clone(), FIELD_MANAGER);
            let keeper = Keeper {
                client,
                recorder,
                namespace: settings.namespace,
                secret,
                names,
                times,
                secrets,
                certificates,
                writing,
                remembered: Data::new(),
                serves: None,
                bundle: Vec::new(),
                signer: None,
                in_place: Since::default(),
                trusted: Since::default(),
                served: Since::default(),
            };
            keeper.run().await;
            Ok(())
        }
        Source::Files { certificate, key, bundle } => {
            let files = (certificate.as_path(), key.as_path());
            certificates.send_replace(Some(files::certificate(files.0, files.1)?));
            let kept = match bundle {
                None => None,
                Some(path) => {
                    files::bundle(&path)?;
                    Some((path, Writing::start(&client, &settings, identity)))
                }
            };
            follow_files(files, kept, certificates).await;
            Ok(())
        }
    }
}

/// What is needed to write configurations: to know them, and to lead.
struct Writing {
    configurations: Configurations,
    ready: Initialized,
    leadership: watch::Receiver<Leadership>,
    /// Dropping it steps down.
    _election: Election,
}

impl Writing {
    fn start(client: &Client, settings: &Settings, identity: &str) -> Self {
        let ready = Initialized::default();
        let configurations = Configurations::watch(client.clone(), settings, &ready);
        let election = ElectionSettings::new(&settings.namespace, &settings.lease, identity);
        let election = Election::start(client.clone(), election);
        Self { configurations, ready, leadership: election.leadership(), _election: election }
    }

    fn leads(&self) -> bool {
        *self.leadership.borrow() == Leadership::Leading
    }

    /// Waits for news of configurations, or of who leads.
    async fn changed(&mut self) {
        tokio::select! {
            () = self.configurations.changed() => {}
            changed = self.leadership.changed() => if changed.is_err() {
                std::future::pending().await
            },
        }
    }
}

/// Since when something has been as it is.
#[derive(Debug)]
struct Since<T>(Option<(T, Instant)>);

impl<T> Default for Since<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: PartialEq> Since<T> {
    /// Notes how it is now.
    fn note(&mut self, now: Instant, is: Option<T>) {
        match is {
            Some(is) if self.0.as_ref().is_some_and(|(was, _)| *was == is) => {}
            is => self.0 = is.map(|is| (is, now)),
        }
    }

    /// For how long it has been so.
    fn lasting(&self, now: Instant) -> Option<Duration> {
        self.0.as_ref().map(|(_, since)| now.saturating_duration_since(*since))
    }
}

struct Keeper {
    client: Client,
    recorder: Recorder,
    namespace: String,
    secret: String,
    names: Vec<String>,
    times: Times,
    secrets: Secrets,
    certificates: watch::Sender<Option<ServingCertificate>>,
    writing: Writing,
    /// The Secret when it was last good; empty before.
    remembered: Data,
    /// What we serve, and how long that holds.
    serves: Option<(Certificate, Validity)>,
    /// The authorities that the Secret asks for.
    bundle: Vec<Certificate>,
    /// Who signed the Secret's certificate.
    signer: Option<Certificate>,
    in_place: Since<Vec<Certificate>>,
    trusted: Since<Certificate>,
    served: Since<Certificate>,
}

impl Keeper {
    async fn run(mut self) {
        let mut watching = JoinSet::new();
        let mut news = self.watch(&mut watching);
        let _ = tokio::time::timeout(PATIENCE, self.writing.ready.wait()).await;
        self.note_configurations();
        let mut trouble = Trouble::default();
        loop {
            let pause = trouble.note(self.round().await).clamp(SHORTEST, CHECK);
            let certificates = self.certificates.clone();
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                Some(_) = news.recv() => while news.try_recv().is_ok() {},
                () = self.writing.changed() => {}
                () = certificates.closed() => return,
            }
            self.note_configurations();
        }
    }

    fn watch(&self, watching: &mut JoinSet<()>) -> mpsc::Receiver<Observed<PartialObjectMeta<Secret>>> {
        let (sender, news) = mpsc::channel(16);
        let fields = Some(format!("metadata.name={}", self.secret));
        let handle = self.writing.ready.handle("watch of the certificate's Secret");
        let namespaces = vec![self.namespace.clone()];
        let selection = Selection { labels: None, fields };
        watching.spawn(watch_namespaces(self.client.clone(), namespaces, selection, sender, handle));
        news
    }

    /// Takes in what was told of configurations, one by one: what was out of place for a moment counts.
    fn note_configurations(&mut self) {
        self.note_bundles();
        while self.writing.configurations.note_next() {
            self.note_bundles();
        }
    }

    fn note_bundles(&mut self) {
        let (now, configurations) = (Instant::now(), &self.writing.configurations);
        let are_in_place =
            configurations.are_known() && !self.bundle.is_empty() && configurations.are_in_place(&self.bundle);
        self.in_place.note(now, are_in_place.then(|| self.bundle.clone()));
        let signer = self.signer.as_ref().filter(|signer| configurations.trust(signer));
        self.trusted.note(now, signer.cloned());
    }

    /// One round; how long until the next, where nothing happens.
    async fn round(&mut self) -> Result<Duration, Failure> {
        // What is known of configurations is older than what is read now: a bundle never follows a Secret that was
        // replaced before the bundle was seen.
        let secret = self.secrets.read(&self.namespace, &self.secret).await?;
        let now = self.server_time().await?;
        let held = secret.as_ref().map(|secret| contents::read(&secret.data, &self.names));
        self.note_held(held.as_ref());
        let offered = secret.as_ref().zip(held.as_ref());
        let holding_back = offered.and_then(|(secret, held)| self.offer(&secret.data, held, now));
        let state = self.state(held.as_ref());
        if let (Some(secret), Some(contents)) = (&secret, &state.held)
            && contents.authority_problem(now).is_none()
            && contents.serving_problem(now).is_none()
        {
            self.remembered.clone_from(&secret.data);
        }
        let pause = match next(now, &state, &self.times) {
            Step::Write(change, why) if self.writing.leads() || secret.is_none() => {
                self.write(secret, change, why, now).await?
            }
            Step::Spread if self.writing.leads() => {
                let wait = self.writing.configurations.spread(&self.bundle).await?;
                self.note_bundles();
                wait.unwrap_or(Duration::ZERO)
            }
            Step::Wait(pause) => pause,
            // Whoever leads does it.
            _ => CHECK,
        };
        Ok(holding_back.map_or(pause, |wait| wait.min(pause)))
    }

    /// The API server's time; our own where it does not say.
    async fn server_time(&self) -> Result<i64, Failure> {
        let time = match server_time(&self.client).await {
            Err(failure) if failure.class == Class::Denied => None,
            answer => answer?,
        };
        Ok(time.unwrap_or_else(Timestamp::now).as_second())
    }

    fn note_held(&mut self, held: Option<&Held>) {
        if let Some(held) = held {
            self.bundle.clone_from(&held.bundle);
            self.signer = held.serving.as_ref().map(|(_, signer)| signer.clone());
        }
        let serving = held.and_then(|held| held.serving.as_ref()).map(|(certificate, _)| certificate.clone());
        self.served.note(Instant::now(), serving);
        self.note_bundles();
    }

    fn state(&self, held: Option<&Held>) -> State {
        let now = Instant::now();
        let bundles = match self.in_place.lasting(now) {
            _ if !self.writing.configurations.are_known() => Bundles::Unknown,
            None => Bundles::Astray,
            Some(duration) => Bundles::InPlace(duration),
        };
        let remembered = Some(&self.remembered).filter(|data| !data.is_empty());
        State {
            held: held.map(|held| held.contents.clone()),
            remembered: remembered.map(|data| contents::read(data, &self.names).contents),
            bundles,
            served_for: self.served.lasting(now).unwrap_or_default(),
        }
    }

    /// Serves the Secret's certificate, where that is right already; otherwise how long until it may be.
    fn offer(&mut self, data: &Data, held: &Held, now: i64) -> Option<Duration> {
        let ((certificate, _), Ok(serving)) = (held.serving.as_ref()?, held.contents.serving) else { return None };
        let is_served = self.serves.as_ref().is_some_and(|(served, _)| served == certificate);
        if is_served || held.contents.serving_problem(now).is_some() {
            return None;
        }
        let holds = |validity: &Validity| (validity.begins..=validity.ends).contains(&now);
        let serves_good = self.serves.as_ref().is_some_and(|(_, validity)| holds(validity));
        let instant = Instant::now();
        let offered_for = self.served.lasting(instant).unwrap_or_default();
        if !takes(serves_good, self.trusted.lasting(instant), offered_for, self.times.settle) {
            return Some(Duration::from_secs(1).min(self.times.settle));
        }
        self.certificates.send_replace(Some(contents::serving_certificate(data)?));
        self.serves = Some((certificate.clone(), serving.validity));
        tracing::info!(secret = %self.secret, until = %shown(serving.validity.ends), "the webhook's certificate is served");
        None
    }

    /// Writes the Secret; how long until it is looked at again.
    async fn write(
        &self,
        secret: Option<SecretObject>,
        change: Change,
        why: Why,
        now: i64,
    ) -> Result<Duration, Failure> {
        let (is_new, mut wanted) = (secret.is_none(), secret.unwrap_or_else(|| self.empty()));
        let trusted = self.writing.configurations.trusted();
        let before = Before { held: &wanted.data, remembered: &self.remembered, trusted: &trusted };
        let data = contents::changed(change, &before, &self.names, &self.times, now).map_err(|reason| {
            Failure::new(Class::Invalid, format!("cannot make the webhook's certificate: {reason}"))
        })?;
        wanted.data = data;
        let labels = wanted.metadata.labels.get_or_insert_default();
        labels.extend(LABELS.map(|(name, value)| (name.to_owned(), value.to_owned())));
        wanted.metadata.managed_fields = None;
        let written = if is_new { self.secrets.create(&wanted).await } else { self.secrets.replace(&wanted).await };
        match written {
            Ok(metadata) => {
                self.tell(change, why, &metadata);
                Ok(Duration::ZERO)
            }
            // Another was first: what it wrote is read in the next round.
            Err(WriteFailure::Conflict | WriteFailure::AlreadyExists) => Ok(Duration::ZERO),
            Err(other) => Err(other.into_failure(&format!("write Secret {}/{}", self.namespace, self.secret))),
        }
    }

    fn empty(&self) -> SecretObject {
        let metadata = ObjectMeta {
            name: Some(self.secret.clone()),
            namespace: Some(self.namespace.clone()),
            ..ObjectMeta::default()
        };
        SecretObject { metadata, type_: Some("kubernetes.io/tls".to_owned()), ..SecretObject::default() }
    }

    fn tell(&self, change: Change, why: Why, metadata: &ObjectMeta) {
        let done = match change {
            Change::Everything => "a new authority and certificate were made",
            Change::Restore => "it was restored, with a new authority",
            Change::Authority => "a new authority was made",
            Change::Serving => "a new certificate was made",
            Change::Retire => "the former authority is trusted no more",
        };
        let place = format!("{}/{}", self.namespace, self.secret);
        let (kind, reason) = match why {
            Why::Damaged(_) => (EventKind::Warning, "CertificateRepaired"),
            Why::Absent => (EventKind::Normal, "CertificateMade"),
            Why::Due | Why::Trusted | Why::Served => (EventKind::Normal, "CertificateRotated"),
        };
        match kind {
            EventKind::Warning => tracing::warn!(secret = place, %why, "{done}"),
            EventKind::Normal => tracing::info!(secret = place, %why, "{done}"),
        }
        let about = ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Secret".to_owned()),
            namespace: Some(self.namespace.clone()),
            name: Some(self.secret.clone()),
            uid: metadata.uid.clone(),
            ..ObjectReference::default()
        };
        self.recorder.record(&about, kind, reason, &format!("{done}: {why}"));
    }
}

fn shown(second: i64) -> String {
    Timestamp::from_second(second).map_or_else(|_| second.to_string(), |time| time.to_string())
}

/// How rounds go: what fails is told when it is new, and tried again with growing pauses.
#[derive(Default)]
struct Trouble {
    told: Option<Failure>,
    pause: Duration,
}

impl Trouble {
    /// How long until the next round.
    fn note(&mut self, ended: Result<Duration, Failure>) -> Duration {
        match ended {
            Ok(pause) => {
                if self.told.take().is_some() {
                    tracing::info!("the webhook's certificate is looked after again");
                }
                self.pause = Duration::ZERO;
                pause
            }
            Err(failure) => {
                self.pause = (self.pause * 2).clamp(PAUSES.0, PAUSES.1);
                if self.told.as_ref() != Some(&failure) {
                    let hint = failure.hint.as_deref();
                    tracing::warn!(%failure, hint, retry_in = ?self.pause, "the webhook's certificate waits");
                    self.told = Some(failure);
                }
                self.pause
            }
        }
    }
}

/// Serves what the files hold whenever they change, and keeps the bundle where there is one.
async fn follow_files(
    files: (&Path, &Path),
    mut kept: Option<(PathBuf, Writing)>,
    certificates: watch::Sender<Option<ServingCertificate>>,
) {
    let mut trouble = Trouble::default();
    loop {
        let looked = look_at_files(files, kept.as_mut(), &certificates).await;
        let pause = trouble.note(looked.map(|wait| wait.unwrap_or(FILES)));
        let news = async {
            match &mut kept {
                Some((_, writing)) => writing.changed().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause.clamp(SHORTEST, FILES)) => {}
            () = news => {}
            () = certificates.closed() => return,
        }
    }
}

async fn look_at_files(
    files: (&Path, &Path),
    kept: Option<&mut (PathBuf, Writing)>,
    certificates: &watch::Sender<Option<ServingCertificate>>,
) -> Result<Option<Duration>, Failure> {
    let read = files::certificate(files.0, files.1)?;
    let is_new = certificates.send_if_modified(|served| {
        let is_same = served
            .as_ref()
            .is_some_and(|served| served.certificate == read.certificate && served.key.expose() == read.key.expose());
        if !is_same {
            *served = Some(read);
        }
        !is_same
    });
    if is_new {
        tracing::info!(file = %files.0.display(), "another certificate is served");
    }
    let Some((path, writing)) = kept else { return Ok(None) };
    while writing.configurations.note_next() {}
    let wanted = files::bundle(path)?;
    if !writing.leads() || writing.configurations.are_in_place(&wanted) {
        return Ok(None);
    }
    writing.configurations.spread(&wanted).await
}
